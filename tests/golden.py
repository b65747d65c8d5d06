"""What the shipped models find in one rendered scene: written down once, compared by `test_golden.py`.

python tests/golden.py    # writes tests/golden.json anew: only after a change that is meant to move results
"""

import json
import tempfile
from pathlib import Path

from semsize.detecting.models import SHIPPED
from semsize.measuring import measure_images, report
from semsize.measuring.detectors import find_detector
from semsize.measuring.inputs import DetectorRequest
from semsize.structures import read_predictions
from semsize.structures.files import write_json
from semsize.synthesis import DatasetPlan, RenderSettings, render_dataset
from tio2.evaluation.average_precision import average_precision

FILE = Path(__file__).with_suffix(".json")
SCENE = RenderSettings(seed=68, shape=(320, 384), preset="agglomerated", particles=150)


def figures(name: str, engine: str, folder: Path) -> dict[str, float]:
    """AP50, mAP, and count and quantiles (px) of the particles from score 0.5 on, in float32."""
    render_dataset(DatasetPlan(SCENE, num=1, fractions=(0, 0, 1)), folder / "set")
    measured = measure_images([folder / "set" / "images"], folder / "out", _source(name, engine, folder))
    truth = json.loads((folder / "set" / "annotations" / "test.json").read_text(encoding="utf-8"))
    precision = average_precision(truth, read_predictions(folder / "out" / "predictions.json"), "segm").uncapped
    sizes = measured.record["results"]["distribution"]
    return {
        "AP50": precision.AP50,
        "mAP": precision.mAP,
        "particles": sizes["count"],
        **{name: sizes[name] for name in ("d10", "d50", "d90")},
    }


def _source(name: str, engine: str, folder: Path):
    if engine == "onnx":
        return find_detector(DetectorRequest(name, engine=engine))[0]
    config = folder / "golden.py"
    config.write_text(f'_base_ = {str(SHIPPED[name].config)!r}\nmodel = dict(precision="float32")\n', encoding="utf-8")
    return find_detector(DetectorRequest(config=config, checkpoint=SHIPPED[name].checkpoint, engine=engine))[0]


if __name__ == "__main__":
    report.size_figures = lambda _: {}
    found = {}
    for name in SHIPPED:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = figures(name, "torch", Path(folder))
    write_json(FILE, found, indent=1)
