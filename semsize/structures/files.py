"""Write files that appear whole or not at all, read and write JSON, identify files by their SHA-256."""

import hashlib
import json
import math
import numbers
import os
import re
import types
import typing
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)
"""Errors that Python's zipfile raises for damaged files, encrypted entries, unknown compression and odd dates."""

_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")  # escape of a surrogate, which counts only in a pair


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file in hex; OSError if it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_sha256(named: Iterable[tuple[str, Path]]) -> str:
    """Return the SHA-256, in hex, of a text with one line per file, its name and SHA-256, in the given order."""
    listing = "".join(f"{name} {file_sha256(path)}\n" for name, path in named)
    return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()


def whole_file(path: str | Path, write: Callable[[Path], object], *, durable: bool = False) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it: a reader sees the old file or the new one.

    Args:
        path: the file; its folder is created.
        write: fills the file whose path it is given.
        durable: also force the file to disk, so that even a power cut leaves the old file or the new one.

    Raises:
        OSError: the file cannot be written; the temporary file is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(part)
        if durable:
            with part.open("r+b") as file:
                os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Force the names of a folder's files to disk; Windows cannot open folders and does so itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: str | Path, content: bytes, *, durable: bool = False) -> None:
    """Write bytes to a file that appears whole or not at all (see `whole_file`)."""
    whole_file(path, lambda part: part.write_bytes(content), durable=durable)


def write_json(path: str | Path, data: Any, *, indent: int | None = None, durable: bool = False) -> None:
    """Write data as JSON to a file that appears whole or not at all (see `whole_file`).

    Args:
        path: the file; its folder is created.
        data: JSON's types, without NaN and infinity; `in_json` converts others.
        indent: spaces per level, for files that people read; None writes one line without spaces.
        durable: see `whole_file`.

    Raises:
        ValueError: `data` holds NaN or infinity.
    """

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8") as stream:
            separators = (",", ":") if indent is None else None
            json.dump(data, stream, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)

    whole_file(path, write, durable=durable)


def dotted(record: Mapping, prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings into one dictionary with dotted keys.

    >>> dotted({"seed": 0, "size": {"rows": 9}})
    {'seed': 0, 'size.rows': 9}
    """
    pairs = {}
    for key, value in record.items():
        pairs |= dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return pairs


def in_json(value: Any) -> Any:
    """Convert nested data to JSON's types: NaN and infinity to None, NumPy's floats to Python's, paths to text.

    Dataclasses become dictionaries. NumPy's integers are not converted.

    >>> in_json({"d50_nm": float("nan"), "edges": (1, 2.5)})
    {'d50_nm': None, 'edges': [1, 2.5]}
    """
    if is_dataclass(value):
        return {field.name: in_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: in_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [in_json(item) for item in value]
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        return float(value) if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def read_json(path: str | Path, error: type[ValueError]) -> Any:
    """Read a JSON file in any Unicode encoding, with or without a byte order mark.

    Raises:
        error: the file is missing or not JSON; one line that names it.
    """
    try:
        raw = Path(path).read_bytes()
        text = raw.decode(json.detect_encoding(raw))
        data = json.loads(text)
        if _HALF_CHARACTER.search(text):
            json.dumps(data, ensure_ascii=False).encode()  # raises for a lone surrogate, which cannot be printed
        return data
    except OSError as cause:
        raise error(f"{path}: cannot be read ({cause.strerror}); check the path") from None
    except (ValueError, RecursionError) as cause:  # not JSON, not text, or nested too deeply
        reason = str(cause).splitlines()[0]
        raise error(f"{path}: not a JSON file ({reason}); write it again") from None


_EXPECTED = {Mapping: (dict, "names with values"), bool: (bool, "true or false")}
"""Type hint to the Python type that JSON gives for it, and that type's name in messages; other hints are texts."""


OLDER_FILES_LACK = "older files lack it"
"""Metadata key, True for dataclass fields that older files may lack: `from_json` then takes the default."""

_SCHEMA_TYPES = {int: "integer", float: "number", bool: "boolean", Mapping: "object"}


def is_number(value: Any) -> bool:
    """Return whether a JSON value is a finite number; true and false are not."""
    if type(value) not in (int, float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more than 308 digits
        return False


def from_json(value: Any, hint: Any, name: str = "") -> Any:
    """Rebuild what `in_json` made from its type hint: dataclass, tuple, number, bool, mapping, text, path, `X | None`.

    Raises:
        ValueError: a key is missing or unknown, or a value has the wrong type; the message is a clause.
    """
    kind, parts = typing.get_origin(hint) or hint, typing.get_args(hint)
    if kind is types.UnionType:
        return None if value is None else from_json(value, parts[0], name)
    if is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        found = set(value if isinstance(value, dict) else ())
        if wrong := (_required(kind) - found) | (found - set(hints)):
            raise ValueError(f"{name or 'the record'} lacks or has in excess: {', '.join(sorted(map(str, wrong)))}")
        place = f" of {name}" if name else ""
        return kind(**{key: from_json(item, hints[key], f"{key}{place}") for key, item in value.items()})
    if kind is tuple:
        count = "" if parts[-1] is ... else f" of {len(parts)}"
        if not isinstance(value, list) or (count and len(value) != len(parts)):
            raise ValueError(f"{name} is {value!r}, not a list{count}")
        hints = parts if count else parts[:1] * len(value)
        items = zip(value, hints, range(1, len(value) + 1), strict=True)
        return tuple(from_json(item, hint, f"{name} {number}") for item, hint, number in items)
    if kind in (int, float):
        if not is_number(value) or (kind is int and not isinstance(value, int)):
            raise ValueError(f"{name} is {value!r}, not a {'whole ' if kind is int else ''}number")
        return kind(value)
    expected, words = _EXPECTED.get(kind, (str, "a text"))
    if not isinstance(value, expected):
        raise ValueError(f"{name} is {value!r}, not {words}")
    return Path(value) if kind is Path else value


def _required(kind: type) -> set[str]:
    """Return the names of the fields that every file must have."""
    return {field.name for field in fields(kind) if not field.metadata.get(OLDER_FILES_LACK)}


def json_schema(hint: Any) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the values that `from_json` reads for a type hint.

    >>> json_schema(tuple[float, ...] | None)
    {'anyOf': [{'type': 'array', 'items': {'type': 'number'}}, {'type': 'null'}]}
    """
    kind, parts = typing.get_origin(hint) or hint, typing.get_args(hint)
    if kind is types.UnionType:
        return {"anyOf": [json_schema(parts[0]), {"type": "null"}]}
    if is_dataclass(kind):
        properties = {name: json_schema(part) for name, part in typing.get_type_hints(kind).items()}
        required = [name for name in properties if name in _required(kind)]
        closed = {"additionalProperties": False}
        return {"title": kind.__name__, "type": "object", "properties": properties, "required": required, **closed}
    if kind is tuple and parts[-1] is ...:
        return {"type": "array", "items": json_schema(parts[0])}
    if kind is tuple:
        items = [json_schema(part) for part in parts]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    return {"type": _SCHEMA_TYPES.get(kind, "string")}
