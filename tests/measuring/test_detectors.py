"""The fastest validated engine that is installed is chosen; missing parts are named in one line."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from semsize.detecting.looking import Looking
from semsize.measuring import InputError, engines
from semsize.measuring.engines import FASTEST_FIRST, NotForEngineError, find_detector, looking_at
from semsize.measuring.inputs import DetectorRequest, ImageFile
from semsize.measuring.outlines import Frame, NoOutlinesError
from semsize.metrology import BiasRecord, ModelUse
from semsize.metrology.bias_record import CoveredRanges
from semsize.structures.pixel_size import PixelSize


@dataclass(frozen=True)
class Source:
    use: ModelUse

    def as_record(self):
        return {"kind": "model", "model": vars(self.use)}


@dataclass
class Point:
    """An entry point; it keeps whether it was loaded."""

    name: str
    answer: tuple | Exception
    loaded: bool = False

    def load(self):
        self.loaded = True

        def open_detector(request):  # noqa: ARG001 - as an engine's
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

        return open_detector


ALL = FASTEST_FIRST


def use_of(engine, precision="float32"):
    return ModelUse("5f0c", engine, precision, {})


def record_of(use, score=0.5):
    return BiasRecord("x.pth", use, score, 0.5, (), (), (), CoveredRanges(None, None, None, None))


def point(engine, *validated, precision="float32"):
    return Point(engine, (Source(use_of(engine, precision)), [record_of(use_of(*pair)) for pair in validated]))


MISSING = {name: Point(name, ModuleNotFoundError(f"No module named '{name}'")) for name in ("onnx", "torch")}


@pytest.fixture
def taken(monkeypatch):
    """Which engine is taken of some entry points."""

    def take(*points, engine="auto", score=0.5):
        monkeypatch.setattr(engines, "entry_points", lambda group: points)  # noqa: ARG005
        source, _ = find_detector(DetectorRequest(engine=engine), score)
        return source.use.engine, source.use.precision

    return take


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([point("torch"), point("onnx")], "onnx"),
        ([point("torch", *ALL), point("onnx", *ALL)], "onnx"),
        ([point("torch", ("torch", "float32")), point("onnx", ("torch", "float32"))], "torch"),
        ([point("torch", ("torch", "float32"), precision="bfloat16"), point("onnx", ("torch", "float32"))], "torch"),
        ([point("torch", *ALL, precision="bfloat16"), point("onnx", *ALL)], "torch"),
        ([point("torch", ("onnx", "float32"), precision="bfloat16"), point("onnx", ("onnx", "float32"))], "onnx"),
        ([point("torch", *ALL, precision="bfloat16"), point("onnx", *ALL, precision="int8")], "torch"),
        ([point("torch", *ALL), point("onnx", *ALL, precision="int8")], "onnx"),
        ([point("torch"), MISSING["onnx"]], "torch"),
        ([MISSING["torch"], point("onnx")], "onnx"),
        ([point("torch"), Point("onnx", NotForEngineError("no archive"))], "torch"),
        ([point("other"), point("torch")], "torch"),
        ([point("other")], "other"),
    ],
)
def test_auto_takes_the_fastest_validated_engine_else_the_fastest(taken, points, expected, monkeypatch):
    monkeypatch.setattr(engines, "may_have_bfloat16", lambda: True)
    assert taken(*points)[0] == expected


def test_a_record_of_another_score_does_not_validate(taken):
    points = point("torch", ("torch", "float32")), point("onnx", ("torch", "float32"))
    assert taken(*points)[0] == "torch"
    assert taken(*points, score=0.4)[0] == "onnx"


def test_torch_is_not_loaded_where_it_can_be_no_better(taken):
    torch = point("torch", *ALL)
    assert taken(torch, point("onnx", ("onnx", "float32"), ("torch", "float32")))[0] == "onnx"
    assert not torch.loaded
    assert taken(torch, point("onnx", *ALL), engine="onnx")[0] == "onnx"
    assert not torch.loaded


@pytest.mark.parametrize("has_it", [False, True])
def test_torch_is_asked_for_bfloat16_only_where_the_processor_may_have_it(taken, monkeypatch, has_it):
    monkeypatch.setattr(engines, "may_have_bfloat16", lambda: has_it)
    torch = point("torch", *ALL)
    assert taken(torch, point("onnx", *ALL, precision="int8")) == ("onnx", "int8")
    assert torch.loaded == has_it


def test_a_named_engine_is_taken_whatever_is_faster(taken):
    assert taken(point("torch"), point("onnx", *ALL), engine="torch")[0] == "torch"


@pytest.mark.parametrize(
    ("engine", "points", "message"),
    [
        ("auto", [], "no detector is installed"),
        ("tvm", [point("onnx")], "no engine 'tvm' is installed .there is: onnx, auto."),
        ("onnx", [MISSING["onnx"]], "No module named 'onnx'.*pip install onnxruntime"),
        ("torch", [MISSING["torch"], point("onnx")], r"No module named 'torch'.*tio2\[train\]"),
        ("auto", list(MISSING.values()), r"engine onnx.*engine torch .*tio2\[train\]"),
        ("onnx", [Point("onnx", NotForEngineError("no archive here")), point("torch")], "no archive here"),
        ("auto", [Point("onnx", InputError("damaged")), point("torch")], "damaged"),
    ],
)
def test_what_is_missing_is_one_line_and_what_is_damaged_is_not_passed_over(taken, engine, points, message):
    with pytest.raises(InputError, match=message) as caught:
        taken(*points, engine=engine)
    assert "\n" not in str(caught.value)


def test_a_diameter_that_is_a_length_needs_a_pixel_size():
    frame = Frame(None, None, 0, pixel_size=PixelSize(2.0))
    assert looking_at(frame, Looking(), "40nm", (512, 128)) == Looking(None, 20.0, (512, 128))
    assert looking_at(frame, Looking((0.75,)), None, None) == Looking((0.75,))
    with pytest.raises(NoOutlinesError, match="--diameter"):
        looking_at(Frame(ImageFile(Path("a.tif"), "a.tif"), None, 0), Looking(), "40nm", None)
