"""An epoch has a fixed number of steps; running numbers continue over epochs, ranks and resumption."""

import pytest
import torch
from mmengine.dataset import BaseDataset
from mmengine.model import BaseModel
from mmengine.runner import Runner

from tio2.datasets import FixedLengthSampler, SeededDataset, sampling


class Numbers(BaseDataset):
    """Seven items that only know their number."""

    def load_data_list(self) -> list[dict]:
        return [{"number": number} for number in range(7)]


def epochs_of(sample_numbers: FixedLengthSampler, epochs: int) -> list[int]:
    seen = []
    for epoch in range(epochs):
        sample_numbers.set_epoch(epoch)
        seen += list(sample_numbers)
    return seen


def test_an_epoch_has_the_steps_asked_for_whatever_the_set_s_size():
    numbers = FixedLengthSampler(SeededDataset(Numbers()), num_batches=698, batch_size=2, seed=0)
    assert len(numbers) == 698 * 2 == len(list(numbers))
    loader = torch.utils.data.DataLoader(numbers.__class__(SeededDataset(Numbers()), 698, 2, 0), batch_size=2)
    assert len(loader) == 698


def test_running_numbers_go_on_over_epochs():
    assert epochs_of(FixedLengthSampler(SeededDataset(Numbers()), 5, 3, seed=0), 4) == list(range(60))


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_out_the_stream_of_a_single_process(monkeypatch, world_size):
    per_rank = []
    for rank in range(world_size):
        monkeypatch.setattr(sampling, "get_dist_info", lambda rank=rank: (rank, world_size))
        per_rank.append(epochs_of(FixedLengthSampler(SeededDataset(Numbers()), 5, 2, seed=0), 3))
    assert len({number for numbers in per_rank for number in numbers}) == sum(map(len, per_rank))
    together = [number for step in zip(*per_rank, strict=True) for number in step]
    assert together == list(range(3 * 5 * 2 * world_size))


def test_the_run_s_seed_reaches_a_data_set_without_one():
    unseeded, seeded = SeededDataset(Numbers()), SeededDataset(Numbers(), seed=3)
    for dataset in (unseeded, seeded):
        FixedLengthSampler(dataset, 1, 1, seed=8)
    assert (unseeded.seed, seeded.seed) == (8, 3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"seed": None}, ValueError, "diff_rank_seed"),
        ({"num_batches": 0}, ValueError, "positive"),
        ({"dataset": [1, 2]}, TypeError, "SeededDataset"),
    ],
)
def test_misuse_is_refused_in_words(arguments, error, message):
    valid = {"dataset": SeededDataset(Numbers()), "num_batches": 1, "batch_size": 1, "seed": 0}
    with pytest.raises(error, match=message):
        FixedLengthSampler(**{**valid, **arguments})


class Witness(BaseModel):
    """A model that writes down what it is trained on."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def forward(self, number, sample_seed, sample_idx, mode="loss"):
        assert mode == "loss"
        assert len(sample_idx) == len(number)
        self.seen.append((number.tolist(), [part.tolist() for part in sample_seed]))
        return {"loss": self.weight.sum()}


def train(work_dir, name: str, epochs: int, resume: bool) -> list:
    model = Witness()
    runner = Runner(
        model,
        str(work_dir),
        experiment_name=f"{work_dir.name}-{name}",
        train_dataloader={
            "batch_size": 2,
            "num_workers": 0,
            "sampler": {"type": "FixedLengthSampler", "num_batches": 3, "batch_size": 2},
            "dataset": {"type": "SeededDataset", "dataset": Numbers()},
            "collate_fn": {"type": "default_collate"},
        },
        train_cfg={"by_epoch": True, "max_epochs": epochs},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        default_hooks={"checkpoint": {"type": "CheckpointHook", "interval": 1}},
        randomness={"seed": 4},
        resume=resume,
        default_scope="mmdet",
        log_level="ERROR",
    )
    runner.train()
    return model.seen


def test_a_resumed_run_sees_what_an_uninterrupted_one_sees(tmp_path):
    whole = train(tmp_path / "whole", "whole", 3, resume=False)
    assert len(whole) == 9
    assert [seed[1] for _, seed in whole] == [[2 * step, 2 * step + 1] for step in range(9)]
    first = train(tmp_path / "parts", "first", 1, resume=False)
    rest = train(tmp_path / "parts", "rest", 3, resume=True)
    assert first + rest == whole
