"""Draw an example of each state from rendered scenes: the picture of docs/notebook/rendering.md.

python tools/benchmarks/draw_states.py docs/figures/states.png
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from semsize.structures.states import STATES
from semsize.synthesis import RenderedImage, RenderSettings, render_image

TILE_PX = 120  # of the image, around the particle
ZOOM = 2
SETTINGS = RenderSettings(seed=7, shape=(704, 1024), preset="agglomerated", particles=200)


def main() -> None:
    """Render until each state has a large enough example, and draw the examples in a row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    tiles: dict[str, np.ndarray] = {}
    for number in range(20):
        rendered = render_image(SETTINGS, number)
        for index, state in enumerate(rendered.truth.states):
            if state not in tiles and suits(rendered, index):
                tiles[state] = draw(rendered, index, state)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(arguments.out), np.hstack([tiles[state] for state in STATES if state in tiles]))
    print(f"written: {arguments.out}")


def suits(rendered: RenderedImage, index: int) -> bool:
    """Whether the particle is large enough to look at, and its tile within the frame."""
    row, column = corner(rendered, index)
    height, width = rendered.pixels.shape
    plain = not 0.85 < rendered.truth.visible_fractions[index] < 0.98  # hardly anything is hidden, or enough to show
    large = rendered.truth.full.areas[index] > 700
    return plain and large and 0 <= row <= height - TILE_PX and 0 <= column <= width - TILE_PX


def corner(rendered: RenderedImage, index: int) -> tuple[int, int]:
    """Row and column of the tile's first pixel."""
    x1, y1, x2, y2 = rendered.truth.full.boxes[index]
    return int(y1 + y2 - TILE_PX) // 2, int(x1 + x2 - TILE_PX) // 2


def draw(rendered: RenderedImage, index: int, state: str) -> np.ndarray:
    """The tile (H, W, 3) with the full outline in orange, the visible one in green, and the state's name."""
    row, column = corner(rendered, index)
    tile = rendered.pixels[row : row + TILE_PX, column : column + TILE_PX]
    tile = cv2.cvtColor(cv2.resize(tile, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2BGR)
    for masks, colour in ((rendered.truth.full, (0, 140, 255)), (rendered.truth.visible, (60, 220, 60))):
        mask = masks[index].to_full()[0][row : row + TILE_PX, column : column + TILE_PX]
        large = cv2.resize(mask, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_NEAREST)
        cv2.drawContours(tile, cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], -1, colour, 1)
    label = f"{state} {rendered.truth.visible_fractions[index]:.2f}"
    tile[:26] //= 4
    cv2.putText(tile, label, (8, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1, cv2.LINE_AA)
    return cv2.copyMakeBorder(tile, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=(255, 255, 255))


if __name__ == "__main__":
    main()
