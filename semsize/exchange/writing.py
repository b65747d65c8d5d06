"""Assigns images to splits or folds, and writes a converted data set with the account of the conversion."""

import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semsize.exchange.conversion import ConvertedImage
from semsize.exchange.source import ExchangeError, fold, short_name
from semsize.structures import SPLITS, AnnotationError, dataset, image_entry, particle_entry
from semsize.structures.coco_files import read_annotations, write_annotations
from semsize.structures.states import STATES

ACCOUNT_FILE = "conversion.txt"
CONTRIBUTOR = "semsize.exchange"


def split_by_share(names: Collection[str], val: float, test: float, seed: int) -> dict[str, str]:
    """Draw the split of each name: shares `val` and `test`, at least one image if the share is not 0; the rest trains.

    The same names, in any order, and the same seed give the same split. If the shares sum to 1, no image trains: the
    data set is to test a model that exists.

    Raises:
        ExchangeError: a share lies outside 0 to 1, the shares sum to more than 1, or there are too few images.
    """
    if not (min(val, test) >= 0 and val + test <= 1 + 1e-9):
        raise ExchangeError(f"shares of val {val:g} and test {test:g} must lie in 0 to 1 and sum to 1 at most")
    order = np.random.default_rng(seed).permutation(sorted(names)).tolist()
    trains = val + test < 1 - 1e-9
    val_count, test_count = (max(round(share * len(order)), int(share > 0)) for share in (val, test))
    if not trains:
        val_count = len(order) - test_count
    if val_count + test_count + trains > len(order) or (val > 0) > val_count:
        raise ExchangeError(f"{len(order)} images are too few for val and test; annotate more, or keep back fewer")
    return {
        name: "val" if place < val_count else "test" if place < val_count + test_count else "train"
        for place, name in enumerate(order)
    }


def assign_folds(particles: Sequence[int], folds: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the fold, 0 to ``folds`` - 1, that holds out each of N images, (N,), stratified by number of particles.

    Images are ranked by their number of particles, ties in random order; each block of ``folds`` ranks gives one image
    to every fold, at random. So folds differ by one image at most, and each has its share of crowded images.

    Raises:
        ValueError: there are fewer than 2 folds, or fewer images than folds.
    """
    if not 2 <= folds <= len(particles):
        raise ValueError(f"{folds} folds of {len(particles)} images: take 2 folds at least, and as many images")
    ties = rng.permutation(len(particles))
    ranked = np.lexsort((ties, particles))  # image of each rank
    rounds = -(-len(particles) // folds)
    fold_of_rank = np.concatenate([rng.permutation(folds) for _ in range(rounds)])[: len(particles)]
    assigned = np.empty(len(particles), np.int64)
    assigned[ranked] = fold_of_rank
    return assigned


def split_by_lists(names: Sequence[str], lists: Mapping[str, Path]) -> dict[str, str]:
    """Assign names to splits by files that list one name per line, with or without ending; unlisted images train.

    `lists` maps `val` and `test` to their files.

    Raises:
        ExchangeError: a list cannot be read, or a line names no image, several, or one that was listed before.
    """
    split = dict.fromkeys(names, "train")
    of_stem: dict[str, list[str]] = {}
    for name in names:
        for key in {fold(key) for key in (name, Path(name).name, Path(name).stem)}:
            of_stem.setdefault(key, []).append(name)
    for part, path in lists.items():
        for listed in _lines(path):
            found = of_stem.get(fold(listed.replace("\\", "/")), [])
            if len(found) != 1:
                raise ExchangeError(f"{path}: {listed} names {len(found)} of the images to write; correct the list")
            if split[found[0]] != "train":
                raise ExchangeError(f"{path}: {listed} was listed before; name each image once")
            split[found[0]] = part
    return split


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as cause:
        raise ExchangeError(f"{path}: cannot be read as a list of names ({cause}); check the path") from None


def write_dataset(
    out: Path, images: Sequence[ConvertedImage], split: Mapping[str, str], source: str, account: str
) -> None:
    """Write OUT/images/<split>, OUT/annotations/<split>.json and OUT/conversion.txt, whole or not at all.

    Image files are copied as they are, since training reads whatever `semsize.sem.read_grey` reads. A copy's name
    contains the folders of the image, and a number if two names would be the same.

    `split` maps the name of each image to its split, `source` says in words what was converted, and `account` is the
    text of conversion.txt. A folder that an earlier conversion wrote is replaced.

    Raises:
        FolderExistsError: `out` holds something else.
        OSError: an image cannot be copied.
    """
    info = {"description": f"particles converted from {source}", "contributor": CONTRIBUTOR}
    with new_folder(out, lambda path: holds_dataset(path, {"contributor": CONTRIBUTOR}, ACCOUNT_FILE)) as folder:
        for part in SPLITS:
            chosen = [image for image in images if split[image.name] == part]
            if chosen:
                records, particles = _copy(chosen, folder / "images" / part)
                write_annotations(folder / "annotations" / f"{part}.json", dataset(records, particles, info))
        (folder / ACCOUNT_FILE).write_text(account, encoding="utf-8")


def holds_dataset(folder: Path, info: Mapping[str, str], *others: str) -> bool:
    """Whether a folder holds a data set with this `info` and nothing else, so that its writer may replace it.

    Args:
        folder: the folder.
        info: entries that the `info` of each annotation file must contain.
        others: names of the files beside images/ and annotations/.
    """
    files = sorted((folder / "annotations").glob("*.json"))
    if not files or {path.name for path in folder.iterdir()} != {"images", "annotations", *others}:
        return False
    try:
        stated = [read_annotations(path).get("info") for path in files]
    except AnnotationError:
        return False
    return all(isinstance(said, Mapping) and said.items() >= info.items() for said in stated)


def _copy(images: Sequence[ConvertedImage], folder: Path) -> tuple[list[dict], list[dict]]:
    """Copy the images of one split; return its image and particle records."""
    folder.mkdir(parents=True)
    records, particles, stems = [], [], set()
    for number, image in enumerate(images, start=1):
        file_name = _new_name(image, stems)
        shutil.copyfile(image.path, folder / file_name)
        records.append(
            image_entry(
                id=number,
                file_name=file_name,
                height=image.size[0],
                width=image.size[1],
                pixel_size_nm=image.pixel_size_nm,
                source=image.name,
                configuration=image.configuration,
            )
        )
        for particle in image.particles:
            particles.append(particle_entry(id=len(particles) + 1, image_id=number, **particle))
    return records, particles


def _new_name(image: ConvertedImage, stems: set[str]) -> str:
    """Return a file name whose stem is unique in the split, because pictures of results are named after the stem."""
    parts = [part for part in Path(image.name.replace("\\", "/")).with_suffix("").parts if part not in ("..", "/")]
    plain = stem = short_name("_".join(parts))
    number = 1
    while stem.lower() in stems:
        number += 1
        stem = f"{plain}-{number}"
    stems.add(stem.lower())
    return stem + image.path.suffix.lower()


def split_table(images: Sequence[ConvertedImage], split: Mapping[str, str]) -> str:
    """Return a table of the numbers of images, particles and states, one row per split."""
    of_split = {part: [image.particles for image in images if split[image.name] == part] for part in SPLITS}
    lines = counts_table({part: count_images(chosen) for part, chosen in of_split.items() if chosen}, "ignored")
    return "\n".join([*lines, "most: particles in the fullest image; ignored: specks, crowds, regions to ignore"])


def count_images(images: Iterable[Sequence[Mapping[str, Any]]]) -> Counter[str]:
    """Count images, particles (in all, and in the fullest image), each state, and regions to ignore.

    `images` holds the particles of each image, with the keys `state` and `iscrowd`.
    """
    counts = Counter()
    for particles in images:
        states = [particle["state"] or "unknown" for particle in particles if not particle["iscrowd"]]
        counts.update(states)
        counts.update(images=1, particles=len(states), ignored=len(particles) - len(states))
        counts["most"] = max(counts["most"], len(states))
    return counts


def counts_table(counts: Mapping[str, Counter[str]], ignored: str) -> list[str]:
    """Return the lines of a table of `count_images` per split; `ignored` heads the column of regions to ignore."""
    columns = {name: name for name in ("images", "particles", "most", "ignored", *STATES, "unknown")}
    columns["ignored"] = ignored
    rows = [
        f"{split:5}  " + "  ".join(f"{of_split[name]:>{max(9, len(title))}}" for name, title in columns.items())
        for split, of_split in counts.items()
    ]
    return ["split  " + "  ".join(f"{title:>9}" for title in columns.values()), *rows]


def empty_split_warnings(images: Sequence[ConvertedImage], split: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each split that has images but no particle.

    Raises:
        ExchangeError: the training images have no particle.
    """
    counts, sizes = Counter(), Counter(split[image.name] for image in images)
    for image in images:
        counts[split[image.name]] += image.particle_count
    if sizes["train"] and not counts["train"]:
        raise ExchangeError(f"no particle is in the {sizes['train']} images to train on; split them otherwise (--seed)")
    for part in SPLITS:
        if sizes[part] and not counts[part]:
            yield f"WARNING: not one particle is in the {sizes[part]} images of {part}"


def conversion_notes(images: Sequence[ConvertedImage], strange_labels: Counter[str]) -> list[str]:
    """Return notes on the labels that mean no state and on the pixel sizes."""
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


class FolderExistsError(ValueError):
    """The output folder exists and was not written by this program; the message names it."""


@contextlib.contextmanager
def new_folder(path: str | Path, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield an empty folder beside `path` to fill, and rename it to `path` if the body ends without an error.

    Args:
        path: a path that does not exist, an empty folder, or a folder for which `is_ours` holds; it is replaced.
        is_ours: whether a folder that exists was made by the same program.

    Raises:
        FolderExistsError: `path` is a file, or a folder that another program made.
    """
    path = Path(path)
    if path.exists() and not (path.is_dir() and (not any(path.iterdir()) or is_ours(path))):
        raise FolderExistsError(f"{path}: exists and was not written by this program; move it or give another --out")
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    fresh, aside = scratch / "new", scratch / "old"
    try:
        fresh.mkdir()
        yield fresh
        replaced = path.exists()
        if replaced:
            path.rename(aside)
        try:
            fresh.rename(path)
        except OSError:
            if replaced:
                aside.rename(path)
            raise
    finally:
        shutil.rmtree(scratch)
