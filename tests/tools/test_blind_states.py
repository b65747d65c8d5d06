"""Contact sheets of particles with states: answers that repeat the annotation agree with it fully."""

import csv
import json

import cv2
import numpy as np
import pytest

from semsize.structures import CroppedMasks, dataset, image_entry, particle_entry, write_annotations

SHAPE = (96, 320)
STATES = ["isolated", "masked", "unusable", "touch_complete"]


@pytest.fixture
def annotations(tmp_path):
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    disks = np.array([(rows - 48) ** 2 + (columns - 50 - 70 * k) ** 2 <= 15**2 for k in range(4)])
    (tmp_path / "images" / "val").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "images" / "val" / "1.png"), np.where(disks.any(axis=0), 180, 40).astype(np.uint8))
    rles = CroppedMasks.from_full(disks).to_rles()
    image = image_entry(id=1, file_name="1.png", height=SHAPE[0], width=SHAPE[1])
    stated = enumerate(zip(rles, STATES, strict=True), start=1)
    particles = [particle_entry(id=n, image_id=1, rle=rle, state=state) for n, (rle, state) in stated]
    path = tmp_path / "annotations" / "val.json"
    path.parent.mkdir()
    write_annotations(path, dataset([image], particles))
    return path


def fill_in(folder, number, wrong=()):
    key = json.loads((folder / "key.json").read_text())
    letters = {"complete": "c", "masked": "m", "unusable": "u"}
    rows = [[place, letters[key["states"][of]]] for place, of in enumerate(key["orders"][str(number)])]
    for place in wrong:
        rows[place][1] = "x"
    with (folder / f"pass_{number}.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["number", "class"], *rows])


def test_answers_are_scored_against_each_other_and_the_annotation(annotations, tmp_path, run_tool):
    folder = tmp_path / "blind"
    name = "benchmarks/blind_states.py"
    assert run_tool(name, "sheets", annotations, "--number", "4", "--out", folder).returncode == 0
    picture = cv2.imread(str(folder / "pass_1_000.png"))
    assert picture.shape == (960, 1536, 3)
    assert picture[:192].any()
    assert not picture[192:].any()
    empty = run_tool(name, "score", folder)
    assert empty.returncode == 1
    assert "pass_1.csv: number 0 is ''" in empty.stderr
    for number in (1, 2):
        fill_in(folder, number)
    scored = run_tool(name, "score", folder)
    assert scored.stdout.count("1.000 ± 0.000") == 3
    assert scored.stdout.count("1.00 of 2") == 3  # isolated and touch_complete are complete
    fill_in(folder, 2, wrong=[3])
    assert "number 3 is 'x', not one of c, m, u" in run_tool(name, "score", folder).stderr
    assert (
        "4 particles have a state, not 5"
        in run_tool(name, "sheets", annotations, "--number", "5", "--out", tmp_path / "more").stderr
    )
