"""Which image goes to training, validation and test: whole images, never parts of one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from semsize.exchange.source import ExchangeError
from semsize.exchange.stated_names import fold

SPLITS = ("train", "val", "test")


def split_by_share(names: Sequence[str], val: float, test: float, seed: int) -> dict[str, str]:
    """Name to split, drawn: shares of val and test, each at least one image where it is asked for; the rest trains.

    The same names, in any order, and the same seed give the same split. Shares of 1 in all leave nothing to train on:
    such a set is for tests of a model that there is.

    Raises:
        ExchangeError: a share lies outside 0 to 1, or the images are too few for what is asked.
    """
    if not (min(val, test) >= 0 and val + test <= 1 + 1e-9):
        raise ExchangeError(f"shares of val {val:g} and test {test:g} do not lie in 0 to 1, or are more than 1 in all")
    order = np.random.default_rng(seed).permutation(sorted(names)).tolist()
    trains = val + test < 1 - 1e-9
    val_count, test_count = (max(round(share * len(order)), int(share > 0)) for share in (val, test))
    if not trains:
        val_count = len(order) - test_count
    if val_count + test_count + trains > len(order) or (val > 0) > val_count:
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
        ExchangeError: a list cannot be read, or names no image or the same one twice.
    """
    split = dict.fromkeys(names, "train")
    of_stem: dict[str, list[str]] = {}
    for name in names:
        for key in {fold(key) for key in (name, Path(name).name, Path(name).stem)}:
            of_stem.setdefault(key, []).append(name)
    for part, path in lists.items():
        for listed in _lines(path):
            found = of_stem.get(fold(listed.replace("\\", "/")), [])
            if len(found) != 1:
                raise ExchangeError(f"{path}: {listed} names {len(found)} of the images to write; correct the list")
            if split[found[0]] != "train":
                raise ExchangeError(f"{path}: {listed} was listed before; name each image once")
            split[found[0]] = part
    return split


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as cause:
        raise ExchangeError(f"{path}: cannot be read as a list of names ({cause}); check the path") from None
