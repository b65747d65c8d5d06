"""Convert ImageJ's ROIs (a .zip of the ROI manager for each image, next to it) to the project's annotations.

python tools/dataset_converters/imagej_rois.py sem/ --out data/own

A.zip, A.roi, A_RoiSet.zip and RoiSet_A.zip belong to A.tif. Lines and points have no area and are left out.
"""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors
from semsize.exchange import Account, ImageFolder, command, read_imagej


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rois", type=Path, metavar="FOLDER", help="folder of the ROI files")
    parser.add_argument("--images", type=Path, help="folder of the images (default: FOLDER)")
    command.add_arguments(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Read, convert, write."""
    options = parse_arguments(arguments)
    with one_line_errors(*command.PEOPLE_ERRORS):
        account = Account()
        images = ImageFolder(options.images or options.rois, leave_out=[options.out])
        command.convert(
            options, read_imagej(options.rois, images, account), account, f"ImageJ's ROIs in {options.rois}"
        )


if __name__ == "__main__":
    main()
