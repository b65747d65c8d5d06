"""Convert annotations of the VGG Image Annotator (VIA 1 and 2) to the project's annotations.

python tools/dataset_converters/via.py project.json --images sem/ --out data/own

Reads a project file, or its annotations exported as JSON: polygons, polylines (closed), circles, ellipses, rectangles.
"""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors
from semsize.exchange import Account, ImageFolder, command, read_via


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path, metavar="JSON", help="VIA's project, or its exported annotations")
    parser.add_argument("--images", type=Path, help="folder of the images (default: that of JSON)")
    parser.add_argument(
        "--attribute", default="state", help="region attribute that holds the state or class (default: %(default)s)"
    )
    parser.add_argument("--group", metavar="ATTRIBUTE", help="region attribute that the parts of one particle share")
    command.add_arguments(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Read, convert, write."""
    options = parse_arguments(arguments)
    with one_line_errors(*command.PEOPLE_ERRORS):
        account = Account()
        images = ImageFolder(options.images or options.annotations.parent, leave_out=[options.out])
        found = read_via(options.annotations, images, account, label_attribute=options.attribute, group=options.group)
        command.convert(options, found, account, f"VIA's {options.annotations}")


if __name__ == "__main__":
    main()
