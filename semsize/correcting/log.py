"""The log of an image's corrections: append-only, one JSON line for each operation, on disk before the caller goes on.

The detector's outlines stay as they are: outlines and log together give the corrected ones. One process at a time
writes a log. The lock is the operating system's (`flock`, on Windows `msvcrt.locking`), on a file beside the log: it
ends with the process, so that a kill leaves no lock, and a locked log can still be read on Windows.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from semsize.correcting.operations import Corrections, Operation, Outline
from semsize.correcting.shapes import CorrectionError
from semsize.structures.files import sync_folder

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOG_FORMAT = 1
MOST_LINE_BYTES = 2**26
"""Longest line of the log; an operation on all outlines of a large image fits into it."""

MOST_NAME_CHARACTERS = 1000

_BEGINNING = b'{"format":'  # of a log's first line


class CorrectionLog:
    """The corrections of one image, kept on disk: each method returns once its line is there.

    Use it in `with`, or call `close`.
    """

    def __init__(self, path: str | Path, corrections: Corrections, *, image: str, sha256: str):
        """Begin a log, or continue one.

        Args:
            path: the log; its folder is made. Beside it stand `.lock` and, after a kill, `.torn`.
            corrections: the outlines that the detector gave; the log's operations are done on them.
            image: the image's name.
            sha256: of the image file, in hex.

        Raises:
            CorrectionError: another process writes the log, or it is of another version, image or outlines, or damaged.
        """
        self.path, self.corrections = Path(path), corrections
        self.torn = 0  # unfinished lines that were put aside
        self._header = _header_of(corrections, image, sha256)
        self._end = 0  # bytes up to the end of the last whole line
        self._failed = False  # a write failed and may have left half a line after `_end`
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self._beside("lock"), self.path)
        except OSError as cause:
            raise self._unwritable(cause) from None
        try:
            self._stream = self.path.open("ab", buffering=0)
            self._replay()
        except OSError as cause:
            self.close()
            raise self._unwritable(cause) from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> CorrectionLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the log, so that another process may write it."""
        if hasattr(self, "_stream"):
            self._stream.close()
        self._lock.close()

    def apply(self, operation: Operation, person: str | None = None) -> None:
        """Write the line of an operation, then do it as `Corrections.apply` does."""
        self.corrections.check(operation)
        self._append(operation.kind, operation, person)
        self.corrections.apply(operation)

    def undo(self, person: str | None = None) -> Operation:
        """Write the line of an undo, then undo the last operation as `Corrections.undo` does."""
        self._append("undo", self.corrections.last_done().inverse(), person)
        return self.corrections.undo()

    def redo(self, person: str | None = None) -> Operation:
        """Write the line of a redo, then redo the last undone operation as `Corrections.redo` does."""
        self._append("redo", self.corrections.last_undone(), person)
        return self.corrections.redo()

    def _append(self, kind: str, change: Operation, person: str | None) -> None:
        self._write(
            {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "person": None if person is None else _name(person, "person"),
                "image": self._header["image"],
                "kind": kind,
                "before": _in_json(change.before),
                "after": _in_json(change.after),
                **({} if change.source is None else {"source": _name(change.source, "source")}),
            }
        )

    def _write(self, record: dict[str, Any]) -> None:
        line = json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"  # a newline in a name becomes \n
        if len(line) > MOST_LINE_BYTES:
            raise CorrectionError(f"{self.path}: an operation on so many outlines is too long; select fewer")
        try:
            self._take_back()
            self._check_unchanged()
            self._failed = True
            if self._stream.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._stream.fileno())
        except OSError as cause:
            with contextlib.suppress(OSError):  # the next write tries again
                self._take_back()
            raise self._unwritable(cause) from None
        self._failed, self._end = False, self._end + len(line)

    def _take_back(self) -> None:
        """Cut off what a failed write left."""
        if self._failed:
            self._stream.truncate(self._end)
            self._failed = False

    def _check_unchanged(self) -> None:
        """Raise CorrectionError if another program changed the file: a further line would be lost, or damage it."""
        here = os.fstat(self._stream.fileno())
        try:
            is_same = os.path.samestat(here, self.path.stat()) and here.st_size == self._end
        except FileNotFoundError:
            is_same = False
        if not is_same:
            raise CorrectionError(f"{self.path}: another program changed or replaced it; start this program again")

    def _replay(self) -> None:
        """Do the log's operations and put an unfinished last line aside; write the header if the log is empty."""
        whole, half = _done_lines(self.path, self.corrections, self._header)
        if half:
            self._put_aside(half, whole)
        self._end = whole
        if whole == 0:
            self._write(self._header)
            sync_folder(self.path.parent)

    def _put_aside(self, half: bytes, whole: int) -> None:
        """Move an unfinished last line, which a killed process left, to the file `.torn`; no caller had its answer."""
        if len(half) == MOST_LINE_BYTES or (whole == 0 and half[: len(_BEGINNING)] != _BEGINNING[: len(half)]):
            raise CorrectionError(f"{self.path}: is no log of corrections; put the file aside to begin anew")
        with self._beside("torn").open("ab") as torn:
            torn.write(half + b"\n")
            torn.flush()
            os.fsync(torn.fileno())
        self._stream.truncate(whole)
        os.fsync(self._stream.fileno())
        self.torn += 1

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{ending}")

    def _unwritable(self, cause: OSError) -> CorrectionError:
        return CorrectionError(f"{self.path}: cannot be written ({cause.strerror}); free space or check the folder")


def read_log(path: str | Path, corrections: Corrections, *, image: str, sha256: str) -> Corrections:
    """Do the operations of a log, which is only read, on a detector's outlines; without a log they stay as given.

    An unfinished last line, of a writer at work or killed, does not count. Arguments and errors are those of
    `CorrectionLog`.
    """
    path = Path(path)
    if path.is_file():
        try:
            _done_lines(path, corrections, _header_of(corrections, image, sha256))
        except OSError as cause:
            raise CorrectionError(f"{path}: cannot be read ({cause.strerror}); check the file") from None
    return corrections


def _header_of(corrections: Corrections, image: str, sha256: str) -> dict[str, Any]:
    return {
        "format": LOG_FORMAT,
        "image": _name(image, "image"),
        "sha256": sha256,
        "size": list(corrections.image_shape),
        "outlines_sha256": hashlib.sha256(repr(sorted(corrections.outlines.items())).encode()).hexdigest(),
    }


def _done_lines(path: Path, corrections: Corrections, header: dict[str, Any]) -> tuple[int, bytes]:
    """Do the operations in the whole lines of a log; return the bytes of these lines, and an unfinished last line."""
    whole, half = 0, b""
    with path.open("rb") as stream:
        for number, line in enumerate(iter(lambda: stream.readline(MOST_LINE_BYTES), b""), 1):
            if not line.endswith(b"\n"):
                half = line
                break
            try:
                record = json.loads(line)
                _check_header(record, header) if number == 1 else _do(corrections, record)
            except CorrectionError as cause:
                raise CorrectionError(f"{path}: line {number}: {cause}") from None
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                fault = "is no operation; put the log aside, or repair that line"
                raise CorrectionError(f"{path}: line {number} {fault}") from None
            whole += len(line)
    return whole, half


def _check_header(record: Any, header: dict[str, Any]) -> None:
    if not isinstance(record, dict) or record.get("format") != LOG_FORMAT:
        raise CorrectionError("the log is of another version of this program; put it aside to begin anew")
    if record.get("sha256") != header["sha256"] or record.get("size") != header["size"]:
        raise CorrectionError("the log is of another image than this file; put it aside to begin anew")
    if record.get("outlines_sha256") != header["outlines_sha256"]:
        raise CorrectionError("the log is of other outlines of this image; put it aside to begin anew")


def _do(corrections: Corrections, record: dict[str, Any]) -> None:
    """Apply the operation of a line of the log."""
    kind = record["kind"]
    source = None if (source := record.get("source")) is None else _name(source, "source")
    change = Operation(kind, _from_json(record["before"]), _from_json(record["after"]), source)
    if kind not in ("undo", "redo"):
        corrections.apply(change)
        return
    wanted = corrections.last_done().inverse() if kind == "undo" else corrections.last_undone()
    if (wanted.before, wanted.after) != (change.before, change.after):
        raise CorrectionError(f"{kind} of another operation than the last one; put the log aside to begin anew")
    corrections.undo() if kind == "undo" else corrections.redo()


def _name(text: str, what: str) -> str:
    if not isinstance(text, str) or len(text) > MOST_NAME_CHARACTERS:
        raise CorrectionError(f"the name of the {what} is longer than {MOST_NAME_CHARACTERS} characters; shorten it")
    return text


def _in_json(outlines: Any) -> dict[str, list]:
    return {str(number): [each.counts, each.state, each.is_particle] for number, each in outlines.items()}


def _from_json(outlines: dict[str, list]) -> dict[int, Outline]:
    return {int(number): Outline(*values) for number, values in outlines.items()}


def _locked(path: Path, log: Path) -> IO[bytes]:
    """Open a file and lock it until it is closed."""
    stream = path.open("a+b")
    try:
        if fcntl is not None:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt  # exists on Windows only

            stream.seek(0)
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError:
        stream.close()
        raise CorrectionError(
            f"{log}: another process is correcting it; close that page, or open this one read-only"
        ) from None
    return stream
