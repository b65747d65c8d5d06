"""The models that ship, and a trained detector as a source of outlines.

The packages of the network are imported when a detector is opened, not before.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from semsize.measuring.inputs import InputError
from semsize.measuring.outlines import DetectorRequest, Find, Frame, NoOutlinesError, Outlines
from semsize.metrology import BiasRecord, BiasRecordError
from semsize.metrology.bias_record import find_bias_file, read_bias_records
from semsize.structures.files import file_sha256
from semsize.structures.pixel_size import pixels_across
from tio2.cli import quiet_imports

if TYPE_CHECKING:
    from mmengine.config import Config

_REPOSITORY = Path(__file__).parents[1]
_INSTALLED = Path(sysconfig.get_path("data")) / "share" / "tio2"
ROOT = _REPOSITORY if (_REPOSITORY / "configs" / "tio2").is_dir() else _INSTALLED
"""Folder of configs/ and checkpoints/: the repository, or where an installed package keeps its data files."""


@dataclass(frozen=True)
class DetectorSource:
    """A detector, as a config and weights.

    Attributes:
        config: its config file.
        checkpoint: its weights.
        licence: what its weights may be used for, in one line.
        device: where it runs.
        scales: enlargements at which images are looked at; "auto" chooses them for each image, None is the config's.
        diameter: what most particles measure across, with its unit, to choose scales for.
        tile: size of tiles and their overlap, px; None: large images only.
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
        """Load the network; with several processes on a machine each takes its share of the cores.

        Raises:
            InputError: config or weights cannot be loaded, or do not belong together.
        """
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
                detector = Detector(self.read_config(), self.checkpoint, self.device)
        except (CheckpointError, ConfigError) as cause:
            raise InputError(str(cause)) from None

        def find(frame: Frame) -> Outlines:
            looking = dataclasses.replace(detector.looking, diameter_px=self._diameter_px(frame), tile=self.tile)
            return detector(frame.grey, looking, self.batch_size)

        return find

    def read_config(self) -> Config:
        """The config, with the scales that were asked for.

        Raises:
            InputError: it is for a model that does not look at scales.
        """
        from mmengine.config import Config

        if not self.config.is_file():
            raise InputError(f"config {self.config} does not exist; check --config")
        with quiet_imports():  # of what the config names
            config = Config.fromfile(self.config)
        if self.scales is None and self.diameter is None:
            return config
        if not (config.model.get("test_cfg") or {}).get("scales"):
            raise InputError(f"{self.config} sets no model.test_cfg.scales: --scales and --diameter are not for it")
        config.model.test_cfg.scales = "auto" if self.scales is None else self.scales
        return config

    def _diameter_px(self, frame: Frame) -> float | None:
        """The diameter in pixels of a frame.

        Raises:
            NoOutlinesError: it is a length, and the frame's pixel size is not known.
        """
        if self.diameter is None:
            return None
        try:
            return pixels_across(self.diameter, frame.pixel_size)
        except ValueError as cause:
            raise NoOutlinesError(f"{frame.file.path}: --diameter: {cause}") from None

    def as_record(self) -> dict:
        """Config, weights and tiles, with SHA-256: of the config as resolved from all its bases.

        `model` is what a bias record is bound to (`semsize.metrology.ModelUse`), in the precision of this device.

        Raises:
            InputError: one of the files is missing, or the device.
        """
        config = self.read_config()
        if not self.checkpoint.is_file():
            raise InputError(f"checkpoint {self.checkpoint} does not exist; check --checkpoint")
        self._require_device()
        with quiet_imports():
            from tio2.engine.config import model_use
            from tio2.models.detector import precision_of
        sha256, precision = file_sha256(self.checkpoint), precision_of(config.model, self.device)
        return {
            "kind": "model",
            "path": str(self.checkpoint),
            "sha256": sha256,
            "config": str(self.config),
            "config_sha256": resolved_sha256(config),
            "licence": self.licence,
            "scales": config.model.test_cfg.get("scales"),
            "diameter": self.diameter,
            "tile": None if self.tile is None else list(self.tile),
            "device": self.device,
            "model": model_use(config, sha256, precision, self.tile, self.diameter),
        }

    def _require_device(self) -> None:
        if self.device.startswith("cuda"):
            import torch

            if not torch.cuda.is_available():
                raise InputError(f"--device {self.device}: no GPU that torch can use is here; leave it out")


SHIPPED = {
    "nc": DetectorSource(
        config=ROOT / "configs/tio2/light_nc.py",
        checkpoint=ROOT / "checkpoints/light_nc.pth",
        licence="weights for non-commercial use: trained on the BAM TiO2 images, CC BY-NC-ND 4.0",
    ),
    "free": DetectorSource(
        config=ROOT / "configs/tio2/light_one_scale.py",
        checkpoint=ROOT / "checkpoints/light_free.pth",
        licence="weights free to use, Apache-2.0: trained on rendered scenes and EMPS (MIT) only",
    ),
}
"""The models that ship, by name. The first is the default: on val, `free` is 10.5 points of AP50 behind `nc`."""


OWN_WEIGHTS = "licence not known: weights of your own"


def licence_of(checkpoint: Path) -> str:
    """What a shipped model's weights may be used for; of others nothing is known."""
    known = {source.checkpoint.resolve(): source.licence for source in SHIPPED.values()}
    return known.get(checkpoint.resolve(), OWN_WEIGHTS)


def resolved_sha256(config: Config) -> str:
    """SHA-256 of a config as resolved from all its bases."""
    return hashlib.sha256(json.dumps(config.to_dict(), sort_keys=True, default=str).encode()).hexdigest()


def open_detector(request: DetectorRequest) -> tuple[DetectorSource, Sequence[BiasRecord]]:
    """The entry point of `semsize.detectors`: a model that ships, or one of the user's own, with its bias records.

    Raises:
        ImportError: torch or MMDetection is not installed.
        InputError: there is no model of that name, its files are not here, or its records are damaged.
    """
    with quiet_imports():
        import mmengine  # noqa: F401
        import torch  # noqa: F401
    name = request.model or next(iter(SHIPPED))
    if request.config is not None:
        source = DetectorSource(request.config, request.checkpoint, OWN_WEIGHTS)
    elif name in SHIPPED:
        source = SHIPPED[name]
    else:
        raise InputError(
            f"no model {name!r} ships with this repository (there is: {', '.join(SHIPPED)}); give --config and "
            "--checkpoint, or train one: python tools/train.py configs/tio2/light_stage1.py"
        )
    wanted = {name: getattr(request, name) for name in ("device", "scales", "diameter", "tile", "batch_size")}
    source = dataclasses.replace(source, **wanted)
    return source, bias_records_beside(source.checkpoint)


def bias_records_beside(checkpoint: Path) -> tuple[BiasRecord, ...]:
    """The bias records in the file beside a checkpoint; their contents say what each holds for.

    Raises:
        InputError: the file is damaged, or older than the statement what records hold for.
    """
    path = find_bias_file(checkpoint)
    try:
        return () if path is None else read_bias_records(path)
    except BiasRecordError as cause:
        raise InputError(str(cause)) from None
