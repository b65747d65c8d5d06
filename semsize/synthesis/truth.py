"""The exact truth of a scene: visible and full masks, what hides what, states, sizes in nm."""

from dataclasses import dataclass

import numpy as np

from semsize.structures import particle_record
from semsize.structures.masks import CroppedMasks
from semsize.structures.states import assign_states, visibility_class
from semsize.synthesis.scenes import Scene

SPECK_PX = 12  # a visible part of fewer pixels is written with iscrowd = 1, as the converters do


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of the N particles of a scene of which at least one pixel is seen, in their order of arrival."""

    visible: CroppedMasks  # N masks
    full: CroppedMasks  # N masks of the whole outline within the frame
    visible_fractions: np.ndarray  # (N,) visible area / full area within the frame, 0-1
    hides: dict[tuple[int, int], float]  # [i, j]: share of particle j's full outline over which particle i is seen
    truncated: np.ndarray  # (N,) bool: the outline reaches beyond the frame
    ecds_nm: np.ndarray  # (N,) of the whole outline, beyond the frame too
    ferets_nm: np.ndarray  # (N, 2) smallest and largest Feret diameter of the same outline
    hidden_particles: int  # particles within the frame of which nothing is seen; they are not among the N

    @property
    def states(self) -> list[str | None]:
        """N states by the one rule of `semsize.structures.states`."""
        return assign_states(self.visible, [visibility_class(f) for f in self.visible_fractions], self.hides)


def truth_of(scene: Scene) -> Truth:
    """Reads the truth off a scene; bodies of the matrix hide but are not listed."""
    shape = scene.buffer.ids.shape
    fulls = [scene.buffer.full_mask(p.patch, p.row, p.column) for p in scene.placed]
    seen_within = [_ids_within(scene.buffer.ids, *full) for full in fulls]
    own = [(k, pair) for k, pair in enumerate(zip(fulls, seen_within, strict=True)) if not scene.is_matrix[k]]
    listed = [k for k, (_, seen) in own if k + 1 in seen]
    number = {k + 1: n for n, k in enumerate(listed)}
    hides = {
        (number[i], number[k + 1]): count / int(fulls[k][0].sum())
        for k in listed
        for i, count in seen_within[k].items()
        if i in number and i != k + 1
    }
    particles = [scene.placed[k] for k in listed]
    visible = [_tight(scene.buffer.ids[_window(*fulls[k])] == k + 1, fulls[k][1]) for k in listed]
    full = [_tight(*fulls[k]) for k in listed]
    return Truth(
        visible=_cropped(visible, shape),
        full=_cropped(full, shape),
        visible_fractions=np.array([seen_within[k][k + 1] / int(fulls[k][0].sum()) for k in listed]),
        hides=hides,
        truncated=np.array([fulls[k][0].sum() < scene.placed[k].patch.inside.sum() for k in listed], dtype=bool),
        ecds_nm=np.array([p.particle.outline.ecd for p in particles]),
        ferets_nm=np.array([p.particle.outline.feret() for p in particles]).reshape(-1, 2),
        hidden_particles=sum(bool(mask.any()) and k + 1 not in seen for k, ((mask, _), seen) in own),
    )


def particle_records(truth: Truth, image_id: int, first_id: int) -> list[dict]:
    """The truth as annotation records, ids counted from `first_id`; parts under SPECK_PX pixels have iscrowd = 1."""
    rows = zip(
        truth.visible.to_rles(),
        truth.full.to_rles(),
        truth.visible.areas,
        truth.states,
        truth.visible_fractions,
        truth.truncated,
        truth.ecds_nm,
        truth.ferets_nm,
        strict=True,
    )
    return [
        particle_record(
            id=first_id + n,
            image_id=image_id,
            rle=rle,
            state=state,
            iscrowd=int(area < SPECK_PX),
            amodal_rle=full_rle,
            visible_fraction=float(fraction),
            truncated=bool(truncated),
            ecd_nm=float(ecd),
            feret_min_nm=float(feret[0]),
            feret_max_nm=float(feret[1]),
        )
        for n, (rle, full_rle, area, state, fraction, truncated, ecd, feret) in enumerate(rows)
    ]


def _ids_within(ids: np.ndarray, mask: np.ndarray, origin: tuple[int, int]) -> dict[int, int]:
    """Which ids are seen within a body's full outline, and over how many pixels."""
    found, counts = np.unique(ids[_window(mask, origin)][mask], return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _window(mask: np.ndarray, origin: tuple[int, int]) -> tuple[slice, slice]:
    return slice(origin[0], origin[0] + mask.shape[0]), slice(origin[1], origin[1] + mask.shape[1])


def _tight(mask: np.ndarray, origin: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """The mask cut down to its pixels, as uint8, and its new origin; the mask has at least one pixel."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    crop = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.uint8)
    return crop, (origin[0] + int(rows[0]), origin[1] + int(columns[0]))


def _cropped(crops: list[tuple[np.ndarray, tuple[int, int]]], shape: tuple[int, int]) -> CroppedMasks:
    origins = np.array([origin for _, origin in crops], dtype=np.int64).reshape(-1, 2)
    return CroppedMasks(tuple(crop for crop, _ in crops), origins, shape)
