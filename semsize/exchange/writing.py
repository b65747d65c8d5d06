"""A converted data set on disk: images by split, one annotation file each, and the account of the conversion."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from semsize.exchange.conversion import ConvertedImage
from semsize.exchange.new_folder import new_folder
from semsize.exchange.source import short_name
from semsize.exchange.splitting import SPLITS
from semsize.structures.annotations import (
    AnnotationError,
    dataset,
    image_record,
    particle_record,
    read_annotations,
    write_annotations,
)

ACCOUNT_FILE = "conversion.txt"
CONTRIBUTOR = "semsize.exchange"


def write_dataset(
    out: Path, images: Sequence[ConvertedImage], split: Mapping[str, str], source: str, account: str
) -> None:
    """Write OUT/images/<split>, OUT/annotations/<split>.json and OUT/conversion.txt, whole or not at all.

    Image files are copied as they are, since training reads whatever `semsize.sem.read_grey` reads; their names carry
    their folders, and a number where two would be the same.

    Args:
        out: the folder; one that an earlier conversion wrote is replaced.
        images: in the order in which they are numbered.
        split: name of each image to its split.
        source: what was converted, in words.
        account: contents of conversion.txt.

    Raises:
        FolderExistsError: `out` holds something else.
        OSError: an image cannot be copied.
    """
    info = {"description": f"particles converted from {source}", "contributor": CONTRIBUTOR}
    with new_folder(out, is_ours) as folder:
        for part in SPLITS:
            chosen = [image for image in images if split[image.name] == part]
            if chosen:
                records, particles = _copy(chosen, folder / "images" / part)
                write_annotations(folder / "annotations" / f"{part}.json", dataset(records, particles, info))
        (folder / ACCOUNT_FILE).write_text(account, encoding="utf-8")


def is_ours(folder: Path) -> bool:
    """Whether an earlier conversion wrote this folder, and nobody added to it."""
    files = sorted((folder / "annotations").glob("*.json"))
    if not files or {path.name for path in folder.iterdir()} != {"images", "annotations", ACCOUNT_FILE}:
        return False
    try:
        infos = [read_annotations(path).get("info") for path in files]
    except AnnotationError:
        return False
    return all(isinstance(info, Mapping) and info.get("contributor") == CONTRIBUTOR for info in infos)


def _copy(images: Sequence[ConvertedImage], folder: Path) -> tuple[list[dict], list[dict]]:
    """Copy the images of one split; its image and particle records."""
    folder.mkdir(parents=True)
    records, particles, stems = [], [], set()
    for number, image in enumerate(images, start=1):
        file_name = _new_name(image, stems)
        shutil.copyfile(image.path, folder / file_name)
        records.append(
            image_record(
                id=number,
                file_name=file_name,
                height=image.size[0],
                width=image.size[1],
                pixel_size_nm=image.pixel_size_nm,
                source=image.name,
                configuration=image.configuration,
            )
        )
        for particle in image.particles:
            particles.append(particle_record(id=len(particles) + 1, image_id=number, **particle))
    return records, particles


def _new_name(image: ConvertedImage, stems: set[str]) -> str:
    """A file name that no other of the split has, whatever its ending: pictures of results go by the stem."""
    parts = [part for part in Path(image.name.replace("\\", "/")).with_suffix("").parts if part not in ("..", "/")]
    plain = stem = short_name("_".join(parts))
    number = 1
    while stem.lower() in stems:
        number += 1
        stem = f"{plain}-{number}"
    stems.add(stem.lower())
    return stem + image.path.suffix.lower()
