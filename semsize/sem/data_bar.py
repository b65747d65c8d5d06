"""The bar of texts that microscopes draw over the foot of their images, or over the head."""

import numpy as np

TALLEST_SHARE = 0.25  # of the image, that a bar may take
_LOWEST_PX = 8
_FOOT_SHARE = 0.01  # of the image, that may show the specimen again below a bar
_EMPTY = 0.95  # share of one grey level in a row without text
_STEP = 0.25  # least share of the pixels that change at the bar's upper edge
_GROUND = 0.6  # least share of one grey level in the whole bar
_INK_LEVELS = 60  # least contrast of texts and lines
_INK = (0.001, 0.4)  # their share of the bar
_TOLERANCES = (0, 8)  # grey levels: as drawn; after lossy compression


def find_data_bar(grey: np.ndarray) -> int | None:
    """First row of the data bar; the specimen is `grey[:row]`.

    A bar begins with an empty row, of one grey level, where a good part of the two rows above shows something else; it
    ends with one at the image's foot, or nearly; is mostly of one level; takes up to a quarter of the image; and
    carries texts or lines of high contrast. Unscanned rows, dark substrates and saturated areas lack one of these.

    Args:
        grey: (H, W), 0-255.

    Returns:
        The row, or None where the image has no such bar.
    """
    levels = np.rint(grey).astype(np.uint8)
    rows = (_first_row(levels, tolerance) for tolerance in _TOLERANCES)
    return next((row for row in rows if row is not None), None)


def _first_row(levels: np.ndarray, tolerance: int) -> int | None:
    height = len(levels)
    top = height - int(height * TALLEST_SHARE)
    if height - top < _LOWEST_PX:
        return None
    level, share = _prevailing_levels(levels[top:], tolerance)
    empty = top + np.flatnonzero(share >= _EMPTY)
    if len(empty) == 0 or empty[-1] < height - 1 - int(height * _FOOT_SHARE):
        return None
    for row in empty[empty <= empty[-1] + 1 - _LOWEST_PX].tolist():
        above = levels[row - 2 : row].astype(np.int16)
        changes = abs(above - level[row - top]) > tolerance
        if changes.mean(axis=1).min() >= _STEP and _is_written_on(levels[row : empty[-1] + 1], tolerance):
            return row
    return None


def _prevailing_levels(rows: np.ndarray, tolerance: int) -> tuple[np.ndarray, np.ndarray]:
    """The most frequent grey level of each row, (R,), and the share (R,) of its pixels within the tolerance of it."""
    count, width = rows.shape
    cells = rows + 256 * np.arange(count)[:, None]
    histograms = np.bincount(cells.ravel(), minlength=256 * count).reshape(count, 256)
    level = histograms.argmax(axis=1)
    near = abs(np.arange(256) - level[:, None]) <= tolerance
    return level, (histograms * near).sum(axis=1) / width


def _is_written_on(bar: np.ndarray, tolerance: int) -> bool:
    """Whether a band has one ground, and texts or lines on it."""
    (ground,), (share,) = _prevailing_levels(bar.reshape(1, -1), tolerance)
    ink = (abs(bar.astype(np.int16) - ground) >= _INK_LEVELS).mean()
    return bool(share >= _GROUND and _INK[0] <= ink <= _INK[1])
