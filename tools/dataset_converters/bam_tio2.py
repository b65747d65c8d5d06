"""Convert BAM's annotated TiO2 SEM images (Zenodo record 4563942) to PNG and COCO JSON.

python tools/dataset_converters/bam_tio2.py ../shared/data/bam-tio2-sem.zip --out data/bam-tio2-sem

Writes OUT/images/{train,val,test}/*.png without the data bar and OUT/annotations/{train,val,test}.json. The split is
fixed: 22 train and 6 val images; all other images with a mask are test. OUT is written whole or not at all. An OUT of
an earlier run is replaced; anything else at OUT is an error.
"""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors
from semsize.exchange import BamArchiveError, FolderExistsError
from semsize.exchange.bam_tio2 import convert_archive
from semsize.sem import SEMReadError
from semsize.structures import SPECK_PX, AnnotationError


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="SRC", type=Path, help="the archive: its zip, or a folder that holds it")
    parser.add_argument("--out", type=Path, default=Path("data/bam-tio2-sem"), help="folder (default: %(default)s)")
    parser.add_argument(
        "--min-area",
        type=int,
        default=SPECK_PX,
        metavar="PX",
        help="smaller components are specks, written with iscrowd 1 and left out of metrics (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Convert the archive and print what was written."""
    options = parse_arguments(arguments)
    with one_line_errors(BamArchiveError, SEMReadError, AnnotationError, FolderExistsError, OSError):
        print(convert_archive(options.source, options.out, options.min_area))
        print(f"written: {options.out}")


if __name__ == "__main__":
    main()
