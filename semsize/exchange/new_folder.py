"""An output folder that appears whole or not at all."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path


class FolderExistsError(ValueError):
    """The output folder holds something that is not ours to replace; the message names it."""


@contextlib.contextmanager
def new_folder(path: str | Path, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Give an empty folder beside `path` to fill, and rename it to `path` once the body has ended without an error.

    Args:
        path: must not exist, be empty, or be a folder for which `is_ours` holds; the latter two are replaced.
        is_ours: whether a folder that exists was made by the same program.

    Raises:
        FolderExistsError: `path` is a file or a folder of somebody else's.
    """
    path = Path(path)
    if path.exists() and not (path.is_dir() and (not any(path.iterdir()) or is_ours(path))):
        raise FolderExistsError(f"{path}: exists and was not written by this program; move it or give another --out")
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        fresh = scratch / "new"
        fresh.mkdir()
        yield fresh
        _put_in_place(fresh, path, scratch / "old")
    finally:
        shutil.rmtree(scratch)


def _put_in_place(fresh: Path, path: Path, aside: Path) -> None:
    """Rename `fresh` to `path`; what stood there goes aside, and comes back if that fails."""
    replaced = path.exists()
    if replaced:
        path.rename(aside)
    try:
        fresh.rename(path)
    except OSError:
        if replaced:
            aside.rename(path)
        raise
