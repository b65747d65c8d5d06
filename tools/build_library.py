"""Build an agglomerate library and empty backgrounds from an annotated data set (paper §3.2).

python tools/build_library.py --ann data/bam-tio2-sem/annotations/train.json --out data/agglomerates

Writes library.zip, a table of its contents (summary.md), a contact sheet (library.png) and backgrounds/*.png. Crops of
images are as restricted as the images: mind the licence of the data set before passing any of it on.
"""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ann", type=Path, required=True, help="annotation file")
    parser.add_argument("--images", type=Path, help="folder of the images (default: images/<split> of the data set)")
    parser.add_argument(
        "--join", type=float, default=4.0, metavar="PX", help="largest gap within an agglomerate (default: %(default)s)"
    )
    parser.add_argument(
        "--margin", type=int, default=6, metavar="PX", help="margin kept around an agglomerate (default: %(default)s)"
    )
    parser.add_argument(
        "--data-bar", type=int, default=0, metavar="ROWS", help="rows of a data bar at the foot (default: %(default)s)"
    )
    parser.add_argument(
        "--background-size",
        type=int,
        nargs=2,
        metavar=("W", "H"),
        default=(2048, 1536),
        help="smaller images are extended to this size (default: 2048 1536)",
    )
    parser.add_argument("--seed", type=int, default=0, help="same seed, same bytes (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    return parser.parse_args()


def main() -> None:
    """Cut agglomerates into a library with its table; then make empty backgrounds of the images."""
    arguments = parse_arguments()
    import cv2
    from tqdm import tqdm

    from semsize.sem.image_sets import default_image_folder
    from tio2.agglomerates import AgglomerateLibrary
    from tio2.agglomerates.backgrounds import make_backgrounds

    images = arguments.images or default_image_folder(arguments.ann)
    with one_line_errors(ValueError, OSError):
        library = AgglomerateLibrary.from_coco(
            arguments.ann, images, arguments.join, arguments.margin, arguments.data_bar
        )
        library.save(arguments.out / "library.zip")
        rows = [f"| {label} | {value} |" for label, value in library.summary().items()]
        table = "\n".join(["| library | |", "|---|---|", *rows])
        (arguments.out / "summary.md").write_text(table + "\n", encoding="utf-8")
        (arguments.out / "library.png").write_bytes(cv2.imencode(".png", library.contact_sheet())[1].tobytes())
        shape = (arguments.background_size[1], arguments.background_size[0])
        made = make_backgrounds(arguments.ann, images, arguments.out / "backgrounds", shape, arguments.seed)
        outcomes = list(tqdm(made, unit="background"))
    print(table)
    print(f"backgrounds: {sum(reason is None for _, reason in outcomes)} of {len(outcomes)} images")
    for name, reason in outcomes:
        if reason:
            print(f"no background from {name}: {reason}")
    print(f"written: {arguments.out}/library.zip, summary.md, library.png, backgrounds/")


if __name__ == "__main__":
    main()
