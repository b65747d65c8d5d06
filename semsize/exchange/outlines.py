"""The outline of a mask along its pixels' edges: rasterised again it gives the same mask, pixel for pixel."""

from collections import defaultdict

import numpy as np

# A step along a pixel edge, with the particle on its right: direction (x, y)
_RIGHT, _DOWN, _LEFT, _UP = (1, 0), (0, 1), (-1, 0), (0, -1)


def mask_outlines(crop: np.ndarray, origin: tuple[int, int]) -> list[np.ndarray]:
    """Closed outlines of a mask, in no particular order.

    Pieces and holes each have their own; pieces that touch at a corner only are kept apart. Outer outlines run
    clockwise on the screen, those of holes the other way; `ring_area` tells them apart.

    Args:
        crop: (h, w), zero is background.
        origin: (row, column) of its first pixel.

    Returns:
        (K, 2) float64 corners (x, y) at whole pixels, without the closing one and without corners on a straight line.
    """
    steps = _steps(np.asarray(crop) != 0)
    rings = []
    while steps:
        point = next(iter(steps))
        rings.append(_walk(point, steps) + np.array(origin[::-1], np.float64))
    return rings


def simple_outlines(crop: np.ndarray, origin: tuple[int, int]) -> list[np.ndarray]:
    """Outlines of a mask's pieces for formats that know no holes: each is cut open by a slit of no width.

    Rasterised again, each filled wherever it winds round and all joined, they give the same mask, holes included.

    Returns:
        See `mask_outlines`; one ring a piece.
    """
    rings = mask_outlines(crop, origin)
    pieces = [ring for ring in rings if ring_area(ring) > 0]
    holes = [ring for ring in rings if ring_area(ring) < 0]
    for hole in sorted(holes, key=lambda ring: ring[:, 1].min()):
        _cut_open(pieces, hole)
    return pieces


def _cut_open(pieces: list[np.ndarray], hole: np.ndarray) -> None:
    """Join a hole by a slit, straight up from its topmost corner, to the ring that it meets, in place.

    What is met is the outline or a hole that begins higher up, and has therefore been joined before.
    """
    first = np.lexsort(hole.T)[0]  # topmost, of these the leftmost
    x, y = hole[first]
    slit_end = -np.inf
    for number, piece in enumerate(pieces):
        end = np.roll(piece, -1, axis=0)
        level = piece[:, 1] == end[:, 1]
        beneath = np.minimum(piece[:, 0], end[:, 0]) <= x
        over = x < np.maximum(piece[:, 0], end[:, 0])
        for edge in np.flatnonzero(level & beneath & over & (piece[:, 1] < y)):
            if piece[edge, 1] > slit_end:
                slit_end, met, after = piece[edge, 1], number, edge + 1
    there, back = np.roll(hole, -first, axis=0), hole[first]
    pieces[met] = np.concatenate(
        [pieces[met][:after], [(x, slit_end)], there, [back, (x, slit_end)], pieces[met][after:]]
    )


def ring_area(ring: np.ndarray) -> float:
    """Signed area of a ring (K, 2): positive where it runs clockwise on the screen."""
    x, y = (ring - ring[0]).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _steps(inside: np.ndarray) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """From each corner (x, y) on the outline to the one or two directions that lead on from it."""
    padded = np.pad(inside, 1)
    core = padded[1:-1, 1:-1]
    steps = defaultdict(list)
    for direction, neighbour, corner in (
        (_RIGHT, padded[:-2, 1:-1], (0, 0)),
        (_DOWN, padded[1:-1, 2:], (1, 0)),
        (_LEFT, padded[2:, 1:-1], (1, 1)),
        (_UP, padded[1:-1, :-2], (0, 1)),
    ):
        rows, columns = np.nonzero(core & ~neighbour)
        for point in zip((columns + corner[0]).tolist(), (rows + corner[1]).tolist(), strict=True):
            steps[point].append(direction)
    return steps


def _walk(start: tuple[int, int], steps: dict[tuple[int, int], list[tuple[int, int]]]) -> np.ndarray:
    """Follow one outline to its beginning, using its steps up; corners (K, 2)."""
    corners, point, heading = [], start, None
    while heading is None or point != start:
        directions = steps[point]
        # where two pixels touch at a corner, a turn to the right stays with the pixel
        right_turn = None if heading is None else (-heading[1], heading[0])
        step = right_turn if right_turn in directions else directions[0]
        directions.remove(step)
        if not directions:
            del steps[point]
        if step != heading:
            corners.append(point)
        point, heading = (point[0] + step[0], point[1] + step[1]), step
    first_step = np.sign(np.subtract(corners[1], corners[0]))
    if tuple(first_step.tolist()) == heading:
        corners = corners[1:]
    return np.array(corners, np.float64)
