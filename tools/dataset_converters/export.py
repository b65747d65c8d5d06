"""Write annotations in the form of an annotation tool, to be viewed and corrected there and converted back.

python tools/dataset_converters/export.py --help
"""

from semsize.programs.convert import export as main

if __name__ == "__main__":
    main()
