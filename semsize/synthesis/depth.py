"""The depth buffer: bodies come to rest on what lies there, and the highest surface is seen."""

import numpy as np

from semsize.synthesis.patches import Patch

SUBSTRATE = 0  # id of pixels where no body is seen; body k has id k + 1


class Edges:
    """What a pixel on an outline shows besides its own body, so that edges can be drawn without steps."""

    def __init__(self, shape: tuple[int, int]):
        self.depths = np.full(shape, np.inf, dtype=np.float32)  # (H, W) px within the visible body's own outline
        self.covered_ids = np.full(shape, SUBSTRATE, dtype=np.int32)  # (H, W) what that body covered when it came
        self.covered_cosines = np.ones(shape, dtype=np.float32)  # (H, W) z of the normal of what it covered
        self.fringes = np.zeros(shape, dtype=np.float32)  # (H, W) share covered by a higher body seen beside, < 0.5
        self.fringe_ids = np.full(shape, SUBSTRATE, dtype=np.int32)  # (H, W) that body

    @property
    def coverages(self) -> np.ndarray:
        """(H, W) share of the pixel that its visible body covers."""
        return np.clip(self.depths + np.float32(0.5), 0, 1)

    def cover(
        self, frame: tuple[slice, slice], depth: np.ndarray, seen: np.ndarray, ids: np.ndarray, cosines: np.ndarray
    ) -> None:
        """Notes what a new body covers, before the buffer changes; `depth` and `seen` are of the window `frame`."""
        np.copyto(self.covered_ids[frame], ids[frame], where=seen)
        np.copyto(self.covered_cosines[frame], cosines[frame], where=seen)
        np.copyto(self.depths[frame], depth, where=seen)
        np.copyto(self.fringes[frame], 0, where=seen)

    def fringe(self, frame: tuple[slice, slice], coverage: np.ndarray, beside: np.ndarray, identity: int) -> None:
        """Notes the pixels `beside` a new body of which it covers less than half."""
        np.copyto(self.fringes[frame], coverage, where=beside)
        np.copyto(self.fringe_ids[frame], identity, where=beside)


class DepthBuffer:
    """What the detector sees of a growing heap, frame by frame pixel; parts of bodies beyond the frame are not kept."""

    def __init__(self, shape: tuple[int, int]):
        self.heights = np.zeros(shape, dtype=np.float32)  # (H, W) px above the flat substrate
        self.ids = np.full(shape, SUBSTRATE, dtype=np.int32)  # (H, W)
        self.normals = np.zeros((3, *shape), dtype=np.float32)  # unit normal of the visible surface, x, y, z
        self.normals[2] = 1
        self.edges = Edges(shape)

    def rest_height(self, patch: Patch, row: int, column: int) -> float:
        """Height of the body's centre at first contact with heap or substrate, let down over pixel (row, column)."""
        frame, part = self._overlap(patch, row, column)
        ground = -float(patch.bottom[patch.inside].min())
        if frame is None:
            return ground
        return max(ground, float((self.heights[frame] - patch.bottom[part]).max()))

    def place(self, patch: Patch, row: int, column: int, height: float, identity: int) -> None:
        """Puts a body with its centre at this height; each pixel keeps the higher surface."""
        frame, part = self._overlap(patch, row, column)
        if frame is None:
            return
        top = patch.top[part] + np.float32(height)
        seen = top > self.heights[frame]
        coverage = patch.coverage[part]
        beside = (coverage > 0) & ~patch.inside[part] & (self.heights[frame] < height)
        self.edges.cover(frame, patch.depth[part], seen, self.ids, self.normals[2])
        self.edges.fringe(frame, coverage, beside, identity)
        np.copyto(self.heights[frame], top, where=seen)
        np.copyto(self.ids[frame], identity, where=seen)
        np.copyto(self.normals[(slice(None), *frame)], patch.normal[(slice(None), *part)], where=seen)

    def full_mask(self, patch: Patch, row: int, column: int) -> tuple[np.ndarray, tuple[int, int]]:
        """The body's whole outline within the frame.

        Returns:
            Crop (h, w) bool and the (row, column) of its first pixel; an empty crop at (0, 0) where there is none.
        """
        frame, part = self._overlap(patch, row, column)
        if frame is None:
            return np.zeros((0, 0), dtype=bool), (0, 0)
        return patch.inside[part], (frame[0].start, frame[1].start)

    def _overlap(
        self, patch: Patch, row: int, column: int
    ) -> tuple[tuple[slice, slice] | None, tuple[slice, slice] | None]:
        """The slices of frame and patch that fall on one another; None, None where the patch lies outside the frame."""
        frame, part = [], []
        for first, length, limit in zip(
            (row + patch.offset[0], column + patch.offset[1]), patch.inside.shape, self.heights.shape, strict=True
        ):
            low, high = max(first, 0), min(first + length, limit)
            if low >= high:
                return None, None
            frame.append(slice(low, high))
            part.append(slice(low - first, high - first))
        return tuple(frame), tuple(part)
