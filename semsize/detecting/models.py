"""The models that ship: their names, files and licences. No file is read here."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_REPOSITORY = Path(__file__).parents[2]
_INSTALLED = Path(sysconfig.get_path("data")) / "share" / "tio2"
ROOT = _REPOSITORY if (_REPOSITORY / "configs" / "tio2").is_dir() else _INSTALLED
"""Folder of configs/ and checkpoints/: the repository, or where an installed package keeps its data files."""

OWN_WEIGHTS = "licence not known: weights of your own"


@dataclass(frozen=True)
class ShippedModel:
    """The files and the licence of a model that ships.

    Attributes:
        config: its config file, for torch.
        checkpoint: its weights, for torch.
        licence: what its weights may be used for, in one line.
    """

    config: Path
    checkpoint: Path
    licence: str

    @property
    def archive(self) -> Path:
        """The model's archive for ONNX Runtime."""
        return self.checkpoint.with_suffix(".semsize")


SHIPPED = {
    "nc": ShippedModel(
        config=ROOT / "configs/tio2/light_nc.py",
        checkpoint=ROOT / "checkpoints/light_nc.pth",
        licence="weights for non-commercial use: trained on the BAM TiO2 images, CC BY-NC-ND 4.0",
    ),
    "free": ShippedModel(
        config=ROOT / "configs/tio2/light_free.py",
        checkpoint=ROOT / "checkpoints/light_free.pth",
        licence="weights free to use, Apache-2.0: trained on rendered scenes and EMPS (MIT) only",
    ),
}
"""The detectors that ship, by name. The first is the default: on val, `free` is 18 points of AP50 behind `nc`."""

VISIBILITY = {
    name: ShippedModel(
        config=ROOT / f"configs/tio2/visibility_{name}.py",
        checkpoint=ROOT / f"checkpoints/visibility_{name}.pth",
        licence=SHIPPED[name].licence,
    )
    for name in ("free", "nc")
}
"""The visibility models that ship, by the name of the detector that learnt from the same images."""


def visibility_behind(licence: str | None) -> str:
    """Return the name of the visibility model for a detector with a licence: `nc` for that of `nc`, else `free`."""
    return "nc" if licence == SHIPPED["nc"].licence else "free"


def joint_licence(licences: Iterable[str]) -> str:
    """Return the licence of a result of several models: all their licences but that of `free`, if there are others.

    >>> joint_licence([SHIPPED["free"].licence, OWN_WEIGHTS, SHIPPED["free"].licence])
    'licence not known: weights of your own'
    """
    named = dict.fromkeys(licences)
    return "; ".join([name for name in named if name != SHIPPED["free"].licence] or named)


def licence_of(checkpoint: Path) -> str:
    """Return the licence of a checkpoint; `OWN_WEIGHTS` if the checkpoint does not ship."""
    known = {model.checkpoint.resolve(): model.licence for model in (*SHIPPED.values(), *VISIBILITY.values())}
    return known.get(checkpoint.resolve(), OWN_WEIGHTS)
