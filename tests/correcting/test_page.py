"""The correction page in a real browser: each action by mouse and by keyboard, then the files on disk."""

import json
import os
import signal

import cv2
import numpy as np
import pytest
from correcting_scenes import EllipseSource
from measured_scenes import BrightSource, scene, write_zeiss
from processes import PATIENCE_S, ForkedProgram, finish
from processes import wait_until as wait_for

from page_browser import Hand, entered, served, wait_for_file, wait_for_image, wait_until
from semsize.correcting.edits import BoxFiller
from semsize.correcting.results import CorrectedResults
from semsize.correcting.session import Session
from semsize.measuring import measure_images


@pytest.fixture
def served_session(results):
    session = Session(results, filler=BoxFiller(EllipseSource))
    with served(session) as address:
        session.address = address
        yield session


@pytest.fixture(params=["mouse", "keyboard"])
def hand(request, browser, served_session):
    page = entered(browser, served_session.address)
    yield Hand(page, request.param)
    page.context.close()
    assert page.faults == []


def on_disk(results, number=1):
    image = results.image(number)
    return results.corrected(image)


def kinds(results, number=1):
    path = results.log_path(results.image(number))
    return [json.loads(line)["kind"] for line in path.read_text(encoding="ascii").splitlines()[1:]]


def center(results, number):
    x1, y1, x2, y2 = on_disk(results).masks([number]).boxes[0]
    return float(x1 + x2) / 2, float(y1 + y2) / 2


def test_select_by_click_by_shift_and_by_box(hand, results):
    hand.click(center(results, 1))
    assert hand.selection == {1}
    hand.click(center(results, 3), shift=True)
    assert hand.selection == {1, 3}
    hand.click(center(results, 3), shift=True)
    assert hand.selection == {1}
    hand.act("low")
    hand.drag([(2, 2), (120, 60)])
    boxes = on_disk(results).masks().boxes
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    assert hand.selection == set((np.flatnonzero((x < 120) & (y < 60)) + 1).tolist())
    hand.click((198, 126))
    assert hand.selection == set()


def test_delete_undo_and_redo(hand, results):
    hand.click(center(results, 1))
    hand.act("delete")
    assert hand.saved == "saved"
    assert 1 not in on_disk(results).outlines
    hand.act("undo")
    assert 1 in on_disk(results).outlines
    hand.act("redo")
    assert 1 not in on_disk(results).outlines
    assert kinds(results) == ["delete", "undo", "redo"]


def test_polygon_freehand_and_ellipse_add_outlines(hand, results):
    hand.take("polygon")
    for point in ((5, 70), (35, 70), (35, 90), (5, 90), (5, 90)):
        hand.click(point)
    hand.take("freehand")
    hand.drag([(5, 100), (30, 100), (30, 120), (5, 120)])
    hand.take("ellipse")
    hand.drag([(120, 60), (150, 60)])
    hand.click((135, 70))
    added = on_disk(results).masks([7, 8, 9])
    assert added.areas.tolist() == pytest.approx([600, 500, np.pi * 15 * 10], rel=0.12)
    assert kinds(results) == ["add"] * 3


def test_a_box_is_filled_by_the_network(hand, results):
    hand.take("box")
    hand.drag([(120, 60), (150, 90)])
    assert hand.saved == "saved"
    assert hand.selection == {7}
    np.testing.assert_allclose(on_disk(results).masks([7]).boxes[0], [120, 60, 150, 90], atol=2)
    line = json.loads(results.log_path(results.image(1)).read_text().splitlines()[1])
    assert (line["kind"], line["source"][:16]) == ("add", "ellipses.semsize")
    hand.act("undo")
    assert sorted(on_disk(results).outlines) == [1, 2, 3, 4, 5, 6]
    assert kinds(results) == ["add", "undo"]


def test_an_outline_over_another_one_is_added_said_and_doubtful(hand, results):
    page = hand.page
    x1, y1, x2, y2 = on_disk(results).masks([3]).boxes[0].tolist()
    hand.take("box")
    hand.drag([(x1, y1), (x2, y2)])
    assert page.inner_text("#message").startswith("overlaps outline 3 by ")
    assert page.inner_text("#message").endswith(" %: delete one of them")
    assert sorted(on_disk(results).outlines) == list(range(1, 8))
    hand.act("next-doubtful")
    assert hand.selection == {3}
    hand.act("next-doubtful")
    assert hand.selection == {7}
    hand.act("delete")
    assert page.evaluate("correction.outlines.get(3).doubt") < 0.4
    assert page.inner_text("#message") == ""


def test_split_by_a_line_and_merge(hand, results):
    x, y = center(results, 3)
    whole = on_disk(results).masks([3]).areas[0]
    hand.take("split")
    hand.drag([(x, y - 40), (x, y + 40)])
    parts = on_disk(results).masks([7, 8]).areas
    assert parts.sum() == whole
    assert parts.min() > whole / 3
    hand.act("merge")  # the parts are selected
    assert sorted(on_disk(results).outlines) == [1, 2, 4, 5, 6, 9]
    assert on_disk(results).masks([9]).areas[0] == whole


def test_the_brush_pushes_out_from_inside_and_in_from_outside(hand, results):
    x, y = center(results, 3)
    left, right = on_disk(results).masks([3]).boxes[0][[0, 2]]
    first = on_disk(results).masks([3]).areas[0]
    hand.click((x, y))
    hand.take("brush")
    hand.drag([(x, y), (right + 4, y)])
    larger = on_disk(results).masks([3])
    assert larger.areas[0] > first
    assert larger.boxes[0][2] >= right + 8
    hand.drag([(left - 12, y), (left - 2, y)])
    smaller = on_disk(results).masks([3])
    assert smaller.areas[0] < larger.areas[0]
    assert kinds(results) == ["push", "push"]


def test_a_brush_stroke_through_an_outline_leaves_one_piece_and_the_page_says_so(hand, results):
    x, y = center(results, 3)
    left, top, _, bottom = on_disk(results).masks([3]).boxes[0]
    hand.click((x, y))
    hand.take("brush")
    hand.page.evaluate("correction.radius = 2")
    hand.drag([(x + 4, top - 6), (x + 4, bottom + 6)])
    assert "the largest piece stays" in hand.page.inner_text("#message")
    (kept,) = on_disk(results).masks([3])
    assert cv2.connectedComponents(kept[0])[0] == 2
    assert on_disk(results).masks([3]).boxes[0].tolist() == pytest.approx([left, top, x + 2, bottom], abs=1)


def test_a_predicted_state_is_shown_and_gone_once_another_is_given(browser, predicted):
    with served(Session(predicted)) as address:
        page = entered(browser, address)
        hand = Hand(page, "mouse")
        hand.click(center(predicted, 3))
        facts = page.locator("#facts")
        assert "masked, predicted (0.6)" in facts.inner_text()
        hand.act("state-2")
        assert "predicted" not in facts.inner_text()
        page.context.close()
    assert page.faults == []
    assert on_disk(predicted).outlines[3].state == "complete"


def test_the_facts_tell_the_score_that_counts(hand, results):
    page = hand.page
    hand.click(center(results, 1))
    assert "corrected" not in page.inner_text("#facts")
    for act, said in (("state-2", "1 (corrected)"), ("none", "none"), ("accept", "1 (corrected)")):
        hand.act(act)
        assert f"score\n{said}" in page.inner_text("#facts")
    hand.take("box")
    hand.drag([(120, 60), (150, 90)])
    assert hand.selection == {7}
    assert "score\n1 (corrected)" in page.inner_text("#facts")
    assert page.inner_text("#state-2") == "2 complete"


def test_states_by_their_keys_no_particle_and_a_particle_again(hand, results):
    hand.click(center(results, 1))
    seen = []
    for key in range(1, 7):
        hand.act(f"state-{key}")
        seen.append(on_disk(results).outlines[1].state)
    assert seen == ["isolated", "complete", "touch_complete", "masked", "unusable", None]
    hand.act("none")
    assert not on_disk(results).outlines[1].is_particle
    hand.act("accept")
    assert on_disk(results).outlines[1].is_particle


def test_images_and_doubtful_outlines_are_gone_through(hand, results):
    page = hand.page
    order = page.evaluate("correction.list.rows.map(image => image.number)")
    hand.act("next-image")
    wait_for_image(page, order[1])
    hand.act("previous-image")
    wait_for_image(page, order[0])
    page.evaluate("correction.outlines.get(3).doubt = 0.9; correction.outlines.get(5).doubt = 0.6")
    hand.act("next-doubtful")
    assert hand.selection == {3}
    hand.act("next-doubtful")
    assert hand.selection == {5}
    hand.act("next-doubtful")
    wait_for_image(page, order[1])
    assert not results.log_path(results.image(1)).read_text().count('"kind"')


def pixels(page):
    return page.evaluate("""() => {
        correction.view.draw();
        const { canvas } = correction, context = canvas.getContext("2d");
        const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
        const sums = [0, 0, 0];
        for (let at = 0; at < data.length; at += 4) for (let n = 0; n < 3; n++) sums[n] += data[at + n];
        return sums.map(sum => sum / (data.length / 4));
    }""")


def test_what_is_shown_can_be_changed_and_changes_no_outline(hand, results):
    page = hand.page
    first = pixels(page)
    hand.act("outlines")
    grey = pixels(page)
    assert max(grey) - min(grey) < 0.5 < max(first) - min(first)
    if hand.kind == "mouse":
        page.fill("#gamma", "2")
    else:
        for _ in range(10):
            hand.act("more-gamma")
    brighter = pixels(page)
    assert brighter[0] > grey[0] + 5
    if hand.kind == "mouse":
        page.fill("#contrast", "3")
    else:
        for _ in range(20):
            hand.act("more-contrast")
    assert abs(pixels(page)[0] - brighter[0]) > 1
    hand.act("bright")
    tinted = pixels(page)
    assert tinted[0] - tinted[1] > 0.5  # disks of a low score are bright and do not count
    zoom = page.evaluate("correction.view.zoom")
    hand.act("zoom-in")
    assert page.evaluate("correction.view.zoom") > zoom
    hand.act("fit")
    assert page.evaluate("correction.view.zoom") == zoom
    hand.act("help")
    assert page.is_visible("#help-dialog")
    page.click("#close-help") if hand.kind == "mouse" else page.keyboard.press("Escape")
    assert not page.is_visible("#help-dialog")
    assert kinds(results) == []


def test_a_scale_bar_is_drawn_and_its_length_typed(hand, results):
    page = hand.page
    page.evaluate("correction.open(2)")
    wait_for_image(page, 2)
    hand.take("scale")
    hand.drag([(20, 120), (120, 120)])
    page.keyboard.type("200 nm")
    page.click("#scale button") if hand.kind == "mouse" else page.keyboard.press("Enter")
    page.wait_for_selector("#scale", state="hidden")
    assert results.scale(results.image(2)).pixel_size.value_nm == pytest.approx(2, rel=0.02)
    assert "2.0" in page.inner_text("#facts")


def test_a_second_page_is_told_and_may_take_over(browser, served_session, results):
    first = entered(browser, served_session.address)
    second = first.context.new_page()
    second.goto(first.url)
    wait_for_image(second)
    hands = Hand(first, "keyboard"), Hand(second, "keyboard")
    assert (hands[0].saved, hands[1].saved) == ("saved", "read-only")
    assert "another page" in second.inner_text("#saved")
    hands[1].click(center(results, 1))
    hands[1].act("delete")
    assert kinds(results) == []
    second.click("#take")
    wait_until(second, "document.getElementById('saved').dataset.state === 'saved'")
    hands[0].click(center(results, 3))
    hands[0].act("delete")
    assert hands[0].saved == "read-only"
    hands[1].click(center(results, 1))
    hands[1].act("delete")
    assert kinds(results) == ["delete"]
    first.context.close()


def test_names_are_text(browser, tmp_path):
    name = "<img src=x onerror=window.broken=1>&quot;.tif"
    write_zeiss(tmp_path / "scans" / name, scene(0))
    measure_images([tmp_path / "scans"], tmp_path / "out", BrightSource())
    with served(Session(CorrectedResults(tmp_path / "out", [tmp_path / "scans"]))) as address:
        page = entered(browser, address)
        assert name in page.inner_text("#images")
        assert page.evaluate("window.broken") is None
        page.context.close()


def test_an_address_is_good_once_and_no_longer_in_the_bar(browser, served_session):
    page = entered(browser, served_session.address)
    assert "token" not in page.url
    stranger = browser.new_context().new_page()
    stranger.goto(served_session.address)
    wait_until(stranger, "document.getElementById('message').textContent !== ''")
    assert "start" in stranger.inner_text("#message")
    page.context.close()


@pytest.fixture
def program(results, measured_once, tmp_path):
    """The program with the results, and the address that it prints."""
    words = ["tools/correct.py", results.folder, "--images", measured_once / "scans", "--port", "0", "--no-browser"]
    log = tmp_path / "log"
    started = ForkedProgram(words, log, tmp_path / "errors")
    wait_for(started, log, lambda: log.is_file() and "Ctrl-C ends" in log.read_text())
    yield started, log.read_text().splitlines()[0].split()[-1]
    started.kill()


def test_what_the_page_called_saved_is_there_after_the_server_is_killed_in_a_drag(browser, results, program):
    server, address = program
    page = entered(browser, address)
    hand = Hand(page, "mouse")
    hand.click(center(results, 1))
    hand.act("delete")
    assert hand.saved == "saved"
    hand.take("freehand")
    hand.drag([(5, 100), (30, 100), (30, 120), (5, 120)], lift=False)
    server.kill()
    server.wait(PATIENCE_S)
    page.mouse.up()
    wait_until(page, "document.getElementById('saved').dataset.state === 'lost'")
    assert "NOT SAVED" in page.inner_text("#saved")
    assert kinds(results) == ["delete"]
    page.context.close()


def test_ctrl_c_ends_the_program_and_writes_corrections_json(browser, results, program, tmp_path):
    server, address = program
    page = entered(browser, address)
    hand = Hand(page, "keyboard")
    hand.act("all")
    hand.act("delete")
    os.kill(server.pid, signal.SIGINT)
    error = finish(server, tmp_path / "errors")
    assert "corrections are kept" in error
    assert "Traceback" not in error
    wait_for_file(results.folder / "corrections.json")
    data = json.loads((results.folder / "corrections.json").read_text(encoding="utf-8"))
    assert {one["image_id"] for one in data["annotations"]} == {2}
    page.context.close()
