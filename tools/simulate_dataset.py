"""Simulate images from the agglomerates of an annotated data set, with annotations and a manifest (paper §3.2).

python tools/simulate_dataset.py --ann data/bam-tio2-sem/annotations/train.json --num 622 --size 2048 1536 --seed 0 \
    --jobs 2 --out data/simulated

Started again with the same arguments, it makes the missing images. The same seed gives the same files for any --jobs.
The images made are as restricted as their originals: mind the licence of the data set before passing them on.
"""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors

MATRIX_IMAGES = 4  # rendered if --matrix is not given
SPHERES_A_FRAME = 500  # a frame of 1024 x 704 px
PIXEL_SIZE_NM = 7.344  # of the rendered spheres, as in the BAM images; they are 200 nm across


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ann", type=Path, required=True, help="annotation file")
    parser.add_argument("--images", type=Path, help="folder of the images (default: images/<split> of the data set)")
    parser.add_argument("--num", type=int, required=True, help="number of images")
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("W", "H"), default=(2048, 1536), help="px (default: 2048 1536)"
    )
    parser.add_argument(
        "--count",
        type=int,
        nargs=2,
        metavar=("LOW", "HIGH"),
        default=(10, 160),
        help="agglomerates per image, fewer if no more fit (default: 10 160)",
    )
    parser.add_argument("--backgrounds", type=Path, help="folder of empty images (default: made from the data set)")
    parser.add_argument("--matrix", type=Path, help="folder of images of other particles (default: rendered spheres)")
    parser.add_argument(
        "--matrix-share", type=float, default=23 / 699, help="share of matrix images (default: the paper's 23/699)"
    )
    parser.add_argument(
        "--match-level", action="store_true", help="shift agglomerates to the grey level of their new surroundings"
    )
    parser.add_argument("--seed", type=int, default=0, help="same seed, same bytes (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="for images/train, annotations/train.json, manifest")
    arguments = parser.parse_args()
    if min(arguments.num, arguments.jobs, *arguments.size) < 1 or not 0 <= arguments.matrix_share <= 1:
        parser.error("--num, --size and --jobs must be 1 or more, --matrix-share 0 to 1")
    return arguments


def main() -> None:
    """Prepare the sources, plan the data set, simulate its missing images and join its parts."""
    arguments = parse_arguments()
    import cv2
    import numpy as np
    from tqdm import tqdm

    from semsize import __version__
    from semsize.structures.files import file_sha256
    from tio2.agglomerates import PasteSettings, Seam
    from tio2.agglomerates.simulation import SimulationPlan, Simulator, folder_hash, join_parts

    shape = (arguments.size[1], arguments.size[0])
    with one_line_errors(ValueError, OSError):
        library, backgrounds, matrix = prepare(arguments, shape)
        plan = SimulationPlan(
            num=arguments.num,
            shape=shape,
            seed=arguments.seed,
            library_sha256=file_sha256(library),
            backgrounds_sha256=folder_hash(backgrounds),
            matrix_sha256=folder_hash(matrix) if matrix else None,
            versions={"tio2": __version__, "numpy": np.__version__, "opencv": cv2.__version__},
            matrix_share=arguments.matrix_share,
            settings=PasteSettings(tuple(arguments.count), seam=Seam(match_level=arguments.match_level)),
        )
        parts = plan.claim(arguments.out)
        done = plan.num - len(parts.missing())
        numbers = parts.make_missing(Simulator(plan, parts, library, backgrounds, matrix), arguments.jobs)
        for _ in tqdm(numbers, total=plan.num, initial=done, unit="image"):
            pass
        counts = join_parts(plan, parts)
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    print(f"written: {arguments.out}/images/train, annotations/train.json, manifest.json")


def prepare(arguments: argparse.Namespace, shape: tuple[int, int]) -> tuple[Path, Path, Path | None]:
    """Return library, backgrounds and matrix images; make those that no option names in the folder --out."""
    from semsize.sem.image_sets import default_image_folder
    from tio2.agglomerates import AgglomerateLibrary
    from tio2.agglomerates.backgrounds import make_backgrounds

    images = arguments.images or default_image_folder(arguments.ann)
    library, backgrounds, matrix = arguments.out / "library.zip", arguments.backgrounds, arguments.matrix
    AgglomerateLibrary.from_coco(arguments.ann, images).save(library)
    if backgrounds is None:
        backgrounds = arguments.out / "backgrounds"
        for name, reason in make_backgrounds(arguments.ann, images, backgrounds, shape, arguments.seed):
            if reason:
                print(f"no background from {name}: {reason}")
    if int(arguments.num * arguments.matrix_share) == 0:
        matrix = None
    elif matrix is None:
        matrix = arguments.out / "matrix"
        render_matrix(matrix, shape, arguments.seed)
    return library, backgrounds, matrix


def render_matrix(folder: Path, shape: tuple[int, int], seed: int) -> None:
    """Render images that show only SiO2-like spheres on a membrane, unless they exist."""
    from dataclasses import replace

    import numpy as np

    from semsize.structures.files import write_whole
    from semsize.synthesis.imaging import draw_microscope, take_image
    from semsize.synthesis.populations import SPHERES
    from semsize.synthesis.scenes import REFERENCE_AREA_PX, Preset, build_scene
    from tio2.agglomerates.library import encode_grey

    preset = Preset("matrix", (1, 1), (5, 100), (0.1, 0.2, 0.5, 0.2))
    spheres = max(round(SPHERES_A_FRAME * shape[0] * shape[1] / REFERENCE_AREA_PX), 1)
    for number in range(MATRIX_IMAGES):
        path = folder / f"rendered_{number}.png"
        if not path.exists():
            rng = np.random.default_rng((seed, number))
            scene = build_scene(preset, SPHERES, shape, PIXEL_SIZE_NM, rng, spheres)
            scene = replace(scene, is_matrix=np.ones(len(scene.placed), bool))
            write_whole(path, encode_grey(take_image(scene, draw_microscope(rng), rng)))


if __name__ == "__main__":
    main()
