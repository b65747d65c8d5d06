"""The correction page moves through images and doubtful outlines, in a real browser."""

import json
import shutil

import pytest
from measured_scenes import measured_doubtfully, write_scenes

from page_browser import Hand, entered, served, wait_for_image, wait_until
from semsize.correcting.results import CorrectedResults
from semsize.correcting.session import Session


@pytest.fixture(scope="module")
def measured_three(tmp_path_factory):
    """Folder with three images in `scans` and their measurement in `out`."""
    folder = tmp_path_factory.mktemp("three")
    write_scenes(folder / "scans", 3)
    return measured_doubtfully(folder)


@pytest.fixture
def three(measured_three, tmp_path):
    """A copy of images and results; the results are opened with the folder of the copied images."""
    shutil.copytree(measured_three, tmp_path, dirs_exist_ok=True)
    return CorrectedResults(tmp_path / "out", [tmp_path / "scans"])


@pytest.fixture
def scans(tmp_path, three):  # noqa: ARG001
    return tmp_path / "scans"


def option(page, number):
    return page.evaluate("number => document.querySelector(`#images option[value='${number}']`).textContent", number)


def message(page):
    return page.inner_text("#message")


def only_expected(faults):
    """Whether the page's errors are but the answers for pictures that are not there."""
    return all("400" in fault for fault in faults)


@pytest.mark.parametrize("missing", [1, 2])
def test_a_missing_image_is_named_and_the_next_one_is_shown_and_corrected(browser, three, scans, missing):
    (scans / f"scan {missing - 1}.tif").unlink()
    with served(Session(three)) as address:
        page = entered(browser, address)
        hand = Hand(page, "keyboard")
        if missing == 2:
            wait_for_image(page, 1)
            hand.act("next-image")
        wait_for_image(page, missing + 1)
        wait_until(page, "document.getElementById('message').textContent !== ''")
        assert message(page).startswith(f"scan {missing - 1}.tif: not found")
        assert "not found" in option(page, missing)
        hand.act("all")
        hand.act("delete")
        assert hand.saved == "saved"
        assert page.evaluate("correction.outlines.size") == 3
        page.select_option("#images", str(missing))
        wait_until(page, "document.getElementById('message').textContent !== ''")
        assert page.input_value("#images") == str(missing + 1)
        hand.act("undo")
        assert page.evaluate("correction.outlines.size") == 6
        page.context.close()
    assert only_expected(page.faults)


def with_scores(results, number, scores):
    """The results with other scores of the first outlines of an image, as a measurement would have them."""
    part = results.files_of(results.image(number))[0]
    data = json.loads(part.read_text(encoding="utf-8"))
    data["scores"][: len(scores)] = scores
    part.write_text(json.dumps(data), encoding="utf-8")
    return results


def test_the_list_counts_doubtful_ones_among_those_shown_and_is_renewed_by_changes(browser, three):
    with served(Session(with_scores(three, 2, [0.6, 0.45, 0.7]))) as address:
        page = entered(browser, address)
        hand = Hand(page, "keyboard")
        assert page.evaluate("correction.image.number") == 2
        assert option(page, 2) == "scan 1.tif (2 doubtful of 3)"
        hand.act("next-doubtful")
        assert hand.selection == {1}
        hand.act("accept")
        assert option(page, 2) == "scan 1.tif (1 doubtful of 3)"
        hand.act("next-doubtful")
        assert hand.selection == {3}
        hand.act("delete")
        assert option(page, 2) == "scan 1.tif (0 doubtful of 2)"
        hand.act("undo")
        assert option(page, 2) == "scan 1.tif (1 doubtful of 3)"
        hand.act("low")
        page.evaluate("correction.select([])")
        hand.act("next-doubtful")
        assert hand.selection == {2}
        page.context.close()
    assert page.faults == []


def test_outlines_that_were_visited_and_left_come_again_after_all_others(browser, three):
    with served(Session(with_scores(three, 2, [0.52, 0.1, 0.55, 0.1, 0.6]))) as address:
        page = entered(browser, address)
        hand = Hand(page, "keyboard")

        def go(action="next-doubtful"):
            hand.act(action)
            return hand.selection

        assert [go(), go()] == [{1}, {3}]
        hand.act("state-2")  # the first one was left as it is
        assert go() == {5}
        assert [go("previous-doubtful"), go("previous-doubtful")] == [{3}, {1}]
        assert [go(), go()] == [{3}, {5}]
        hand.act("next-image")
        wait_for_image(page, 1)
        hand.act("previous-image")
        wait_for_image(page, 2)
        hand.act("next-doubtful")
        wait_for_image(page, 1)  # all were seen
        hand.act("previous-image")
        wait_for_image(page, 2)
        assert [go(), go()] == [{1}, {5}]
        page.context.close()
    assert page.faults == []


def test_the_list_says_at_once_which_results_are_damaged(three):
    (part,) = (three.folder / "parts").glob("scan_1-*.json")
    part.unlink()
    rows = Session(three).listing()
    assert [row["trouble"] is None for row in rows] == [True, False, True]
    assert "measure again" in rows[1]["trouble"]


def test_without_any_image_keys_say_so_and_a_picture_that_is_back_is_shown(browser, three, scans):
    scans.rename(scans.with_name("away"))
    with served(Session(three)) as address:
        page = browser.new_context().new_page()
        page.goto(address)
        hand = Hand(page, "keyboard")
        for action, said in (("next-image", "can be shown"), ("fit", "no image is shown"), ("delete", "no image is")):
            wait_until(page, "document.getElementById('message').textContent.includes('no image')")
            page.keyboard.press(page.evaluate("id => correction.actions.find(one => one.id === id).keys[0]", action))
            page.evaluate("correction.way")
            wait_until(page, f"document.getElementById('message').textContent.includes('{said}')")
        page.mouse.click(300, 300)
        assert hand.saved == "saved"
        scans.with_name("away").rename(scans)
        page.keyboard.press("n")
        wait_for_image(page, 1)
        assert message(page) == ""
        assert "doubtful of" in option(page, 1)
        page.context.close()


def test_keys_for_the_next_image_pressed_at_once_count_each(browser, three):
    with served(Session(three)) as address:
        page = entered(browser, address)
        page.keyboard.press(".")
        page.keyboard.press(".")
        wait_for_image(page, 3)
        page.context.close()
    assert page.faults == []


def test_an_image_that_cannot_be_asked_for_is_no_change_that_was_lost(browser, three):
    with served(Session(three)) as address:
        page = entered(browser, address)
    page.keyboard.press(".")
    wait_until(page, "document.getElementById('message').textContent.includes('does not answer')")
    assert page.get_attribute("#saved", "data-state") == "saved"
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    wait_until(page, "document.getElementById('saved').dataset.state === 'lost'")
    page.context.close()


def test_a_new_address_in_the_same_tab_enters_the_program_that_was_started_anew(browser, three):
    with served(Session(three)) as address:
        page = entered(browser, address)
        port = int(address.partition("/#")[0].rpartition(":")[2])
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    wait_until(page, "document.getElementById('saved').dataset.state === 'lost'")
    with served(Session(three), port) as address:
        with page.expect_event("load"):
            page.goto(address)  # differs in what follows # alone
        wait_for_image(page)
        assert "token" not in page.url
        hand = Hand(page, "keyboard")
        hand.act("all")
        hand.act("delete")
        assert hand.saved == "saved"
        page.evaluate("location.hash = 'token=wrong'")
        wait_until(page, "document.getElementById('message').textContent.includes('start the program again')")
        assert "token" not in page.url
        page.context.close()
