r"""How well one judge agrees with itself and with the annotation on states, given twice, blind, from contact sheets.

python tools/benchmarks/blind_states.py sheets data/bam-tio2-sem/annotations/train.json --out blind/bam
python tools/benchmarks/blind_states.py score blind/bam

`sheets` draws particles at random and writes two passes over them in different orders: sheets of 20 particles, as
imaged and with the outline, and `pass_1.csv`, `pass_2.csv`, which the judge fills in: c for complete, m for masked, u
for unusable. `key.json` holds the annotation's states. `score` prints the shares that agree, and Cohen's kappa.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from semsize.cli import one_line_errors
from semsize.measuring.overlays import enlarged_rgb, outline, write_png
from semsize.measuring.tables import markdown_table
from semsize.metrology.border import touches_border
from semsize.sem import SEMReadError
from semsize.sem.image_sets import OutlinedImage, outlined_images
from semsize.structures import AnnotationError, CroppedMasks
from semsize.structures.files import read_json, write_json, write_whole
from semsize.structures.states import VISIBILITY_CLASSES, class_of_state

PASSES = (1, 2)
COLUMNS, ROWS = 4, 5
TILE_PX = 192  # side of a picture; each particle has two pictures
CONTEXT = 3.0  # side of the window shown, in multiples of the particle's longer side
OUTLINE = (255, 180, 0)
LETTERS = {name[0]: name for name in VISIBILITY_CLASSES}


class JudgementError(ValueError):
    """The answers cannot be scored; the message is one line."""


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    sheets = commands.add_parser("sheets", help="draw particles at random")
    sheets.add_argument("annotations", type=Path, help="annotation file with states")
    sheets.add_argument("--images", type=Path, help="folder of its images (default: images/<split> beside annotations)")
    sheets.add_argument("--number", type=int, default=100, help="particles to draw (default: %(default)s)")
    sheets.add_argument("--seed", type=int, default=0)
    sheets.add_argument("--out", type=Path, required=True, help="folder to write")
    score = commands.add_parser("score", help="compare the answers of both passes")
    score.add_argument("folder", type=Path, help="folder that `sheets` wrote, answers filled in")
    return parser.parse_args()


def tile(image: OutlinedImage, number: int) -> np.ndarray:
    """A particle as imaged and, beside it, with its outline: (TILE_PX, 2 TILE_PX, 3) uint8."""
    mask = image.outlines[[number]]
    left, top, right, bottom = mask.boxes[0]
    side = max(32, round(CONTEXT * max(right - left, bottom - top)))
    x, y = (round((low + high - side) / 2) for low, high in ((left, right), (top, bottom)))
    height, width = image.grey.shape
    rows, columns = np.clip(np.arange(y, y + side), 0, height - 1), np.clip(np.arange(x, x + side), 0, width - 1)
    window, scale = np.ix_(rows, columns), max(1, -(-TILE_PX // side))
    plain = enlarged_rgb(image.grey[window], scale)
    drawn = plain.copy()
    outline(drawn, CroppedMasks.from_full(mask.to_full()[0][window][None]), OUTLINE, scale, width=1)
    return np.hstack(
        [cv2.resize(picture, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA) for picture in (plain, drawn)]
    )


def sheet(tiles: Sequence[np.ndarray], first: int) -> np.ndarray:
    """Tiles in rows, numbered from `first`."""
    canvas = np.zeros((ROWS * TILE_PX, COLUMNS * 2 * TILE_PX, 3), np.uint8)
    for place, picture in enumerate(tiles):
        row, column = (place // COLUMNS) * TILE_PX, (place % COLUMNS) * 2 * TILE_PX
        canvas[row : row + TILE_PX, column : column + 2 * TILE_PX] = picture
        text = str(first + place)
        cv2.putText(canvas, text, (column + 4, row + 18), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 255, 255), 2)
        cv2.rectangle(canvas, (column, row), (column + 2 * TILE_PX - 1, row + TILE_PX - 1), (90, 90, 90))
    return canvas


def write_sheets(arguments: argparse.Namespace) -> None:
    """Draw particles off the border whose state is known, and write both passes."""
    rng = np.random.default_rng(arguments.seed)
    chosen, states = [], []
    for image in outlined_images(arguments.annotations, arguments.images):
        cut = touches_border(image.outlines.boxes, image.grey.shape)
        for number, particle in enumerate(image.particles):
            state = class_of_state(particle.get("state"))
            if state is not None and not cut[number] and not particle["iscrowd"]:
                chosen.append((image, number))
                states.append(state)
    if len(chosen) < arguments.number:
        raise JudgementError(f"{arguments.annotations}: {len(chosen)} particles have a state, not {arguments.number}")
    picked = rng.choice(len(chosen), arguments.number, replace=False)
    tiles = [tile(*chosen[place]) for place in picked]
    arguments.out.mkdir(parents=True)
    orders = {}
    for number in PASSES:
        order = rng.permutation(len(tiles))
        orders[str(number)] = order.tolist()
        for start in range(0, len(order), COLUMNS * ROWS):
            members = [tiles[place] for place in order[start : start + COLUMNS * ROWS]]
            write_png(arguments.out / f"pass_{number}_{start:03d}.png", sheet(members, start))
        rows = "".join(f"{place},\n" for place in range(len(order)))
        write_whole(arguments.out / f"pass_{number}.csv", f"number,class\n{rows}".encode())
    write_json(arguments.out / "key.json", {"states": [states[place] for place in picked], "orders": orders})
    print(f"written: {arguments.out}/pass_1_*.png, pass_2_*.png; fill in pass_1.csv and pass_2.csv with c, m, u")


def answers(folder: Path, number: int, order: Sequence[int]) -> np.ndarray:
    """The class that a pass gives each particle, in the order of the key.

    Raises:
        JudgementError: an answer is missing or unknown.
    """
    path = folder / f"pass_{number}.csv"
    with path.open(newline="", encoding="utf-8") as stream:
        given = {int(row["number"]): (row["class"] or "").strip() for row in csv.DictReader(stream)}
    said = np.full(len(order), "", dtype=object)
    for place, particle in enumerate(order):
        if given.get(place) not in LETTERS:
            raise JudgementError(f"{path}: number {place} is {given.get(place)!r}, not one of {', '.join(LETTERS)}")
        said[particle] = LETTERS[given[place]]
    return said


def agreement(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Share of equal answers, and Cohen's kappa, the agreement beyond chance at the answers' frequencies.

    >>> agreement(np.array(["a", "a", "b", "b"]), np.array(["a", "a", "b", "a"]))
    (0.75, 0.5)
    """
    share = float(np.mean(first == second))
    chance = sum(float(np.mean(first == name) * np.mean(second == name)) for name in {*first, *second})
    return share, (share - chance) / (1 - chance) if chance < 1 else 1.0


def print_score(folder: Path) -> None:
    """Compare both passes with each other and with the annotation, and print the table."""
    key = read_json(folder / "key.json", JudgementError)
    stated = np.array(key["states"], dtype=object)
    first, second = (answers(folder, number, key["orders"][str(number)]) for number in PASSES)
    pairs = {
        "pass 1, pass 2": (first, second),
        "annotation, pass 1": (stated, first),
        "annotation, pass 2": (stated, second),
    }
    rows = []
    for name, (left, right) in pairs.items():
        share, kappa = agreement(left, right)
        of_class = [
            f"{np.mean(right[left == state] == state):.2f} of {(left == state).sum()}" if (left == state).any() else "–"
            for state in VISIBILITY_CLASSES
        ]
        error = np.sqrt(share * (1 - share) / len(left))
        rows.append([name, f"{share:.3f} ± {error:.3f}", f"{kappa:.2f}", *of_class])
    print(markdown_table(["first, second", "equal", "kappa", *VISIBILITY_CLASSES], rows), end="")


def main() -> None:
    """Write the sheets, or score the answers."""
    arguments = parse_arguments()
    with one_line_errors(AnnotationError, SEMReadError, JudgementError, OSError):
        if arguments.command == "sheets":
            write_sheets(arguments)
        else:
            print_score(arguments.folder)


if __name__ == "__main__":
    main()
