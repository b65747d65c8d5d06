"""Differences of effects in another renderer's scenes: known ratios, and the standard error as their least value."""

import dataclasses
import json
import math

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from predicted_scenes import USE, make

from semsize.metrology import STATISTICS
from semsize.metrology.bias_record import RecordImages
from semsize.programs.schema import schema
from semsize.visibility.nesting import COMPLETED_STEPS, MASKED, DensityStep, step_effects
from semsize.visibility.prediction import ECD
from semsize.visibility.prior import effect_spread, renderer_prior
from semsize.visibility.record import read_visibility_records, record_path, write_visibility_records
from semsize.visibility.validation import reported_steps

SOURCE = RecordImages("other.json", "predictions.json", "rendered", 4, 90)


@pytest.fixture(scope="module")
def record(images):
    return made_of(make(images), images)


def made_of(record, images):
    """The record, with the steps of the completed result in all of the images."""
    steps = [reported_steps(image, (), record.calibration())[1] for image in images]
    return dataclasses.replace(record, completed=step_effects(COMPLETED_STEPS, steps))


def completed(image, ratio):
    """The same scene if all of its particles were hidden in part, and completed so many times too large."""
    pairs, whole = image.comparison.matching, image.whole_sizes_px.copy()
    whole[pairs.found, ECD] = ratio * image.true_sizes_px[pairs.truth, None]
    return dataclasses.replace(
        image,
        true_classes=np.full_like(image.true_classes, MASKED),
        fractions=np.full_like(image.fractions, 0.7),
        whole_sizes_px=whole,
    )


def half_widths(effects):
    assert tuple(effect.statistic for effect in effects) == STATISTICS
    return [effect.half_width for effect in effects]


@pytest.mark.parametrize(("ratios", "expected"), [([1.05], 1.05 / 1.02), ([1.05, 0.9, 1.1], 1.02 / 0.9)])
def test_completions_of_a_known_ratio_differ_by_it_and_the_largest_counts(images, record, ratios, expected):
    own = made_of(record, [completed(image, 1.02) for image in images])
    own = dataclasses.replace(own, selection=())  # such scenes select nothing
    sets = [[completed(image, ratio) for image in images] for ratio in ratios]
    prior = renderer_prior(own, sets, (), [SOURCE] * len(ratios))
    assert half_widths(prior.completion) == pytest.approx([math.log(expected)] * len(STATISTICS))
    assert prior.sources == (SOURCE,) * len(ratios)


def test_scenes_that_do_not_differ_leave_the_standard_error_of_their_difference(images, record):
    prior = renderer_prior(record, [images], (), [SOURCE])
    assert half_widths(prior.completion) == pytest.approx(
        [math.sqrt(2) * effect.standard_error for effect in record.completed[2].effects]
    )
    assert [(spread.low, spread.high) for spread in prior.selection] == [(d.low, d.high) for d in record.selection]
    for spread, density in zip(prior.selection, record.selection, strict=True):
        assert half_widths(spread.effects) == pytest.approx(
            [math.sqrt(2) * effect.standard_error for effect in density.step.effects]
        )


def test_selection_is_compared_at_the_same_density_only(images, record):
    [own, *_] = record.selection
    shifted = dataclasses.replace(
        own.step,
        effects=tuple(dataclasses.replace(effect, effect=effect.effect + 0.5) for effect in own.step.effects),
    )
    elsewhere = DensityStep(2.0, 3.0, 9, own.step)
    of_record = dataclasses.replace(record, selection=(elsewhere, dataclasses.replace(own, step=shifted)))
    [spread] = renderer_prior(of_record, [images], (), [SOURCE]).selection
    assert (spread.low, spread.high) == (own.low, own.high)
    assert half_widths(spread.effects) == pytest.approx([0.5] * len(STATISTICS))
    assert half_widths(effect_spread(shifted, [shifted, own.step])) == half_widths(spread.effects)
    with pytest.raises(ValueError, match="in a class of density of the record"):
        renderer_prior(dataclasses.replace(record, selection=(elsewhere,)), [images], (), [SOURCE])
    without = renderer_prior(dataclasses.replace(record, selection=()), [images], (), [SOURCE])
    assert without.selection == (), "then there is no powder either"


def test_it_comes_back_from_its_file_and_older_files_have_none(images, record, tmp_path):
    with_prior = dataclasses.replace(record, prior=renderer_prior(record, [images], (), [SOURCE]))
    write_visibility_records(tmp_path / "seen.pth", [with_prior])
    [read] = read_visibility_records(tmp_path / "seen.pth")
    assert read == with_prior
    assert read.differences("a" * 64, "torch", "float32", USE, 0.5) == ()
    file = record_path(tmp_path / "seen.pth")
    data = json.loads(file.read_text())
    Draft202012Validator(schema("visibility")).validate(data)
    for name in ("prior", "feret"):
        del data["records"][0][name]
    file.write_text(json.dumps(data))
    assert read_visibility_records(tmp_path / "seen.pth") == (dataclasses.replace(record, feret=()),)
