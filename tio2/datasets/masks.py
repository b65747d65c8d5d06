"""CroppedMasks as masks for MMDetection's pipelines and mask heads, without a full frame for any mask."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from mmcv.ops import roi_align
from mmdet.structures.bbox import get_box_type
from mmdet.structures.mask import BaseInstanceMasks, BitmapMasks

from semsize.structures.masks import CroppedMasks, chosen_positions

BATCH_PIXELS = 4_000_000  # most pixels of crops that are resampled at a time, 16 MB as float32


class InstanceCroppedMasks(BaseInstanceMasks):
    """The masks of one image and whatever is known of each particle, moved and selected together.

    MMDetection's transforms select only boxes, labels, masks and ignore flags, so the masks carry further values in
    ``fields``. Methods have MMDetection's signatures; new pixels can only be filled with 0.

    Args:
        cropped: N masks.
        fields: name -> (N,) array, such as ``annotation_id`` or ``state``.
    """

    def __init__(self, cropped: CroppedMasks, fields: Mapping[str, np.ndarray] | None = None):
        self.cropped = cropped
        self.fields = dict(fields or {})
        for name, values in self.fields.items():
            if len(values) != len(cropped):
                raise ValueError(f"{len(values)} values of {name} for {len(cropped)} masks")

    def __len__(self) -> int:
        return len(self.cropped)

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray) -> "InstanceCroppedMasks":
        """Masks and fields at an integer (a set of one), a slice, or an array of integers or booleans."""
        chosen = chosen_positions(len(self), index)
        fields = {name: values[chosen] for name, values in self.fields.items()}
        return InstanceCroppedMasks(self.cropped[chosen], fields)

    def __iter__(self) -> Iterator[tuple[np.ndarray, tuple[int, int]]]:
        """Each mask as (crop, (row, column))."""
        return iter(self.cropped)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.cropped!r}, fields={sorted(self.fields)})"

    @property
    def height(self) -> int:
        """The number of rows of the image."""
        return self.cropped.image_shape[0]

    @property
    def width(self) -> int:
        """The number of columns of the image."""
        return self.cropped.image_shape[1]

    @property
    def areas(self) -> np.ndarray:
        """The number of pixels of each mask, (N,) int64."""
        return self.cropped.areas

    @classmethod
    def cat(cls, masks: Sequence["InstanceCroppedMasks"]) -> "InstanceCroppedMasks":
        """Join masks of one image; all must have the same fields."""
        names = set(masks[0].fields)
        if any(set(part.fields) != names for part in masks):
            raise ValueError(f"masks to join have different fields: {[sorted(part.fields) for part in masks]}")
        fields = {name: np.concatenate([part.fields[name] for part in masks]) for name in masks[0].fields}
        return cls(CroppedMasks.cat([part.cropped for part in masks]), fields)

    def flip(self, flip_direction: str = "horizontal") -> "InstanceCroppedMasks":
        """Mirror the masks ``horizontal``, ``vertical`` or ``diagonal``."""
        return self._with(self.cropped.flip(flip_direction))

    def transpose(self) -> "InstanceCroppedMasks":
        """Exchange the image's rows and columns."""
        return self._with(self.cropped.transpose())

    def crop(self, bbox: np.ndarray) -> "InstanceCroppedMasks":
        """Cut the masks to the box (x1, y1, x2, y2)."""
        return self._with(self.cropped.crop(bbox))

    def pad(self, out_shape: tuple[int, int], pad_val: int = 0) -> "InstanceCroppedMasks":
        """Enlarge the image to (H, W) at its lower and right edge."""
        _require_zero(pad_val)
        return self._with(self.cropped.expand(out_shape, 0, 0))

    def expand(self, expanded_h: int, expanded_w: int, top: int, left: int) -> "InstanceCroppedMasks":
        """Put the image into a larger one, with its first pixel at (top, left)."""
        return self._with(self.cropped.expand((expanded_h, expanded_w), top, left))

    def resize(self, out_shape: tuple[int, int], interpolation: str = "nearest") -> "InstanceCroppedMasks":
        """Resize to (H, W), by nearest neighbours."""
        _require_nearest(interpolation)
        return self._with(self.cropped.resize(out_shape))

    def rescale(self, scale: float | tuple[int, int], interpolation: str = "nearest") -> "InstanceCroppedMasks":
        """Resize by a factor or to fit within (longer, shorter side), by nearest neighbours."""
        _require_nearest(interpolation)
        return self._with(self.cropped.rescale(scale))

    def rotate(
        self,
        out_shape: tuple[int, int],
        angle: float,
        center: tuple[float, float] | None = None,
        scale: float = 1.0,
        border_value: int = 0,
        interpolation: str = "bilinear",
    ) -> "InstanceCroppedMasks":
        """Turn clockwise by ``angle`` degrees, as BitmapMasks does; ``out_shape`` is the image's own."""
        _require_zero(border_value)
        self._require_own(out_shape)
        return self._with(self.cropped.rotate(angle, center, scale, interpolation))

    def translate(
        self,
        out_shape: tuple[int, int],
        offset: float | tuple[float, float],
        direction: str = "horizontal",
        border_value: int = 0,
        interpolation: str = "bilinear",
    ) -> "InstanceCroppedMasks":
        """Shift by ``offset`` pixels, for direction ``both`` by (x, y), in a frame of ``out_shape``."""
        _require_zero(border_value)
        x, y = {"horizontal": (offset, 0), "vertical": (0, offset), "both": offset}[direction]
        return self._with(self.cropped.translate((x, y), tuple(out_shape), interpolation))

    def shear(
        self,
        out_shape: tuple[int, int],
        magnitude: float,
        direction: str = "horizontal",
        border_value: int = 0,
        interpolation: str = "bilinear",
    ) -> "InstanceCroppedMasks":
        """Shear along ``direction``; ``out_shape`` is the image's own."""
        _require_zero(border_value)
        self._require_own(out_shape)
        return self._with(self.cropped.shear(magnitude, direction, interpolation))

    def crop_and_resize(
        self,
        bboxes: np.ndarray | torch.Tensor,
        out_shape: tuple[int, int],
        inds: np.ndarray | torch.Tensor,
        device: str | torch.device = "cpu",
        interpolation: str = "bilinear",
        binarize: bool = True,
    ) -> BitmapMasks:
        """Compute mask targets: for each box (P, 4) the mask that `inds` (P,) assigns to it, averaged on a grid (h, w).

        Returns:
            (P, h, w) bool, or float32 fractions if not binarised: equal to BitmapMasks' for boxes inside the image.
        """
        if interpolation != "bilinear":
            raise ValueError(f"mask targets are bilinear, not {interpolation!r}")
        if len(self) == 0:
            return BitmapMasks(np.zeros((0, *out_shape), np.uint8), *out_shape)
        boxes = torch.as_tensor(bboxes).detach().to("cpu", torch.float32).numpy()
        assigned = self.cropped[torch.as_tensor(inds).cpu().numpy()]
        fractions = mask_targets(assigned, boxes, tuple(out_shape), device)
        return BitmapMasks(fractions >= 0.5 if binarize else fractions, *out_shape)

    def to_ndarray(self) -> np.ndarray:
        """The masks as full frames (N, H, W) uint8."""
        return self.cropped.to_full()

    def to_tensor(self, dtype: torch.dtype, device: str | torch.device) -> torch.Tensor:
        """The masks as a tensor of full frames (N, H, W)."""
        return torch.as_tensor(self.to_ndarray(), dtype=dtype, device=device)

    def get_bboxes(self, dst_type: str | type = "hbox"):
        """The masks' extents as horizontal boxes (half-open, pixels), converted to ``dst_type`` (name or class)."""
        _, box_type = get_box_type("hbox")
        return box_type(self.cropped.boxes).convert_to(dst_type)

    def _with(self, cropped: CroppedMasks) -> "InstanceCroppedMasks":
        return InstanceCroppedMasks(cropped, self.fields)

    def _require_own(self, out_shape: tuple[int, int]) -> None:
        if tuple(out_shape) != self.cropped.image_shape:
            raise ValueError(f"masks of {self.cropped.image_shape} cannot be turned or sheared into {tuple(out_shape)}")


def _require_zero(fill: float) -> None:
    if fill != 0:
        raise ValueError(f"instance masks can be filled with 0 only, not {fill}")


def _require_nearest(interpolation: str) -> None:
    if interpolation != "nearest":
        raise ValueError(f"instance masks are resized by nearest neighbours, not {interpolation!r}")


def mask_targets(
    masks: CroppedMasks, boxes: np.ndarray, out_shape: tuple[int, int], device: str | torch.device
) -> np.ndarray:
    """Fraction of each grid cell that the mask covers, (P, h, w) float32, equal to RoIAlign's on the full frame.

    Args:
        masks: P masks, one for each box.
        boxes: (P, 4) float32 xyxy in pixels, inside the image.
        out_shape: (h, w) of the grid.
        device: where RoIAlign runs.
    """
    fractions = np.zeros((len(boxes), *out_shape), np.float32)
    for part in equal_sized_parts(masks.sizes):
        crops, rois = batch_of_crops(masks[part], boxes[part])
        frames = torch.from_numpy(crops).to(device).float()[:, None]  # (K, 1, h', w')
        found = roi_align(frames, torch.from_numpy(rois).to(device), out_shape, 1.0, 0, "avg", True)
        fractions[part] = found[:, 0].cpu().numpy()
    return fractions


def equal_sized_parts(sizes: np.ndarray) -> list[np.ndarray]:
    """Divide crops of sizes (P, 2) into parts that, padded to one size, have at most BATCH_PIXELS; return positions.

    The smallest crops come first. A crop with more than BATCH_PIXELS is a part of its own.
    """
    order = np.argsort(sizes.max(axis=1), kind="stable")
    sides = np.maximum.accumulate(sizes[order], axis=0) + 2
    parts, first = [], 0
    for position in range(1, len(order)):
        if (position + 1 - first) * sides[position].prod() > BATCH_PIXELS:
            parts.append(order[first:position])
            first = position
    return [*parts, order[first:]] if len(order) else []


def batch_of_crops(masks: CroppedMasks, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pad crops to one size, so that RoIAlign gives the same result as on the full frame.

    RoIAlign repeats the outermost pixels beyond an array's edge. A crop inside the image therefore gets a border of one
    background pixel. At the image's lower and right edge the crop's last row and column are repeated; at the upper and
    left edge nothing is added, since the array's edge is the image's.

    Returns:
        (P, h, w) uint8, and (P, 5) float32: each box's number and its corners xyxy within its crop.
    """
    margins = (masks.origins > 0).astype(int)
    at_end = (masks.origins + masks.sizes == masks.image_shape) & (masks.sizes > 0)
    batch = np.zeros((len(masks), *(masks.sizes.max(axis=0) + 2)), np.uint8)
    for frame, crop, (top, left), (at_bottom, at_right) in zip(batch, masks.crops, margins, at_end, strict=True):
        bottom, right = top + crop.shape[0], left + crop.shape[1]
        frame[top:bottom, left:right] = crop
        if at_bottom:
            frame[bottom] = frame[bottom - 1]
        if at_right:
            frame[:, right] = frame[:, right - 1]
    corners = boxes.reshape(-1, 2, 2)[..., ::-1]  # (P, 2 corners, row and column)
    within = corners - masks.origins[:, None] + margins[:, None]
    rois = np.column_stack([np.arange(len(masks)), within[..., ::-1].reshape(-1, 4)])
    return batch, rois.astype(np.float32)
