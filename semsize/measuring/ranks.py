"""Several processes that a launcher started: each measures its share of the images, the first one joins them."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass

from semsize.measuring.errors import InputError
from tio2.cli import quiet_imports

PATIENCE = datetime.timedelta(days=7)  # what the first process waits for the last one


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.world > 1:
            import torch

            torch.distributed.barrier()


@contextlib.contextmanager
def joined_ranks(launcher: str) -> Iterator[Ranks]:
    """Join the processes of a launcher for the time of the body; `none`: this one is alone.

    Nothing but "I am done" passes between them, so they talk over gloo, with and without GPUs.

    Raises:
        InputError: the launcher did not start this process.
    """
    if launcher == "none":
        yield Ranks()
        return
    with quiet_imports():
        import torch

        from tio2.engine.distribution import DistributionError, process_variables
    try:
        os.environ.update(process_variables(launcher))
    except DistributionError as cause:
        message = str(cause).partition(":")[0]
        raise InputError(f"{message}: start with python -m torch.distributed.run, or srun") from None
    torch.distributed.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield Ranks(torch.distributed.get_rank(), torch.distributed.get_world_size())
    finally:
        torch.distributed.destroy_process_group()


def device_of(device: str) -> str:
    """The device for this process: `cuda` becomes the GPU of its number on this machine."""
    local = os.environ.get("LOCAL_RANK", "0")
    return f"cuda:{local}" if device == "cuda" else device
