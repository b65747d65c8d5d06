"""States that a model predicts: their place in the table, the headline's weights, and what goes before them."""

import csv
from dataclasses import dataclass, field

import numpy as np
import pytest
from measured_scenes import BrightSource, write_scenes

from semsize.measuring import InputError, Settings, SettingsError, measure_images, seeing
from semsize.measuring.inputs import VisibilityRequest
from semsize.measuring.measurement import read_measurement
from semsize.measuring.particle_table import PREDICTED_COLUMNS
from semsize.measuring.seeing import SeenOutlines, find_visibility_model
from semsize.measuring.summary import summarise
from semsize.programs.measure import _states, parse_arguments
from semsize.visibility.crops import CHANNELS
from semsize.visibility.model import CropAnswers
from semsize.visibility.states import BINS, Thresholds

PREDICTED = Settings(states="predicted")


@dataclass(frozen=True)
class Model:
    """Says the same of every outline, but of `first` one fraction after the other, image by image."""

    fraction: float = 1.0
    particle: float = 1.0
    ratio: float = 1.0
    first: tuple[float, ...] = ()
    record: dict = field(default_factory=lambda: {"path": "stub", "sha256": "1", "licence": "free"})

    def open(self, processes: int):  # noqa: ARG002 - the interface of a source
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

        return answers, Thresholds()

    def as_record(self) -> dict:
        return self.record


@pytest.fixture
def images(tmp_path):
    return write_scenes(tmp_path / "in", 2)


def measured(images, folder, settings=PREDICTED, **model):
    source = BrightSource() if settings.states != "predicted" else SeenOutlines(BrightSource(), Model(**model))
    return measure_images(images, folder, source, settings)


def states_file(folder, rows):
    path = folder / "states.csv"
    path.write_text("image,id,state\n" + "".join(f"{image},{number},{state}\n" for image, number, state in rows))
    return path


def test_a_certain_model_measures_what_the_same_states_given_in_a_file_do(images, tmp_path):
    seen = measured(images, tmp_path / "seen")
    given = [*zip(seen.table["image"], seen.table["id"], seen.table["state"], strict=True)]
    settings = Settings(states_file=states_file(tmp_path, given))
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
    assert doubtful.summary.kept == sure.summary.kept
    assert any("STATES ARE PREDICTED" in warning for warning in doubtful.record["warnings"])


def test_a_particle_that_is_surely_hidden_has_no_part_in_the_headline(images, tmp_path):
    seen = measured(images, tmp_path / "out", first=(1.0, 0.6, 0.2), ratio=1.3)
    table = seen.table
    first, second = (table["id"] == number for number in (2, 3))
    assert set(table["state"][first]) == {"masked"}
    assert set(table["excluded"][first]) == {"not fully imaged"}
    np.testing.assert_allclose(table["whole_ecd_px"][first], 1.3 * table["ecd_px"][first], rtol=1e-6)
    np.testing.assert_allclose(table["whole_ecd_low_nm"][first], 0.9 * 1.3 * table["ecd_nm"][first], rtol=1e-6)
    assert (table["completed"][first] == 1).all()
    assert np.isnan(table["whole_ecd_px"][second]).all(), "below 0.4 no size is given"
    assert (table["completed"][~first] == 0).all()


def test_a_state_given_by_hand_goes_first_and_is_certain(images, tmp_path):
    path = states_file(tmp_path, [(images[0].name, 2, "masked")])
    seen = measured(images, tmp_path / "out", Settings(states="predicted", states_file=path), particle=0.5)
    row = np.flatnonzero((seen.table["image"] == images[0].name) & (seen.table["id"] == 2))[0]
    assert seen.table["state"][row] == "masked"
    assert (seen.table["p_masked"][row], seen.table["p_particle"][row]) == (1, 1)
    assert seen.table["excluded"][row] == "not fully imaged"


def test_the_table_comes_back_from_its_file_and_gives_the_same_numbers(images, tmp_path):
    seen = measured(images, tmp_path / "out", first=(1.0, 0.6), particle=0.75)
    with (tmp_path / "out" / "particles.csv").open(newline="") as stream:
        assert set(PREDICTED_COLUMNS) <= set(csv.DictReader(stream).fieldnames)
    record, table = read_measurement(tmp_path / "out")
    assert table.is_predicted
    assert summarise(record, table).distribution.d50 == pytest.approx(seen.summary.distribution.d50)
    assert seen.record["outlines"]["visibility"]["licence"] == "free"


def test_another_model_of_states_is_another_measurement(images, tmp_path):
    measured(images, tmp_path / "out")
    with pytest.raises(ValueError, match="other settings"):
        measured(images, tmp_path / "out", record={"path": "stub", "sha256": "2", "licence": "free"})


def test_states_can_be_left_aside(images, tmp_path):
    done = measured(images, tmp_path / "out", Settings(states="none"))
    assert not done.summary.states_known
    assert set(done.table["state"]) == {""}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {"states_file": None, "states": "given"}),
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
        ["--visibility", "config.py", "weights.pth"],
    ],
)
def test_what_cannot_be_meant_is_refused(words):
    with pytest.raises(SettingsError, match="--states"):
        _states(parse_arguments(["a.tif", "--out", "x", *words]))


def test_without_an_installed_model_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setattr(seeing, "entry_points", lambda group: [])  # noqa: ARG005
    with pytest.raises(InputError, match="no visibility model is installed") as error:
        find_visibility_model(VisibilityRequest())
    assert "\n" not in str(error.value)
