"""Cover real, fully imaged particles with other real particles: a data set whose hidden parts are known.

python tools/cover_particles.py --ann data/bam-tio2-sem/annotations/val.json --rounds 4 --out data/covered-bam
python tools/test.py configs/tio2/visibility_free.py --data data/covered-bam --split test \
    --cfg-options test_dataloader.dataset.predictions=None

Particles count as fully imaged by their state; if no state is known, if they have no neighbour. The images made are as
restricted as their originals: mind the licence of the data set before passing them on.
"""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ann", type=Path, required=True, help="annotation file")
    parser.add_argument("--images", type=Path, help="folder of the images (default: images/<split> of the data set)")
    parser.add_argument("--rounds", type=int, default=1, help="images made of each image (default: %(default)s)")
    parser.add_argument("--split", choices=("train", "val", "test"), default="test", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same bytes (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder for images/<split>, annotations/<split>.json")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return arguments


def main() -> None:
    """Cover the particles of each image, write the data set and count its particles."""
    arguments = parse_arguments()
    import numpy as np
    from tqdm import tqdm

    from semsize.sem.image_sets import outlined_images
    from semsize.structures import dataset, image_entry, particle_entry, read_annotations, write_annotations
    from semsize.structures.files import write_whole
    from semsize.structures.pixel_size import PixelSize
    from tio2.agglomerates.covering import COVERED, cover_particles, covered_particles
    from tio2.agglomerates.library import encode_grey

    images, records = [], []
    with one_line_errors(ValueError, OSError):
        source = read_annotations(arguments.ann)
        for record, grey, masks, particles in tqdm(
            outlined_images(arguments.ann, arguments.images), total=len(source["images"]), unit="image"
        ):
            pixel_nm = record["pixel_size_nm"]
            pixel_size = None if pixel_nm is None else PixelSize(pixel_nm)
            for number in range(arguments.rounds):
                rng = np.random.default_rng((arguments.seed, record["id"], number))
                covered = cover_particles(grey, masks, particles, rng)
                name = f"{Path(record['file_name']).stem}-{number}.png"
                pixels = encode_grey(np.rint(covered.image))
                write_whole(arguments.out / "images" / arguments.split / name, pixels)
                image = image_entry(
                    id=len(images) + 1,
                    file_name=name,
                    height=record["height"],
                    width=record["width"],
                    pixel_size_nm=pixel_nm,
                    source=COVERED + record["file_name"],
                )
                images.append(image)
                for known in covered_particles(covered, particles, pixel_size):
                    records.append(particle_entry(id=len(records) + 1, image_id=image["id"], **known))
        file = arguments.out / "annotations" / f"{arguments.split}.json"
        write_annotations(file, dataset(images, records, source["info"], source["licenses"]))
    covered = sum(record.get("visible_fraction", 1) < 1 for record in records)
    print(f"{len(images)} images, {len(records)} particles, {covered} of them covered; written: {file}")


if __name__ == "__main__":
    main()
