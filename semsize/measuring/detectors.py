"""Detectors that other packages bring: found through the entry-point group `semsize.detectors`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from semsize.measuring.errors import InputError
from semsize.measuring.outlines import OutlineSource
from semsize.metrology import BiasRecord

GROUP = "semsize.detectors"


@dataclass(frozen=True)
class DetectorRequest:
    """Which detector is wanted.

    Attributes:
        model: name of a model that ships; None takes the first.
        config: config of a model of the user's own; None for one that ships.
        checkpoint: its weights.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        tile: size of tiles and their overlap, px; None looks at whole images.
        batch_size: images, or tiles of one image, that are looked at together.
    """

    model: str | None = None
    config: Path | None = None
    checkpoint: Path | None = None
    device: str = "cpu"
    tile: tuple[int, int] | None = None
    batch_size: int = 1


def find_detector(request: DetectorRequest) -> tuple[OutlineSource, Sequence[BiasRecord]]:
    """The detector of the first entry point, by name, and the bias records of its model.

    An entry point is a function from a `DetectorRequest` to these two; it imports what it needs when it is called.

    Raises:
        InputError: no detector is installed, or it has no such model.
    """
    found = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    if not found:
        raise InputError(
            "no detector is installed: install MMDetection's with pip install 'tio2[train]', or measure outlines made "
            "elsewhere (--from-coco, --from-labels, --from-rois)"
        )
    try:
        return found[0].load()(request)
    except ImportError as cause:
        raise InputError(
            f"the detector {found[0].name} cannot be loaded ({cause}); install it with pip install 'tio2[train]', or "
            "measure outlines made elsewhere (--from-coco, --from-labels, --from-rois)"
        ) from None
