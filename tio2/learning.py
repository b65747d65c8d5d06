"""From corrected images to a model of one's own: what it learns from, how it is judged, what is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.config import Config

from semsize.detecting.archive import ENDING, write_archive
from semsize.detecting.models import ShippedModel
from semsize.measuring.record import versions
from semsize.measuring.tables import markdown_table
from semsize.metrology.comparison import ImageComparison, ImageFound, compare_image, image_truths
from semsize.metrology.intervals import PairedDifference, paired_difference
from semsize.metrology.matching import outcomes, pooled_average_precision
from semsize.metrology.metrics import size_errors
from semsize.sem import read_grey
from semsize.structures import read_annotations
from semsize.structures.files import file_sha256, in_json, read_json, write_json
from semsize.structures.parts import usable_cores
from semsize.synthesis import DatasetPlan, RenderSettings, render_dataset
from tio2.engine import TrainingStopped, launch, newest_checkpoint
from tio2.engine.checkpoints import publish_checkpoint
from tio2.engine.hooks import PACKAGES
from tio2.engine.learning import learning_config
from tio2.exporting import archive_of
from tio2.inference import Detector

SCENES = DatasetPlan(
    RenderSettings(seed=0, shape=(352, 512), preset="varied", pixel_size_nm=(1.8, 3.7, 7.344, 14.7), variety=1.6),
    num=24,
    fractions=(1.0, 0.0, 0.0),
)
"""What is rendered where no scenes are given: several kinds of bodies at several pixel sizes."""

RECORD = "learning.json"
"""A model's file of what it learned from."""

AP50, MAP = slice(0, 1), slice(None)
"""Columns of `outcomes` that an average precision is the mean of."""


@dataclass(frozen=True, eq=False)
class Judged:
    """N images with what a model found in them."""

    images: tuple[ImageComparison, ...]
    outcomes: tuple[np.ndarray, ...]  # of each image (M, 10), of its M detections of any score

    def average_precision(self, thresholds: slice, chosen: Sequence[int] | None = None) -> float:
        """Mean over IoU thresholds of the average precision of all, or of the chosen images, pooled; NaN of none."""
        numbers = range(len(self.images)) if chosen is None else chosen
        images = [self.images[number] for number in numbers]
        columns = [self.outcomes[number][:, thresholds] for number in numbers]
        if not images:
            return float("nan")
        particles = sum(len(image.truth.masks) for image in images)
        scores = [image.detections.scores for image in images]
        return float(pooled_average_precision(scores, columns, particles).mean())

    @property
    def d50_error_percent(self) -> float:
        """Error of the median diameter by number, all images together."""
        return size_errors(self.images, "all").d50_percent


@dataclass(frozen=True)
class Gain:
    """A model before and after, on images that it did not see."""

    images: int
    ap50: tuple[float, float]
    mean_ap: tuple[float, float]
    d50_error_percent: tuple[float, float]
    ap50_difference: PairedDifference
    mean_ap_difference: PairedDifference

    @classmethod
    def of(cls, before: Judged, after: Judged) -> Gain:
        """Compare."""
        both = (before, after)
        return cls(
            images=len(before.images),
            ap50=tuple(judged.average_precision(AP50) for judged in both),
            mean_ap=tuple(judged.average_precision(MAP) for judged in both),
            d50_error_percent=tuple(judged.d50_error_percent for judged in both),
            ap50_difference=_difference(before, after, AP50),
            mean_ap_difference=_difference(before, after, MAP),
        )

    def table(self) -> str:
        """The values as Markdown."""
        rows = [
            ["AP50", *self.ap50, str(self.ap50_difference)],
            ["mAP", *self.mean_ap, str(self.mean_ap_difference)],
            ["error of D50, %", *self.d50_error_percent, ""],
        ]
        return markdown_table(["", "before", "after", "difference, 95 % interval over images"], rows)


def _difference(before: Judged, after: Judged, thresholds: slice) -> PairedDifference:
    values, base = (
        lambda images, judged=judged: np.array([judged.average_precision(thresholds, images)])
        for judged in (after, before)
    )
    return paired_difference(values, base, len(before.images), np.random.default_rng(0))


def judge(detector: Detector, data: Path, split: str = "val") -> Judged:
    """What a model finds in the images of a split of a converted data set, beside their truth.

    Raises:
        AnnotationError: the annotations cannot be read.
        SEMReadError: an image cannot be read.
    """
    compared, results = [], []
    for truth in image_truths(read_annotations(data / "annotations" / f"{split}.json")):
        found = detector(read_grey(data / "images" / split / truth.file_name))
        compared.append(compare_image(truth, ImageFound(found.masks, found.scores)))
        results.append(outcomes(truth.masks, found.masks, found.scores, truth.ignored))
    return Judged(tuple(compared), tuple(results))


def rendered_scenes(folder: Path) -> Path:
    """Render `SCENES` into a folder, and return it."""
    render_dataset(SCENES, folder, usable_cores())
    return folder


def train(data: Path, scenes: Path, run: Path, start: ShippedModel, **limit: float | int | None) -> Path:
    """Train a shipped model on a data set's `train`; returns the checkpoint.

    The arguments are those of `learning_config`, `minutes` or `steps`, and `seed`, among them.

    Raises:
        ConfigError, CheckpointError: a file is missing.
        TrainingStopped: a signal came.
    """
    config = learning_config(data, scenes, run, start, **limit)
    launch.set_start(config, None)
    try:
        launch.build_runner(config).train()
    except TrainingStopped as stop:
        raise TrainingStopped("stopped: nothing was written", stop.exit_code - 128) from None
    return newest_checkpoint(run)


@dataclass(frozen=True)
class Learned:
    """What a model learned from, for its card and its record."""

    start: ShippedModel
    start_name: str
    trained: tuple[str, ...]  # names of the images
    kept_back: tuple[str, ...]
    run: Path  # folder of the training
    gain: Gain | None  # None where no image was kept back

    @property
    def licence(self) -> str:
        """What the weights may be used for, in one line."""
        return f"weights of your own, from {self.start_name} ({self.start.licence})"


def publish(learned: Learned, folder: Path, name: str) -> None:
    """Write weights, config, archive, card and record of a model, all called `name`, into a folder.

    Raises:
        ArchiveError, CheckpointError, ConfigError: the weights cannot be published.
    """
    weights = folder / f"{name}.pth"
    publish_checkpoint(newest_checkpoint(learned.run), weights)
    config = Config.fromfile(learned.start.config)
    config.dump(folder / f"{name}.py")
    archive = archive_of(Config.fromfile(folder / f"{name}.py"), weights, learned.licence)
    write_archive(folder / f"{name}{ENDING}", archive)
    (folder / f"{name}.md").write_text(_card(learned, folder, name), encoding="utf-8")
    run = read_json(learned.run / "run.json", ValueError)
    record = {
        "start": {"name": learned.start_name, "sha256": file_sha256(learned.start.checkpoint)},
        "sha256": file_sha256(weights),
        "trained": learned.trained,
        "kept_back": learned.kept_back,
        "steps": run["steps"],
        "seconds": run["seconds"],
        "gain": learned.gain and {"ap50": learned.gain.ap50, "map": learned.gain.mean_ap},
        "versions": versions(*PACKAGES),
    }
    write_json(folder / RECORD, in_json(record), indent=2)


def _card(learned: Learned, folder: Path, name: str) -> str:
    run = read_json(learned.run / "run.json", ValueError)
    judged = (
        f"On {len(learned.kept_back)} corrected images that it did not see:\n\n{learned.gain.table()}"
        if learned.gain
        else "No image was kept back: nothing is known of how good it is.\n"
    )
    return f"""# {name}: learned from corrected images

**Not validated**: until a bias record is made of images that it did not see, a measurement says so first of all and
corrects no bias.

| | |
|---|---|
| licence | {learned.licence} |
| SHA-256 | {file_sha256(folder / f"{name}.pth")} |
| start | the shipped model `{learned.start_name}` |
| training | {run["steps"]} steps of {run["batch_size"]} windows in {run["seconds"] / 60:.1f} minutes, {run["device"]} |
| images | {len(learned.trained)} corrected, and rendered scenes |

{judged}
    semsize measure scans --out results --model {name}{ENDING}
    python tools/test.py {name}.py {name}.pth --data data --split val
    python tools/validate.py --pair data/annotations/val.json work_dirs/{name}/data-val/predictions.json \\
        --checkpoint {name}.pth
"""
