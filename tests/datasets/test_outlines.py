"""Outlines as samples: found ones with their truth, crops that turn together, the same draw for one seed."""

import json

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS
from mmdet.utils import register_all_modules

from semsize.structures import prediction_entry, read_annotations, write_predictions
from semsize.structures.masks import CroppedMasks
from tio2.datasets import CropOutlines
from tio2.datasets.outlines import WAYS, laid

STEPS = [{"type": "LoadSEMImage"}, {"type": "LoadOutlines"}]


@pytest.fixture(scope="module", autouse=True)
def _registered():
    register_all_modules()


@pytest.fixture(scope="module")
def predictions(rendered_set, tmp_path_factory):
    """Found: all particles of the training image but the first, moved by a pixel; one more of a low score."""
    truth = read_annotations(rendered_set / "annotations" / "train.json")
    [image] = truth["images"]
    masks = CroppedMasks.from_rles([particle["segmentation"] for particle in truth["annotations"]])
    moved = masks.translate((1, 0), masks.image_shape)[1:]
    rows = zip(moved.boxes.tolist(), [0.9] * (len(moved) - 1) + [0.1], moved.to_rles(), strict=True)
    path = tmp_path_factory.mktemp("found") / "predictions.json"
    write_predictions(path, [prediction_entry(image["id"], image["file_name"], *row) for row in rows])
    return path


def dataset(folder, predictions=None, number=None, turn=False, configurations=None, **pack):
    steps = [*STEPS, {"type": "CropOutlines", "number": number}, *([{"type": "TurnCrops"}] if turn else [])]
    return DATASETS.build(
        {
            "type": "SeededDataset",
            "seed": 7,
            "dataset": {
                "type": "OutlineDataset",
                "data_root": f"{folder}/",
                "ann_file": "annotations/train.json",
                "data_prefix": {"img": "images/train/"},
                "predictions": None if predictions is None else str(predictions),
                "configurations": configurations,
                "pipeline": [*steps, {"type": "PackOutlineCrops", **pack}],
            },
        }
    )


def test_annotated_particles_are_their_own_outlines(rendered_set):
    sample = dataset(rendered_set, with_image=True)[0]
    particles = json.loads((rendered_set / "annotations" / "train.json").read_text())["annotations"]
    known = [particle for particle in particles if not particle["iscrowd"]]
    truth = sample["data_samples"].gt_instances
    assert sample["inputs"].shape == (len(known), 4, 64, 64)
    assert (truth.is_particle == 1).all()
    np.testing.assert_allclose(sample["data_samples"].truth.visible_fraction, [p["visible_fraction"] for p in known])
    assert sample["data_samples"].grey.shape == (128, 160)
    unseen = torch.tensor([particle["visible_fraction"] == 1 for particle in known])
    own = sample["inputs"][:, 1]
    torch.testing.assert_close(truth.whole[unseen], own[unseen])
    assert (truth.whole.sum((1, 2)) >= own.sum((1, 2)) - 1e-3).all()


def test_images_of_other_configurations_are_left_out(rendered_set):
    images = json.loads((rendered_set / "annotations" / "train.json").read_text())["images"]
    configuration = images[0]["configuration"]
    expected = [image["id"] for image in images if image["configuration"] == configuration]
    samples = dataset(rendered_set, configurations=[configuration])
    assert [samples[k]["data_samples"].img_id for k in range(len(samples))] == expected
    with pytest.raises(ValueError, match=r"train\.json: none of its images is rings or cubes$"):
        dataset(rendered_set, configurations=["rings", "cubes"])


def test_found_outlines_below_the_score_are_left_out_and_the_others_have_their_truth(rendered_set, predictions):
    sample = dataset(rendered_set, predictions)[0]
    found = [record for record in json.loads(predictions.read_text()) if record["score"] >= 0.5]
    truth = sample["data_samples"].gt_instances
    assert len(sample["inputs"]) == len(truth) == len(found)
    matched = truth.is_particle == 1
    assert matched.float().mean() > 0.5
    assert (truth.fraction_bin[matched] >= 0).all()
    assert (truth.fraction_bin[~matched] == -1).all()
    assert not truth.log_sizes[matched].isnan().all()
    assert truth.log_sizes[~matched].isnan().all()


def test_a_sample_is_decided_by_its_number(rendered_set, predictions):
    first, again, other = (
        dataset(rendered_set, predictions, number=2, turn=True)[number]["inputs"] for number in (3, 3, 4)
    )
    assert first.shape == (2, 4, 64, 64)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_predictions_of_other_images_are_refused(rendered_set, predictions, tmp_path):
    records = [record | {"image": "elsewhere.png"} for record in json.loads(predictions.read_text())]
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps(records))
    with pytest.raises(ValueError, match=r"predictions\.json: image \d+ is elsewhere\.png, and .* give"):
        dataset(rendered_set, path)


def test_the_eight_ways_are_all_different_and_keep_every_pixel():
    square = np.random.default_rng(0).uniform(size=(1, 2, 5, 5))
    all_ways = laid(np.repeat(square, WAYS, axis=0), np.arange(WAYS))
    assert len({way.tobytes() for way in all_ways}) == WAYS
    np.testing.assert_array_equal(
        np.sort(all_ways.reshape(WAYS, -1)), np.sort(np.repeat(square, WAYS, 0).reshape(WAYS, -1))
    )
    np.testing.assert_array_equal(all_ways[0], square[0])
    np.testing.assert_array_equal(all_ways[1], np.rot90(square[0], 1, (-2, -1)))


def test_channels_and_truth_of_a_crop_turn_as_one(rendered_set):
    """The whole outline of a particle that nothing hides is its own mask, in whichever way it is laid."""
    straight, turned = (dataset(rendered_set, turn=turn)[0] for turn in (False, True))
    assert not torch.equal(straight["inputs"], turned["inputs"])
    whole, own = turned["data_samples"].gt_instances.whole, turned["inputs"][:, 1]
    unseen = turned["data_samples"].gt_instances.fraction_bin == 49
    assert (whole - own)[unseen].abs().max() < 0.5
    assert unseen.any()


def test_a_number_below_one_is_refused():
    with pytest.raises(ValueError, match="number is 1 or more"):
        CropOutlines(number=0)
