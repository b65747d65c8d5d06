"""A visibility model's archive as a source of predicted states: the engine `onnx`, which needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from semsize.detecting.archive import ArchiveError, VisibilityCard, read_archive
from semsize.detecting.models import VISIBILITY
from semsize.detecting.onnx import ENGINE, OnnxAnswers
from semsize.measuring.archived_model import archive_for, loaded
from semsize.measuring.inputs import InputError, VisibilityRequest
from semsize.measuring.predicted_states import visibility_records_beside
from semsize.structures.files import file_sha256
from semsize.visibility.model import CropAnswers
from semsize.visibility.prediction import CalibratedModel, Calibration
from semsize.visibility.record import VisibilityRecord
from semsize.visibility.states import StateThresholds


@dataclass(frozen=True)
class ArchivedVisibility:
    """A visibility model's archive (`semsize.measuring.predicted_states.VisibilitySource`).

    Attributes:
        path: the archive's file.
        sha256: SHA-256 of that file.
        card: the archive's card.
    """

    path: Path
    sha256: str
    card: VisibilityCard

    @cached_property
    def records(self) -> tuple[VisibilityRecord, ...]:
        """The visibility records beside the archive, see `visibility_records_beside`."""
        return visibility_records_beside(self.path)

    def open(self, processes: int, calibration: Calibration) -> CalibratedModel:
        """Load the graph, for this process's share of the cores.

        Raises:
            InputError: the file cannot be used.
        """
        answers_of = loaded(self.path, VisibilityCard, OnnxAnswers, processes)

        def answers(crops: np.ndarray) -> CropAnswers:
            try:
                return CropAnswers(*answers_of(crops))
            except ValueError as cause:  # from the runtime, or answers of a wrong shape
                raise InputError(f"{self.path}: {cause}") from None

        return CalibratedModel(answers, StateThresholds(self.card.complete, self.card.masked), calibration)

    def as_record(self) -> dict:
        """The path, the SHA-256 of archive, weights and config, engine, precision, thresholds, licence and device."""
        return {
            "path": str(self.path),
            "engine": ENGINE,
            "precision": self.card.precision,
            "sha256": self.card.weights_sha256,
            "archive_sha256": self.sha256,
            "config_sha256": self.card.config_sha256,
            "thresholds": [self.card.complete, self.card.masked],
            "licence": self.card.licence,
            "device": "cpu",
        }


def open_visibility(request: VisibilityRequest) -> ArchivedVisibility:
    """Open the named archive, or that of a shipped model: the entry point `onnx` of `semsize.visibility`.

    Raises:
        ImportError: ONNX Runtime is not installed.
        NotForEngineError: the requested model has no archive, or is to run on a GPU.
        InputError: the archive cannot be used.
    """
    option = "--visibility"
    instead = f"{option} CONFIG WEIGHTS"
    path = archive_for(request, request.model, lambda: VISIBILITY[request.shipped], option=option, instead=instead)
    try:
        return ArchivedVisibility(path, file_sha256(path), read_archive(path, VisibilityCard).card)
    except ArchiveError as cause:
        raise InputError(str(cause)) from None
