"""The newest whole checkpoint of a run: what an interrupted run goes on from, and what is tested or published."""

import re
import sys
import zipfile
from pathlib import Path

from tio2.engine.checkpoints import CheckpointError, how_to_make, load_checkpoint

NAME = re.compile(r"epoch_(\d+)(?:_step_(\d+))?\.pth")


def checkpoint_name(epoch: int, step: int | None = None) -> str:
    """File name of the state after `epoch` epochs, or within the next one after `step` steps of the run."""
    return f"epoch_{epoch}.pth" if step is None else f"epoch_{epoch}_step_{step}.pth"


def checkpoint_position(path: Path) -> tuple[int, int]:
    """Epochs and, within an epoch, steps that a checkpoint's name tells; steps are 0 at an epoch's end."""
    epoch, step = NAME.fullmatch(path.name).groups()
    return int(epoch), int(step or 0)


def checkpoints_of(folder: str | Path) -> list[Path]:
    """Checkpoints of a run's folder: epoch_3.pth, epoch_3_step_350.pth."""
    return [path for path in Path(folder).glob("epoch_*.pth") if NAME.fullmatch(path.name)]


def newest_first(folder: str | Path) -> list[Path]:
    """Checkpoints of a run's folder, whole or not: the one that was written last first, of equals the further one."""
    return sorted(
        checkpoints_of(folder), key=lambda path: (path.stat().st_mtime_ns, checkpoint_position(path)), reverse=True
    )


def newest_checkpoint(folder: str | Path) -> Path:
    """The checkpoint that `resume_point` takes, for programs that need one.

    Raises:
        CheckpointError: There is none, or none is whole.
    """
    newest = resume_point(folder)
    if newest is None:
        raise CheckpointError(f"no epoch_*.pth in {folder}{how_to_make(Path(folder) / 'epoch_1.pth')}")
    return newest


def resume_point(folder: str | Path) -> Path | None:
    """The checkpoint that was written last, of those that are whole; the others are named on stderr and passed over.

    Times of writing decide, not the names: an earlier run in the same folder may have left later epochs. MMEngine's
    `last_checkpoint` is not asked, since its path is absolute and does not move with the folder.

    Returns:
        None if the folder holds no checkpoint at all.

    Raises:
        CheckpointError: There are some, and none is whole.
    """
    candidates = newest_first(folder)
    for path in candidates:
        try:
            require_whole(path)
        except CheckpointError as error:
            print(f"passed over: {error}", file=sys.stderr)
        else:
            return path
    if candidates:
        names = ", ".join(path.name for path in candidates)
        raise CheckpointError(f"no checkpoint in {folder} is whole ({names}): move them away to start anew")
    return None


def require_whole(path: Path) -> None:
    """Open a checkpoint as far as a resumed run will, and hold all its bytes against their checksums.

    Raises:
        CheckpointError: It is cut short or damaged, or is no state of a run.
    """
    checkpoint = load_checkpoint(path)
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged:
        raise CheckpointError(f"checkpoint {path} is damaged ({damaged}); take an older one or make it again")
    missing = {"state_dict", "optimizer", "meta", "message_hub"} - set(checkpoint)
    if missing:
        raise CheckpointError(f"checkpoint {path} holds weights, but no state to go on from ({', '.join(missing)})")
