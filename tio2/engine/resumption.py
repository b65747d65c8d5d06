"""Runs that can be stopped at any step and resumed as if nothing had happened.

The loop can enter an epoch in its middle, each step seeds its own random numbers, checkpoints are whole or absent, and
after SIGTERM or SIGUSR1 (Slurm's warning) a run finishes its step, saves its state and stops.
"""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import HOOKS, LOOPS
from mmengine.dist import barrier, get_dist_info, get_world_size, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from tio2.engine.checkpoints import (
    MIB,
    CheckpointError,
    checkpoint_name,
    checkpoint_position,
    checkpoints_of,
    free_mib,
    write_checkpoint,
)
from tio2.engine.processes import on_any_process
from tio2.engine.same_training import require_same_training

WHOLE_FILES = {"backend": "whole_files"}
STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name))
"""The signals that stop a run; Windows has no SIGUSR1."""


@LOOPS.register_module()
class ResumableTrainLoop(EpochBasedTrainLoop):
    """MMEngine's loop over epochs, which takes only the remaining steps of an epoch that a run is resumed within."""

    def run_epoch(self) -> None:
        """Take the remaining steps of this epoch."""
        done = self.iter - self.epoch * len(self.dataloader)
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        self.dataloader.sampler.skip(done)  # a method of FixedLengthSampler
        for index, data_batch in enumerate(self.dataloader, start=done):
            self.run_iter(index, data_batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1


def sample_numbers(runner: Runner) -> list[int]:
    """Running numbers, over the whole run and all processes, of this process's samples in the current step."""
    rank, processes = get_dist_info()
    size = runner.train_dataloader.batch_size
    first = runner.iter * size * processes + rank
    return list(range(first, first + size * processes, processes))


@HOOKS.register_module()
class StepSeedHook(Hook):
    """Seeds torch's generator before each step from the run's seed and the running number of the step's first sample.

    The generator samples anchors and regions of interest. Without a stored state, a resumed run thus draws the same
    numbers as an uninterrupted run, and each process draws different ones.
    """

    def before_train_iter(self, runner: Runner, batch_idx, data_batch=None) -> None:  # noqa: ARG002, D102
        words = np.random.SeedSequence((runner.seed, sample_numbers(runner)[0])).generate_state(2)
        torch.manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)


class WholeFileBackend(LocalBackend):
    """MMEngine's local files, written with `write_checkpoint`."""

    def put(self, obj: bytes, filepath: str | Path) -> None:  # noqa: D102
        write_checkpoint(filepath, obj)


register_backend(WHOLE_FILES["backend"], WholeFileBackend, force=True)


def position_meta(runner: Runner, **position: int) -> dict[str, int]:
    """Meta of a checkpoint: its position (`epoch`, `iter`), the steps per epoch and the number of processes."""
    return {**position, "steps_per_epoch": len(runner.train_dataloader), "processes": get_world_size()}


@HOOKS.register_module()
class WholeCheckpointHook(CheckpointHook):
    """MMEngine's CheckpointHook that writes files whole and deletes the oldest only when the newest is on the disk.

    It stops a run at its start if the disk has no room for a checkpoint, and refuses to resume a run whose settings or
    steps per epoch differ from the checkpoint's.
    """

    def before_train(self, runner: Runner) -> None:
        """Set the backend, delete what killed writes left, and make sure that a checkpoint fits on the disk."""
        self.backend_args = dict(WHOLE_FILES)
        super().before_train(runner)
        if is_main_process():
            for path in Path(runner.work_dir).glob(".epoch_*.pth.*.part"):
                path.unlink()
            require_room(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare a resumed checkpoint's steps per epoch and settings with this run's."""
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
        require_same_training(meta, runner.cfg, get_world_size(), str(runner._load_from))

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        oldest = None
        if 0 < self.max_keep_ckpts == len(self.keep_ckpt_ids) and self.keep_ckpt_ids[-1] != step:
            oldest = self.keep_ckpt_ids.popleft()  # hidden from MMEngine, which would delete it before it writes
        super()._save_checkpoint_with_step(runner, step, position_meta(runner, **meta))
        if not is_main_process():
            return
        outdated = [path for path in checkpoints_of(self.out_dir) if checkpoint_position(path)[1]]
        if oldest is not None:
            outdated.append(Path(self.out_dir) / self.filename_tmpl.format(oldest))
        for path in outdated:
            path.unlink(missing_ok=True)


def require_room(runner: Runner) -> None:
    """Make sure that the disk has room for a checkpoint: all weights, and a momentum for each trained weight.

    Raises:
        CheckpointError: The disk has less free space.
    """
    weights = sum(tensor.nbytes for tensor in runner.model.state_dict().values())
    momenta = sum(parameter.nbytes for parameter in runner.model.parameters() if parameter.requires_grad)
    needed, free = (weights + momenta) / MIB, free_mib(Path(runner.work_dir))
    if free < needed:
        raise CheckpointError(
            f"{runner.work_dir} has {free:.1f} MiB free, and a checkpoint takes about {needed:.1f} MiB: "
            "make room, or name another --work-dir"
        )


class TrainingStopped(Exception):
    """A signal ended the run, and its state is saved; the message says how to go on.

    Attributes:
        exit_code: 128 + the signal's number, as in a shell, so that a script does not take the run for finished.
    """

    def __init__(self, message: str, number: int = signal.SIGTERM):
        super().__init__(message)
        self.exit_code = 128 + number


@dataclass(frozen=True)
class ShieldedWorker:
    """Initialises a data loader's worker so that only its parent can end it, not a signal sent to the whole job."""

    start: Callable[[int], None] | None

    def __call__(self, worker_id: int) -> None:
        """Called by the loader in the new worker."""
        if self.start is not None:
            self.start(worker_id)
        if not hasattr(signal, "pthread_sigmask"):  # Windows: nobody sends signals to all processes of a job
            return
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        threading.Thread(target=_end_when_the_parent_says, daemon=True).start()


def _end_when_the_parent_says() -> None:
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
        pass
    os._exit(0)


@HOOKS.register_module()
class StopOnSignalHook(Hook):
    """Stops a run after the step, or the image of a validation, in which any process received SIGTERM or SIGUSR1.

    It saves the state, then raises TrainingStopped on all processes at the same step.
    """

    priority = "LOWEST"  # after the schedules have stepped

    def __init__(self):
        self._received: signal.Signals | None = None
        self._handlers_before = {}

    def before_train(self, runner: Runner) -> None:
        """Listen for signals, and shield the loaders' workers from them."""
        self._received = None
        self._handlers_before = {number: signal.signal(number, self._note) for number in STOP_SIGNALS}
        loops = [runner.train_loop, runner.val_loop]
        for loader in [loop.dataloader for loop in loops if loop is not None]:
            if loader.num_workers and not isinstance(loader.worker_init_fn, ShieldedWorker):
                loader.worker_init_fn = ShieldedWorker(loader.worker_init_fn)

    def _note(self, number: int, frame: object) -> None:  # noqa: ARG002
        self._received = signal.Signals(number)

    def after_train_iter(self, runner: Runner, batch_idx, data_batch=None, outputs=None) -> None:  # noqa: ARG002
        """Save a checkpoint within the epoch and stop, if a signal came."""
        if self._signal_came(runner):
            self._stop(runner, checkpoint_name(runner.epoch, runner.iter + 1), runner.iter + 1)

    def after_val_iter(self, runner: Runner, batch_idx, data_batch=None, outputs=None) -> None:  # noqa: ARG002
        """Save the checkpoint of the epoch that is being validated and stop, if a signal came."""
        if self._handlers_before and self._signal_came(runner):
            self._stop(runner, checkpoint_name(runner.epoch), runner.iter)

    def _signal_came(self, runner: Runner) -> bool:
        return on_any_process(self._received is not None, runner.model)

    def _stop(self, runner: Runner, name: str, steps_done: int) -> None:
        meta = position_meta(runner, epoch=runner.epoch, iter=steps_done)
        runner.save_checkpoint(runner.work_dir, name, meta=meta, backend_args=dict(WHOLE_FILES))
        runner.call_hook("after_stop", steps=steps_done)
        barrier()  # a process that exits with an error makes the launcher kill the process that still writes
        self.after_train(runner)
        cause = self._received.name if self._received else "a signal to another process"
        path = Path(runner.work_dir) / name
        message = f"stopped by {cause} after step {steps_done}; saved {path}, go on with --resume"
        if is_main_process():
            runner.logger.info(message)
        raise TrainingStopped(message, self._received or signal.SIGTERM)

    def after_train(self, runner: Runner) -> None:  # noqa: ARG002
        """Restore the former signal handlers."""
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)
        self._handlers_before = {}
