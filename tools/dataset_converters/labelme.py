"""Convert LabelMe's annotations to the project's.

python tools/dataset_converters/labelme.py --help
"""

from semsize.programs.convert import labelme as main

if __name__ == "__main__":
    main()
