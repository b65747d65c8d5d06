"""Convert ImageJ's ROIs (a .zip of the ROI manager for each image, next to it) to the project's annotations.

python tools/dataset_converters/imagej_rois.py --help
"""

from semsize.programs.convert import imagej_rois as main

if __name__ == "__main__":
    main()
