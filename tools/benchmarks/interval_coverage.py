"""How often 95 % intervals of simulated samples contain the truth; docs/uncertainty.md quotes the result.

python tools/benchmarks/interval_coverage.py
python tools/benchmarks/interval_coverage.py --between 0.05 --samples 300 --seed 1

Sizes are log-normal (geometric standard deviation 1.4); the logarithm of the median differs from image to image by a
normal deviate, and images hold unequal numbers of particles (mean 60, coefficient of variation 0.6).
"""

import argparse
from dataclasses import dataclass

import numpy as np
from scipy import stats
from tqdm import tqdm

from semsize.measuring.tables import markdown_table
from semsize.metrology.intervals import STATISTICS, resampled_statistics, share_below, statistics, student_intervals
from semsize.metrology.size_distribution import PROBABILITIES, SizeSample

MEDIAN, LOG_SPREAD = 203.0, np.log(1.4)
PARTICLES, VARIATION = 60, 0.6
SHARES = (0.02, 0.5)
ENDS = (0.025, 0.975)
CHOSEN = "Student, log"


@dataclass(frozen=True)
class Material:
    """The population from which images are drawn."""

    between: float  # standard deviation between images of the logarithm of the median

    @property
    def log_spread(self) -> float:
        """Standard deviation of the logarithm of all sizes together, which are log-normal too."""
        return float(np.hypot(self.between, LOG_SPREAD))

    def truth(self) -> np.ndarray:
        """(4,) true values of `STATISTICS`."""
        quantiles = np.exp(self.log_spread * stats.norm.ppf(PROBABILITIES))
        return MEDIAN * np.append(quantiles, np.exp(self.log_spread**2 / 2))

    def limits(self) -> np.ndarray:
        """(2,) sizes below which `SHARES` of the particles lie."""
        return MEDIAN * np.exp(self.log_spread * stats.norm.ppf(SHARES))

    def sample(self, images: int, rng: np.random.Generator) -> SizeSample:
        """Particles of some images; an image has at least one."""
        variance = np.log1p(VARIATION**2)
        expected = rng.lognormal(np.log(PARTICLES) - variance / 2, np.sqrt(variance), images)
        number = np.repeat(np.arange(images), np.maximum(rng.poisson(expected), 1))
        shift = rng.normal(0, self.between, images)[number]
        sizes = MEDIAN * np.exp(shift + LOG_SPREAD * rng.standard_normal(len(number)))
        return SizeSample(sizes, np.ones(len(number)), number)


def bca(sample: SizeSample, drawn: np.ndarray) -> np.ndarray:
    """(2, 4) ends of the bias-corrected and accelerated interval (Efron 1987) with images as units."""
    value = statistics(sample)
    without = np.array([statistics(sample[sample.images != image]) for image in np.unique(sample.images)])
    below = ((drawn < value).mean(axis=0) + (drawn <= value).mean(axis=0)) / 2
    shift = stats.norm.ppf(np.clip(below, 1 / len(drawn), 1 - 1 / len(drawn)))
    deviation = without.mean(axis=0) - without
    scale = 6 * (deviation**2).sum(axis=0) ** 1.5
    acceleration = np.divide((deviation**3).sum(axis=0), scale, out=np.zeros(4), where=scale > 0)
    towards = shift + stats.norm.ppf(ENDS)[:, None]  # (2, 4)
    shares = stats.norm.cdf(shift + towards / (1 - acceleration * towards))
    return np.array([[np.quantile(drawn[:, n], share) for n, share in enumerate(row)] for row in shares])


def ends(sample: SizeSample, rng: np.random.Generator, resamples: int) -> dict[str, np.ndarray]:
    """Method to (2, 4) ends of its intervals."""
    drawn = resampled_statistics(sample, rng, resamples)
    student = student_intervals(sample, drawn)
    return {
        CHOSEN: np.array([[student[name].low, student[name].high] for name in STATISTICS]).T,
        "percentile": np.quantile(drawn, ENDS, axis=0),
        "BCa": bca(sample, drawn),
    }


def simulate(material: Material, images: int, samples: int, resamples: int, rng: np.random.Generator) -> list[list]:
    """A row for each method: coverage in %, and half the width of the D50 interval in % of D50."""
    truth, hits, widths = material.truth(), {}, {}
    shares = np.zeros(len(SHARES))
    for _ in tqdm(range(samples), desc=f"{images} images", disable=None):
        sample = material.sample(images, rng)
        for method, (low, high) in ends(sample, rng, resamples).items():
            hits[method] = hits.get(method, 0) + ((low <= truth) & (truth <= high))
            widths[method] = widths.get(method, 0) + 50 * (high[1] - low[1]) / truth[1]
        found = [share_below(sample, limit) for limit in material.limits()]
        shares += [known.low <= share <= known.high for known, share in zip(found, SHARES, strict=True)]
    rows = [
        [images, method, *(100 * hit / samples).tolist(), float(widths[method] / samples), *(None for _ in SHARES)]
        for method, hit in hits.items()
    ]
    rows[0][-len(SHARES) :] = (100 * shares / samples).tolist()
    return rows


def main() -> None:
    """Simulate samples and print the coverage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000, help="simulated samples (default: %(default)s)")
    parser.add_argument("--images", type=int, nargs="+", default=[3, 6, 12, 40], help="default: 3 6 12 40")
    parser.add_argument("--between", type=float, default=0.1, help="between-image spread (default: %(default)s)")
    parser.add_argument("--resamples", type=int, default=400, help="resamples of a sample (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    arguments = parser.parse_args()
    rng, material = np.random.default_rng(arguments.seed), Material(arguments.between)
    rows = [
        row
        for images in arguments.images
        for row in simulate(material, images, arguments.samples, arguments.resamples, rng)
    ]
    shares = [f"share of {share:.0%}" for share in SHARES]
    print(f"coverage in %, {arguments.samples} samples, between-image spread {arguments.between:g}\n")
    print(markdown_table(["images", "interval", *STATISTICS, "± of D50, %", *shares], rows, decimals=1))


if __name__ == "__main__":
    main()
