"""Correct the outlines of a measurement in the browser; every change is saved at once, beside the measurement.

python tools/correct.py results
"""

from semsize.programs.correct import main

if __name__ == "__main__":
    main()
