"""Outlines out of files: COCO, predictions, label images, ROI sets; each found again for the image that is measured."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
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
    misfit,
    read_coco,
    read_imagej,
    read_label_images,
    size_trouble,
)
from semsize.measuring.errors import InputError
from semsize.measuring.images import ImageFile
from semsize.measuring.outlines import Find, Frame, NoOutlinesError, Outlines, OutlineSource
from semsize.structures.files import file_sha256, read_json
from semsize.structures.masks import CroppedMasks
from semsize.structures.pixel_size import PixelSize
from semsize.structures.predictions import PredictionError, read_predictions


@dataclass(frozen=True)
class _MadeElsewhere:
    """Outlines that no network of ours has just found; looked up image by image.

    Attributes:
        images: image file to what the source says of it.
        record: what the source is.
        notes: what was odd in the source.
        doubts: image file to why its outlines cannot be told.
    """

    images: Mapping[Path, Any]
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

    def _known(self, path: Path, nothing: str) -> Any:
        """What the source says of an image; an error with the reason where that is nothing."""
        if path not in self.images:
            raise NoOutlinesError(f"{path}: {self.doubts.get(path, nothing)} in {self.record['path']}")
        return self.images[path]


class DrawnOutlines(_MadeElsewhere):
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
        masks = in_frame(drawn.masks[kept], frame, bottom)
        states = tuple(state for state, keep in zip(drawn.states, kept, strict=True) if keep)
        notes = list(account.lines(3))
        if drawn.ignored.any():
            notes.append(f"{int(drawn.ignored.sum())} regions marked to be ignored are not measured")
        stated, source = image.pixel_size_nm, f"{self.record['kind']} {self.record['path']}"
        size = None if stated is None else PixelSize(stated, source=source)
        return Outlines(masks, np.ones(len(masks), np.float32), masks.boxes, states, tuple(notes), size)


class PredictedOutlines(_MadeElsewhere):
    """Outlines of a `predictions.json`, with their scores, such as an earlier measurement left.

    `images` maps to the records of an image; none where it is known to have been looked at in vain.
    """

    def _of(self, frame: Frame) -> Outlines:
        path = frame.file.path
        records = self._known(path, "nothing of this image, nor that it was looked at,")
        if not records:
            masks, nothing = CroppedMasks.empty(frame.grey.shape), np.zeros(0, np.float32)
            return Outlines(masks, nothing, masks.boxes, (), (f"{self.record['path']} has no particle in this image",))
        shape, *others = {tuple(record["segmentation"]["size"]) for record in records}
        sizes = f"{shape} and {others[0]}" if others else misfit(shape, (frame.file_rows, frame.grey.shape[1]), path)
        if sizes is not None:
            raise NoOutlinesError(f"{path}: its outlines are of another size than the file has ({sizes})")
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


def outlines_from_coco(path: Path, files: Sequence[ImageFile], *, crowds_as_particles: bool = False) -> OutlineSource:
    """Outlines of a COCO file, or of a `predictions.json`.

    Of a COCO file, what it marks `iscrowd` is measured with `crowds_as_particles`.

    Raises:
        ExchangeError: it is neither.
    """
    is_predictions = isinstance(read_json(path, InputError), list)
    record = {"kind": "COCO file", "path": str(path), "sha256": file_sha256(path)}
    if is_predictions:
        return _predicted(path, _given(files), {**record, "kind": "predictions"})
    if crowds_as_particles:
        record["crowds"] = "particles"
    account = Account()
    return _drawn(read_coco(path, _given(files), account, crowds_as_particles=crowds_as_particles), record, account)


def outlines_from_labels(
    folder: Path, files: Sequence[ImageFile], *, suffix: str = "", binary: bool = False
) -> OutlineSource:
    """Outlines of label images, each of the name of its image; `suffix` and `binary` as in `read_label_images`.

    Raises:
        ExchangeError: there are none.
    """
    account = Account()
    read = read_label_images(_given(files), ImageFolder(folder), account, suffix=suffix, binary=binary)
    record = _folder_record("masks" if binary else "label images", folder)
    return _drawn(read, {**record, "suffix": suffix} if suffix else record, account)


def outlines_from_rois(folder: Path, files: Sequence[ImageFile]) -> OutlineSource:
    """Outlines of ImageJ's ROI sets, each of the name of its image; groups 1 to 5 and names carry states.

    Raises:
        ExchangeError: there are none.
    """
    account = Account()
    return _drawn(read_imagej(folder, _given(files), account), _folder_record("ImageJ ROI sets", folder), account)


def _given(files: Sequence[ImageFile]) -> ImageFolder:
    return ImageFolder.of_files([file.path for file in files], [file.name for file in files])


def _folder_record(kind: str, folder: Path) -> dict:
    """What a folder of outlines is; its SHA-256 is that of its files' names and SHA-256."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listing = "".join(f"{path.relative_to(folder).as_posix()} {file_sha256(path)}\n" for path in files)
    digest = hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()
    return {"kind": kind, "path": str(folder), "sha256": digest}


def _drawn(read: Iterable[SourceImage], record: dict, account: Account) -> DrawnOutlines:
    images, unused = {}, []
    for image in read:
        if image.trouble is None and image.path is not None:
            images[image.path] = image
        else:
            unused.append((image.trouble, tuple(path for path in (image.path, *image.candidates) if path is not None)))
    doubts, strangers = _doubts(unused, images)
    return DrawnOutlines(images, record, (*account.lines(3), *_strangers(strangers, record)), doubts)


def _doubts(
    unused: Iterable[tuple[str | None, Sequence[Path]]], images: Container[Path]
) -> tuple[dict[Path, str], int]:
    """Why images have no outlines, and how many of the source's images are none of those that are measured.

    `unused` has, of each image of the source, its trouble and the files that it may be of; `images` are served.
    """
    doubts, strangers = {}, 0
    for trouble, candidates in unused:
        without = [path for path in candidates if path not in images]
        strangers += not without
        for path in without:
            doubts.setdefault(path, f"{trouble},")
    return doubts, strangers


def _predicted(path: Path, images: ImageFolder, record: dict) -> PredictedOutlines:
    try:
        predictions = read_predictions(path)
    except PredictionError as cause:
        raise InputError(str(cause)) from None
    of_name, ids = defaultdict(dict), defaultdict(set)
    for prediction in predictions:
        of_name[prediction["image"]].setdefault(repr(sorted(prediction.items())), prediction)
        ids[prediction["image"]].add(prediction["image_id"])
    empty = _looked_at_in_vain(path)
    names, account = list(dict.fromkeys((*of_name, *empty))), Account()
    matches = images.match([Stated.in_text(name, path.parent) for name in names], account)
    groups, unused = {}, []
    for name, match in zip(names, matches, strict=True):
        trouble = match.trouble
        if len(ids[name]) > 1:
            trouble = trouble or f"outlines of {name} under the image ids {sorted(ids[name])}"
        if trouble is None and match.path is not None:
            groups[match.path] = list(of_name[name].values())
        else:
            unused.append((trouble, tuple(path for path in (match.path, *match.candidates) if path is not None)))
    doubts, strangers = _doubts(unused, groups)
    if not groups and not doubts:
        raise InputError(f"{path}: none of its images is among those given; check both")
    if doubled := len(predictions) - sum(map(len, of_name.values())):
        account.note("files with outlines written twice, each taken once", f"{path.name} ({doubled})")
    return PredictedOutlines(groups, record, (*account.lines(3), *_strangers(strangers, record)), doubts)


def _looked_at_in_vain(path: Path) -> list[str]:
    """Images in which the measurement that wrote a `predictions.json` found nothing: its `record.json` names them."""
    file = path.with_name("record.json")
    if path.name != "predictions.json" or not file.is_file():
        return []
    record = read_json(file, InputError)
    entries = record.get("images") if isinstance(record, Mapping) else None
    measured = filter(lambda entry: isinstance(entry, Mapping), entries if isinstance(entries, list) else ())
    return [str(entry["image"]) for entry in measured if entry.get("detections") == 0 and "image" in entry]


def _strangers(count: int, record: Mapping) -> list[str]:
    return [f"{count} images of {record['path']} are not among those measured"] if count else []
