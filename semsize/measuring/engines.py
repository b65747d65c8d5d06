"""The choice among the engines that are installed: one rule for detectors and for visibility models.

An engine is an entry point, named after it: a function from a request, which names an engine or `auto`, to an answer.
It imports what it needs when it is called, raises ImportError where something is not installed, and `NotForEngineError`
where another engine may have what is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from semsize.measuring.inputs import DetectorRequest, InputError, VisibilityRequest

FASTEST_FIRST = (("onnx", "int8"), ("torch", "bfloat16"), ("onnx", "float32"), ("torch", "float32"))
"""Engines and their precision, the fastest on a CPU first."""

LIGHTEST_FIRST = ("onnx", "torch")
"""Engines by the time that loading them takes: those behind are not loaded where the first will do."""

INSTALL = {"onnx": "pip install onnxruntime", "torch": "pip install 'tio2[train]'"}


class NotForEngineError(InputError):
    """What is asked for is not there for this engine, and may be for another one."""


@dataclass(frozen=True)
class Standing:
    """What the choice is made by.

    Attributes:
        use: the engine and its precision; None where they are not known.
        is_validated: whether a record holds for what is asked for.
        recorded: engines and precisions of all the model's records.
    """

    use: tuple[str, str] | None
    is_validated: bool = False
    recorded: Sequence[tuple[str, str]] = ()

    @property
    def rank(self) -> int:
        """The least is the fastest."""
        return _rank(self.use)

    @property
    def is_best(self) -> bool:
        """Whether no other engine can be as well validated and faster, as far as the records tell."""
        return self.is_validated and all(_rank(use) >= self.rank for use in self.recorded)


def choose(
    group: str,
    request: DetectorRequest | VisibilityRequest,
    standing_of: Callable[[Any], Standing],
    *,
    nothing: str,
    otherwise: str,
) -> Any:
    """The answer of the engine that is asked for.

    With the engine `auto` it is the fastest of those that are installed, have the model and are validated for this use;
    where none is validated, the fastest.

    Args:
        group: of the entry points.
        request: what is asked for.
        standing_of: an answer's standing.
        nothing: the error where no engine is installed.
        otherwise: what else may be done where none can be used.

    Raises:
        InputError: there is none, or its files cannot be used.
    """
    points = {point.name: point for point in entry_points(group=group)}
    if not points:
        raise InputError(nothing)
    if request.engine == "auto":
        return _fastest(sorted(points.values(), key=_lightness), request, standing_of, otherwise)
    if request.engine not in points:
        raise InputError(f"no engine {request.engine!r} is installed (there is: {', '.join(sorted(points))}, auto)")
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


def _rank(use: tuple[str, str] | None) -> int:
    return FASTEST_FIRST.index(use) if use in FASTEST_FIRST else len(FASTEST_FIRST)


def _lightness(point: EntryPoint) -> tuple[int, str]:
    known = LIGHTEST_FIRST.index(point.name) if point.name in LIGHTEST_FIRST else len(LIGHTEST_FIRST)
    return known, point.name


def _missing(engine: str, cause: ImportError) -> str:
    how = f"install it with {INSTALL[engine]}" if engine in INSTALL else "install what it needs"
    return f"the engine {engine} cannot be loaded ({str(cause).splitlines()[0]}), {how}"
