"""A trained visibility network as a model that `semsize` can ask: the entry point of `semsize.visibility`.

The packages of the network are imported when it is opened, not before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from semsize.detecting.models import VISIBILITY, licence_of
from semsize.measuring.inputs import InputError, VisibilityRequest
from semsize.structures.files import file_sha256
from semsize.visibility.model import CropAnswers
from semsize.visibility.record import VisibilityRecord, VisibilityRecordError, read_visibility_records
from semsize.visibility.seeing import CalibratedModel, Calibration
from semsize.visibility.states import Thresholds
from tio2.cli import quiet_imports
from tio2.detector_source import resolved_sha256

TRAIN = "train one: tools/train_models.sh visibility"


@dataclass(frozen=True)
class VisibilityWeights:
    """A visibility network, as a config and weights."""

    config: Path
    checkpoint: Path
    device: str = "cpu"

    @cached_property
    def records(self) -> tuple[VisibilityRecord, ...]:
        """Those beside the weights.

        Raises:
            InputError: the file holds something else.
        """
        try:
            return read_visibility_records(self.checkpoint)
        except VisibilityRecordError as cause:
            raise InputError(str(cause)) from None

    def open(self, processes: int, calibration: Calibration) -> CalibratedModel:
        """Load the network; with several processes on a machine each takes its share of the cores.

        Raises:
            InputError: config or weights cannot be loaded, or do not belong together.
        """
        with quiet_imports():
            import torch
            from mmdet.registry import MODELS
            from mmengine.structures import BaseDataElement

            from tio2.engine import CheckpointError, load_checkpoint
            from tio2.models.visibility import fold_norms  # the module registers what the config names
        torch.set_num_threads(max(1, torch.get_num_threads() // processes))
        try:
            net = MODELS.build(self._read_config().model)
            weights = load_checkpoint(self.checkpoint)
            net.load_state_dict(weights.get("state_dict", weights))
        except CheckpointError as cause:
            raise InputError(str(cause)) from None
        except RuntimeError:
            raise InputError(
                f"checkpoint {self.checkpoint} does not fit {self.config}; give those of one run"
            ) from None
        fold_norms(net.to(self.device).eval())

        def answers(crops: np.ndarray) -> CropAnswers:
            with torch.inference_mode():
                [found] = net([torch.from_numpy(crops).to(self.device)], [BaseDataElement()], mode="predict")
            numbers = found.pred_instances
            names = ("fractions", "is_particle", "whole", "size_ratios")
            return CropAnswers(*(numbers[name].float().cpu().numpy() for name in names))

        return CalibratedModel(answers, Thresholds(*net.thresholds.tolist()), calibration)

    def _read_config(self):
        """The config.

        Raises:
            InputError: there is none, or it is of another kind of model.
        """
        from mmengine.config import Config

        if not self.config.is_file():
            raise InputError(f"config {self.config} does not exist; check --visibility")
        with quiet_imports():  # of what the config names
            config = Config.fromfile(self.config)
        if config.get("model", {}).get("type") != "VisibilityNet":
            raise InputError(
                f"{self.config} is of no visibility network; give configs/tio2/visibility_free.py or like it"
            )
        return config

    def as_record(self) -> dict:
        """Config and weights with SHA-256, engine, precision, licence and device.

        Raises:
            InputError: one of the files is missing.
        """
        config = self._read_config()
        if not self.checkpoint.is_file():
            raise InputError(f"checkpoint {self.checkpoint} does not exist; check --visibility, or {TRAIN}")
        with quiet_imports():
            import torch

            from tio2.models.detector import precision_on
        return {
            "path": str(self.checkpoint),
            "engine": "torch",
            "precision": precision_on(torch.device(self.device), config.model.get("precision", "auto")),
            "sha256": file_sha256(self.checkpoint),
            "config": str(self.config),
            "config_sha256": resolved_sha256(config),
            "licence": licence_of(self.checkpoint),
            "device": self.device,
        }


def open_visibility(request: VisibilityRequest) -> VisibilityWeights:
    """The entry point of `semsize.visibility`.

    Raises:
        ImportError: torch or MMDetection is not installed.
    """
    with quiet_imports():
        import mmengine  # noqa: F401
        import torch  # noqa: F401
    given = request.config, request.checkpoint
    config, checkpoint = given if None not in given else (VISIBILITY.config, VISIBILITY.checkpoint)
    return VisibilityWeights(config, checkpoint, request.device)
