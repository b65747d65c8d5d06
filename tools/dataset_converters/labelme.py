"""Convert LabelMe's annotations to the project's.

python tools/dataset_converters/labelme.py sem/ --out data/own

Reads every JSON file below the folder: polygons, rectangles, circles, masks; shapes of one group_id are one particle.
"""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors
from semsize.exchange import Account, ImageFolder, command, read_labelme


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path, metavar="FOLDER", help="folder of the JSON files")
    parser.add_argument("--images", type=Path, help="folder of the images (default: FOLDER)")
    command.add_arguments(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Read, convert, write."""
    options = parse_arguments(arguments)
    with one_line_errors(*command.PEOPLE_ERRORS):
        account = Account()
        images = ImageFolder(options.images or options.annotations, leave_out=[options.out])
        found = read_labelme(options.annotations, images, account)
        command.convert(options, found, account, f"LabelMe's files in {options.annotations}")


if __name__ == "__main__":
    main()
