"""Convert label images (one value a particle, 0 background; 8, 16 or 32 bits) to the project's annotations.

python tools/dataset_converters/label_images.py --images emps/images --labels emps/segmaps --out data/emps

Images and label images are paired by name; images are copied as they are.
"""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors
from semsize.exchange import Account, ImageFolder, command, read_label_images


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder of the images")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the label images")
    parser.add_argument(
        "--suffix", default="", help="end of the label images' names, such as _mask (default: the usual ones)"
    )
    parser.add_argument(
        "--binary", action="store_true", help="label images are masks: their connected pieces are particles"
    )
    command.add_arguments(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Read, convert, write."""
    options = parse_arguments(arguments)
    with one_line_errors(*command.PEOPLE_ERRORS):
        account = Account()
        apart = [options.out] if options.labels == options.images else [options.out, options.labels]
        images, labels = ImageFolder(options.images, apart), ImageFolder(options.labels, [options.out])
        found = read_label_images(images, labels, account, suffix=options.suffix, binary=options.binary)
        command.convert(options, found, account, f"label images in {options.labels}")


if __name__ == "__main__":
    main()
