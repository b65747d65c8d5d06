"""JSON on disk that is either whole or absent, and read with an error that names the file."""

import json
import math
import re
from pathlib import Path
from typing import Any

from semsize.structures.whole_files import whole_file

_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")


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
    """Contents of a JSON file in any Unicode encoding, with or without its mark.

    Raises:
        error: it is missing or not JSON; in one line that names the file.
    """
    try:
        raw = Path(path).read_bytes()
        text = raw.decode(json.detect_encoding(raw))
        data = json.loads(text)
        if _HALF_CHARACTER.search(text):
            json.dumps(data, ensure_ascii=False).encode()  # raises where a half stands alone, which nobody could print
        return data
    except OSError as cause:
        raise error(f"{path}: cannot be read ({cause.strerror}); check the path") from None
    except (ValueError, RecursionError) as cause:  # not JSON, no text, or lists in lists without end
        reason = str(cause).splitlines()[0]
        raise error(f"{path}: not a JSON file ({reason}); write it again") from None


def is_id(value: Any) -> bool:
    """Whether a JSON value can name a record: a whole number or a text."""
    return type(value) in (int, str)


def is_number(value: Any) -> bool:
    """Whether a JSON value is a finite number; true and false are none."""
    if type(value) not in (int, float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more than 308 digits
        return False
