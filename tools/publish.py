"""Make a checkpoint fit to be shipped: weights alone, in half precision, with plain metadata and a SHA-256 beside it.

python tools/publish.py work_dirs/light_nc/epoch_25.pth checkpoints/light_nc.pth
python tools/publish.py work_dirs/light_nc checkpoints/light_nc.pth    # the run's newest checkpoint
"""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors
from tio2.cli import quiet_imports


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="a checkpoint, or a run's folder: its newest")
    parser.add_argument("out", type=Path, help="the file to write; its SHA-256 goes beside it as OUT.sha256")
    return parser.parse_args()


def main() -> None:
    """Load, strip, halve, write, hash."""
    arguments = parse_arguments()
    with quiet_imports():
        from semsize.structures.files import file_sha256
        from tio2.engine.checkpoints import CheckpointError, newest_checkpoint, publish_checkpoint
    with one_line_errors(CheckpointError, OSError):
        source = newest_checkpoint(arguments.checkpoint) if arguments.checkpoint.is_dir() else arguments.checkpoint
        publish_checkpoint(source, arguments.out)
        digest = file_sha256(arguments.out)
        arguments.out.with_name(arguments.out.name + ".sha256").write_text(f"{digest}  {arguments.out.name}\n")
    print(f"written: {arguments.out} from {source}, {arguments.out.stat().st_size / 2**20:.1f} MiB, SHA-256 {digest}")


if __name__ == "__main__":
    main()
