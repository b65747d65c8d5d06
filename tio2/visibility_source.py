"""A trained visibility model as a model for `semsize`: the entry point `torch` of `semsize.visibility`.

The packages of the network are imported when it is opened, not before.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semsize.detecting.models import VISIBILITY, licence_of
from semsize.measuring.engines import NotForEngineError
from semsize.measuring.inputs import InputError, VisibilityRequest
from semsize.measuring.predicted_states import visibility_records_beside
from semsize.structures.files import file_sha256
from semsize.visibility.model import CropAnswers
from semsize.visibility.prediction import CalibratedModel, Calibration
from semsize.visibility.record import VisibilityRecord
from semsize.visibility.states import StateThresholds
from tio2.cli import quiet_imports
from tio2.detector_source import opened_config, resolved_sha256

if TYPE_CHECKING:
    from mmengine.config import Config

    from tio2.models.visibility import VisibilityNet

TRAIN = "train one: tools/train_models.sh visibility"


@dataclass(frozen=True)
class VisibilityWeights:
    """A visibility model, as a config and weights."""

    config: Path
    checkpoint: Path
    device: str = "cpu"

    @cached_property
    def records(self) -> tuple[VisibilityRecord, ...]:
        """The visibility records beside the weights (`visibility_records_beside`)."""
        return visibility_records_beside(self.checkpoint)

    def open(self, processes: int, calibration: Calibration) -> CalibratedModel:
        """Load the network; each of several processes on a machine takes its share of the cores.

        Raises:
            InputError: config or weights cannot be loaded, or do not belong together.
        """
        with quiet_imports():
            import torch
            from mmengine.structures import BaseDataElement

            from tio2.models.visibility import fold_norms
        torch.set_num_threads(max(1, torch.get_num_threads() // processes))
        net = self.load().to(self.device)
        fold_norms(net)

        def answers(crops: np.ndarray) -> CropAnswers:
            with torch.inference_mode():
                [found] = net([torch.from_numpy(crops).to(self.device)], [BaseDataElement()], mode="predict")
            numbers = found.pred_instances
            return CropAnswers(*(numbers[field.name].float().cpu().numpy() for field in fields(CropAnswers)))

        return CalibratedModel(answers, StateThresholds(*net.thresholds.tolist()), calibration)

    def load(self) -> VisibilityNet:
        """Build the network and load its weights, in `eval` mode.

        Raises:
            InputError: config or weights cannot be loaded, or do not belong together.
        """
        with quiet_imports():
            from mmdet.registry import MODELS

            import tio2.models.visibility  # noqa: F401 - registers what the config names
            from tio2.engine import CheckpointError, load_weights
        try:
            net = MODELS.build(self.read_config().model)
            load_weights(net, self.checkpoint, str(self.config))
        except CheckpointError as cause:
            raise InputError(str(cause)) from None
        return net.eval()

    def read_config(self) -> Config:
        """Read the config of the network.

        Raises:
            InputError: the file is missing, or describes another kind of model.
        """
        config = opened_config(self.config, "--visibility")
        if not is_visibility(config):
            raise InputError(
                f"{self.config} describes no visibility model; give one like configs/tio2/visibility_free.py"
            )
        return config

    def as_record(self) -> dict:
        """Return the model's entry in a measurement's record.

        Raises:
            InputError: a file is missing, or config and weights do not belong together.
        """
        config = self.read_config()
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
            "thresholds": self.load().thresholds.tolist(),
            "licence": licence_of(self.checkpoint),
            "device": self.device,
        }


def is_visibility(config: Config) -> bool:
    """Whether a config describes a visibility model."""
    return config.get("model", {}).get("type") == "VisibilityNet"


def open_visibility(request: VisibilityRequest) -> VisibilityWeights:
    """Open a shipped model or one of the user's own; the entry point `torch` of `semsize.visibility`.

    Raises:
        ImportError: torch or MMDetection is not installed.
        NotForEngineError: an archive was requested, or the shipped weights are missing.
    """
    if request.model is not None:
        raise NotForEngineError(
            f"the engine torch reads no archive ({request.model}); give --visibility CONFIG WEIGHTS or another --engine"
        )
    with quiet_imports():
        import mmengine  # noqa: F401
        import torch  # noqa: F401
    if request.config is not None:
        return VisibilityWeights(request.config, request.checkpoint, request.device)
    shipped = VISIBILITY[request.shipped]
    if not shipped.checkpoint.is_file():
        raise NotForEngineError(f"the engine torch has no weights {shipped.checkpoint}; get them, or {TRAIN}")
    return VisibilityWeights(shipped.config, shipped.checkpoint, request.device)
