"""Running: processes, checkpoints, resumption, guards, the record of a run. Importing registers all of it."""

from tio2.engine.averaging import AveragedWeightsHook
from tio2.engine.checkpoints import CheckpointError, find_checkpoint, load_checkpoint
from tio2.engine.distribution import DistributionError
from tio2.engine.guards import LossError, LossGuardHook
from tio2.engine.hooks import ProgressBarHook, RunRecordHook, SecondsPerImageHook
from tio2.engine.launch import build_runner, run_folder
from tio2.engine.loop import ResumableTrainLoop, StepSeedHook
from tio2.engine.precision import LossScalingOptimWrapper, precision_name
from tio2.engine.publishing import publish_checkpoint
from tio2.engine.resume import newest_checkpoint, resume_point
from tio2.engine.saving import WholeCheckpointHook
from tio2.engine.settings import ConfigError
from tio2.engine.stopping import StopOnSignalHook, TrainingStopped

__all__ = [
    "AveragedWeightsHook",
    "CheckpointError",
    "ConfigError",
    "DistributionError",
    "LossError",
    "LossGuardHook",
    "LossScalingOptimWrapper",
    "ProgressBarHook",
    "ResumableTrainLoop",
    "RunRecordHook",
    "SecondsPerImageHook",
    "StepSeedHook",
    "StopOnSignalHook",
    "TrainingStopped",
    "WholeCheckpointHook",
    "build_runner",
    "find_checkpoint",
    "load_checkpoint",
    "newest_checkpoint",
    "precision_name",
    "publish_checkpoint",
    "resume_point",
    "run_folder",
]
