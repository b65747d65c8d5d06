"""Which samples a run sees: epochs of a fixed number of steps, each sample decided by the run's seed and its number."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from mmdet.registry import DATA_SAMPLERS, DATASETS
from mmengine.dataset import BaseDataset, ConcatDataset
from mmengine.dist import get_dist_info
from torch.utils.data import Sampler

MAX_TRIES = 20


@DATASETS.register_module()
class SeededDataset:
    """Shuffles and augments a data set by running number.

    Sample k of a run is image ``k % n`` of the k // n-th shuffling of the n images, augmented with random numbers
    derived from (seed, k). It does not depend on the number of workers and ranks or on a resume, and an image is
    augmented differently each time. The global generators of ``random`` and ``numpy`` are seeded for each sample;
    transforms with a generator of their own seed it from ``results['sample_seed']``, a tuple of integers.

    Args:
        dataset: config or object: a BaseDataset, or a ConcatDataset of them.
        seed: None takes the run's seed, which FixedLengthSampler sets.
    """

    def __init__(self, dataset: dict | BaseDataset | ConcatDataset, seed: int | None = None):
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.seed = seed

    @property
    def metainfo(self) -> dict:
        """The metadata of the data set, such as its classes."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Read the annotations, if they have not been read."""
        self.dataset.full_init()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, k: int) -> dict[str, Any]:
        """Sample k of the run, for any k >= 0.

        Raises:
            ValueError: there is no seed.
            RuntimeError: the pipeline refused the image each of MAX_TRIES times.
        """
        if self.seed is None:
            raise ValueError("SeededDataset has no seed: use it with FixedLengthSampler, or give it one")
        passes, position = divmod(k, len(self))
        dataset, index = self._source(int(shuffling(self.seed, passes, len(self))[position]))
        for attempt in range(MAX_TRIES):
            sample_seed = (self.seed, k, attempt)
            info = dataset.get_data_info(index)
            info["sample_seed"] = sample_seed
            with seeded_globals(np.random.default_rng(sample_seed)):
                sample = dataset.pipeline(info)
            if sample is not None:
                return sample
        path = dataset.get_data_info(index).get("img_path", f"number {index}")
        raise RuntimeError(f"the pipeline refused image {path} {MAX_TRIES} times: let it keep empty crops")

    def _source(self, index: int) -> tuple[BaseDataset, int]:
        """The data set that holds an image, and the image's index in it."""
        dataset = self.dataset
        while isinstance(dataset, ConcatDataset):
            part, index = dataset._get_ori_dataset_idx(index)
            dataset = dataset.datasets[part]
        return dataset, index


@DATA_SAMPLERS.register_module()
class FixedLengthSampler(Sampler):
    """Sampler of the running numbers of a run's samples, epoch after epoch; the ranks take turns.

    Its length is ``num_batches * batch_size`` on each rank, so that a data loader of that batch size makes
    ``num_batches`` steps. The running numbers over all ranks and epochs are 0, 1, 2, …, so that a run resumed at
    epoch e sees the same samples as an uninterrupted run.

    Args:
        dataset: takes a running number as its index; its ``seed`` becomes the run's if it has none of its own.
        num_batches: steps of an epoch.
        batch_size: samples of a step on one rank; the data loader's.
        seed: the run's, the same on all ranks (the Runner gives it).
    """

    def __init__(self, dataset: SeededDataset, num_batches: int, batch_size: int, seed: int | None):
        if seed is None:
            raise ValueError("FixedLengthSampler needs one seed for all ranks: set randomness without diff_rank_seed")
        if not isinstance(dataset, SeededDataset):
            raise TypeError(f"FixedLengthSampler draws from a SeededDataset, not from a {type(dataset).__name__}")
        if num_batches < 1 or batch_size < 1:
            raise ValueError(f"num_batches and batch_size must be positive, not {num_batches} and {batch_size}")
        if dataset.seed is None:
            dataset.seed = seed
        self.length = num_batches * batch_size
        self.batch_size = batch_size
        self.skipped = 0
        self.rank, self.world_size = get_dist_info()
        self.epoch = 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        first = (self.epoch * self.length + self.skipped) * self.world_size
        end = (self.epoch + 1) * self.length * self.world_size
        return iter(range(first + self.rank, end, self.world_size))

    def set_epoch(self, epoch: int) -> None:
        """Called by mmengine's DistSamplerSeedHook before each epoch."""
        self.epoch = epoch

    def skip(self, steps: int) -> None:
        """Leave out the first `steps` steps of an epoch, which a run resumed within it has taken before."""
        if not 0 <= steps * self.batch_size <= self.length:
            raise ValueError(f"an epoch of {self.length // self.batch_size} steps has no {steps} steps to skip")
        self.skipped = steps * self.batch_size


def shuffling(seed: int, passes: int, images: int) -> np.ndarray:
    """Order (images,) in which a run shows its images after `passes` whole passes; it differs by pass and by seed.

    NumPy fills up seeds of fewer than four numbers with zeros, so (seed, pass) would equal (seed, k, attempt), the seed
    of sample k = pass at attempt 0. A spawn key comes after the four numbers.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(passes,))).permutation(images)


@contextmanager
def seeded_globals(rng: np.random.Generator) -> Iterator[None]:
    """Seed the generators of ``random`` and ``numpy.random`` from ``rng``, and put them back afterwards."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - mmdet's own transforms draw from these two
    random.seed(int(rng.integers(2**63)))
    np.random.seed(rng.integers(2**32, size=4, dtype=np.uint32))  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


def sample_generator(results: dict) -> np.random.Generator:
    """Return a new generator, seeded by a sample's ``sample_seed`` and the number of generators it has taken so far.

    Two transforms of a pipeline, even of the same kind, thus draw different numbers. ``generators_taken`` counts from
    1, because NumPy takes (seed, k, attempt, 0) and (seed, k, attempt), which seeds the global generators, as equal.
    """
    if "sample_seed" not in results:
        raise ValueError("results have no sample_seed: wrap the data set in SeededDataset, or set one")
    taken = results.get("generators_taken", 0) + 1
    results["generators_taken"] = taken
    return np.random.default_rng((*results["sample_seed"], taken))
