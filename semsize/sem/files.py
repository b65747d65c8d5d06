"""Opening an SEM file, with errors that name it and no noise from the libraries beneath."""

import contextlib
import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

import tifffile

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_logger = logging.getLogger(__name__)

_FOREIGN = (
    ("Gatan DigitalMicrograph", (".dm3", ".dm4"), (b"\0\0\0\3", b"\0\0\0\4")),
    ("HDF5", (".emd", ".hdf5", ".h5"), (b"\x89HDF\r\n\x1a\n",)),
    ("FEI TIA", (".ser", ".emi"), (b"II\x97\1",)),
    ("MRC", (".mrc",), ()),
    ("TVIPS", (".tvips",), ()),
    ("Bruker", (".bcf",), (b"AAMVHFSS",)),
    ("Zeiss CZI", (".czi",), (b"ZISRAWFILE",)),
    ("Leica LIF", (".lif",), ()),
    ("Nikon ND2", (".nd2",), (b"\xda\xce\xbe\n",)),
)
FOREIGN_ENDINGS = tuple(ending for _, endings, _ in _FOREIGN for ending in endings)
"""Endings of microscopes' own formats that are recognised but not read."""


class SEMReadError(ValueError):
    """An SEM file cannot be read as one grey image; the message names it and says what to do, in one line."""


def is_tiff(start: bytes) -> bool:
    """Whether a file that begins with these bytes (four suffice) is a TIFF or BigTIFF."""
    return start[:4] in _TIFF_MAGIC


def foreign_format(path: str | Path, start: bytes) -> str | None:
    """Name of the microscopes' format that a file has by its first bytes, or else by its ending; None: no such."""
    ending = Path(path).suffix.lower()
    by_start = (name for name, _, magics in _FOREIGN if magics and start.startswith(magics))
    by_ending = (name for name, endings, _ in _FOREIGN if ending in endings)
    return next(itertools.chain(by_start, by_ending), None)


def read_bytes(path: str | Path, limit: int = -1) -> bytes:
    """Contents of a file, or its first `limit` bytes.

    Raises:
        SEMReadError: it is missing, a folder, empty or not readable.
    """
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(limit)
    except OSError as cause:
        raise SEMReadError(f"{path}: cannot be read ({cause.strerror}); check the path") from None
    if not data:
        raise SEMReadError(f"{path}: the file is empty; copy it again from its source")
    return data


@contextlib.contextmanager
def open_tiff(path: str | Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF; whatever goes wrong in it or in the body becomes one `SEMReadError`.

    tifffile reports flaws it can live with to its log, tracebacks included: each reaches our log as one line.
    """
    log = logging.getLogger("tifffile")
    relay = _OneLineRelay(path)
    log.addHandler(relay)
    propagated, log.propagate = log.propagate, False
    try:
        with tifffile.TiffFile(path) as tiff:
            yield tiff
    except SEMReadError:
        raise
    except Exception as cause:  # tifffile lets struct.error, IndexError, zlib.error and others through
        cure = "install that package or export it uncompressed" if "imagecodecs" in str(cause) else "export it again"
        raise SEMReadError(f"{path}: not a readable TIFF ({_first_line(cause)}); {cure}") from None
    finally:
        log.removeHandler(relay)
        log.propagate = propagated


class _OneLineRelay(logging.Handler):
    def __init__(self, path: str | Path):
        super().__init__(logging.WARNING)
        self.path = path

    def emit(self, record: logging.LogRecord) -> None:
        _logger.warning("%s: %s", self.path, _first_line(record.getMessage()))


def _first_line(message: object) -> str:
    lines = str(message).splitlines()
    return lines[0] if lines else type(message).__name__
