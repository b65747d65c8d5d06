"""Write a trained detector or visibility model as one file, which `semsize` runs on ONNX Runtime, without torch.

python tools/export_onnx.py configs/tio2/light_nc.py checkpoints/light_nc.pth --out light_nc.semsize
python tools/export_onnx.py configs/tio2/light_nc.py checkpoints/light_nc.pth --out light_nc.semsize \
    --int8 data/rendered-scales/images/val
python tools/export_onnx.py configs/tio2/visibility_free.py checkpoints/visibility_free.pth --out seen.semsize
"""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors
from tio2.cli import quiet_imports, required_imports


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="the config of the model's training")
    parser.add_argument("checkpoint", type=Path, help="the weights")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write, .semsize")
    licence = "permitted use of the weights, in one line (default: a shipped model's own)"
    parser.add_argument("--licence", help=licence)
    int8 = "compute a detector's 3 x 3 convolutions in 8-bit integers, with ranges from the images of this folder"
    parser.add_argument(
        "--int8", type=Path, metavar="FOLDER", help=f"{int8}; check the result with tools/benchmarks/engines.py"
    )
    return parser.parse_args()


def main() -> None:
    """Load the model, export it, quantise it if --int8 is given, write the archive."""
    arguments = parse_arguments()
    with required_imports():
        from semsize.detecting.archive import ArchiveError, write_archive
        from semsize.detecting.models import licence_of
        from semsize.measuring.inputs import InputError, find_images
        from semsize.sem import SEMReadError, read_grey
        from tio2.engine import CheckpointError, ConfigError
        from tio2.engine.config import read_config_file
        from tio2.exporting import archive_of, quantised
    errors = (ArchiveError, CheckpointError, ConfigError, InputError, SEMReadError)
    with one_line_errors(*errors, OSError), quiet_imports():
        licence = arguments.licence or licence_of(arguments.checkpoint)
        archive = archive_of(read_config_file(arguments.config), arguments.checkpoint, licence)
        if arguments.int8 is not None:
            files = find_images([arguments.int8], leave_out=arguments.out)
            archive = quantised(archive, [read_grey(file.path) for file in files])
        write_archive(arguments.out, archive)
    size = arguments.out.stat().st_size / 2**20
    print(f"written: {arguments.out}, {size:.1f} MiB, {archive.card.precision}, {archive.card.licence}")


if __name__ == "__main__":
    main()
