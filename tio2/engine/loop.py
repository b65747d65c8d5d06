"""Epochs that can be entered in the middle, and steps whose random numbers do not depend on what went before."""

import numpy as np
import torch
from mmdet.registry import HOOKS, LOOPS
from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner


@LOOPS.register_module()
class ResumableTrainLoop(EpochBasedTrainLoop):
    """MMEngine's epochs; a run that was stopped within one takes only the steps that are left of it.

    The sampler needs a method `skip(steps)`, as FixedLengthSampler has it.
    """

    def run_epoch(self) -> None:
        """Take the steps of this epoch that are not done."""
        done = self._iter - self._epoch * len(self.dataloader)
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        self.dataloader.sampler.skip(done)
        for index, data_batch in enumerate(self.dataloader, start=done):
            self.run_iter(index, data_batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1


def sample_numbers(runner: Runner) -> list[int]:
    """Running numbers, over the whole run and all processes, of this process's samples of the present step."""
    rank, processes = get_dist_info()
    size = runner.train_dataloader.batch_size
    first = runner.iter * size * processes + rank
    return list(range(first, first + size * processes, processes))


@HOOKS.register_module()
class StepSeedHook(Hook):
    """Seeds torch's generator before each step from the run's seed and the running number of the step's first sample.

    Anchors and regions of interest are drawn from it. Thus a resumed run draws what the uninterrupted one would have
    drawn, without a stored state, and each process draws its own.
    """

    def before_train_iter(self, runner: Runner, batch_idx, data_batch=None) -> None:  # noqa: ARG002
        """Seed."""
        words = np.random.SeedSequence((runner.seed, sample_numbers(runner)[0])).generate_state(2)
        torch.manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)
