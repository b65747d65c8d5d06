"""What decides the numbers of a measurement, and apart from it how it is run and what is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from semsize.measuring.errors import SettingsError
from semsize.metrology import REFERENCE_STD_PX
from semsize.sem import SEMImage, read_image
from semsize.structures.pixel_size import PixelSize

OPERATING_SCORE = 0.5
SMALLEST_SIZE_PX = 5.0


@dataclass(frozen=True)
class Settings:
    """What decides the numbers.

    Attributes:
        score: detections below it are left out of the distribution; outlines drawn by hand score 1.
        min_size_px: resolution limit: particles of a smaller equivalent circular diameter are left out.
        crop_rows: rows of data bar at the lower edge of each image; None finds them, 0: there are none.
        crop_top: rows of data bar at the upper edge; None finds them, 0: there are none.
        intensity_range: stored levels that mean black and white, for 16-bit files.
        pixel_size: of all images, whatever the files say; None asks the files.
        calibration_factor: true length / length by the pixel size, from a calibration of the magnification.
        calibration_std: its relative standard uncertainty (k = 1), also for pixel sizes from files; None: not given.
        reference_std_px: standard uncertainty of a diameter from where the outlines of the truth lie.
        states_file: CSV with the columns image, id, state.
        target_percent: relative expanded uncertainty of D50 for which the report says how many particles it takes.
        seed: of the bootstrap.
    """

    score: float = OPERATING_SCORE
    min_size_px: float = SMALLEST_SIZE_PX
    crop_rows: int | None = None
    crop_top: int | None = None
    intensity_range: tuple[float, float] | None = None
    pixel_size: PixelSize | None = None
    calibration_factor: float = 1.0
    calibration_std: float | None = None
    reference_std_px: float = REFERENCE_STD_PX
    states_file: Path | None = None
    target_percent: float = 5.0
    seed: int = 0

    def __post_init__(self):
        _require(0 <= self.score <= 1, f"the score threshold lies in 0 to 1, not {self.score:g}")
        _require(self.min_size_px >= 0, f"the smallest size is 0 px or more, not {self.min_size_px:g}")
        for rows in (self.crop_rows, self.crop_top):
            _require(rows is None or rows >= 0, f"rows to crop are 0 or more, not {rows}")
        _require(0.1 <= self.calibration_factor <= 10, f"a calibration factor of {self.calibration_factor:g} is a slip")
        inside = self.calibration_std is None or 0 <= self.calibration_std < 1
        _require(inside, f"a calibration uncertainty of {self.calibration_std} is not below 100 %")
        _require(
            self.reference_std_px >= 0, f"the reference uncertainty is 0 px or more, not {self.reference_std_px:g}"
        )
        _require(self.target_percent > 0, f"the target uncertainty is above 0 %, not {self.target_percent:g}")
        levels = self.intensity_range
        _require(levels is None or levels[0] < levels[1], f"the intensity range runs from low to high, not {levels}")

    def calibrated(self, size: PixelSize | None) -> PixelSize | None:
        """A pixel size as stated, with the calibration applied; None stays None."""
        if size is None:
            return None
        return size.calibrated(self.calibration_factor, self.calibration_std)

    def read(self, path: Path) -> SEMImage:
        """An image file, read as these settings ask.

        Raises:
            SEMReadError: it cannot be read, or no row is left between the data bars.
        """
        return read_image(path, intensity_range=self.intensity_range, crop_top=self.crop_top, crop_rows=self.crop_rows)

    def of_detection(self) -> dict:
        """Those that decide what is found in an image, in JSON's terms; all others act on what was found."""
        record = self.as_record()
        return {name: record[name] for name in ("crop_rows", "crop_top", "intensity_range")}

    def as_record(self) -> dict:
        """All settings in JSON's terms."""
        record = asdict(self)
        record["intensity_range"] = None if self.intensity_range is None else list(self.intensity_range)
        record["states_file"] = None if self.states_file is None else str(self.states_file)
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Settings:
        """What `as_record` gave."""
        size, levels, states = (record[name] for name in ("pixel_size", "intensity_range", "states_file"))
        return cls(
            **{
                **record,
                "pixel_size": None if size is None else PixelSize(**size),
                "intensity_range": None if levels is None else tuple(levels),
                "states_file": None if states is None else Path(states),
            }
        )


@dataclass(frozen=True)
class Wishes:
    """How a measurement is run and what is written besides; none of it changes a number.

    Attributes:
        jobs: processes on this machine.
        xlsx: also write `particles.xlsx`.
        rois: also write rois/<image>.zip for ImageJ.
        colour: of the overlays: ``size``, ``state``, or ``auto``: states where any is known.
        command: the command line, for the record.
    """

    jobs: int = 1
    xlsx: bool = False
    rois: bool = False
    colour: str = "auto"
    command: Sequence[str] = field(default=())


def parse_percent(text: str) -> float:
    """A share from "1.5 %" or "1.5%".

    Raises:
        SettingsError: it is no number with the sign: 0.01 could be meant either way.
    """
    number = text.strip().removesuffix("%")
    try:
        if number != text.strip():
            return float(number) / 100
    except ValueError:
        pass
    raise SettingsError(f"{text!r}: give per cent with the sign, such as 1.5%")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise SettingsError(message)
