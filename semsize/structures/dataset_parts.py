"""A data set that is made image by image: resumable, and the same bytes for any number of processes.

Each image leaves its annotations in `parts/`, written after the image: an image that has its part is done. When all are
done the parts are joined into one annotation file per split.
"""

import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from semsize.structures.annotations import dataset
from semsize.structures.coco_files import write_annotations
from semsize.structures.files import write_whole


class DatasetFolderError(ValueError):
    """A folder in which another data set was begun; the message names it."""


@dataclass(frozen=True)
class DatasetParts:
    """The folder of a data set of `num` images, numbered from 0."""

    folder: Path
    num: int

    def claim(self, plan_file: str, plan: Mapping[str, Any], splits: Sequence[str]) -> None:
        """Make the folder and write the plan, which decides every byte of the data set, into `plan_file`.

        Raises:
            DatasetFolderError: the folder was begun with another plan.
        """
        path, text = self.folder / plan_file, json.dumps(plan, indent=1) + "\n"
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise DatasetFolderError(
                f"{path}: this folder was begun with other settings; name another --out or remove it"
            )
        for name in ("parts", "annotations", *(f"images/{split}" for split in splits)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())

    def missing(self) -> list[int]:
        """Numbers of the images that are yet to be made."""
        return [number for number in range(self.num) if not self._path(number).exists()]

    def make_missing(self, make: Callable[[int], int], jobs: int) -> Iterator[int]:
        """Call `make` for every missing number, in `jobs` processes; yields each number when it is done."""
        numbers = self.missing()
        if jobs == 1 or len(numbers) < 2:
            yield from map(make, numbers)
            return
        with multiprocessing.get_context("spawn").Pool(jobs, _start, (make,)) as pool:
            yield from pool.imap_unordered(_call, numbers)

    def write(self, number: int, image: str, content: bytes, part: Mapping[str, Any]) -> None:
        """Write an image file, named relative to the folder, and then its part (keys `image`, `particles`, others)."""
        write_whole(self.folder / image, content)
        write_whole(self._path(number), json.dumps(part).encode())

    def join(self, split: str, numbers: Iterable[int]) -> tuple[list[dict[str, Any]], dict[str, int]]:
        """Write annotations/<split>.json from the parts of these images, particles numbered from 1.

        Returns:
            The parts, and the numbers of images, particles and specks (`iscrowd` 1).
        """
        parts = [json.loads(self._path(number).read_text(encoding="utf-8")) for number in numbers]
        particles = [particle for part in parts for particle in part["particles"]]
        for number, particle in enumerate(particles):
            particle["id"] = number + 1
        data = dataset([part["image"] for part in parts], particles)
        write_annotations(self.folder / "annotations" / f"{split}.json", data)
        specks = sum(particle["iscrowd"] for particle in particles)
        return parts, {"images": len(parts), "particles": len(particles) - specks, "specks": specks}

    def _path(self, number: int) -> Path:
        return self.folder / "parts" / f"{number:06d}.json"


_make: list[Callable[[int], int]] = []


def _start(make: Callable[[int], int]) -> None:
    cv2.setNumThreads(1)
    _make.append(make)


def _call(number: int) -> int:
    return _make[0](number)
