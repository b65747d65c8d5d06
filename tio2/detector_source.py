"""A trained detector as a source of outlines; the network's packages are imported when it is opened, not before."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from semsize.measuring.bias_file import find_bias_file, read_bias_records
from semsize.measuring.inputs import InputError
from semsize.measuring.outlines import DetectorRequest, Find, Frame, Outlines
from semsize.metrology import BiasRecord, BiasRecordError
from semsize.structures.files import file_sha256
from tio2.cli import quiet_imports
from tio2.shipped import ROOT, SHIPPED

if TYPE_CHECKING:
    from tio2.inference import Detections


@dataclass(frozen=True)
class DetectorSource:
    """A detector, as a config and weights.

    Attributes:
        config: its config file.
        checkpoint: its weights.
        licence: what its weights may be used for.
        device: where it runs.
        tile: size of tiles and their overlap, px; None looks at whole images.
        batch_size: images, or tiles of one image, that are looked at together.
    """

    config: Path
    checkpoint: Path
    licence: str
    device: str = "cpu"
    tile: tuple[int, int] | None = None
    batch_size: int = 1

    def open(self, processes: int) -> Find:
        """Load the network; with several processes on a machine each takes its share of the cores.

        Raises:
            InputError: config or weights cannot be loaded, or do not belong together.
        """
        with quiet_imports():
            import torch

            from tio2 import inference
            from tio2.engine import CheckpointError, ConfigError
        torch.set_num_threads(max(1, torch.get_num_threads() // processes))
        self._require_device()
        try:
            with quiet_imports():
                detector = inference.read_detector(self.config, self.checkpoint, self.device)
        except (CheckpointError, ConfigError) as cause:
            raise InputError(str(cause)) from None

        most = detector.model.test_cfg.rcnn.max_per_img

        def find(frames: Sequence[Frame]) -> list[Outlines]:
            if self.tile is None:
                return [_outlines(found, most) for found in detector([frame.grey for frame in frames])]
            tiling = inference.Tiling(*self.tile)
            return [
                _outlines(inference.detect_tiled(detector, frame.grey, tiling, self.batch_size, frame.file.name), None)
                for frame in frames
            ]

        return find

    def as_record(self) -> dict:
        """Config, weights and tiles, with SHA-256: of the config as resolved from all its bases.

        `model` is what a bias record is bound to (`semsize.metrology.ModelUse`), in the precision of this device.

        Raises:
            InputError: one of the files is missing, or the device.
        """
        from mmengine.config import Config

        for what, path in (("config", self.config), ("checkpoint", self.checkpoint)):
            if not path.is_file():
                raise InputError(f"{what} {path} does not exist; check --{what}")
        self._require_device()
        with quiet_imports():  # of what the config names
            from tio2.engine.testing import model_use
            from tio2.models.detector import precision_of

            config = Config.fromfile(self.config)
        resolved = json.dumps(config.to_dict(), sort_keys=True, default=str)
        return {
            "kind": "model",
            "path": str(self.checkpoint),
            "sha256": file_sha256(self.checkpoint),
            "config": str(self.config),
            "config_sha256": hashlib.sha256(resolved.encode()).hexdigest(),
            "licence": self.licence,
            "tile": None if self.tile is None else list(self.tile),
            "device": self.device,
            "model": model_use(config, self.checkpoint, precision_of(config.model, self.device), self.tile),
        }

    def _require_device(self) -> None:
        if self.device.startswith("cuda"):
            import torch

            if not torch.cuda.is_available():
                raise InputError(f"--device {self.device}: no GPU that torch can use is here; leave it out")


def open_detector(request: DetectorRequest) -> tuple[DetectorSource, Sequence[BiasRecord]]:
    """The entry point of `semsize.detectors`: a model that ships, or one of the user's own, with its records.

    Raises:
        ImportError: torch or MMDetection is not installed.
        InputError: there is no model of that name, its files are not here, or its records are damaged.
    """
    with quiet_imports():
        import mmengine  # noqa: F401
        import torch  # noqa: F401
    if request.config is None:
        source, bias_records = shipped_source(request.model)
    else:
        source = DetectorSource(request.config, request.checkpoint, "licence not known: weights of your own")
        bias_records = bias_records_beside(request.checkpoint)
    changes = {"device": request.device, "tile": request.tile, "batch_size": request.batch_size}
    return dataclasses.replace(source, **changes), bias_records


def shipped_source(name: str | None = None) -> tuple[DetectorSource, tuple[BiasRecord, ...]]:
    """A model of `tio2.shipped.SHIPPED`, the first one if none is named, and its bias records.

    Raises:
        InputError: there is no model of that name, or its files are not here.
    """
    name = next(iter(SHIPPED), None) if name is None else name
    if name not in SHIPPED:
        known = ", ".join(SHIPPED) or "none"
        raise InputError(
            f"no model {name!r} ships with this repository (there is: {known}); give --config and --checkpoint, "
            "or train one: python tools/train.py configs/tio2/light_stage1.py"
        )
    model = SHIPPED[name]
    source = DetectorSource(ROOT / model.config, ROOT / model.checkpoint, model.licence)
    return source, bias_records_beside(source.checkpoint)


def bias_records_beside(checkpoint: Path) -> tuple[BiasRecord, ...]:
    """The bias records in the file beside a checkpoint; which of them holds, their contents decide.

    Raises:
        InputError: the file is damaged, or of before records said what they hold for.
    """
    path = find_bias_file(checkpoint)
    try:
        return () if path is None else read_bias_records(path)
    except BiasRecordError as cause:
        raise InputError(str(cause)) from None


def _outlines(found: Detections, most: int | None) -> Outlines:
    """`most`: particles that the model gives at most."""
    notes = []
    if len(found) == most:
        notes.append(f"{most} particles, the model's limit: others may be lost; raise its max_per_img, or give --tile")
    if found.left_out:
        notes.append(f"{found.left_out} masks cut by a tile's edge and whole in no other tile; raise --overlap")
    return Outlines(found.masks, found.scores, found.boxes, (None,) * len(found), tuple(notes))
