"""Write a file of each format of this version, which `test_formats.py` reads and later versions must still read.

python tests/format_files.py    # writes tests/formats/VERSION: once a release, or when a format changes

The measurement by `free` has two rendered scenes with few particles: one was corrected; the other, without a pixel
size, got a scale bar. The records rest on eight other scenes. The answers behind the visibility record are drawn at
random. The detector's archive has the card of `free`, the visibility model's a card of no weights, and both have text
in place of their graphs.
"""

import contextlib
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from semsize import __version__, cli
from semsize.correcting.drawn_scale import DrawnScale
from semsize.correcting.results import CorrectedResults
from semsize.correcting.shapes import ellipse_mask
from semsize.detecting.archive import GRAPHS, ModelArchive, VisibilityCard, read_archive, write_archive
from semsize.detecting.models import SHIPPED, VISIBILITY
from semsize.measuring.measurement import read_measurement
from semsize.measuring.predicted_states import predict_split
from semsize.metrology import BiasRecord, ModelUse, compare_split
from semsize.metrology.bias import ComparedSet, make_bias_record
from semsize.metrology.bias_record import write_bias_records
from semsize.metrology.comparison import ImageComparison
from semsize.metrology.matching import MIN_DICE
from semsize.sem import particle_contrast, read_grey
from semsize.structures import read_annotations, read_predictions
from semsize.structures.files import in_json, write_json
from semsize.synthesis import DatasetPlan, RenderSettings, render_dataset
from semsize.visibility.model import CropAnswers
from semsize.visibility.prediction import CalibratedModel, Calibration
from semsize.visibility.record import VisibilityRecord, write_visibility_records
from semsize.visibility.states import BINS, StateThresholds
from semsize.visibility.validation import make_visibility_record

FOLDER = Path(__file__).parent / "formats"
RESULTS, ARCHIVE, BIAS, WEIGHTS, STATED = "results", "free.semsize", "free.bias.json", "seen.pth", "stated.json"
SEEN_ARCHIVE = "seen.semsize"
"""Names in the folder of a version; `WEIGHTS`, beside which the visibility record lies, does not exist."""

KEPT = (
    "record.json",
    "predictions.json",
    "corrections.json",
    "particles.csv",
    "parts/*.json",
    "corrections/*.json",
    "corrections/*.jsonl",
)
"""Files of a results folder that programs read; the others, such as the report, are for people."""


@dataclass(frozen=True)
class Scenes:
    """A rendered set and its measurement, in the current folder."""

    settings: RenderSettings
    count: int
    folder: Path
    out: Path

    @property
    def images(self) -> Path:
        return self.folder / "images" / "test"

    @property
    def truth(self) -> Path:
        return self.folder / "annotations" / "test.json"

    def render(self) -> None:
        render_dataset(DatasetPlan(self.settings, self.count, fractions=(0, 0, 1), suffix=".tif"), self.folder)

    def measure(self) -> None:
        models = ("--model", ARCHIVE, "--visibility", SEEN_ARCHIVE)  # relative paths, since a record states them
        words = ("measure", self.images, "--out", self.out, *models, "--calibration-uncertainty", "1%")
        sys.argv = ["semsize", *map(str, words)]
        with contextlib.suppress(SystemExit):
            cli.main()


MEASURED = Scenes(RenderSettings(34, (128, 160), "agglomerated", particles=12), 2, Path("few"), Path(RESULTS))
JUDGED = Scenes(RenderSettings(33, (320, 384), "scattered", particles=45), 8, Path("many"), Path("of many"))
UNSIZED = MEASURED.images / "000001.tif"
"""The image that loses the tag with its pixel size."""


def write_formats(out: Path) -> None:
    """Fill a folder with a file of each format and with the readers' results."""
    rng, archive = np.random.default_rng(0), SHIPPED["free"].archive
    card = read_archive(archive).card
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        shutil.copy(archive, ARCHIVE)
        shutil.copy(VISIBILITY["free"].archive, SEEN_ARCHIVE)
        for scenes in (MEASURED, JUDGED):
            scenes.render()
        tifffile.imwrite(UNSIZED, tifffile.imread(UNSIZED))
        for scenes in (MEASURED, JUDGED):
            scenes.measure()
        corrected = correct()
        record, table = read_measurement(MEASURED.out)
        found = read_predictions(JUDGED.out / "predictions.json")
        images = compare_split(read_annotations(JUDGED.truth), found)
        bias = bias_of(images, ModelUse.from_json(record.outlines["model"]), rng)
        seen = visibility_of(images, bias, rng)
        for path in (path for pattern in KEPT for path in MEASURED.out.glob(pattern)):
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, out / path)
    write_bias_records(out / BIAS, [bias])
    write_visibility_records(out / WEIGHTS, [seen])
    seen_card = VisibilityCard("for tests", "a" * 64, "c" * 64, "float32", complete=0.93, masked=0.38)
    for path, each in ((out / ARCHIVE, card), (out / SEEN_ARCHIVE, seen_card)):
        write_archive(path, ModelArchive(each, {name: name.encode() for name in GRAPHS[type(each)]}))
    stated = {
        "record": {
            "images": [image.image for image in record.images],
            "pixel_size_nm": [image.pixel_size_nm for image in record.images],
            "calibration_std": record.settings.calibration_std,
            "weights": card.weights_sha256,
            "particles": len(table),
            "ecd_px": table["ecd_px"].tolist(),
        },
        "corrections": corrected,
        "bias": {name: getattr(bias, name) for name in ("residuals", "occlusion", "ranges")},
        "visibility": {name: getattr(seen, name) for name in ("class_temperature", "intervals", "selection")},
        "archive": {name: getattr(card, name) for name in ("licence", "scales", "proposals", "detections")},
        "visibility_archive": vars(seen_card),
    }
    write_json(out / STATED, in_json(stated), indent=1)


def correct() -> dict[str, Any]:
    """Give an outline a state, delete one and draw one in the first image; draw a scale bar in the second."""
    results = CorrectedResults(MEASURED.out, [MEASURED.images])
    image = results.images[0]
    with results.open_log(image, results.detected(image)) as log:
        outlines = log.corrections
        log.apply(outlines.restate([1], "isolated"), "A. Person")
        log.apply(outlines.delete([2]))
        log.apply(outlines.add(ellipse_mask((20, 12), (6, 5), outlines.image_shape), source="an ellipse"))
        log.undo()
        log.redo()
    results.keep_scale(results.images[1], DrawnScale((5.0, 120.0, 105.0, 120.0), 734.4, 1.0))
    results.write_annotations()
    return corrected_in(results)


def corrected_in(results: CorrectedResults) -> dict[str, Any]:
    """For each image: operations, pixel size, and number, states and area of the outlines that count."""
    of_images = [(results.corrected(image), results.detected(image).scores) for image in results.images]
    counted = [results.counted(*of_image) for of_image in of_images]
    outlines = [corrections for corrections, _ in of_images]
    return {
        "operations": [len(of_image.done) for of_image in outlines],
        "pixel_size_nm": [results.stated_nm(image) for image in results.images],
        "outlines": [len(numbers) for numbers in counted],
        "states": [
            [o.outlines[number].state for number in numbers] for o, numbers in zip(outlines, counted, strict=True)
        ],
        "area_px": [int(o.masks(numbers).areas.sum()) for o, numbers in zip(outlines, counted, strict=True)],
    }


def bias_of(images: list[ImageComparison], model: ModelUse, rng: np.random.Generator) -> BiasRecord:
    contrast = [particle_contrast(read_grey(JUDGED.images / i.truth.file_name), i.found.masks) for i in images]
    compared = ComparedSet(JUDGED.truth.name, "predictions.json", "rendered", images, contrast)
    return make_bias_record([compared], "light_free.pth", model, min_score=0.5, min_dice=MIN_DICE, rng=rng)


def visibility_of(images: list[ImageComparison], bias: BiasRecord, rng: np.random.Generator) -> VisibilityRecord:
    sharp = np.linspace(0.05, 2, BINS)  # most particles are fully visible

    def answers(crops: np.ndarray) -> CropAnswers:
        count = len(crops)
        ratios = np.broadcast_to([0.9, 1.0, 1.2], (count, 3, 3))
        return CropAnswers(rng.dirichlet(sharp, count), rng.random(count), np.zeros((count, 64, 64)), ratios)

    seen = predict_split(
        images, JUDGED.truth, JUDGED.images, CalibratedModel(answers, StateThresholds(), Calibration())
    )
    of_model = {"checkpoint": WEIGHTS, "sha256": "a" * 64, "engine": "torch", "precision": "float32"}
    of_detector = {"detector": bias.model, "min_score": bias.min_score, "sources": bias.sources}
    return make_visibility_record(seen, bias.residuals, **of_model, **of_detector)


if __name__ == "__main__":
    write_formats(FOLDER / __version__)
