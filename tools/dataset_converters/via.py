"""Convert annotations of the VGG Image Annotator (VIA 1 and 2) to the project's annotations.

python tools/dataset_converters/via.py --help
"""

from semsize.programs.convert import via as main

if __name__ == "__main__":
    main()
