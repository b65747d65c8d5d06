"""The folder of a measurement: its files, and the result of each image, from which a restart continues."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from semsize.exchange import short_name
from semsize.measuring.inputs import ImageFile, OutputError, RunOptions
from semsize.structures import prediction_entry
from semsize.structures.files import file_sha256, from_json, in_json, read_json, write_json
from semsize.structures.masks import CroppedMasks
from semsize.structures.parts import require_same_plan
from semsize.structures.pixel_size import PixelSize

PART_FORMAT = 2
"""Format of the files in parts/. Format 1 held pixel sizes, contrasts and counts, which depend on settings."""


class PartError(ValueError):
    """An image's result in parts/ cannot be read."""


@dataclass(frozen=True, eq=False)
class ImageResult:
    """The outlines of one image as their source gave them; nothing here depends on settings of the evaluation."""

    file: ImageFile
    sha256: str  # of the file
    file_shape: tuple[int, int]  # (H, W) of the file, data bars included
    top: int  # rows of the file above the frame
    frame_rows: int  # rows of the frame, which lies between the data bars
    rles: Sequence[Mapping[str, Any]]  # N masks at the size of the file; none is empty, all lie in the frame
    scores: np.ndarray  # (N,)
    boxes: np.ndarray  # (N, 4) xyxy px in the file
    states: tuple[str | None, ...]  # N states that the source of outlines gives, None where not known
    on_caption: np.ndarray  # (N,) bool: the mask touches a text or scale bar drawn into the picture
    caption_px: int  # pixels of texts and scale bars in the picture
    pixel_size: PixelSize | None  # as the source of outlines states it; None if it states none
    notes: tuple[str, ...]
    seconds: float  # time that finding the particles took
    scales: tuple[float, ...] = ()  # enlargements at which a detector looked; empty for drawn outlines
    seen: Mapping[str, np.ndarray] = field(default_factory=dict)  # `VISIBILITY_COLUMNS` to (N,); empty if not predicted
    whole_rles: Sequence[Mapping[str, Any]] = ()  # N predicted whole outlines; empty without a prediction

    @property
    def frame(self) -> tuple[int, int]:
        """First measured row of the file, and the row below the last one."""
        return self.top, self.top + self.frame_rows

    @cached_property
    def file_masks(self) -> CroppedMasks:
        """N masks at the size of the file."""
        return CroppedMasks.from_rles(self.rles, self.file_shape)

    @cached_property
    def masks(self) -> CroppedMasks:
        """N masks in the frame."""
        top, bottom = self.frame
        return self.file_masks.crop((0, top, self.file_shape[1], bottom))

    def counted(self, score: float) -> int:
        """Number of particles with at least this score."""
        return int((self.scores >= score).sum())

    def predictions(self, image_id: int) -> list[dict]:
        """Entries for `predictions.json`, with masks at the size of the file."""
        return [
            prediction_entry(image_id, self.file.name, box, score, rle)
            for box, score, rle in zip(self.boxes.tolist(), self.scores.tolist(), self.rles, strict=True)
        ]

    def to_part(self) -> dict[str, Any]:
        """Convert the result to JSON types, for a file in parts/."""
        part = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays = {name: value.tolist() for name, value in part.items() if isinstance(value, np.ndarray)}
        seen = {name: values.tolist() for name, values in self.seen.items()}
        part |= {"image": part.pop("file").name, "pixel_size": in_json(self.pixel_size), "seen": in_json(seen)}
        return part | arrays

    @classmethod
    def from_part(cls, file: ImageFile, data: Mapping[str, Any]) -> ImageResult:
        """Make the result from the output of `to_part`.

        Raises:
            PartError: `data` is something else.
        """
        try:
            data = {**data, "file": file}
            del data["image"]
            height, width = data["file_shape"]
            data |= {
                "file_shape": (height, width),
                "scores": np.array(data["scores"], np.float32),
                "boxes": np.array(data["boxes"], np.float32).reshape(-1, 4),
                "states": tuple(data["states"]),
                "on_caption": np.array(data["on_caption"], bool),
                "pixel_size": from_json(data["pixel_size"], PixelSize | None, "pixel_size"),
                "notes": tuple(data["notes"]),
                "scales": tuple(data.get("scales", ())),
                "seen": {name: np.array(values, np.float64) for name, values in data.get("seen", {}).items()},
            }
            result = cls(**data)
            masks = result.masks
            lengths = {len(masks), *(len(data[name]) for name in ("scores", "boxes", "states", "on_caption"))}
            lengths |= {len(values) for values in data["seen"].values()}
            lengths |= {len(result.whole_rles)} if result.whole_rles else set()
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as cause:
            raise PartError(f"{file.name}: its result is damaged ({cause!r})") from None
        if len(lengths) != 1 or masks.image_shape != (result.frame_rows, width):
            raise PartError(f"{file.name}: its result is damaged (particles or rows are missing)")
        return result


class ResultsFolder:
    """The folder of a measurement's results: paths and contents of its files."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.parts = self.path / "parts"
        self.overlays = self.path / "overlays"
        self.rois = self.path / "rois"

    def claim(self, settings: Mapping, *, alone: bool = True) -> None:
        """Make the folder, or continue the measurement that it holds.

        Args:
            settings: all that decides the outlines found in an image, as JSON types.
            alone: no other process writes to the folder now, so unfinished files are left-overs and are deleted.

        Raises:
            OutputError: the folder cannot be made, holds files of something else, or was measured with other settings.
        """
        settings = in_json({"format": PART_FORMAT, **settings})
        file = self.parts / "settings.json"

        def refusal(differing: str) -> OutputError:
            other = f"was begun with other settings ({differing}), which decide what is found"
            return OutputError(f"{self.path}: {other}; give the earlier settings, or another --out")

        require_same_plan(self.settings() if self._any_result() else None, settings, refusal)
        for unfinished in self.parts.glob(".*.part") if alone else ():
            unfinished.unlink(missing_ok=True)
        try:
            if not file.is_file() and any(path.is_file() for path in self.path.rglob("*")):
                raise OutputError(f"{self.path}: holds files that are no measurement's; give another --out")
            self.parts.mkdir(parents=True, exist_ok=True)
            write_json(file, settings, indent=2)
        except OSError as cause:
            raise _unwritable(self.path, cause) from None

    def settings(self) -> Mapping | None:
        """Read the settings that `claim` wrote; None if the folder holds no measurement.

        Raises:
            OutputError: another version wrote the folder, or the file is damaged.
        """
        if not self.is_claimed():
            return None
        kept = read_json(self.parts / "settings.json", OutputError)
        if not isinstance(kept, dict) or kept.get("format") != PART_FORMAT:
            other = "was measured by another version of this program, whose parts/ cannot be read"
            raise OutputError(f"{self.path}: {other}; measure again, with another --out")
        return kept

    def is_claimed(self) -> bool:
        """Whether the folder holds a measurement."""
        return (self.parts / "settings.json").is_file()

    def _any_result(self) -> bool:
        """Whether any image has a result; until then settings may change."""
        names = {path.name for path in self.parts.glob("*.json")} - {"settings.json"}
        return any(not name.endswith(".failed.json") for name in names)

    def left_from_before(self, options: RunOptions) -> list[str]:
        """Notes on files of an earlier start that this start does not write, and which may be of other settings."""
        written = {self.rois: options.rois, self.path / "particles.xlsx": options.xlsx}
        left = [path.name for path, anew in written.items() if path.exists() and not anew]
        return [f"{name} was not written anew: it is of an earlier start, maybe with other settings" for name in left]

    def part(self, file: ImageFile) -> Path:
        """Path of an image's result in parts/."""
        return self.parts / f"{file.key}.json"

    def roi_set(self, file: ImageFile) -> Path:
        """Path of an image's ROI set; a name too long is shortened in a way that still matches the image."""
        *folders, last = PurePosixPath(file.name.lstrip("/")).parts
        return self.rois.joinpath(*folders, f"{short_name(last)}.zip")

    def overlay(self, file: ImageFile) -> Path:
        """Path of an image's overlay."""
        return self.overlays / f"{file.key}.png"

    def failure(self, file: ImageFile) -> Path:
        """Path of the file that says why an image was left out."""
        return self.parts / f"{file.key}.failed.json"

    def write_result(self, result: ImageResult) -> None:
        """Write an image's result, and delete an earlier failure."""
        write_json(self.part(result.file), result.to_part())
        self.failure(result.file).unlink(missing_ok=True)

    def write_failure(self, file: ImageFile, message: str) -> None:
        """Write why an image was left out, and delete an earlier result; the next start tries the image again."""
        write_json(self.failure(file), {"image": file.name, "error": message})
        self.part(file).unlink(missing_ok=True)

    def read_result(self, file: ImageFile) -> ImageResult | None:
        """Read an image's result; None if there is none yet, or its file is damaged."""
        try:
            return ImageResult.from_part(file, read_json(self.part(file), PartError))
        except PartError:
            return None

    def read_current(self, file: ImageFile) -> ImageResult | None:
        """Read an image's result; None unless it is of the present contents of the image file."""
        result = self.read_result(file)
        try:
            return result if result is not None and result.sha256 == file_sha256(file.path) else None
        except OSError:
            return None

    def is_done(self, file: ImageFile) -> bool:
        """Whether the folder holds a result of the file's present contents, or a failure."""
        return self.failure(file).is_file() or self.read_current(file) is not None

    def read_failure(self, file: ImageFile) -> str | None:
        """Read why an image was left out; None if it was not."""
        path = self.failure(file)
        return read_json(path, OutputError)["error"] if path.is_file() else None


def _unwritable(path: Path, cause: OSError) -> OutputError:
    if cause.errno in (errno.EEXIST, errno.ENOTDIR):
        return OutputError(f"{path}: a file stands in the way of this folder; give another --out")
    return OutputError(f"{path}: cannot be made ({cause.strerror}); give another --out")
