"""tools/benchmarks/area.py with an engine of known speed, on an image with known particles."""

import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from tool_modules import tool_module

from scenes import squares
from semsize.detecting import looking
from semsize.detecting.engine import Found
from semsize.detecting.looking import Looking
from semsize.structures.masks import CroppedMasks

tool = tool_module("benchmarks/area")

SHAPE = (150, 200)  # 0.03 megapixels, a hundredth of 3
IN_NETWORK_S, BESIDE_S = 3.0, 1.0
SURE = 200  # grey level of what the engine finds with 0.9; what is darker has 0.4


class FakeDetector:
    """Finds what is bright in a window, in `IN_NETWORK_S` of a clock that stands still otherwise."""

    looking = Looking((1.0,))

    def __init__(self, clock):
        self.clock = clock

    def engine(self, windows, scale, sizes):  # noqa: ARG002 - the interface of an engine
        self.clock.now += IN_NETWORK_S * len(windows)
        return [self.found(window) for window in windows]

    def found(self, window):
        _, labels = cv2.connectedComponents((window > 50).astype(np.uint8))
        masks = CroppedMasks.from_label_image(labels)
        corners = masks.origins
        scores = np.where(window[corners[:, 0], corners[:, 1]] >= SURE, 0.9, 0.4).astype(np.float32)
        return Found(masks, scores, masks.boxes)


@pytest.fixture
def image(tmp_path):
    """Two bright squares and a doubtful one, off the border."""
    grey = np.full(SHAPE, 20, np.uint8)
    grey[squares(SHAPE, [(20, 30), (60, 110)], 12).union() > 0] = SURE
    grey[squares(SHAPE, [(100, 40)], 9).union() > 0] = 120
    cv2.imwrite(str(tmp_path / "scene.png"), grey)
    return tmp_path / "scene.png"


@pytest.fixture
def measured(image, monkeypatch, capsys):
    """Runs the program, its processes in this one; gives the rows by megapixels, and what a detector is built of."""
    clock, built = SimpleNamespace(now=0.0), []
    look, settings = looking.look, Config({"model": {"test_cfg": {"rpn": {"nms_pre": 1000, "max_per_img": 500}}}})

    def slow_look(*given):
        clock.now += BESIDE_S
        return look(*given)

    def open_detector(request):
        built.append(request)
        return SimpleNamespace(read_config=lambda: settings.copy(), checkpoint="some.pth"), ()

    def build(config, checkpoint):
        built.append((config.model.test_cfg.rpn.to_dict(), checkpoint))
        return FakeDetector(clock)

    def run(command, **_):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", command[1:])
            tool.main()
        return subprocess.CompletedProcess(command, 0, capsys.readouterr().out, "")

    monkeypatch.setattr("tio2.engine.processes.keep_freed_memory", lambda: None)
    monkeypatch.setattr("tio2.detector_source.open_detector", open_detector)
    monkeypatch.setattr("tio2.inference.Detector", build)
    monkeypatch.setattr(looking, "look", slow_look)
    monkeypatch.setattr(tool, "subprocess", SimpleNamespace(run=run))
    monkeypatch.setattr(tool, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    def program(*words):
        monkeypatch.setattr(sys, "argv", ["area.py", str(image), *map(str, words)])
        tool.main()
        lines = capsys.readouterr().out.splitlines()[2:]
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        return {cells[0]: dict(zip(tool.HEADER, cells, strict=True)) for cells in rows}, built

    return program


def test_particles_go_with_the_area_and_seconds_with_the_tiles(measured, tmp_path):
    rows, _ = measured("--megapixels", 12, 0.03, 3, "--out", tmp_path / "area.png")
    assert list(rows) == ["0.03", "3", "12"]
    assert [row["particles"] for row in rows.values()] == ["2", "200", "800"]
    in_one_tile, in_two = IN_NETWORK_S + BESIDE_S, 2 * IN_NETWORK_S + BESIDE_S  # 12 megapixels are 4000 px wide
    assert [row["s"] for row in rows.values()] == [f"{s:.1f}" for s in (in_one_tile, in_one_tile, in_two)]
    assert [row["joining, %"] for row in rows.values()] == ["25.0", "25.0", f"{100 / 7:.1f}"]
    assert [row["times the reference"] for row in rows.values()] == ["–", "1.00", f"{in_two / in_one_tile:.2f}"]
    assert rows["12"]["quartiles"] == f"{in_two:.1f}-{in_two:.1f}"
    assert rows["12"]["scales"] == "1"
    assert all(float(row["memory, MiB"]) > 1 for row in rows.values())
    assert (tmp_path / "area.png").stat().st_size > 1000


def test_limits_of_proposals_and_scales_are_those_asked_for(measured):
    _, (request, (limits, checkpoint)) = measured(
        "--megapixels", 0.03, "--limits", 4, "--scales", "0.5,1.5", "--repeats", 1
    )
    assert request.scales == (0.5, 1.5)
    assert (limits["nms_pre"], limits["max_per_img"]) == (4000, 2000)
    assert checkpoint == "some.pth"


@pytest.mark.parametrize("factor", [0.5, 1, 1.5, 2])
def test_a_larger_image_continues_as_its_mirror_image_and_a_smaller_one_is_a_part(factor):
    grey = np.random.default_rng(0).integers(0, 255, (60, 80)).astype(np.float32)
    found = tool.of_area(grey, grey.size * factor**2 / 1e6)
    assert found.shape == (60 * factor, 80 * factor)
    mirrored = np.block([[grey, grey[:, ::-1]], [grey[::-1], grey[::-1, ::-1]]])
    np.testing.assert_array_equal(found, mirrored[: found.shape[0], : found.shape[1]])


def test_a_size_that_fails_ends_the_program_in_one_line(measured, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "Traceback\nMemoryError: too large")
    monkeypatch.setattr(tool, "subprocess", SimpleNamespace(run=lambda *_, **__: failed))
    with pytest.raises(SystemExit) as ended:
        measured("--megapixels", 64)
    assert str(ended.value) == "error: 64 megapixels: MemoryError: too large"
