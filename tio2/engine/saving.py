"""Checkpoints that are whole or absent: written under another name, renamed, and the old deleted only then."""

import os
import shutil
from pathlib import Path

from mmdet.registry import HOOKS
from mmengine.dist import get_world_size, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.runner import Runner

from tio2.engine.checkpoints import CheckpointError
from tio2.engine.resume import checkpoint_position, checkpoints_of, newest_first

WHOLE_FILES = {"backend": "whole_files"}
MIB = 2**20


def write_whole(path: str | Path, data: bytes) -> None:
    """Write `data` to `<path>.tmp`, flush it to the disk, rename it: `path` is the old file or the whole new one.

    Raises:
        CheckpointError: The disk is full, or refuses; the message says what is left to go on from.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _flush_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        kept = next(iter(newest_first(path.parent)), None)
        raise CheckpointError(
            f"checkpoint {path} could not be written ({error.strerror}; it has {len(data) / MIB:.1f} MiB, the disk "
            f"{free_mib(path.parent):.1f} MiB free); nothing was replaced, and "
            f"{f'{kept.name} is kept' if kept else 'there is none before it'}: make room, then go on with --resume"
        ) from error


def _flush_folder(folder: Path) -> None:
    """Make a rename outlast a power cut; Windows cannot open folders, and does without."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_mib(folder: Path) -> float:
    """Room on the disk of `folder`, in MiB."""
    return shutil.disk_usage(folder).free / MIB


class WholeFileBackend(LocalBackend):
    """MMEngine's files on a disk, written by `write_whole`."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes; the file is whole or not there."""
        write_whole(filepath, obj)


register_backend(WHOLE_FILES["backend"], WholeFileBackend, force=True)


def save_checkpoint(runner: Runner, name: str, epoch: int, step: int) -> Path:
    """Save the whole state of a run as `name` in its folder, on the first process.

    Args:
        runner: The run.
        name: File name.
        epoch: Epochs that are done.
        step: Steps that are done, over all epochs.
    """
    meta = position_meta(runner, epoch=epoch, iter=step)
    runner.save_checkpoint(runner.work_dir, name, meta=meta, backend_args=dict(WHOLE_FILES))
    return Path(runner.work_dir) / name


def position_meta(runner: Runner, **position: int) -> dict[str, int]:
    """The position, and what it is counted in."""
    return {**position, "steps_per_epoch": len(runner.train_dataloader), "processes": get_world_size()}


@HOOKS.register_module()
class WholeCheckpointHook(CheckpointHook):
    """MMEngine's CheckpointHook with whole files; the oldest is deleted when its successor is on the disk.

    It stops a run at its start if the disk has no room for a checkpoint, and a resumed run whose epochs have another
    number of steps than the checkpoint's, or where one averages weights and the other does not.
    """

    def before_train(self, runner: Runner) -> None:
        """Choose the writer; clear what a killed write left; make sure that one checkpoint has room."""
        self.backend_args = dict(WHOLE_FILES)
        super().before_train(runner)
        if is_main_process():
            for path in Path(runner.work_dir).glob("epoch_*.pth.tmp"):
                path.unlink()
            require_room(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Hold a resumed checkpoint's position and averages against this run's."""
        if not runner._resume:
            return
        meta = checkpoint.get("meta", {})
        steps = len(runner.train_dataloader)
        if meta.get("steps_per_epoch", steps) != steps:
            raise CheckpointError(
                f"checkpoint {runner._load_from} was taken from epochs of {meta['steps_per_epoch']} steps, and the "
                f"config has {steps}: resume with the same train_dataloader.sampler.num_batches, or start a new run "
                "from it with --cfg-options load_from=…"
            )
        if ("ema_state_dict" in checkpoint) != averages_weights(runner):
            was = "with" if "ema_state_dict" in checkpoint else "without"
            raise CheckpointError(
                f"checkpoint {runner._load_from} was taken {was} averaged weights, unlike this config: resume "
                "with the same custom_hooks, or start a new run from it with --cfg-options load_from=…"
            )

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        oldest = None
        if 0 < self.max_keep_ckpts == len(self.keep_ckpt_ids) and self.keep_ckpt_ids[-1] != step:
            oldest = self.keep_ckpt_ids.popleft()  # kept from upstream, which deletes before it writes
        super()._save_checkpoint_with_step(runner, step, position_meta(runner, **meta))
        if not is_main_process():
            return
        outdated = [path for path in checkpoints_of(self.out_dir) if checkpoint_position(path)[1]]
        if oldest is not None:
            outdated.append(Path(self.out_dir) / self.filename_tmpl.format(oldest))
        for path in outdated:
            path.unlink(missing_ok=True)


def averages_weights(runner: Runner) -> bool:
    """Whether a checkpoint holds the weights twice: those that train, and their average."""
    return any(isinstance(hook, EMAHook) for hook in runner.hooks)


def require_room(runner: Runner) -> None:
    """Make sure that the disk has room for one more checkpoint: weights, and a momentum for each one that trains.

    Raises:
        CheckpointError: It has not.
    """
    weights = sum(tensor.nbytes for tensor in runner.model.state_dict().values()) * (1 + averages_weights(runner))
    momenta = sum(parameter.nbytes for parameter in runner.model.parameters() if parameter.requires_grad)
    needed, free = (weights + momenta) / MIB, free_mib(Path(runner.work_dir))
    if free < needed:
        raise CheckpointError(
            f"{runner.work_dir} has {free:.1f} MiB free, and a checkpoint takes about {needed:.1f} MiB: "
            "make room, or name another --work-dir"
        )
