"""Train a detector from a config.

python tools/train.py configs/tio2/light_stage1.py
python tools/train.py configs/tio2/light_stage2.py --resume

Exit code 0: trained to the end; 128 + the signal's number (143 SIGTERM, 138 SIGUSR1): stopped with the state saved,
--resume continues; 1: an error.
"""

import argparse
import os

from semsize.cli import one_line_errors
from tio2.cli import add_run_arguments, required_imports


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="configs/tio2/….py")
    add_run_arguments(parser)
    parser.add_argument("--amp", action="store_true", help="bfloat16, or float16 if that is slow (needs a GPU)")
    parser.add_argument(
        "--auto-scale-lr",
        action="store_true",
        help="scale the learning rate with the total batch (base: auto_scale_lr of the config)",
    )
    parser.add_argument(
        "--images-at-once",
        type=int,
        metavar="N",
        help="compute a batch in parts of N images per process, whose gradients add up; needs less memory",
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="continue from the run's newest whole checkpoint, or from CHECKPOINT",
    )
    parser.add_argument("--deterministic", action="store_true", help="the same seed gives the same weights (on a CPU)")
    return parser.parse_args()


def main() -> None:
    """Read the config, check the data, build the runner and train."""
    arguments = parse_arguments()
    os.environ.setdefault("LOCAL_RANK", str(arguments.local_rank))
    with required_imports():
        from tio2.engine import launch
        from tio2.engine.processes import limit_images_at_once
    with one_line_errors(*launch.ONE_LINE_ERRORS):
        config = launch.read_config(arguments)
        data = [line for stage in ("train", "val") for line in launch.require_data(config, stage)]
        if arguments.amp:
            launch.enable_amp(config)
        if arguments.auto_scale_lr:
            launch.enable_auto_scale_lr(config)
        if arguments.deterministic:
            launch.enable_deterministic(config)
        if arguments.images_at_once is not None:
            limit_images_at_once(config, arguments.images_at_once)
        launch.set_start(config, arguments.resume)
        runner = launch.build_runner(config)
        launch.say_what_begins("training", config, data, runner)
        runner.train()


if __name__ == "__main__":
    main()
