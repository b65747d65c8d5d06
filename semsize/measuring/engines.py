"""Chooses an installed engine for a detector or a visibility model; holds what the engines of detectors share.

An engine is an entry point of its name: a function from a request, which names an engine or `auto`, to an answer.
The function imports what it needs when called. It raises ImportError if a package is missing, and `NotForEngineError`
if another engine may have the requested model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from semsize.detecting.archive import ENDING
from semsize.detecting.looking import Looking
from semsize.detecting.models import SHIPPED, ShippedModel
from semsize.measuring.inputs import OPERATING_SCORE, DetectorRequest, InputError, VisibilityRequest
from semsize.measuring.outlines import Frame, NoOutlinesError, OutlineSource
from semsize.metrology import BiasRecord, BiasRecordError, ModelUse
from semsize.metrology.bias_record import find_bias_file, read_bias_records
from semsize.structures.pixel_size import pixels_across

FASTEST_FIRST = (("torch", "bfloat16"), ("onnx", "int8"), ("onnx", "float32"), ("torch", "float32"))
"""(engine, precision), the fastest on a CPU first; torch uses bfloat16 if the processor has instructions for it."""

LIGHTEST_FIRST = ("onnx", "torch")
"""Engines, the quickest to load first: if an engine is the best choice, those after it are not loaded."""

INSTALL = {"onnx": "pip install onnxruntime", "torch": "pip install 'tio2[train]'"}

GROUP = "semsize.detectors"
"""Entry points of engines: functions from a `DetectorRequest` to a source and its bias records."""

ELSEWHERE = "measure outlines made elsewhere (--from-coco, --from-labels, --from-rois)"


class NotForEngineError(InputError):
    """This engine has no model as requested; another engine may have one."""


class NoEngineError(InputError):
    """No engine of that name is installed for this kind of model."""


@dataclass(frozen=True)
class Standing:
    """The properties of an engine's answer by which `choose` compares it with others.

    Attributes:
        use: the engine and its precision; None if not known.
        is_validated: whether a record of the model holds for this use.
        recorded: engines and precisions of all records of the model.
    """

    use: tuple[str, str] | None
    is_validated: bool = False
    recorded: Sequence[tuple[str, str]] = ()

    @property
    def rank(self) -> int:
        """Position in `FASTEST_FIRST`, 0 for the fastest."""
        return _rank(self.use)

    @property
    def is_best(self) -> bool:
        """Whether this engine is validated and no record of the model is of a faster one that this processor runs."""
        faster = {use for use in self.recorded if _rank(use) < self.rank}
        if not may_have_bfloat16():
            faster.discard(("torch", "bfloat16"))
        return self.is_validated and not faster


def choose(
    group: str,
    request: DetectorRequest | VisibilityRequest,
    standing_of: Callable[[Any], Standing],
    *,
    nothing: str,
    otherwise: str,
) -> Any:
    """Return the answer of the requested engine.

    The engine `auto` means the fastest engine that is installed, has the model and is validated for this use, or the
    fastest that is installed and has the model if none is validated.

    Args:
        group: group of the entry points.
        request: the requested model and engine.
        standing_of: returns the standing of an answer.
        nothing: error message if no engine is installed.
        otherwise: what the user can do instead, for the error message if no engine can be used.

    Raises:
        NoEngineError: no engine of this name is installed.
        InputError: there is no such model, or its files cannot be used.
    """
    points = {point.name: point for point in entry_points(group=group)}
    if not points:
        raise NoEngineError(nothing)
    if request.engine == "auto":
        return _fastest(sorted(points.values(), key=_lightness), request, standing_of, otherwise)
    if request.engine not in points:
        raise NoEngineError(f"no engine {request.engine!r} is installed (there is: {', '.join(sorted(points))}, auto)")
    try:
        return points[request.engine].load()(request)
    except ImportError as cause:
        raise InputError(f"{_missing(request.engine, cause)}, or {otherwise}") from None


def _fastest(points: Iterable[EntryPoint], request: Any, standing_of: Callable, otherwise: str) -> Any:
    answers, reasons = [], []
    for point in points:
        try:
            answer = point.load()(request)
            standing = standing_of(answer)
        except ImportError as cause:
            reasons.append(_missing(point.name, cause))
        except NotForEngineError as cause:
            reasons.append(str(cause))
        else:
            answers.append((answer, standing))
            if standing.is_best:
                break
    if not answers:
        raise InputError(f"{'; '.join(reasons)}; or {otherwise}")
    return min(answers, key=lambda pair: (not pair[1].is_validated, pair[1].rank))[0]


@cache
def may_have_bfloat16() -> bool:
    """Whether the processor may have bfloat16 instructions, asked without loading torch."""
    try:
        return "bf16" in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:  # not Linux
        return True


def _rank(use: tuple[str, str] | None) -> int:
    return FASTEST_FIRST.index(use) if use in FASTEST_FIRST else len(FASTEST_FIRST)


def _lightness(point: EntryPoint) -> tuple[int, str]:
    known = LIGHTEST_FIRST.index(point.name) if point.name in LIGHTEST_FIRST else len(LIGHTEST_FIRST)
    return known, point.name


def _missing(engine: str, cause: ImportError) -> str:
    how = f"install it with {INSTALL[engine]}" if engine in INSTALL else "install what it needs"
    return f"the engine {engine} cannot be loaded ({str(cause).splitlines()[0]}), {how}"


def find_detector(
    request: DetectorRequest, score: float = OPERATING_SCORE
) -> tuple[OutlineSource, Sequence[BiasRecord]]:
    """Return the requested detector and the bias records of its model.

    For the engine `auto`, `choose` takes an engine as validated if a bias record holds for its use and this score.

    Raises:
        InputError: there is no such detector, or its files cannot be used.
    """

    def standing_of(answer: tuple[OutlineSource, Sequence[BiasRecord]]) -> Standing:
        source, records = answer
        record = source.as_record()
        if "model" not in record:
            return Standing(None)
        use = ModelUse.from_json(record["model"])
        recorded = [(each.model.engine, each.model.precision) for each in records if each.model is not None]
        is_validated = any(not each.differences(use, score) for each in records)
        return Standing((use.engine, use.precision), is_validated, recorded)

    nothing = f"no detector is installed: install this package (pip install .), or {ELSEWHERE}"
    return choose(GROUP, request, standing_of, nothing=nothing, otherwise=ELSEWHERE)


def shipped_model(name: str | None) -> ShippedModel:
    """Return the model that ships under a name; None: the default model.

    Raises:
        InputError: no model of this name ships.
    """
    name = name or next(iter(SHIPPED))
    if name not in SHIPPED:
        raise InputError(
            f"no model {name!r} ships (there is: {', '.join(SHIPPED)}); give a model's file, "
            ".semsize, or --config and --checkpoint, or train one: python tools/train.py configs/tio2/light_stage1.py"
        )
    return SHIPPED[name]


def check_model(name: str) -> None:
    """Raise InputError unless `name` is a shipped model or an existing archive; no file is read."""
    if name.endswith(ENDING):
        if not Path(name).is_file():
            raise InputError(f"model {name} does not exist; check --model")
    else:
        shipped_model(name)


def bias_records_beside(model: Path) -> tuple[BiasRecord, ...]:
    """Return the bias records in the file beside a checkpoint or archive, whatever use they hold for.

    Raises:
        InputError: the file is damaged, or too old to state what its records hold for.
    """
    path = find_bias_file(model)
    try:
        return () if path is None else read_bias_records(path)
    except BiasRecordError as cause:
        raise InputError(str(cause)) from None


def model_record(weights: Path, sha256: str, config_sha256: str, licence: str, device: str, use: ModelUse) -> dict:
    """The detector's entry in the record of a measurement: its file with SHA-256, its licence and how it is used."""
    return {
        "kind": "model",
        "path": str(weights),
        "sha256": sha256,
        "config_sha256": config_sha256,
        "licence": licence,
        "scales": use.settings.get("model.test_cfg.scales"),
        "diameter": use.settings["diameter"],
        "tile": use.settings["tile"],
        "device": device,
        "model": use.to_json(),
    }


def looking_at(frame: Frame, scales: Looking, diameter: str | None, tile: tuple[int, int] | None) -> Looking:
    """Return how the detector looks at a frame, with the diameter converted to pixels.

    Args:
        frame: the frame, whose pixel size converts a length.
        scales: the scales to look at.
        diameter: diameter of most particles, with its unit, from which scales are chosen.
        tile: side and overlap of tiles, px; None: only large images are tiled.

    Raises:
        NoOutlinesError: the diameter is a length, and the frame's pixel size is not known.
    """
    try:
        diameter_px = None if diameter is None else pixels_across(diameter, frame.pixel_size)
    except ValueError as cause:
        raise NoOutlinesError(f"{frame.file.path}: --diameter: {cause}") from None
    return Looking(scales.scales, diameter_px, tile)
