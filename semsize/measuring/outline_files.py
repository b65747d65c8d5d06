"""Sources of outlines made elsewhere: COCO files, label images, ROI sets, `predictions.json`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from semsize.exchange import (
    Account,
    ImageFolder,
    SourceImage,
    Stated,
    annotated_masks,
    meaning_of,
    misfit,
    read_coco,
    read_imagej,
    read_label_images,
    size_trouble,
)
from semsize.measuring.inputs import ImageFile, InputError
from semsize.measuring.outlines import Find, Frame, NoOutlinesError, Outlines, OutlineSource
from semsize.structures import PredictionError, read_predictions
from semsize.structures.files import file_sha256, files_sha256, read_json
from semsize.structures.masks import CroppedMasks
from semsize.structures.pixel_size import PixelSize


@dataclass(frozen=True)
class _OutlineFiles:
    """Outlines from files, looked up image by image."""

    images: Mapping[Path, Any]  # image file to its outlines, of a type that the subclass names
    record: dict  # entry of the source in the record
    notes: tuple[str, ...] = ()  # oddities of the source
    reasons: Mapping[Path, str] = field(default_factory=dict)  # image file to why its outlines are not used
    rows: Mapping[Path, tuple[int, int]] = field(default_factory=dict)  # image file to its `rows_of`, if known

    def rows_of(self, file: ImageFile) -> tuple[int, int] | None:
        """The rows of an image in which its outlines were made, see `FramedSource`."""
        return self.rows.get(file.path)

    def open(self, processes: int) -> Find:  # noqa: ARG002 - a detector needs it
        """Return the function that looks up the outlines of an image; nothing is loaded."""
        return self._of

    def as_record(self) -> dict:
        """The source's entry in the record, with the SHA-256 of its files."""
        return self.record

    def _known(self, path: Path, unknown: str) -> Any:
        if path not in self.images:
            raise NoOutlinesError(f"{path}: {self.reasons.get(path, unknown)} in {self.record['path']}")
        return self.images[path]


class DrawnOutlines(_OutlineFiles):
    """Outlines drawn, corrected or found elsewhere; the values of `images` are `SourceImage`."""

    def _of(self, frame: Frame) -> Outlines:
        path, shape = frame.file.path, (frame.file_rows, frame.grey.shape[1])
        image, account = self._known(path, "no outlines for this image"), Account()
        above = 0 if image.size is None else _rows_above(image.size[0], frame)
        if (sizes := size_trouble(image, shape, account, above)) is not None:
            raise NoOutlinesError(f"{path}: annotated at another size than the file has ({sizes})")
        drawn = annotated_masks(image, shape, account)
        if drawn.lost and not len(drawn):
            why = "; ".join(dict.fromkeys((*image.unread, *account.faults)))
            raise NoOutlinesError(f"{path}: none of its {drawn.lost} outlines can be used ({why})")
        kept = ~drawn.ignored
        bottom = frame.bottom if image.size is None else min(frame.bottom, above + image.size[0])
        masks = _in_frame(drawn.masks[kept], frame, bottom, above)
        states = tuple(state for state, keep in zip(drawn.states, kept, strict=True) if keep)
        notes = list(account.lines(3))
        if drawn.ignored.any():
            notes.append(f"{int(drawn.ignored.sum())} regions marked to be ignored are not measured")
        stated, source = image.pixel_size_nm, f"{self.record['kind']} {self.record['path']}"
        size = None if stated is None else PixelSize(stated, source=source)
        return Outlines(masks, np.ones(len(masks), np.float32), masks.boxes, states, tuple(notes), size)


class PredictedOutlines(_OutlineFiles):
    """Outlines and scores of a `predictions.json`, which a measurement or a test wrote.

    The values of `images` are lists of predictions; a list is empty if an earlier measurement found no particle.
    """

    def _of(self, frame: Frame) -> Outlines:
        path = frame.file.path
        found = self._known(path, "no outlines of this image, nor a record that it was measured,")
        if not found:
            masks, scores = CroppedMasks.empty(frame.grey.shape), np.zeros(0, np.float32)
            return Outlines(masks, scores, masks.boxes, (), (f"{self.record['path']} has no particle in this image",))
        shape, *others = {tuple(prediction["segmentation"]["size"]) for prediction in found}
        sizes = f"{shape} and {others[0]}" if others else misfit(shape, (frame.file_rows, frame.grey.shape[1]), path)
        if sizes is not None:
            raise NoOutlinesError(f"{path}: its outlines are of another size than the file has ({sizes})")
        masks = CroppedMasks.from_rles([prediction["segmentation"] for prediction in found], shape)
        scores = np.array([prediction["score"] for prediction in found], np.float32)
        corners = np.array([prediction["bbox"] for prediction in found], np.float32).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        corners[:, 1::2] -= frame.top
        masks = _in_frame(masks, frame, min(shape[0], frame.bottom))
        return Outlines(masks, scores, corners, (None,) * len(masks))


def _rows_above(drawn_rows: int, frame: Frame) -> int:
    """Return how many rows of the file lie above the rows that were annotated, judged by the data bars.

    Raises:
        NoOutlinesError: a bar lies above the frame, and the number of annotated rows fits several positions or none.
    """
    missing, below = frame.file_rows - drawn_rows, frame.file_rows - frame.bottom
    if missing <= 0 or frame.top == 0 or (missing == below and below != frame.top):
        return 0
    if missing in (frame.top, frame.top + below) and below != frame.top:
        return frame.top
    raise NoOutlinesError(
        f"{frame.file.path}: annotated on {drawn_rows} of its {frame.file_rows} rows, and its data bars have "
        f"{frame.top} rows above and {below} below: which rows were annotated is not known; annotate the whole file"
    )


def _in_frame(masks: CroppedMasks, frame: Frame, bottom: int, above: int = 0) -> CroppedMasks:
    """Move masks from the file, or its rows from `above` on, to the frame, and cut them off at row `bottom`."""
    moved = ((crop, (row + above - frame.top, column)) for crop, (row, column) in masks)
    return CroppedMasks.from_crops(moved, (bottom - frame.top, frame.grey.shape[1]))


def outlines_from_coco(path: Path, files: Sequence[ImageFile], *, crowds_as_particles: bool = False) -> OutlineSource:
    """Read the outlines of a COCO file or of a `predictions.json`.

    Particles that a COCO file marks `iscrowd` are measured only with `crowds_as_particles`.

    Raises:
        ExchangeError: the file is neither.
    """
    is_predictions = isinstance(read_json(path, InputError), list)
    record = {"kind": "COCO file", "path": str(path), "sha256": file_sha256(path)}
    if is_predictions:
        return _predicted(path, files, {**record, "kind": "predictions"})
    if crowds_as_particles:
        record["crowds"] = "particles"
    account = Account()
    images = read_coco(path, _image_folder(files), account, crowds_as_particles=crowds_as_particles)
    return _drawn(images, record, _said_beside(path, account), _rows_beside(path, files))


def outlines_from_labels(
    folder: Path, files: Sequence[ImageFile], *, suffix: str = "", binary: bool = False
) -> OutlineSource:
    """Read the outlines of label images, paired with images by name; raises what `read_label_images` raises."""
    account = Account()
    read = read_label_images(_image_folder(files), ImageFolder(folder), account, suffix=suffix, binary=binary)
    record = _folder_record("masks" if binary else "label images", folder)
    return _drawn(read, {**record, "suffix": suffix} if suffix else record, account)


def outlines_from_rois(folder: Path, files: Sequence[ImageFile]) -> OutlineSource:
    """Read the outlines of ImageJ's ROI sets, paired with images by name; raises what `read_imagej` raises."""
    account = Account()
    images = read_imagej(folder, _image_folder(files), account)
    return _drawn(
        images, _folder_record("ImageJ ROI sets", folder), _said_beside(folder, account), _rows_beside(folder, files)
    )


READERS = {"coco": outlines_from_coco, "labels": outlines_from_labels, "rois": outlines_from_rois}  # by --from-…


def _image_folder(files: Sequence[ImageFile]) -> ImageFolder:
    return ImageFolder.of_files([file.path for file in files], [file.name for file in files])


def _folder_record(kind: str, folder: Path) -> dict:
    """The record's entry of a folder of outlines; the SHA-256 is over names and SHA-256 of its files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digest = files_sha256((path.relative_to(folder).as_posix(), path) for path in files)
    return {"kind": kind, "path": str(folder), "sha256": digest}


def _drawn(
    read: Iterable[SourceImage], record: dict, account: Account, rows: Mapping[Path, tuple[int, int]] | None = None
) -> DrawnOutlines:
    images = list(read)
    labels = Counter(of.label for image in images for of in image.particles if meaning_of(of.label, {}) is None)
    if len(labels) > 1:
        counts = ", ".join(f"{label or 'no label'} ({count})" for label, count in labels.most_common())
        account.note("labels that name no state: all outlines are measured as particles", counts)
    entries = [(image.path, image.trouble, image.candidates, image) for image in images]
    return DrawnOutlines(*_by_file(entries, record, account), rows or {})


def _predicted(path: Path, files: Sequence[ImageFile], record: dict) -> PredictedOutlines:
    try:
        predictions = read_predictions(path)
    except PredictionError as cause:
        raise InputError(str(cause)) from None
    of_name, ids = defaultdict(dict), defaultdict(set)
    for prediction in predictions:
        of_name[prediction["image"]].setdefault(repr(sorted(prediction.items())), prediction)
        ids[prediction["image"]].add(prediction["image_id"])
    names, account = list(dict.fromkeys((*of_name, *_images_without_particles(path)))), Account()
    matches = _image_folder(files).match([Stated.in_text(name, path.parent) for name in names], account)
    several = {name: f"outlines of {name} under the image ids {sorted(of)}" for name, of in ids.items() if len(of) > 1}
    entries = [
        (match.path, match.trouble or several.get(name), match.candidates, list(of_name[name].values()))
        for name, match in zip(names, matches, strict=True)
    ]
    if doubled := len(predictions) - sum(map(len, of_name.values())):
        account.note("files with outlines written twice, each taken once", f"{path.name} ({doubled})")
    source = PredictedOutlines(*_by_file(entries, record, _said_beside(path, account)), _rows_beside(path, files))
    if not source.images and not source.reasons:
        raise InputError(f"{path}: none of its images is among those given; check both")
    return source


def _by_file(
    entries: Iterable[tuple[Path | None, str | None, Sequence[Path], Any]], record: dict, account: Account
) -> tuple[dict[Path, Any], dict, tuple[str, ...], dict[Path, str]]:
    """Return the first four fields of `_OutlineFiles`.

    Args:
        entries: for each image its file, why its outlines must not be used, other files that it may be, and outlines.
        record: entry of the source in the record.
        account: what was odd while the source was read.
    """
    images, unused, reasons, unmeasured = {}, [], {}, 0
    for path, trouble, candidates, outlines in entries:
        if trouble is None and path is not None:
            images[path] = outlines
        else:
            unused.append((trouble, [file for file in (path, *candidates) if file is not None]))
    for trouble, files in unused:
        without = [file for file in files if file not in images]
        unmeasured += not without
        for file in without:
            reasons.setdefault(file, f"{trouble},")
    notes = [f"{unmeasured} images of {record['path']} are not among those measured"] if unmeasured else []
    return images, record, (*account.lines(3), *notes), reasons


def _images_without_particles(path: Path) -> list[str]:
    """Names of the images without detections, from the `record.json` beside a `predictions.json`."""
    return [
        str(entry["image"]) for entry in _measured_beside(path) if entry.get("detections") == 0 and "image" in entry
    ]


def _rows_beside(path: Path, files: Sequence[ImageFile]) -> dict[Path, tuple[int, int]]:
    """Rows of each image that an earlier measurement looked at, from the `record.json` beside its outlines."""
    rows = {}
    for entry in _measured_beside(path):
        top, count = entry.get("top"), entry.get("frame_rows")
        if type(top) is int and type(count) is int:
            rows[entry.get("sha256")] = top, top + count
    digests = {file.path: file_sha256(file.path) for file in files} if rows else {}
    return {file: rows[digest] for file, digest in digests.items() if digest in rows}


def _said_beside(path: Path, account: Account) -> Account:
    """Note in the account the pixel size and calibration declared in the `record.json` beside outlines; return it."""
    settings = _record_beside(path).get("settings")
    size = settings.get("pixel_size") if isinstance(settings, Mapping) else None
    factor = settings.get("calibration_factor", 1.0) if isinstance(settings, Mapping) else 1.0
    if isinstance(size, Mapping):
        account.note(
            "the measurement of these outlines declared a pixel size: give --pixel-size", f"{size.get('value_nm')} nm"
        )
    if factor != 1.0:
        account.note("the measurement of these outlines was calibrated: give --calibration-factor", f"{factor}")
    return account


def _measured_beside(path: Path) -> list[Mapping]:
    """Entries of the images in the `record.json` beside outlines that a measurement or the correction page wrote."""
    entries = _record_beside(path).get("images")
    return [entry for entry in (entries if isinstance(entries, list) else ()) if isinstance(entry, Mapping)]


def _record_beside(path: Path) -> Mapping:
    file = path.with_name("record.json")
    if path.name not in ("predictions.json", "corrections.json", "rois") or not file.is_file():
        return {}
    record = read_json(file, InputError)
    return record if isinstance(record, Mapping) else {}
