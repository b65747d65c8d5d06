"""Corrected images as a data set to train on, some of them kept back; results folders are not trusted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from semsize.correcting.operations import Corrections
from semsize.correcting.results import CorrectedResults
from semsize.correcting.shapes import CorrectionError
from semsize.exchange.conversion import ConvertedImage
from semsize.exchange.writing import split_by_share, split_table, write_dataset
from semsize.measuring.results_folder import ImageResult
from semsize.structures.files import file_sha256

KEPT_BACK = 0.25
"""Share of the images, at least one, that are kept back from training to judge the model."""


@dataclass(frozen=True)
class CorrectedImages:
    """Images that somebody corrected, with all outlines that count.

    Attributes:
        images: N different pictures; their files hold the grey levels that were measured.
        untouched: name of an image → number of its outlines that are as a model found them.
        notes: on the images and outlines that are left out.
    """

    images: tuple[ConvertedImage, ...]
    untouched: dict[str, int]
    notes: tuple[str, ...]


def corrected_images(folders: Sequence[str | Path], roots: Sequence[str | Path], pictures: Path) -> CorrectedImages:
    """Read the corrected images of some folders of results.

    Args:
        folders: each of a measurement, as `semsize correct` left it.
        roots: folders below which image files may lie.
        pictures: an empty folder, for the images as they were measured: PNG of the rows between the data bars, of whole
            grey levels (fractions of 16-bit levels are rounded).

    Raises:
        CorrectionError: a folder, log or image file cannot be used, two corrected images have the same grey levels or
            the same name, or no image was corrected.
    """
    images, untouched, origins, notes = [], {}, {}, []
    for folder in map(Path, folders):
        results = CorrectedResults(folder, roots)
        for image in results.images:
            name = image.file.name if len(folders) == 1 else f"{folder.name}/{image.file.name}"
            detected = results.detected(image)
            corrections = results.corrected(image, detected)
            if not corrections.done:
                notes.append(f"{name}: left out, nothing in it was corrected")
                continue
            grey = results.grey(image)[slice(*detected.frame)]
            path = pictures / f"{len(images)}.png"
            path.write_bytes(cv2.imencode(".png", grey)[1].tobytes())
            origin = f"{image.file.name} of {folder}"
            if (before := origins.setdefault(file_sha256(path), origin)) != origin:
                remedy = "leave a folder out, or undo the corrections of one"
                raise CorrectionError(f"{origin} and {before} are the same picture; {remedy}")
            counted = results.counted(corrections, detected.scores)
            particles = _in_frame(corrections, counted, detected)
            if lost := len(counted) - len(particles):
                notes.append(f"{name}: {lost} outlines left out, no pixel of them lies between the data bars")
            untouched[name] = _as_found(results, corrections, detected, particles)
            nm = results.stated_nm(image)
            images.append(ConvertedImage(path, name, grey.shape, nm, None, tuple(particles.values())))
    if not images:
        raise CorrectionError(f"no image of {', '.join(map(str, folders))} was corrected; correct some first")
    names = [image.name for image in images]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise CorrectionError(f"two images are called {min(doubled)}; rename one of the folders of results")
    return CorrectedImages(tuple(images), untouched, tuple(notes))


def _in_frame(corrections: Corrections, numbers: Sequence[int], detected: ImageResult) -> dict[int, dict[str, Any]]:
    """Id → particle for `ConvertedImage`, of each outline with a pixel in the measured frame, cropped to it."""
    top, bottom = detected.frame
    masks = corrections.masks(numbers).crop((0, top, detected.file_shape[1], bottom))
    return {
        number: {"rle": rle, "state": corrections.outlines[number].state, "source_state": None, "iscrowd": 0}
        for number, rle, area in zip(numbers, masks.to_rles(), masks.areas, strict=True)
        if area
    }


def _as_found(
    results: CorrectedResults, corrections: Corrections, detected: ImageResult, numbers: Iterable[int]
) -> int:
    """Number of outlines as a model found them: untouched and, if people drew the outlines, with a score below 1."""
    untouched = [number for number in numbers if number not in corrections.touched()]
    return sum(not results.record.is_drawn or float(detected.scores[number - 1]) < 1 for number in untouched)


def write_training_set(out: Path, corrected: CorrectedImages, seed: int) -> dict[str, list[str]]:
    """Write a data set as the converters do; `val` is kept back, and a single image goes to `train`.

    Args:
        out: the folder of the data set.
        corrected: the images.
        seed: of the random choice of `val`.

    Returns:
        The names of the images that are trained on (`train`) and kept back (`val`).

    Raises:
        FolderExistsError: the folder holds something else.
    """
    names = [image.name for image in corrected.images]
    split = split_by_share(names, KEPT_BACK if len(names) > 1 else 0.0, 0.0, seed)
    account = "\n".join((*corrected.notes, split_table(corrected.images, split), ""))
    write_dataset(out, corrected.images, split, "corrected outlines", account)
    return {part: [name for name in names if split[name] == part] for part in ("train", "val")}
