"""An interrupted run resumes from its newest whole checkpoint and ends like an undisturbed run."""

import os
import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config
from toy_runs import toy_runner, weights_of

from tio2.engine import CheckpointError, launch, newest_checkpoint
from tio2.engine.checkpoints import checkpoint_name, checkpoint_position, checkpoints_of, resume_point
from tio2.engine.same_training import require_same_training


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder and weights of a run of three epochs that nothing interrupted; all checkpoints kept."""
    folder = tmp_path_factory.mktemp("finished")
    runner = toy_runner(folder, **{"default_hooks.checkpoint.max_keep_ckpts": -1})
    runner.train()
    return folder, weights_of(runner), runner.model.seen


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of that folder, times of writing kept, the original's path pointing nowhere useful."""
    return shutil.copytree(finished[0], tmp_path / "moved")


def test_names_tell_positions(tmp_path):
    for epoch, step in [(3, None), (0, 1), (12, 1207)]:
        (tmp_path / checkpoint_name(epoch, step)).touch()
    for other in ("epoch_x.pth", "epoch_3.pth.tmp", "epoch_3-0123abcd.pth", "best.pth"):
        (tmp_path / other).touch()
    assert sorted(map(checkpoint_position, checkpoints_of(tmp_path))) == [(0, 1), (3, 0), (12, 1207)]


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_resumed_run_ends_with_the_uninterrupted_one_s_weights(copy, finished, epoch):
    for later in range(epoch + 1, 4):
        (copy / f"epoch_{later}.pth").unlink()
    config_of = toy_runner(copy, load_from=str(resume_point(copy)), resume=True)
    config_of.train()
    assert config_of.model.seen == finished[2][8 * epoch :], "the samples that were left"
    assert (config_of.epoch, config_of.iter) == (3, 12)
    assert torch.equal(weights_of(config_of), finished[1]), "weights, momentum, schedule and dropout"


def test_a_run_of_an_older_version_under_another_name_goes_on(finished, tmp_path):
    """Older checkpoints state neither start weights nor the steps of an epoch, and name the config that it was then."""
    folder = shutil.copytree(finished[0], tmp_path / "work_dirs" / "a_former_name")
    (folder / "epoch_3.pth").unlink()
    checkpoint = torch.load(folder / "epoch_2.pth", weights_only=False)
    for key in ("start_weights", "steps_per_epoch", "processes"):
        checkpoint["meta"].pop(key, None)
    checkpoint["meta"] |= {"experiment_name": "a_former_name_20200101_000000", "cfg": "model = dict(type='Former')"}
    torch.save(checkpoint, folder / "epoch_2.pth")
    renamed = folder.rename(folder.with_name("a_new_name"))
    runner = toy_runner(renamed, load_from=str(resume_point(renamed)), resume=True)
    runner.train()
    assert torch.equal(weights_of(runner), finished[1])
    assert newest_checkpoint(renamed).name == "epoch_3.pth"


def test_newest_means_written_last(copy):
    assert resume_point(copy).name == "epoch_3.pth"
    os.utime(copy / "epoch_2.pth")  # a second run in the folder has come this far
    assert resume_point(copy) == copy / "epoch_2.pth", "and last_checkpoint, which names another folder, is not asked"


def test_what_is_tested_and_published_is_what_a_resumed_run_would_go_on_from(copy, capsys):
    """Before, tools/test.py took the highest epoch, also where that was of an earlier run, or cut short."""
    assert newest_checkpoint(copy) == resume_point(copy) == copy / "epoch_3.pth"
    os.utime(copy / "epoch_2.pth")
    assert newest_checkpoint(copy) == resume_point(copy) == copy / "epoch_2.pth"
    (copy / "epoch_2.pth").write_bytes(b"cut short")
    assert newest_checkpoint(copy) == resume_point(copy) == copy / "epoch_3.pth"
    assert "passed over: checkpoint" in capsys.readouterr().err
    shutil.copy(copy / "epoch_1.pth", copy / "epoch_3_step_13.pth")
    assert newest_checkpoint(copy) == resume_point(copy) == copy / "epoch_3_step_13.pth"


def test_of_files_written_in_one_moment_the_furthest_is_the_newest(tmp_path):
    for name in ("epoch_9.pth", "epoch_10.pth", "epoch_10_step_400.pth", "best.pth", "epoch_x.pth"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, ns=(0, 0))
    assert [path.name for path in checkpoints_of(tmp_path)] == ["epoch_10_step_400.pth", "epoch_10.pth", "epoch_9.pth"]


def test_cut_short_at_any_length_is_named_and_passed_over(copy, capsys):
    whole = (copy / "epoch_3.pth").read_bytes()
    rng = np.random.default_rng(0)
    for length in [0, 1, len(whole) - 1, *rng.integers(2, len(whole) - 1, size=30)]:
        (copy / "epoch_3.pth").write_bytes(whole[:length])
        assert resume_point(copy).name == "epoch_2.pth"
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert said.startswith("passed over: checkpoint")
        assert "epoch_3.pth is damaged" in said


def test_changed_bytes_are_found_by_their_checksum(copy, capsys):
    path = copy / "epoch_3.pth"
    weights = torch.load(path, weights_only=False)["state_dict"]["layer.weight"].numpy().tobytes()
    data = path.read_bytes()
    path.write_bytes(data.replace(weights, bytes(len(weights))))
    assert resume_point(copy).name == "epoch_2.pth"
    assert "epoch_3.pth is damaged" in capsys.readouterr().err


def test_published_weights_are_no_state(copy, capsys):
    torch.save({"state_dict": {}, "meta": {}}, copy / "epoch_4.pth")
    assert resume_point(copy).name == "epoch_3.pth"
    assert "no state to go on from (message_hub, optimizer)" in capsys.readouterr().err


def test_none_whole_is_an_error_and_none_at_all_a_said_fresh_start(tmp_path, capsys):
    config = Config(dict(load_from=None, resume=False, work_dir=str(tmp_path)))
    launch.set_start(config, "auto")
    assert (config.load_from, config.resume) == (None, False)
    assert "to resume from: training starts at the beginning" in capsys.readouterr().err
    (tmp_path / "epoch_1.pth").touch()
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* is whole \(epoch_1\.pth\)"):
        launch.set_start(config, "auto")


def test_epochs_of_another_length_are_refused(copy):
    runner = toy_runner(copy, load_from=str(copy / "epoch_2.pth"), resume=True,
                        **{"train_dataloader.sampler.num_batches": 5})  # fmt: skip
    with pytest.raises(CheckpointError, match="epochs of 4 steps, and the config has 5"):
        runner.train()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"optim_wrapper.optimizer.lr": 0.01}, r"optim_wrapper\.optimizer\.lr = 0\.1, and the config has 0\.01"),
        (
            {"optim_wrapper.clip_grad.max_norm": 1.0},
            r"optim_wrapper\.clip_grad\.max_norm = 5\.0, and the config has 1\.0",
        ),
        ({"model.precision": "bfloat16"}, r"model\.precision = None, and the config has bfloat16"),
        (
            {"train_dataloader.batch_size": 1, "train_dataloader.sampler.batch_size": 1},
            r"train_dataloader\.batch_size = 2, and the config has 1",
        ),
        ({"param_scheduler.0.T_max": 5}, r"param_scheduler\.0\.T_max = 3, and the config has 5"),
    ],
)
def test_a_training_goes_on_with_its_own_settings_only(copy, changes, said):
    """Before, only the steps of an epoch were compared, and the last epochs were of another recipe."""
    runner = toy_runner(copy, load_from=str(copy / "epoch_2.pth"), resume=True, **changes)
    with pytest.raises(CheckpointError, match=rf"epoch_2\.pth was trained with {said}: resume with the same") as error:
        runner.train()
    assert "\n" not in str(error.value)


def test_what_changes_no_step_may_change(copy):
    """Length, validation and start; the folder was moved."""
    changes = {"train_cfg.max_epochs": 4, "train_cfg.val_begin": 9, "log_level": "CRITICAL", "randomness.seed": 5}
    runner = toy_runner(copy, load_from=str(copy / "epoch_2.pth"), resume=True, **changes)
    runner.train()
    assert runner.epoch == 4


TOY = "model = dict(type='Toy')\ntrain_dataloader = dict(batch_size={})\noptim_wrapper = dict(betas=(0.9, -1e-3))\n"


def test_a_total_batch_may_be_shared_by_other_processes():
    """As tools/train_models.sh shares it."""
    meta = {"steps_per_epoch": 4, "processes": 1, "cfg": TOY.format(2)}
    config = Config.fromstring(TOY.format(1), ".py")
    require_same_training(meta, config, 2, "x.pth")
    with pytest.raises(CheckpointError, match=r"batch_size = 2, and the config has 1"):
        require_same_training(meta, config, 1, "x.pth")
    require_same_training({"steps_per_epoch": 4}, config, 1, "x.pth")  # states no config


@pytest.mark.parametrize("text", ["import os", "model = dict(type=print('ran'))", "model = (", "a.b = 1"])
def test_a_checkpoint_s_config_is_read_and_not_run(text, capsys):
    with pytest.raises(CheckpointError, match=r"x\.pth states a config that cannot be read; start a new run"):
        require_same_training({"steps_per_epoch": 4, "cfg": text}, Config({}), 1, "x.pth")
    assert capsys.readouterr().out == ""
