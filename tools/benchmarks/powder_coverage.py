"""How often the powder's 95 % intervals contain the truth in samples simulated from detections in rendered images.

python tools/benchmarks/powder_coverage.py --checkpoint checkpoints/light_free.pth \
    --visibility configs/tio2/visibility_free.py work_dirs/visibility_free/epoch_10.pth \
    --pair data/rendered-coverage/annotations/test.json work_dirs/light_free/rendered-coverage-test/predictions.json

Both models need their records (tools/validate.py). It resamples detections in 200 or more rendered images on which the
records do not rest. A sample has one preset and one pixel size, which the images state; it draws

- 6 to 12 images, with repeats, and in each the particles, with repeats;
- a population: the logarithm of the size has another mean (by half a standard deviation at most) and a narrower spread
  (0.7 to 1 times); particles are drawn in proportion to how frequent their true size is in it;
- an error of the pixel size, normal with the standard uncertainty of the budget.

The truth is that of all images of the preset under the drawn population. Samples share images, so the bound of the
coverage holds for these images only.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import stats
from tqdm import tqdm

from semsize.cli import PAIRS, one_line_errors
from semsize.measuring import InputError
from semsize.measuring.inputs import VisibilityRequest
from semsize.measuring.predicted_states import find_visibility_model, predict_split
from semsize.measuring.tables import markdown_table
from semsize.metrology import (
    STATISTICS,
    BiasRecordError,
    ModelUse,
    SizeSample,
    SystematicEffects,
    compare_split,
    statistics,
)
from semsize.metrology.bias import matched_sizes
from semsize.metrology.bias_record import ResidualClass, find_bias_file, read_bias_records
from semsize.metrology.intervals import size_intervals
from semsize.metrology.matching import OPERATING_SCORE
from semsize.sem import SEMReadError
from semsize.structures import AnnotationError, PredictionError, read_annotations, read_predictions
from semsize.visibility.budgets import nested_effects, powder_budgets, state_budgets
from semsize.visibility.nesting import DensitySpread, DensityStep, Population
from semsize.visibility.population import QUANTITY_FULLY_IMAGED, QUANTITY_POWDER
from semsize.visibility.prediction import Calibration
from semsize.visibility.record import VisibilityRecord
from semsize.visibility.validation import PredictedImage, reported_steps, selection_step

FEWEST_IMAGES = 10  # images of a preset and pixel size that samples need
SHIFT, NARROWEST = 0.5, 0.7  # limits of a population, in standard deviations of the logarithm of the size
QUANTITIES = (QUANTITY_FULLY_IMAGED, QUANTITY_POWDER)


@dataclass(frozen=True, eq=False)
class ResampledImage:
    """The populations of a rendered image from which samples are drawn, sizes in px."""

    group: str  # preset and pixel size
    powder: Population  # all true particles off the border
    full: Population  # the fully imaged particles of `powder`
    reported: Population  # outlines that a measurement reports, weighted with their probability of being fully imaged
    true_px: np.ndarray  # (K,) true size behind each reported outline; NaN if it is no particle
    area_fraction: float

    @classmethod
    def of(cls, group: str, image: PredictedImage, record: VisibilityRecord, residuals: Sequence[ResidualClass]):
        """The populations of an image with the records' calibration and correction."""
        steps, _ = reported_steps(image, residuals, record.calibration())
        powder, full = selection_step(image).populations
        reported, pairs = steps.populations[-1], image.comparison.matching
        of_outline = np.full(len(image.comparison.found.masks), np.nan)
        of_outline[pairs.found] = image.true_sizes_px[pairs.truth]
        return cls(group, powder, full, reported, of_outline[reported.units], steps.area_fraction)


@dataclass(frozen=True)
class Tilt:
    """Another log-normal population, as factors on the frequency of each size of a group's particles."""

    mean: float  # of the logarithm of the group's sizes
    spread: float
    new_mean: float
    new_spread: float

    @classmethod
    def drawn(cls, group: Sequence[ResampledImage], rng: np.random.Generator) -> "Tilt":
        """Draw a population near that of a group's images."""
        logs = np.log(np.concatenate([image.powder.sizes for image in group]))
        weights = np.concatenate([image.powder.weights for image in group])
        mean = float(np.average(logs, weights=weights))
        spread = float(np.sqrt(np.average((logs - mean) ** 2, weights=weights)))
        return cls(mean, spread, mean + spread * rng.uniform(-SHIFT, SHIFT), spread * rng.uniform(NARROWEST, 1))

    def __call__(self, sizes: np.ndarray) -> np.ndarray:
        """(K,) density of the new population divided by that of the old; 1 for NaN, an outline without a particle."""
        logs = np.log(sizes)
        old, new = (stats.norm.logpdf(logs, *of) for of in ((self.mean, self.spread), (self.new_mean, self.new_spread)))
        return np.where(np.isnan(sizes), 1.0, np.exp(new - old))


@dataclass(frozen=True)
class Simulation:
    """The settings that samples are drawn and measured with."""

    effects: SystematicEffects  # in nm at 1 nm a pixel, with the steps of fully imaged particles
    selection: Sequence[DensityStep]
    spread: Sequence[DensitySpread] = ()  # difference of the selection in another renderer's scenes
    images: tuple[int, int] = (6, 12)  # fewest and most images of a sample
    resamples: int = 400  # resamples of the images for a sampling interval

    def truth(self, group: Sequence[ResampledImage], tilt: Tilt) -> dict[str, np.ndarray]:
        """Quantity to the (4,) true `STATISTICS` of all images of a group under another population."""
        return {
            quantity: statistics(_pooled([_tilted(getattr(image, kind), tilt) for image in group]))
            for quantity, kind in zip(QUANTITIES, ("full", "powder"), strict=True)
        }

    def sample(self, group: Sequence[ResampledImage], tilt: Tilt, rng: np.random.Generator) -> tuple[SizeSample, float]:
        """Reported sizes of a drawn sample, and its mean area fraction."""
        chosen = rng.integers(len(group), size=rng.integers(self.images[0], self.images[1] + 1))
        error = np.exp(rng.normal(0, self.effects.calibration_relative_std or 0.0))
        parts = []
        for image in (group[number] for number in chosen):
            times = rng.poisson(tilt(image.true_px))
            parts.append(_part(image.reported.sizes * error, image.reported.weights * times))
        return _pooled(parts), float(np.mean([group[number].area_fraction for number in chosen]))

    def covers(self, group: Sequence[ResampledImage], rng: np.random.Generator) -> dict[str, np.ndarray] | None:
        """Quantity to (2, 4): whether the interval of each of `STATISTICS` contains the truth, and U / value.

        None if the sample has fewer than two particles.
        """
        tilt = Tilt.drawn(group, rng)
        sample, density = self.sample(group, tilt, rng)
        if len(sample) < 2:
            return None
        intervals = size_intervals(sample, rng, self.resamples)
        budgets = {QUANTITY_FULLY_IMAGED: state_budgets(intervals, self.effects, QUANTITY_FULLY_IMAGED)}
        budgets[QUANTITY_POWDER] = powder_budgets(intervals, self.effects, self.selection, density, self.spread)
        truth, found = self.truth(group, tilt), {}
        for quantity, by_statistic in budgets.items():
            value, half = np.array([[b.value, b.expanded] for b in map(by_statistic.get, STATISTICS)]).T
            found[quantity] = np.array([np.abs(value - truth[quantity]) <= half, half / value])
        return found


def _tilted(population: Population, tilt: Tilt) -> SizeSample:
    return _part(population.sizes, population.weights * tilt(population.sizes))


def _part(sizes: np.ndarray, weights: np.ndarray) -> SizeSample:
    """Sizes of one image without those of weight 0."""
    kept = weights > 0
    return SizeSample(sizes[kept], weights[kept], np.zeros(int(kept.sum()), np.int64))


def _pooled(parts: Sequence[SizeSample]) -> SizeSample:
    images = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    sizes, weights = (np.concatenate([getattr(part, name) for part in parts]) for name in ("sizes", "weights"))
    return SizeSample(sizes, weights, images)


def simulate(
    groups: Mapping[str, Sequence[ResampledImage]], simulation: Simulation, samples: int, rng: np.random.Generator
) -> list[list]:
    """Rows: quantity, preset, samples, coverage in % of each of `STATISTICS`, its lower bound for D50, median U/D50.

    All presets get the same number of samples. The bound is Clopper and Pearson's, one-sided at 95 %.
    """
    found = {name: [] for name in groups}
    for number in tqdm(range(samples), unit="sample", disable=None, leave=False):
        name = list(groups)[number % len(groups)]
        if (covers := simulation.covers(groups[name], rng)) is not None:
            found[name].append(covers)
    rows = []
    for quantity in QUANTITIES:
        every = [of for members in found.values() for of in members]
        for name, members in (*found.items(), ("all", every)):
            held, width = np.array([of[quantity] for of in members]).reshape(-1, 2, len(STATISTICS)).swapaxes(0, 1)
            of_d50 = held[:, STATISTICS.index("D50")]
            test = stats.binomtest(int(of_d50.sum()), max(len(of_d50), 1), alternative="greater")
            bound = 100 * test.proportion_ci(0.95, method="exact").low
            half = 100 * float(np.median(width[:, STATISTICS.index("D50")])) if len(members) else float("nan")
            share = 100 * held.mean(axis=0) if len(members) else np.full(len(STATISTICS), np.nan)
            rows.append([quantity, name, len(members), *share.tolist(), float(bound), half])
    return rows


def resampled_images(
    pairs: Sequence[Sequence[Path]], visibility: Sequence[Path], checkpoint: Path
) -> tuple[list[ResampledImage], Simulation]:
    """The images from which samples are drawn, and the simulation with both models' records.

    Raises:
        ValueError: a record does not hold for how the predictions were made, or rests on these images.
    """
    source, images = find_visibility_model(VisibilityRequest.of(visibility)), []
    use, model = source.as_record(), source.open(1, Calibration())
    of_weights = tuple(use[name] for name in ("sha256", "engine", "precision"))
    file = find_bias_file(checkpoint)
    biases = read_bias_records(file) if file else ()
    detectors = [ModelUse.behind(found) for _, found in pairs]
    if None in detectors:
        raise ValueError("no metrics.json beside the predictions says how they were made; make them with tools/test.py")
    if lines := [line for other in detectors[1:] for line in other.differences(detectors[0])]:
        raise ValueError(f"the predictions were made in several ways: {'; '.join(lines)}")
    record = _holding(
        [(other, other.differences(*of_weights, detectors[0], OPERATING_SCORE)) for other in source.records],
        f"the record of {visibility[-1]}",
    )
    bias = _holding([(b, b.differences(detectors[0], OPERATING_SCORE)) for b in biases], f"that of {checkpoint}")
    if not record.selection:
        raise ValueError(f"the record of {visibility[-1]} does not say how images select; make it from more images")
    sources = *record.sources, *bias.sources, *(record.prior.sources if record.prior else ())
    for annotations, predictions in pairs:
        truth = read_annotations(annotations)
        compared = compare_split(truth, read_predictions(predictions), min_score=OPERATING_SCORE)
        count = len(compared), len(matched_sizes(compared).true_px)
        if count in {(of.images, of.pairs) for of in sources}:
            raise ValueError(f"{annotations}: a record rests on these images; render others")
        names = {
            image["id"]: f"{image['configuration'] or 'unknown'}, {image['pixel_size_nm']:g} nm/px"
            for image in truth["images"]
        }
        images += [
            ResampledImage.of(names[seen.comparison.truth.image_id], seen, record, bias.residuals)
            for seen in predict_split(compared, annotations, None, model)
        ]
    effects = SystematicEffects(1.0, None, 0.0, bias.residuals, nested=nested_effects(record.fully_imaged))
    return images, Simulation(effects, record.selection, record.prior.selection if record.prior else ())


def _holding(records: Sequence[tuple], name: str):
    """The record without differences among (record, differences from the use); ValueError if all differ."""
    if not records:
        raise ValueError(f"{name} is missing; make it with tools/validate.py")
    nearest, lines = min(records, key=lambda pair: len(pair[1]))
    if lines:
        raise ValueError(f"{name} does not hold for these predictions: {'; '.join(lines)}")
    return nearest


def main() -> None:
    """Read and group the images, simulate samples and print the coverage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", **PAIRS, help="rendered truth and its predictions by tools/test.py; repeatable")
    parser.add_argument("--visibility", nargs="+", type=Path, required=True, metavar="FILE")
    parser.add_argument("--checkpoint", type=Path, required=True, help="the detector's weights, for its bias record")
    parser.add_argument("--samples", type=int, default=1000, help="simulated samples (default: %(default)s)")
    parser.add_argument("--images", type=int, nargs=2, default=(6, 12), metavar=("LEAST", "MOST"), help="per sample")
    parser.add_argument("--calibration", type=float, default=0.01, help="relative standard uncertainty of pixel sizes")
    parser.add_argument("--resamples", type=int, default=400, help="resamples of images (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    arguments = parser.parse_args()
    errors = (AnnotationError, PredictionError, BiasRecordError, SEMReadError, InputError, ValueError, OSError)
    with one_line_errors(*errors):
        images, simulation = resampled_images(arguments.pair, arguments.visibility, arguments.checkpoint)
        groups = grouped(images)
        effects = replace(simulation.effects, calibration_relative_std=arguments.calibration)
        simulation = replace(simulation, effects=effects, images=tuple(arguments.images), resamples=arguments.resamples)
        rows = simulate(groups, simulation, arguments.samples, np.random.default_rng(arguments.seed))
    used = sum(map(len, groups.values()))
    print(f"{used} of {len(images)} rendered images, in presets of {FEWEST_IMAGES} and more; coverage in %\n")
    header = ["of", "preset", "samples", *STATISTICS, "D50: lower 95 % bound", "U of D50, %"]
    print(markdown_table(header, rows, decimals=1))


def grouped(images: Sequence[ResampledImage]) -> dict[str, list[ResampledImage]]:
    """Images by preset and pixel size, without groups of too few images and images without reported particles.

    Raises:
        ValueError: no group has enough images.
    """
    groups = {}
    for image in images:
        groups.setdefault(image.group, []).append(image)
    groups = {name: members for name, members in sorted(groups.items()) if len(members) >= FEWEST_IMAGES}
    if not groups:
        raise ValueError(f"no preset has {FEWEST_IMAGES} images; render more")
    return groups


if __name__ == "__main__":
    main()
