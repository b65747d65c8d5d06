"""Settings, requested models and image files of a measurement, and the errors that a user sees."""

from __future__ import annotations

import glob
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from semsize.detecting.archive import ENDING
from semsize.exchange import ExchangeError, ImageFolder, files_below, picture_stems
from semsize.metrology import REFERENCE_STD_PX
from semsize.metrology.matching import OPERATING_SCORE
from semsize.sem import SEMImage, read_image
from semsize.sem.files import FOREIGN_ENDINGS
from semsize.structures.pixel_size import PixelSize, pixels_across


class MeasuringError(ValueError):
    """The measurement cannot be made; base class of the errors below."""


class InputError(MeasuringError):
    """An input cannot be measured; the message is one line."""


class OptionError(MeasuringError):
    """An option or setting is invalid."""


class OutputError(MeasuringError):
    """The results cannot be written to the folder given."""


SMALLEST_SIZE_PX = 5.0
STATE_SOURCES = ("auto", "given", "predicted", "none")
_LENGTH = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*(nm|[uµμ]m)\s*")
KEY_LENGTH, KEY_BYTES = 60, 180  # most characters and bytes of an image's name that `ImageFile.key` keeps


@dataclass(frozen=True)
class ReferenceValue:
    """A certified D50 with its expanded uncertainty (95 %)."""

    value_nm: float
    expanded_nm: float

    @classmethod
    def parse(cls, text: str) -> ReferenceValue:
        """Read a text such as "203 nm ± 5 nm"; ± may be written +- or +/-, and lengths may be in µm.

        Raises:
            OptionError: the text has another form, or the value is 0.

        >>> ReferenceValue.parse("0.2 um +/- 5nm")
        ReferenceValue(value_nm=200.0, expanded_nm=5.0)
        """
        parts = [_LENGTH.fullmatch(part) for part in re.split(r"±|\+/-|\+-", text)]
        if len(parts) != 2 or not all(parts):
            raise OptionError(f'{text!r}: give a D50 and its expanded uncertainty, such as "203 nm ± 5 nm"')
        value, expanded = (float(part[1]) * (1 if part[2] == "nm" else 1000) for part in parts)
        if value <= 0:
            raise OptionError(f"{text!r}: the D50 must be above 0 nm")
        return cls(value, expanded)


@dataclass(frozen=True)
class MeasurementSettings:
    """All settings that decide the numbers of a measurement."""

    score: float = OPERATING_SCORE  # detections below it are left out; outlines drawn by hand have score 1
    min_size_px: float = SMALLEST_SIZE_PX  # resolution limit of the equivalent circular diameter
    crop_rows: int | None = None  # rows of data bar at the lower edge; None: found in the image
    crop_top: int | None = None  # rows of data bar at the upper edge; None: found in the image
    intensity_range: tuple[float, float] | None = None  # stored levels of black and white, for 16-bit files
    pixel_size: PixelSize | None = None  # of all images, whatever their files state; None: read from each file
    calibration_factor: float = 1.0  # true length / length by the pixel size, from a calibration
    calibration_std: float | None = None  # relative standard uncertainty (k = 1) of all pixel sizes; None: not given
    reference_std_px: float = REFERENCE_STD_PX  # standard uncertainty of a true diameter, from how the truth was drawn
    states_file: Path | None = None  # CSV with the columns image, id, state
    states: str = "auto"  # given, predicted (where none is given), none, or auto: see `with_requested_states`
    reference_d50: ReferenceValue | None = None  # certified value to compare the result with
    target_percent: float = 5.0  # relative expanded uncertainty of D50 that the number of particles is planned for
    seed: int = 0  # seed of the bootstrap

    def __post_init__(self):
        std, levels = self.calibration_std, self.intensity_range
        for holds, message in (
            (self.states in STATE_SOURCES, f"states must be one of {', '.join(STATE_SOURCES)}, not {self.states!r}"),
            (0 <= self.score <= 1, f"score threshold must be in 0 to 1, not {self.score:g}"),
            (self.min_size_px >= 0, f"smallest size must be 0 px or more, not {self.min_size_px:g}"),
            ((self.crop_rows or 0) >= 0, f"rows to crop must be 0 or more, not {self.crop_rows}"),
            ((self.crop_top or 0) >= 0, f"rows to crop must be 0 or more, not {self.crop_top}"),
            (0.1 <= self.calibration_factor <= 10, f"calibration factor {self.calibration_factor:g} outside 0.1 to 10"),
            (std is None or 0 <= std < 1, f"calibration uncertainty must be in 0 to 100 %, not {100 * (std or 0):g} %"),
            (self.reference_std_px >= 0, f"reference uncertainty must be 0 px or more, not {self.reference_std_px:g}"),
            (self.target_percent > 0, f"target uncertainty must be above 0 %, not {self.target_percent:g}"),
            (levels is None or levels[0] < levels[1], f"intensity range must go from low to high, not {levels}"),
        ):
            if not holds:
                raise OptionError(message)

    def calibrated(self, size: PixelSize | None) -> PixelSize | None:
        """Apply the calibration to a stated pixel size; None stays None."""
        return size and size.calibrated(self.calibration_factor, self.calibration_std)

    def read(self, path: Path) -> SEMImage:
        """Read an image file with these settings; raises what `read_image` raises."""
        return read_image(path, intensity_range=self.intensity_range, crop_top=self.crop_top, crop_rows=self.crop_rows)


@dataclass(frozen=True)
class RunOptions:
    """How a measurement runs and which further files it writes; no option changes a number."""

    jobs: int = 1  # processes on this machine
    xlsx: bool = False  # also write particles.xlsx
    rois: bool = False  # also write rois/<image>.zip for ImageJ
    colour: str = "auto"  # what colours show in overlays: size, state, or auto (state if any is known)
    command: Sequence[str] = ()  # the command line, for the record


@dataclass(frozen=True)
class DetectorRequest:
    """The detector that a user asks for."""

    model: str | None = None  # name of a shipped model, or an archive's file; None: the first shipped model
    config: Path | None = None  # config of the user's own model for torch; None: `model` is used
    checkpoint: Path | None = None  # weights for `config`
    engine: str = "auto"  # onnx, torch, or auto: the fastest that is validated
    device: str = "cpu"  # cpu, cuda or cuda:N
    scales: tuple[float, ...] | str | None = None  # enlargements; auto: chosen for each image; None: the model's own
    diameter: str | None = None  # diameter of most particles, with its unit: 40nm or 25px
    tile: tuple[int, int] | None = None  # side and overlap of tiles, px; None: only large images are tiled
    batch_size: int = 1  # how many tiles of one image the engine gets at once


@dataclass(frozen=True)
class VisibilityRequest:
    """The visibility model that a user asks for."""

    config: Path | None = None  # config of the user's own model for torch; None: an archive or a shipped model
    checkpoint: Path | None = None  # weights for `config`
    device: str = "cpu"  # cpu, cuda or cuda:N
    model: Path | None = None  # an archive's file
    engine: str = "auto"  # onnx, torch, or auto: the fastest that is validated
    shipped: str = "free"  # name of the shipped model to use if neither config nor archive is given

    @classmethod
    def of(cls, files: Sequence[Path], engine: str = "auto", device: str = "cpu") -> VisibilityRequest:
        """Make the request from the files after `--visibility`: no file, an archive, or a config and its weights.

        Raises:
            OptionError: the files are something else.
        """
        is_archive = [file.suffix == ENDING for file in files]
        if is_archive == [True]:
            return cls(model=files[0], engine=engine, device=device)
        if is_archive not in ([], [False, False]):
            given = " ".join(map(str, files))
            raise OptionError(f"--visibility {given}: give one model archive ({ENDING}), or a config and its weights")
        return cls(*files, engine=engine, device=device)


def parse_percent(text: str) -> float:
    """Read a share from a text such as "1.5 %" or "1.5%".

    Raises:
        OptionError: the text is no number with a per cent sign; without the sign 0.01 could mean 1 % or 0.01 %.
    """
    number = text.strip().removesuffix("%")
    try:
        if number != text.strip():
            return float(number) / 100
    except ValueError:
        pass
    raise OptionError(f"{text!r}: give per cent with the sign, such as 1.5%")


def parse_scales(scales: str | None, diameter: str | None) -> tuple[float, ...] | str | None:
    """Read scales such as "0.75,1.5" as numbers; `auto` and None stay as they are.

    Raises:
        OptionError: scales or diameter (such as "40nm") are malformed or out of range, or both say how to look.
    """
    if diameter is not None:
        if scales not in (None, "auto"):
            raise OptionError("--scales and --diameter both say at which scales to look; give one of them")
        try:
            pixels_across(diameter, PixelSize(1.0))
        except ValueError as cause:
            raise OptionError(f"--diameter: {cause}") from None
    if scales in (None, "auto"):
        return scales
    try:
        numbers = tuple(float(number) for number in scales.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not all(0 < number <= 8 for number in numbers):
        raise OptionError(f"--scales {scales}: give numbers above 0 and up to 8, such as 0.75,1.5, or auto")
    return numbers


@dataclass(frozen=True)
class ImageFile:
    r"""An image to measure.

    Tables and report show its `name`: the path below the folder that was given, or the file name. Parent folders are
    added until the name is unique. Bytes that are no text are written as \x….
    """

    path: Path
    name: str

    @property
    def key(self) -> str:
        """Stem of the files made for this image: unique, and legal on every file system."""
        plain = re.sub(r"[^\w.-]+", "_", str(Path(self.name).with_suffix("")))[-KEY_LENGTH:]
        plain = plain.encode()[-KEY_BYTES:].decode(errors="ignore")
        plain = re.sub(r"^(con|prn|aux|nul|com\d|lpt\d)\.", r"\1_", plain, flags=re.IGNORECASE)  # Windows' devices
        return f"{plain}-{hashlib.sha256(self.name.encode()).hexdigest()[:8]}"


def find_images(inputs: Sequence[str | Path], leave_out: Path) -> list[ImageFile]:
    """Return the image files that files, folders and patterns name, in the order given, each once.

    Args:
        inputs: files with any ending, folders, or patterns such as ``scan/**/*.tif``. Folders are searched to any
            depth, also for files in microscopes' own formats, so that reading them fails with the file's name.
        leave_out: the results folder, whose files are no input.

    Raises:
        InputError: a file or folder does not exist, a pattern matches nothing, or a folder holds no image.
    """
    found: dict[Path, tuple[Path, Path]] = {}  # resolved: path as given, and relative to what was given
    for given in inputs:
        for path, relative in _expand(str(given), leave_out):
            found.setdefault(path.resolve(), (path, relative))
    if not found:
        raise InputError("no image was given; name image files, folders or patterns")
    names = _distinct_names([(path, relative) for path, relative in found.values()])
    return [ImageFile(path, name) for (path, _), name in zip(found.values(), names, strict=True)]


def without_label_images(files: Sequence[ImageFile], folder: Path, suffix: str) -> list[ImageFile]:
    """Return the files that are images to measure, not label images.

    If some files lie outside `folder`, the folder of the label images, all files inside it are label images. If all
    lie inside, a label image is a file named like another file plus `suffix` ("": any of the usual suffixes).
    """
    root = folder.resolve()
    paths = {file: file.path.resolve() for file in files}
    outside = [file for file, path in paths.items() if not path.is_relative_to(root)]
    if outside:
        return outside
    stems = {(path.parent, path.stem) for path in paths.values()}
    return [
        file
        for file, path in paths.items()
        if not any((path.parent, stem) in stems for stem in picture_stems(path.stem, suffix) if stem != path.stem)
    ]


def _expand(given: str, leave_out: Path) -> Iterable[tuple[Path, Path]]:
    path = Path(given)
    if path.is_dir():
        foreign = [file for file in files_below(path, FOREIGN_ENDINGS, [leave_out]) if file.is_file()]
        try:
            files = ImageFolder(path, leave_out=[leave_out]).files
        except ExchangeError as cause:
            if not foreign:
                raise InputError(str(cause)) from None
            files = []
        exported = {file.with_suffix("") for file in files}
        files += [file for file in foreign if file.with_suffix("") not in exported]
        return [(file, file.relative_to(path)) for file in files]
    if path.exists():
        return [(path, Path(path.name))]
    matches = sorted(match for match in glob.glob(given, recursive=True) if Path(match).is_file())
    if not matches:
        pattern = "no file matches this pattern" if glob.has_magic(given) else "no such file or folder"
        raise InputError(f"{given}: {pattern}; check the path")
    return [(Path(match), Path(match).name) for match in matches]


def _distinct_names(files: Sequence[tuple[Path, Path]]) -> list[str]:
    """Name each file, with parent folders added until all names are distinct."""
    names = [Path(relative).as_posix() for _, relative in files]
    while len(counts := Counter(names)) < len(names):
        for number in [number for number, name in enumerate(names) if counts[name] > 1]:
            path = files[number][0].resolve()
            depth = len(Path(names[number]).parts) + 1
            names[number] = Path(*path.parts[-depth:]).as_posix()
    return [name.encode("utf-8", "backslashreplace").decode() for name in names]
