"""Time the correction page with thousands of outlines, in a Chromium that draws in software.

python tools/benchmarks/correct_page.py --outlines 5000 --size 2048 1536
python tools/benchmarks/correct_page.py --rendered docs/figures/correct.png     # only a picture of the page at work

Prints the median and the 95th percentile of redraws at three enlargements, of selecting an outline, and of a change
from the key press to "saved". The browser is $BROWSER or the first installed Chromium.
"""

import argparse
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser

REDRAW = """([zoom, repeats]) => {
    const { view } = correction, times = [];
    zoom === null ? view.fit() : view.zoomBy(zoom / view.zoom);
    for (let at = 0; at < repeats; at++) {
        view.left += at % 2 ? 0.25 : -0.25;
        const began = performance.now();
        view.draw();
        view.context.getImageData(0, 0, 1, 1); // waits until it is drawn
        times.push(performance.now() - began);
    }
    return times;
}"""
SELECT = """([repeats]) => {
    const ids = [...correction.outlines.keys()], times = [];
    for (let at = 0; at < repeats; at++) {
        const began = performance.now();
        correction.select([ids[(at * 37) % ids.length]]);
        correction.view.draw();
        correction.view.context.getImageData(0, 0, 1, 1);
        times.push(performance.now() - began);
    }
    return times;
}"""
CHANGE = """async ([repeats]) => {
    const times = [];
    for (let at = 0; at < repeats; at++) {
        correction.select([[...correction.outlines.keys()][at]]);
        const began = performance.now();
        await correction.edit({ kind: "state", ids: [...correction.selection], state: "complete" });
        times.push(performance.now() - began);
    }
    return times;
}"""


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outlines", type=int, default=5000)
    parser.add_argument("--size", type=int, nargs=2, default=(2048, 1536), metavar=("W", "H"))
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--screenshot", type=Path, metavar="PNG", help="also draw the page with all outlines")
    parser.add_argument("--rendered", type=Path, metavar="PNG", help="only draw the page with a rendered scene")
    return parser.parse_args()


def rendered_scene(folder: Path) -> Path:
    """Write a rendered image with its true outlines and states into `folder`, and return it."""
    from semsize.synthesis import DatasetPlan, RenderSettings, render_dataset

    settings = RenderSettings(seed=32, shape=(352, 512), preset="agglomerated", particles=60)
    render_dataset(DatasetPlan(settings, num=1, fractions=(1.0, 0.0, 0.0)), folder)
    return folder


def draw_page(browser: "Browser", folder: Path, picture: Path) -> None:
    """Write a picture of the page with a rendered scene and a selected outline, in a small window."""
    from page_browser import entered, served
    from semsize.correcting.results import CorrectedResults
    from semsize.correcting.session import Session
    from semsize.measuring import MeasurementSettings, measure
    from semsize.measuring.inputs import find_images
    from semsize.measuring.outline_files import outlines_from_coco

    files = find_images([rendered_scene(folder) / "images"], folder / "out")
    measure(
        files, folder / "out", outlines_from_coco(folder / "annotations" / "train.json", files), MeasurementSettings()
    )
    with served(Session(CorrectedResults(folder / "out", [folder]))) as address:
        page = entered(browser, address)
        page.set_viewport_size({"width": 1000, "height": 640})
        page.wait_for_timeout(1000)  # until the canvas has its new size
        page.evaluate("correction.view.fit(); correction.select([7])")
        page.wait_for_timeout(1000)
        shown = Image.open(io.BytesIO(page.screenshot()))
    shown.convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE).save(picture, optimize=True)
    print(f"written: {picture}")


def packed_disks(folder: Path, count: int, size: tuple[int, int]) -> Path:
    """Write an image of touching disks and its label image into `folder`, and return it."""
    width, height = size
    pitch = np.sqrt(width * height / count)
    labels, grey = np.zeros((height, width), np.uint16), np.full((height, width), 40, np.uint8)
    centres = [(x, y) for y in np.arange(pitch / 2, height, pitch) for x in np.arange(pitch / 2, width, pitch)]
    for number, (x, y) in enumerate(centres[:count], 1):
        for image, value in ((labels, number), (grey, 150 + number % 90)):
            cv2.circle(image, (int(x), int(y)), int(pitch / 2), value, -1)
    for name, image in (("scans", grey), ("labels", labels)):
        (folder / name).mkdir()
        cv2.imwrite(str(folder / name / "disks.png"), image)
    return folder


def main() -> None:
    """Make the image, serve it and time the page."""
    from page_browser import entered, served, started_browser
    from semsize.correcting.results import CorrectedResults
    from semsize.correcting.session import Session
    from semsize.measuring import MeasurementSettings, measure
    from semsize.measuring.inputs import find_images
    from semsize.measuring.outline_files import outlines_from_labels

    options = parse_arguments()
    with tempfile.TemporaryDirectory() as made, started_browser() as browser:
        if options.rendered:
            draw_page(browser, Path(made), options.rendered)
            return
        folder = packed_disks(Path(made), options.outlines, tuple(options.size))
        files = find_images([folder / "scans"], folder / "out")
        measure(files, folder / "out", outlines_from_labels(folder / "labels", files), MeasurementSettings())
        with served(Session(CorrectedResults(folder / "out", [folder / "scans"]))) as address:
            page = entered(browser, address)
            count = page.evaluate("correction.outlines.size")
            print(
                f"{count} outlines at {options.size[0]} x {options.size[1]} px, Chromium {browser.version}", flush=True
            )
            jobs = {f"redraw at ×{zoom or 'whole image'}": (REDRAW, zoom) for zoom in (None, 1, 4)}
            for name, (script, zoom) in {**jobs, "selection": (SELECT, ()), "change, saved": (CHANGE, ())}.items():
                given = [zoom, options.repeats] if script is REDRAW else [options.repeats]
                times = np.array(page.evaluate(script, given))
                print(
                    f"{name:>24}: median {np.median(times):5.1f} ms, 95 % {np.percentile(times, 95):5.1f} ms",
                    flush=True,
                )
            if options.screenshot:
                page.evaluate("correction.view.fit()")
                page.wait_for_timeout(300)
                page.screenshot(path=options.screenshot)


if __name__ == "__main__":
    main()
