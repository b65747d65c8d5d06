"""What the converters share at the command line: options, the printed account, and the way from reader to folder."""

import argparse
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from semsize.exchange.conversion import ConvertedImage, Settings, convert_images
from semsize.exchange.new_folder import FolderExistsError
from semsize.exchange.particles import MEANINGS
from semsize.exchange.source import Account, ExchangeError, SourceImage
from semsize.exchange.splitting import SPLITS, split_by_lists, split_by_share
from semsize.exchange.writing import ACCOUNT_FILE, write_dataset
from semsize.structures.annotations import AnnotationError
from semsize.structures.states import STATES

PEOPLE_ERRORS = (ExchangeError, FolderExistsError, AnnotationError, OSError)

_PLACES_PRINTED = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of every converter."""
    parser.add_argument("--out", type=Path, required=True, help="folder; gets images/<split>, annotations/<split>.json")
    parser.add_argument(
        "--val", type=float, metavar="SHARE", help="of images to validate on (default: 0.2; none with --test 1)"
    )
    parser.add_argument(
        "--test", type=float, default=0.0, metavar="SHARE", help="of images to test on; 1: all (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the split (default: %(default)s)")
    parser.add_argument("--val-list", type=Path, metavar="FILE", help="images to validate on, a name a line")
    parser.add_argument("--test-list", type=Path, metavar="FILE", help="images to test on; all others train")
    parser.add_argument(
        "--pixel-size", type=float, metavar="NM", help="nanometres a pixel, for all images (default: from the files)"
    )
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="NAME=MEANING",
        help=f"what a label means: {', '.join(MEANINGS)}; may be repeated (states' own names are understood)",
    )
    parser.add_argument(
        "--min-area",
        type=int,
        default=1,
        metavar="PX",
        help="smaller particles are specks: written with iscrowd 1, in no metric (default: %(default)s)",
    )
    parser.add_argument("--keep-empty", action="store_true", help="keep images without a particle, as background")


def convert(options: argparse.Namespace, images: Iterable[SourceImage], account: Account, source: str) -> None:
    """Convert, split, write and say what happened.

    Args:
        options: of `add_arguments`.
        images: from a reader, which notes its own troubles in `account`.
        account: printed, and written in full to OUT/conversion.txt.
        source: what is converted, in words.

    Raises:
        ExchangeError: an option makes no sense, or no image is left; the account has been printed then.
        FolderExistsError: OUT holds something else.
    """
    settings = _settings(options)
    converted, strange_labels = convert_images(images, settings, account)
    if not converted:
        print("\n".join(account.lines(_PLACES_PRINTED)))
        raise ExchangeError(f"{source}: no image with particles is left to write; the lines above say why")
    particles = [sum(not one["iscrowd"] for one in image.particles) for image in converted]
    if not any(particles):
        print("\n".join(account.lines(_PLACES_PRINTED)))
        ignored = sum(len(image.particles) for image in converted)
        raise ExchangeError(
            f"{source}: not one particle in {len(converted)} images, but {ignored} regions to ignore; the lines above "
            "say why"
        )
    split = _split(options, converted)
    table = _table(converted, split)
    notes = [*_empty_splits(converted, particles, split), *_notes(converted, strange_labels)]
    if "train" not in split.values():
        notes.append("no image is left to train on: a set to validate or test a model on")
    full = "\n".join([f"converted from {source}", table, *notes, *account.lines()])
    write_dataset(options.out, converted, split, source, f"{full}\n")
    print("\n".join([table, *notes, *account.lines(_PLACES_PRINTED)]))
    print(f"written: {options.out}/images/<split>, annotations/<split>.json, {ACCOUNT_FILE} (every name)")


def _settings(options: argparse.Namespace) -> Settings:
    if options.pixel_size is not None and not options.pixel_size > 0:
        raise ExchangeError(f"--pixel-size must be above 0, not {options.pixel_size:g}")
    meanings = {}
    for entry in options.label:
        name, _, meaning = entry.rpartition("=")
        if not name or meaning not in MEANINGS:
            raise ExchangeError(f"--label {entry}: give NAME=MEANING, the meaning one of {', '.join(MEANINGS)}")
        meanings[name] = meaning
    return Settings(options.pixel_size, meanings, options.min_area, options.keep_empty)


def _split(options: argparse.Namespace, images: Sequence[ConvertedImage]) -> dict[str, str]:
    names = [image.name for image in images]
    lists = {"val": options.val_list, "test": options.test_list}
    lists = {part: path for part, path in lists.items() if path is not None}
    if lists:
        return split_by_lists(names, lists)
    val = options.val if options.val is not None else 0.2 if options.test < 1 else 0.0
    return split_by_share(names, val, options.test, options.seed)


def _table(images: Sequence[ConvertedImage], split: Mapping[str, str]) -> str:
    """How many of what, a row a split."""
    columns = ("images", "particles", "most", "ignored", *STATES, "unknown")
    lines = ["split  " + "  ".join(f"{name:>9}" for name in columns)]
    for part in SPLITS:
        counts, chosen = Counter(), [image for image in images if split[image.name] == part]
        for image in chosen:
            whole = [particle for particle in image.particles if not particle["iscrowd"]]
            counts.update(particle["state"] or "unknown" for particle in whole)
            counts.update(images=1, particles=len(whole), ignored=len(image.particles) - len(whole))
            counts["most"] = max(counts["most"], len(whole))
        if chosen:
            lines.append(f"{part:5}  " + "  ".join(f"{counts[name]:>{max(9, len(name))}}" for name in columns))
    return "\n".join([*lines, "most: particles in the fullest image; ignored: specks, crowds, regions to ignore"])


def _empty_splits(
    images: Sequence[ConvertedImage], particles: Sequence[int], split: Mapping[str, str]
) -> Iterable[str]:
    """A warning for each split that has images and no particle.

    Raises:
        ExchangeError: there is none to train on.
    """
    counts, sizes = Counter(), Counter(split[image.name] for image in images)
    for image, count in zip(images, particles, strict=True):
        counts[split[image.name]] += count
    if sizes["train"] and not counts["train"]:
        raise ExchangeError(f"no particle is in the {sizes['train']} images to train on; split them otherwise (--seed)")
    for part in SPLITS:
        if sizes[part] and not counts[part]:
            yield f"WARNING: not one particle is in the {sizes[part]} images of {part}"


def _notes(images: Sequence[ConvertedImage], strange_labels: Counter[str]) -> list[str]:
    notes = []
    if strange_labels:
        counts = ", ".join(f"{label} ({count})" for label, count in strange_labels.most_common())
        notes.append(f"labels that are no state, kept as source_state (--label says what one means): {counts}")
    sizes = Counter(image.pixel_size_nm for image in images)
    unknown = sizes.pop(None, 0)
    if sizes:
        span = f"{min(sizes):g}" if len(sizes) == 1 else f"{min(sizes):g} to {max(sizes):g}"
        notes.append(f"pixel size: {span} nm in {sum(sizes.values())} images")
    if unknown:
        notes.append(f"pixel size: not known in {unknown} images (--pixel-size says it)")
    return notes
