"""The models that ship with the repository."""

from __future__ import annotations

import sysconfig
from dataclasses import dataclass
from pathlib import Path


def _root() -> Path:
    """Folder of configs/ and checkpoints/: the repository, or where an installed package keeps its data files."""
    repository = Path(__file__).parents[1]
    if (repository / "configs" / "tio2").is_dir():
        return repository
    return Path(sysconfig.get_path("data")) / "share" / "tio2"


ROOT = _root()


@dataclass(frozen=True)
class ShippedModel:
    """A model in checkpoints/.

    Attributes:
        config: its config file, below ROOT.
        checkpoint: its weights, below ROOT; a card and a SHA-256 stand beside them.
        licence: what the weights may be used for, in one line.
    """

    config: str
    checkpoint: str
    licence: str


SHIPPED = {
    "nc": ShippedModel(
        config="configs/tio2/light_nc.py",
        checkpoint="checkpoints/light_nc.pth",
        licence="weights for non-commercial use: trained on the BAM TiO2 images, CC BY-NC-ND 4.0",
    ),
    "free": ShippedModel(
        config="configs/tio2/light_free.py",
        checkpoint="checkpoints/light_free.pth",
        licence="weights free to use, Apache-2.0: trained on rendered scenes and EMPS (MIT) only",
    ),
}
"""Name to model; the first is taken where none is named: `nc`, for `free` is 10.5 points of AP50 behind it on val."""
