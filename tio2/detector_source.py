"""A trained detector of MMDetection as a source of outlines: the engine `torch`.

The packages of the network are imported when a detector is opened, not before.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from semsize.detecting.archive import ENDING
from semsize.detecting.models import OWN_WEIGHTS
from semsize.measuring.engines import NotForEngineError, bias_records_beside, looking_at, model_record, shipped_model
from semsize.measuring.inputs import DetectorRequest, InputError
from semsize.measuring.outlines import FillBox, Find, Frame, Outlines
from semsize.metrology import BiasRecord
from semsize.structures.files import file_sha256
from tio2.cli import quiet_imports

if TYPE_CHECKING:
    from mmengine.config import Config

    from tio2.inference import Detector


@dataclass(frozen=True)
class DetectorSource:
    """A detector, as a config and weights.

    Attributes:
        config: its config file.
        checkpoint: its weights.
        licence: what its weights may be used for, in one line.
        device: where it runs.
        scales: enlargements at which images are looked at; "auto" chooses them for each image, None keeps the config's.
        diameter: diameter of most particles with its unit, for which scales are chosen.
        tile: size of tiles and their overlap, px; None tiles large images only.
        batch_size: tiles of an image that are detected together.
    """

    config: Path
    checkpoint: Path
    licence: str
    device: str = "cpu"
    scales: tuple[float, ...] | Literal["auto"] | None = None
    diameter: str | None = None
    tile: tuple[int, int] | None = None
    batch_size: int = 1

    def open(self, processes: int) -> Find:
        """Load the network; each of several processes on a machine takes its share of the cores.

        Raises:
            InputError: config or weights cannot be loaded, or do not belong together.
        """
        detector = self._detector(processes)

        def find(frame: Frame) -> Outlines:
            looking = looking_at(frame, detector.looking, self.diameter, self.tile)
            return detector(frame.grey, looking, self.batch_size)

        return find

    def open_boxes(self) -> FillBox:
        """Load the network to draw outlines in boxes (`BoxSource`); raises what `open` raises."""
        return self._detector(1).fill

    def _detector(self, processes: int) -> Detector:
        with quiet_imports():
            import torch

            from tio2.engine import CheckpointError, ConfigError
            from tio2.engine.processes import keep_freed_memory
            from tio2.inference import Detector
        torch.set_num_threads(max(1, torch.get_num_threads() // processes))
        self._require_device()
        if self.device == "cpu":
            keep_freed_memory()
        try:
            with quiet_imports():
                return Detector(self.read_config(), self.checkpoint, self.device)
        except (CheckpointError, ConfigError) as cause:
            raise InputError(str(cause)) from None

    def read_config(self) -> Config:
        """Read the config and set the requested scales.

        Raises:
            InputError: the file is missing, or scales are requested of a model that takes none.
        """
        config = opened_config(self.config, "--config")
        if self.scales is None and self.diameter is None:
            return config
        if not (config.model.get("test_cfg") or {}).get("scales"):
            raise InputError(f"{self.config} sets no model.test_cfg.scales; leave out --scales and --diameter")
        config.model.test_cfg.scales = "auto" if self.scales is None else self.scales
        return config

    def as_record(self) -> dict:
        """Return the model's entry in a measurement's record (`model_record`), with config and precision.

        Raises:
            InputError: a file or the device is missing.
        """
        config = self.read_config()
        if not self.checkpoint.is_file():
            raise InputError(f"checkpoint {self.checkpoint} does not exist; check --checkpoint")
        self._require_device()
        with quiet_imports():
            from tio2.engine.config import model_use
            from tio2.models.detector import precision_of
        sha256, precision = file_sha256(self.checkpoint), precision_of(config.model, self.device)
        use = model_use(config, sha256, precision, self.tile, self.diameter)
        record = model_record(self.checkpoint, sha256, resolved_sha256(config), self.licence, self.device, use)
        return {**record, "config": str(self.config)}

    def _require_device(self) -> None:
        if self.device.startswith("cuda"):
            import torch

            if not torch.cuda.is_available():
                raise InputError(f"--device {self.device}: no GPU that torch can use was found; leave the option out")


def opened_config(path: Path, option: str) -> Config:
    """Read a config; raise an InputError that names the option of the path if there is no file."""
    from mmengine.config import Config

    if not path.is_file():
        raise InputError(f"config {path} does not exist; check {option}")
    with quiet_imports():  # of packages that the config names
        return Config.fromfile(path)


def resolved_sha256(config: Config) -> str:
    """Return the SHA-256 of a config as resolved from all its bases."""
    return hashlib.sha256(json.dumps(config.to_dict(), sort_keys=True, default=str).encode()).hexdigest()


def open_detector(request: DetectorRequest) -> tuple[DetectorSource, Sequence[BiasRecord]]:
    """Open a shipped model or one of the user's own, with the bias records beside its weights.

    This is the entry point `torch` of `semsize.detectors`.

    Raises:
        ImportError: torch or MMDetection is not installed.
        NotForEngineError: an archive was requested, or the weights of a shipped model are missing.
        InputError: there is no model of that name, or its records are damaged.
    """
    if request.config is None and request.model is not None and request.model.endswith(ENDING):
        raise NotForEngineError(
            f"the engine torch reads no archive ({request.model}); give --config and --checkpoint, or another --engine"
        )
    with quiet_imports():
        import mmengine  # noqa: F401
        import torch  # noqa: F401
    if request.config is not None:
        source = DetectorSource(request.config, request.checkpoint, OWN_WEIGHTS)
    else:
        model = shipped_model(request.model)
        if not model.checkpoint.is_file():
            raise NotForEngineError(f"the engine torch has no weights {model.checkpoint}; get them, or train a model")
        source = DetectorSource(model.config, model.checkpoint, model.licence)
    wanted = {name: getattr(request, name) for name in ("device", "scales", "diameter", "tile", "batch_size")}
    source = dataclasses.replace(source, **wanted)
    return source, bias_records_beside(source.checkpoint)
