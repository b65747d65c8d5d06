"""Launch, checkpoints, resumption, processes and record of a run; importing this registers their hooks and loop."""

from tio2.engine.checkpoints import CheckpointError, find_checkpoint, load_checkpoint, load_weights, newest_checkpoint
from tio2.engine.config import ConfigError
from tio2.engine.hooks import LossScalingOptimWrapper, precision_name
from tio2.engine.resumption import TrainingStopped
from tio2.engine.testing import SecondsPerImageHook
from tio2.engine.visibility import StateThresholdsHook
