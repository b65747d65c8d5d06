"""Damage files of every kind that the programs read, at random, and count the tracebacks.

python tools/benchmarks/damaged_files.py --number 10000 --seed 0
python tools/benchmarks/damaged_files.py --reader COCO --only 4711        # one file again, with its traceback

A reader may read a damaged file (a byte in the pixels), leave parts out and say so, or refuse it in one line. Anything
else counts as a traceback: another exception, a message of several lines, more than 2 GB of memory, more than 20 s.
The damage depends on the seed, the reader and the file's number alone. Exit code 1 after a traceback.
"""

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

import cv2
import numpy as np
from damaged_samples import (
    GREY,
    LABELS,
    SHAPE,
    coco,
    damaged_bytes,
    damaged_json,
    encoded,
    labelme,
    ours,
    part,
    predictions,
    roi_files,
    tiffs,
    via,
)
from tqdm import tqdm

from semsize.exchange import (
    Account,
    ExchangeError,
    ImageFolder,
    annotated_masks,
    read_coco,
    read_imagej,
    read_label_images,
    read_labelme,
    read_via,
)
from semsize.measuring.inputs import ImageFile, MeasuringError
from semsize.measuring.outline_files import outlines_from_coco
from semsize.measuring.results_folder import ImageResult, PartError
from semsize.metrology.comparison import image_truths
from semsize.sem import SEMReadError, read_grey, read_pixel_size
from semsize.structures import AnnotationError, CroppedMasks, read_annotations
from semsize.structures.files import read_json

MOST_BYTES = 2 << 30
MOST_SECONDS = 20
REFUSALS = (SEMReadError, ExchangeError, AnnotationError, MeasuringError, PartError)


@dataclass(frozen=True)
class Reader:
    """A kind of file: whole files, how to damage them, and how a program reads them.

    Attributes:
        whole: yields the contents of whole files; takes a folder to work in.
        name: the file's name.
        damage: returns damaged contents; takes contents and a generator.
        read: returns whether a part of the file was left out and reported; takes its path.
    """

    whole: Callable[[Path], Iterator[bytes]]
    name: str
    damage: Callable[[bytes, np.random.Generator], bytes]
    read: Callable[[Path], bool]


def _drawn(read: Callable[[Path, ImageFolder, Account], Iterator]) -> Callable[[Path], bool]:
    """A reader that treats annotations, with a.png beside them, as a converter does."""

    def read_all(path: Path) -> bool:
        account, images = Account(), ImageFolder.of_files([path.with_name("a.png")])
        troubles = []
        for image in read(path, images, account):
            annotated_masks(image, SHAPE, account)
            troubles += [] if image.trouble is None else [image.trouble]
        text = "\n".join([*account.lines(3), *troubles])
        text.encode()
        if len(text.splitlines()) > len(account.faults) + len(troubles):
            raise AssertionError(f"more than one line a kind: {text!r}")
        return bool(text)

    return read_all


def _labels(path: Path, images: ImageFolder, account: Account) -> Iterator:
    return read_label_images(images, ImageFolder.of_files([path]), account, suffix="_labels")


def _found(path: Path) -> bool:
    """Read outlines of another measurement as measure.py does; return whether there were notes."""
    picture = path.with_name("a.png")
    source = outlines_from_coco(path, [ImageFile(picture, "a.png")])
    for records in filter(None, source.images.values()):
        sizes = {tuple(record["segmentation"]["size"]) for record in records}
        if len(sizes) == 1:  # a measurement leaves out an image whose outlines have several sizes
            CroppedMasks.from_rles([record["segmentation"] for record in records], sizes.pop())
    return bool(source.notes)


def _nothing_noted(read: Callable[[Path], Any]) -> Callable[[Path], bool]:
    def read_it(path: Path) -> bool:
        read(path)
        return False

    return read_it


def _json(make: Callable[[], Any]) -> Callable[[Path], Iterator[bytes]]:
    return lambda _: iter([json.dumps(make()).encode()])


def _result(path: Path) -> ImageResult:
    return ImageResult.from_part(ImageFile(path.with_name("a.png"), "a.png"), read_json(path, PartError))


def _truths(path: Path) -> list:
    return image_truths(read_annotations(path))


READERS = {
    "picture, TIFF": Reader(lambda _: tiffs(GREY), "b.tif", damaged_bytes, _nothing_noted(read_grey)),
    "picture, PNG BMP JPEG": Reader(lambda _: encoded(GREY), "b.png", damaged_bytes, _nothing_noted(read_grey)),
    "pixel size": Reader(lambda _: tiffs(GREY), "b.tif", damaged_bytes, _nothing_noted(read_pixel_size)),
    "labels, TIFF": Reader(lambda _: tiffs(LABELS), "a_labels.tif", damaged_bytes, _drawn(_labels)),
    "labels, PNG BMP": Reader(lambda _: encoded(LABELS), "a_labels.png", damaged_bytes, _drawn(_labels)),
    "COCO": Reader(_json(coco), "c.json", damaged_json, _drawn(read_coco)),
    "LabelMe": Reader(_json(labelme), "a.json", damaged_json, _drawn(lambda p, *more: read_labelme(p.parent, *more))),
    "VIA": Reader(_json(via), "v.json", damaged_json, _drawn(lambda *all_: read_via(*all_, group="particle"))),
    "predictions": Reader(_json(predictions), "p.json", damaged_json, _found),
    "annotations": Reader(_json(ours), "o.json", damaged_json, _nothing_noted(_truths)),
    "parts of results": Reader(_json(part), "r.json", damaged_json, _nothing_noted(_result)),
    "ROI zips": Reader(roi_files, "a.zip", damaged_bytes, _drawn(lambda p, *more: read_imagej(p.parent, *more))),
}  # fmt: skip


@dataclass
class Tally:
    """Counts of a reader's damaged files by outcome; `failed`: number of the file to its error."""

    read: int = 0
    left_out: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    failed: dict[int, str] = field(default_factory=dict)


def try_reader(name: str, numbers: range, seed: int, *, show: bool = False) -> Tally:
    """Damage files for one reader and read each."""
    reader, tally = READERS[name], Tally()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "in"
        folder.mkdir()
        whole = list(reader.whole(folder))
        cv2.imwrite(str(folder / "a.png"), GREY)
        for number in tqdm(numbers, desc=name, disable=None):
            rng = np.random.default_rng((seed, list(READERS).index(name), number))
            path = folder / reader.name
            path.write_bytes(reader.damage(whole[int(rng.integers(0, len(whole)))], rng))
            began = time.monotonic()
            try:
                with _time_limit():
                    noted = reader.read(path)
            except REFUSALS as error:
                one_line = len(str(error).splitlines()) == 1
                tally.refused += one_line
                if not one_line:
                    tally.failed[number] = f"a message of several lines: {error!r}"
            except (Exception, _TooSlowError) as error:
                if show:
                    traceback.print_exc()
                tally.failed[number] = repr(error)[:200]
            else:
                tally.read += not noted
                tally.left_out += noted
            tally.slowest_s = max(tally.slowest_s, time.monotonic() - began)
    return tally


class _TooSlowError(BaseException):
    """The time limit is over; a `BaseException`, since readers turn every `Exception` of a library into a refusal."""


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    """Raise `_TooSlowError` in a block that takes longer than MOST_SECONDS."""

    def end(*_):
        raise _TooSlowError(f"more than {MOST_SECONDS} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(MOST_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def main() -> int:
    """Damage files, read them and print the counts; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=1000, help="damaged files a reader (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the damage (default: %(default)s)")
    parser.add_argument("--reader", choices=READERS, action="append", help="try only this reader; may be repeated")
    parser.add_argument("--only", type=int, metavar="N", help="try only the file of this number and show its traceback")
    options = parser.parse_args()
    import resource  # not on Windows

    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES + _address_space(), resource.RLIM_INFINITY))
    numbers = range(options.number) if options.only is None else range(options.only, options.only + 1)
    logging.getLogger("tio2").setLevel(logging.CRITICAL)  # libraries warn for each file
    print("reader                 damaged     read  left out  refused  tracebacks  slowest, s")
    failed = False
    for name in options.reader or READERS:
        tally = try_reader(name, numbers, options.seed, show=options.only is not None)
        counts = f"{tally.read:8} {tally.left_out:9} {tally.refused:8} {len(tally.failed):11} {tally.slowest_s:11.2f}"
        print(f"{name:22} {len(numbers):7} {counts}", flush=True)
        for number, error in list(tally.failed.items())[:20]:
            print(f"    --seed {options.seed} --reader '{name}' --only {number}: {error}")
        failed |= bool(tally.failed)
    return int(failed)


def _address_space() -> int:
    """Bytes of address space that this process already has."""
    import resource  # not on Windows

    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    sys.exit(main())
