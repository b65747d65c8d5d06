"""Files that are whole or absent, whatever happens while they are written; and which file one is, by its SHA-256."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hex; OSError where it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: str | Path, content: bytes) -> None:
    """Write bytes; see `whole_file`."""
    whole_file(path, lambda part: part.write_bytes(content))


def whole_file(path: str | Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path` under another name, then rename it: a reader sees the old or the new one.

    Raises:
        OSError: it cannot be written; what was begun is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
