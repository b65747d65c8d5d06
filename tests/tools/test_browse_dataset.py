"""tools/browse_dataset.py draws what the training pipeline yields."""

from functools import partial

import cv2
import numpy as np
import pytest

from scenes import squares
from semsize.measuring.overlays import IGNORED, STATE_COLOURS, draw_annotations


@pytest.fixture(scope="module")
def run(run_tool):
    """Runs the program."""
    return partial(run_tool, "browse_dataset.py")


def colours(picture):
    return set(map(tuple, picture.reshape(-1, 3).tolist()))


def test_pictures_of_augmented_samples_with_states_coloured(run, rendered_set, tmp_path):
    options = f"train_dataloader.dataset.dataset.data_root={rendered_set}/"
    done = run("configs/tio2/own_data.py", "--num", 3, "--out", tmp_path, "--cfg-options", options)
    assert done.returncode == 0, done.stderr
    files = sorted(tmp_path.iterdir())
    assert [path.name[:5] for path in files] == ["0000_", "0001_", "0002_"]
    first, second, third = (cv2.imread(str(path))[..., ::-1] for path in files)
    assert first.shape != second.shape or (first != second).any(), "the one image, augmented anew"
    assert STATE_COLOURS["complete"] in colours(first) | colours(second) | colours(third)


def test_each_particle_is_outlined_in_the_colour_of_its_state():
    masks = squares((40, 60), [(5, 5), (5, 30)], 8)
    picture = draw_annotations(np.zeros((40, 60)), masks[[0]], ["masked"], ignored_regions=masks[[1]], caption="x")
    scale = 4
    np.testing.assert_array_equal(picture[5 * scale, 5 * scale : 13 * scale], [STATE_COLOURS["masked"]] * 8 * scale)
    np.testing.assert_array_equal(picture[5 * scale, 30 * scale : 38 * scale], [IGNORED] * 8 * scale)
    assert not picture[9 * scale, 9 * scale].any(), "the particle itself stays as it is"


def test_errors_are_one_line_and_help_shows_a_command(run):
    done = run("configs/tio2/own_data.py", "--cfg-options", "train_dataloader.dataset.dataset.data_root=none/")
    assert done.stderr.strip().splitlines()[-1].startswith("error: none/annotations/train.json does not exist")
    assert "python tools/browse_dataset.py configs/tio2/own_data.py" in run("--help").stdout
