"""A measurement's report is one small file with real pictures and links, which a browser shows without an error."""

import base64
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
from measured_scenes import BrightSource, scene, write_zeiss

from semsize.measuring import MeasurementSettings, RunOptions, measure_images
from semsize.measuring.pictures import THUMBNAIL_SIDE_PX, THUMBNAILS_BYTES, SizeColours, jpeg_thumbnail
from semsize.measuring.report import number, uncertain, uncertainty

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
VOID = {"col", "meta", "img", "br", "link", "hr", "input"}


class Reader(HTMLParser):
    """Collects images, links, text; every tag must be closed in order."""

    def __init__(self):
        super().__init__()
        self.images, self.links, self.open, self.others, self.text = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "img":
            self.images.append(values["src"])
        elif "href" in values:
            self.links.append(values["href"])
        elif "src" in values:
            self.others.append(values["src"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Report of three images, one with a name that must be escaped, and one file that is none."""
    folder = tmp_path_factory.mktemp("report")
    names = ["plain.tif", "Grüße & <b>µm 100 %.tif", "third #1.tif"]
    images = [write_zeiss(folder / name, scene(n)) for n, name in enumerate(names)]
    (folder / "broken.tif").write_bytes(b"II*\0")
    done = measure_images(
        [*images, folder / "broken.tif"], folder / "out", BrightSource(), MeasurementSettings(), options=RunOptions()
    )
    assert list(done.skipped) == ["broken.tif"]
    return folder / "out" / "report.html"


@pytest.fixture(scope="module")
def read(report):
    reader = Reader()
    reader.feed(report.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader


def test_every_image_is_in_the_file_and_decodes(read):
    kinds = []
    for source in read.images:
        head, _, data = source.partition(",")
        content = base64.b64decode(data, validate=True)
        kinds.append(head)
        if head == "data:image/svg+xml;base64":
            assert ET.fromstring(content).tag.endswith("svg")
        else:
            assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) is not None
    assert kinds.count("data:image/svg+xml;base64") == 4
    assert kinds.count("data:image/jpeg;base64") == 3


def test_every_link_leads_to_a_file_and_nothing_to_another_place(read, report):
    assert len(read.links) == 3
    for link in read.links:
        assert (report.parent / unquote(link)).is_file(), link
    assert read.others == []
    outside = re.findall(r'(?:href|src|url)\s*[=(]\s*["\']?\s*(?:https?:|//)', report.read_text(encoding="utf-8"))
    assert outside == []


def test_names_are_shown_as_they_are(read):
    text = " ".join(read.text)
    assert "Grüße & <b>µm 100 %.tif" in text
    assert "broken.tif" in text
    assert "Images that could not be measured" in text


def test_five_hundred_images_stay_below_20_mb():
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), np.uint8)  # nothing compresses worse
    most = THUMBNAILS_BYTES // 500
    thumbnail = jpeg_thumbnail(noise, THUMBNAIL_SIDE_PX, most)
    assert len(thumbnail) <= most
    assert min(cv2.imdecode(np.frombuffer(thumbnail, np.uint8), cv2.IMREAD_COLOR).shape[:2]) >= 90
    per_image = most * 4 / 3 + 2500  # base64, and the image's rows in the tables
    assert 500 * per_image + 1_000_000 < 20_000_000


def test_what_an_image_adds_to_the_report_beside_its_thumbnail_is_little(read, report):
    html = report.read_text(encoding="utf-8")
    embedded = sum(map(len, read.images))
    figures = sum(len(source) for source in read.images if source.startswith("data:image/svg"))
    assert figures < 700_000
    assert (len(html.encode()) - embedded) < 40_000


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed: the report was not opened in a browser")
def test_a_browser_shows_it_without_an_error_and_prints_it(report, tmp_path):
    probe = (
        "<script>addEventListener('load', () => document.body.setAttribute('data-shown', "
        "[...document.images].filter(i => i.complete && i.naturalWidth > 0).length + '/' + document.images.length"
        "+ '/' + (document.documentElement.scrollWidth <= innerWidth)))</script>"
    )
    page = report.parent / "probed.html"
    page.write_text(report.read_text(encoding="utf-8").replace("</body>", f"{probe}</body>"), encoding="utf-8")
    common = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        [*common, "--enable-logging=stderr", "--window-size=1100,900", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=240, env=environment, stdin=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    assert 'data-shown="7/7/true"' in done.stdout
    pdf = tmp_path / "report.pdf"
    subprocess.run([*common, f"--print-to-pdf={pdf}", report.as_uri()], capture_output=True, timeout=240,
                   env=environment, stdin=subprocess.DEVNULL, check=True)  # fmt: skip
    pages = len(re.findall(rb"/Type\s*/Page\b", Path(pdf).read_bytes()))
    assert 3 <= pages <= 12


def test_numbers_are_rounded_to_their_uncertainty():
    assert uncertain(197.96, 41.3) == "198"
    assert uncertain(27.4567, 0.0312) == "27.457"
    assert uncertain(27.4567, None) == uncertain(27.4567, 0.0) == "27.46"
    assert uncertainty(0.0996) == "0.10"
    assert [number(value) for value in (None, float("nan"), float("inf"), 0.0, 9.99996, 123456.7)] == [
        "–", "–", "∞", "0.000", "10.00", "123457"
    ]  # fmt: skip


def test_colours_of_sizes_run_from_end_to_end():
    colours = SizeColours.of(np.geomspace(10, 1000, 1000), "nm")
    assert colours.low == pytest.approx(11, rel=0.02)
    assert colours.colours(np.array([1.0])) == colours.colours(np.array([colours.low]))
    assert colours.colours(np.array([1e6])) == colours.colours(np.array([colours.high]))
    assert len({entry.colour for entry in colours.entries()}) == len(colours.entries())
    assert SizeColours.of(np.array([5.0, 5.0]), "px").high > 5
