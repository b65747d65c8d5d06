"""Convert a COCO JSON of any tool (polygons, RLE, crowds) to the project's annotations.

python tools/dataset_converters/coco.py instances.json --images sem/ --out data/own

Categories become labels: --label bead=complete says what one means, --label scalebar=drop leaves one out.
"""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors
from semsize.exchange import Account, ImageFolder, command, read_coco


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path, metavar="JSON", help="the COCO file")
    parser.add_argument("--images", type=Path, help="folder of the images (default: that of JSON)")
    parser.add_argument(
        "--key",
        default="state",
        help="key of an annotation, or of its attributes, with the state (default: %(default)s)",
    )
    parser.add_argument(
        "--crowds-as-particles",
        action="store_true",
        help="take annotations marked as crowds (iscrowd) as the others, for tools that mark every mask so",
    )
    command.add_arguments(parser)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Read, convert, write."""
    options = parse_arguments(arguments)
    with one_line_errors(*command.PEOPLE_ERRORS):
        account = Account()
        images = ImageFolder(options.images or options.annotations.parent, leave_out=[options.out])
        found = read_coco(
            options.annotations,
            images,
            account,
            label_key=options.key,
            crowds_as_particles=options.crowds_as_particles,
        )
        command.convert(options, found, account, f"COCO's {options.annotations}")


if __name__ == "__main__":
    main()
