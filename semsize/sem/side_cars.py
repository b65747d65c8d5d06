"""Pixel sizes in the text files that Hitachi, JEOL and TESCAN instruments write beside an image of the same name."""

from __future__ import annotations

import functools
import os
import time
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from semsize.sem.files import read_bytes
from semsize.sem.makers_texts import hitachi_text, jeol_text, tescan_text
from semsize.sem.statements import Statements, decoded

_LARGEST_BYTES = 1 << 20
_SETTLED_NS = 5_000_000_000  # since a folder changed last, after which its listing is kept


def side_car_statements(stated: Statements) -> None:
    """What the text files beside an image say, if a maker wrote them; any other text file counts for nothing.

    Looked for are NAME.txt (Hitachi, JEOL) and NAME-tif.hdr (TESCAN) in any case.

    Raises:
        SEMReadError: one cannot be read or understood, or the image has been resized since.
    """
    for side_car in _beside(stated.path):
        text = decoded(read_bytes(side_car, _LARGEST_BYTES)) if side_car.stat().st_size else ""
        name = side_car.name
        if not hitachi_text(text, name, stated) and not jeol_text(text, name, stated):
            tescan_text(text, name, stated)


def _beside(path: Path) -> Iterable[Path]:
    """Text files that may belong to an image; names in another case only where no other image has just that name."""
    ending = path.suffix[1:]
    wanted = {_folded(f"{path.stem}{end}") for end in (".txt", f"{path.suffix}.txt", f"-{ending}.hdr", ".hdr")}
    names = _names(path.parent)
    found = sorted({name for folded in wanted for name in names.get(folded, ()) if name != path.name})
    own = [name for name in found if name.startswith(path.stem)]
    return [path.with_name(name) for name in own or found if own or not _belongs_to_another(name, path, names)]


def _belongs_to_another(name: str, path: Path, names: dict[str, list[str]]) -> bool:
    alike = names.get(_folded(path.name), ())
    return any(other != path.name and name.startswith(Path(other).stem) for other in alike)


def _names(folder: Path) -> dict[str, list[str]]:
    changed = folder.stat().st_mtime_ns
    now = time.time_ns()
    return _listed(folder, changed if now - changed > _SETTLED_NS else now)


@functools.lru_cache(maxsize=2)
def _listed(folder: Path, _changed: int) -> dict[str, list[str]]:
    """Files of a folder by their names without case, so that many images cost one listing."""
    names: dict[str, list[str]] = {}
    for name in os.listdir(folder):
        names.setdefault(_folded(name), []).append(name)
    return names


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
