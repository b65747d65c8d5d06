"""Prepare a checkpoint or a model archive for shipping, with its SHA-256 in a file beside it.

python tools/publish.py work_dirs/light_nc/epoch_25.pth checkpoints/light_nc.pth
python tools/publish.py work_dirs/light_nc checkpoints/light_nc.pth    # the run's newest checkpoint
python tools/publish.py work_dirs/archive_nc/light_nc.semsize checkpoints/light_nc.semsize

From a checkpoint it writes the weights, in half precision, with plain metadata. An archive it writes whole, with the
bias records beside OUT; one of these must hold for the archive (tools/archive_model.sh makes them).
"""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors
from semsize.detecting.archive import ENDING, ArchiveError
from semsize.measuring.archived_model import publish_archive
from semsize.measuring.inputs import InputError
from semsize.structures.files import file_sha256
from tio2.cli import required_imports


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a checkpoint, a run's folder (its newest), or a model archive")
    parser.add_argument("out", type=Path, help="the file to write; its SHA-256 goes beside it as OUT.sha256")
    return parser.parse_args()


def main() -> None:
    """Publish the weights or the archive, and write the SHA-256 beside the file."""
    arguments = parse_arguments()
    source, out = arguments.source, arguments.out
    with one_line_errors(ArchiveError, InputError, OSError):
        if source.suffix == ENDING:
            record = publish_archive(source, out)
            holds = f", validated on {', '.join(f'{each.images} {each.kind}' for each in record.sources)} images"
        else:
            source, holds = publish_weights(source, out), ""
        digest = file_sha256(out)
        out.with_name(out.name + ".sha256").write_text(f"{digest}  {out.name}\n", encoding="utf-8")
    print(f"written: {out} from {source}, {out.stat().st_size / 2**20:.1f} MiB, SHA-256 {digest}{holds}")


def publish_weights(source: Path, out: Path) -> Path:
    """Write the weights of a checkpoint, or of a run's newest one; return the checkpoint."""
    with required_imports():
        from tio2.engine.checkpoints import CheckpointError, newest_checkpoint, publish_checkpoint
    with one_line_errors(CheckpointError, OSError):
        checkpoint = newest_checkpoint(source) if source.is_dir() else source
        publish_checkpoint(checkpoint, out)
    return checkpoint


if __name__ == "__main__":
    main()
