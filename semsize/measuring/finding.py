"""Finds the particles of images and keeps the results, in one process or shared by several.

Environment variables of a launcher say which process this is. Each process measures its share of the images, and the
first process joins the results. Processes exchange data only through files of the results folder.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from tqdm import tqdm

from semsize.measuring.inputs import ImageFile, InputError, MeasurementSettings, MeasuringError
from semsize.measuring.outlines import Find, Frame, FramedSource, NoOutlinesError, Outlines, OutlineSource
from semsize.measuring.results_folder import ImageResult, ResultsFolder
from semsize.sem import SEMReadError, find_captions, read_scale
from semsize.sem.statements import AGREEMENT
from semsize.structures.files import file_sha256
from semsize.structures.parts import processes_for
from semsize.structures.pixel_size import PixelSize

LAUNCHERS = {  # launcher to the names of its environment variables, by torchrun's names
    "pytorch": {"RANK": "RANK", "WORLD_SIZE": "WORLD_SIZE", "LOCAL_RANK": "LOCAL_RANK"},
    "slurm": {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"},
    "mpi": {
        "RANK": "OMPI_COMM_WORLD_RANK",
        "WORLD_SIZE": "OMPI_COMM_WORLD_SIZE",
        "LOCAL_RANK": "OMPI_COMM_WORLD_LOCAL_RANK",
    },
}
_PAUSE_S = 0.2  # between two checks of the folder
PATIENCE_S = 3600.0
"""Seconds without a new result in the folder after which the other processes are taken for dead."""


def find_all(
    files: Sequence[ImageFile], source: OutlineSource, settings: MeasurementSettings, folder: ResultsFolder, jobs: int
) -> Iterator[int]:
    """Find the particles of all images in `jobs` processes, and write each result to the folder.

    Yields:
        Number of particles in each image as it is done, in any order.

    Raises:
        MeasuringError: a process was killed.
    """
    processes = max(1, min(jobs, len(files)))
    finder = _Finder(source, settings, folder, processes)
    with processes_for(processes, MeasuringError, finder) as run:
        yield from run(_Finder.measure, [(file,) for file in files])


@dataclass(frozen=True, eq=False)
class _Finder:
    """Finds the particles of images one by one; each process has its own."""

    source: OutlineSource
    settings: MeasurementSettings
    folder: ResultsFolder  # where results are written
    processes: int  # number that share this machine

    @cached_property
    def find(self) -> Find:
        """The function that finds the particles of an image; the first access opens the source."""
        return self.source.open(self.processes)

    def measure(self, file: ImageFile) -> int:
        """Find the particles of an image and write the result, unless the folder has a current one.

        Returns:
            Number of particles from the score threshold on; 0 if the image was left out, with the reason in the folder.
        """
        find, done = self.find, self.folder.read_current(file)
        if done is not None:
            return done.counted(self.settings.score)
        try:
            frame, digest = _load(file, self.settings)
            rows = self.source.rows_of(file) if isinstance(self.source, FramedSource) else None
            measured = frame if rows is None else frame.within(rows)
            began = time.monotonic()
            outlines = find(measured)
        except (SEMReadError, NoOutlinesError, OSError) as cause:
            self.folder.write_failure(file, str(cause).splitlines()[0])
            return 0
        if measured is not frame:
            rows = f"rows {measured.top} to {measured.bottom} of the file"
            note = f"measured only in {rows}, where its outlines were made"
            outlines = replace(outlines, notes=(*outlines.notes, note))
        result = _result(measured, digest, outlines, time.monotonic() - began)
        self.folder.write_result(result)
        return result.counted(self.settings.score)


def _load(file: ImageFile, settings: MeasurementSettings) -> tuple[Frame, str]:
    """Return an image without its data bars, and the SHA-256 of its file.

    Raises:
        SEMReadError: the file cannot be read, states two pixel sizes, or has no row left between data bars.
    """
    digest = file_sha256(file.path)
    image = settings.read(file.path)
    size, _ = scale_of(file, None, settings, image.grey.shape)  # raises early, before the costly detection
    return Frame(file, image.specimen, len(image.grey), image.top, size), digest


def scale_of(
    file: ImageFile, other: PixelSize | None, settings: MeasurementSettings, shape: tuple[int, int]
) -> tuple[PixelSize | None, tuple[str, ...]]:
    """Return the pixel size of the settings, else of the file, else `other`, which the source of outlines states.

    `shape` is the (H, W) of the file.

    Returns:
        The calibrated pixel size, None if nobody states it; and notes on what is odd about it.

    Raises:
        SEMReadError: the file's statement cannot be understood, or file and source contradict each other.
    """
    size, notes = read_scale(file.path, settings.pixel_size, shape)
    both = settings.pixel_size is None and size is not None and other is not None
    if both and abs(size.value_nm / other.value_nm - 1) > AGREEMENT:
        raise SEMReadError(
            f"{file.path}: two pixel sizes, {size.value_nm:g} nm ({size.source}) and {other.value_nm:g} nm "
            f"({other.source}); find out which is right and give --pixel-size"
        )
    return settings.calibrated(size or other), notes


def _result(frame: Frame, digest: str, outlines: Outlines, seconds: float) -> ImageResult:
    outlines = outlines.without_empty()
    masks = outlines.masks
    captions = find_captions(frame.grey)
    file_shape = (frame.file_rows, frame.grey.shape[1])
    return ImageResult(
        file=frame.file,
        sha256=digest,
        file_shape=file_shape,
        top=frame.top,
        frame_rows=masks.image_shape[0],
        rles=masks.expand(file_shape, frame.top, 0).to_rles(),
        scores=outlines.scores,
        boxes=outlines.boxes + np.float32((0, frame.top, 0, frame.top)),
        states=outlines.states,
        on_caption=masks.touched_by(captions),
        caption_px=int(captions.sum()),
        pixel_size=outlines.pixel_size,
        notes=tuple(outlines.notes),
        seconds=seconds,
        scales=outlines.scales,
        seen=outlines.seen,
        whole_rles=() if outlines.whole is None else outlines.whole.expand(file_shape, frame.top, 0).to_rles(),
    )


@dataclass(frozen=True)
class Ranks:
    """The number of this process (`rank`), and the number of processes (`world`)."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes the files of the whole measurement."""
        return self.rank == 0

    def share(self, files: Sequence[ImageFile]) -> Sequence[ImageFile]:
        """The images that this process measures."""
        return files[self.rank :: self.world]

    def others(self, files: Sequence[ImageFile]) -> list[ImageFile]:
        """The images that the other processes measure."""
        return [file for number, file in enumerate(files) if number % self.world != self.rank]

    def wait_for_folder(self, folder: ResultsFolder) -> None:
        """Wait until the first process has made the results folder; raise `InputError` after `PATIENCE_S`."""
        began = time.monotonic()
        while not folder.is_claimed():
            _check_patience(began, f"{folder.path} was not made by the first process")
            time.sleep(_PAUSE_S)

    def wait_for_others(self, files: Sequence[ImageFile], folder: ResultsFolder) -> None:
        """Wait until the other processes have written a result or a failure for each of their images.

        Raises:
            InputError: no process wrote anything for `PATIENCE_S`.
        """
        missing, last = self.others(files), time.monotonic()
        with tqdm(total=len(missing), desc="other processes", unit="image", disable=None) as bar:
            while left := [file for file in missing if not folder.is_done(file)]:
                if len(left) < len(missing):
                    last = time.monotonic()
                    bar.update(len(missing) - len(left))
                missing = left
                _check_patience(
                    last, f"{len(left)} images of other processes are missing, the first is {left[0].name},"
                )
                time.sleep(_PAUSE_S)
            bar.update(len(missing))


def _check_patience(since: float, what: str) -> None:
    if time.monotonic() - since > PATIENCE_S:
        minutes = PATIENCE_S / 60
        raise InputError(f"{what} for {minutes:g} minutes: another process has ended; start the same command again")


def ranks_of(launcher: str) -> Ranks:
    """Read which of a launcher's processes this is; the launcher `none` stands for a single process.

    Raises:
        InputError: the launcher did not start this process.
    """
    if launcher == "none":
        return Ranks()
    variables = [LAUNCHERS[launcher][name] for name in ("RANK", "WORLD_SIZE")]
    try:
        return Ranks(*(int(os.environ[name]) for name in variables))
    except (KeyError, ValueError):
        raise InputError(
            f"--launcher {launcher} was given, but {' and '.join(variables)} are not set: start with python -m "
            "torch.distributed.run, or srun"
        ) from None


def device_of(device: str) -> str:
    """Return the device of this process: `cuda` becomes `cuda:N`, N the number of the process on this machine."""
    names = [variables["LOCAL_RANK"] for variables in LAUNCHERS.values()]
    local = next((os.environ[name] for name in names if name in os.environ), "0")
    return f"cuda:{local}" if device == "cuda" else device
