"""Write down the shipped models' results on one rendered scene, which `test_golden.py` compares.

python tests/golden.py    # writes tests/golden.json anew: only after a change that is meant to move results
"""

import itertools
import json
import tempfile
from pathlib import Path

import numpy as np

from semsize.detecting.models import SHIPPED, VISIBILITY, ShippedModel
from semsize.measuring import MeasurementSettings, measure_images, report
from semsize.measuring.engines import find_detector
from semsize.measuring.inputs import OPERATING_SCORE, DetectorRequest, VisibilityRequest
from semsize.measuring.predicted_states import OutlinesWithStates, find_visibility_model
from semsize.structures import read_predictions
from semsize.structures.files import write_json
from semsize.structures.states import STATES
from semsize.synthesis import DatasetPlan, RenderSettings, render_dataset
from tio2.evaluation.average_precision import average_precision

FILE = Path(__file__).with_suffix(".json")
ENGINES = ("torch", "onnx")
SCENE = RenderSettings(seed=68, shape=(320, 384), preset="agglomerated", particles=150)


def figures(name: str, engine: str, folder: Path) -> dict[str, float]:
    """AP50 and mAP; for scores of 0.5 or more the number of particles, of each state by probability, and sizes in px.

    Quantiles are those of fully imaged particles; D50 is also given for completed particles and for all visible
    outlines. Torch computes in float32, ONNX Runtime in the archive's precision.
    """
    render_dataset(DatasetPlan(SCENE, num=1, fractions=(0, 0, 1)), folder / "set")
    measured = measure_images(
        [folder / "set" / "images"],
        folder / "out",
        _source(name, engine, folder),
        MeasurementSettings(states="predicted"),
    )
    truth = json.loads((folder / "set" / "annotations" / "test.json").read_text(encoding="utf-8"))
    precision = average_precision(truth, read_predictions(folder / "out" / "predictions.json"), "segm").uncapped
    results, table = measured.record["results"], measured.table
    _, completed, visible = results["populations"]
    return {
        "AP50": precision["AP50"],
        "mAP": precision["mAP"],
        "particles": results["detected"],
        **{state: float(np.nansum(table[f"p_{state}"])) for state in STATES},
        **{name: results["distribution"][name] for name in ("d10", "d50", "d90")},
        "d50_completed": completed["number"]["D50"]["value"],
        "d50_visible": visible["number"]["D50"]["value"],
    }


def _source(name: str, engine: str, folder: Path) -> OutlinesWithStates:
    if engine == "onnx":
        detector = find_detector(DetectorRequest(name, engine=engine))[0]
        model = find_visibility_model(VisibilityRequest(engine=engine), detector.as_record())
    else:
        of_detector, of_model = _float32(SHIPPED[name], folder), _float32(VISIBILITY[name], folder)
        detector = find_detector(
            DetectorRequest(config=of_detector, checkpoint=SHIPPED[name].checkpoint, engine=engine)
        )[0]
        model = find_visibility_model(VisibilityRequest(of_model, VISIBILITY[name].checkpoint, engine=engine))
    return OutlinesWithStates(detector, model, OPERATING_SCORE)


def _float32(model: ShippedModel, folder: Path) -> Path:
    config = folder / model.config.name
    config.write_text(f'_base_ = {str(model.config)!r}\nmodel = dict(precision="float32")\n', encoding="utf-8")
    return config


if __name__ == "__main__":
    report.size_figures = lambda _: {}
    found = {name: {} for name in SHIPPED}
    for name, engine in itertools.product(SHIPPED, ENGINES):
        with tempfile.TemporaryDirectory() as folder:
            found[name][engine] = figures(name, engine, Path(folder))
    write_json(FILE, found, indent=1)
