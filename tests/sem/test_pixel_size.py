import cv2
import numpy as np
import pytest
import tifffile

from tio2.sem import SEMReadError, read_pixel_size

HEADER = "0\r\n7.343750e-009\r\nAP_WD\r\nWD = 2.8 mm\r\nDP_PIXEL_SIZE\r\nPix Size state = calibrated\r\n"


def zeiss(path, text_34118=None, text_34119=None):
    """A TIFF with Zeiss' tags: the first in Windows-1252, the second in UTF-16."""
    tags = []
    if text_34118 is not None:
        tags.append((34118, 2, None, (HEADER + text_34118).encode("cp1252"), True))
    if text_34119 is not None:
        tags.append((34119, 2, None, (HEADER + text_34119).encode("utf-16-le"), True))
    tifffile.imwrite(path, np.zeros((4, 5), np.uint8), extratags=tags)
    return path


def entry(name, value):
    return f"AP_{name.upper().replace(' ', '_')}\r\n{name} = {value}\r\n"


@pytest.mark.parametrize(
    ("value", "value_nm"),
    [("7.344 nm", 7.344), ("0.5 µm", 500), ("812.5 pm", 0.8125), ("0.001 mm", 1000), ("1.2e1 nm", 12)],
)
@pytest.mark.parametrize("tag", [34118, 34119])
def test_units(tmp_path, value, value_nm, tag):
    size = read_pixel_size(zeiss(tmp_path / "a.tif", **{f"text_{tag}": entry("Image Pixel Size", value)}))
    assert size.value_nm == pytest.approx(value_nm)
    assert size.std_nm is None
    assert size.source == f"Zeiss tag {tag}, Image Pixel Size"


def test_order_of_preference(tmp_path):
    both = entry("Pixel Size", "7.34 nm") + entry("Image Pixel Size", "7.344 nm")
    first = read_pixel_size(zeiss(tmp_path / "a.tif", both, both))
    assert (first.value_nm, first.source) == (7.344, "Zeiss tag 34118, Image Pixel Size")
    second = read_pixel_size(zeiss(tmp_path / "b.tif", entry("Pixel Size", "7.34 nm"), both))
    assert (second.value_nm, second.source) == (7.344, "Zeiss tag 34119, Image Pixel Size")


def test_other_pixel_sizes_of_the_instrument_are_not_taken(tmp_path):
    others = entry("FIB Pixel Size", "3.0 nm") + entry("Argon Pixel Size", "0.0 fm")
    assert read_pixel_size(zeiss(tmp_path / "a.tif", others)) is None
    size = read_pixel_size(
        zeiss(tmp_path / "b.tif", others + entry("Image Pixel Size", "0.0 fm") + entry("Pixel Size", "2 nm"))
    )
    assert (size.value_nm, size.source) == (2, "Zeiss tag 34118, Pixel Size")


def test_statements_half_a_percent_apart_agree_and_beyond_it_do_not(tmp_path):
    near = zeiss(tmp_path / "a.tif", entry("Image Pixel Size", "10 nm") + entry("Pixel Size", "10.049 nm"))
    assert read_pixel_size(near).value_nm == 10
    far = zeiss(tmp_path / "b.tif", entry("Image Pixel Size", "10 nm"), entry("Image Pixel Size", "10.051 nm"))
    with pytest.raises(SEMReadError, match=r"b\.tif: states two pixel sizes, 10 nm .*34118.* and 10\.051 nm .*34119"):
        read_pixel_size(far)


@pytest.mark.parametrize("value", ["7.3 furlong", "seven nm"])
def test_what_cannot_be_understood_is_named(tmp_path, value):
    with pytest.raises(SEMReadError, match=rf"a\.tif: Zeiss tag 34118, Image Pixel Size: cannot understand {value}"):
        read_pixel_size(zeiss(tmp_path / "a.tif", entry("Image Pixel Size", value)))


def test_files_that_state_none(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 5), np.uint8))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5), np.uint8))
    assert read_pixel_size(tmp_path / "a.png") is None
    assert read_pixel_size(tmp_path / "a.tif") is None


def test_unreadable_files_are_named(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0\xff\xff\xff\xff")
    for name in ("a.tif", "absent.tif"):
        with pytest.raises(SEMReadError, match=name):
            read_pixel_size(tmp_path / name)
