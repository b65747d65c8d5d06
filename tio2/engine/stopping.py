"""SIGTERM and SIGUSR1 (Slurm's warning) end the step, save the state, and leave the program by a code of their own."""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

from mmdet.registry import HOOKS
from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tio2.engine.distribution import on_any_process
from tio2.engine.resume import checkpoint_name
from tio2.engine.saving import save_checkpoint

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name))
"""Those of them that the system has: Windows has no SIGUSR1."""


class TrainingStopped(Exception):
    """A signal ended the run, and its state is saved; the message says how to go on.

    Attributes:
        exit_code: 128 + the signal's number, as a shell reports it, so that a script does not take the run for done.
    """

    def __init__(self, message: str, number: int = signal.SIGTERM):
        super().__init__(message)
        self.exit_code = 128 + number


@dataclass(frozen=True)
class ShieldedWorker:
    """Starts a loader's worker that only its parent can end: a signal to the whole job is the parent's to answer."""

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
    """Ends a run after the step, or the image of a validation, in which any process got SIGTERM or SIGUSR1.

    Raises TrainingStopped, on all processes at the same step, once the state is saved.
    """

    priority = "LOWEST"  # after the schedules have stepped

    def __init__(self):
        self._received: signal.Signals | None = None
        self._before = {}

    def before_train(self, runner: Runner) -> None:
        """Listen, and shield the loaders' workers."""
        self._received = None
        self._before = {number: signal.signal(number, self._note) for number in STOP_SIGNALS}
        loops = [runner.train_loop, runner.val_loop]
        for loader in [loop.dataloader for loop in loops if loop is not None]:
            if loader.num_workers and not isinstance(loader.worker_init_fn, ShieldedWorker):
                loader.worker_init_fn = ShieldedWorker(loader.worker_init_fn)

    def _note(self, number: int, frame: object) -> None:  # noqa: ARG002
        self._received = signal.Signals(number)

    def after_train_iter(self, runner: Runner, batch_idx, data_batch=None, outputs=None) -> None:  # noqa: ARG002
        """Save within the epoch and stop, if a signal came."""
        if self._asked(runner):
            self._stop(runner, runner.epoch, runner.iter + 1, within_epoch=True)

    def after_val_iter(self, runner: Runner, batch_idx, data_batch=None, outputs=None) -> None:  # noqa: ARG002
        """Save the epoch that is being validated and stop, if a signal came."""
        if self._before and self._asked(runner):
            self._stop(runner, runner.epoch, runner.iter, within_epoch=False)

    def after_train(self, runner: Runner) -> None:  # noqa: ARG002
        """Give the signals back."""
        self._give_back()

    def _asked(self, runner: Runner) -> bool:
        return on_any_process(self._received is not None, next(runner.model.parameters()).device)

    def _stop(self, runner: Runner, epoch: int, step: int, *, within_epoch: bool) -> None:
        name = checkpoint_name(epoch, step if within_epoch else None)
        path = save_checkpoint(runner, name, epoch, step)
        barrier()  # a process that leaves with a code above 0 makes the launcher end the one that writes
        self._give_back()
        cause = self._received.name if self._received else "a signal to another process"
        message = f"stopped by {cause} after step {step}; saved {path}, go on with --resume"
        if is_main_process():
            runner.logger.info(message)
        raise TrainingStopped(message, self._received or signal.SIGTERM)

    def _give_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
