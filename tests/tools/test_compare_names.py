"""Where a run's weights come from is told, and its config is found and named."""

import importlib.util
from pathlib import Path

import pytest

from tio2.engine.launch import run_config

path = Path(__file__).parents[2] / "tools" / "compare.py"
spec = importlib.util.spec_from_file_location("compare_names_program", path)
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)
config_label, start_weights = tool.config_label, tool.start_weights


def test_a_cross_validation_s_own_config_comes_first(tmp_path):
    assert run_config(tmp_path, "cv") is None
    (tmp_path / "some.py").touch()
    assert run_config(tmp_path, "cv") == tmp_path / "some.py"
    (tmp_path / "cv").mkdir()
    (tmp_path / "cv" / "some.py").touch()
    assert run_config(tmp_path, "cv") == tmp_path / "cv" / "some.py"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (
            '"""Masks of 28 px (ours: 56), MMDetection\'s head: smaller.\n\nMore."""',
            "Masks of 28 px, MMDetection's head",
        ),
        ('"""light_nc.py with mirror images."""', "light_nc.py with mirror images"),
        ("lr = 1", "some"),
    ],
)
def test_a_config_is_named_by_its_docstring(tmp_path, text, label):
    (tmp_path / "some.py").write_text(text, encoding="utf-8")
    assert config_label(tmp_path / "some.py") == label
    assert config_label("configs/tio2/elsewhere.py") == "elsewhere"


SHA = [f"{number:02d}" * 32 for number in range(10, 14)]


def started(*paths, digests=SHA):
    """What run.json records of a cross-validation whose folds start from these files; of one file a plain run."""
    weights = [{"path": path, "sha256": digest} for path, digest in zip(paths, digests, strict=False)]
    return weights if len(weights) > 1 else weights[0]


def test_weights_of_a_run_are_named_by_run_and_epoch():
    start = start_weights(started("/elsewhere/work_dirs/light_rendered/epoch_20.pth"), "none")
    assert start == ("light_rendered epoch_20", (SHA[0],))
    four = started(*["work_dirs/light_rendered/epoch_20.pth"] * 4, digests=SHA[:1] * 4)
    assert start_weights(four, "none") == start
    own = started(*(f"work_dirs/light_stage1/cv/fold_{k}/run/epoch_4.pth" for k in range(4)))
    assert start_weights(own, "none") == ("light_stage1 epoch_4, each fold its own", tuple(SHA))
    made = started(*(f"work_dirs/simulated_{k}/epoch_3.pth" for k in range(2)))
    assert start_weights(made, "none")[0] == "simulated_0 epoch_3, simulated_1 epoch_3"


def test_of_other_weights_the_file_and_its_hash_are_named():
    assert start_weights(started("checkpoints/light_nc.pth"), "none")[0] == f"light_nc.pth {SHA[0][:8]}"
    assert start_weights({"path": "/tmp/some.pth"}, None) == ("some.pth", ())


@pytest.mark.parametrize("recorded", [None, [None, None]])
def test_without_a_checkpoint_the_config_says_what_a_network_starts_from(recorded):
    assert start_weights(recorded, "ImageNet") == ("ImageNet", ())
    assert start_weights(recorded, None) == (None, ())


@pytest.mark.parametrize("recorded", [{}, [{"path": "a.pth"}, {}]])
def test_a_run_without_record_has_no_known_start(recorded):
    assert start_weights(recorded, "ImageNet") == (None, ())
