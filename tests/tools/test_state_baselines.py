"""Trees on mask features predict the hidden parts of covered disks better than taking all as seen."""

import numpy as np
import pytest
import state_baselines as baselines

from semsize.structures.masks import CroppedMasks
from semsize.structures.states import VISIBILITY_CLASSES, visibility_class
from semsize.visibility.judging import visibility_metrics
from semsize.visibility.truth import OutlineTruth, sizes_px

CELL, CELLS = 64, 6
NOTHING = (np.zeros((0, 0), np.uint8), (0, 0))


def disk(row, column, radius):
    rows, columns = np.mgrid[:CELL, :CELL]
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def disks(rng):
    """In each cell a disk that another one covers in part or only touches; in every sixth a cross, no particle."""
    masks, wholes, fractions, particle = [], [], [], []
    for number in range(CELLS**2):
        at = (CELL * (number // CELLS), CELL * (number % CELLS))
        if number % 6 == 5:
            cross = np.zeros((CELL, CELL), bool)
            cross[30:34, 15:50] = cross[15:50, 30:34] = True
            masks.append((cross, at))
            wholes.append(NOTHING)
            fractions.append(np.nan)
            particle.append(0.0)
            continue
        radius, other = rng.uniform(10, 13, 2)
        distance = rng.choice([radius + other + 1, rng.uniform(0.3, 0.95) * (radius + other)])
        under, over = disk(32, 20, radius), disk(32, 20 + distance, other)
        masks += [(under & ~over, at), (over, at)]
        wholes += [(under, at), (over, at)]
        fractions += [np.count_nonzero(under & ~over) / np.count_nonzero(under), 1.0]
        particle += [1.0, 1.0]
    shape = (CELL * CELLS,) * 2
    outlines, whole = (CroppedMasks.from_crops(placed, shape) for placed in (masks, wholes))
    fractions = np.array(fractions)
    classes = [-1 if np.isnan(f) else VISIBILITY_CLASSES.index(visibility_class(f)) for f in fractions.tolist()]
    truth = OutlineTruth(
        np.array(particle), fractions, np.array(classes), np.zeros(len(masks), bool), sizes_px(whole),
        visible=CroppedMasks.from_crops([m if p else NOTHING for m, p in zip(masks, particle, strict=True)], shape),
        whole=whole, partner=np.where(np.array(particle) == 1, np.arange(len(masks)), -1),
    )  # fmt: skip
    grey = np.where(outlines.union() > 0, 180, 40).astype(np.uint8)
    return baselines.Judgeable(grey, outlines, truth)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return [disks(rng) for _ in range(9)]


def test_features_of_a_disk_that_a_larger_one_covers():
    under, over = disk(32, 20, 10), disk(32, 36, 12)
    outlines = CroppedMasks.from_full(np.array([under & ~over, over]))
    features = baselines.mask_features(np.where(under | over, 180.0, 40.0), outlines)
    assert features.shape == (2, len(baselines.FEATURES))
    hidden, front = (dict(zip(baselines.FEATURES, row, strict=True)) for row in features.tolist())
    assert front["touching outlines"] == hidden["touching outlines"] == 1
    assert front["solidity"] > 0.95 > hidden["solidity"]
    assert front["share of the notches under other outlines"] < 0.1
    assert hidden["share of the notches under other outlines"] > 0.9
    ratio = np.sqrt(np.count_nonzero(under & ~over) / np.count_nonzero(over))
    assert hidden["ECD / that of the largest touching outline"] == pytest.approx(ratio, rel=1e-5)
    assert front["ECD / that of the largest touching outline"] == pytest.approx(1 / ratio, rel=1e-5)


def test_trees_beat_what_is_seen(images):
    trees = baselines.Trees.fitted(images[:6])
    found, seen = (
        visibility_metrics(baselines.judged(images[6:], answer, "")) for answer in (trees, baselines.as_seen)
    )
    assert found["states"] == seen["states"] > 150
    assert found["states_right"] > 0.9 > seen["states_right"]
    assert found["states_ece"] < 0.1
    assert found["particle_ece"] < 0.1
    error, spread = (f"masked_network_number_ecd_error_{name}" for name in ("percent", "std_percent"))
    assert abs(found[error]) < 5 < -seen[error]
    assert found[spread] < seen[spread]
    assert found["masked_network_number_interval_holds_percent"] > 80


def test_the_hull_states_what_it_fills(images):
    answers = baselines.by_hull(images[0].grey, images[0].outlines)
    area = sizes_px(images[0].outlines)[:, 0] ** 2
    whole = (sizes_px(images[0].outlines)[:, 0] * answers.size_ratios[:, 0, 1]) ** 2
    assert (whole >= area - 1e-9).all()
    assert (whole > 1.02 * area).any()


def test_images_that_know_one_answer_only_are_refused(images):
    one = images[0]
    known = np.flatnonzero(one.truth.is_particle == 1)
    particles = baselines.Judgeable(one.grey, one.outlines[known], one.truth[known])
    with pytest.raises(ValueError, match="only one answer"):
        baselines.Trees.fitted([particles, particles])
