"""All images through the source of outlines: in this process, or shared by several on this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

import cv2

from semsize.measuring.errors import MeasuringError
from semsize.measuring.finding import measure_files
from semsize.measuring.images import ImageFile
from semsize.measuring.outlines import Find, OutlineSource
from semsize.measuring.results_folder import ResultsFolder
from semsize.measuring.settings import Settings

_source: list[OutlineSource] = []  # in a worker process: the source, and what it opened
_opened: list[Find] = []


def find_all(
    files: Sequence[ImageFile], source: OutlineSource, settings: Settings, folder: ResultsFolder, jobs: int
) -> Iterator[int]:
    """Find and keep the particles of all images.

    Args:
        files: the images.
        source: where outlines come from.
        settings: of the measurement.
        folder: where results are kept.
        jobs: processes on this machine.

    Yields:
        Particles of each image as it is done, in any order.

    Raises:
        MeasuringError: a process was killed.
    """
    size = source.batch_size
    chunks = [files[start : start + size] for start in range(0, len(files), size)]
    if jobs == 1 or len(chunks) < 2:
        find = source.open(1)
        for chunk in chunks:
            yield from measure_files(chunk, find, settings, folder)
        return
    processes = min(jobs, len(chunks))
    with processes_for(processes, _keep_source, (source,)) as run:
        for counts in run(_measure, [(chunk, settings, folder, processes) for chunk in chunks]):
            yield from counts


@contextlib.contextmanager
def processes_for(jobs: int, initializer: Callable, arguments: tuple = ()) -> Iterator[Callable]:
    """A function that runs another on many arguments in `jobs` processes and yields what it returns, as it comes.

    Raises:
        MeasuringError: a process was killed.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=initializer, initargs=arguments)

    def run(function: Callable, tasks: Iterable[tuple]) -> Iterator:
        for future in as_completed([pool.submit(function, *task) for task in tasks]):
            yield future.result()

    try:
        yield run
    except BrokenProcessPool:
        raise MeasuringError(
            f"one of {jobs} processes was ended from outside or ran out of memory; start again with fewer --jobs"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def quiet_process() -> None:
    """What every worker process begins with: one thread for OpenCV, and Ctrl-C left to the process that started it."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _keep_source(source: OutlineSource) -> None:
    quiet_process()
    _source.append(source)


def _measure(files: Sequence[ImageFile], settings: Settings, folder: ResultsFolder, processes: int) -> list[int]:
    if not _opened:
        _opened.append(_source[0].open(processes))
    return list(measure_files(files, _opened[0], settings, folder))
