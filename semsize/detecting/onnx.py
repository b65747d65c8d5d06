"""The engine on ONNX Runtime: computes the graphs of a model archive without torch.

A detector has four graphs: `proposals` finds boxes of possible particles and feature maps in an image, `boxes` corrects
boxes and scores them, `masks` computes the logits of masks in boxes, and `suppression` chooses the boxes to keep. The
steps between them are those of a detector of `tio2`, in NumPy. A visibility model has one graph: `answers` computes the
fields of `semsize.visibility.model.CropAnswers` from crops of particles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from semsize.detecting.archive import ArchiveError, DetectorCard, ModelArchive
from semsize.detecting.boxes import (
    FLIPPED_DIMENSIONS,
    LIKELY_OBJECTNESS,
    fuse_views,
    limit_by_area,
    limit_message,
    mirrored_boxes,
)
from semsize.detecting.engine import ALL_SIZES, DrawnSizes
from semsize.detecting.looking import Found, Looking, enlarged
from semsize.detecting.pasting import paste_masks
from semsize.structures.masks import CroppedMasks

ENGINE = "onnx"
"""Name of this engine in bias records."""

ROIS_PER_RUN = 2048
"""Boxes whose features are computed together: 50 MB with 128 channels."""

MASKS_PER_RUN = 32
"""Masks that are drawn together, so that their cells stay in the processor's cache."""

TAKES = {
    "proposals": {"image", "frame", "before", "after", "min_score", "min_size", "iou"},
    "boxes": {"rois", "frame"},
    "masks": {"rois"},
    "suppression": {"boxes", "scores", "min_score", "iou"},
    "answers": {"crops"},
}
"""Inputs of the graphs; `boxes` and `masks` also take the feature maps."""

GIVES = {
    "proposals": ["boxes", "scores"],
    "boxes": ["boxes", "scores"],
    "masks": ["logits"],
    "suppression": ["kept"],
    "answers": ["fractions", "is_particle", "whole", "size_ratios"],
}
"""Outputs of the graphs, in this order; `proposals` gives the feature maps after them."""


def require_runtime() -> None:
    """Raise an ImportError if ONNX Runtime is not installed or does not load."""
    import onnxruntime  # noqa: F401


@dataclass(frozen=True, eq=False)
class _View:
    """Feature maps, boxes and scores of an image or of its mirror image."""

    flip: str
    maps: dict[str, np.ndarray]  # feature maps by name
    boxes: np.ndarray  # (M, 4) in the unmirrored image
    scores: np.ndarray  # (M,)


class OnnxGraphs:
    """The graphs of an archive, ready to run."""

    if_one_fails = "export it again"
    """Advice in the error message if a loaded graph fails."""

    def __init__(self, archive: ModelArchive, threads: int = 0):
        """Load the graphs.

        Args:
            archive: the model.
            threads: most threads to compute with; 0 leaves it to the runtime.

        Raises:
            ImportError: onnxruntime is not installed.
            ArchiveError: the runtime cannot load the graphs, or they have other inputs or outputs.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors only: the runtime warns of weights that it could fold
        try:
            self._sessions = {
                name: onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
                for name, graph in archive.graphs.items()
            }
        except Exception as cause:  # the runtime's exceptions have no closer common base
            reason = str(cause).splitlines()[0]
            raise ArchiveError(f"ONNX Runtime cannot load the model's graphs ({reason}); export it again") from None
        first = self._sessions.get("proposals")
        self._maps = [] if first is None else [output.name for output in first.get_outputs()[2:]]
        for name, session in self._sessions.items():
            takes, gives = ([each.name for each in side] for side in (session.get_inputs(), session.get_outputs()))
            maps = set(self._maps) if name in ("boxes", "masks") else set()
            more = self._maps if name == "proposals" else []
            if set(takes) != TAKES[name] | maps or gives != [*GIVES[name], *more]:
                raise ArchiveError(f"the model's graph {name} has other inputs or outputs; export it again")

    def _run(self, graph: str, **inputs: np.ndarray) -> list[Any]:
        try:
            return self._sessions[graph].run(None, inputs)
        except Exception as cause:  # the runtime's exceptions have no closer common base
            reason = str(cause).splitlines()[0]
            raise ArchiveError(f"the model's graph {graph} failed ({reason}); {self.if_one_fails}") from None


class OnnxAnswers(OnnxGraphs):
    """A visibility model of an archive: a function from crops (K, 4, 64, 64) float32 to the outputs of its graph."""

    def __call__(self, crops: np.ndarray) -> list[np.ndarray]:
        """Compute the fields of `semsize.visibility.model.CropAnswers`, in their order."""
        return self._run("answers", crops=crops)


class OnnxEngine(OnnxGraphs):
    """A detector of an archive, ready to find particles (`semsize.detecting.engine.Engine`)."""

    if_one_fails = "take smaller tiles (--tile)"

    def __init__(self, archive: ModelArchive[DetectorCard], threads: int = 0):
        """Load the graphs; see `OnnxGraphs`."""
        super().__init__(archive, threads)
        self.card = archive.card

    @property
    def looking(self) -> Looking:
        """The scales that the model asks for."""
        return Looking(self.card.scales)

    def __call__(self, windows: Sequence[np.ndarray], scale: float, sizes: DrawnSizes = ALL_SIZES) -> list[Found]:
        """Find the particles of windows, (H, W) float32 grey levels of 0-255, enlarged by a factor."""
        return [self._find(window, scale, sizes) for window in windows]

    def draw(self, window: np.ndarray, boxes: np.ndarray, scale: float) -> CroppedMasks:
        """Draw masks in boxes of a window, from any source (`semsize.detecting.looking.MaskBranch`)."""
        grey = enlarged(window, scale)
        _, _, maps = self._proposed(grey, 1, 1)  # only the feature maps are needed
        factors = [after / before for after, before in zip(grey.shape[::-1], window.shape[::-1], strict=True)]
        logits = self._logits(maps, boxes * np.array(factors * 2, np.float32))
        return paste_masks(logits, boxes, window.shape, self.card.detections.mask_thr)[0]

    def _find(self, window: np.ndarray, scale: float, sizes: DrawnSizes) -> Found:
        settings, grey = self.card.detections, enlarged(window, scale)
        frame = grey.shape
        views, limits = [], []
        for flip in ("none", *self.card.flips):
            view, limit = self._view(grey, flip)
            views.append(view)
            limits.append(limit)
        boxes, scores = views[0].boxes, views[0].scores
        if len(views) > 1:
            all_boxes, all_scores = ([getattr(view, name) for view in views] for name in ("boxes", "scores"))
            boxes, scores = fuse_views(all_boxes, all_scores, settings.iou_threshold, self._suppressed)
            order = np.argsort(-scores, kind="stable")
            order = order[scores[order] >= settings.score_thr]
            boxes, scores = boxes[order], scores[order]
        if settings.max_per_img > 0:
            boxes, scores = boxes[: settings.max_per_img], scores[: settings.max_per_img]
        limits.append(limit_message(len(boxes), settings.max_per_img, "rcnn.max_per_img"))
        factors = [after / before for after, before in zip(frame[::-1], window.shape[::-1], strict=True)]
        is_drawn, *undrawn = sizes.split(boxes, scores, factors)
        boxes, scores = boxes[is_drawn], scores[is_drawn]
        if settings.refine_boxes:
            refined = [
                mirrored_boxes(
                    self._boxes(view.maps, mirrored_boxes(boxes, view.flip, frame), frame)[0], view.flip, frame
                )
                for view in views
            ]
            boxes = np.mean(refined, axis=0, dtype=np.float32)
        logits = sum(
            np.flip(self._logits(view.maps, mirrored_boxes(boxes, view.flip, frame)), FLIPPED_DIMENSIONS[view.flip])
            for view in views
        ) / np.float32(len(views))
        boxes = boxes / np.array(factors * 2, np.float32)
        masks, certainties = paste_masks(logits, boxes, window.shape, settings.mask_thr)
        if settings.mask_scores:
            scores = scores * certainties
            order = np.argsort(-scores, kind="stable")
            order = order[scores[order] >= settings.score_thr]
            masks, scores, boxes = masks[order], scores[order], boxes[order]
        return Found(masks, scores, boxes, "; ".join(dict.fromkeys(filter(None, limits))), *undrawn)

    def _view(self, grey: np.ndarray, flip: str) -> tuple[_View, str]:
        """Return the view of an image mirrored by `flip`, and the warning if its proposals reach a limit."""
        frame, settings = grey.shape, self.card.proposals
        before, after = (limit_by_area(limit, frame) for limit in (settings.nms_pre, settings.max_per_img))
        proposals, objectness, maps = self._proposed(np.flip(grey, FLIPPED_DIMENSIONS[flip]), before, after)
        limit = limit_message(int((objectness >= LIKELY_OBJECTNESS).sum()), after, "rpn.max_per_img")
        boxes, scores = self._boxes(maps, proposals, frame)
        settings = self.card.detections
        kept = self._suppressed(boxes, scores, settings.iou_threshold, settings.score_thr)
        kept = kept[: settings.max_per_img if settings.max_per_img > 0 else None]
        return _View(flip, maps, mirrored_boxes(boxes[kept], flip, frame), scores[kept]), limit

    def _proposed(
        self, grey: np.ndarray, before: int, after: int
    ) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Proposals, at most ``before`` and ``after`` their suppression, their objectness, and the feature maps."""
        settings = self.card.proposals
        boxes, objectness, *maps = self._run(
            "proposals",
            image=self._normalised(grey),
            frame=np.array(grey.shape, np.float32),
            before=np.array([before]),
            after=np.array([after]),
            min_score=np.array([settings.min_score], np.float32),
            min_size=np.array([settings.min_size], np.float32),
            iou=np.array([settings.iou_threshold], np.float32),
        )
        return boxes, objectness, dict(zip(self._maps, maps, strict=True))

    def _normalised(self, grey: np.ndarray) -> np.ndarray:
        """The network's input (1, 3, H, W), normalised and padded as the model's card says."""
        given = self.card.normalisation
        height, width = (-(-side // given.pad_to) * given.pad_to for side in grey.shape)
        image = np.zeros((1, 3, height, width), np.float32)
        image[..., : grey.shape[0], : grey.shape[1]] = (grey - np.float32(given.mean)) / np.float32(given.std)
        return image

    def _boxes(
        self, maps: dict[str, np.ndarray], rois: np.ndarray, frame: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (N, 4) as the box branch corrects them, clipped to the frame, and their scores (N,)."""
        if not len(rois):
            return rois, np.zeros(0, np.float32)
        parts = range(0, len(rois), ROIS_PER_RUN)
        shape = np.array(frame, np.float32)
        found = [self._run("boxes", rois=rois[at : at + ROIS_PER_RUN], frame=shape, **maps) for at in parts]
        boxes, scores = zip(*found, strict=True)
        return np.concatenate(boxes), np.concatenate(scores)

    def _logits(self, maps: dict[str, np.ndarray], rois: np.ndarray) -> np.ndarray:
        """Logits (N, S, S) of the masks in boxes (N, 4)."""
        if not len(rois):
            return np.zeros((0, 1, 1), np.float32)
        parts = range(0, len(rois), MASKS_PER_RUN)
        return np.concatenate([self._run("masks", rois=rois[at : at + MASKS_PER_RUN], **maps)[0] for at in parts])

    def _suppressed(
        self, boxes: np.ndarray, scores: np.ndarray, iou_threshold: float, min_score: float = -1.0
    ) -> np.ndarray:
        """Positions, best first, of the boxes with scores above a minimum that non-maximum suppression keeps."""
        if not len(boxes):
            return np.zeros(0, np.int64)
        limits = {"min_score": np.array([min_score], np.float32), "iou": np.array([iou_threshold], np.float32)}
        return self._run("suppression", boxes=boxes, scores=scores, **limits)[0]
