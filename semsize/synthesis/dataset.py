"""Writes rendered images with their annotations: in parallel, resumable, the same bytes for any number of processes.

Each image leaves its annotations beside it in `parts/`, written after the image: what has its part is done. When all
are done the parts are joined into one COCO file per split.
"""

import json
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import tifffile

from semsize.structures import dataset, image_record, write_annotations
from semsize.synthesis.rendering import RenderedImage, RenderSettings, render_image
from semsize.synthesis.truth import particle_records

SPLITS = ("train", "val", "test")


class RenderedDatasetError(ValueError):
    """A folder that cannot be used for the data set that is asked for."""


@dataclass(frozen=True)
class DatasetPlan:
    """A data set to be rendered."""

    settings: RenderSettings
    num: int
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)  # of train, val, test; any positive numbers, 0 for none
    suffix: str = ".png"  # or '.tif', which carries the pixel size in its tags

    def counts(self) -> list[int]:
        """Images in train, val, test by largest remainder; at least one for a positive fraction if there are enough."""
        shares = np.array(self.fractions, dtype=float) / sum(self.fractions) * self.num
        counts = np.floor(shares).astype(int)
        counts[np.argsort(counts - shares, kind="stable")[: self.num - counts.sum()]] += 1
        for split in np.flatnonzero((shares > 0) & (counts == 0)):
            if counts.max() > 1:
                counts[counts.argmax()] -= 1
                counts[split] += 1
        return counts.tolist()

    def split_of(self, number: int) -> str:
        """The split of image `number`, 0 to num - 1: the first ones are train, the last ones test."""
        return SPLITS[int(np.searchsorted(np.cumsum(self.counts()), number, side="right"))]


def claim_folder(plan: DatasetPlan, folder: Path) -> None:
    """Makes the folder and notes the plan in render.json.

    Raises:
        RenderedDatasetError: the folder was begun with another plan.
    """
    wanted = json.dumps(asdict(plan), indent=1) + "\n"
    note = folder / "render.json"
    if note.exists() and note.read_text(encoding="utf-8") != wanted:
        raise RenderedDatasetError(
            f"{note}: this folder holds a set rendered with other settings; name another --out or remove it"
        )
    for name in ("parts", "annotations", *(f"images/{split}" for split in SPLITS)):
        (folder / name).mkdir(parents=True, exist_ok=True)
    note.write_text(wanted, encoding="utf-8")


def missing_numbers(plan: DatasetPlan, folder: Path) -> list[int]:
    """Numbers of the images that are yet to be rendered."""
    return [number for number in range(plan.num) if not _part(folder, number).exists()]


def render_missing(plan: DatasetPlan, folder: Path, jobs: int) -> Iterator[int]:
    """Renders what is missing in `jobs` processes; yields each number when it is done."""
    numbers = missing_numbers(plan, folder)
    if jobs == 1 or len(numbers) < 2:
        yield from map(partial(render_one, plan, folder), numbers)
        return
    with multiprocessing.get_context("spawn").Pool(jobs, cv2.setNumThreads, (1,)) as pool:
        yield from pool.imap_unordered(partial(render_one, plan, folder), numbers)


def render_one(plan: DatasetPlan, folder: Path, number: int) -> int:
    """Renders and writes image `number` and then its part; returns the number."""
    rendered = render_image(plan.settings, number)
    name = f"{number:06d}{plan.suffix}"
    _write(
        folder / "images" / plan.split_of(number) / name,
        encode_image(rendered.pixels, plan.suffix, plan.settings.pixel_size_nm),
    )
    part = {
        "image": _image_record(plan, rendered, number, name),
        "particles": particle_records(rendered.truth, number + 1, 1),
    }
    part["hidden_particles"] = rendered.truth.hidden_particles
    _write(_part(folder, number), json.dumps(part).encode())
    return number


def join_parts(plan: DatasetPlan, folder: Path) -> dict[str, dict[str, int]]:
    """Writes annotations/<split>.json from the parts.

    Returns:
        For each split its numbers of images, particles, specks and wholly hidden particles.
    """
    summary = {}
    for split in SPLITS:
        parts = [
            json.loads(_part(folder, n).read_text(encoding="utf-8"))
            for n in range(plan.num)
            if plan.split_of(n) == split
        ]
        particles = [particle for part in parts for particle in part["particles"]]
        for number, particle in enumerate(particles):
            particle["id"] = number + 1
        write_annotations(
            folder / "annotations" / f"{split}.json", dataset([part["image"] for part in parts], particles)
        )
        specks = sum(particle["iscrowd"] for particle in particles)
        hidden = sum(part["hidden_particles"] for part in parts)
        summary[split] = {
            "images": len(parts),
            "particles": len(particles) - specks,
            "specks": specks,
            "hidden": hidden,
        }
    return summary


def encode_image(pixels: np.ndarray, suffix: str, pixel_size_nm: float) -> bytes:
    """The bytes of a PNG or TIFF file.

    The TIFF carries the pixel size twice: as its resolution, and in the text tag that Zeiss instruments write.
    """
    if suffix == ".png":
        return cv2.imencode(".png", pixels)[1].tobytes()
    stream = BytesIO()
    text = f"AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = {pixel_size_nm:.6g} nm\r\n"
    per_centimetre = 1e7 / pixel_size_nm
    tifffile.imwrite(
        stream,
        pixels,
        photometric="minisblack",
        metadata=None,
        software=False,
        resolution=(per_centimetre, per_centimetre),
        resolutionunit="CENTIMETER",
        extratags=[(34118, "s", 0, text, True)],
    )
    return stream.getvalue()


def _image_record(plan: DatasetPlan, rendered: RenderedImage, number: int, name: str) -> dict:
    height, width = rendered.pixels.shape
    return image_record(
        id=number + 1,
        file_name=name,
        height=height,
        width=width,
        pixel_size_nm=plan.settings.pixel_size_nm,
        source="rendered",
        configuration=rendered.configuration,
    )


def _part(folder: Path, number: int) -> Path:
    return folder / "parts" / f"{number:06d}.json"


def _write(path: Path, content: bytes) -> None:
    """Writes beside the path and renames: what stands there is whole."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)
