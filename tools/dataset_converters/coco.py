"""Convert a COCO JSON of any tool (polygons, RLE, crowds) to the project's annotations.

python tools/dataset_converters/coco.py --help
"""

from semsize.programs.convert import coco as main

if __name__ == "__main__":
    main()
