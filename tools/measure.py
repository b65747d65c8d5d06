"""Measure the particles in SEM images: table, size distribution with its uncertainty, overlays, report.

python tools/measure.py scans/*.tif --out results
"""

from semsize.programs.measure import main

if __name__ == "__main__":
    main()
