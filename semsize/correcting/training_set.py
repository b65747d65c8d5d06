"""Corrected images as a data set to train on, some of them kept back; a folder of results may come from anybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from semsize.correcting.results import CorrectedResults
from semsize.correcting.shapes import CorrectionError
from semsize.exchange.conversion import ConvertedImage
from semsize.exchange.writing import split_by_share, split_table, write_dataset
from semsize.structures import read_annotations
from semsize.structures.files import file_sha256

KEPT_BACK = 0.25
"""Share of the images that a model is judged on and does not see; one of two or three."""


@dataclass(frozen=True)
class CorrectedImages:
    """Images that somebody corrected, with all outlines that count.

    Attributes:
        images: N images, each of other contents.
        sha256: their name to the SHA-256 of their file.
        notes: on the images that are left out.
    """

    images: tuple[ConvertedImage, ...]
    sha256: dict[str, str]
    notes: tuple[str, ...]


def corrected_images(folders: Sequence[str | Path], roots: Sequence[str | Path]) -> CorrectedImages:
    """Read the corrected images of some folders of results.

    Args:
        folders: each of a measurement, as `semsize correct` left it.
        roots: folders below which image files may lie.

    Raises:
        CorrectionError: a folder, log or image file cannot be used, a picture is corrected in two of the folders, or
            nobody corrected any image.
    """
    images, origins, notes = [], {}, []
    for folder in map(Path, folders):
        results = CorrectedResults(folder, roots)
        for image in results.images:
            name = image.file.name if len(folders) == 1 else f"{folder.name}/{image.file.name}"
            detected = results.detected(image)
            corrections = results.corrected(image, detected)
            if not corrections.done:
                notes.append(f"{name}: left out, nothing in it was corrected")
                continue
            origin = f"{image.file.name} of {folder}"
            if (before := origins.setdefault(image.measured.sha256, origin)) != origin:
                raise CorrectionError(f"{origin} and {before} are the same picture; leave one of them out")
            counted = results.counted(corrections, detected.scores)
            particles = tuple(
                {
                    "rle": corrections.rle(number),
                    "state": corrections.outlines[number].state,
                    "source_state": None,
                    "iscrowd": 0,
                }
                for number in counted
            )
            results.grey(image)  # refuses what cannot be read, is too large, or is another picture
            path = results.picture_file(image)
            nm = results.stated_nm(image)
            images.append((ConvertedImage(path, name, image.shape, nm, None, particles), image))
    if not images:
        raise CorrectionError(f"no image of {', '.join(map(str, folders))} was corrected; correct some first")
    names = [converted.name for converted, _ in images]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise CorrectionError(f"two images are called {min(doubled)}; rename one of the folders of results")
    digests = {converted.name: image.measured.sha256 for converted, image in images}
    return CorrectedImages(tuple(converted for converted, _ in images), digests, tuple(notes))


def write_training_set(out: Path, corrected: CorrectedImages, seed: int) -> dict[str, list[str]]:
    """Write a data set as the converters do, `val` being what is kept back; a single image is trained on.

    Args:
        out: its folder.
        corrected: the images.
        seed: of the choice of those that are kept back.

    Returns:
        The names of the images that are trained on (`train`) and kept back (`val`).

    Raises:
        CorrectionError: an image file changed since it was measured.
        FolderExistsError: the folder holds something else.
    """
    names = [image.name for image in corrected.images]
    split = split_by_share(names, KEPT_BACK if len(names) > 1 else 0.0, 0.0, seed)
    account = "\n".join((*corrected.notes, split_table(corrected.images, split), ""))
    write_dataset(out, corrected.images, split, "corrected outlines", account)
    for part in set(split.values()):
        for record in read_annotations(out / "annotations" / f"{part}.json")["images"]:
            if file_sha256(out / "images" / part / record["file_name"]) != corrected.sha256[record["source"]]:
                raise CorrectionError(f"{record['source']}: changed while it was read; wait, and start again")
    return {part: [name for name in names if split[name] == part] for part in ("train", "val")}
