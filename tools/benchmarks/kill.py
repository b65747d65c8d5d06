"""Kill a training repeatedly, resume it each time, and compare its weights with those of an undisturbed run.

python tools/benchmarks/kill.py --kills 10
python tools/benchmarks/kill.py --kills 3 --steps 5 --epochs 3 --work-dir work_dirs/kill

Every second kill comes while a checkpoint is written, the others at a random step. It kills only its own processes.
"""

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from semsize.measuring.tables import markdown_table
from tio2.cli import required_imports

CONFIG = "configs/demo/demo_stage1.py"


@dataclass(frozen=True)
class Training:
    """The command of a run, and the folder of its output."""

    folder: Path
    options: list[str]
    steps: int

    def start(self) -> subprocess.Popen:
        """Start or resume the training."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        words = [sys.executable, "tools/train.py", CONFIG, "--work-dir", self.folder, "--resume"]
        with self.log.open("w") as out:
            return subprocess.Popen([*words, "--cfg-options", *self.options], stdout=out, stderr=out)

    @property
    def log(self) -> Path:
        """The log of the last program."""
        return self.folder.with_suffix(".log")

    def step(self) -> int:
        """Steps done over all epochs, from the log; 0 before the first."""
        lines = re.findall(r"Epoch\(train\)\s+\[(\d+)\]\[\s*(\d+)/\d+\]", self.log.read_text())
        return (int(lines[-1][0]) - 1) * self.steps + int(lines[-1][1]) if lines else 0

    def went_on_from(self) -> str:
        """Name of the checkpoint from which the last program went on."""
        found = re.search(r"Load checkpoint from \S*?([^/\s]+\.pth)", self.log.read_text())
        return found.group(1) if found else "the beginning"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=8, help="epochs of the run (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=6, help="steps of an epoch (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the kills' moments (default: %(default)s)")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/kill"), help="folder; earlier kills in it go")
    return parser.parse_args()


def render(folder: Path) -> list[str]:
    """Render a small data set into `folder`; return the options that make training read it, fast."""
    subprocess.run(
        [sys.executable, "tools/render_dataset.py", "--num", "4", "--size", "160", "128", "--fractions", "0.5",
         "0.25", "0.25", "--particles", "12", "--preset", "agglomerated", "--out", folder], check=True,
    )  # fmt: skip
    return [
        f"train_dataloader.dataset.dataset.data_root={folder}/",
        "train_dataloader.num_workers=1",
        f"val_dataloader.dataset.data_root={folder}/",
        f"val_evaluator.ann_file={folder}/annotations/val.json",
        "train_cfg.val_begin=999",
        "model.train_cfg.rcnn.sampler.num=32",
        "default_hooks.logger.interval=1",
    ]


def wait_for(program: subprocess.Popen, happened: Callable[[], bool]) -> bool:
    """Wait, looking every millisecond, until `happened()`; False if the program ended first."""
    while program.poll() is None:
        if happened():
            return True
        time.sleep(0.001)
    return False


def being_written(folder: Path) -> bool:
    """Whether the folder holds a checkpoint under its temporary name."""
    return any(folder.glob(".epoch_*.pth.*.part"))


def kill_once(training: Training, number: int, moments: random.Random) -> list[object] | None:
    """Start the training and kill it; return a row of the table, None if training ended first."""
    for left_over in training.folder.glob(".epoch_*.pth.*.part"):
        left_over.unlink()
    began = time.monotonic()
    program = training.start()
    in_write = number % 2 == 0
    if in_write:
        met = wait_for(program, lambda: being_written(training.folder))
    else:
        wait_for(program, lambda: training.step() > 0)
        target = training.step() + moments.randrange(2 * training.steps)
        pause = moments.random()  # somewhere within the step
        met = wait_for(program, lambda: training.step() >= target)
        time.sleep(pause)
    if not met or program.poll() is not None:
        program.wait()
        return None
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    wanted = "in a checkpoint's write" if in_write else "at a random step"
    caught = "cut short, not renamed" if being_written(training.folder) else "between writes"
    return [number, wanted, training.step(), caught, training.went_on_from(), time.monotonic() - began]


def same_weights(first: Path, second: Path) -> bool:
    """Whether two checkpoints hold the same weights and momenta, bit for bit."""
    with required_imports():
        import torch

        from tio2.engine import load_checkpoint
    states = [load_checkpoint(path) for path in (first, second)]
    weights = [state["state_dict"] for state in states]
    momenta = [state["optimizer"]["state"] for state in states]
    return all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0] | weights[1]) and all(
        torch.equal(momenta[0][name]["momentum_buffer"], momenta[1][name]["momentum_buffer"])
        for name in momenta[0] | momenta[1]
    )


def main() -> None:
    """Kill the training repeatedly, print the table, finish the run and compare the weights."""
    arguments = parse_arguments()
    work = arguments.work_dir.resolve()
    sizes = [f"train_cfg.max_epochs={arguments.epochs}", f"train_dataloader.sampler.num_batches={arguments.steps}"]
    options = [*render(work / "data"), *sizes]
    killed, whole = (Training(work / name, options, arguments.steps) for name in ("killed", "whole"))
    for training in (killed, whole):
        for path in training.folder.glob("epoch_*.pth*"):
            path.unlink()
    moments = random.Random(arguments.seed)
    rows = []
    for number in range(1, arguments.kills + 1):
        row = kill_once(killed, number, moments)
        if row is None:
            print(f"training ended before kill {number}: give it more --epochs", file=sys.stderr)
            break
        rows.append(row)
        print(f"kill {number}: step {row[2]}, {row[3]}", file=sys.stderr)
    for training in (killed, whole):
        if training.start().wait():
            sys.exit(f"error: {training.log} ends with an error")
    header = ["kill", "asked for", "step", "checkpoint's write", "this start went on from", "seconds"]
    print(markdown_table(header, rows, decimals=1), end="")
    last = f"epoch_{arguments.epochs}.pth"
    equal = same_weights(killed.folder / last, whole.folder / last)
    print(f"then to the end: {killed.step()} steps of {arguments.epochs * arguments.steps}")
    print(f"weights and momenta {'equal' if equal else 'DIFFER FROM'} those of the run left alone")
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
