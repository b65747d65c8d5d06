"""A scale bar that a person draws on an image without a known pixel size, kept in a small file of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from semsize.correcting.shapes import CorrectionError
from semsize.structures.files import from_json, in_json, is_number, read_json, write_json
from semsize.structures.pixel_size import PixelSize
from semsize.structures.polygons import FARTHEST_PX

SHORTEST_BAR_PX = 10.0
WIDEST_REACH_PX = 50.0
_FORMAT = 1


@dataclass(frozen=True)
class DrawnScale:
    """Two ends of a scale bar and the length that is written beside it."""

    ends: tuple[float, float, float, float]  # x, y of one end, x, y of the other, px
    length_nm: float  # as typed
    reach_px: float  # each end lies within ± this of where it was drawn

    def __post_init__(self):
        if not all(abs(value) <= FARTHEST_PX for value in self.ends) or not self.length_px >= SHORTEST_BAR_PX:
            raise CorrectionError(f"a scale bar must be at least {SHORTEST_BAR_PX:g} px long; draw it from end to end")
        if not (math.isfinite(self.length_nm) and self.length_nm > 0):
            raise CorrectionError("the length of a scale bar must be above 0; type it as written, such as 200 nm")
        if not 0 < self.reach_px <= WIDEST_REACH_PX:
            raise CorrectionError(f"the ends of a scale bar must lie within {WIDEST_REACH_PX:g} px; zoom in to draw it")

    @classmethod
    def drawn(cls, ends: Any, length: Any, reach_px: Any) -> Self:
        """Check what the page sends: two points, a length with its unit such as `200 nm`, and the ends' reach.

        Raises:
            CorrectionError: a part is missing or out of range.
        """
        numbers = [number for point in ends for number in point] if _are_points(ends) else []
        if len(numbers) != 4 or not all(map(is_number, (*numbers, reach_px))):
            raise CorrectionError("a scale bar needs two ends and their reach; draw it from end to end")
        try:
            length_nm = PixelSize.parse(length if isinstance(length, str) else "").value_nm
        except ValueError:
            raise CorrectionError("the length is no number with a unit (nm, um, mm); type it such as 200 nm") from None
        return cls(tuple(map(float, numbers)), length_nm, float(reach_px))

    @property
    def length_px(self) -> float:
        """Distance between the ends of the scale bar, in pixels."""
        return math.dist(self.ends[:2], self.ends[2:])

    @property
    def pixel_size(self) -> PixelSize:
        """Nanometres a pixel; each end is uniform within its reach, so that u(length) = sqrt(2/3) · reach (GUM 4.3.7).

        >>> DrawnScale((0, 0, 100, 0), 200.0, 1.0).pixel_size.value_nm
        2.0
        """
        value_nm = self.length_nm / self.length_px
        std_nm = value_nm * math.sqrt(2 / 3) * self.reach_px / self.length_px
        return PixelSize(value_nm, std_nm, "a scale bar drawn over")

    def for_page(self) -> dict[str, Any]:
        """The scale bar with the pixel size that it gives, in JSON's terms."""
        size = self.pixel_size
        return {"ends": list(self.ends), "length_nm": self.length_nm, "nm_per_px": size.value_nm, "std_nm": size.std_nm}


def _are_points(ends: Any) -> bool:
    return isinstance(ends, list) and len(ends) == 2 and all(isinstance(point, list) for point in ends)


def write_scale(path: Path, scale: DrawnScale) -> None:
    """Write a scale bar, which is on disk when this returns."""
    try:
        write_json(path, {"format": _FORMAT, **in_json(scale)}, durable=True)
    except OSError as cause:
        raise CorrectionError(f"{path}: cannot be written ({cause.strerror}); free space or check the folder") from None


def read_scale_file(path: Path) -> DrawnScale | None:
    """The scale bar that `write_scale` wrote; None without a file.

    Raises:
        CorrectionError: the file is damaged.
    """
    if not path.is_file():
        return None
    data = read_json(path, CorrectionError)
    try:
        if not isinstance(data, dict) or data.pop("format", None) != _FORMAT:
            raise ValueError("another version")
        return from_json(data, DrawnScale)
    except ValueError as cause:
        raise CorrectionError(f"{path}: no scale bar ({cause}); delete the file and draw the bar again") from None
