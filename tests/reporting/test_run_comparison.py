"""Runs read back as written; rows are recipes, folds, seeds; differences are paired over images."""

import dataclasses
import itertools
import json
import re

import numpy as np
import pytest
from tested_runs import rows_of, value, write_run

from semsize.structures.files import file_sha256
from tio2.reporting.run_comparison import (
    METRICS,
    Recipe,
    comparison_cells,
    comparison_markdown,
    difference,
)
from tio2.reporting.tested_run import RunError, read_run


def test_what_is_read_back_gives_the_same_values(tmp_path):
    images = list(read_run(write_run(tmp_path / "run"), "val").images.values())
    assert METRICS["AP50"](images) == pytest.approx(78 / 101)  # recall 7/9: recalls 0 … 0.77
    assert METRICS["Dice"](images) == pytest.approx(0.9)
    assert METRICS["useful found, %"](images) == pytest.approx(100 * 7 / 9)
    assert METRICS["ECD bias, %"](images) == pytest.approx(0)


def test_an_image_without_useful_particles_counts_none_where_others_tell_states(tmp_path):
    """Before, the Dice coefficients of unusable particles were counted among the useful ones'."""
    folder = write_run(tmp_path / "run", images=2)
    file = folder / "val" / "particles.csv"
    file.write_text(re.sub(r"(?m)^(2\.png,.*),complete,", r"\1,unusable,", file.read_text()))
    file = folder / "val" / "images.csv"
    file.write_text(file.read_text().replace("2.png,,9,9", "2.png,,9,0"))
    assert [len(image.dice) for image in read_run(folder, "val").images.values()] == [7, 0]
    file = folder / "val" / "particles.csv"
    file.write_text(re.sub(",(complete|unusable),", ",,", file.read_text()))
    assert [len(image.dice) for image in read_run(folder, "val").images.values()] == [7, 7]


def test_a_cross_validation_s_own_record_comes_first_and_a_missing_file_is_named(tmp_path):
    folder = write_run(tmp_path / "run")
    assert read_run(folder, "val").run["parameters"] == 7
    (folder / "val" / "run.json").write_text(json.dumps({"parameters": 8}))
    assert read_run(folder, "val").run == {"parameters": 8}
    (folder / "val" / "detections.csv").unlink()
    with pytest.raises(RunError, match=r"detections\.csv: cannot be read"):
        read_run(folder, "val")


def test_folds_are_pooled_and_seeds_averaged(tmp_path):
    folds = [read_run(write_run(tmp_path / f"fold{k}", 2, first=10 * k), "val") for k in range(3)]
    (row,) = rows_of(folds)
    assert (len(row.seeds), len(row.seeds[0])) == (1, 6)
    assert [comparison_cells([row])[0][name] for name in ("F1", "PQ")] == [None, None]  # before, means over folds
    assert "F1 and PQ of folds that were tested apart are not known" in comparison_markdown([row], None)
    seeds = [read_run(write_run(tmp_path / f"seed{k}", 3, missed=k + 1, seed=k), "val") for k in range(2)]
    (row,) = rows_of(seeds)
    assert len(row.seeds) == 2
    assert comparison_cells([row])[0]["F1"] == pytest.approx((16 / 17 + 14 / 16) / 2)
    assert value(row, "found, %") == pytest.approx(100 * (8 + 7) / 18)
    assert np.std(row.seed_values("found, %"), ddof=1) == pytest.approx(100 / 9 / np.sqrt(2))


def test_runs_counted_from_other_scores_are_rows_of_their_own(tmp_path):
    folders = [write_run(tmp_path / name) for name in ("usual", "stricter")]
    file = folders[1] / "val" / "metrics.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"counted_from_score": 0.65}))
    rows = rows_of([read_run(folder, "val") for folder in folders])
    assert [row.name for row in rows] == ["some", "some, score ≥ 0.65"]


def test_a_training_that_was_stopped_is_a_row_of_its_own(tmp_path):
    """Before, it was averaged as another seed."""
    epochs = {"whole": 12, "stopped": 3, "second": 12}
    runs = [
        recorded(write_run(tmp_path / name, seed=seed), epochs=done, max_epochs=12)
        for seed, (name, done) in enumerate(epochs.items())
    ]
    assert [(row.name, len(row.seeds)) for row in rows_of(runs)] == [("some", 2), ("some, 3 of 12 epochs", 1)]


def test_differences_are_paired_and_said(tmp_path):
    base = read_run(write_run(tmp_path / "base", 4), "val")
    better = read_run(write_run(tmp_path / "better", 4, missed=1, config="configs/tio2/better.py"), "val")
    rows = rows_of([base, better], {better.folder: Recipe("better", ("epochs: 24 (12)", "lr: 1 (2)"))})
    found = difference(rows[1], rows[0], "found, %")
    assert (found.difference, found.images, found.method) == (pytest.approx(100 / 9), 4, "t")
    text = comparison_markdown(rows, rows[0])
    assert "\n- better: epochs: 24 (12); lr: 1 (2)\n" in text
    assert "epochs" not in text[: text.index("What the configs change from some")]
    assert "(t, n = 4)" in text
    assert comparison_cells(rows)[0]["training, min"] == 2.0
    assert "seeds averaged" in text
    assert "Rows of several seeds" not in text


def stated(folder, **values):
    """A run's folder with more in its metrics.json."""
    file = folder / "val" / "metrics.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
    return read_run(folder, "val")


def test_images_of_one_name_and_other_annotations_are_neither_paired_nor_averaged(tmp_path):
    """Before, the first images of any two data sets were compared, since sets number their images alike."""
    base = stated(write_run(tmp_path / "base"), annotations_sha256="1" * 64)
    for seed, (name, digest, alike) in enumerate((("a", "1" * 64, True), ("b", "2" * 64, False), ("c", None, True))):
        other = stated(write_run(tmp_path / name, missed=1, seed=seed + 1), annotations_sha256=digest)
        rows = rows_of([base, other], {other.folder: Recipe("other")})
        if alike:
            difference(rows[1], rows[0], "found, %")
            assert len(rows_of([base, other])[0].seeds) == 2
        else:
            with pytest.raises(RunError, match=r"base were judged by different annotations.* 1\.png; test both on"):
                difference(rows[1], rows[0], "found, %")
            with pytest.raises(RunError, match=r"base and .*b were judged by different annotations"):
                rows_of([base, other])


def test_two_tests_of_the_same_weights_are_no_two_seeds(tmp_path):
    """Before they were, where no `run.json` told a seed; what differs by the engine is a row of its own."""
    weights, other = ({"model": {"sha256": digit * 64, "engine": "torch"}} for digit in "12")
    one = stated(write_run(tmp_path / "one", seed=1), **weights)
    with pytest.raises(RunError, match=r"one and .*two are tests of the same weights; name one of them only"):
        rows_of([one, stated(write_run(tmp_path / "two", seed=2), **weights)])
    (row,) = rows_of([one, stated(write_run(tmp_path / "three", seed=2), **other)])
    assert len(row.seeds) == 2
    (tmp_path / "one" / "run.json").unlink()
    archive = {"model": weights["model"] | {"engine": "onnx"}}
    runs = [read_run(tmp_path / "one", "val"), stated(write_run(tmp_path / "archive"), **archive)]
    assert [row.name for row in rows_of(runs)] == ["some", "some, onnx"]
    folds = [{"sha256": "3" * 64}, {"sha256": "4" * 64}]
    with pytest.raises(RunError, match="are tests of the same weights"):
        rows_of(
            [stated(write_run(tmp_path / name, seed=k), checkpoint=folds) for k, name in enumerate(("five", "six"))]
        )


def test_figures_of_a_former_training_are_refused(tmp_path):
    """Before, they stood beside the seed, the start and the minutes of a training that was not tested."""
    folder = write_run(tmp_path / "run", seed=7)
    assert stated(folder, run_sha256=file_sha256(folder / "run.json")).run["seed"] == 7
    assert stated(folder, run_sha256=None).run == {}  # weights from elsewhere were tested
    assert stated(folder, run_sha256=file_sha256(folder / "run.json")).run["seed"] == 7
    with pytest.raises(
        RunError, match=r"val/metrics\.json: is a test of an earlier training than .*run\.json records; test the run"
    ):
        recorded(folder, seed=8)


def test_of_tests_that_do_not_state_their_training_the_checkpoint_is_asked(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "epoch_2.pth").write_text("weights")
    tested = {"path": "elsewhere/run/epoch_2.pth", "sha256": file_sha256(folder / "epoch_2.pth")}
    assert stated(folder, checkpoint=tested).run["seed"] == 0
    (folder / "epoch_2.pth").write_text("trained anew")
    with pytest.raises(RunError, match=r"is a test of an earlier training than"):
        read_run(folder, "val")
    (folder / "epoch_2.pth").unlink()
    assert read_run(folder, "val").run["seed"] == 0


def test_of_tests_that_do_not_state_their_annotations_the_particles_are_counted(tmp_path):
    runs = [read_run(write_run(tmp_path / name, seed=seed), "val") for seed, name in enumerate("ab")]
    fewer = dataclasses.replace(runs[1].images["2.png"], particles=8)
    other = dataclasses.replace(runs[1], images=runs[1].images | {"2.png": fewer})
    with pytest.raises(RunError, match=r"different annotations, though both have an image 2\.png"):
        rows_of([runs[0], other])


def recorded(folder, **values):
    """A run's folder with more in its run.json."""
    file = folder / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
    return read_run(folder, "val")


def test_seeds_are_one_row_whatever_their_folders_and_their_mean_and_spread_are_told(tmp_path):
    runs = [
        recorded(write_run(tmp_path / f"base_{k}", 3, missed=k + 1, seed=k), seconds=60.0 * (k + 1)) for k in range(3)
    ]
    other = read_run(write_run(tmp_path / "other", 3), "val")
    recipes = {run.folder: Recipe("some", (), "lr 1") for run in runs}
    recipes[other.folder] = Recipe("some", ("lr: 2 (1)",), "lr 2")
    rows = rows_of([runs[0], other, *runs[1:]], recipes)
    assert [(row.name, len(row.seeds)) for row in rows] == [("some, base_0", 3), ("some, other", 1)]
    first = comparison_cells(rows)[0]
    assert (first["seeds"], first["training, min"]) == (3, 2.0)
    assert first["found, %"] == pytest.approx(100 * 7 / 9)
    text = comparison_markdown(rows, rows[0])
    assert "after ±, the standard deviation" in text
    assert re.search(r"\| 77\.78 ± 11\.11 +\|", text)  # every image is alike: no interval, two digits
    assert difference(rows[1], rows[0], "found, %").difference == pytest.approx(0)  # seeds averaged


def test_weights_of_one_name_and_other_content_are_told_apart(tmp_path):
    runs = [read_run(write_run(tmp_path / f"run{k}", seed=k), "val") for k in range(3)]
    starts = [("ImageNet", ()), ("a epoch_1", ("1" * 64,)), ("a epoch_1", ("2" * 64,))]
    recipes = {run.folder: Recipe("some", (), "", *start) for run, start in zip(runs, starts, strict=True)}
    expected = ["ImageNet", "a epoch_1 11111111", "a epoch_1 22222222"]
    assert [cells["start"] for cells in comparison_cells(rows_of(runs, recipes))] == expected
    assert [cells["start"] for cells in comparison_cells(rows_of(runs[1:2], recipes))] == ["a epoch_1"]


@pytest.mark.parametrize(("images", "found"), [(4, "94"), (40, "94.4")])
def test_more_images_justify_more_digits(tmp_path, images, found):
    """In half of the images 1 of 9 is missed, in the others none: 17/18, known to 5 % of 4 images, to 1.7 % of 40."""
    runs = [read_run(write_run(tmp_path / str(k), images // 2, missed=k, first=100 * k), "val") for k in range(2)]
    (row,) = rows_of(runs)
    assert row.half_width("found, %") == pytest.approx(196 / 18 / np.sqrt(images), rel=0.3)
    header, _, cells, *_ = ([cell.strip() for cell in line.split("|")] for line in table_lines(row))
    assert dict(zip(header, cells, strict=True))["found, %"] == found


def table_lines(row):
    """Lines of the table of a single row."""
    return comparison_markdown([row], None).splitlines()


def test_one_seed_named_twice_is_refused(tmp_path):
    runs = [read_run(write_run(tmp_path / name, seed=5), "val") for name in ("one", "two")]
    with pytest.raises(RunError, match=r"one and .*two are trainings of the same settings and the same seed 5"):
        rows_of(runs)


def folds_of_two_seeds(tmp_path):
    """Two folds of seeds 1 and 2: of the first all are found but one an image, of the second all but four."""
    return {
        (seed, fold): read_run(
            write_run(tmp_path / f"seed{seed}fold{fold}", 2, 1 if seed == 1 else 4, seed, first=10 * fold), "val"
        )
        for seed in (1, 2)
        for fold in (0, 1)
    }


@pytest.mark.parametrize("order", list(itertools.permutations([(1, 0), (1, 1), (2, 0), (2, 1)])))
def test_folds_are_of_their_seed_in_whatever_order_they_are_named(tmp_path, order):
    """Before, the folds of two seeds were mixed: the first that had room took the next."""
    runs = folds_of_two_seeds(tmp_path)
    (row,) = rows_of([runs[key] for key in order])
    np.testing.assert_allclose(row.seed_values("found, %"), [100 * 8 / 9, 100 * 5 / 9])


def test_a_fold_named_twice_in_one_seed_is_refused(tmp_path):
    runs = [
        read_run(write_run(tmp_path / f"fold{k}", 2, seed=3, first=k), "val") for k in range(2)
    ]  # both have image 2
    with pytest.raises(
        RunError, match=r"fold0 and .*fold1 are trainings .* same seed 3, and both were tested on 2\.png"
    ):
        rows_of(runs)


def test_runs_that_do_not_tell_their_seed_are_joined_only_where_that_is_clear(tmp_path):
    runs = [dataclasses.replace(run, run={}) for run in folds_of_two_seeds(tmp_path).values()]
    (row,) = rows_of(runs[:2])  # two folds
    assert (len(row.seeds), len(row.seeds[0])) == (1, 4)
    (row,) = rows_of([runs[0], runs[2]])  # the same images twice
    assert len(row.seeds) == 2
    with pytest.raises(RunError, match=r"no run\.json tells which folds are of one seed"):
        rows_of(runs)
    told = list(folds_of_two_seeds(tmp_path / "told").values())
    with pytest.raises(RunError, match=r"seed1fold0: no run\.json tells the training's seed"):
        rows_of([runs[0], *told[1:]])


def test_the_spread_over_seeds_is_in_the_interval_of_two_rows_that_have_one(tmp_path):
    # every image of a seed is alike, so that images alone vary nothing
    runs = [
        read_run(write_run(tmp_path / f"{name}{k}", 20, missed, k, f"configs/tio2/{name}.py"), "val")
        for name, misses in (("base", (3, 4)), ("better", (1, 2)))
        for k, missed in enumerate(misses)
    ]
    base, better = rows_of(runs)
    found = difference(better, base, "found, %")
    assert (found.low, found.difference, found.high) == pytest.approx((100 / 9, 200 / 9, 300 / 9))
    assert "(bootstrap, n = 20; seeds 2, 2)" in str(found)
    (single,) = rows_of(runs[:1])
    alone = difference(better, single, "found, %")
    assert (alone.low, alone.high) == pytest.approx((100 / 6, 100 / 6))
    assert "seeds" not in str(alone)
