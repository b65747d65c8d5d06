"""The models that ship with the repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class ShippedModel:
    """A model in checkpoints/.

    Attributes:
        config: its config file, below the repository.
        checkpoint: its weights, likewise; a card and a SHA-256 stand beside them.
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
