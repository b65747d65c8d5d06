"""tools/benchmarks/cases.py tells right from wrong results, and runs a program on small inputs."""

import importlib
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "tools/benchmarks"
DISCS = [(20.5, 20.5, 13.0), (60.5, 30.5, 17.0)]
PICTURE = {"images/a.png": DISCS}


@pytest.fixture
def cases(monkeypatch):
    """The program, as a module."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("cases")


def verdict(cases, outcome, **expected):
    """Whether the judge lets an outcome pass; no other sub-case shares the command."""
    check = cases.Check("00", "some", "measure.py", **expected)
    return cases.judge(check, outcome, True, set(check.right or {}) | set(check.nm))[0]


def test_right_particles_pass_and_all_others_fail(cases):
    def of(found, code=0):
        return verdict(cases, cases.Outcome(code, "", {"images/a.png": found}), right=PICTURE)

    assert of([(21.0, 20.0, 13.5), DISCS[1]])
    assert not of(DISCS[:1])
    assert not of([*DISCS, DISCS[0]])
    assert not of([DISCS[0], (60.5, 30.5, 22.0)])
    assert not of([DISCS[0], (67.5, 30.5, 17.0)])
    assert not of(DISCS, code=3)


def test_particles_on_another_picture_are_a_fault(cases):
    assert not verdict(cases, cases.Outcome(0, "", {"images/a.png": DISCS, "images/b.png": DISCS[:1]}), right=PICTURE)


def test_left_out_passes_only_where_it_may_and_only_by_name(cases):
    silent, named = cases.Outcome(1, "error: nothing read"), cases.Outcome(1, "error: a.png is 5 x 6 on 9 x 9")
    assert verdict(cases, named, right=PICTURE, refused="5 x 6")
    assert not verdict(cases, named, right=PICTURE)
    assert not verdict(cases, silent, refused="5 x 6")
    assert not verdict(cases, cases.Outcome(0, "a.png is 5 x 6"), refused="5 x 6")
    assert not verdict(cases, cases.Outcome(3, "a.png is 5 x 6", {"images/a.png": DISCS}), refused="5 x 6")


def test_what_must_be_said_and_tracebacks(cases):
    right = cases.Outcome(0, "2 particles twice", {"images/a.png": DISCS})
    assert verdict(cases, right, right=PICTURE, said="twice")
    assert not verdict(cases, right, right=PICTURE, said="crowd")
    broken = cases.Outcome(1, "Traceback (most recent call last):\nKeyError: twice")
    assert not verdict(cases, broken, said="twice")


def test_pixel_sizes(cases):
    outcome = cases.Outcome(3, "LEFT OUT: c.tif: cannot understand 1/nm", nm={"a.tif": 7.344, "b.tif": None})
    shared = {"a.tif", "b.tif", "c.tif"}

    def of(name, nm, refused=""):
        check = cases.Check("00", name, "measure.py", nm={name: nm}, refused=refused)
        return cases.judge(check, outcome, False, shared)[0]

    assert of("a.tif", 7.344)
    assert not of("a.tif", 7.4)
    assert not of("a.tif", None)
    assert of("b.tif", None)
    assert not of("b.tif", 7.344)
    assert of("c.tif", None, "c.tif.*1/nm")
    assert not of("c.tif", 7.344)


@pytest.mark.parametrize(
    "command",
    [
        "measure.py in/images --from-labels in/labels --pixel-size 1nm",
        "dataset_converters/label_images.py --images in/images --labels in/labels --val 0",
    ],
)
def test_runs_a_program_and_reads_what_it_wrote(cases, tmp_path, command):
    labels = np.zeros((60, 90), np.uint8)
    for number, (x, y, diameter) in enumerate(DISCS, start=1):
        cv2.circle(labels, (int(x), int(y)), int(diameter / 2), number, -1)
    for folder, data in (("images", 40 + 60 * labels), ("labels", labels)):
        (tmp_path / "in" / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "in" / folder / "a.png"), data)
    shutil.copyfile(tmp_path / "in/images/a.png", tmp_path / "in/a.png")  # an equal picture that is not meant
    outcome = cases.run(command, "results", tmp_path, set(PICTURE))
    assert verdict(cases, outcome, right=PICTURE)


def test_says_in_one_line_that_the_cases_are_not_here(cases, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        cases.main(["--cases", str(tmp_path / "none")])
    assert ended.value.code == 2
    assert len(capsys.readouterr().out.splitlines()) == 1
