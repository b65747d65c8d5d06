"""Writes simulated images with annotations and manifest: in parallel, resumable, the same bytes for any number of jobs.

Each image leaves its annotations and its share of the manifest in `parts/`, written after the image: what has its part
is done. Image n depends on the plan and n alone.
"""

import json
import multiprocessing
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from semsize.structures.annotations import dataset, image_record, particle_record, write_annotations
from tio2.agglomerates.archive import LibraryError, encode_grey
from tio2.agglomerates.backgrounds import Backgrounds
from tio2.agglomerates.library import AgglomerateLibrary
from tio2.agglomerates.preparation import write_whole
from tio2.agglomerates.simulation import Pasted, PasteSettings, paste_agglomerates

PAPER_MATRIX_SHARE = 23 / 699


@dataclass(frozen=True)
class SimulationPlan:
    """A data set to be simulated; everything that decides a byte of it."""

    num: int
    shape: tuple[int, int]  # (H, W)
    seed: int
    library_sha256: str
    backgrounds_sha256: str
    matrix_sha256: str | None
    versions: Mapping[str, str]  # of the libraries that carry it out
    matrix_share: float = PAPER_MATRIX_SHARE
    settings: PasteSettings = field(default_factory=PasteSettings)

    def has_matrix(self, number: int) -> bool:
        """Whether image `number` shows a matrix: `matrix_share` of the images, evenly spread, rounded down."""
        return int((number + 1) * self.matrix_share) > int(number * self.matrix_share)

    def manifest(self) -> dict[str, Any]:
        """The plan as JSON has it."""
        return json.loads(json.dumps(asdict(self)))


@dataclass(frozen=True)
class Sources:
    """Where the plan's library and backgrounds lie."""

    library: Path
    backgrounds: Path
    matrix: Path | None
    out: Path


def claim_folder(plan: SimulationPlan, out: Path) -> None:
    """Makes the folder and notes the plan in plan.json.

    Raises:
        LibraryError: the folder was begun with another plan, another library or other versions.
    """
    note, wanted = out / "plan.json", json.dumps(plan.manifest(), indent=1) + "\n"
    if note.exists() and note.read_text(encoding="utf-8") != wanted:
        raise LibraryError(f"{note}: this folder was begun with other settings; name another --out or remove it")
    for name in ("parts", "annotations", "images/train"):
        (out / name).mkdir(parents=True, exist_ok=True)
    write_whole(note, wanted.encode())


def missing_numbers(plan: SimulationPlan, out: Path) -> list[int]:
    """Numbers of the images that are yet to be made."""
    return [number for number in range(plan.num) if not _part(out, number).exists()]


def simulate_missing(plan: SimulationPlan, sources: Sources, jobs: int) -> Iterator[int]:
    """Makes what is missing in `jobs` processes; yields each number when it is done."""
    numbers = missing_numbers(plan, sources.out)
    if jobs == 1 or len(numbers) < 2:
        yield from map(Worker(plan, sources), numbers)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, _start, (plan, sources)) as pool:
        yield from pool.imap_unordered(_run, numbers)


class Worker:
    """Makes images; holds the library and the backgrounds that it has read."""

    def __init__(self, plan: SimulationPlan, sources: Sources):
        self.plan, self.out = plan, sources.out
        self.library = AgglomerateLibrary.load(sources.library)
        self.backgrounds = Backgrounds(sources.backgrounds)
        self.matrix = Backgrounds(sources.matrix) if sources.matrix else None

    def __call__(self, number: int) -> int:
        """Makes and writes image `number`, then its part; returns the number."""
        plan = self.plan
        rng = np.random.default_rng((plan.seed, number))
        kind = "matrix" if plan.has_matrix(number) else "agglomerated"
        source = self.matrix if kind == "matrix" else self.backgrounds
        background, drawn = source.draw(plan.shape, rng)
        pasted = paste_agglomerates(background, self.library, rng, plan.settings)
        name = f"{number:06d}.png"
        write_whole(self.out / "images" / "train" / name, encode_grey(np.rint(pasted.image)))
        part = _records(pasted, number, name, kind)
        part["made"] = {"file": name, "configuration": kind, "background": drawn}
        part["made"] |= {"without_room": pasted.failures, "placements": pasted.record()}
        write_whole(_part(self.out, number), json.dumps(part).encode())
        return number


def join_parts(plan: SimulationPlan, out: Path) -> dict[str, int]:
    """Writes annotations/train.json and manifest.json from the parts.

    Returns:
        Numbers of images, particles, specks and agglomerates.
    """
    parts = [json.loads(_part(out, number).read_text(encoding="utf-8")) for number in range(plan.num)]
    particles = [particle for part in parts for particle in part["particles"]]
    for number, particle in enumerate(particles):
        particle["id"] = number + 1
    write_annotations(out / "annotations" / "train.json", dataset([part["image"] for part in parts], particles))
    manifest = plan.manifest() | {"images": [part["made"] for part in parts]}
    write_whole(out / "manifest.json", (json.dumps(manifest, indent=1) + "\n").encode())
    specks = sum(particle["iscrowd"] for particle in particles)
    placed = sum(len(part["made"]["placements"]) for part in parts)
    return {"images": len(parts), "particles": len(particles) - specks, "specks": specks, "agglomerates": placed}


def _records(pasted: Pasted, number: int, name: str, configuration: str) -> dict[str, Any]:
    sizes = {placement.agglomerate.pixel_size_nm for placement in pasted.placements}
    height, width = pasted.image.shape
    image = image_record(
        id=number + 1,
        file_name=name,
        height=height,
        width=width,
        pixel_size_nm=sizes.pop() if len(sizes) == 1 else None,
        source="simulated from agglomerates",
        configuration=configuration,
    )
    pairs = zip(pasted.masks.to_rles(), pasted.particles, strict=True)
    particles = [particle_record(id=1 + i, image_id=number + 1, rle=r, **known) for i, (r, known) in enumerate(pairs)]
    return {"image": image, "particles": particles}


def _part(out: Path, number: int) -> Path:
    return out / "parts" / f"{number:06d}.json"


_worker: list[Worker] = []


def _start(plan: SimulationPlan, sources: Sources) -> None:
    cv2.setNumThreads(1)
    _worker.append(Worker(plan, sources))


def _run(number: int) -> int:
    return _worker[0](number)
