"""JSON on disk that is either whole or absent, and read with an error that names the file."""

import json
from pathlib import Path
from typing import Any

from tio2.structures.whole_files import whole_file


def write_json(path: str | Path, data: Any, *, indent: int | None = None) -> None:
    """Write `data` beside `path` under another name, then rename: a reader sees the old file or the whole new one.

    Args:
        path: The file; its folder is made.
        data: What JSON can hold.
        indent: Spaces a level, for files that people read; None writes one line without spaces.

    Raises:
        ValueError: `data` holds NaN or infinity, which JSON has no word for.
    """

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8") as stream:
            separators = (",", ":") if indent is None else None
            json.dump(data, stream, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)

    whole_file(path, write)


def read_json(path: str | Path, error: type[ValueError]) -> Any:
    """Contents of a JSON file; raises `error`, in one line that names the file, if it is missing or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as cause:
        raise error(f"{path}: cannot be read ({cause.strerror}); check the path") from None
    except ValueError as cause:  # not JSON, or not UTF-8
        reason = str(cause).splitlines()[0]
        raise error(f"{path}: not a JSON file ({reason}); write it again") from None
