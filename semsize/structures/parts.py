"""Fill a folder part by part in any number of processes; a restart with the same plan continues the work.

For a data set, a part holds the annotations of one image. It is written to `parts/` after the image, so an image with a
part is complete. When all images are complete, the parts are joined into one annotation file per split.
"""

import contextlib
import json
import multiprocessing
import operator
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import Any

import cv2

from semsize.structures.annotations import dataset
from semsize.structures.coco_files import write_annotations
from semsize.structures.files import dotted, in_json, read_json, write_whole

START_METHOD = "spawn"
"""How worker processes start: spawning works on all systems, and in a process with threads."""


class DatasetFolderError(ValueError):
    """A folder that holds another data set, or that could not be filled; the message says which."""


@contextlib.contextmanager
def processes_for(
    jobs: int, error: type[Exception], shared: Any
) -> Iterator[Callable[[Callable, Iterable[tuple]], Iterator]]:
    """Give a function `run(function, tasks)` that calls `function(shared, *task)` for each task in `jobs` processes.

    `run` yields the results as they finish. Each process gets `shared` once. Below two jobs, this process runs all.

    Raises:
        error: a worker process died.
    """
    if jobs < 2:
        yield lambda function, tasks: starmap(partial(function, shared), tasks)
        return
    context = multiprocessing.get_context(START_METHOD)
    numbers = context.SimpleQueue()
    for number in range(1, jobs + 1):
        numbers.put(number)
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(shared, numbers))

    def run(function: Callable, tasks: Iterable[tuple]) -> Iterator:
        for future in as_completed([pool.submit(_run_shared, function, *task) for task in tasks]):
            yield future.result()

    try:
        yield run
    except BrokenProcessPool:
        raise error(
            f"one of {jobs} processes was ended from outside or ran out of memory; start again with fewer --jobs"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def usable_cores() -> int:
    """Return the cores for this process's threads: `OMP_NUM_THREADS` if set, else the cores it may run on."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    if hasattr(os, "sched_getaffinity"):  # not on Windows and macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def process_number() -> int:
    """Return this process's number, from 1, among the workers of `processes_for`; 0 in any other process."""
    return _numbers[0] if _numbers else 0


_shared: list[Any] = []  # in a worker process: what `processes_for` gave to it
_numbers: list[int] = []  # its number


def _begin(shared: Any, numbers: multiprocessing.SimpleQueue) -> None:
    """Prepare a worker process: OpenCV uses one thread, and only the parent process reacts to Ctrl-C."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _shared.append(shared)
    _numbers.append(numbers.get())


def _run_shared(function: Callable, *arguments: Any) -> Any:
    return function(_shared[0], *arguments)


def require_same_plan(before: Any, now: Mapping, refusal: Callable[[str], Exception]) -> None:
    """Raise an error if the work in a folder was begun with another plan.

    Args:
        before: the plan stored in the folder, as read from JSON; None if there is none.
        now: the present plan, in JSON's types.
        refusal: makes the error from a text that names up to three differing settings with both values.

    >>> require_same_plan({"seed": 0, "size": {"rows": 9}}, {"seed": 0, "size": {"rows": 8}}, DatasetFolderError)
    Traceback (most recent call last):
    semsize.structures.parts.DatasetFolderError: size.rows: 9, now 8
    """
    if before is None:
        return
    old, new = dotted(before if isinstance(before, Mapping) else {}), dotted(now)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if names:
        raise refusal("; ".join(f"{name}: {old.get(name)}, now {new.get(name)}" for name in names[:3]))


@dataclass(frozen=True)
class DatasetParts:
    """The folder of a data set of `num` images, numbered from 0."""

    folder: Path
    num: int

    def claim(self, plan_file: str, plan: Mapping[str, Any], splits: Sequence[str]) -> None:
        """Create the folder and write the plan, which decides every byte of the data set, to `plan_file`.

        Raises:
            DatasetFolderError: the folder was begun with another plan.
        """
        path, plan = self.folder / plan_file, in_json(plan)
        begun = f"{path}: this folder was begun with other settings"

        def refusal(differing: str) -> DatasetFolderError:
            return DatasetFolderError(f"{begun} ({differing}); name another --out or remove it")

        before = (read_json(path, DatasetFolderError) or {}) if path.exists() else None
        require_same_plan(before, plan, refusal)
        for name in ("parts", "annotations", *(f"images/{split}" for split in splits)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        write_whole(path, (json.dumps(plan, indent=1) + "\n").encode())

    def missing(self) -> list[int]:
        """Return the numbers of the images that are not complete yet."""
        return [number for number in range(self.num) if not self._path(number).exists()]

    def make_missing(self, make: Callable[[int], int], jobs: int) -> Iterator[int]:
        """Call `make` for every missing number in `jobs` processes; yield what it returns, as it finishes."""
        tasks = [(number,) for number in self.missing()]
        jobs = min(jobs, len(tasks))
        with processes_for(jobs, DatasetFolderError, make) as run:
            yield from run(operator.call, tasks)

    def write(self, number: int, image: str, content: bytes, part: Mapping[str, Any]) -> None:
        """Write an image file, named relative to the folder, then its part (keys `image`, `particles`, others)."""
        write_whole(self.folder / image, content)
        write_whole(self._path(number), json.dumps(part).encode())

    def join(self, split: str, numbers: Iterable[int]) -> tuple[list[dict[str, Any]], dict[str, int]]:
        """Write annotations/<split>.json from the parts of these images, with particles numbered from 1.

        Returns:
            The parts, and the numbers of images, particles and specks (`iscrowd` 1).

        Raises:
            DatasetFolderError: a part cannot be read.
        """
        parts = [read_json(self._path(number), DatasetFolderError) for number in numbers]
        particles = [particle for part in parts for particle in part["particles"]]
        for number, particle in enumerate(particles):
            particle["id"] = number + 1
        data = dataset([part["image"] for part in parts], particles)
        write_annotations(self.folder / "annotations" / f"{split}.json", data)
        specks = sum(particle["iscrowd"] for particle in particles)
        return parts, {"images": len(parts), "particles": len(particles) - specks, "specks": specks}

    def _path(self, number: int) -> Path:
        return self.folder / "parts" / f"{number:06d}.json"
