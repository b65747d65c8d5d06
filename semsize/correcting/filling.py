"""Boxes that a person draws, filled by a network: loaded once, at the first box; one box at a time, few may wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semsize.correcting.shapes import CorrectionError
from semsize.measuring.engines import find_detector
from semsize.measuring.inputs import DetectorRequest, MeasuringError
from semsize.measuring.outlines import BoxSource, FillBox, OutlineSource
from semsize.structures.masks import Placed

MOST_WAITING = 4
"""Boxes that may be asked for and not filled yet."""


class BoxFiller:
    """Draws outlines in boxes; its methods may be called from several threads."""

    def __init__(self, find: Callable[[], OutlineSource]):
        """Load nothing yet.

        Args:
            find: finds the network that draws.
        """
        self._find = find
        self._turn, self._places = threading.Lock(), threading.BoundedSemaphore(MOST_WAITING)
        self._fill: FillBox | None = None
        self._name = ""

    @classmethod
    def of_model(cls, model: str | None) -> BoxFiller:
        """The model that ships under a name, or an archive's file; None: the default, by the fastest engine."""
        return cls(lambda: find_detector(DetectorRequest(model=model))[0])

    def fill(self, grey: np.ndarray, box: Sequence[float]) -> tuple[Placed, str]:
        """The mask of the particle in a box of grey levels (H, W), and what drew it.

        Raises:
            CorrectionError: there is no network, it sees no particle, nothing of the box lies in the image, or too
                many boxes wait.
        """
        (height, width), (left, top, right, bottom) = grey.shape, box
        if not (left < width and top < height and right > 0 and bottom > 0):
            raise CorrectionError("the box holds nothing of the image; draw it around a particle")
        if not self._places.acquire(blocking=False):
            raise CorrectionError("the network is busy with other boxes; draw this one again in a moment")
        try:
            with self._turn:
                if self._fill is None:
                    self._load()
                mask = self._fill(grey, box)
        except MeasuringError as cause:
            raise CorrectionError(str(cause)) from None
        finally:
            self._places.release()
        if not mask[0].size:
            raise CorrectionError("the network sees no particle in this box; draw the outline by hand")
        return mask, self._name

    def _load(self) -> None:
        try:
            source = self._find()
            if not isinstance(source, BoxSource):
                raise CorrectionError("the engine that is installed draws no outline in a box; draw it by hand")
            record: dict[str, Any] = source.as_record()
            self._fill = source.open_boxes()
        except MeasuringError as cause:
            raise CorrectionError(f"no network fills boxes here: {cause}") from None
        self._name = f"{Path(record['path']).name} in a box, SHA-256 {record['sha256']}"
