"""Draw the placement of agglomerates (paper §3.2, Fig. 5): sub-frames of the first, those of all, the final image.

python tools/draw_placement.py --library data/agglomerates/library.zip --backgrounds data/agglomerates/backgrounds \
    --out placement.png
"""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors

FRAME, BOX = (80, 220, 255), (90, 90, 255)  # yellow, red; BGR


def main() -> None:
    """Place agglomerates, draw three panels and write them as one picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", type=Path, required=True, help="library.zip of tools/build_library.py")
    parser.add_argument("--backgrounds", type=Path, required=True, help="folder backgrounds/ of the same program")
    parser.add_argument("--size", type=int, nargs=2, metavar=("W", "H"), default=(640, 440), help="of a panel, px")
    parser.add_argument("--count", type=int, default=12, help="number of agglomerates (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="PNG file")
    arguments = parser.parse_args()
    import cv2
    import numpy as np

    from semsize.structures.files import write_whole
    from tio2.agglomerates import AgglomerateLibrary, Backgrounds, PasteSettings, paste_agglomerates
    from tio2.agglomerates.simulation import FreeSpace, eight_subframes

    rng = np.random.default_rng(arguments.seed)
    shape = (arguments.size[1], arguments.size[0])
    with one_line_errors(ValueError, OSError):
        background, _ = Backgrounds(arguments.backgrounds).draw(shape, rng)
        library = AgglomerateLibrary.load(arguments.library)
        pasted = paste_agglomerates(background, library, rng, PasteSettings((arguments.count, arguments.count)))
        finished = cv2.cvtColor(np.rint(pasted.image).astype(np.uint8), cv2.COLOR_GRAY2BGR)
        bare = cv2.cvtColor(background.astype(np.uint8), cv2.COLOR_GRAY2BGR)
        space = FreeSpace.of_frame(shape)
        for placement in pasted.placements:
            space = space.without(placement.box)
        boxes = [placement.box for placement in pasted.placements]
        first = panel(finished, bare, eight_subframes((0, 0, *shape), boxes[0]), boxes[:1])
        panels = [first, panel(finished, bare, space.subframes, boxes), finished]
        gap = np.full((shape[0], 8, 3), 255, np.uint8)
        sheet = np.hstack([part for picture in panels for part in (picture, gap)][:-1])
        write_whole(arguments.out, cv2.imencode(".png", sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())
    print(f"{len(pasted.placements)} agglomerates, {pasted.failures} without room; written: {arguments.out}")


def panel(image, background, subframes, boxes):
    """Draw the image inside the boxes, the darkened background elsewhere, sub-frames in yellow and boxes in red."""
    import cv2

    picture = background // 2
    for top, left, bottom, right in boxes:
        picture[top:bottom, left:right] = image[top:bottom, left:right]
    for colour, rectangles in ((FRAME, subframes.tolist()), (BOX, boxes)):
        for top, left, bottom, right in rectangles:
            cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), colour, 1)
    return picture


if __name__ == "__main__":
    main()
