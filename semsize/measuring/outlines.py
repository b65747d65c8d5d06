"""Where outlines come from: an installed detector, or files of outlines; a source is asked image by image."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from semsize.detecting.looking import Look
from semsize.exchange import (
    Account,
    ImageFolder,
    SourceImage,
    Stated,
    annotated_masks,
    misfit,
    read_coco,
    read_imagej,
    read_label_images,
    size_trouble,
)
from semsize.measuring.inputs import ImageFile, InputError
from semsize.structures import PredictionError, read_predictions
from semsize.structures.files import file_sha256, read_json
from semsize.structures.masks import CroppedMasks, Placed
from semsize.structures.pixel_size import PixelSize


class NoOutlinesError(ValueError):
    """The source of outlines has none for an image."""


@dataclass(frozen=True, eq=False)
class Frame:
    """An image as it is measured, without data bars."""

    file: ImageFile
    grey: np.ndarray  # (H, W) float32 grey levels
    file_rows: int  # rows of the file, data bars included
    top: int = 0  # rows of the file above the frame
    pixel_size: PixelSize | None = None  # that the file states or the user declares, calibrated

    @property
    def bottom(self) -> int:
        """Row of the file below the frame."""
        return self.top + len(self.grey)


@dataclass(frozen=True, eq=False)
class Outlines:
    """The particles of one image."""

    masks: CroppedMasks  # N masks in the frame; in fewer rows where they were drawn on no more
    scores: np.ndarray  # (N,) 0 to 1
    boxes: np.ndarray  # (N, 4) xyxy, px; a detector's own, else those of the masks
    states: tuple[str | None, ...]  # N states, None where not known
    notes: tuple[str, ...] = ()
    pixel_size: PixelSize | None = None  # what the source says of the image; None where it says nothing
    scales: tuple[float, ...] = ()  # enlargements at which the image was looked at; none where they were drawn
    seen: Mapping[str, np.ndarray] = field(default_factory=dict)  # `SEEN_COLUMNS` to (N,); empty without a prediction
    whole: CroppedMasks | None = None  # N whole outlines in the frame, of a prediction

    def without_empty(self) -> Outlines:
        """Those that have a pixel; a note counts the others."""
        kept = np.flatnonzero(self.masks.areas)
        if len(kept) == len(self.masks):
            return self
        note = f"{len(self.masks) - len(kept)} outlines without a pixel in the frame are not measured"
        arrays = {name: getattr(self, name)[kept] for name in ("masks", "scores", "boxes")}
        return replace(self, **arrays, states=tuple(self.states[n] for n in kept), notes=(*self.notes, note))

    @classmethod
    def of_look(cls, found: Look) -> Outlines:
        """What an engine found in an image; it gives no states."""
        states = (None,) * len(found.masks)
        return cls(found.masks, found.scores, found.boxes, states, found.notes, scales=found.scales)


Find = Callable[[Frame], Outlines]
"""Finds the particles of a frame; `NoOutlinesError` where the source has none for it."""

FillBox = Callable[[np.ndarray, Sequence[float]], Placed]
"""Draws the particle in a box x1, y1, x2, y2 of grey levels (H, W); an empty crop where it sees none."""


class OutlineSource(Protocol):
    """Where outlines come from; other processes get a pickle of it and open it."""

    def open(self, processes: int) -> Find:
        """Make ready whatever is costly; `processes`: how many share this machine."""

    def as_record(self) -> dict:
        """What it is, in JSON's terms, with the SHA-256 of its files."""


@runtime_checkable
class BoxSource(Protocol):
    """A source of outlines that can also draw the one in a box; other sources lack the method."""

    def open_boxes(self) -> FillBox:
        """Make ready whatever is costly."""


@dataclass(frozen=True)
class _OutlineFiles:
    """Outlines from files, looked up image by image."""

    images: Mapping[Path, Any]  # image file to what the source says of it
    record: dict  # what the source is
    notes: tuple[str, ...] = ()  # what was odd in the source
    reasons: Mapping[Path, str] = field(default_factory=dict)  # image file to why its outlines are not used

    def open(self, processes: int) -> Find:  # noqa: ARG002 - a detector asks for it
        """Nothing to make ready."""
        return self._of

    def as_record(self) -> dict:
        """What it is."""
        return self.record

    def _known(self, path: Path, unknown: str) -> Any:
        if path not in self.images:
            raise NoOutlinesError(f"{path}: {self.reasons.get(path, unknown)} in {self.record['path']}")
        return self.images[path]


class DrawnOutlines(_OutlineFiles):
    """Outlines that were drawn, corrected or found elsewhere; `images` maps to `SourceImage`."""

    def _of(self, frame: Frame) -> Outlines:
        path, shape = frame.file.path, (frame.file_rows, frame.grey.shape[1])
        image, account = self._known(path, "no outlines for this image"), Account()
        if (sizes := size_trouble(image, shape, account)) is not None:
            raise NoOutlinesError(f"{path}: annotated at another size than the file has ({sizes})")
        drawn = annotated_masks(image, shape, account)
        if drawn.lost and not len(drawn):
            why = "; ".join(dict.fromkeys((*image.unread, *account.places)))
            raise NoOutlinesError(f"{path}: none of its {drawn.lost} outlines can be used ({why})")
        kept = ~drawn.ignored
        bottom = frame.bottom if image.size is None else min(frame.bottom, image.size[0])
        masks = _in_frame(drawn.masks[kept], frame, bottom)
        states = tuple(state for state, keep in zip(drawn.states, kept, strict=True) if keep)
        notes = list(account.lines(3))
        if drawn.ignored.any():
            notes.append(f"{int(drawn.ignored.sum())} regions marked to be ignored are not measured")
        stated, source = image.pixel_size_nm, f"{self.record['kind']} {self.record['path']}"
        size = None if stated is None else PixelSize(stated, source=source)
        return Outlines(masks, np.ones(len(masks), np.float32), masks.boxes, states, tuple(notes), size)


class PredictedOutlines(_OutlineFiles):
    """Outlines of a `predictions.json`, with their scores, such as an earlier measurement left.

    `images` maps to the predictions of an image; none where an earlier measurement found nothing in it.
    """

    def _of(self, frame: Frame) -> Outlines:
        path = frame.file.path
        found = self._known(path, "nothing of this image, nor that it was looked at,")
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


def _in_frame(masks: CroppedMasks, frame: Frame, bottom: int) -> CroppedMasks:
    """Masks of a file, or of its upper rows, in the frame down to a row of the file; data bars are cut off."""
    moved = ((crop, (row - frame.top, column)) for crop, (row, column) in masks)
    return CroppedMasks.from_crops(moved, (bottom - frame.top, frame.grey.shape[1]))


def outlines_from_coco(path: Path, files: Sequence[ImageFile], *, crowds_as_particles: bool = False) -> OutlineSource:
    """Outlines of a COCO file, or of a `predictions.json`.

    Particles that a COCO file marks `iscrowd` are measured only with `crowds_as_particles`.

    Raises:
        ExchangeError: it is neither.
    """
    is_predictions = isinstance(read_json(path, InputError), list)
    record = {"kind": "COCO file", "path": str(path), "sha256": file_sha256(path)}
    if is_predictions:
        return _predicted(path, _image_folder(files), {**record, "kind": "predictions"})
    if crowds_as_particles:
        record["crowds"] = "particles"
    account = Account()
    images = read_coco(path, _image_folder(files), account, crowds_as_particles=crowds_as_particles)
    return _drawn(images, record, account)


def outlines_from_labels(
    folder: Path, files: Sequence[ImageFile], *, suffix: str = "", binary: bool = False
) -> OutlineSource:
    """Outlines of label images, each of the name of its image, as in `read_label_images`; raises as that."""
    account = Account()
    read = read_label_images(_image_folder(files), ImageFolder(folder), account, suffix=suffix, binary=binary)
    record = _folder_record("masks" if binary else "label images", folder)
    return _drawn(read, {**record, "suffix": suffix} if suffix else record, account)


def outlines_from_rois(folder: Path, files: Sequence[ImageFile]) -> OutlineSource:
    """Outlines of ImageJ's ROI sets, each of the name of its image, as in `read_imagej`; raises as that."""
    account = Account()
    images = read_imagej(folder, _image_folder(files), account)
    return _drawn(images, _folder_record("ImageJ ROI sets", folder), account)


READERS = {"coco": outlines_from_coco, "labels": outlines_from_labels, "rois": outlines_from_rois}  # of --from-coco …


def _image_folder(files: Sequence[ImageFile]) -> ImageFolder:
    return ImageFolder.of_files([file.path for file in files], [file.name for file in files])


def _folder_record(kind: str, folder: Path) -> dict:
    """What a folder of outlines is; its SHA-256 is that of its files' names and SHA-256."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listing = "".join(f"{path.relative_to(folder).as_posix()} {file_sha256(path)}\n" for path in files)
    digest = hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()
    return {"kind": kind, "path": str(folder), "sha256": digest}


def _drawn(read: Iterable[SourceImage], record: dict, account: Account) -> DrawnOutlines:
    entries = ((image.path, image.trouble, image.candidates, image) for image in read)
    return DrawnOutlines(*_by_file(entries, record, account))


def _predicted(path: Path, images: ImageFolder, record: dict) -> PredictedOutlines:
    try:
        predictions = read_predictions(path)
    except PredictionError as cause:
        raise InputError(str(cause)) from None
    of_name, ids = defaultdict(dict), defaultdict(set)
    for prediction in predictions:
        of_name[prediction["image"]].setdefault(repr(sorted(prediction.items())), prediction)
        ids[prediction["image"]].add(prediction["image_id"])
    names, account = list(dict.fromkeys((*of_name, *_images_without_particles(path)))), Account()
    matches = images.match([Stated.in_text(name, path.parent) for name in names], account)
    several = {name: f"outlines of {name} under the image ids {sorted(of)}" for name, of in ids.items() if len(of) > 1}
    entries = [
        (match.path, match.trouble or several.get(name), match.candidates, list(of_name[name].values()))
        for name, match in zip(names, matches, strict=True)
    ]
    if doubled := len(predictions) - sum(map(len, of_name.values())):
        account.note("files with outlines written twice, each taken once", f"{path.name} ({doubled})")
    source = PredictedOutlines(*_by_file(entries, record, account))
    if not source.images and not source.reasons:
        raise InputError(f"{path}: none of its images is among those given; check both")
    return source


def _by_file(
    entries: Iterable[tuple[Path | None, str | None, Sequence[Path], Any]], record: dict, account: Account
) -> tuple[dict[Path, Any], dict, tuple[str, ...], dict[Path, str]]:
    """The fields of a source of outlines from what it says of each image.

    Args:
        entries: file of an image, trouble that forbids to use its outlines, other files that it may be, and outlines.
        record: what the source is.
        account: of its reading.
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
    """Images in which the measurement that wrote a `predictions.json` found nothing: its `record.json` names them."""
    file = path.with_name("record.json")
    if path.name != "predictions.json" or not file.is_file():
        return []
    record = read_json(file, InputError)
    entries = record.get("images") if isinstance(record, Mapping) else None
    measured = filter(lambda entry: isinstance(entry, Mapping), entries if isinstance(entries, list) else ())
    return [str(entry["image"]) for entry in measured if entry.get("detections") == 0 and "image" in entry]
