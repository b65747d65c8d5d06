"""A model as one file, `.semsize`: a zip of ONNX graphs and `model.json`, which says how to use them.

Detectors and visibility models have archives; the names of the graphs tell one kind from the other. An archive may come
from anybody, so only known names are read, sizes are bounded before anything is unpacked, graphs must not refer to
other files, and each field of `model.json` is checked.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar, get_args

from semsize.structures.files import ZIP_ERRORS, from_json, in_json, write_whole

FORMAT = 1
ENDING = ".semsize"
MOST_BYTES = 256 * 2**20
"""Largest size of all files of an archive together, unpacked."""
MOST_BOXES = 10**6
"""The largest limit of boxes that a model may state."""

_MODEL_FILE = "model.json"
_GRAPH = ".onnx"
_TIME = (1980, 1, 1, 0, 0, 0)  # of each file in the zip, so that the same model gives the same bytes

Flip = Literal["horizontal", "vertical", "diagonal"]
Precision = Literal["float32", "int8"]
"""Precision of products; int8 computes the costliest convolutions in 8-bit integers, everything else in float32."""


class ArchiveError(ValueError):
    """A file that is no model archive, or one that cannot be trusted."""


@dataclass(frozen=True)
class Normalisation:
    """Normalisation of levels 0-255 to the network's input: (level - mean) / std, padded right and below by 0."""

    mean: float
    std: float
    pad_to: int  # the padded sides are multiples of it

    def __post_init__(self):
        _require(1e-3 <= self.std <= 1e6 and abs(self.mean) <= 1e6, "normalisation: std from 0.001, levels up to 1e6")
        _require(1 <= self.pad_to <= 1024, "normalisation: pad_to from 1 to 1024")


@dataclass(frozen=True)
class ProposalSettings:
    """The settings `test_cfg.rpn`; limits hold per megapixel of the network's input, counted as one at least."""

    nms_pre: int
    max_per_img: int
    iou_threshold: float
    min_size: float  # px, below 0: any
    min_score: float

    def __post_init__(self):
        are_limits = all(0 < limit <= MOST_BOXES for limit in (self.nms_pre, self.max_per_img))
        _require(are_limits, f"proposals: limits must be 1 to {MOST_BOXES}")
        _require(0 <= self.iou_threshold <= 1 and 0 <= self.min_score <= 1, "proposals: IoU and score must be 0 to 1")
        _require(abs(self.min_size) <= 1e6, "proposals: min_size must be -1e6 to 1e6 px")


@dataclass(frozen=True)
class DetectionSettings:
    """The settings `test_cfg.rcnn` of a detector."""

    score_thr: float
    iou_threshold: float
    max_per_img: int  # no limit if below 1
    mask_thr: float
    refine_boxes: bool
    mask_scores: bool

    def __post_init__(self):
        _require(0 < self.mask_thr < 1, "detections: mask_thr must be between 0 and 1")
        _require(0 <= self.iou_threshold <= 1 and 0 <= self.score_thr <= 1, "detections: IoU and score must be 0 to 1")
        _require(self.max_per_img <= MOST_BOXES, f"detections: max_per_img must be at most {MOST_BOXES}")


@dataclass(frozen=True)
class ModelCard:
    """The keys that `model.json` has in every archive.

    Attributes:
        licence: what the weights may be used for, in one line.
        weights_sha256: of the checkpoint's file.
        config_sha256: of the resolved config.
        precision: of the graphs (`Precision`).
    """

    licence: str
    weights_sha256: str
    config_sha256: str
    precision: str

    def __post_init__(self):
        for digest in (self.weights_sha256, self.config_sha256):
            _require(
                len(digest) == 64 and set(digest) <= set("0123456789abcdef"), "a SHA-256 has 64 hexadecimal digits"
            )
        _require(self.precision in get_args(Precision), f"precision must be one of {', '.join(get_args(Precision))}")
        _require(self.licence.isprintable() and len(self.licence) <= 500, "a licence of one line, up to 500 characters")


@dataclass(frozen=True)
class DetectorCard(ModelCard):
    """The keys that `model.json` has in the archive of a detector.

    Attributes:
        settings: all that decides detections, to which bias records are bound (`semsize.metrology.ModelUse`).
        bias_records: contents of the checkpoint's bias file; a record holds for the engine and settings that it names.
        scales: enlargements at which images are looked at; None chooses them image by image.
        flips: mirror images that are searched too.
    """

    settings: Mapping
    bias_records: Mapping
    scales: tuple[float, ...] | None
    flips: tuple[str, ...]
    normalisation: Normalisation
    proposals: ProposalSettings
    detections: DetectionSettings

    def __post_init__(self):
        super().__post_init__()
        are_scales = self.scales is None or (self.scales and all(0 < scale <= 8 for scale in self.scales))
        _require(bool(are_scales), "scales must be null, or numbers above 0 and up to 8")
        _require(all(flip in get_args(Flip) for flip in self.flips), f"flips must be among {', '.join(get_args(Flip))}")


@dataclass(frozen=True)
class VisibilityCard(ModelCard):
    """The keys that `model.json` has in the archive of a visibility model.

    Attributes:
        complete: visible fraction from which a particle is fully imaged, as in `StateThresholds` (semsize.visibility).
        masked: visible fraction from which a particle is masked; below, it is unusable.
    """

    complete: float
    masked: float

    def __post_init__(self):
        super().__post_init__()
        _require(0 <= self.masked <= self.complete <= 1, "thresholds must be 0 <= masked <= complete <= 1")


Card = TypeVar("Card", bound=ModelCard)

GRAPHS: Mapping[type[ModelCard], tuple[str, ...]] = {
    DetectorCard: ("proposals", "boxes", "masks", "suppression"),
    VisibilityCard: ("answers",),
}
"""Names of the graphs of each kind of model."""

_KINDS = {DetectorCard: "a detector (--model)", VisibilityCard: "a visibility model (--visibility)"}


@dataclass(frozen=True, eq=False)
class ModelArchive(Generic[Card]):
    """A model: its card and its graphs' bytes by name."""

    card: Card
    graphs: Mapping[str, bytes]


def write_archive(path: Path, archive: ModelArchive) -> None:
    """Write a model's file; the same model gives the same bytes."""
    names = GRAPHS[type(archive.card)]
    digests = {name: hashlib.sha256(archive.graphs[name]).hexdigest() for name in names}
    model = {"format": FORMAT, "graphs": digests, **in_json(archive.card)}
    text = json.dumps(model, indent=1, sort_keys=True, allow_nan=False).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        contents = {_MODEL_FILE: text, **{name + _GRAPH: archive.graphs[name] for name in names}}
        for name, content in contents.items():
            file.writestr(zipfile.ZipInfo(name, _TIME), content, zipfile.ZIP_DEFLATED)
    write_whole(path, packed.getvalue())


def read_archive(path: Path, kind: type[Card] = DetectorCard) -> ModelArchive[Card]:
    """Read the archive of a model of the given kind.

    Raises:
        ArchiveError: the file is no archive, is damaged, has a wrong graph or field, or is of another kind.
    """
    try:
        contents = _contents(path, kind)
        found = next(each for each, names in GRAPHS.items() if names[0] + _GRAPH in contents)
        model = json.loads(contents.pop(_MODEL_FILE))
        _require(isinstance(model, dict), f"{_MODEL_FILE} is no JSON object")
        version = model.pop("format", None)
        _require(version == FORMAT, f"it has format {version!r}, and this version reads {FORMAT}; update semsize")
        digests = model.pop("graphs", None)
        graphs = {name: contents[name + _GRAPH] for name in GRAPHS[found]}
        for name, graph in graphs.items():
            _require(b"location" not in graph, f"{name}{_GRAPH} refers to another file")
            is_same = isinstance(digests, dict) and digests.get(name) == hashlib.sha256(graph).hexdigest()
            _require(is_same, f"{name}{_GRAPH} is not the graph whose SHA-256 {_MODEL_FILE} states")
        archive = ModelArchive(from_json(model, found, _MODEL_FILE), graphs)
    except ZIP_ERRORS as cause:
        raise ArchiveError(
            f"{path}: this is no model that can be used ({cause}); export or download it again"
        ) from None
    _require(found is kind, f"{path}: this is the archive of {_KINDS[found]}, not of {_KINDS[kind]}")
    return archive


def _contents(path: Path, kind: type[ModelCard]) -> dict[str, bytes]:
    """Unpack the files of an archive, by name, after checking their names and sizes.

    An archive of another kind is read too; the error about any other zip names the files of this kind.
    """
    expected = {each: sorted([_MODEL_FILE, *(name + _GRAPH for name in names)]) for each, names in GRAPHS.items()}
    with zipfile.ZipFile(path) as file:
        entries = file.infolist()
        names = sorted(entry.filename for entry in entries)
        _require(names in expected.values(), f"its files are not exactly {', '.join(expected[kind])}")
        size = sum(entry.file_size for entry in entries)
        _require(size <= MOST_BYTES, f"its files take {size / 2**20:.0f} MiB, more than {MOST_BYTES // 2**20}")
        return {entry.filename: file.read(entry) for entry in entries}


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ArchiveError(message)
