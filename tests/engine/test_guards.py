"""A run that goes wrong stops with a message; extreme but valid images train."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData
from toy_runs import IMAGES, toy_runner

import tio2.models  # noqa: F401 - registers
from semsize.structures.masks import CroppedMasks
from tio2.datasets import InstanceCroppedMasks
from tio2.engine import load_checkpoint
from tio2.engine.checkpoints import resume_point
from tio2.engine.hooks import LossError

CONFIG = Path(__file__).parents[2] / "configs" / "tio2" / "light_stage2.py"
SIDE = 192


@pytest.mark.parametrize(("factor", "word"), [(math.nan, "nan"), (math.inf, "inf")])
def test_a_loss_that_is_no_number_names_the_images_and_saves_the_batch(tmp_path, factor, word):
    runner = toy_runner(tmp_path, **{"model.spoil": {10: factor}})  # in step 6, of the second epoch
    with pytest.raises(LossError) as stopped:
        runner.train()
    message = str(stopped.value)
    batch = load_checkpoint(tmp_path / "bad_batch_step_6_process_0.pth")
    named = [image["img_path"] for image in batch["images"]]
    assert f"loss_toy {word}" in message
    assert "at step 6" in message
    assert "\n" not in message
    assert len(named) == 2
    assert all(name in message for name in named)
    assert sum(f"images/{number}.png" in message for number in range(IMAGES)) == 2
    assert batch["sample_numbers"] == [10, 11] == runner.model.seen[-2:]
    assert torch.stack(batch["inputs"]).shape == (2, 3)
    assert resume_point(tmp_path).name == "epoch_1.pth"
    assert load_checkpoint(tmp_path / "epoch_1.pth")["state_dict"]["layer.weight"].isfinite().all()


class SpoilGradient(Hook):
    """Makes the gradient of one step infinite, its loss staying what it was."""

    def before_train_iter(self, runner, **_):
        if runner.iter == 3:
            runner.model.layer.weight.register_hook(lambda gradient: gradient * math.inf)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_gradient_that_is_no_number_stops_at_its_own_step(tmp_path, precision):
    with pytest.raises(LossError, match=r"grad_norm (nan|inf) at step 4,"):
        toy_runner(tmp_path, [SpoilGradient()], **{"model.precision": precision}).train()
    assert resume_point(tmp_path) is None, "the epoch's end came after it"


def squares(count: int) -> CroppedMasks:
    """`count` squares of 3 px, 4 px apart."""
    columns = SIDE // 4
    origins = np.array([(4 * (i // columns), 4 * (i % columns)) for i in range(count)], dtype=np.int64).reshape(-1, 2)
    return CroppedMasks(tuple(np.ones((3, 3), np.uint8) for _ in range(count)), origins, (SIDE, SIDE))


def instances(masks: CroppedMasks) -> InstanceData:
    return InstanceData(
        bboxes=torch.from_numpy(masks.boxes),
        labels=torch.zeros(len(masks), dtype=torch.long),
        masks=InstanceCroppedMasks(masks),
    )


@pytest.fixture(scope="module")
def light():
    """The light detector with few samples, and its optimizer."""
    register_all_modules()
    config = Config.fromfile(CONFIG)
    config.merge_from_dict({"model.train_cfg.rcnn.sampler.num": 32, "model.train_cfg.rpn.sampler.num": 64})
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    return model.train(), build_optim_wrapper(model, config.optim_wrapper)


@pytest.mark.parametrize(
    ("particles", "ignored"), [(0, 0), (1, 0), (2000, 0), (0, 50)], ids=["none", "one", "2000", "all ignored"]
)
def test_an_image_at_the_edge_of_the_possible_trains(light, particles, ignored):
    model, optimizer = light
    sample = DetDataSample(
        metainfo={"img_shape": (SIDE, SIDE), "img_path": "a.png", "img_id": 1, "scale_factor": (1, 1)}
    )
    sample.gt_instances, sample.ignored_instances = instances(squares(particles)), instances(squares(ignored))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(3, SIDE, SIDE, generator=generator) * 255
    touched = set()
    handles = [p.register_hook(lambda g, name=name: touched.add(name) if g.isfinite().all() else None)
               for name, p in model.named_parameters() if p.requires_grad]  # fmt: skip
    outputs = model.train_step({"inputs": [image], "data_samples": [sample]}, optimizer)
    for handle in handles:
        handle.remove()
    assert all(torch.as_tensor(value).isfinite() for value in outputs.values())
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert touched == trained, "every parameter got a finite gradient, as several processes need it"
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(parameter.isfinite().all() for parameter in model.parameters())
