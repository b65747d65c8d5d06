"""The correction page's server withstands each attack in the table of docs/correct.md and answers the page."""

import dataclasses
import doctest
import json
import os
import re
import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import cv2
import numpy as np
import pytest
from correcting_scenes import EllipseSource
from measured_scenes import BrightSource, scene
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import semsize.correcting.doubts
import semsize.correcting.edits
import semsize.correcting.results
from semsize.correcting import CorrectionError
from semsize.correcting.doubts import Doubts, prediction_doubts
from semsize.correcting.edits import MOST_WAITING, BoxFiller
from semsize.correcting.guard import HEADERS, MOST_BODY_BYTES, MOST_WRONG_TOKENS, Keys
from semsize.correcting.results import CorrectedResults
from semsize.correcting.server import FILES, application, bound_socket, hosts_of
from semsize.correcting.session import Session
from semsize.correcting.source import changes_of
from semsize.measuring.inputs import InputError
from semsize.measuring.particle_table import VISIBILITY_COLUMNS
from semsize.structures.masks import CroppedMasks

PAGE = Path(semsize.correcting.edits.__file__).parent / "page"
BASE = "http://127.0.0.1:8642"
JSON = {"content-type": "application/json"}


def nothing_installed():
    raise InputError("the engine onnx cannot be loaded (No module named 'onnxruntime'), install it with pip")


class Browser:
    """A client that has entered, as a browser at the page."""

    def __init__(self, results, person=None, filler=None):
        self.session = Session(results, person, filler)
        self.keys = Keys(8642)
        self.app = application(self.session, ["127.0.0.1:8642", "localhost:8642"], self.keys)
        self.client = TestClient(self.app, base_url=BASE, raise_server_exceptions=True)

    def enter(self):
        assert self.post("/api/enter", {"token": self.keys.token}).status_code == 200
        return self

    def post(self, path, content, **headers):
        sent = {"origin": BASE, **JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.client.post(path, content=data, headers=sent)

    def open(self, number=1, page="one", **more):
        return self.post(f"/api/images/{number}/open", {"page": page, **more}).json()

    def edit(self, content, number=1, page="one"):
        return self.post(f"/api/images/{number}/edit", {"page": page, **content})


@pytest.fixture
def browser(results):
    made = Browser(results).enter()
    yield made
    made.session.close()


def log_lines(results, number=1):
    path = results.log_path(results.image(number))
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()] if path.is_file() else []


# ---- the attack table


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:8642.evil.example", ""])
def test_attack_dns_rebinding_another_host_is_refused(browser, host):
    answer = browser.client.get("/api/images", headers={"host": host})
    assert answer.status_code == 421
    assert browser.client.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:8642", None]
)
def test_attack_another_site_s_post_is_refused(browser, results, origin):
    browser.open()
    headers = {**JSON, **({} if origin is None else {"origin": origin})}
    content = json.dumps({"page": "one", "kind": "delete", "ids": [1]})
    answer = browser.client.post("/api/images/1/edit", content=content, headers=headers)
    assert answer.status_code == 403
    assert len(log_lines(results)) == 1


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_attack_another_site_cannot_embed_a_picture(browser, site):
    answer = browser.client.get("/api/images/1/picture.png", headers={"sec-fetch-site": site})
    assert answer.status_code == 403


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_attack_a_form_cannot_post(browser, kind):
    answer = browser.post("/api/images/1/open", {"page": "one"}, content_type=kind)
    assert answer.status_code == 415


def test_attack_without_the_cookie_nothing_is_shown_or_changed(results):
    stranger = Browser(results)
    for path in ("/api/images", "/api/images/1/picture.png"):
        assert stranger.client.get(path).status_code == 401
    for path in ("/api/images/1/open", "/api/images/1/edit", "/api/leave"):
        assert stranger.post(path, {"page": "one"}).status_code == 401
    name = stranger.keys.cookie_name
    for cookie in (f"{name}=", f"{name}=x", "nonsense; =;;", f"other={stranger.keys.token}"):
        assert stranger.client.get("/api/images", headers={"cookie": cookie}).status_code == 401


def test_attack_the_token_is_good_once_and_is_not_guessed(results):
    guessing = Browser(results)
    token = guessing.keys.token
    assert len(token) >= 40
    for wrong in ("", "x", None, ["x"], token[:-1], token + "x"):
        assert guessing.post("/api/enter", {"token": wrong}).status_code == 403
    guessing.enter()
    assert guessing.post("/api/enter", {"token": token}).status_code == 403
    stubborn = Browser(results)
    for _ in range(MOST_WRONG_TOKENS):
        stubborn.post("/api/enter", {"token": "x"})
    assert stubborn.post("/api/enter", {"token": stubborn.keys.token}).status_code == 403


def test_attack_scripts_and_other_sites_cannot_take_the_cookie(results):
    entering = Browser(results)
    cookie = entering.post("/api/enter", {"token": entering.keys.token}).headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert entering.keys.token is None


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_attack_other_methods_are_refused(browser, method):
    assert browser.client.request(method, "/api/images", headers={"origin": BASE}).status_code == 405


@pytest.mark.parametrize("name", ["open", "edit", "undo", "redo", "scale"])
def test_attack_a_get_changes_nothing(browser, results, name):
    browser.open()
    before = results.log_path(results.image(1)).read_bytes()
    assert browser.client.get(f"/api/images/1/{name}?page=one&kind=delete&ids=1").status_code == 405
    assert browser.client.get("/api/enter").status_code == 405
    assert results.log_path(results.image(1)).read_bytes() == before


def test_attack_websockets_are_refused(browser):
    with pytest.raises(WebSocketDisconnect), browser.client.websocket_connect("/api/images", headers={"origin": BASE}):
        pass


@pytest.mark.parametrize(
    "path",
    ["/../results.py", "/page/../guard.py", "/%2e%2e/guard.py", "/api/images/../../../etc/passwd", "/guard.py",
     "/api/images/1/picture.png/../../../x", "//etc/passwd", "/page.html", "/api/images/1", "/api/images/x/picture.png",
     "/api/images/1e3/picture.png", "/api/images/-1/picture.png"],
)  # fmt: skip
def test_attack_no_path_leads_to_another_file(browser, path):
    assert browser.client.get(path).status_code in (404, 405)


@pytest.mark.parametrize("number", [0, 3, 10**30])
def test_attack_no_number_leads_to_another_image(browser, number):
    assert browser.client.get(f"/api/images/{number}/picture.png").status_code == 400
    assert browser.post(f"/api/images/{number}/open", {"page": "one"}).status_code == 400


def test_attack_a_file_that_is_not_the_measured_one_is_not_served(results, measured_once, tmp_path):
    (tmp_path / "here").mkdir()
    os.symlink(measured_once / "scans" / "a.tif", tmp_path / "here" / "a.tif")
    linked = Browser(CorrectedResults(results.folder, [tmp_path / "here"])).enter()
    answer = linked.client.get("/api/images/1/picture.png")
    assert answer.status_code == 400
    assert "--images" in answer.json()["error"]


def test_attack_every_answer_forbids_framing_sniffing_referrers_and_foreign_scripts(browser):
    answers = [browser.client.get(path) for path in (*FILES, "/api/images", "/api/images/1/picture.png", "/nothing")]
    answers += [browser.client.get("/", headers={"host": "x"}), browser.post("/api/images/1/edit", b"x")]
    for answer in answers:
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_attack_names_reach_the_page_as_text_alone():
    scripts = "".join(path.read_text(encoding="utf-8") for path in PAGE.glob("*.js"))
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|setAttribute\(.on|srcdoc"
    assert not re.findall(forbidden, scripts)
    html = (PAGE / "page.html").read_text(encoding="utf-8")
    assert not re.findall(
        r"https?:|<style|style=|\son\w+=|<script(?! type=\"module\" src=\"/page\.js\"></script>)", html
    )
    assert not re.findall(r"url\(|@import|https?:", (PAGE / "page.css").read_text(encoding="utf-8"))


def test_attack_a_body_is_bounded(browser):
    large = b'{"page": "one", "x": "' + b"x" * MOST_BODY_BYTES + b'"}'
    assert browser.post("/api/images/1/open", large).status_code == 413

    def in_pieces():
        for _ in range(MOST_BODY_BYTES // 2**14 + 2):
            yield b" " * 2**14

    answer = browser.client.post("/api/images/1/open", content=in_pieces(), headers={"origin": BASE, **JSON})
    assert answer.status_code == 413
    for length in ("-1", "1e9", "9" * 5000):
        assert browser.post("/api/images/1/open", b"{}", content_length=length).status_code == 413


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"7", b"null", b"{", b"\xff\xfe", b'"' + b"x" * 1000 + b'"', b"[" * 100_000, b'{"a":' * 100_000],
)
def test_attack_what_is_no_json_object_is_refused_in_one_line(browser, body):
    for path in ("/api/images/1/open", "/api/images/1/edit", "/api/enter", "/api/leave"):
        answer = browser.post(path, body)
        assert answer.status_code == 400
        assert "\n" not in answer.json()["error"]


NUMBERS = [None, True, "7", 1.5, 1e308, -1, 10**30, [], {}]
BAD_EDITS = [
    {},
    {"kind": []},
    {"kind": "explode", "ids": [1]},
    *({"kind": "delete", "ids": value} for value in [None, 7, {}, "123", [[1]], list(range(100_001))]),
    *({"kind": "delete", "ids": [value]} for value in NUMBERS),
    *({"kind": "merge", "ids": ids} for ids in ([], [1], [1, 99])),
    *({"kind": "state", "ids": [1], "state": value} for value in ["round", 7, [], {}, "", "isolated\n"]),
    *({"kind": "particle", "ids": [1], "is_particle": value} for value in [None, 0, "false"]),
    *({"kind": "polygon", "points": value} for value in [None, {}, [], [[0, 0]] * 2, [[0, 0, 0]] * 4, [[0, "1"]] * 4]),
    {"kind": "polygon", "points": [[0, 0], [1, 0], [1, 1]] * 7000},
    {"kind": "polygon", "points": [[1e9, 0], [1e9, 1], [1e9, 2]]},
    {"kind": "polygon", "points": [[5000, 0], [5010, 0], [5005, 9]]},
    *({"kind": "ellipse", "center": [20, 20], "radii": value} for value in [None, [1], [0, 0], [-1, 5], [1e300, 2]]),
    {"kind": "ellipse", "center": [20, 20], "radii": [3, 3], "angle": None},
    {"kind": "split", "id": 1, "points": [[0, 0], [1, 1]]},
    {"kind": "split", "id": 77, "points": [[0, 0], [1, 1]]},
    *({"kind": "push", "id": 1, "points": [[40, 40]], "radius": r, "adds": True} for r in [None, 0, -1, 501, 1e30]),
    {"kind": "push", "id": 1, "points": [[0, 0], [199, 127]] * 9000, "radius": 400, "adds": True},
    {"kind": "push", "id": 1, "points": [[40, 40]], "radius": 5, "adds": 1},
    {"kind": "push", "id": 1, "points": [[110, 40]], "radius": 300, "adds": False},
]


@pytest.mark.parametrize("content", BAD_EDITS, ids=lambda content: json.dumps(content)[:60])
def test_attack_what_is_no_change_is_refused_in_one_line_and_changes_nothing(browser, results, content):
    browser.open()
    before = results.log_path(results.image(1)).read_bytes()
    answer = browser.edit(content)
    assert answer.status_code == 400
    assert "\n" not in answer.json()["error"]
    assert results.log_path(results.image(1)).read_bytes() == before


def test_attack_no_number_but_a_finite_one_is_read(browser):
    browser.open()
    for word in ("NaN", "Infinity", "-Infinity", "1e999"):
        body = f'{{"page": "one", "kind": "polygon", "points": [[0, 0], [9, 0], [9, {word}]]}}'
        assert browser.post("/api/images/1/edit", body.encode()).status_code == 400


def test_attack_no_name_brings_a_line_into_a_log(results):
    browser = Browser(results, person='A\nB {"kind": "delete"}\r\u2028').enter()
    browser.open()
    assert browser.edit({"kind": "state", "ids": [1], "state": "isolated"}).status_code == 200
    lines = log_lines(results)
    assert len(lines) == 2
    assert lines[1]["person"] == 'A\nB {"kind": "delete"}\r\u2028'


@pytest.mark.parametrize("page", [None, 7, "", "x" * 65, [], {}])
def test_attack_a_page_without_a_sensible_name_is_refused(browser, page):
    assert browser.post("/api/images/1/open", {"page": page}).status_code == 400


def test_attack_files_beside_the_results_are_written_in_their_folder_only(browser, results, tmp_path):
    def others():
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    before = others()
    browser.open()
    browser.edit({"kind": "delete", "ids": [1]})
    browser.post("/api/leave", {"page": "one"})
    new = others().keys() - before.keys()
    assert {path.relative_to(results.folder).parts[0] for path in new} == {"corrections", "corrections.json"}
    assert all(not stat.S_IMODE(path.stat().st_mode) & 0o111 for path in new)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "example.com", "192.0.2.1", "10.0.0.1", "127.0.0.1.evil.example", ""]
)
def test_attack_another_address_than_this_machine_s_own_needs_to_be_allowed(host):
    with pytest.raises(CorrectionError, match="--host"):
        bound_socket(host, 0)
    if host in ("0.0.0.0", "::"):
        with pytest.raises(CorrectionError, match="--host"):
            bound_socket(host, 0, allow_remote=True)


# ---- what a page is answered


def test_a_busy_port_is_one_clear_line():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(CorrectionError, match=r"^port \d+ is taken; [^\n]*--port 0[^\n]*$"):
            bound_socket("127.0.0.1", other.getsockname()[1])
    with bound_socket("localhost", 0) as free:
        port = free.getsockname()[1]
        assert hosts_of(free) == [f"127.0.0.1:{port}", f"localhost:{port}"]


def test_the_page_s_files_are_there_and_complete(browser):
    assert {name for name, _ in FILES.values()} == {path.name for path in PAGE.iterdir()}
    for path, (_, kind) in FILES.items():
        answer = browser.client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)


def test_an_image_comes_with_its_outlines_and_picture(browser, results):
    image = browser.open()
    assert (image["rows"], image["columns"], image["read_only"], image["done"]) == (128, 200, None, 0)
    assert [row["id"] for row in image["outlines"]] == list(range(1, 7))
    assert [row["counted"] for row in image["outlines"]] == [True, False] * 3
    assert image["outlines"][0]["counts"] == results.corrected(results.image(1)).outlines[1].counts
    data = browser.client.get("/api/images/1/picture.png").content
    assert (cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) == scene(0)).all()


def test_a_change_is_in_the_log_when_it_is_answered_and_undo_and_redo_are_too(browser, results):
    browser.open()
    image = results.image(1)

    def on_disk():
        result = results.detected(image)
        return results.corrected(image, result)

    answer = browser.edit({"kind": "polygon", "points": [[10, 100], [30, 100], [30, 120], [10, 120]]}).json()
    assert [row["id"] for row in answer["outlines"]] == [7]
    assert on_disk().masks([7]).areas.tolist() == [400]
    answer = browser.edit({"kind": "split", "id": 7, "points": [[20, 90], [20, 127]]}).json()
    assert (answer["gone"], [row["id"] for row in answer["outlines"]]) == ([7], [8, 9])
    assert answer["done"] == 2
    answer = browser.post("/api/images/1/undo", {"page": "one"}).json()
    assert (answer["gone"], [row["id"] for row in answer["outlines"]]) == ([8, 9], [7])
    assert sorted(on_disk().outlines) == list(range(1, 8))
    answer = browser.post("/api/images/1/redo", {"page": "one"}).json()
    assert (answer["done"], answer["undone"]) == (2, 0)
    assert sorted(on_disk().outlines) == [*range(1, 7), 8, 9]
    assert [line["kind"] for line in log_lines(results)[1:]] == ["add", "split", "undo", "redo"]


def test_accepting_a_detection_of_a_low_score_makes_it_count(browser):
    browser.open()
    (row,) = browser.edit({"kind": "particle", "ids": [2], "is_particle": True}).json()["outlines"]
    assert (row["counted"], row["doubt"]) == (True, 0)
    (row,) = browser.edit({"kind": "particle", "ids": [2], "is_particle": False}).json()["outlines"]
    assert not row["counted"]


def test_a_second_page_looks_only_until_it_takes_over_or_the_first_leaves(browser):
    assert browser.open(page="one")["read_only"] is None
    second = browser.open(page="two")
    assert "this page is read-only" in second["read_only"]
    refused = browser.edit({"kind": "delete", "ids": [1]}, page="two")
    assert (refused.status_code, refused.json()["read_only"]) == (409, True)
    assert browser.open(page="two", take=True)["read_only"] is None
    assert browser.edit({"kind": "delete", "ids": [1]}, page="one").status_code == 409
    assert browser.edit({"kind": "delete", "ids": [1]}, page="two").status_code == 200
    browser.open(2, page="two")
    assert browser.open(page="one")["read_only"] is None
    browser.post("/api/leave", {"page": "one"})
    assert browser.open(page="three")["read_only"] is None


def test_an_image_that_another_process_corrects_is_shown_as_it_is_there(browser, results):
    image = results.image(1)
    with results.open_log(image, results.detected(image)) as log:
        log.apply(log.corrections.delete([1]))
        shown = browser.open()
        assert "another process is correcting it" in shown["read_only"]
        assert [row["id"] for row in shown["outlines"]] == [2, 3, 4, 5, 6]
        assert browser.edit({"kind": "delete", "ids": [2]}).status_code == 409
    assert browser.open()["read_only"] is None


def test_a_damaged_log_is_said_and_left(browser, results):
    browser.open()
    browser.edit({"kind": "delete", "ids": [1]})
    browser.post("/api/leave", {"page": "one"})
    path = results.log_path(results.image(1))
    path.write_bytes(path.read_bytes() + b"[]\n")
    answer = browser.post("/api/images/1/open", {"page": "one"})
    assert answer.status_code == 400
    assert "line 3" in answer.json()["error"]


def test_corrections_json_is_written_when_a_page_leaves_or_the_server_ends(browser, results):
    file = results.folder / "corrections.json"
    browser.open()
    browser.edit({"kind": "delete", "ids": [1]})
    assert not file.exists()
    browser.open(2)
    assert len(json.loads(file.read_text())["annotations"]) == 5
    browser.edit({"kind": "delete", "ids": [1]}, number=2)
    browser.session.close()
    assert len(json.loads(file.read_text())["annotations"]) == 4


def test_a_scale_bar_is_kept_where_no_pixel_size_is_known(browser, results):
    browser.open(1)
    bar = {"page": "one", "ends": [[10, 10], [110, 10]], "length": "200 nm", "reach": 1}
    assert browser.post("/api/images/1/scale", bar).status_code == 400
    browser.open(2)
    answer = browser.post("/api/images/2/scale", bar).json()
    assert answer["scale"]["nm_per_px"] == 2
    assert browser.open(2)["scale"]["length_nm"] == 200
    assert results.scale(results.image(2)).length_px == 100


def test_doubt_is_one_at_the_limit_of_the_score_and_the_share_of_an_overlap(results):
    image = results.image(1)
    result = results.detected(image)
    state = results.corrected(image, result)
    doubts = Doubts(state, result, 0.5)
    near = [(1 - score) / 0.5 if score >= 0.5 else score / 0.5 for score in result.scores]
    assert [*doubts.of(range(1, 7)).values()] == pytest.approx(near)
    ((crop, (row, column)),) = state.masks([3])
    operation = state.add((crop, (row, column - 4)))
    state.apply(operation)
    assert doubts.renew(operation.after) == {3}
    share = (crop[:, 4:] & crop[:, :-4]).sum() / crop.sum()
    assert 0.5 < share < 1
    assert [*doubts.of([3, 7]).values()] == pytest.approx([share, share])
    assert doubts.of([3, 7]) == Doubts(state, result, 0.5).of([3, 7])


def test_outlines_that_overlap_by_more_than_half_are_said_and_doubtful_until_somebody_accepts_them(browser, results):
    browser.open()
    x1, y1, x2, y2 = results.corrected(results.image(1)).masks([3]).boxes[0].tolist()

    def doubts():
        return {row["id"]: row["doubt"] for row in browser.open()["outlines"]}

    before = doubts()
    around = {"kind": "polygon", "points": [[x1, y1], [x2, y1], [x2, y2], [x1, y2]]}
    answer = browser.edit(around).json()
    assert answer["note"] == "overlaps outline 3 by 100 %: delete one of them"
    assert {row["id"]: row["doubt"] for row in answer["outlines"]} == {3: 1, 7: 1}
    assert doubts() == before | {3: 1, 7: 1}
    (row, other) = browser.edit({"kind": "particle", "ids": [7], "is_particle": True}).json()["outlines"]
    assert (row["id"], row["doubt"], other["id"], other["doubt"]) == (3, 1, 7, 0)
    answer = browser.edit({"kind": "delete", "ids": [7]}).json()
    assert [(row["id"], row["doubt"]) for row in answer["outlines"]] == [(3, before[3])]
    assert doubts() == before
    answer = browser.post("/api/images/1/undo", {"page": "one"}).json()
    assert answer["note"] is None
    half = {"kind": "polygon", "points": [[x1, y1], [(x1 + x2) / 2 - 4, y1], [(x1 + x2) / 2 - 4, y2], [x1, y2]]}
    browser.edit({"kind": "delete", "ids": [7]})
    browser.edit({"kind": "push", "id": 3, "points": [[x1, y1], [x1, y2]], "radius": 9, "adds": False})
    answer = browser.edit(half).json()
    assert answer["note"] is None
    assert answer["outlines"][-1]["doubt"] == 0


def test_predicted_states_are_shown_and_doubted_until_somebody_gives_one(predicted):
    browser = Browser(predicted).enter()
    rows = browser.open()["outlines"]
    assert [row["predicted"]["state"] for row in rows] == ["isolated"] * 2 + ["masked"] + ["isolated"] * 3
    assert rows[2]["predicted"]["probability"] == 0.6
    assert rows[2]["state"] is None, "a predicted state that stood there would count as a certain one"
    of_score = [(1 - row["score"]) / 0.5 if row["score"] >= 0.5 else row["score"] / 0.5 for row in rows]
    expected = [*of_score[:2], max(of_score[2], 1 - 0.6), *of_score[3:]]
    assert [row["doubt"] for row in rows] == pytest.approx(expected, abs=2e-3)
    (accepted,) = browser.edit({"kind": "particle", "ids": [3], "is_particle": True}).json()["outlines"]
    assert accepted["predicted"]["state"] == "masked", "its mask is as it was"
    (given,) = browser.edit({"kind": "state", "ids": [3], "state": "complete"}).json()["outlines"]
    assert (given["state"], given["predicted"], given["doubt"]) == ("complete", None, 0)
    (unknown,) = browser.edit({"kind": "state", "ids": [3], "state": None}).json()["outlines"]
    assert (unknown["state"], unknown["predicted"]) == (None, None), "a person said that it is not known"
    browser.session.close()


def test_a_stroke_that_changes_nothing_and_an_outline_beside_the_frame_are_refused(results):
    part = results.files_of(results.image(1))[0]
    data = json.loads(part.read_text(encoding="utf-8"))
    masks = CroppedMasks.from_rles(data["rles"], tuple(data["file_shape"]))
    kept = [number for number, box in enumerate(masks.boxes) if box[3] <= 100]
    data |= {
        name: [data[name][number] for number in kept] for name in ("rles", "scores", "boxes", "states", "on_caption")
    }
    part.write_text(json.dumps(data | {"frame_rows": 100}), encoding="utf-8")
    browser = Browser(results).enter()
    browser.open()
    stroke = {"kind": "push", "id": 1, "points": [[150, 90], [160, 90]], "radius": 2, "adds": False}
    assert "changes nothing of outline 1" in browser.edit(stroke).json()["error"]
    below = {"kind": "polygon", "points": [[20, 105], [40, 105], [40, 120], [20, 120]]}
    assert "only rows 0 to 100 are measured" in browser.edit(below).json()["error"]
    assert log_lines(results) == [] or len(log_lines(results)) == 1  # the log's head
    browser.session.close()


def test_a_masked_one_is_doubted_by_the_interval_of_its_size():
    seen = {name: np.zeros(4) for name in VISIBILITY_COLUMNS} | {"p_particle": np.array([1.0, 1.0, 1.0, np.nan])}
    seen |= {"p_masked": np.array([1.0, 0.0, 1.0, np.nan]), "p_complete": np.array([0.0, 1.0, 0.0, np.nan])}
    seen |= {"whole_ecd_px": np.full(4, 20.0), "whole_ecd_low_px": np.array([10.0, 10.0, np.nan, 10.0])}
    seen |= {"whole_ecd_high_px": np.full(4, 26.0)}
    assert prediction_doubts(seen, np.zeros(4, bool)).tolist() == pytest.approx([0.4, 0, 0, 0])


def test_a_box_is_filled_by_a_network_that_is_loaded_once_and_named_in_the_log(results):
    source = EllipseSource()
    browser = Browser(results, filler=BoxFiller(lambda: source)).enter()
    browser.open()
    assert source.opened == 0
    first = browser.edit({"kind": "box", "points": [[40, 60], [20, 90]]}).json()
    second = browser.edit({"kind": "box", "points": [[120.5, 60], [150, 90]]}).json()
    assert [row["id"] for row in (*first["outlines"], *second["outlines"])] == [7, 8]
    assert source.opened == 1
    image = results.image(1)
    state = results.corrected(image)
    assert state.masks([7]).boxes[0].tolist() == [20, 60, 40, 90]
    assert state.masks([7]).areas[0] == pytest.approx(np.pi * 10 * 15, rel=0.03)
    lines = log_lines(results)
    assert [line["kind"] for line in lines[1:]] == ["add", "add"]
    assert lines[1]["source"] == f"ellipses.semsize in a box, SHA-256 {'0' * 64}"
    assert state.done[0].source == lines[1]["source"]
    assert browser.post("/api/images/1/undo", {"page": "one"}).status_code == 200
    assert browser.post("/api/images/1/redo", {"page": "one"}).status_code == 200
    assert changes_of(results.detected(image), results.corrected(image), 0.5).filled == 2
    browser.session.close()


def test_a_box_is_in_the_file_s_rows_also_below_a_data_bar_at_the_top(results, monkeypatch):
    source, detected = EllipseSource(), CorrectedResults.detected
    monkeypatch.setattr(
        CorrectedResults,
        "detected",
        lambda self, image: dataclasses.replace(detected(self, image), top=50, frame_rows=70),
    )
    browser = Browser(results, filler=BoxFiller(lambda: source)).enter()
    browser.open()
    assert browser.edit({"kind": "box", "points": [[20, 60], [40, 90]]}).status_code == 200
    assert source.seen == [(70, 200)]
    assert results.corrected(results.image(1)).masks([7]).boxes[0].tolist() == [20, 60, 40, 90]
    browser.session.close()


def test_attack_boxes_that_wait_are_bounded_and_others_are_answered_meanwhile(results):
    source = EllipseSource(goes_on=threading.Event())
    browser = Browser(results, filler=BoxFiller(lambda: source)).enter()
    browser.open()
    box = {"kind": "box", "points": [[20, 60], [40, 90]]}
    with ThreadPoolExecutor(MOST_WAITING + 1) as pool:
        asked = [pool.submit(browser.session.edit, 1, "one", box) for _ in range(MOST_WAITING + 1)]
        refused = next(as_completed(asked))
        assert "busy" in str(refused.exception())
        assert browser.client.get("/api/images").status_code == 200
        source.goes_on.set()
    assert sum(answer.exception() is None for answer in asked) == MOST_WAITING
    assert source.at_once == 1
    browser.session.close()


def test_of_a_box_the_part_in_the_image_is_to_be_filled(results):
    browser = Browser(results, filler=BoxFiller(lambda: EllipseSource(size=0.4))).enter()
    browser.open()
    assert browser.edit({"kind": "box", "points": [[20, 60], [40, 90]]}).status_code == 200  # 0.13 of the box
    assert browser.edit({"kind": "box", "points": [[-20, -20], [20, 20]]}).status_code == 200  # 0.13 of the part
    browser.session.close()


@pytest.mark.parametrize(
    ("find", "box", "said"),
    [
        (lambda: BrightSource(), [[20, 60], [40, 90]], "draws no outline in a box"),
        (nothing_installed, [[20, 60], [40, 90]], "no network fills boxes here: the engine onnx cannot be loaded"),
        (lambda: EllipseSource(), [[500, 60], [540, 90]], "holds nothing of the image"),
        (lambda: EllipseSource(), [[20, 60], [22, 90]], "4 px wide"),
        (lambda: EllipseSource(), [[20, 60]], "two corners"),
        (lambda: EllipseSource(), [[20, 60], [40, "x"]], "points x, y"),
        (lambda: EllipseSource(sees=False), [[20, 60], [40, 90]], "sees no particle"),
        (lambda: EllipseSource(size=0.35), [[20, 60], [40, 90]], "sees no particle in this box"),
    ],
)
def test_a_box_that_cannot_be_filled_is_refused_in_one_line(results, find, box, said):
    browser = Browser(results, filler=BoxFiller(find)).enter()
    browser.open()
    answer = browser.edit({"kind": "box", "points": box})
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert "\n" not in answer.json()["error"]
    assert len(log_lines(results)) == 1
    browser.session.close()


def test_the_list_counts_what_is_doubtful_and_done(browser):
    rows = browser.client.get("/api/images").json()["images"]
    assert [(row["name"], row["outlines"], row["operations"]) for row in rows] == [("a.tif", 3, 0), ("sub/b.tif", 3, 0)]
    browser.open()
    browser.edit({"kind": "delete", "ids": [1]})
    (row, _) = browser.client.get("/api/images").json()["images"]
    assert (row["outlines"], row["operations"]) == (2, 1)


def test_doubtful_are_those_that_count(results):
    part = results.files_of(results.image(1))[0]
    data = json.loads(part.read_text(encoding="utf-8"))
    data["scores"][:2] = [0.6, 0.45]  # both doubtful, the second one does not count
    part.write_text(json.dumps(data), encoding="utf-8")
    browser = Browser(results).enter()
    (row, _) = browser.client.get("/api/images").json()["images"]
    assert (row["doubtful"], row["outlines"]) == (1, 3)
    assert [each["doubt"] for each in browser.open()["outlines"]][:2] == [0.8, 0.9]
    browser.edit({"kind": "particle", "ids": [1, 2], "is_particle": True})
    (row, _) = browser.client.get("/api/images").json()["images"]
    assert (row["doubtful"], row["outlines"]) == (0, 4)
    browser.session.close()


def test_examples_run():
    assert doctest.testmod(semsize.correcting.doubts).failed == 0
    assert doctest.testmod(semsize.correcting.edits).failed == 0
    assert doctest.testmod(semsize.correcting.results).failed == 0
