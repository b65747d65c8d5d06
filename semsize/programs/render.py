"""The renderer as a program."""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors

PROGRAM = """Render SEM images of agglomerated particles with exact truth: images, and COCO annotations per split.

python tools/render_dataset.py --num 20 --out data/rendered
python tools/render_dataset.py --num 1000 --size 2048 1536 --preset agglomerated --jobs 8 --format tif --out data/big

Begun again with the same arguments it renders what is missing. The same seed gives the same files for any --jobs.
"""
"""What --help says first."""


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=PROGRAM, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=_positive(int), required=True, help="number of images, all splits together")
    parser.add_argument(
        "--size",
        type=_positive(int),
        nargs=2,
        metavar=("W", "H"),
        default=(1024, 704),
        help="of the frame, px (default: 1024 704)",
    )
    parser.add_argument(
        "--preset",
        choices=["scattered", "agglomerated", "matrix", "mixed"],
        default="mixed",
        help="what is rendered (default: %(default)s)",
    )
    parser.add_argument(
        "--particles", type=_positive(int), help="particles let down on and just around each frame (default: drawn)"
    )
    parser.add_argument(
        "--pixel-size",
        type=_positive(float),
        default=7.344,
        metavar="NM",
        help="edge of a pixel (default: %(default)s nm)",
    )
    parser.add_argument(
        "--variety",
        type=_positive(float),
        default=1.0,
        help="above 1 settings scatter wider than in real images, for training (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="same seed, same bytes (default: %(default)s)")
    parser.add_argument("--jobs", type=_positive(int), default=1, help="processes (default: %(default)s)")
    parser.add_argument(
        "--fractions",
        type=float,
        nargs=3,
        metavar=("TRAIN", "VAL", "TEST"),
        default=(0.8, 0.1, 0.1),
        help="default: 0.8 0.1 0.1",
    )
    parser.add_argument(
        "--format",
        choices=["png", "tif"],
        default="png",
        help="tif carries the pixel size in its tags (default: %(default)s)",
    )
    parser.add_argument(
        "--data-bar", action="store_true", help="with a data bar below the frame, as microscopes add it"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder; gets images/<split> and annotations/<split>.json"
    )
    options = parser.parse_args(arguments)
    if min(options.fractions) < 0 or sum(options.fractions) == 0:
        parser.error("--fractions must be 0 or more and not all 0")
    if options.variety < 1:
        parser.error("--variety must be 1 or more")
    if options.seed < 0:
        parser.error("--seed must be 0 or more")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Plan, render what is missing, join."""
    options = parse_arguments(arguments)
    from tqdm import tqdm  # not above: --help is quick

    from semsize.synthesis import (
        DatasetPlan,
        RenderedDatasetError,
        RenderSettings,
        claim_folder,
        join_parts,
        missing_numbers,
        render_missing,
    )

    settings = RenderSettings(
        seed=options.seed,
        shape=(options.size[1], options.size[0]),
        preset=options.preset,
        particles=options.particles,
        pixel_size_nm=options.pixel_size,
        data_bar=options.data_bar,
        variety=options.variety,
    )
    plan = DatasetPlan(settings, options.num, tuple(options.fractions), f".{options.format}")
    with one_line_errors(RenderedDatasetError, OSError):
        claim_folder(plan, options.out)
        done = plan.num - len(missing_numbers(plan, options.out))
        for _ in tqdm(render_missing(plan, options.out, options.jobs), total=plan.num, initial=done, unit="image"):
            pass
        for split, counts in join_parts(plan, options.out).items():
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
