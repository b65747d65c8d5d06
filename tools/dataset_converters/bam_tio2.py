"""Convert BAM's annotated TiO2 SEM images (Zenodo record 4563942) to PNG and COCO JSON.

python tools/dataset_converters/bam_tio2.py ../shared/data/bam-tio2-sem.zip --out data/bam-tio2-sem

Writes OUT/images/{train,val,test}/*.png without the data bar and OUT/annotations/{train,val,test}.json. The split is
fixed: 22 train and 6 val images, every other one with a mask is test. OUT appears whole or not at all; one written by
an earlier run is replaced, anything else in its place is an error.
"""

import argparse
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

import cv2

from semsize.cli import one_line_errors
from semsize.exchange import Archive, BamArchiveError, FolderExistsError, bam_tio2, list_archive, new_folder, unpack
from semsize.exchange.writing import holds_dataset
from semsize.sem import SEMReadError
from semsize.structures import SPECK_PX, SPLITS, STATES, AnnotationError, dataset, write_annotations


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
        help="smaller components are specks: written with iscrowd 1, in no metric (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def convert_split(archive: Archive, split: str, folder: Path, min_area_px: int) -> Counter:
    """Write images and annotations of one split; returns how many of what."""
    images, particles = [], []
    (folder / "images" / split).mkdir(parents=True)
    for entry in (entry for entry in archive.images if entry.split == split):
        grey, image, found = bam_tio2.convert_image(
            entry, image_id=len(images) + 1, first_id=len(particles) + 1, min_area_px=min_area_px
        )
        (folder / "images" / split / image["file_name"]).write_bytes(cv2.imencode(".png", grey)[1])
        images.append(image)
        particles += found
    data = dataset(images, particles, bam_tio2.INFO, bam_tio2.LICENSES)
    write_annotations(folder / "annotations" / f"{split}.json", data)
    whole = [particle for particle in particles if not particle["iscrowd"]]
    counts = Counter(particle["state"] or "unknown" for particle in whole)
    largest = max(Counter(particle["image_id"] for particle in whole).values(), default=0)
    return counts + Counter(images=len(images), particles=len(whole), specks=len(particles) - len(whole), most=largest)


def summary(counts: dict[str, Counter], archive: Archive) -> str:
    """A table, and a line for everything that was left out."""
    columns = ("images", "particles", "most", "specks", *STATES, "unknown")
    lines = ["split  " + "  ".join(f"{name:>9}" for name in columns)]
    lines += [
        f"{split:5}  " + "  ".join(f"{count[name]:>{max(9, len(name))}}" for name in columns)
        for split, count in counts.items()
    ]
    notes = {
        "SEM images without a mask, left out": archive.without_mask,
        "masks without an SEM image, left out": archive.without_image,
        "images without a class mask, their states unknown": [e.name for e in archive.images if e.classes is None],
        "images of the fixed split that SRC lacks": archive.absent,
    }
    lines += [f"{len(names)} {what}: {' '.join(names)}" for what, names in notes.items() if names]
    return "\n".join([*lines, "most: particles in the fullest image"])


def main(arguments: list[str] | None = None) -> None:
    """Find, convert, count."""
    options = parse_arguments(arguments)
    with one_line_errors(BamArchiveError, SEMReadError, AnnotationError, FolderExistsError, OSError):
        written_before = partial(holds_dataset, info=bam_tio2.INFO)
        with (
            new_folder(options.out, written_before) as folder,
            tempfile.TemporaryDirectory(dir=folder.parent) as scratch,
        ):
            archive = list_archive(unpack(options.source, Path(scratch)))
            present = [split for split in SPLITS if any(entry.split == split for entry in archive.images)]
            counts = {split: convert_split(archive, split, folder, options.min_area) for split in present}
            if not any(count["particles"] for count in counts.values()):
                raise BamArchiveError(
                    f"{options.source}: not one particle is in its masks; take the archive's own files"
                )
        print(summary(counts, archive))
        print(f"written: {options.out}")


if __name__ == "__main__":
    main()
