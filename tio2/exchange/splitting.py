"""Which image goes to training, validation and test: whole images, never parts of one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tio2.exchange.source import ExchangeError

SPLITS = ("train", "val", "test")


def split_by_share(names: Sequence[str], val: float, test: float, seed: int) -> dict[str, str]:
    """Name to split, drawn: shares of val and test, each at least one image where it is asked for; the rest trains.

    The same names, in any order, and the same seed give the same split.

    Raises:
        ExchangeError: a share lies outside 0 to 1, or no image is left to train on.
    """
    if min(val, test) < 0 or val + test >= 1:
        raise ExchangeError(f"shares of val {val:g} and test {test:g} leave nothing to train on; their sum must be < 1")
    order = np.random.default_rng(seed).permutation(sorted(names)).tolist()
    val_count, test_count = (max(round(share * len(order)), int(share > 0)) for share in (val, test))
    if val_count + test_count >= len(order):
        raise ExchangeError(f"{len(order)} images are too few for val and test; annotate more, or give --val 0")
    return {
        name: "val" if place < val_count else "test" if place < val_count + test_count else "train"
        for place, name in enumerate(order)
    }


def split_by_lists(names: Sequence[str], lists: Mapping[str, Path]) -> dict[str, str]:
    """Name to split from files with a name a line, with or without ending; what no list names trains.

    Args:
        names: of the images.
        lists: `val`, `test` to the file of their names.

    Raises:
        ExchangeError: a list cannot be read, names no image or the same one twice, or nothing is left to train on.
    """
    split = dict.fromkeys(names, "train")
    of_stem: dict[str, list[str]] = {}
    for name in names:
        for key in {name, Path(name).name, Path(name).stem}:
            of_stem.setdefault(key, []).append(name)
    for part, path in lists.items():
        for listed in _lines(path):
            found = of_stem.get(listed, [])
            if len(found) != 1:
                raise ExchangeError(f"{path}: {listed} names {len(found)} of the images to write; correct the list")
            if split[found[0]] != "train":
                raise ExchangeError(f"{path}: {listed} was listed before; name each image once")
            split[found[0]] = part
    if "train" not in split.values():
        raise ExchangeError("the lists leave no image to train on; shorten them")
    return split


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as cause:
        raise ExchangeError(f"{path}: cannot be read as a list of names ({cause}); check the path") from None
