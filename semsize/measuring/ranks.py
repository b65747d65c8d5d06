"""Several processes that a launcher started: each measures its share of the images, the first one joins them.

The launcher's variables say which process this is. Nothing passes between the processes but the results folder's files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tqdm import tqdm

from semsize.measuring.errors import InputError
from semsize.measuring.images import ImageFile
from semsize.measuring.results_folder import ResultsFolder

LAUNCHERS = {  # whose variables say which process this is, under torchrun's names
    "pytorch": {"RANK": "RANK", "WORLD_SIZE": "WORLD_SIZE", "LOCAL_RANK": "LOCAL_RANK"},
    "slurm": {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"},
    "mpi": {
        "RANK": "OMPI_COMM_WORLD_RANK",
        "WORLD_SIZE": "OMPI_COMM_WORLD_SIZE",
        "LOCAL_RANK": "OMPI_COMM_WORLD_LOCAL_RANK",
    },
}
_PAUSE_S = 0.2  # between two looks at the folder
PATIENCE_S = 3600.0
"""How long nothing may happen in the folder before the other processes are taken for dead."""


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    def share(self, files: Sequence[ImageFile]) -> Sequence[ImageFile]:
        """The images that this process measures."""
        return files[self.rank :: self.world]

    def others(self, files: Sequence[ImageFile]) -> list[ImageFile]:
        """The images that the other processes measure."""
        return [file for number, file in enumerate(files) if number % self.world != self.rank]

    def wait_for_folder(self, folder: ResultsFolder) -> None:
        """Wait until the first process has made the results folder.

        Raises:
            InputError: it did not for `PATIENCE_S`.
        """
        began = time.monotonic()
        while not folder.is_claimed():
            _be_patient(began, f"{folder.path} was not made by the first process")
            time.sleep(_PAUSE_S)

    def wait_for_others(self, files: Sequence[ImageFile], folder: ResultsFolder) -> None:
        """Wait until the other processes have kept a result, or a reason to leave it out, of each of their images.

        Raises:
            InputError: none of them kept anything for `PATIENCE_S`.
        """
        missing, last = self.others(files), time.monotonic()
        with tqdm(total=len(missing), desc="other processes", unit="image", disable=None) as bar:
            while left := [file for file in missing if not folder.is_done(file)]:
                if len(left) < len(missing):
                    last = time.monotonic()
                    bar.update(len(missing) - len(left))
                missing = left
                _be_patient(last, f"{len(left)} images of other processes are missing, the first is {left[0].name},")
                time.sleep(_PAUSE_S)
            bar.update(len(missing))


def _be_patient(since: float, what: str) -> None:
    if time.monotonic() - since > PATIENCE_S:
        minutes = PATIENCE_S / 60
        raise InputError(f"{what} for {minutes:g} minutes: another process has ended; start the same command again")


def ranks_of(launcher: str) -> Ranks:
    """Which process of a launcher this is; `none`: it is alone.

    Raises:
        InputError: the launcher did not start this process.
    """
    if launcher == "none":
        return Ranks()
    try:
        rank, world = (int(os.environ[LAUNCHERS[launcher][name]]) for name in ("RANK", "WORLD_SIZE"))
    except (KeyError, ValueError):
        names = " and ".join(LAUNCHERS[launcher][name] for name in ("RANK", "WORLD_SIZE"))
        raise InputError(
            f"--launcher {launcher} was given, but {names} are not set: start with python -m torch.distributed.run, "
            "or srun"
        ) from None
    return Ranks(rank, world)


def device_of(device: str) -> str:
    """The device for this process: `cuda` becomes the GPU of its number on this machine."""
    names = [variables["LOCAL_RANK"] for variables in LAUNCHERS.values()]
    local = next((os.environ[name] for name in names if name in os.environ), "0")
    return f"cuda:{local}" if device == "cuda" else device
