"""tools/correct.py as a user calls it: outlines made elsewhere, the search for images, errors in one line."""

import sys

import cv2
import numpy as np
import pytest
from measured_scenes import scene, write_scenes

from semsize.correcting import server
from semsize.measuring import MeasurementSettings, measure
from semsize.measuring.inputs import find_images
from semsize.measuring.outline_files import outlines_from_labels
from semsize.programs.correct import main


@pytest.fixture
def scans(tmp_path):
    """Two images and their label images, in the folders `in` and `labels`."""
    write_scenes(tmp_path / "in", 2)
    (tmp_path / "labels").mkdir()
    for number in range(2):
        labels = cv2.connectedComponents((scene(number) > 128).astype(np.uint8), connectivity=4)[1]
        cv2.imwrite(str(tmp_path / "labels" / f"scan {number}.png"), labels.astype(np.uint16))
    return tmp_path


@pytest.fixture
def sessions(monkeypatch):
    """What would be served: sessions, each with the address that it would have."""
    served = []

    def serve(session, listener, started):
        served.append((session, server.hosts_of(listener)[0]))
        started("http://address/")
        listener.close()

    monkeypatch.setattr(server, "serve", serve)
    return served


def error_of(*words):
    with pytest.raises(SystemExit) as ended:
        main([*map(str, words), "--port", "0", "--no-browser"])
    assert ended.value.code.startswith("error: ")
    assert "\n" not in ended.value.code
    return ended.value.code


def test_outlines_made_elsewhere_are_measured_and_served_with_their_images(scans, sessions, capsys):
    words = [scans / "in", "--from-labels", scans / "labels", "--out", scans / "out", "--port", "0", "--no-browser"]
    main([*map(str, words)])
    ((session, host),) = sessions
    assert host.startswith("127.0.0.1:")
    assert [image.file.name for image in session.results.images] == ["scan 0.tif", "scan 1.tif"]
    assert len(session.open(1, "page")["outlines"]) == 6
    assert (session.results.grey(session.results.images[1]) == scene(1)).all()
    assert "correct outlines at http://address/" in capsys.readouterr().out
    session.close()


def test_images_are_looked_for_here_and_beside_the_results_or_where_it_is_said(scans, sessions, monkeypatch):
    files = find_images([scans / "in"], scans / "out")
    measure(files, scans / "out", outlines_from_labels(scans / "labels", files), MeasurementSettings())
    (scans / "elsewhere").mkdir()
    monkeypatch.chdir(scans / "elsewhere")
    main([str(scans / "out"), "--port", "0", "--no-browser"])
    main([str(scans / "out"), "--images", str(scans / "in"), "--person", "Ada", "--port", "0", "--no-browser"])
    for session, _ in sessions:
        assert session.results.grey(session.results.images[0]).any()
    assert [path.resolve() for path in sessions[0][0].results.roots] == [scans / "elsewhere", scans]
    assert sessions[1][0].results.roots == [scans / "in"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "record.json"),
        (["one", "two"], "one folder of results"),
        (["in", "--from-labels", "labels"], "--out"),
        (["in", "--from-coco", "none.json", "--out", "out"], "none.json"),
        (
            ["in", "--from-labels", "labels", "--out", "out", "--model", "nosuch"],
            "no model 'nosuch' ships (there is: nc",
        ),
        (["in", "--from-labels", "labels", "--out", "out", "--model", "no.semsize"], "no.semsize does not exist"),
    ],
)
def test_what_cannot_be_corrected_is_one_line(scans, sessions, monkeypatch, words, said):
    monkeypatch.chdir(scans)
    assert said in error_of(*words)
    assert not sessions
    assert not (scans / "out" / "record.json").exists()


def test_another_address_and_a_busy_port_are_one_line_each(scans, sessions):
    files = find_images([scans / "in"], scans / "out")
    measure(files, scans / "out", outlines_from_labels(scans / "labels", files), MeasurementSettings())
    assert "--allow-remote" in error_of(scans / "out", "--host", "192.0.2.1")
    with server.bound_socket("127.0.0.1", 0) as other, pytest.raises(SystemExit, match=r"^error: port \d+ is taken; "):
        main([str(scans / "out"), "--no-browser", "--port", str(other.getsockname()[1])])
    assert not sessions


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_what_is_not_installed_is_named_with_the_command_that_installs_it(scans, monkeypatch, missing):
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "semsize.correcting.server")
    monkeypatch.setitem(sys.modules, missing, None)
    assert f"needs {missing}, which is not installed; pip install 'tio2[correct]'" in error_of(scans)
