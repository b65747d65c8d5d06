"""Library and backgrounds of an annotated data set, made once and found again; what has to be rendered is given in."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tio2.agglomerates.archive import encode_grey
from tio2.agglomerates.backgrounds import HALO_PX, distance_to_particles, emptied, extended
from tio2.agglomerates.cutting import annotated_images
from tio2.agglomerates.texture import TextureError


def default_image_folder(ann_file: str | Path) -> Path:
    """`images/<split>` beside `annotations/<split>.json`, as the converters write them."""
    ann_file = Path(ann_file)
    return ann_file.parent.parent / "images" / ann_file.stem


def make_backgrounds(
    ann_file: str | Path,
    image_folder: str | Path,
    out: str | Path,
    shape: tuple[int, int],
    seed: int,
    halo_px: float = HALO_PX,
) -> Iterator[tuple[str, str | None]]:
    """Empties the images of an annotation file and writes each as a PNG that covers a frame of (H, W).

    Images smaller than the frame are extended to it. Backgrounds that exist already are kept.

    Yields:
        For each image its name, and None or why it makes no background.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for number, (record, image, masks, _) in enumerate(annotated_images(ann_file, image_folder)):
        path = out / (Path(record["file_name"]).stem + ".png")
        reason = None
        if not path.exists():
            rng = np.random.default_rng((seed, number))
            try:
                empty = emptied(image, distance_to_particles(masks), rng, halo_px)
                small = empty.shape[0] < shape[0] or empty.shape[1] < shape[1]
                write_whole(path, encode_grey(extended(empty, shape, rng) if small else empty))
            except TextureError as cause:
                reason = str(cause)
        yield record["file_name"], reason


def folder_hash(folder: str | Path) -> str:
    """SHA-256 over the names and contents of a folder's files, hexadecimal."""
    digest = hashlib.sha256()
    for path in sorted(path for path in Path(folder).iterdir() if path.is_file()):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """Write beside the path and rename: what stands there is whole, also after a full disk or an interruption."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
