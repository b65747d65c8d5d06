"""The pages' tables get the numbers of tested runs, and hand-written text stays."""

import json
import shutil
from pathlib import Path

import pytest
from tested_runs import write_run

from semsize.detecting.models import SHIPPED, VISIBILITY
from semsize.structures.files import file_sha256
from tio2.reporting.results_tables import (
    COLUMNS,
    ELSEWHERE,
    METRICS,
    ROWS,
    RowSource,
    fill_tables,
    read_tested,
)
from tio2.reporting.tested_run import RunError, read_run

ROOT = Path(__file__).parents[2]
PAGE = """before
<!-- tested -->
| method | trained on | AP50 | useful found, % | ECD residual, % | false |
|---|---|---:|---:|---:|---:|
{rows}
<!-- /tested -->
| after |
"""
LIGHT = "light network, two stages"


def page(folder, *rows):
    path = folder / "page.md"
    path.write_text(PAGE.format(rows="\n".join(rows)), encoding="utf-8")
    return path


def test_figures_are_those_of_the_run_and_the_rest_stays(tmp_path):
    run = read_run(write_run(tmp_path / "light_stage2", missed=2), "val")
    path = page(tmp_path, f"| {LIGHT} | ImageNet | – | old | – | |")
    images = list(run.images.values())
    bias, false = METRICS["ECD bias, %"](images), run.metrics["metrics"]["particles/false_positives"]
    row = f"| {LIGHT} | ImageNet | {METRICS['AP50'](images):.3f} | {100 * 7 / 9:.1f} | {bias:+.1f} ± 0.0 | {false} |"
    for _ in range(2):
        assert fill_tables(path, tmp_path) == []
        assert path.read_text(encoding="utf-8") == PAGE.format(rows=row)


def test_a_row_without_its_run_stays_and_is_named(tmp_path):
    rows = f"| {LIGHT} | ImageNet | 0.8 | 90 | +1 | 3 |", "| the paper, its own particles | COCO | 0.9 | 80 | – | 4 |"
    path = page(tmp_path, *rows)
    assert fill_tables(path, tmp_path) == [f"{path}: {LIGHT}: not tested in {tmp_path}/light_stage2/val"]
    assert path.read_text(encoding="utf-8") == PAGE.format(rows="\n".join(rows))


@pytest.mark.parametrize("name", ["README.md", "docs/results.md"])
def test_the_pages_have_known_rows_and_columns_and_change_without_runs_in_nothing(name, tmp_path):
    copy = Path(shutil.copy(ROOT / name, tmp_path / "page.md"))
    assert len(fill_tables(copy, tmp_path)) >= 5
    assert copy.read_text(encoding="utf-8") == (ROOT / name).read_text(encoding="utf-8")


def test_what_is_not_known_is_refused(tmp_path):
    with pytest.raises(RunError, match="row 'another' is not known"):
        fill_tables(page(tmp_path, "| another | x | – | – | – | – |"), tmp_path)
    path = page(tmp_path, f"| {LIGHT} | x | – | – | – | – |")
    path.write_text(path.read_text(encoding="utf-8").replace("AP50", "AP51"), encoding="utf-8")
    with pytest.raises(RunError, match="column 'AP51' is not known"):
        fill_tables(path, tmp_path)
    path.write_text("nothing", encoding="utf-8")
    with pytest.raises(RunError, match=r"has no <!-- tested --> … <!-- /tested -->"):
        fill_tables(path, tmp_path)


def test_other_weights_than_those_that_ship_are_refused(tmp_path):
    file = write_run(tmp_path / "light_nc") / "val" / "metrics.json"
    metrics = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(metrics | {"model": {"sha256": "0" * 64}}), encoding="utf-8")
    with pytest.raises(RunError, match="is a test of other weights than"):
        read_tested(tmp_path, RowSource("light_nc", "val", "nc"))


def shipped_run(folder, **changes):
    """Runs of the shipped `nc` and of the visibility model that ships with it, on val; `changes` to the latter."""
    write_run(folder / "run")
    (folder / "seen" / "val").mkdir(parents=True)
    (folder / "seen" / "val" / "metrics.json").write_text("{}", encoding="utf-8")
    for name, model in (("run", SHIPPED["nc"]), ("seen", VISIBILITY["nc"])):
        file = folder / name / "val" / "metrics.json"
        record = {"model": {"sha256": file_sha256(model.checkpoint)}, "predictions_sha256": "1" * 64}
        record |= changes.get(name, {})
        file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | record), encoding="utf-8")
    return read_tested(folder, RowSource("run", "val", "nc", seen="seen"))


def test_figures_of_a_shipped_model_are_of_its_visibility_network_and_of_the_usual_score(tmp_path):
    assert shipped_run(tmp_path / "right", run={"counted_from_score": 0.5}).seen
    with pytest.raises(RunError, match=r"seen/val/metrics\.json: is a test of other weights than .*_nc\.pth; test"):
        shipped_run(tmp_path / "other", seen={"model": {"sha256": "0" * 64}})
    with pytest.raises(
        RunError, match=r"metrics\.json: counts particles from score 0\.9 on, the tables from 0\.5; test"
    ):
        shipped_run(tmp_path / "stricter", run={"counted_from_score": 0.9})


def test_images_of_one_configuration(tmp_path):
    file = write_run(tmp_path / "run", images=3) / "val" / "images.csv"
    header, *rows = file.read_text(encoding="utf-8").splitlines()
    assert header == "image,configuration,particles,useful"
    kinds = zip(rows, ("matrix", "scattered", "matrix"), strict=True)
    file.write_text("\n".join([header, *(row.replace(",,", f",{kind},", 1) for row, kind in kinds)]), encoding="utf-8")
    part = read_tested(tmp_path, RowSource("run", "val", configuration="matrix"))
    assert len(part.images) == 2
    with pytest.raises(RunError, match="not known for a part"):
        COLUMNS["false"](part)
    assert len(read_tested(tmp_path, RowSource("run", "val")).images) == 3


def seen_run(folder, run, digest):
    """A test of a visibility model on the outlines of a run with this digest."""
    (folder / "seen" / "val").mkdir(parents=True)
    errors = {"D10": -1.25, "D50": 0.5, "D90": None}
    metrics = {f"visibility/fully_imaged_{name}_error_percent": value for name, value in errors.items()}
    record = json.dumps({"predictions_sha256": digest, "metrics": metrics})
    (folder / "seen" / "val" / "metrics.json").write_text(record, encoding="utf-8")
    file = write_run(folder / run) / "val" / "metrics.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"predictions_sha256": "1" * 64}), encoding="utf-8")


def test_sizes_of_fully_imaged_particles_are_of_the_same_outlines(tmp_path):
    source = RowSource("run", "val", seen="seen")
    write_run(tmp_path / "run")
    assert read_tested(tmp_path, source) is None  # nothing judged them
    seen_run(tmp_path / "same", "run", "1" * 64)
    tested = read_tested(tmp_path / "same", source)
    assert [COLUMNS[f"{name}, error %"](tested) for name in ("D10", "D50", "D90")] == ["−1.2", "+0.5", "–"]
    assert COLUMNS["s an image"](tested) == "2.0"
    seen_run(tmp_path / "others", "run", "2" * 64)
    with pytest.raises(RunError, match="was tested on other outlines than"):
        read_tested(tmp_path / "others", source)


def test_the_share_of_the_ceiling_is_a_range(tmp_path):
    write_run(tmp_path / "run", missed=2)
    tested = read_tested(tmp_path, RowSource("run", "val"))
    low, high = (float(end) for end in COLUMNS["mAP of the ceiling's, %"](tested).split(" to "))
    assert low == pytest.approx(100 * tested.precision("mAP") / 0.81, abs=0.5)
    assert high == pytest.approx(100 * tested.precision("mAP") / 0.61, abs=0.5)


def test_rows_name_tests_of_models_that_ship_by_their_configs():
    for source in ROWS.values():
        if source is not ELSEWHERE and source.model is not None and not source.run.startswith("magnified/"):
            assert (ROOT / "configs" / "tio2" / f"{source.run}.py").is_file()
