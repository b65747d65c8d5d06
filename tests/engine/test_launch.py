import argparse

import pytest
from mmengine.config import Config
from toy_runs import RUNTIME, toy_config, toy_runner

from tio2.engine import CheckpointError, launch
from tio2.engine.processes import join_processes, limit_images_at_once


def arguments(config, **given):
    values = {"work_dir": None, "cfg_options": None, "launcher": "none"} | given
    return argparse.Namespace(config=str(config), **values)


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(
        "randomness = dict(seed=3)\n"
        "load_from = None\n"
        f"train_dataloader = dict(dataset=dict(dataset=dict(data_root='{tmp_path}/', ann_file='a.json')))\n"
        f"val_dataloader = dict(dataset=dict(data_root='{tmp_path}/', ann_file='b.json'))\n"
        "optim_wrapper = dict(type='OptimWrapper')\n"
    )
    return path


def test_options_are_read_as_mmdetection_reads_them():
    options = launch.parse_options(["a.b=1", "c=[1,2.5]", "d=text", "e=None", "f=x,y"])
    assert options == {"a.b": 1, "c": [1, 2.5], "d": "text", "e": None, "f": ["x", "y"]}
    assert launch.parse_options(None) == {}


def test_work_dir_is_named_given_or_the_config_s(config_file):
    assert launch.read_config(arguments(config_file)).work_dir == "work_dirs/own"
    assert launch.read_config(arguments(config_file, work_dir="x")).work_dir == "x"
    assert launch.read_config(arguments(config_file, cfg_options=["work_dir=y"])).work_dir == "y"


def test_missing_config_data_and_start_are_one_line(config_file, tmp_path):
    with pytest.raises(launch.ConfigError, match=r"config none\.py does not exist"):
        launch.read_config(arguments("none.py"))
    config = launch.read_config(arguments(config_file))
    for stage, name in (("train", "a.json"), ("val", "b.json")):
        with pytest.raises(launch.ConfigError, match=name):
            launch.require_data(config, stage)
        (tmp_path / name).write_text('{"annotations": [{"iscrowd": 0}]}')
        launch.require_data(config, stage)
    config.train_dataloader.dataset.dataset.ann_file = "fold_{fold}.json"
    launch.require_data(config, "train")  # each fold's own training looks for its file
    launch.set_start(config, None)  # nothing to start from is allowed
    config.load_from = "none.pth"
    with pytest.raises(CheckpointError, match=r"none\.pth does not exist"):
        launch.set_start(config, None)


def test_a_training_set_without_a_particle_is_refused(config_file, tmp_path):
    config = launch.read_config(arguments(config_file))
    for annotations in ("[]", '[{"iscrowd": 1}, {"iscrowd": "1"}]'):
        (tmp_path / "a.json").write_text(f'{{"annotations": {annotations}}}')
        with pytest.raises(launch.ConfigError, match=r"a\.json: not one particle to train on"):
            launch.require_data(config, "train")
    (tmp_path / "a.json").write_text('{"annotations": [{"iscrowd": 1}, {"id": 2}]}')
    launch.require_data(config, "train")


def test_a_checkpoint_to_resume_from_is_taken_as_named(tmp_path):
    start, third = tmp_path / "start.pth", tmp_path / "epoch_3.pth"
    start.touch()
    config = Config(dict(load_from=str(start), resume=False, work_dir=str(tmp_path)))
    launch.set_start(config, None)
    assert (config.load_from, config.resume) == (str(start), False)
    with pytest.raises(CheckpointError, match=r"epoch_3\.pth does not exist"):
        launch.set_start(config, str(third))
    third.touch()
    launch.set_start(config, str(third))
    assert (config.load_from, config.resume) == (str(third), True)


def test_deterministic_keeps_the_seed():
    config = Config(dict(randomness=dict(seed=3)))
    launch.enable_deterministic(config)
    assert config.randomness == {"seed": 3, "deterministic": True}


@pytest.mark.parametrize(("base", "processes", "factor"), [(2, 1, 1.0), (2, 8, 8.0), (1, 8, 16.0)])
def test_the_learning_rate_follows_the_total_batch(tmp_path, base, processes, factor):
    runner = toy_runner(tmp_path, auto_scale_lr={"enable": True, "base_batch_size": base})
    runner._world_size = processes
    wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.scale_lr(wrapper, runner.auto_scale_lr)
    assert wrapper.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * factor)


def test_auto_scale_lr_needs_a_base(config_file):
    config = launch.read_config(arguments(config_file))
    with pytest.raises(launch.ConfigError, match="base_batch_size"):
        launch.enable_auto_scale_lr(config)
    config.auto_scale_lr = dict(enable=False, base_batch_size=2)
    launch.enable_auto_scale_lr(config)
    assert config.auto_scale_lr.enable


@pytest.mark.parametrize(("processes", "images", "parts"), [(1, 2, 4), (2, 1, 4), (2, 2, 2), (1, 8, 1)])
def test_a_batch_in_parts_has_as_many_images_and_the_schedule_of_the_config(monkeypatch, processes, images, parts):
    config = Config.fromfile(RUNTIME.parents[1] / "tio2" / "light_nc.py")
    whole = config.to_dict()
    config.launcher = "none" if processes == 1 else "pytorch"
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    limit_images_at_once(config, images)
    loader, before = config.train_dataloader, whole["train_dataloader"]
    assert loader.batch_size == loader.sampler.batch_size == images
    assert images * parts * processes == before["batch_size"]
    assert config.optim_wrapper.accumulative_counts == parts
    assert loader.sampler.num_batches == before["sampler"]["num_batches"] * parts
    by_step = [each for each in whole["param_scheduler"] if not each.get("by_epoch", True)]
    assert by_step
    for schedule in by_step:
        schedule |= {name: schedule[name] * parts for name in ("begin", "end")}
    assert [dict(each) for each in config.param_scheduler] == whole["param_scheduler"]


def test_a_batch_that_cannot_be_divided_is_refused():
    config = Config.fromfile(RUNTIME.parents[1] / "tio2" / "light_nc.py")
    config.launcher = "none"
    for images in (0, 3, 16):
        with pytest.raises(launch.ConfigError, match=r"batch of 8 images .* is no multiple"):
            limit_images_at_once(config, images)
    config.train_cfg = dict(type="IterBasedTrainLoop", max_iters=9)
    with pytest.raises(launch.ConfigError, match="max_epochs"):
        limit_images_at_once(config, 2)


def test_amp_is_the_model_s_own_precision_and_needs_a_gpu(monkeypatch):
    config = Config.fromfile(RUNTIME.parents[1] / "tio2" / "mask_rcnn_stage1.py")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(launch.ConfigError, match="--amp needs a GPU"):
        launch.enable_amp(config)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    wrapper = config.optim_wrapper.to_dict()
    launch.enable_amp(config)
    assert config.model.precision == "mixed"
    assert config.optim_wrapper.to_dict() == wrapper
    config.model.precision = "bfloat16"
    launch.enable_amp(config)
    assert config.model.precision == "bfloat16"
    for changes, message in (
        ({"precision": "float32"}, "says model.precision=float32"),
        ({"type": "MaskRCNN"}, "no precision"),
    ):
        config.model.update(changes)
        with pytest.raises(launch.ConfigError, match=message):
            launch.enable_amp(config)


def test_the_console_leaves_out_dumps_and_keeps_warnings(tmp_path, capsys):
    runner = launch.QuietRunner.from_cfg(toy_config(tmp_path, log_level="INFO"))
    runner.logger.warning("3 weights are missing")
    console = capsys.readouterr().out
    (log,) = tmp_path.glob("*/*.log")
    assert "WARNING - 3 weights are missing" in console
    assert "WARNING - 3 weights are missing" in log.read_text()
    for dump in ("System environment:", "Hooks will be executed", "optim_wrapper=dict("):
        assert dump not in console.replace(" = ", "=")
        assert dump in log.read_text().replace(" = ", "=")


def test_processes_without_a_gpu_keep_what_the_config_says_of_their_wrapper(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("tio2.engine.processes.is_distributed", lambda: True)
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.setenv(name, "0")
    config = Config({"launcher": "pytorch", "find_unused_parameters": True})
    join_processes(config)
    assert config.model_wrapper_cfg.find_unused_parameters
    assert config.model_wrapper_cfg.device_ids is None
    config.model_wrapper_cfg = {"type": "MMDistributedDataParallel", "static_graph": True}
    join_processes(config)
    assert config.model_wrapper_cfg.static_graph
