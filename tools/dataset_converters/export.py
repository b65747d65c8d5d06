"""Write annotations in the form of an annotation tool, to look at and correct there, and convert back.

python tools/dataset_converters/export.py data/own/annotations/train.json --format via --out train-via
python tools/dataset_converters/via.py train-via/via.json --images data/own/images/train --group particle --out data/new

via: one via.json; labelme: a JSON an image; imagej: a zip of ROIs an image; label_images: a 16-bit PNG an image.
VIA and LabelMe know no holes: a slit opens them. Where particles overlap, a label image shows the later one.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import cv2

from semsize.cli import one_line_errors
from semsize.exchange import FolderExistsError, label_image, labelme_file, new_folder, roi_zip, via_project
from semsize.structures import AnnotationError, CroppedMasks, read_annotations
from semsize.structures.json_files import write_json


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path, metavar="ANN", help="the project's annotation file")
    parser.add_argument("--format", choices=["via", "labelme", "imagej", "label_images"], required=True)
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    return parser.parse_args(arguments)


def write(folder: Path, form: str, images: list) -> None:
    """Write (image record, masks, states) of every image into `folder`."""
    if form == "via":
        write_json(folder / "via.json", via_project(images))
        return
    for record, masks, states in images:
        stem = Path(record["file_name"]).stem
        if form == "labelme":
            write_json(folder / f"{stem}.json", labelme_file(record, masks, states))
        elif form == "imagej":
            roi_zip(folder / f"{stem}.zip", masks, states)
        else:
            (folder / f"{stem}.png").write_bytes(cv2.imencode(".png", label_image(masks))[1])


def main(arguments: list[str] | None = None) -> None:
    """Read, draw outlines, write."""
    options = parse_arguments(arguments)
    with one_line_errors(AnnotationError, FolderExistsError, OSError):
        data = read_annotations(options.annotations)
        particles = defaultdict(list)
        for particle in data["annotations"]:
            particles[particle["image_id"]].append(particle)
        images = []
        for record in data["images"]:
            whole = particles[record["id"]]
            rles = [particle["segmentation"] for particle in whole]
            masks = CroppedMasks.from_rles(rles, (record["height"], record["width"]))
            states = ["ignore" if particle["iscrowd"] else particle["state"] for particle in whole]
            images.append((record, masks, states))
        with new_folder(options.out, is_ours=lambda _: False) as folder:
            write(folder, options.format, images)
    print(f"written: {sum(map(len, particles.values()))} particles of {len(images)} images in {options.out}")


if __name__ == "__main__":
    main()
