"""Put agglomerates of a library into the free space of images, and simulate data sets this way (paper §3.2, Fig. 5).

Free space is a set of disjoint rectangles, at first the whole frame. A box put into a rectangle leaves eight sub-frames
of it, so that no two boxes overlap and none leaves the frame. Each of the four sub-frames at the corners is joined with
a neighbour: in sub-frames as narrow as an agglomerate, agglomerates would line up in rows.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from semsize.structures import image_entry, particle_entry
from semsize.structures.files import write_whole
from semsize.structures.masks import CroppedMasks
from semsize.structures.parts import DatasetParts
from tio2.agglomerates.agglomerate import FLIPS, Agglomerate, Cutout, Seam, composite, cut_out
from tio2.agglomerates.backgrounds import Backgrounds
from tio2.agglomerates.library import AgglomerateLibrary, encode_grey

Box = tuple[int, int, int, int]  # (top, left, bottom, right) in pixels, half-open


@dataclass(frozen=True, eq=False)
class FreeSpace:
    """The part of a frame that nothing occupies."""

    subframes: np.ndarray  # (R, 4) int64, disjoint boxes

    @classmethod
    def of_frame(cls, shape: tuple[int, int]) -> "FreeSpace":
        """The free space of an empty frame of (H, W)."""
        return cls(np.array([[0, 0, *shape]], np.int64))

    def without(self, box: Box) -> "FreeSpace":
        """The space that is left when a box is occupied; the box may reach into occupied space and off the frame."""
        top, left, bottom, right = self.subframes.T
        met = (top < box[2]) & (bottom > box[0]) & (left < box[3]) & (right > box[1])
        pieces = [joined_subframes(tuple(frame.tolist()), box) for frame in self.subframes[met]]
        return FreeSpace(np.concatenate([self.subframes[~met], *pieces]))

    def draw_corner(self, shape: tuple[int, int], rng: np.random.Generator) -> tuple[int, int] | None:
        """Draw the first pixel (row, column) of a box of (h, w), uniformly in the sub-frames; None if none fits it."""
        corners = np.maximum(self.subframes[:, 2:] - self.subframes[:, :2] - shape + 1, 0)
        weights = corners.prod(axis=1)
        if not weights.any():
            return None
        chosen = rng.choice(len(weights), p=weights / weights.sum())
        row, column = self.subframes[chosen, :2] + rng.integers(corners[chosen])
        return int(row), int(column)


def eight_subframes(frame: Box, box: Box) -> np.ndarray:
    """The non-empty ones of the eight sub-frames of a frame around a box, (R <= 8, 4) int64, row by row."""
    y, x = _cuts(frame, box, 0), _cuts(frame, box, 1)
    return _filled([(y[i], x[j], y[i + 1], x[j + 1]) for i in range(3) for j in range(3) if (i, j) != (1, 1)])


def joined_subframes(frame: Box, box: Box) -> np.ndarray:
    """The eight sub-frames with each corner joined to a side, (R <= 4, 4) int64, disjoint, none empty.

    All corners join the next side clockwise, or all the previous one, whichever gives the larger largest rectangle.
    """
    y, x = _cuts(frame, box, 0), _cuts(frame, box, 1)
    following = [(y[0], x[1], y[1], x[3]), (y[1], x[2], y[3], x[3]), (y[2], x[0], y[3], x[2]), (y[0], x[0], y[2], x[1])]
    preceding = [(y[0], x[0], y[1], x[2]), (y[1], x[0], y[3], x[1]), (y[2], x[1], y[3], x[3]), (y[0], x[2], y[2], x[3])]
    ways = [_filled(following), _filled(preceding)]
    return max(ways, key=lambda parts: (parts[:, 2:] - parts[:, :2]).prod(axis=1).max(initial=0))


def _cuts(frame: Box, box: Box, axis: int) -> tuple[int, int, int, int]:
    """Start of the frame along an axis, start and end of the box clipped to the frame, and end of the frame."""
    low, high = frame[axis], frame[axis + 2]
    return low, min(max(box[axis], low), high), min(max(box[axis + 2], low), high), high


def _filled(parts: list[Box]) -> np.ndarray:
    return np.array([part for part in parts if part[0] < part[2] and part[1] < part[3]], np.int64).reshape(-1, 4)


@dataclass(frozen=True)
class PasteSettings:
    """Settings of a paste; random numbers decide the rest."""

    count_range: tuple[int, int] = (10, 160)  # agglomerates per image, drawn uniformly; fewer if no more fit
    tries: int = 20  # failures in a row after which the image counts as full
    angle_range: tuple[float, float] = (0.0, 360.0)  # degrees
    seam: Seam = field(default_factory=Seam)

    def __post_init__(self):
        low, high = self.count_range
        if not (0 <= low <= high and self.tries >= 1):
            raise ValueError(
                f"paste: count_range must be 0 <= low <= high and tries 1 or more, got {self.count_range}, {self.tries}"
            )


@dataclass(frozen=True, eq=False)
class Placement:
    """An agglomerate that was put into a frame."""

    number: int  # in the library
    angle: float  # degrees clockwise, after mirroring
    flip: str | None
    agglomerate: Agglomerate  # turned
    cutout: Cutout
    corner: tuple[int, int]  # (row, column) of the cut-out's first pixel in the frame

    @property
    def box(self) -> Box:
        """The box of the frame that the cut-out occupies with its seam."""
        (row, column), (height, width) = self.corner, self.cutout.region.shape
        return row, column, row + height, column + width

    def masks_in(self, shape: tuple[int, int]) -> CroppedMasks:
        """The agglomerate's masks in a frame of (H, W)."""
        masks = self.agglomerate.masks
        return CroppedMasks(masks.crops, masks.origins + self.corner - self.cutout.origin, shape)


@dataclass(frozen=True, eq=False)
class Pasted:
    """An image with agglomerates put into it; masks and annotations are those of the new particles alone."""

    image: np.ndarray  # of the background's shape and type
    masks: CroppedMasks
    particles: tuple[Mapping[str, Any], ...]
    placements: tuple[Placement, ...]
    failures: int  # agglomerates drawn for which there was no room

    def manifest_entries(self) -> list[dict[str, Any]]:
        """The placements as a manifest lists them."""
        return [{"agglomerate": p.number, "flip": p.flip, "angle": p.angle, "box": p.box} for p in self.placements]


def paste_agglomerates(
    background: np.ndarray,
    library: AgglomerateLibrary,
    rng: np.random.Generator,
    settings: PasteSettings,
    occupied: Iterable[Box] = (),
) -> Pasted:
    """Put randomly chosen, mirrored and turned agglomerates into the free space of a background.

    The background is (H, W) or (H, W, 3), float32 or uint8, 0-255, and is not changed. The boxes `occupied` stay clear.
    """
    shape = background.shape[:2]
    space = FreeSpace.of_frame(shape)
    for box in occupied:
        space = space.without(box)
    wanted = int(rng.integers(settings.count_range[0], settings.count_range[1] + 1))
    placements: list[Placement] = []
    failures = in_a_row = 0
    while len(placements) < wanted and in_a_row < settings.tries:
        placement = _drawn_placement(library, space, rng, settings)
        if placement is None:
            failures, in_a_row = failures + 1, in_a_row + 1
        else:
            placements.append(placement)
            space, in_a_row = space.without(placement.box), 0
    image = composite(background, ((p.cutout, p.corner) for p in placements), settings.seam)
    masks = CroppedMasks.cat([CroppedMasks.empty(shape), *(p.masks_in(shape) for p in placements)])
    particles = tuple(particle for p in placements for particle in p.agglomerate.particles)
    return Pasted(image, masks, particles, tuple(placements), failures)


def _drawn_placement(
    library: AgglomerateLibrary, space: FreeSpace, rng: np.random.Generator, settings: PasteSettings
) -> Placement | None:
    number = int(rng.integers(len(library)))
    flip = FLIPS[rng.integers(len(FLIPS))]
    angle = float(rng.uniform(*settings.angle_range))
    agglomerate = library[number].turned(angle, flip)
    cutout = cut_out(agglomerate, settings.seam)
    corner = space.draw_corner(cutout.region.shape, rng)
    return None if corner is None else Placement(number, angle, flip, agglomerate, cutout, corner)


@dataclass(frozen=True)
class SimulationPlan:
    """Everything that decides the bytes of a simulated data set; image n depends only on the plan and n."""

    num: int
    shape: tuple[int, int]  # (H, W)
    seed: int
    library_sha256: str
    backgrounds_sha256: str
    matrix_sha256: str | None
    versions: Mapping[str, str]  # of the packages that make the images
    matrix_share: float
    settings: PasteSettings

    def has_matrix(self, number: int) -> bool:
        """Whether image `number` shows a matrix: `matrix_share` of the images, evenly spread, rounded down."""
        return int((number + 1) * self.matrix_share) > int(number * self.matrix_share)

    def claim(self, out: Path) -> DatasetParts:
        """Make the folder of the data set, with the plan in plan.json.

        Raises:
            DatasetFolderError: the folder was begun with another plan, another library or other versions.
        """
        parts = DatasetParts(out, self.num)
        parts.claim("plan.json", asdict(self), ["train"])
        return parts


class Simulator:
    """Makes the images of a plan; holds the library and the backgrounds that it has read."""

    def __init__(
        self, plan: SimulationPlan, parts: DatasetParts, library: Path, backgrounds: Path, matrix: Path | None
    ):
        self.plan, self.parts = plan, parts
        self.library = AgglomerateLibrary.load(library)
        self.backgrounds = Backgrounds(backgrounds)
        self.matrix = Backgrounds(matrix) if matrix else None

    def __call__(self, number: int) -> int:
        """Make image `number`, write it and its part, and return the number."""
        plan = self.plan
        rng = np.random.default_rng((plan.seed, number))
        kind = "matrix" if plan.has_matrix(number) else "agglomerated"
        source = self.matrix if kind == "matrix" else self.backgrounds
        background, drawn = source.draw(plan.shape, rng)
        pasted = paste_agglomerates(background, self.library, rng, plan.settings)
        name = f"{number:06d}.png"
        sizes = {placement.agglomerate.pixel_size_nm for placement in pasted.placements}
        image = image_entry(
            id=number + 1,
            file_name=name,
            height=plan.shape[0],
            width=plan.shape[1],
            pixel_size_nm=sizes.pop() if len(sizes) == 1 else None,
            source="simulated from agglomerates",
            configuration=kind,
        )
        pairs = enumerate(zip(pasted.masks.to_rles(), pasted.particles, strict=True), start=1)
        particles = [particle_entry(id=i, image_id=number + 1, rle=rle, **known) for i, (rle, known) in pairs]
        made = {"file": name, "configuration": kind, "background": drawn}
        made |= {"without_room": pasted.failures, "placements": pasted.manifest_entries()}
        part = {"image": image, "particles": particles, "made": made}
        self.parts.write(number, f"images/train/{name}", encode_grey(np.rint(pasted.image)), part)
        return number


def join_parts(plan: SimulationPlan, parts: DatasetParts) -> dict[str, int]:
    """Write annotations/train.json and manifest.json from the parts.

    Returns:
        Numbers of images, particles, specks and agglomerates.
    """
    records, counts = parts.join("train", range(plan.num))
    manifest = asdict(plan) | {"images": [record["made"] for record in records]}
    write_whole(parts.folder / "manifest.json", (json.dumps(manifest, indent=1) + "\n").encode())
    return counts | {"agglomerates": sum(len(record["made"]["placements"]) for record in records)}


def folder_hash(folder: str | Path) -> str:
    """SHA-256 over the names and contents of a folder's files, in hex.

    It differs from `semsize.structures.files.files_sha256` and must not change: plans of existing data sets hold it.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in Path(folder).iterdir() if path.is_file()):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
