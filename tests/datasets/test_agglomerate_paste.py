"""Pasting in a pipeline keeps image, masks and fields aligned, depends on the seed alone and takes any masks."""

import numpy as np
import pytest
import torch
from agglomerate_samples import drawn, library, write_dataset
from mmdet.registry import DATASETS, TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmdet.utils import register_all_modules
from torch.utils.data import DataLoader

from scenes import disks
from tio2.agglomerates import LibraryError
from tio2.agglomerates.library import encode_grey
from tio2.datasets import FixedLengthSampler, InstanceCroppedMasks, PasteAgglomerates, PasteOnBackground, SeededDataset

SHAPE = (160, 200)
SCENE = disks(SHAPE, [(40, 50), (100, 150)], [10, 8])


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    register_all_modules()
    folder = tmp_path_factory.mktemp("stores")
    library().save(folder / "library.zip")
    (folder / "backgrounds").mkdir()
    (folder / "backgrounds" / "a.png").write_bytes(encode_grey(drawn(disks((200, 260), [], []), 7)))
    return {"library": str(folder / "library.zip"), "backgrounds": str(folder / "backgrounds")}


def paste(stores, mode, **options):
    options = {"prob": 1.0, "count_range": (4, 4)} | options
    return PasteOnBackground(**stores, **options) if mode == "new" else PasteAgglomerates(stores["library"], **options)


def results(masks=SCENE, stock=False, dtype=np.float32, seed=(0, 0, 0)):
    fields = {
        "annotation_id": np.arange(1, len(masks) + 1, dtype=object),
        "state": np.array(["a"] * len(masks), object),
    }
    return {
        "img": np.repeat(drawn(masks)[..., None], 3, axis=2).astype(dtype),
        "img_shape": SHAPE,
        "gt_bboxes": HorizontalBoxes(torch.from_numpy(masks.boxes)),
        "gt_bboxes_labels": np.zeros(len(masks), np.int64),
        "gt_ignore_flags": np.zeros(len(masks), bool),
        "gt_masks": BitmapMasks(masks.to_full(), *SHAPE) if stock else InstanceCroppedMasks(masks, fields),
        "sample_seed": seed,
    }


@pytest.mark.parametrize("mode", ["onto", "new"])
def test_boxes_labels_flags_states_and_areas_stay_aligned(stores, mode):
    done = paste(stores, mode).transform(results())
    masks = done["gt_masks"]
    count = len(masks)
    kept = 2 if mode == "onto" else 0
    assert count > kept
    assert len(done["gt_bboxes"]) == len(done["gt_bboxes_labels"]) == len(done["gt_ignore_flags"]) == count
    np.testing.assert_array_equal(done["gt_bboxes"].tensor.numpy(), masks.cropped.boxes)
    assert done["gt_bboxes_labels"].dtype == np.int64
    assert done["img"].dtype == np.float32
    assert masks.fields["annotation_id"].tolist() == [1, 2][:kept] + [None] * (count - kept)
    for number in range(kept, count):
        crop, (row, column) = next(iter(masks.cropped[number]))
        own = done["img"][row : row + crop.shape[0], column : column + crop.shape[1], 0][crop > 0]
        assert own.mean() > 95
    states = masks.fields["state"][kept:]  # in each sample the first disk is masked and larger than the others
    assert min(masks.areas[kept:][states == "masked"]) > 60
    assert set(states) == {"masked", "complete"}


def test_onto_leaves_particles_and_their_surroundings_as_they_are(stores):
    before = results()
    done = paste(stores, "onto", count_range=(30, 30)).transform({**before, "img": before["img"].copy()})
    np.testing.assert_array_equal(done["gt_masks"].cropped[:2].to_full(), SCENE.to_full())
    changed = (done["img"] != before["img"]).any(axis=2)
    for left, top, right, bottom in SCENE.boxes.astype(int):
        assert not changed[top - 3 : bottom + 3, left - 3 : right + 3].any()
    assert done["gt_masks"].cropped.to_full().sum(axis=0).max() == 1


def test_new_replaces_the_image_by_the_background(stores):
    done = paste(stores, "new", count_range=(0, 0)).transform(results())
    assert len(done["gt_masks"]) == len(done["gt_bboxes"]) == 0
    assert done["img"].shape == (*SHAPE, 3)
    assert done["img"].max() < 70


@pytest.mark.parametrize("mode", ["onto", "new"])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_stock_masks_and_eight_bits_give_the_same(stores, mode, dtype):
    ours = paste(stores, mode).transform(results(dtype=dtype))
    stock = paste(stores, mode).transform(results(stock=True, dtype=dtype))
    assert isinstance(stock["gt_masks"], BitmapMasks)
    np.testing.assert_array_equal(stock["gt_masks"].masks, ours["gt_masks"].to_ndarray())
    np.testing.assert_array_equal(stock["img"], ours["img"])
    assert stock["img"].dtype == dtype
    reference = paste(stores, mode).transform(results())["img"]
    assert np.abs(stock["img"] - reference).max() <= (1 if dtype == np.uint8 else 0)


def test_an_image_without_particles_gets_some(stores):
    done = paste(stores, "onto").transform(results(SCENE[:0]))
    assert len(done["gt_masks"]) > 0
    assert done["gt_masks"].fields["state"][0] in ("masked", "complete")


def test_the_seed_decides_and_probability_is_kept(stores):
    step = paste(stores, "onto", prob=0.4)
    first = [step.transform(results(seed=(0, k, 0))) for k in range(60)]
    again = [paste(stores, "onto", prob=0.4).transform(results(seed=(0, k, 0)))["img"] for k in range(0, 60, 7)]
    for one, other in zip(first[::7], again, strict=True):
        np.testing.assert_array_equal(one["img"], other)
    assert 12 <= sum(len(done["gt_masks"]) > 2 for done in first) <= 36


def test_two_pastes_of_a_sample_differ(stores):
    sample = results()
    once = paste(stores, "onto").transform(sample)["gt_masks"].cropped.boxes[2:]
    twice = paste(stores, "onto").transform(sample)["gt_masks"].cropped.boxes[2 + len(once) :]
    assert len(twice) > 0
    assert once[: len(twice)].tolist() != twice.tolist()


def test_the_library_is_read_when_first_needed_and_by_each_worker_alone(stores):
    missing = PasteAgglomerates("no/such/library.zip", prob=1.0)
    with pytest.raises(LibraryError, match=r"no/such/library\.zip"):
        missing.transform(results())
    assert PasteAgglomerates("no/such/library.zip", prob=0.0).transform(results()) is not None
    step = paste(stores, "new")
    assert step._library is None
    step.transform(results())
    held = step._library
    step.transform(results())
    assert step._library is held


def test_any_number_of_workers_gives_the_same_images(stores, tmp_path):
    write_dataset(tmp_path, [SCENE, SCENE[:1]])
    step = {"type": "PasteAgglomerates", "library": stores["library"], "prob": 0.8, "count_range": [2, 4]}
    noise = {"type": "SEMGaussianNoise", "std_range": [1, 9]}
    pipeline = [{"type": "LoadSEMImage"}, {"type": "LoadParticleAnnotations"}, step, noise]
    part = {
        "type": "ParticleDataset",
        "data_root": str(tmp_path),
        "ann_file": "annotations/train.json",
        "data_prefix": {"img": "images/train/"},
        "pipeline": [*pipeline, {"type": "PackDetInputs", "meta_keys": ()}],
    }

    def epoch(workers):
        dataset = SeededDataset(DATASETS.build(part))
        sampler = FixedLengthSampler(dataset, num_batches=6, batch_size=1, seed=5)
        loader = DataLoader(dataset, 1, sampler=sampler, num_workers=workers, collate_fn=lambda batch: batch[0])
        return [(s["inputs"], s["data_samples"].gt_instances.bboxes.tensor) for s in loader]

    alone = epoch(0)
    assert len({image.sum().item() for image, _ in alone}) == 6
    for image, boxes in zip(epoch(2), alone, strict=True):
        assert torch.equal(image[0], boxes[0])
        assert torch.equal(image[1], boxes[1])


@pytest.mark.parametrize("kind", ["PasteAgglomerates", "PasteOnBackground"])
def test_a_share_beyond_one_is_refused(kind):
    backgrounds = {"backgrounds": "y"} if kind == "PasteOnBackground" else {}
    with pytest.raises(ValueError, match=kind):
        TRANSFORMS.build({"type": kind, "library": "x", **backgrounds, "prob": 1.5})


def test_masks_of_another_kind_are_refused(stores):
    polygons = {**results(), "gt_masks": PolygonMasks([[np.array([1.0, 1, 5, 1, 5, 5])]] * 2, *SHAPE)}
    with pytest.raises(TypeError, match="PolygonMasks"):
        paste(stores, "onto").transform(polygons)
