"""Makers' files with bytes changed at random are read or refused in one line, never with a traceback."""

import cv2
import numpy as np
import pytest
from vendor_files import (
    BYTE,
    fei_text,
    fibics_tag,
    hitachi_tag,
    hitachi_text,
    imagej_file,
    jeol_file,
    jeol_note,
    jeol_text,
    olympus_file,
    ome_file,
    tescan_tag,
    tescan_text,
    tiff_file,
    zeiss_block,
    zeiss_entry,
    zeiss_file,
)

from semsize.sem import SEMReadError, read_grey, read_scale

MAKERS_FILES = [
    zeiss_file(zeiss_block() + zeiss_entry("Image Pixel Size", "7 nm") + zeiss_entry("Stage at T", "54 °")),
    tiff_file([(34682, fei_text(tilt="0.9").encode())]),
    tiff_file([(34683, b'<FeiImage><pixelWidth unit="um">0.69</pixelWidth></FeiImage>')]),
    tiff_file([tescan_tag(*tescan_text())]),
    tiff_file([hitachi_tag(mag="x25.6k")]),
    tiff_file([fibics_tag(5, 4)]),
    jeol_file(jeol_note(CM_IMAGE_SIZE="5 4", CM_FIELD_OF_VIEW=None), shape=(4, 5)),
    olympus_file(),
    imagej_file("micron"),
    ome_file(PhysicalSizeX="7.344", PhysicalSizeXUnit="nm"),
    tiff_file([(37706, bytes(200), BYTE), (65003, b"n\0m\0", BYTE)]),
    cv2.imencode(".jpg", np.zeros((4, 5), np.uint8))[1].tobytes() + b"<FeiImage><pixelWidth>1</pixelWidth></FeiImage>",
]


@pytest.mark.parametrize("number", range(len(MAKERS_FILES)))
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path, number):
    rng = np.random.default_rng(number)
    path, refused = tmp_path / "a.tif", []
    for _ in range(60):
        data = bytearray(MAKERS_FILES[number])
        for place in rng.integers(0, len(data), rng.choice((1, 2, 8))):
            data[place] = rng.integers(256)
        place = rng.integers(len(data) - 8)
        data[place : place + 4] = rng.choice([b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b""])
        path.write_bytes(data)
        for read in (read_scale, read_grey):
            try:
                read(path)
            except SEMReadError as error:
                refused.append(str(error))
    assert all(line.startswith(f"{path}: ") and "\n" not in line for line in refused)
    assert refused


@pytest.mark.parametrize("text", [hitachi_text(), jeol_text(), "".join(tescan_text())])
def test_damaged_side_cars_are_read_or_refused_in_one_line(tmp_path, text):
    rng = np.random.default_rng(1)
    path, refused = tmp_path / "a.tif", []
    path.write_bytes(tiff_file())
    for _ in range(200):
        data = bytearray(text.encode())
        for place in rng.integers(0, len(data) - 8, 3):
            data[place : place + rng.integers(3)] = rng.integers(0, 256, rng.integers(3)).astype(np.uint8).tobytes()
        path.with_suffix(".txt").write_bytes(data)
        try:
            read_scale(path)
        except SEMReadError as error:
            refused.append(str(error))
    assert all(line.startswith(f"{tmp_path}") and "\n" not in line for line in refused)
    assert refused
