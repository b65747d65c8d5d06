"""Program that renders data sets."""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors

PROGRAM = """Render SEM images of agglomerated particles with exact truth: images, and COCO annotations per split.

python tools/render_dataset.py --num 20 --out data/rendered
python tools/render_dataset.py --num 1000 --size 2048 1536 --preset agglomerated --jobs 8 --format tif --out data/big

Started again with the same arguments, it renders the missing images. The same seed gives the same files for any --jobs.
"""
"""Description in --help."""

PRESETS = ["scattered", "agglomerated", "matrix", "mixed", "spheres", "rods", "plates", "needles", "cubes", "varied"]
"""`semsize.synthesis.scenes.NAMES`, repeated so that --help need not import it."""


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=PROGRAM, formatter_class=argparse.RawDescriptionHelpFormatter)
    add, positive_number, positive_count = parser.add_argument, _positive(float), _positive(int)
    add("--num", type=positive_count, required=True, help="number of images, all splits together")
    size = "size of the frame, px (default: 1024 704)"
    add("--size", type=positive_count, nargs=2, metavar=("W", "H"), default=(1024, 704), help=size)
    preset = "kind of scenes (default: %(default)s); cubes are reserved for tests, so varied has none"
    add("--preset", choices=PRESETS, default="mixed", help=preset)
    particles = "particles deposited on and just around each frame (default: drawn at random)"
    add("--particles", type=positive_count, help=particles)
    pixel_size = "pixel size; one of several is drawn for each image (default: 7.344 nm)"
    add("--pixel-size", type=positive_number, nargs="+", default=[7.344], metavar="NM", help=pixel_size)
    variety = "above 1, settings scatter more widely than in real images, for training (default: %(default)s)"
    add("--variety", type=positive_number, default=1.0, help=variety)
    add("--seed", type=int, default=0, help="the same seed gives the same files (default: %(default)s)")
    add("--jobs", type=positive_count, default=1, help="processes (default: %(default)s)")
    splits, fractions = ("TRAIN", "VAL", "TEST"), (0.8, 0.1, 0.1)
    add("--fractions", type=float, nargs=3, metavar=splits, default=fractions, help="shares (default: 0.8 0.1 0.1)")
    tif = "tif carries the pixel size in its tags (default: %(default)s)"
    add("--format", choices=["png", "tif"], default="png", help=tif)
    add("--data-bar", action="store_true", help="add a data bar below the frame, as microscopes do")
    add("--out", type=Path, required=True, help="folder; gets images/<split> and annotations/<split>.json")
    options = parser.parse_args(arguments)
    if min(options.fractions) < 0 or sum(options.fractions) == 0:
        parser.error("--fractions must be 0 or more and not all 0")
    if options.variety < 1:
        parser.error("--variety must be 1 or more")
    if options.seed < 0:
        parser.error("--seed must be 0 or more")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Plan the data set, render the missing images, and join the annotations."""
    options = parse_arguments(arguments)
    from semsize.structures.parts import DatasetFolderError  # not above: --help is quick
    from semsize.synthesis import DatasetPlan, RenderSettings, render_dataset

    settings = RenderSettings(
        seed=options.seed,
        shape=(options.size[1], options.size[0]),
        preset=options.preset,
        particles=options.particles,
        pixel_size_nm=tuple(options.pixel_size) if len(options.pixel_size) > 1 else options.pixel_size[0],
        data_bar=options.data_bar,
        variety=options.variety,
    )
    plan = DatasetPlan(settings, options.num, tuple(options.fractions), f".{options.format}")
    with one_line_errors(DatasetFolderError, OSError):
        for split, counts in render_dataset(plan, options.out, options.jobs).items():
            print(f"{split}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    print(f"written: {options.out}/images/<split>, {options.out}/annotations/<split>.json")


def _positive(kind: type) -> type:
    """An argument type for numbers above 0."""

    def parse(text: str) -> float:
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
        return value

    parse.__name__ = f"positive {kind.__name__}"
    return parse
