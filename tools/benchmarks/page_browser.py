"""Drive the correction page in a Chromium by mouse and keyboard; shared by the page's tests and its benchmark."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from semsize.correcting.guard import Keys
from semsize.correcting.server import application, bound_socket, hosts_of
from semsize.correcting.session import Session

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE_S = 60.0


def find_browser() -> str | None:
    """Path of a Chromium: $BROWSER, else the first one installed; None without one."""
    return next(
        (path for name in (os.environ.get("BROWSER", ""), *NAMES) if name and (path := shutil.which(name))), None
    )


@contextlib.contextmanager
def started_browser() -> Iterator[Browser]:
    """A Chromium that draws in software."""
    arguments = ["--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else [])]  # root has no sandbox
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_browser(), args=arguments, timeout=1000 * PATIENCE_S)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def served(session: Session, port: int = 0) -> Iterator[str]:
    """Serve the page in a thread of this process and yield its address; port 0 takes any free port."""
    listener = bound_socket("127.0.0.1", port)
    keys = Keys(listener.getsockname()[1])
    app = application(session, hosts_of(listener), keys)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://{hosts_of(listener)[0]}/#token={keys.token}"
    finally:
        server.should_exit = True
        thread.join()


class Hand:
    """Acts on the page as a person does, by mouse or by keyboard; points are in image pixels."""

    def __init__(self, page: Page, kind: str):
        self.page, self.kind = page, kind

    @property
    def _is_mouse(self) -> bool:
        return self.kind == "mouse"

    def act(self, action: str) -> None:
        """Press an action's button or its first key."""
        if self._is_mouse:
            self.page.click(f"#{action}")
        else:
            name = self.page.evaluate("id => correction.actions.find(one => one.id === id).keys[0]", action)
            self.page.keyboard.press(name.replace("Ctrl+", "Control+"))
        self.settle()

    def take(self, tool: str) -> None:
        """Choose a tool."""
        self.act(f"tool-{tool}")

    def click(self, point: Sequence[float], *, shift: bool = False) -> None:
        """Click at a point."""
        if self._is_mouse:
            with self._held("Shift" if shift else None):
                self.page.mouse.click(*self._on_screen(point))
        else:
            self._move_crosshair(point)
            self.page.keyboard.press("Shift+Enter" if shift else "Enter")
        self.settle()

    def drag(self, points: Sequence[Sequence[float]], *, lift: bool = True) -> None:
        """Press at the first point, move over the others and, unless `lift` is False, release."""
        first, *others = points
        if self._is_mouse:
            self.page.mouse.move(*self._on_screen(first))
            self.page.mouse.down()
            for point in others:
                self.page.mouse.move(*self._on_screen(point), steps=4)
        else:
            self._move_crosshair(first)
            self.page.keyboard.press("Space")
            for point in others:
                self._move_crosshair(point)
        if lift:
            self.page.mouse.up() if self._is_mouse else self.page.keyboard.press("Space")
            self.settle()

    def settle(self) -> None:
        """Wait until the server has answered all changes."""
        wait_until(self.page, "correction.pending === 0")

    @property
    def selection(self) -> set[int]:
        """Ids of the selected outlines."""
        return set(self.page.evaluate("[...correction.selection]"))

    @property
    def saved(self) -> str:
        """The page's word on the last change: saved, saving, lost, read-only."""
        return self.page.get_attribute("#saved", "data-state")

    @contextlib.contextmanager
    def _held(self, key: str | None) -> Iterator[None]:
        if key:
            self.page.keyboard.down(key)
        yield
        if key:
            self.page.keyboard.up(key)

    def _on_screen(self, point: Sequence[float]) -> tuple[float, float]:
        script = """([x, y]) => {
            const { view, canvas } = correction, box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
            return [box.left + (x - view.left) * view.zoom / ratio, box.top + (y - view.top) * view.zoom / ratio];
        }"""
        return tuple(self.page.evaluate(script, [float(value) for value in point]))

    def _move_crosshair(self, point: Sequence[float]) -> None:
        self.page.keyboard.press("ArrowRight")  # the crosshair appears
        at = self.page.evaluate("[correction.view.cursor.x, correction.view.cursor.y]")
        for distance, keys in zip(
            (point[0] - at[0], point[1] - at[1]), (("ArrowLeft", "ArrowRight"), ("ArrowUp", "ArrowDown")), strict=True
        ):
            steps = round(abs(distance))
            key = keys[distance > 0]
            for _ in range(steps // 10):
                self.page.keyboard.press(f"Shift+{key}")
            for _ in range(steps % 10):
                self.page.keyboard.press(key)


def entered(browser: Browser, address: str) -> Page:
    """A new page at the address with the first image open; `page.faults` collects errors of its scripts."""
    page = browser.new_context(viewport={"width": 1280, "height": 860}).new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda message: page.faults.append(message.text) if message.type == "error" else None)
    page.goto(address)
    wait_for_image(page)
    return page


def wait_for_image(page: Page, number: int | None = None) -> None:
    """Wait until an image, or the image with this number, is on the page."""
    wanted = "true" if number is None else f"correction.image.number === {number}"
    wait_until(page, f"Boolean(window.correction?.image) && {wanted}")
    wait_until(page, "['saved', 'read-only'].includes(document.getElementById('saved').dataset.state)")


def wait_until(page: Page, condition: str, seconds: float = PATIENCE_S) -> None:
    """Wait until an expression is true on the page; Playwright's own wait needs `eval`, which the page forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        if time.monotonic() > end:
            said = page.evaluate("document.getElementById('message').textContent")
            raise TimeoutError(f"{condition}: not after {seconds:g} s; the page says {said!r}")
        page.wait_for_timeout(20)


def wait_for_file(path: Path, seconds: float = 30) -> None:
    """Wait until a file exists."""
    end = time.monotonic() + seconds
    while not path.is_file() and time.monotonic() < end:
        time.sleep(0.05)
