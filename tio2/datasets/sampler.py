"""Epochs of a fixed number of steps, whatever the size of the data set."""

from collections.abc import Iterator

from mmdet.registry import DATA_SAMPLERS
from mmengine.dist import get_dist_info
from torch.utils.data import Sampler

from tio2.datasets.seeded import SeededDataset


@DATA_SAMPLERS.register_module()
class FixedLengthSampler(Sampler):
    """Numbers the samples of a run: epoch after epoch, the ranks taking turns.

    Its length is ``num_batches * batch_size`` on each rank, so that a data loader of that batch size makes
    ``num_batches`` steps. The running numbers over all ranks and epochs are 0, 1, 2, …: a run that goes on at epoch e
    sees what it would have seen.

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
        """Leave out an epoch's first `steps` steps, which a run that goes on within it has taken already."""
        if not 0 <= steps * self.batch_size <= self.length:
            raise ValueError(f"an epoch of {self.length // self.batch_size} steps has no {steps} steps to skip")
        self.skipped = steps * self.batch_size
