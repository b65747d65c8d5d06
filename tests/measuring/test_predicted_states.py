"""Predicted states: their place in the table, the headline's weights, and given states, which take precedence."""

import csv
import dataclasses
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from measured_scenes import BrightSource, DoubtfulSource, write_scenes, write_zeiss

from semsize.correcting.source import CorrectedOutlines
from semsize.detecting.models import ShippedModel
from semsize.measuring import InputError, MeasurementSettings, OptionError, archived_visibility, engines, measure_images
from semsize.measuring.engines import FASTEST_FIRST
from semsize.measuring.inputs import ReferenceValue, RunOptions, VisibilityRequest, find_images
from semsize.measuring.measurement import read_measurement
from semsize.measuring.outline_files import outlines_from_rois
from semsize.measuring.particle_table import PREDICTED_COLUMNS
from semsize.measuring.predicted_states import OutlinesWithStates, find_visibility_model, with_requested_states
from semsize.measuring.report import lines_of
from semsize.measuring.summary import summarise
from semsize.metrology import ModelUse
from semsize.metrology.bias_record import RecordImages
from semsize.metrology.size_distribution import weighted_quantiles
from semsize.programs.measure import _states, parse_arguments
from semsize.programs.schema import schema
from semsize.visibility.calibration import ReliabilityBin
from semsize.visibility.completion import FractionErrors
from semsize.visibility.crops import CHANNELS
from semsize.visibility.model import CropAnswers
from semsize.visibility.nesting import DensitySpread, DensityStep, EffectSpread, StatisticEffect, StepEffects
from semsize.visibility.population import QUANTITY_COMPLETED
from semsize.visibility.prediction import CalibratedModel
from semsize.visibility.record import (
    IntervalTable,
    RendererPrior,
    VisibilityRecord,
    write_visibility_records,
)
from semsize.visibility.states import BINS, StateThresholds

PREDICTED = MeasurementSettings(states="predicted")


@dataclass(frozen=True)
class Model:
    """Says the same of every outline, but of `first` one fraction after the other, image by image."""

    fraction: float = 1.0
    particle: float = 1.0
    ratio: float = 1.0
    first: tuple[float, ...] = ()
    sha256: str = "1"
    records: tuple = ()

    def open(self, processes: int, calibration):  # noqa: ARG002 - the interface of a source
        def answers(crops):
            assert crops.shape[1:] == (len(CHANNELS), 64, 64)
            fractions = np.full(len(crops), self.fraction)
            fractions[: len(self.first)] = self.first
            bins = np.minimum((fractions * BINS).astype(int), BINS - 1)
            quantiles = self.ratio * np.array([0.9, 1.0, 1.2])
            whole = np.zeros((len(crops), 64, 64))
            return CropAnswers(
                np.eye(BINS)[bins],
                np.full(len(crops), self.particle),
                whole,
                np.broadcast_to(quantiles, (len(crops), 3, 3)).copy(),
            )

        return CalibratedModel(answers, StateThresholds(), calibration)

    def as_record(self) -> dict:
        return {"path": "stub", "sha256": self.sha256, "engine": "torch", "precision": "float32", "licence": "free"}


@pytest.fixture
def images(tmp_path):
    return write_scenes(tmp_path / "in", 2)


def measured(images, folder, settings=PREDICTED, **model):
    source = (
        BrightSource()
        if settings.states != "predicted"
        else OutlinesWithStates(BrightSource(), Model(**model), settings.score)
    )
    return measure_images(images, folder, source, settings)


def states_file(folder, rows):
    path = folder / "states.csv"
    path.write_text("image,id,state\n" + "".join(f"{image},{number},{state}\n" for image, number, state in rows))
    return path


def test_a_certain_model_measures_what_the_same_states_given_in_a_file_do(images, tmp_path):
    seen = measured(images, tmp_path / "seen")
    given = [*zip(seen.table["image"], seen.table["id"], seen.table["state"], strict=True)]
    settings = MeasurementSettings(states_file=states_file(tmp_path, given))
    by_file = measured(images, tmp_path / "by-file", settings)
    assert seen.summary.quantity == by_file.summary.quantity == "fully imaged particles"
    for name in ("distribution", "kept", "expected_particles", "measurands", "intervals"):
        assert getattr(seen.summary, name) == getattr(by_file.summary, name), name
    assert seen.summary.budgets["D50"].label.endswith("states excluded")
    assert "states" not in by_file.summary.budgets["D50"].label


def test_probabilities_weigh_and_a_common_one_changes_no_quantile(images, tmp_path):
    sure, doubtful = measured(images, tmp_path / "sure"), measured(images, tmp_path / "doubtful", particle=0.5)
    assert doubtful.summary.distribution.d50 == sure.summary.distribution.d50
    assert doubtful.summary.expected_particles == pytest.approx(sure.summary.kept / 2)
    kept = doubtful.summary.kept
    assert kept == sure.summary.kept
    assert f"{kept / 2:.1f}, by the probabilities of {kept}, of " in "\n".join(lines_of(doubtful))
    assert any("STATES ARE PREDICTED" in warning for warning in doubtful.record["warnings"])


def test_a_particle_that_is_surely_hidden_has_no_part_in_the_headline(images, tmp_path):
    seen = measured(images, tmp_path / "out", first=(1.0, 0.6, 0.2), ratio=1.3)
    table = seen.table
    first, second = (table["id"] == number for number in (2, 3))
    assert set(table["state"][first]) == {"masked"}
    assert set(table["excluded"][first]) == {"not fully imaged"}
    np.testing.assert_allclose(table["whole_ecd_px"][first], 1.3 * table["ecd_px"][first], rtol=1e-6)
    np.testing.assert_allclose(table["whole_ecd_low_nm"][first], 0.9 * 1.3 * table["ecd_nm"][first], rtol=1e-6)
    np.testing.assert_allclose(
        table["whole_feret_max_high_nm"][first], 1.2 * table["whole_feret_max_nm"][first], rtol=1e-6
    )
    assert (table["completed"][first] == 1).all()
    assert np.isnan(table["whole_ecd_px"][second]).all(), "below 0.4 no size is given"
    assert (table["completed"][~first] == 0).all()


def test_parts_of_before_feret_intervals_are_measured_without_them(images, tmp_path):
    before = measured(images, tmp_path / "out").table
    new = [name for name in before.columns if name.startswith("whole_feret") and ("low" in name or "high" in name)]
    assert len(new) == 8
    for file in (tmp_path / "out" / "parts").glob("*.json"):
        part = json.loads(file.read_text(encoding="utf-8"))
        if "seen" in part:
            part["seen"] = {name: values for name, values in part["seen"].items() if name not in new}
            file.write_text(json.dumps(part), encoding="utf-8")
    again = measured(images, tmp_path / "out").table
    assert all(np.isnan(again[name]).all() for name in new)
    np.testing.assert_array_equal(again["whole_ecd_low_px"], before["whole_ecd_low_px"])


def test_a_state_given_by_hand_goes_first_and_is_certain(images, tmp_path):
    path = states_file(tmp_path, [(images[0].name, 2, "masked")])
    seen = measured(images, tmp_path / "out", MeasurementSettings(states="predicted", states_file=path), particle=0.5)
    row = np.flatnonzero((seen.table["image"] == images[0].name) & (seen.table["id"] == 2))[0]
    assert seen.table["state"][row] == "masked"
    assert (seen.table["p_masked"][row], seen.table["p_particle"][row]) == (1, 1)
    assert seen.table["excluded"][row] == "not fully imaged"


def test_whoever_reads_predicted_outlines_again_takes_no_state_for_given(images, tmp_path):
    settings = MeasurementSettings(
        states="predicted", states_file=states_file(tmp_path, [(images[0].name, 2, "masked")])
    )
    source = OutlinesWithStates(BrightSource(), Model(first=(1.0, 0.6)), settings.score)
    seen = measure_images(images, tmp_path / "seen", source, settings, options=RunOptions(rois=True))
    assert set(seen.table["state"]) == {"isolated", "masked"}
    by_rois = outlines_from_rois(tmp_path / "seen" / "rois", find_images(images, tmp_path / "rois"))
    again = measure_images(images, tmp_path / "rois", by_rois)
    given = [*zip(again.table["image"], again.table["id"], again.table["state"], strict=True)]
    assert [row for row in given if row[2]] == [(images[0].name, 2, "masked")]
    source = CorrectedOutlines(tmp_path / "seen")
    corrected = measure_images(images, tmp_path / "corrected", source, MeasurementSettings(states="given"))
    assert set(corrected.table["state"]) == {""}


def test_corrected_outlines_are_measured_as_the_measurement_was(images, tmp_path):
    measured(images, tmp_path / "seen")
    measured(images, tmp_path / "found", MeasurementSettings())
    seen, found = CorrectedOutlines(tmp_path / "seen"), CorrectedOutlines(tmp_path / "found")
    assert with_requested_states(found, MeasurementSettings()) is found
    given = MeasurementSettings(states_file=states_file(tmp_path, [(images[0].name, 2, "masked")]))
    assert with_requested_states(seen, given) is seen
    assert with_requested_states(seen, MeasurementSettings(states="given")) is seen
    assert with_requested_states(seen, MeasurementSettings()).source is seen
    done = measure_images(images, tmp_path / "corrected", OutlinesWithStates(seen, Model(), 0.5))
    assert done.record["settings"]["states"] == "predicted"
    assert "licence" not in found.as_record(), "BrightSource has none"


def test_the_report_says_what_corrections_did_also_where_states_are_predicted(images, tmp_path):
    measured(images, tmp_path / "found", MeasurementSettings())
    source = CorrectedOutlines(tmp_path / "found")
    done = measure_images(images, tmp_path / "given", source)
    seen = measure_images(
        images, tmp_path / "seen", OutlinesWithStates(source, Model(first=(1.0, 0.6)), 0.5), PREDICTED
    )
    assert seen.record["corrections"] == done.record["corrections"] is not None
    (untouched,) = (line for line in done.record["warnings"] if "nothing was corrected" in line)
    assert untouched in seen.record["warnings"]


def test_what_a_person_drew_or_accepted_is_a_particle_for_certain(images, tmp_path):
    """`BrightSource` is no model; its scores lie between 0.9 and 0.95."""

    class Drawn(BrightSource):
        def outlines(self, frame):
            found = super().outlines(frame)
            return dataclasses.replace(found, scores=np.where(np.arange(len(found.masks)) == 2, 1, found.scores))

    for source, expected in ((Drawn(), [0.5, 0.5, 1.0, 0.5]), (FoundByModel(), [0.5, 0.5, 0.5, 0.5])):
        seen = OutlinesWithStates(source, Model(particle=0.5), 0.5)
        done = measure_images(images[:1], tmp_path / type(source).__name__, seen, PREDICTED)
        assert done.table["p_particle"][:4].tolist() == expected


class FoundByModel(BrightSource):
    def outlines(self, frame):
        found = super().outlines(frame)
        return dataclasses.replace(found, scores=np.ones(len(found.masks), np.float32))

    def as_record(self):
        return {**super().as_record(), "kind": "model"}


def test_the_share_below_100_nm_has_the_uncertainty_of_sizes_alone(images, tmp_path):
    """What predicted states do to the population is no error that moves each particle across the limit."""
    record = record_of(fully_imaged=steps(("overlooked", 0.3), ("outline", 0.2), ("states", -0.4), ("false", 0.2)))
    found = []
    for name, records in (("known", (record,)), ("not", ())):
        source = OutlinesWithStates(Detected(), Model(records=records), PREDICTED.score)
        settings = dataclasses.replace(PREDICTED, calibration_std=0.01)
        found.append(measure_images(images, tmp_path / name, source, settings).summary)
    assert found[0].budgets["D50"].combined_std > 5 * found[1].budgets["D50"].combined_std
    ends = [[(share.low, share.high) for share in summary.nano.values()] for summary in found]
    assert ends[0] == ends[1]


def test_border_weights_are_said_without_the_probabilities(images, tmp_path):
    sure, doubtful = (measured(images, tmp_path / str(p), particle=p).summary for p in (1.0, 0.5))
    assert sure.largest_weight == doubtful.largest_weight > 1


def test_what_is_put_back_counts_by_its_probabilities(images, tmp_path):
    """Half of what touches the border is a particle: D50 with it is that of a powder of which half of it is part."""
    settings = dataclasses.replace(PREDICTED, min_size_px=0.0)
    seen = measured(images, tmp_path / "out", settings, particle=0.5, first=(1.0, 0.6))
    table, exclusions = seen.table, {exclusion.reason: exclusion for exclusion in seen.summary.exclusions}
    kept = table["excluded"] == ""
    for reason, probability in (("border", 0.5), ("not fully imaged", 0.5)):
        back = table["excluded"] == reason
        weights = np.where(np.isnan(table["weight"]), 1, table["weight"]) * probability
        sizes, weights = table["ecd_nm"][kept | back], weights[kept | back]
        assert exclusions[reason].count == back.sum() > 0
        assert exclusions[reason].d50_with == pytest.approx(weighted_quantiles(sizes, weights, (0.5,))[0])


@dataclass(frozen=True)
class HalfSureSource(BrightSource):
    """Every second outline has the score 0.7 in single precision, which lies below 0.7 in double precision."""

    def outlines(self, frame):
        found = super().outlines(frame)
        scores = np.where(np.arange(len(found.masks)) % 2, 0.7, found.scores).astype(np.float32)
        return dataclasses.replace(found, scores=scores)


def test_a_score_at_the_threshold_counts_everywhere(images, tmp_path):
    settings = dataclasses.replace(PREDICTED, score=0.7)
    source = OutlinesWithStates(HalfSureSource(), Model(), settings.score)
    done = measure_images(images, tmp_path / "out", source, settings)
    counted = sum(image["particles"] for image in done.record["images"])
    assert counted == done.summary.detected == len(done.table)
    assert not np.isnan(done.table["p_particle"]).any()


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_few_particles_are_said_without_a_number_that_is_none(tmp_path, kept):
    [image] = write_scenes(tmp_path / "in", 1)
    given = states_file(tmp_path, [(image.name, number, "unusable") for number in range(kept + 2, 7)])  # 1: border
    reference = ReferenceValue(110.0, 4.0)
    settings = dataclasses.replace(PREDICTED, reference_d50=reference, min_size_px=0.0, states_file=given)
    done = measured([image], tmp_path / "out", settings, particle=0.5)
    assert (done.summary.kept, done.summary.quantity) == (kept, "fully imaged particles")
    text = "\n".join(lines_of(done)) + (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"\bnan\b", text)
    assert ("E_n" in text) == bool(done.summary.en) or "cannot be compared" in text


def test_a_reference_without_a_pixel_size_is_said_to_be_compared_with_nothing(tmp_path):
    images = write_scenes(tmp_path / "in", 2, pixel_size_nm=None)
    done = measured(images, tmp_path / "out", dataclasses.replace(PREDICTED, reference_d50=ReferenceValue(110.0, 4.0)))
    assert done.summary.en == {}
    assert any("cannot be compared (no E_n): sizes are in pixels" in line for line in done.record["warnings"])


def test_completed_particles_stand_beside_the_fully_imaged_ones(images, tmp_path):
    seen = measured(images, tmp_path / "out", first=(1.0, 0.6, 0.2), ratio=1.3)
    full, completed, visible = seen.summary.populations
    hidden, kept = seen.table["completed"] == 1, seen.table["excluded"] == ""
    assert full.expected_count == kept.sum()
    assert completed.expected_count == (kept | hidden).sum()
    assert visible.expected_count == (kept | (seen.table["excluded"] == "not fully imaged")).sum()
    sizes = np.concatenate([seen.table["ecd_nm"][kept], 1.3 * seen.table["ecd_nm"][hidden]])
    weights = np.concatenate([seen.table["weight"][kept], seen.table["weight"][hidden]])
    assert completed.number["mean"].value == pytest.approx(np.average(sizes, weights=weights))
    assert seen.summary.unsized == 2  # one an image
    assert full.number["D50"].value == pytest.approx(seen.summary.distribution.d50)
    text = (tmp_path / "out" / "report.html").read_text()
    assert "hidden parts completed, by volume" in text
    assert any("hidden parts completed: D50 =" in line for line in lines_of(seen))


@dataclass(frozen=True)
class Detected(BrightSource):
    """The same, as if a model had found it."""

    def as_record(self) -> dict:
        return {"kind": "model", "path": "x", "sha256": "0", "licence": "free", "model": dataclasses.asdict(USE)}


USE = ModelUse("d" * 64, "torch", "float32", {})


def steps(*effects):
    """Steps whose effect on every statistic is given by name, their uncertainty 0.01."""
    every = ("D10", "D50", "D90", "mean")
    return tuple(
        StepEffects(name, tuple(StatisticEffect(each, effect, 0.006, 0.008, 9.0) for each in every))
        for name, effect in effects
    )


def record_of(**changes):
    intervals = IntervalTable((0.4, 1.0), (0.0, 1000.0), ((0.5,),), ((2.0,),), ((99,),), 0.95)
    values = {
        "checkpoint": "seen.pth", "sha256": "1", "engine": "torch", "precision": "float32", "detector": USE,
        "min_score": 0.5, "sources": (), "fitted_images": 4, "judged_images": 4, "class_temperature": 1.0,
        "particle_temperature": 1.0, "intervals": intervals, "states_right": 0.9, "calibration_error": 0.02,
        "reliability": (ReliabilityBin(0.9, 1.0, 40, 0.95, 0.9, 0.76, 0.97),),
        "errors": (FractionErrors(0.6, 0.8, 40, 1.5, 7.0, 95.0),), "feret": (),
        "fully_imaged": steps(("overlooked", 0.002), ("outline", 0.2), ("states", -0.012), ("false", 0.0)),
        "completed": steps(("overlooked", 0.002), ("outline", 0.2), ("completion", 0.01), ("states", 0.0)),
        "selection": (DensityStep(0.0, 1.0, 8, steps(("selection", 0.03))[0]),),
    }  # fmt: skip
    return VisibilityRecord(**(values | changes))


def test_a_record_that_holds_fills_the_budget_and_gives_the_powder(images, tmp_path):
    source = OutlinesWithStates(Detected(), Model(records=(record_of(),), ratio=1.3, first=(1.0, 0.6)), PREDICTED.score)
    done = measure_images(images, tmp_path / "out", source, PREDICTED)
    lines = {line.source: line.std for line in done.summary.budgets["D50"].lines}
    d50 = done.summary.distribution.d50
    assert lines["states"] == pytest.approx(d50 * np.hypot(0.012, 0.01))
    assert "outline" not in lines, "the outlines are the line of the model"
    completed, powder = done.summary.further_budgets.values()
    assert powder["D50"].value == pytest.approx(d50 / np.exp(0.03))
    assert {line.source: line.std for line in powder["D50"].lines}["selection"] == pytest.approx(
        powder["D50"].value * 0.01
    )
    assert "completion" in {line.source for line in completed["D50"].lines}
    hidden = done.table["completed"] == 1
    np.testing.assert_allclose(done.table["whole_ecd_high_px"][hidden], 2 * done.table["whole_ecd_px"][hidden])
    assert done.record["states_not_validated"] == []
    text = (tmp_path / "out" / "report.html").read_text()
    for words in ("How well states and hidden parts are known", "powder, by the fully imaged", "completion"):
        assert words in text
    record, table = read_measurement(tmp_path / "out")
    again = summarise(record, table).further_budgets
    assert list(again) == list(done.summary.further_budgets)


def test_what_another_renderer_tells_is_a_line_of_completed_particles_and_powder(images, tmp_path):
    spreads = [tuple(EffectSpread(name, half) for name in ("D10", "D50", "D90", "mean")) for half in (0.02, 0.05)]
    others = RecordImages("other.json", "predictions.json", "rendered", 60, 900)
    prior = RendererPrior((others,), spreads[0], (DensitySpread(0.0, 1.0, spreads[1]),))
    source = OutlinesWithStates(Detected(), Model(records=(record_of(prior=prior),), first=(1.0, 0.6)), PREDICTED.score)
    done = measure_images(images, tmp_path / "out", source, PREDICTED)
    assert "renderer" not in [line.source for line in done.summary.budgets["D50"].lines]
    for budgets, half in zip(done.summary.further_budgets.values(), (0.02, 0.05), strict=True):
        for budget in budgets.values():
            line = budget.lines[-1]
            assert (line.source, line.evaluation, line.dof) == ("renderer", "B", np.inf)
            assert line.std == pytest.approx(budget.value * half / np.sqrt(3))
            assert budget.combined_std**2 == pytest.approx(sum(line.std**2 for line in budget.lines if line.std))
    text = (tmp_path / "out" / "report.html").read_text()
    assert text.count("; renderer ") == 2
    assert "differ in 60 scenes of another renderer" in text
    record, table = read_measurement(tmp_path / "out")
    assert summarise(record, table).further_budgets == done.summary.further_budgets


def test_a_measurement_of_before_has_no_line_of_a_renderer(images, tmp_path):
    source = OutlinesWithStates(Detected(), Model(records=(record_of(),), first=(1.0, 0.6)), PREDICTED.score)
    done = measure_images(images, tmp_path / "out", source, PREDICTED)
    assert "All scenes are by one renderer" in (tmp_path / "out" / "report.html").read_text()
    file = tmp_path / "out" / "record.json"
    content = json.loads(file.read_text())
    del content["seen_validation"]["prior"]
    file.write_text(json.dumps(content))
    record, table = read_measurement(tmp_path / "out")
    assert record.seen_validation == record_of()
    for budgets in summarise(record, table).further_budgets.values():
        assert "renderer" not in [line.source for line in budgets["D50"].lines]
    assert summarise(record, table).further_budgets == done.summary.further_budgets


def test_a_reference_is_compared_with_every_d50_that_has_an_uncertainty(images, tmp_path):
    source = OutlinesWithStates(Detected(), Model(records=(record_of(),)), PREDICTED.score)
    settings = dataclasses.replace(PREDICTED, reference_d50=ReferenceValue(110.0, 4.0))
    done = measure_images(images, tmp_path / "out", source, settings)
    assert list(done.summary.en) == ["fully imaged particles", *done.summary.further_budgets]
    d50 = done.summary.budgets["D50"]
    expected = (d50.value - 110) / np.hypot(d50.expanded, 4)
    assert done.summary.en["fully imaged particles"] == pytest.approx(expected)
    assert "110.0 nm ± 4.0 nm: E<sub>n</sub>" in (tmp_path / "out" / "report.html").read_text()
    assert read_measurement(tmp_path / "out")[0].settings == settings


def test_a_powder_of_another_density_than_the_record_has_is_said(images, tmp_path):
    other = record_of(selection=(DensityStep(0.45, 1.0, 8, steps(("selection", 0.03))[0]),))
    for name, record, is_said in (("near", record_of(), False), ("far", other, True)):
        source = OutlinesWithStates(Detected(), Model(records=(record,)), PREDICTED.score)
        warnings = measure_images(images, tmp_path / name, source, PREDICTED).record["warnings"]
        assert any("area fraction of 0.45 to 1, the nearest" in line for line in warnings) == is_said


def test_a_record_of_another_use_does_not_hold_and_says_why(images, tmp_path):
    source = OutlinesWithStates(Detected(), Model(records=(record_of(precision="bfloat16"),)), PREDICTED.score)
    done = measure_images(images, tmp_path / "out", source, PREDICTED)
    assert done.summary.budgets["D50"].label.endswith("states excluded")
    assert done.record["states_not_validated"] == ["precision of the visibility model is float32, validated bfloat16"]
    assert list(done.summary.further_budgets) == [QUANTITY_COMPLETED]
    assert done.record["outlines"]["visibility"]["calibration"] is None


def test_a_measurement_from_python_takes_the_model_that_is_installed(images, tmp_path, monkeypatch):
    installed(monkeypatch, onnx=Model(first=(1.0, 0.6)))
    done = measure_images(images, tmp_path / "out", BrightSource(), PREDICTED)
    seen = measured(images, tmp_path / "seen", first=(1.0, 0.6))
    assert done.table["p_masked"].tolist() == seen.table["p_masked"].tolist()


def test_the_licence_of_a_result_is_the_strictest_of_its_models(images, tmp_path):
    class Bound(Model):
        def as_record(self):
            return {**super().as_record(), "licence": "not for sale"}

    strict = measure_images(
        images, tmp_path / "out", OutlinesWithStates(BrightSource(), Bound(), PREDICTED.score), PREDICTED
    )
    assert strict.record["licence"] == "not for sale"
    assert "licence of all models together</td><td>not for sale<" in (tmp_path / "out" / "report.html").read_text()


def test_outlines_below_the_score_are_no_neighbours_and_get_no_probability(images, tmp_path):
    source = OutlinesWithStates(DoubtfulSource(), Model(), PREDICTED.score)
    table = measure_images(images, tmp_path / "out", source, PREDICTED).table
    low = table["score"] < PREDICTED.score
    assert 0 < low.sum() < len(table)
    np.testing.assert_array_equal(np.isnan(table["p_particle"]), low)
    assert set(table["state"][low]) == {""}


def test_the_table_comes_back_from_its_file_and_gives_the_same_numbers(images, tmp_path):
    seen = measured(images, tmp_path / "out", first=(1.0, 0.6), particle=0.75)
    with (tmp_path / "out" / "particles.csv").open(newline="") as stream:
        assert set(PREDICTED_COLUMNS) <= set(csv.DictReader(stream).fieldnames)
    record, table = read_measurement(tmp_path / "out")
    assert table.is_predicted
    assert summarise(record, table).distribution.d50 == pytest.approx(seen.summary.distribution.d50)
    assert seen.record["outlines"]["visibility"]["licence"] == "free"


def test_a_table_without_particles_comes_back_with_its_columns(tmp_path):
    done = measured([write_zeiss(tmp_path / "blank.tif", np.full((64, 96), 40, np.uint8))], tmp_path / "out")
    record, table = read_measurement(tmp_path / "out")
    assert table.is_predicted
    assert summarise(record, table).numbers() == done.summary.numbers()


def test_another_model_of_states_is_another_measurement(images, tmp_path):
    measured(images, tmp_path / "out")
    with pytest.raises(ValueError, match="other settings"):
        measured(images, tmp_path / "out", sha256="2")


def test_states_can_be_left_aside(images, tmp_path):
    done = measured(images, tmp_path / "out", MeasurementSettings(states="none"))
    assert not done.summary.states_known
    assert set(done.table["state"]) == {""}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {"states_file": None, "states": "auto"}),
        (["--states", "given"], {"states_file": None, "states": "given"}),
        (["--visibility", "seen.semsize"], {"states_file": None, "states": "predicted"}),
        (["--states", "a.csv", "--states", "predicted"], {"states_file": Path("a.csv"), "states": "predicted"}),
        (["--states", "predicted"], {"states_file": None, "states": "predicted"}),
        (["--states", "none"], {"states_file": None, "states": "none"}),
    ],
)
def test_the_command_line_says_which_states_count(words, expected):
    assert _states(parse_arguments(["a.tif", "--out", "x", *words])) == expected


@pytest.mark.parametrize(
    "words",
    [
        ["--states", "none", "--states", "a.csv"],
        ["--states", "a.csv", "--states", "b.csv"],
        ["--states", "given", "--visibility", "config.py", "weights.pth"],
    ],
)
def test_what_cannot_be_meant_is_refused(words):
    with pytest.raises(OptionError, match="--states"):
        _states(parse_arguments(["a.tif", "--out", "x", *words]))


@pytest.mark.parametrize(
    ("words", "images", "model"),
    [
        (["a.tif", "--visibility", "x.py", "x.pth"], ["a.tif"], ["x.py", "x.pth"]),
        (["--visibility", "x.py", "x.pth", "a.tif"], ["a.tif"], ["x.py", "x.pth"]),
        (["a.tif", "--visibility", "x.semsize", "b.tif", "c"], ["a.tif", "b.tif", "c"], ["x.semsize"]),
        (["a.tif"], ["a.tif"], None),
    ],
)
def test_an_image_may_stand_behind_the_visibility_model(words, images, model):
    options = parse_arguments([*words, "--out", "x"])
    assert options.images == images
    assert options.visibility == (model and [Path(word) for word in model])


def test_without_an_image_the_command_line_is_wrong(capsys):
    with pytest.raises(SystemExit, match="2"):
        parse_arguments(["--visibility", "x.py", "x.pth", "--out", "x"])
    assert "no image is named" in capsys.readouterr().err


@dataclass(frozen=True)
class Point:
    """An entry point of an engine."""

    name: str
    opened: Callable[[VisibilityRequest], object]

    def load(self):
        return self.opened


def installed(monkeypatch, **models):
    """Let engines be installed: models, functions that open one, or errors that such functions raise."""

    def opens(model):
        def opened(request):  # noqa: ARG001 - as an engine's
            if isinstance(model, Exception):
                raise model
            return model

        return model if callable(model) else opened

    points = [Point(name, opens(model)) for name, model in models.items()]
    monkeypatch.setattr(engines, "entry_points", lambda group: points)  # noqa: ARG005


@dataclass(frozen=True)
class Computed(Model):
    """The same, computed by an engine in a precision."""

    by: tuple[str, str] = ("torch", "float32")

    def as_record(self) -> dict:
        engine, precision = self.by
        return {**super().as_record(), "engine": engine, "precision": precision}


@pytest.mark.parametrize(
    ("torch_precision", "validated", "expected"),
    [
        ("float32", FASTEST_FIRST, "onnx"),
        ("bfloat16", FASTEST_FIRST, "torch"),
        ("float32", [("torch", "float32")], "torch"),
        ("bfloat16", [("onnx", "float32")], "onnx"),
        ("float32", [], "onnx"),
    ],
)
def test_the_fastest_engine_whose_record_holds_behind_the_detector_is_taken(
    monkeypatch, torch_precision, validated, expected
):
    records = tuple(record_of(engine=engine, precision=precision) for engine, precision in validated)
    models = {"torch": Computed(by=("torch", torch_precision), records=records)}
    models["onnx"] = Computed(by=("onnx", "float32"), records=records)
    installed(monkeypatch, **models)
    outlines = Detected().as_record()
    assert find_visibility_model(VisibilityRequest(), outlines, PREDICTED.score) is models[expected]
    assert find_visibility_model(VisibilityRequest(engine="torch"), outlines, PREDICTED.score) is models["torch"]
    fastest = "torch" if torch_precision == "bfloat16" else "onnx"
    assert find_visibility_model(VisibilityRequest(), outlines, 0.9) is models[fastest], "no record holds"


def test_without_an_installed_model_the_message_says_what_to_do(monkeypatch, tmp_path):
    installed(monkeypatch)
    with pytest.raises(InputError, match="no visibility model is installed") as error:
        find_visibility_model(VisibilityRequest())
    assert "\n" not in str(error.value)
    shipped = ShippedModel(tmp_path / "seen.py", tmp_path / "seen.pth", "for tests")
    monkeypatch.setitem(archived_visibility.VISIBILITY, "free", shipped)
    torch = ModuleNotFoundError("No module named 'torch'")
    installed(monkeypatch, onnx=archived_visibility.open_visibility, torch=torch)
    message = r"no archive .*seen.semsize.*No module named 'torch'.*tio2\[train\].*give --states given"
    with pytest.raises(InputError, match=message) as error:
        find_visibility_model(VisibilityRequest())
    assert "\n" not in str(error.value)


def test_a_visibility_model_that_cannot_be_used_is_not_silently_done_without(monkeypatch, tmp_path):
    """Only a detector of an engine without visibility models is measured by its visible outlines."""
    damaged = tmp_path / "seen.semsize"
    damaged.write_bytes(b"no archive")
    monkeypatch.setitem(archived_visibility.VISIBILITY, "free", ShippedModel(Path("x"), tmp_path / "seen.pth", "free"))
    installed(monkeypatch, onnx=archived_visibility.open_visibility)
    with pytest.raises(InputError, match=r"seen\.semsize") as error:
        with_requested_states(Detected(), MeasurementSettings())
    assert "\n" not in str(error.value)
    elsewhere = VisibilityRequest(engine="another")
    assert with_requested_states(Detected(), MeasurementSettings(), elsewhere) == Detected()
    with pytest.raises(InputError, match="no engine 'another' is installed"):
        with_requested_states(Detected(), PREDICTED, elsewhere)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], VisibilityRequest()),
        (["x.semsize"], VisibilityRequest(model=Path("x.semsize"))),
        (["x.py", "x.pth"], VisibilityRequest(Path("x.py"), Path("x.pth"))),
        (["x.pth"], None),
        (["x.semsize", "scans"], None),
        (["x.py", "x.semsize"], None),
        (["x.py", "x.pth", "scans"], None),
    ],
)
def test_a_visibility_model_is_an_archive_or_a_config_and_its_weights(files, expected):
    paths = [Path(file) for file in files]
    if expected is None:
        with pytest.raises(OptionError, match="give one model archive"):
            VisibilityRequest.of(paths)
    else:
        assert VisibilityRequest.of(paths) == expected


def test_its_file_holds_to_its_schema(tmp_path):
    write_visibility_records(tmp_path / "seen.pth", [record_of()])
    written = json.loads((tmp_path / "seen.record.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema("visibility")).validate(written)


def test_states_that_a_model_predicted_are_not_taken_for_given_ones(images, tmp_path):
    done = measure_images(images, tmp_path / "out", OutlinesWithStates(BrightSource(), Model(), 0.5), PREDICTED)
    given = MeasurementSettings(states_file=done.folder / "particles.csv")
    with pytest.raises(InputError, match="a model predicted these states; give states that a person gave"):
        measure_images(images, tmp_path / "again", BrightSource(), given)
