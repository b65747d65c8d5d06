"""The folder of a measurement: what stands in it, and what was found in single images, which a restart goes on from.

OUT/particles.csv, predictions.json, record.json, report.html, overlays/, rois/ are written at the end, each whole;
OUT/parts/ holds one file an image from the moment that it is looked at, with what was found in it and nothing that
other settings would change, and the settings of detection that all of them share.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from semsize.exchange import short_name
from semsize.measuring.errors import OutputError
from semsize.measuring.image_result import PART_FORMAT, ImageResult, PartError
from semsize.measuring.images import ImageFile
from semsize.measuring.settings import Wishes
from semsize.structures.files import file_sha256, read_json, write_json


class ResultsFolder:
    """Where a measurement's files go."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.parts = self.path / "parts"
        self.overlays = self.path / "overlays"
        self.rois = self.path / "rois"

    def claim(self, settings: Mapping, *, alone: bool = True) -> None:
        """Make the folder, or take up the measurement that stands in it.

        Args:
            settings: all that decides what is found in an image, in JSON's terms.
            alone: no other process writes here now, so that unfinished files are left-overs and are deleted.

        Raises:
            OutputError: it cannot be made, holds somebody else's files, or was measured with other settings.
        """
        settings = json.loads(json.dumps({"format": PART_FORMAT, **settings}))
        file = self.parts / "settings.json"
        before = read_json(file, OutputError) if file.is_file() and self._any_result() else settings
        if before.get("format") != PART_FORMAT:
            raise OutputError(
                f"{self.path}: was measured by another version of this program, whose parts/ cannot be read; give "
                "another --out"
            )
        if differing := _differences(before, settings):
            raise OutputError(
                f"{self.path}: was begun with other settings ({'; '.join(differing)}), and these decide what is found; "
                "give the former, or another --out"
            )
        for left in self.parts.glob(".*.part") if alone else ():
            left.unlink(missing_ok=True)
        try:
            if not file.is_file() and any(path.is_file() for path in self.path.rglob("*")):
                raise OutputError(f"{self.path}: holds files that are no measurement's; give another --out")
            self.parts.mkdir(parents=True, exist_ok=True)
            write_json(file, settings, indent=2)
        except OSError as cause:
            raise _unwritable(self.path, cause) from None

    def is_claimed(self) -> bool:
        """Whether a measurement stands in the folder."""
        return (self.parts / "settings.json").is_file()

    def _any_result(self) -> bool:
        """Whether any image has been measured; until then settings may change."""
        names = {path.name for path in self.parts.glob("*.json")} - {"settings.json"}
        return any(not name.endswith(".failed.json") for name in names)

    def left_from_before(self, wishes: Wishes) -> list[str]:
        """Which files of an earlier start this one leaves as they are; they may be of other settings."""
        left = [] if wishes.rois else [path for path in (self.rois,) if path.is_dir()]
        left += [] if wishes.xlsx else [path for path in (self.path / "particles.xlsx",) if path.is_file()]
        return [
            f"{path.name} was not written anew: it is of an earlier start, maybe with other settings" for path in left
        ]

    def part(self, file: ImageFile) -> Path:
        """Where an image's result stands."""
        return self.parts / f"{file.key}.json"

    def roi_set(self, file: ImageFile) -> Path:
        """Where its ROI set stands: too long a name is shortened so that the set is found again by the image's name."""
        *folders, last = PurePosixPath(file.name.lstrip("/")).parts
        return self.rois.joinpath(*folders, f"{short_name(last)}.zip")

    def failure(self, file: ImageFile) -> Path:
        """Where it stands why an image was left out."""
        return self.parts / f"{file.key}.failed.json"

    def write_result(self, result: ImageResult) -> None:
        """Keep an image's result."""
        write_json(self.part(result.file), result.as_json())
        self.failure(result.file).unlink(missing_ok=True)

    def write_failure(self, file: ImageFile, message: str) -> None:
        """Keep why an image was left out; the next start tries it again."""
        write_json(self.failure(file), {"image": file.name, "error": message})
        self.part(file).unlink(missing_ok=True)

    def read_result(self, file: ImageFile) -> ImageResult | None:
        """An image's result; None where it is not measured yet, or the file is damaged."""
        try:
            return ImageResult.from_json(file, read_json(self.part(file), PartError))
        except PartError:
            return None

    def read_current(self, file: ImageFile) -> ImageResult | None:
        """An image's result, if it is of the file's present contents."""
        result = self.read_result(file)
        try:
            return result if result is not None and result.sha256 == file_sha256(file.path) else None
        except OSError:
            return None

    def is_done(self, file: ImageFile) -> bool:
        """Whether a result of the file as it is now stands here, or why there is none."""
        return self.failure(file).is_file() or self.read_current(file) is not None

    def read_failure(self, file: ImageFile) -> str | None:
        """Why an image was left out; None if it was not."""
        path = self.failure(file)
        return read_json(path, OutputError)["error"] if path.is_file() else None


def _differences(before: Mapping, now: Mapping) -> list[str]:
    def flat(record: Mapping, place: str = "") -> dict:
        pairs = {}
        for key, value in record.items():
            name = f"{place}{key}"
            pairs |= flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
        return pairs

    old, new = flat(before), flat(now)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return [f"{name}: {old.get(name)}, now {new.get(name)}" for name in names[:3]]


def _unwritable(path: Path, cause: OSError) -> OutputError:
    if cause.errno in (errno.EEXIST, errno.ENOTDIR):
        return OutputError(f"{path}: a file stands in the way of this folder; give another --out")
    return OutputError(f"{path}: cannot be made ({cause.strerror}); give another --out")
