"""The search on a data set's training images, kept in a file, and what it found."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from semsize.sem.reading import read_grey
from semsize.structures.annotations import read_annotations
from semsize.structures.json_files import read_json, write_json
from semsize.structures.masks import CroppedMasks
from tio2.baselines.search import Example, ScoredSet, search
from tio2.baselines.watershed import Parameters


class SearchError(ValueError):
    """A search.json that cannot be read."""


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        best: the set with the highest F1 on whole training images.
        sets: how many were tried.
        seconds: how long it took.
    """

    best: ScoredSet
    sets: int
    seconds: float


def examples(data: Path, split: str) -> list[Example]:
    """The images of a split with their particles and specks."""
    truth = read_annotations(data / "annotations" / f"{split}.json")
    by_image = defaultdict(lambda: ([], []))
    for annotation in truth["annotations"]:
        by_image[annotation["image_id"]][annotation["iscrowd"]].append(annotation["segmentation"])
    found = []
    for image in truth["images"]:
        shape = (image["height"], image["width"])
        particles, specks = (CroppedMasks.from_rles(rles, shape) for rles in by_image[image["id"]])
        found.append(Example(read_grey(data / "images" / split / image["file_name"]), particles, specks))
    return found


def run_search(
    data: Path,
    sets: Sequence[Parameters],
    finalists: int,
    path: Path,
    progress: Callable[[Sequence], Sequence] = lambda items: items,
) -> None:
    """Searches on the training images of ``data`` and writes both rounds, best first, to ``path``."""
    began = time.monotonic()
    first, second = search(sets, examples(data, "train"), finalists, progress)
    rounds = {"first": [asdict(one) for one in first], "second": [asdict(one) for one in second]}
    write_json(path, {"seconds": time.monotonic() - began, **rounds})


def read_search(path: Path) -> SearchResult:
    """What `run_search` wrote.

    Raises:
        SearchError: the file is missing or no JSON.
    """
    rounds = read_json(path, SearchError)
    best = rounds["second"][0]
    return SearchResult(
        ScoredSet(Parameters(**best["parameters"]), best["f1"]), len(rounds["first"]), rounds["seconds"]
    )
