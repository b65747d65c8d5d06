"""A data set in which a sample depends on the run's seed and the sample's running number, and on nothing else."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from mmdet.registry import DATASETS
from mmengine.dataset import BaseDataset, ConcatDataset

MAX_TRIES = 20


@DATASETS.register_module()
class SeededDataset:
    """Shuffles and augments a data set by running number.

    Sample k of a run is image ``k % n`` of the k // n-th shuffling of the n images, augmented with random numbers
    derived from (seed, k): the same for any number of workers and ranks and after a resume, another one each time an
    image comes round. Transforms that use the global generators of ``random`` and ``numpy`` get them seeded; transforms
    with a generator of their own take it from ``results['sample_seed']``, a tuple of integers.

    Args:
        dataset: config or object: a BaseDataset, or a ConcatDataset of them.
        seed: None takes the run's, which FixedLengthSampler hands over.
    """

    def __init__(self, dataset: dict | BaseDataset | ConcatDataset, seed: int | None = None):
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.seed = seed

    @property
    def metainfo(self) -> dict:
        """Classes and the like."""
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
        """The data set that holds an image, and the image's place in it."""
        dataset = self.dataset
        while isinstance(dataset, ConcatDataset):
            part, index = dataset._get_ori_dataset_idx(index)
            dataset = dataset.datasets[part]
        return dataset, index


def shuffling(seed: int, passes: int, images: int) -> np.ndarray:
    """The order (images,) in which a run shows its images after so many passes; another in each pass of each seed.

    NumPy fills up seeds of fewer than four numbers with zeros, so that (seed, pass) would also be the seed of sample
    k = pass; a spawn key stands behind those four.
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
