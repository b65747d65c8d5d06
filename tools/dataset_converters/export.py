"""Write annotations in the form of an annotation tool, to look at and correct there, and convert back.

python tools/dataset_converters/export.py --help
"""

from semsize.programs.convert import export as main

if __name__ == "__main__":
    main()
