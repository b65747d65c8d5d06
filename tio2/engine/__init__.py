"""Running: processes, checkpoints, resumption, guards, the record of a run. Importing registers all of it."""

from tio2.engine.checkpoints import (
    CheckpointError,
    find_checkpoint,
    load_checkpoint,
    newest_checkpoint,
    publish_checkpoint,
    resume_point,
)
from tio2.engine.config import ConfigError
from tio2.engine.hooks import LossError, LossScalingOptimWrapper, precision_name
from tio2.engine.processes import ProcessError
from tio2.engine.resumption import TrainingStopped
from tio2.engine.testing import SecondsPerImageHook

__all__ = [
    "CheckpointError",
    "ConfigError",
    "LossError",
    "LossScalingOptimWrapper",
    "ProcessError",
    "SecondsPerImageHook",
    "TrainingStopped",
    "find_checkpoint",
    "load_checkpoint",
    "newest_checkpoint",
    "precision_name",
    "publish_checkpoint",
    "resume_point",
]
