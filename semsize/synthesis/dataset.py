"""Rendered images written with their annotations, as a data set of three splits."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import tifffile

from semsize.structures import image_record
from semsize.structures.parts import DatasetParts
from semsize.synthesis.rendering import RenderSettings, particle_records, render_image

SPLITS = ("train", "val", "test")


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


def render_dataset(plan: DatasetPlan, folder: Path, jobs: int = 1) -> dict[str, dict[str, int]]:
    """Renders what is missing of a data set, and joins it; see `claim_folder` and `join_parts`."""
    parts = claim_folder(plan, folder)
    for _ in render_missing(plan, parts, jobs):
        pass
    return join_parts(plan, parts)


def claim_folder(plan: DatasetPlan, folder: Path) -> DatasetParts:
    """The folder of a data set, made, with the plan in render.json.

    Raises:
        DatasetFolderError: it was begun with another plan.
    """
    parts = DatasetParts(folder, plan.num)
    parts.claim("render.json", asdict(plan), SPLITS)
    return parts


def render_missing(plan: DatasetPlan, parts: DatasetParts, jobs: int) -> Iterator[int]:
    """Renders what is missing in `jobs` processes; yields each number when it is done."""
    return parts.make_missing(partial(render_part, plan, parts), jobs)


def render_part(plan: DatasetPlan, parts: DatasetParts, number: int) -> int:
    """Renders and writes image `number` and then its part; returns the number."""
    rendered = render_image(plan.settings, number)
    name = f"{number:06d}{plan.suffix}"
    height, width = rendered.pixels.shape
    image = image_record(
        id=number + 1,
        file_name=name,
        height=height,
        width=width,
        pixel_size_nm=rendered.scene.pixel_size_nm,
        source="rendered",
        configuration=rendered.configuration,
    )
    part = {"image": image, "particles": particle_records(rendered.truth, number + 1)}
    part["hidden_particles"] = rendered.truth.hidden_particles
    content = encode_image(rendered.pixels, plan.suffix, rendered.scene.pixel_size_nm)
    parts.write(number, f"images/{plan.split_of(number)}/{name}", content, part)
    return number


def join_parts(plan: DatasetPlan, parts: DatasetParts) -> dict[str, dict[str, int]]:
    """Writes annotations/<split>.json from the parts.

    Returns:
        For each split its numbers of images, particles, specks and wholly hidden particles.
    """
    summary = {}
    for split in SPLITS:
        records, counts = parts.join(split, [n for n in range(plan.num) if plan.split_of(n) == split])
        summary[split] = counts | {"hidden": sum(record["hidden_particles"] for record in records)}
    return summary


def encode_image(pixels: np.ndarray, suffix: str, pixel_size_nm: float) -> bytes:
    """The bytes of a PNG or TIFF file.

    The TIFF carries the pixel size twice: as its resolution, and in the text tag that Zeiss instruments write.
    """
    if suffix == ".png":
        return cv2.imencode(".png", pixels)[1].tobytes()
    stream = BytesIO()
    text = f"AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = {pixel_size_nm:.6g} nm\r\n"
    tifffile.imwrite(
        stream,
        pixels,
        photometric="minisblack",
        metadata=None,
        software=False,
        resolution=(1e7 / pixel_size_nm, 1e7 / pixel_size_nm),
        resolutionunit="CENTIMETER",
        extratags=[(34118, "s", 0, text, True)],
    )
    return stream.getvalue()
