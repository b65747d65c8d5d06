"""Programs of tools/ run as a user starts them, on a light detector that takes seconds, and ended on purpose."""

import atexit
import multiprocessing
import os
import re
import runpy
import socket
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path
from unittest import mock

import tiny_network
import torch

from tio2.engine import load_checkpoint

ROOT = Path(__file__).parents[1]
CONFIG = "configs/demo/demo_stage1.py"
PATIENCE_S = 900
SMALL = [
    "train_dataloader.batch_size=1",
    "train_dataloader.sampler.batch_size=1",
    "train_dataloader.dataset.dataset.pipeline.2.ratio_range=(1.0,1.1)",
    "train_cfg.val_begin=99",
    "param_scheduler.0.start_factor=1.0",
    "model.train_cfg.rcnn.sampler.num=32",
    "model.train_cfg.rpn.sampler.num=64",
    "default_hooks.logger.interval=1",
    *tiny_network.options(tiny_network.MODEL),
]


def loading(workers: int) -> list[str]:
    """Options that set the number of a loader's workers."""
    return [f"train_dataloader.num_workers={workers}", f"train_dataloader.persistent_workers={workers > 0}"]


def data_options(folder: Path) -> list[str]:
    """Options that point training at a data set."""
    return [
        f"train_dataloader.dataset.dataset.data_root={folder}/",
        f"val_dataloader.dataset.data_root={folder}/",
        f"val_evaluator.ann_file={folder}/annotations/val.json",
    ]


def environment(**more: str) -> dict[str, str]:
    """Variables for one thread in each process, a free port, this interpreter, and processes on the CPU."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHON": sys.executable,
        "BACKEND": "gloo",
        "PORT": port,
        "MASTER_PORT": port,
        **more,
    }


def start(words: list, log: Path, **more: str) -> subprocess.Popen:
    """Start a program in the repository's root with its output in `log`."""
    with log.open("w") as out:
        return subprocess.Popen(
            list(map(str, words)), cwd=ROOT, env=environment(**more), stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )


_ANEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class ForkedProgram:
    """A Python program in a process forked after the imports (conftest.py), else as if started by its path."""

    def __init__(self, words: list, log: Path, errors: Path | None = None, **more: str):
        """Start it; stderr goes to `errors`, or to `log` with the rest."""
        context = multiprocessing.get_context("forkserver")
        with mock.patch.dict(os.environ, OMP_NUM_THREADS="1"):
            forkserver.ensure_running()
        told = (list(map(str, words)), log, errors or log, environment(**more))
        self._process = context.Process(target=_run, args=told)
        self._process.start()

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.exitcode

    def kill(self) -> None:
        """SIGKILL it, if it still runs."""
        self._process.kill()

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended."""
        self._process.join(timeout)
        assert self._process.exitcode is not None, "it has not ended"
        return self._process.exitcode


def _run(words: list[str], log: Path, errors: Path, variables: dict[str, str]) -> None:
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(variables)
    for descriptor, path, flags in ((0, os.devnull, os.O_RDONLY), (1, log, _ANEW), (2, errors, _ANEW)):
        os.dup2(os.open(path, flags, 0o644), descriptor)
    sys.argv = words
    import quick_programs  # noqa: F401 - makes runs quick

    try:
        runpy.run_path(words[0], run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # multiprocessing leaves these out
        sys.stdout.flush()


def finish(program: subprocess.Popen | ForkedProgram, log: Path, *, ok: bool = True) -> str:
    """Wait for a program and return its output. `ok`: whether it must end without an error."""
    code = program.wait(timeout=PATIENCE_S)
    text = log.read_text()
    assert (code == 0) == ok, text
    return text


def log_of(log: Path, rank: int) -> Path:
    """The log of one of the processes that `start_ranks` starts."""
    return log.with_name(f"{log.name}.{rank}")


def start_ranks(words: list, log: Path) -> list[ForkedProgram]:
    """Start a program in two processes that know of each other as torchrun's do, each with its own log (`log_of`)."""
    alike = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": environment()["MASTER_PORT"]}
    program, *arguments = words
    for rank in range(2):
        log_of(log, rank).touch()  # a reader may come before the process
    return [
        ForkedProgram([program, "--launcher", "pytorch", *arguments], log_of(log, rank), RANK=str(rank),
                      LOCAL_RANK=str(rank), CUDA_VISIBLE_DEVICES="-1", **alike)
        for rank in range(2)
    ]  # fmt: skip


def finish_ranks(words: list, log: Path) -> None:
    """Run a program to its end in two processes, by `start_ranks`."""
    for rank, program in enumerate(start_ranks(words, log)):
        finish(program, log_of(log, rank))


def wait_until(program: subprocess.Popen | ForkedProgram, log: Path, happened) -> None:
    """Wait, looking every few milliseconds, until something `happened()` while a program runs."""
    end = time.monotonic() + PATIENCE_S
    while not happened():
        assert program.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.005)


def steps_done(log: Path) -> int:
    """Steps of the run that a training has logged; 0 before the first."""
    lines = re.findall(r"Epoch\(train\)\s+\[(\d+)\]\[\s*(\d+)/(\d+)\]", log.read_text())
    epoch, step, steps = map(int, lines[-1]) if lines else (1, 0, 0)
    return (epoch - 1) * steps + step


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The model's weights in a checkpoint."""
    return load_checkpoint(checkpoint)["state_dict"]


def largest_difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest absolute difference of any weight."""
    assert one.keys() == other.keys()
    return max((one[name].double() - other[name].double()).abs().max().item() for name in one)
