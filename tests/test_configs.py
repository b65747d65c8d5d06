"""Every config parses and builds; the two stages match the paper; configs of one recipe have the same steps."""

import ast
import copy
import functools
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS

from tio2.engine.config import data_sets

ROOT = Path(__file__).parents[1]
ALL = sorted(path for folder in ("tio2", "demo") for path in (ROOT / "configs" / folder).rglob("*.py"))
VISIBILITY = [path for path in ALL if path.stem.startswith("visibility")]  # models that judge outlines
CONFIGS = [path for path in ALL if path not in VISIBILITY]  # detectors
STAGE1, STAGE2 = (ROOT / "configs" / "tio2" / f"mask_rcnn_stage{n}.py" for n in (1, 2))
PAPER_RATES = {  # learning rate in the epochs of a stage, counted from 1
    STAGE1: {1: 1e-3, 38: 1e-3, 39: 1e-4, 42: 1e-4},
    STAGE2: {1: 1e-3, 28: 1e-3, 29: 1e-4, 35: 1e-4},
}
WINDOWS = ("RandomScaledCrop", "RandomTranspose", "RandomFlip")
RECIPES = {  # steps between loading and FilterAnnotations, and the configs that claim them
    ("RandomCrop", "RandomFlip", "PhotoMetricDistortion"): {  # the paper's network on real images
        *("mask_rcnn_stage1", "mask_rcnn_stage2", "mask_rcnn_stage2_table1"),
    },
    ("RandomRescale", "RandomCrop", "RandomFlip", "PhotoMetricDistortion"): {  # the light variant's two stages
        *("light_stage1", "light_stage2", "demo_stage1", "demo_stage2"),
    },
    (*WINDOWS, "OneOrMoreOf"): {  # rendered scenes, whatever the network, and EMPS beside them; a row of light_base
        *("light_rendered", "light_one_scale", "light_emps", "mask_rcnn_rendered", "mask_rcnn_short"),
        *("light_sem", "light_simulated_sem"),
    },
    (*WINDOWS, "OneOrMoreOf", "SEMInvert"): {"light_free"},
    (*WINDOWS, "PhotoMetricDistortion"): {  # real images after rendered ones; light_base and its rows
        *("light_nc", "light_nc_flips", "light_base", "mask_rcnn_short_stage1", "mask_rcnn_short_stage2"),
        "mask_rcnn_short_pair",
        *("light_anchors_8", "light_box_nms_03", "light_frozen", "light_mask28", "own_data"),
        *("light_no_pretraining", "light_simulated"),
    },
    ("PasteOnBackground", "PasteAgglomerates", *WINDOWS, "PhotoMetricDistortion"): {"light_paste"},
    ("PasteOnBackground", "PasteAgglomerates", *WINDOWS, "OneOrMoreOf"): {
        "light_paste_sem",
        "mask_rcnn_short_paste_sem",
    },
}


@pytest.fixture(autouse=True, scope="module")
def _registered():
    register_all_modules()
    import tio2.datasets
    import tio2.engine
    import tio2.evaluation
    import tio2.models  # noqa: F401


@functools.cache
def parsed(path):
    """A config, read once; nobody changes it."""
    return Config.fromfile(path)


@functools.cache
def built(path):
    """A config's model, without the memory of its weights."""
    with torch.device("meta"):
        return MODELS.build(copy.deepcopy(parsed(path).model))


def rates_by_epoch(config):
    """The learning rate of the first step of each epoch, schedules stepped as the Runner steps them."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config.optim_wrapper.optimizer.lr)
    steps = config.train_dataloader.sampler.num_batches
    schedulers = []
    for scheduler in config.param_scheduler:
        scheduler = dict(scheduler)
        build = PARAM_SCHEDULERS.get(scheduler.pop("type"))
        if scheduler.pop("convert_to_iter_based", False):
            schedulers.append(build.build_iter_from_epoch(optimizer=optimizer, epoch_length=steps, **scheduler))
        else:
            schedulers.append(build(optimizer=optimizer, **scheduler))
    rates = {}
    for epoch in range(1, config.train_cfg.max_epochs + 1):
        rates[epoch] = optimizer.param_groups[0]["lr"]
        for _ in range(steps):
            optimizer.step()
            for scheduler in schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
        for scheduler in schedulers:
            if scheduler.by_epoch:
                scheduler.step()
    return rates


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_parses_builds_and_says_how_to_run_it(path):
    config = parsed(path)
    model = built(path)
    assert sum(parameter.numel() for parameter in model.parameters()) > 1e6
    assert model.roi_head.mask_head.num_classes == model.roi_head.bbox_head.num_classes == 1
    assert config.train_dataloader.sampler.batch_size == config.train_dataloader.batch_size
    command = f"{path.relative_to(ROOT)}"
    assert command in path.read_text(encoding="utf-8"), "the docstring gives the command"


@pytest.mark.parametrize("path", VISIBILITY, ids=lambda path: path.stem)
def test_a_visibility_config_parses_builds_and_says_how_to_run_it(path):
    config = parsed(path)
    assert sum(parameter.numel() for parameter in MODELS.build(config.model).parameters()) < 2e5
    assert config.train_dataloader.sampler.batch_size == config.train_dataloader.batch_size
    assert str(path.relative_to(ROOT)) in path.read_text(encoding="utf-8"), "the docstring gives the command"
    for dataset in data_sets(config.train_dataloader):
        assert [step.type for step in dataset.pipeline] == [
            *("LoadSEMImage", "LoadOutlines", "OneOrMoreOf", "SEMInvert", "CropOutlines", "TurnCrops"),
            "PackOutlineCrops",
        ]
    for loader in (config.val_dataloader, config.test_dataloader):
        [dataset] = data_sets(loader)
        assert [step.type for step in dataset.pipeline][2:] == ["CropOutlines", "PackOutlineCrops"]
        assert dataset.pipeline[-1].with_image, "the metric judges in the image's pixels"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_mask_target_is_what_the_mask_head_gives(path):
    config = parsed(path)
    size = config.model.roi_head.mask_roi_extractor.roi_layer.output_size
    features = torch.zeros(1, config.model.roi_head.mask_head.in_channels, size, size, device="meta")
    assert built(path).roi_head.mask_head(features).shape[-1] == config.model.train_cfg.rcnn.mask_size


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_of_one_recipe_have_its_steps(path):
    claimed = [steps for steps, names in RECIPES.items() if path.stem in names]
    assert len(claimed) == 1, "a config belongs to one recipe: name it in RECIPES"
    for dataset in data_sets(parsed(path).train_dataloader):
        first, second, *steps, clean, last = (step["type"] for step in dataset.pipeline)
        assert (first, second, clean, last) == (
            *("LoadSEMImage", "LoadParticleAnnotations", "FilterAnnotations", "PackDetInputs"),
        )
        assert tuple(steps) == claimed[0]


@pytest.mark.parametrize(
    ("stem", "other"), [("mask_rcnn_rendered", "light_rendered"), ("mask_rcnn_short_stage1", "light_base")]
)
def test_the_paper_s_network_is_trained_as_the_light_one(stem, other):
    """All settings of the steps too, the window's size included."""
    paths = {path.stem: path for path in CONFIGS}
    mine, its = ([each.pipeline for each in data_sets(parsed(paths[name]).train_dataloader)] for name in (stem, other))
    assert mine == its


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.py")), ids=lambda path: path.stem)
def test_steps_are_taken_by_name_and_never_by_position(path):
    """A list of another base has another step there, and no error tells: RandomFlip was lost so in four configs."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    taken = [node for node in ast.walk(tree) if isinstance(node, ast.Subscript) and not is_name(node.slice)]
    assert not [ast.unparse(node) for node in taken]


def levels(path):
    """Configs from this one to the last above `_base_` and MMDetection's."""
    bases = (path.parent / base for base in Config._get_base_files(str(path)) if "::" not in base)
    return 1 + max((levels(base.resolve()) for base in bases if "_base_" not in base.resolve().parts), default=0)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_config_stands_three_levels_above_the_pieces_at_most(path):
    assert levels(path) <= 3


def is_name(index: ast.expr) -> bool:
    """Whether a subscript is a text, as in `data["train"]`."""
    return isinstance(index, ast.Constant) and isinstance(index.value, str)


@pytest.mark.parametrize(("path", "steps"), [(STAGE1, 29_316), (STAGE2, 24_430)])
def test_stage_has_the_paper_s_steps(path, steps):
    config = parsed(path)
    assert config.train_dataloader.sampler.num_batches == 698
    assert config.train_cfg.max_epochs * config.train_dataloader.sampler.num_batches == steps


@pytest.mark.parametrize("path", PAPER_RATES, ids=lambda path: path.stem)
def test_learning_rate_falls_when_the_paper_says(path):
    rates = rates_by_epoch(parsed(path))
    for epoch, rate in PAPER_RATES[path].items():
        assert rates[epoch] == pytest.approx(rate, rel=1e-9), epoch


@pytest.mark.parametrize(("path", "batch", "frozen"), [(STAGE1, 2, 4), (STAGE2, 1, -1)])
def test_stage_values(path, batch, frozen):
    config = parsed(path)
    assert config.train_dataloader.batch_size == config.auto_scale_lr.base_batch_size == batch
    assert config.model.backbone.frozen_stages == frozen
    assert config.model.backbone.norm_eval
    assert config.model.backbone.init_cfg is None
    anchors = config.model.rpn_head.anchor_generator
    assert (anchors.base_sizes, anchors.ratios) == ([8, 16, 32, 64, 96], [0.5, 1.0, 2.0])
    assert config.model.train_cfg.rpn.sampler.num == 1024
    assert config.model.train_cfg.rcnn.sampler.num == 1024
    assert config.model.train_cfg.rcnn.sampler.pos_fraction == 0.25
    assert config.optim_wrapper.clip_grad.max_norm == 5.0


def test_table1_is_the_paper_s_operating_point():
    test_cfg = parsed(ROOT / "configs" / "tio2" / "mask_rcnn_stage2_table1.py").model.test_cfg
    assert (test_cfg.rcnn.score_thr, test_cfg.rcnn.nms.iou_threshold) == (0.5, 0.3)
    assert (test_cfg.rpn.max_per_img, test_cfg.rcnn.max_per_img) == (1000, 512)


def test_default_keeps_low_scores_and_caps_nothing():
    test_cfg = parsed(STAGE2).model.test_cfg
    assert (test_cfg.rcnn.score_thr, test_cfg.rcnn.nms.iou_threshold) == (0.05, 0.5)
    assert (test_cfg.rpn.max_per_img, test_cfg.rcnn.max_per_img) == (4000, -1)


def test_clipping_and_decay_are_in_force():
    model = torch.nn.Linear(4, 1, bias=False)
    wrapper = build_optim_wrapper(model, parsed(STAGE1).optim_wrapper)
    group = wrapper.optimizer.param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (1e-3, 0.9, 1e-4)

    before = model.weight.detach().clone()
    wrapper.update_params(model(torch.full((1, 4), 1e4)).sum())  # a gradient of norm 2e4
    step = (before - model.weight.detach()) / 1e-3 - 1e-4 * before
    assert torch.linalg.norm(step).item() == pytest.approx(5.0, rel=1e-3)

    before = model.weight.detach().clone()
    wrapper.optimizer.state.clear()  # no momentum left: what remains is decay alone
    wrapper.update_params(model(torch.zeros(1, 4)).sum())
    torch.testing.assert_close(model.weight.detach(), before * (1 - 1e-3 * 1e-4))
