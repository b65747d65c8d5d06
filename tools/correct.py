"""Correct outlines in the browser; every change is kept at once, beside the measurement.

python tools/correct.py results
"""

from semsize.programs.correct import main

if __name__ == "__main__":
    main()
