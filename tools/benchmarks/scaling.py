"""Time of training steps by 1, 2, … processes, data loading included; docs/notebook/processes.md has the result.

BACKEND=gloo python tools/benchmarks/scaling.py configs/tio2/light_stage1.py --processes 1 2
python tools/benchmarks/scaling.py configs/tio2/mask_rcnn_stage1.py --processes 1 2 4 8

Each process has the config's batch and loader's workers; without BACKEND the processes use the GPUs. Times on a busy
machine mean little, so the load is printed too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from semsize.measuring.tables import markdown_table


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="configs/tio2/….py")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="default: 1 2")
    parser.add_argument("--steps", type=int, default=30, help="steps of each run (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=5, help="first steps left out (default: %(default)s)")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/scaling"), help="default: %(default)s")
    parser.add_argument("--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="as of tools/train.py")
    return parser.parse_args()


def measure(arguments: argparse.Namespace, processes: int) -> tuple[int, list[float], list[float]]:
    """Train; return the batch of a process and, for each step, its seconds and the seconds that it waits for data."""
    folder = arguments.work_dir / f"processes_{processes}"
    options = [
        f"train_dataloader.sampler.num_batches={arguments.steps}",
        "train_cfg.max_epochs=1",
        "train_cfg.val_begin=999",
        "default_hooks.logger.interval=1",
        "log_processor.window_size=1",
        *arguments.cfg_options,
    ]
    command = ["tools/dist_train.sh", arguments.config, str(processes), "--work-dir", str(folder), "--cfg-options"]
    before = set(folder.rglob("scalars.json"))
    environment = {"OMP_NUM_THREADS": "1", "PYTHON": sys.executable, **os.environ}
    done = subprocess.run([*command, *options], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: {processes} processes: {done.stderr.strip().splitlines()[-1]}")
    [scalars] = set(folder.rglob("scalars.json")) - before
    lines = [json.loads(line) for line in scalars.read_text().splitlines()][arguments.warm_up :]
    batch = json.loads((folder / "run.json").read_text())["batch_size"]
    return batch, [line["time"] for line in lines], [line["data_time"] for line in lines]


def main() -> None:
    """Measure each number of processes and print the table."""
    arguments = parse_arguments()
    load_before = os.getloadavg()[0]
    rows, alone = [], None
    for processes in arguments.processes:
        batch, seconds, waiting = measure(arguments, processes)
        step = statistics.median(seconds)
        rate = processes * batch / step
        alone = alone or rate / processes
        quartiles = statistics.quantiles(seconds, n=4)
        spread = f"{quartiles[0]:.2f}-{quartiles[2]:.2f}"
        data_share = statistics.median(waiting) / step
        rows.append([processes, processes * batch, step, spread, data_share, rate, rate / alone])
    header = [
        "processes",
        "total batch",
        "s/step (median)",
        "quartiles",
        "waiting for data",
        "images/s",
        "speed-up",
    ]
    print(markdown_table(header, rows, decimals=2), end="")
    print(f"{os.cpu_count()} cores, load {load_before:.1f} before, {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
