"""A sample depends on the run's seed and its running number alone."""

import random

import numpy as np
import pytest
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset, ConcatDataset
from mmengine.runner import Runner

from tio2.datasets import SeededDataset
from tio2.datasets.sampling import sample_generator, shuffling

COUNT = 5


class Draws(BaseTransform):
    """Draws from all the sources that transforms have."""

    def transform(self, results: dict) -> dict:
        own = np.random.default_rng(results["sample_seed"])
        return {
            "number": results["number"],
            "drawn": [random.random(), float(np.random.uniform()), float(own.uniform())],  # noqa: NPY002
        }


class RefuseOften(BaseTransform):
    """Refuses most of the time, and always the images in ``never``."""

    def __init__(self, never: tuple[int, ...] = ()):
        self.never = never

    def transform(self, results: dict) -> dict | None:
        refused = results["number"] in self.never or np.random.uniform() < 0.6  # noqa: NPY002
        return None if refused else results


class Numbers(BaseDataset):
    """Items that know their number."""

    METAINFO = {"classes": ("particle",)}  # noqa: RUF012

    def __init__(self, *transforms, first: int = 0, count: int = COUNT, **kwargs):
        self.first, self.count = first, count
        super().__init__(pipeline=[*transforms], **kwargs)

    def load_data_list(self) -> list[dict]:
        numbers = range(self.first, self.first + self.count)
        return [{"number": number, "img_path": f"{number}.tif"} for number in numbers]


def stream(workers: int, persistent: bool, epochs: int = 2, seed: int = 7) -> list:
    """What a data loader hands out, epoch after epoch."""
    loader = Runner.build_dataloader(
        {
            "batch_size": 2,
            "num_workers": workers,
            "persistent_workers": persistent,
            "sampler": {"type": "FixedLengthSampler", "num_batches": 6, "batch_size": 2},
            "dataset": {"type": "SeededDataset", "dataset": Numbers(Draws())},
            "collate_fn": {"type": "pseudo_collate"},
        },
        seed=seed,
    )
    seen = []
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        seen.append([(batch["number"], batch["drawn"]) for batch in loader])
    return seen


@pytest.fixture(scope="module")
def without_workers() -> list:
    return stream(workers=0, persistent=False)


@pytest.mark.parametrize(("workers", "persistent"), [(1, False), (1, True), (2, False), (2, True)])
def test_workers_do_not_change_the_stream(without_workers, workers, persistent):
    assert stream(workers, persistent) == without_workers


def test_epochs_differ_and_so_do_runs_of_another_seed(without_workers):
    first, second = without_workers
    assert first != second
    assert stream(0, False, epochs=1, seed=8)[0] != first


def test_each_shuffling_takes_every_image_once_and_the_next_another_order():
    dataset = SeededDataset(Numbers(Draws()), seed=1)
    numbers = [dataset[k]["number"] for k in range(20 * COUNT)]
    shufflings = [tuple(numbers[i : i + COUNT]) for i in range(0, len(numbers), COUNT)]
    assert all(sorted(shuffling) == list(range(COUNT)) for shuffling in shufflings)
    assert len(set(shufflings)) > 10


def test_no_order_of_a_seed_is_another_seed_s():
    """Eight images have 40,320 orders: among 2500 of different seeds and passes about 75 pairs are alike by chance."""
    orders = {(seed, passes): tuple(shuffling(seed, passes, 8)) for seed in range(50) for passes in range(50)}
    assert len(set(orders.values())) > 2350
    for seed in range(49):
        assert [orders[seed, passes + 1] for passes in range(49)] != [orders[seed + 1, passes] for passes in range(49)]
        assert sum(orders[seed, passes + 1] == orders[seed + 1, passes] for passes in range(49)) < 3


def test_orders_and_samples_draw_from_generators_of_their_own():
    """NumPy fills up seeds with zeros: (seed, pass), (seed, k, 0) and (seed, k, 0, 0) would be one generator."""
    results = {"sample_seed": (3, 2, 0)}
    generators = [np.random.default_rng(results["sample_seed"]), sample_generator(results), sample_generator(results)]
    permutations = [tuple(each.permutation(20)) for each in generators] + [tuple(shuffling(3, 2, 20))]
    assert len(set(permutations)) == 4


def test_an_image_is_augmented_anew_each_time_it_comes_round():
    dataset = SeededDataset(Numbers(Draws()), seed=1)
    samples = [dataset[k] for k in range(4 * COUNT)]
    for source in range(3):
        assert len({sample["drawn"][source] for sample in samples}) == 4 * COUNT


def test_the_global_generators_are_left_as_they_were():
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    expected = random.random(), np.random.uniform()  # noqa: NPY002
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    SeededDataset(Numbers(Draws()), seed=1)[11]
    assert (random.random(), np.random.uniform()) == expected  # noqa: NPY002


def test_a_refused_image_is_tried_again_with_other_numbers_and_the_same_each_run():
    refusing, willing = (SeededDataset(Numbers(pipeline), seed=2) for pipeline in (RefuseOften(), Draws()))
    samples = [refusing[k] for k in range(30)]
    assert samples == [refusing[k] for k in range(30)]
    assert [sample["number"] for sample in samples] == [willing[k]["number"] for k in range(30)]
    assert {sample["sample_seed"][2] for sample in samples} > {0, 1, 2}


def test_an_image_that_is_refused_for_good_is_named():
    dataset = SeededDataset(Numbers(RefuseOften(never=(3,))), seed=2)
    with pytest.raises(RuntimeError, match=r"refused image 3\.tif 20 times"):
        list(map(dataset.__getitem__, range(COUNT)))


def test_joined_data_sets_are_drawn_from_alike():
    parts = [Numbers(Draws(), first=0, count=2, lazy_init=True), Numbers(Draws(), first=2, count=3, lazy_init=True)]
    joined, whole = SeededDataset(ConcatDataset(parts), seed=5), SeededDataset(Numbers(Draws()), seed=5)
    assert [joined[k] for k in range(20)] == [whole[k] for k in range(20)]


def test_it_passes_for_the_data_set_it_wraps():
    dataset = SeededDataset(Numbers(Draws(), lazy_init=True), seed=1)
    dataset.full_init()
    assert len(dataset) == COUNT
    assert dataset.metainfo == {"classes": ("particle",)}


def test_without_a_seed_there_is_nothing_to_draw():
    with pytest.raises(ValueError, match="no seed"):
        SeededDataset(Numbers(Draws()))[0]
