"""Test states and sizes of found outlines without a network: convex hull, trees on mask features.

python tools/benchmarks/state_baselines.py \
    --train data/outlines-mixed/annotations/train.json work_dirs/light_free/outlines-mixed-train/predictions.json \
    --test data/outlines-varied/annotations/val.json work_dirs/light_free/outlines-varied-val/predictions.json \
    --visibility configs/tio2/visibility_free.py work_dirs/visibility_free/epoch_10.pth

Images stand in images/<split> beside annotations/<split>.json; the truth is rendered. Every second training image fits
the trees, the others calibrate their answers. --visibility adds a row for a trained visibility model.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from semsize.cli import PAIRS, one_line_errors
from semsize.measuring import InputError
from semsize.measuring.inputs import VisibilityRequest
from semsize.measuring.predicted_states import find_visibility_model
from semsize.measuring.tables import markdown_table
from semsize.metrology.matching import OPERATING_SCORE
from semsize.metrology.measurands import measure
from semsize.sem import SEMReadError
from semsize.sem.image_sets import outlined_images
from semsize.structures import AnnotationError, CroppedMasks, PredictionError
from semsize.structures.states import FULLY_IMAGED_FRACTION, MASKED_FRACTION, VISIBILITY_CLASSES, disc, neighbour_pairs
from semsize.visibility.calibration import fit_temperature, with_temperature
from semsize.visibility.completion import convex_hull, hull_completion
from semsize.visibility.crops import mask_crops, particle_crops, windows
from semsize.visibility.judging import JudgedOutlines, judge, visibility_metrics
from semsize.visibility.model import QUANTILES, CropAnswers
from semsize.visibility.prediction import ECD, Calibration
from semsize.visibility.states import BINS, fraction_bins
from semsize.visibility.surroundings import Surroundings, placed_in
from semsize.visibility.truth import OutlineTruth, outline_truth, sizes_px

FEATURES = (
    "ln ECD",
    "ECD / median of the image",
    "aspect ratio",
    "circularity",
    "solidity",
    "area / completed by the hull",
    "depth of the deepest notch / ECD",
    "share of the rim under other outlines",
    "share of the notches under other outlines",
    "touching outlines",
    "ECD / that of the largest touching outline",
)
RIM_PX = 3  # width of the rim, and distance up to which outlines touch
TREES, DEPTH, FEWEST = 200, 14, 5
SUREST = 0.998  # a forest of few trees cannot be certain
METRICS = {
    "states right": "states_right",
    "ECE": "states_ece",
    "ECE of being a particle": "particle_ece",
    "masked, of known size": "masked",
    "ECD error, %": "masked_network_number_ecd_error_percent",
    "its sd, %": "masked_network_number_ecd_error_std_percent",
    "true ECD in interval, %": "masked_network_number_interval_holds_percent",
}
"""Column to the key of `visibility_metrics`; keys with `network_number` hold a method's stated sizes."""

Answer = Callable[[np.ndarray, CroppedMasks], CropAnswers]


@dataclass(frozen=True, eq=False)
class Judgeable:
    """An image with found outlines and their truth."""

    grey: np.ndarray
    outlines: CroppedMasks
    truth: OutlineTruth


def judgeable_images(pairs: Sequence[Sequence[Path]]) -> list[Judgeable]:
    """The images of (annotations, predictions) with found outlines."""
    images = []
    for annotations, predictions in pairs:
        of_file = outlined_images(annotations, predictions=predictions, min_score=OPERATING_SCORE)
        for record, grey, outlines, particles in tqdm(of_file, unit="image", disable=None, leave=False):
            if len(outlines):
                images.append(Judgeable(grey, outlines, outline_truth(outlines, particles, record["pixel_size_nm"])))
    return images


def mask_features(grey: np.ndarray, outlines: CroppedMasks) -> np.ndarray:
    """`FEATURES` of M outlines, none empty, (M, 11) float32."""
    measured, whole = measure(outlines), hull_completion(outlines, grey)
    ecd, around = measured.ecd_px, Surroundings.of(outlines, grey)
    largest, touching = np.zeros(len(outlines)), np.zeros(len(outlines))
    for first, second in neighbour_pairs(outlines, RIM_PX).tolist():
        for own, other in ((first, second), (second, first)):
            largest[own] = max(largest[own], ecd[other])
            touching[own] += 1
    notches, rims, hidden = np.zeros((3, len(outlines)))
    for number, (crop, (row, column)) in enumerate(outlines):
        corner, shape = (row - RIM_PX, column - RIM_PX), tuple(side + 2 * RIM_PX for side in crop.shape)
        own = placed_in(crop, (row, column), shape, corner)
        others = around.others(own, corner)
        rim = cv2.dilate(own.astype(np.uint8), disc(RIM_PX)).astype(bool) & ~own
        inside = convex_hull(own.astype(np.uint8)) & ~own
        rims[number] = others[rim].mean()
        hidden[number] = others[inside].mean() if inside.any() else 0
        notches[number] = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 3).max() / ecd[number]
    columns = (
        *(np.log(ecd), ecd / np.median(ecd), measured.aspect_ratio, measured.circularity, measured.solidity),
        *(outlines.areas / whole.areas, notches, rims, hidden, touching),
        np.where(touching > 0, ecd / np.maximum(largest, 1), 0),
    )
    return np.column_stack(columns).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Trees:
    """A forest for each yes-or-no question and one for the size, calibrated on other images."""

    questions: tuple[cv2.ml.RTrees, ...]  # visible fraction 0.98 or more; 0.4 or more; a particle
    temperatures: tuple[float, ...]
    size: cv2.ml.RTrees  # ln(true ECD / ECD of the outline)
    ratio_quantiles: np.ndarray  # (3,) `QUANTILES` of true / stated ECD

    @classmethod
    def fitted(cls, images: Sequence[Judgeable]) -> "Trees":
        """Fit trees to every second image, temperatures and quantiles to the others.

        Raises:
            ValueError: there are fewer than two images, or a question has only one answer.
        """
        if len(images) < 2:
            raise ValueError("give two or more training images with found outlines")
        cv2.setRNGSeed(0)
        features = [mask_features(image.grey, image.outlines) for image in tqdm(images, unit="image", disable=None)]
        learnt, kept = (np.concatenate(features[first::2]) for first in (0, 1))
        questions, temperatures = [], []
        for yes in (_visible_to(FULLY_IMAGED_FRACTION), _visible_to(MASKED_FRACTION), lambda truth: truth.is_particle):
            answers, checks = (np.concatenate([yes(image.truth) for image in images[n::2]]) for n in (0, 1))
            if min(len(set(known[~np.isnan(known)].tolist())) for known in (answers, checks)) < 2:
                raise ValueError("a question has only one answer in the training images; give more images")
            known, checked = ~np.isnan(answers), ~np.isnan(checks)
            forest = _forest(learnt[known], answers[known])
            questions.append(forest)
            temperatures.append(fit_temperature(_sure(forest, kept[checked]), checks[checked].astype(int)))
        ratios, checks = (np.concatenate([_ratios(image) for image in images[n::2]]) for n in (0, 1))
        size = _forest(learnt[~np.isnan(ratios)], np.log(ratios[~np.isnan(ratios)]))
        checked = ~np.isnan(checks)
        found = np.exp(size.predict(kept[checked])[1][:, 0])
        return cls(*map(tuple, (questions, temperatures)), size, np.quantile(checks[checked] / found, QUANTILES))

    def __call__(self, grey: np.ndarray, outlines: CroppedMasks) -> CropAnswers:
        """Answers for M outlines; visible fractions are equally likely within a class, and no outline is completed."""
        features = mask_features(grey, outlines)
        full, enough, particle = (
            with_temperature(_sure(forest, features), temperature)[:, 1]
            for forest, temperature in zip(self.questions, self.temperatures, strict=True)
        )
        enough = np.maximum(enough, full)
        ends = np.round(BINS * np.array([0, MASKED_FRACTION, FULLY_IMAGED_FRACTION, 1])).astype(int)
        classes = np.column_stack([1 - enough, enough - full, full])
        fractions = np.repeat(classes / np.diff(ends), np.diff(ends), axis=1)
        ratios = np.exp(self.size.predict(features)[1]) * self.ratio_quantiles
        return _answers(outlines, fractions, particle, ratios)


def as_seen(_: np.ndarray, outlines: CroppedMasks) -> CropAnswers:
    """Answer that every outline is a fully visible particle."""
    return _answers(outlines, _certain(np.ones(len(outlines))), np.ones(len(outlines)), np.ones((len(outlines), 3)))


def by_hull(grey: np.ndarray, outlines: CroppedMasks) -> CropAnswers:
    """Answer that every outline is a particle, and its whole outline the convex hull where a part may hide."""
    whole = hull_completion(outlines, grey)
    fraction = outlines.areas / whole.areas
    ratios = np.repeat(1 / np.sqrt(fraction)[:, None], len(QUANTILES), axis=1)
    return _answers(outlines, _certain(fraction), np.ones(len(outlines)), ratios)


def _certain(fraction: np.ndarray) -> np.ndarray:
    return np.eye(BINS)[fraction_bins(fraction)]


def _answers(
    outlines: CroppedMasks, fractions: np.ndarray, particle: np.ndarray, ecd_ratios: np.ndarray
) -> CropAnswers:
    """Answers with the visible outline as the whole one; other sizes have the ECD's ratios."""
    ratios = np.repeat(ecd_ratios[:, None], 3, axis=1)
    return CropAnswers(fractions, particle, mask_crops(outlines, windows(outlines)), ratios)


def _visible_to(fraction: float) -> Callable[[OutlineTruth], np.ndarray]:
    """Return a function that gives 1 for outlines visible to at least `fraction`, else 0; NaN if unknown."""
    return lambda truth: np.where(np.isnan(truth.visible_fraction), np.nan, truth.visible_fraction >= fraction)


def _ratios(image: Judgeable) -> np.ndarray:
    """(M,) true ECD of the whole particle / ECD of the outline; NaN if unknown."""
    return image.truth.sizes_px[:, ECD] / sizes_px(image.outlines)[:, ECD]


def _forest(features: np.ndarray, values: np.ndarray) -> cv2.ml.RTrees:
    forest = cv2.ml.RTrees.create()
    forest.setMaxDepth(DEPTH)
    forest.setMinSampleCount(FEWEST)
    forest.setTermCriteria((cv2.TERM_CRITERIA_MAX_ITER, TREES, 0))
    forest.train(features, cv2.ml.ROW_SAMPLE, values.astype(np.float32))
    return forest


def _sure(forest: cv2.ml.RTrees, features: np.ndarray) -> np.ndarray:
    """(M, 2) probabilities of no and yes: the mean of the trees' 0 and 1."""
    yes = np.clip(forest.predict(features)[1][:, 0].astype(np.float64), 1 - SUREST, SUREST)
    return np.column_stack([1 - yes, yes])


CERTAIN: dict[str, Answer] = {"all as seen": as_seen, "convex hull, where a part may hide": by_hull}
"""Methods without probabilities and intervals."""


def judged(images: Sequence[Judgeable], answer: Answer, name: str) -> JudgedOutlines:
    """Judge a method's answers on some images against their truth."""
    parts = tqdm(images, desc=name, unit="image", disable=None, leave=False)
    return JudgedOutlines.cat(
        [judge(image.outlines, answer(image.grey, image.outlines), image.truth, image.grey) for image in parts]
    )


def main() -> None:
    """Read the images, fit the trees, judge all methods and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", **PAIRS, help="rendered truth and predictions, for the trees; repeatable")
    parser.add_argument("--test", **PAIRS, help="the same of other images, to judge; repeatable")
    parser.add_argument("--visibility", nargs="+", type=Path, metavar="FILE", help="visibility model: config, weights")
    arguments = parser.parse_args()
    with one_line_errors(AnnotationError, PredictionError, SEMReadError, InputError, ValueError, OSError):
        test = judgeable_images(arguments.test)
        methods: dict[str, Answer] = dict(CERTAIN)
        methods["trees on mask features"] = Trees.fitted(judgeable_images(arguments.train))
        if arguments.visibility:
            model = find_visibility_model(VisibilityRequest.of(arguments.visibility)).open(1, Calibration())
            methods["visibility model, not calibrated"] = lambda grey, outlines: CropAnswers.cat(
                [CropAnswers.empty(), *map(model.answers, particle_crops(grey, outlines))]
            )
        metrics = {name: visibility_metrics(judged(test, answer, name)) for name, answer in methods.items()}
    counts = next(iter(metrics.values()))
    print(f"{len(test)} images, {counts['outlines']:,} outlines, {counts['no_particle']:,} of them no particle")
    print(f"states of {counts['states']:,} are known: {', '.join(VISIBILITY_CLASSES)}\n")
    rows = [[name, *(of_method[key] for key in METRICS.values())] for name, of_method in metrics.items()]
    for row in rows[: len(CERTAIN)]:
        row[-1] = None  # these state no interval
    print(markdown_table(["method", *METRICS], rows))


if __name__ == "__main__":
    main()
