"""Where outlines come from: a detector, or a file in which somebody drew them. Each is asked image by image."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from tio2.exchange import (
    Account,
    ImageFolder,
    SourceImage,
    annotated_masks,
    read_coco,
    read_imagej,
    read_label_images,
)
from tio2.measuring.errors import InputError
from tio2.measuring.images import ImageFile
from tio2.structures.json_files import read_json
from tio2.structures.masks import CroppedMasks
from tio2.structures.pixel_size import PixelSize
from tio2.structures.predictions import PredictionError, read_predictions
from tio2.structures.whole_files import file_sha256


class NoOutlinesError(ValueError):
    """An image of which the source of outlines knows nothing."""


@dataclass(frozen=True, eq=False)
class Frame:
    """An image as it is measured.

    Attributes:
        file: where it came from.
        grey: (H, W) float32 grey levels, data bars cut off.
        file_rows: rows of the file, data bars included.
        top: rows of the file above the frame.
    """

    file: ImageFile
    grey: np.ndarray
    file_rows: int
    top: int = 0

    @property
    def bottom(self) -> int:
        """Row of the file below the frame."""
        return self.top + len(self.grey)


@dataclass(frozen=True, eq=False)
class Outlines:
    """The particles of one image.

    Attributes:
        masks: N masks in the frame without data bar; in fewer rows where they were drawn on no more.
        scores: (N,) 0 to 1.
        boxes: (N, 4) xyxy, px; a detector's own, else those of the masks.
        states: N states, None where not known.
        notes: what is to be said about them.
        pixel_size: what their source says of the image; None where it says nothing.
    """

    masks: CroppedMasks
    scores: np.ndarray
    boxes: np.ndarray
    states: tuple[str | None, ...]
    notes: tuple[str, ...] = ()
    pixel_size: PixelSize | None = None


Find = Callable[[Sequence[Frame]], list[Outlines]]
"""Finds the particles of some frames."""


class OutlineSource(Protocol):
    """Where outlines come from; travels to other processes, and is opened there."""

    batch_size: int  # frames that are looked at together

    def open(self, processes: int) -> Find:
        """Make ready whatever is costly; `processes`: how many share this machine."""

    def as_record(self) -> dict:
        """What it is, in JSON's terms, with the SHA-256 of its files."""


@dataclass(frozen=True)
class DrawnOutlines:
    """Outlines that were drawn, corrected or found elsewhere.

    Attributes:
        images: image file to what its source says of it.
        record: what the source is.
        notes: what was odd in the source.
        doubts: image file to why its outlines cannot be used.
    """

    images: Mapping[Path, SourceImage]
    record: dict
    notes: tuple[str, ...] = ()
    doubts: Mapping[Path, str] = field(default_factory=dict)
    batch_size: int = 1

    def open(self, processes: int) -> Find:  # noqa: ARG002 - a detector asks for it
        """Nothing to make ready."""
        return lambda frames: [self._of(frame) for frame in frames]

    def as_record(self) -> dict:
        """What it is."""
        return self.record

    def _of(self, frame: Frame) -> Outlines:
        image = self.images.get(frame.file.path)
        if image is None:
            why = self.doubts.get(frame.file.path, f"no outlines for this image in {self.record['path']}")
            raise NoOutlinesError(f"{frame.file.path}: {why}")
        account = Account()
        drawn = annotated_masks(image, (frame.file_rows, frame.grey.shape[1]), account)
        kept = ~drawn.ignored
        bottom = frame.bottom if image.size is None else min(frame.bottom, image.size[0])
        masks = in_frame(drawn.masks[kept], frame, bottom)
        states = tuple(state for state, keep in zip(drawn.states, kept, strict=True) if keep)
        notes = list(account.lines(3))
        if drawn.ignored.any():
            notes.append(f"{int(drawn.ignored.sum())} regions marked to be ignored are not measured")
        scores, stated = np.ones(len(masks), np.float32), image.pixel_size_nm
        size = None if stated is None else PixelSize(stated, source=f"{self.record['kind']} {self.record['path']}")
        return Outlines(masks, scores, masks.boxes, states, tuple(notes), size)


@dataclass(frozen=True)
class PredictedOutlines:
    """Outlines of a `predictions.json`, with their scores, such as an earlier measurement left."""

    predictions: Mapping[Path, Sequence[Mapping]]
    record: dict
    notes: tuple[str, ...] = field(default=())
    batch_size: int = 1

    def open(self, processes: int) -> Find:  # noqa: ARG002 - a detector asks for it
        """Nothing to make ready."""
        return lambda frames: [self._of(frame) for frame in frames]

    def as_record(self) -> dict:
        """What it is."""
        return self.record

    def _of(self, frame: Frame) -> Outlines:
        records = self.predictions.get(frame.file.path)
        if records is None:
            masks, nothing = CroppedMasks.empty(frame.grey.shape), np.zeros(0, np.float32)
            return Outlines(masks, nothing, masks.boxes, (), (f"{self.record['path']} has no particle in this image",))
        shape = tuple(records[0]["segmentation"]["size"])
        if shape[1] != frame.grey.shape[1] or shape[0] > frame.file_rows:
            raise NoOutlinesError(
                f"{frame.file.path}: its outlines are of an image of {shape}, not of {frame.grey.shape}"
            )
        masks = CroppedMasks.from_rles([record["segmentation"] for record in records], shape)
        scores = np.array([record["score"] for record in records], np.float32)
        corners = np.array([record["bbox"] for record in records], np.float32).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        corners[:, 1::2] -= frame.top
        masks = in_frame(masks, frame, min(shape[0], frame.bottom))
        return Outlines(masks, scores, corners, (None,) * len(masks))


def in_frame(masks: CroppedMasks, frame: Frame, bottom: int) -> CroppedMasks:
    """Masks of a file, or of its upper rows, in the frame down to a row of the file; what lies in bars is cut off."""
    moved = ((crop, (row - frame.top, column)) for crop, (row, column) in masks)
    return CroppedMasks.from_crops(moved, (bottom - frame.top, frame.grey.shape[1]))


def outlines_from_coco(path: Path, files: Sequence[ImageFile]) -> OutlineSource:
    """Outlines of a COCO file, or of a `predictions.json`.

    Raises:
        ExchangeError: it is neither.
    """
    is_predictions = isinstance(read_json(path, InputError), list)
    record = {"kind": "COCO file", "path": str(path), "sha256": file_sha256(path)}
    images = ImageFolder.of_files([file.path for file in files])
    if is_predictions:
        return _predicted(path, images, files, {**record, "kind": "predictions"})
    account = Account()
    return _drawn(read_coco(path, images, account), record, account)


def outlines_from_labels(
    folder: Path, files: Sequence[ImageFile], *, suffix: str = "", binary: bool = False
) -> OutlineSource:
    """Outlines of label images, or of masks, each of the name of its image.

    Args:
        folder: that of the label images.
        files: the images to measure.
        suffix: end of the label images' names.
        binary: they are masks, whose connected pieces are the particles.

    Raises:
        ExchangeError: there are none.
    """
    account, images = Account(), ImageFolder.of_files([file.path for file in files])
    read = read_label_images(images, ImageFolder(folder), account, suffix=suffix, binary=binary)
    record = _folder_record("masks" if binary else "label images", folder)
    return _drawn(read, {**record, "suffix": suffix} if suffix else record, account)


def outlines_from_rois(folder: Path, files: Sequence[ImageFile]) -> OutlineSource:
    """Outlines of ImageJ's ROI sets, each of the name of its image; groups 1 to 5 and names carry states.

    Raises:
        ExchangeError: there are none.
    """
    account, images = Account(), ImageFolder.of_files([file.path for file in files])
    return _drawn(read_imagej(folder, images, account), _folder_record("ImageJ ROI sets", folder), account)


def _folder_record(kind: str, folder: Path) -> dict:
    """What a folder of outlines is; its SHA-256 is that of its files' names and SHA-256."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listing = "".join(f"{path.relative_to(folder).as_posix()} {file_sha256(path)}\n" for path in files)
    digest = hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()
    return {"kind": kind, "path": str(folder), "sha256": digest}


def _drawn(read: Iterable[SourceImage], record: dict, account: Account) -> DrawnOutlines:
    found = [image for image in read if image.path is not None]
    images = {image.path: image for image in found if image.trouble is None}
    doubts = {image.path: image.trouble for image in found if image.trouble is not None}
    return DrawnOutlines(images, record, tuple(account.lines(3)), doubts)


def _predicted(path: Path, images: ImageFolder, files: Sequence[ImageFile], record: dict) -> PredictedOutlines:
    try:
        predictions = read_predictions(path)
    except PredictionError as cause:
        raise InputError(str(cause)) from None
    by_name = {file.name: file.path for file in files}
    groups, strangers = defaultdict(list), set()
    for prediction in predictions:
        image = by_name.get(prediction["image"]) or images.find(prediction["image"])
        if image is None:
            strangers.add(prediction["image"])
        else:
            groups[image].append(prediction)
    if not groups:
        raise InputError(f"{path}: none of its images is among those given; check both")
    notes = [f"{len(strangers)} images of {path.name} are not among those measured"] if strangers else []
    return PredictedOutlines(dict(groups), record, tuple(notes))
