"""Pixel sizes from every maker's tags and side-cars, and what is refused."""

import cv2
import numpy as np
import pytest
import tifffile
from vendor_files import (
    fei_text,
    hitachi_text,
    imagej_file,
    jeol_text,
    ome_file,
    tiff_file,
    zeiss_block,
    zeiss_entry,
    zeiss_file,
)

from tio2.sem import SEMReadError, read_pixel_size


@pytest.fixture
def stated(tmp_path):
    """Pixel size of a file of these bytes, with the text beside it if any."""

    def read(data, side_car=None, name="a.tif", ending=".txt"):
        (tmp_path / name).write_bytes(data)
        if side_car is not None:
            (tmp_path / name).with_suffix(ending).write_bytes(side_car)
        return read_pixel_size(tmp_path / name)

    return read


IMAGE, DISPLAY = "Image Pixel Size", "Pixel Size"


@pytest.mark.parametrize(
    ("value", "value_nm"),
    [("7.344 nm", 7.344), ("0.5 µm", 500), ("812.5 pm", 0.8125), ("0.001 mm", 1000), ("1.2e1 nm", 12)],
)
@pytest.mark.parametrize("tag", [34118, 34119])
@pytest.mark.parametrize("order", ["<", ">"])
def test_zeiss_units(stated, value, value_nm, tag, order):
    size = stated(zeiss_file(**{f"text_{tag}": "DP_ZOOM\r\nZoom = Off\r\n" + zeiss_entry(IMAGE, value)}, order=order))
    assert size.value_nm == pytest.approx(value_nm)
    assert size.std_nm is None
    assert size.source == f"Zeiss tag {tag}, Image Pixel Size"


def test_zeiss_order_of_preference(stated):
    both = zeiss_block() + zeiss_entry(DISPLAY, "7.34 nm") + zeiss_entry(IMAGE, "7.344 nm")
    first = stated(zeiss_file(both, both))
    assert (first.value_nm, first.source) == (7.344, "Zeiss tag 34118, Image Pixel Size")
    second = stated(zeiss_file(zeiss_block() + zeiss_entry(DISPLAY, "7.34 nm"), both))
    assert (second.value_nm, second.source) == (7.344, "Zeiss tag 34119, Image Pixel Size")
    third = stated(zeiss_file(zeiss_block() + zeiss_entry(DISPLAY, "7.34 nm")))
    assert (third.value_nm, third.source) == (7.34, "Zeiss tag 34118, Pixel Size")
    last = stated(zeiss_file(zeiss_block() + zeiss_entry(IMAGE, "0.0 fm")))
    assert (last.value_nm, last.source) == (pytest.approx(7.34375), "Zeiss tag 34118, numeric block")


@pytest.mark.parametrize("width", [512, 1024, 2048, 3072])
def test_zeiss_display_statements_are_scaled_to_the_stored_image(stated, width):
    nm = 7.34375 * 1024 / width
    display = zeiss_block() + zeiss_entry(DISPLAY, "7.344 nm")
    assert stated(zeiss_file(display, shape=(2, width))).value_nm == pytest.approx(nm, rel=1e-3)
    cropped = zeiss_file(display + f"DP_IMAGE_STORE\r\nStore resolution = {width} * 768\r\n")
    assert stated(cropped).value_nm == pytest.approx(nm, rel=1e-3)
    agreeing = zeiss_file(display + zeiss_entry(IMAGE, f"{nm:.4f} nm"), shape=(2, width))
    assert stated(agreeing).source.endswith(IMAGE)
    if width != 1024:
        with pytest.raises(SEMReadError, match="states two pixel sizes"):
            stated(zeiss_file(display + zeiss_entry(IMAGE, "7.344 nm"), shape=(2, width)))


def test_other_pixel_sizes_of_a_zeiss_are_not_taken(stated):
    others = zeiss_entry("FIB Pixel Size", "3.0 nm") + zeiss_entry("Argon Pixel Size", "0.0 fm")
    assert stated(zeiss_file(others)) is None
    size = stated(zeiss_file(others + zeiss_entry(IMAGE, "0.0 fm") + zeiss_entry(DISPLAY, "2 nm")))
    assert (size.value_nm, size.source) == (2, "Zeiss tag 34118, Pixel Size")


def test_statements_half_a_percent_apart_agree_and_beyond_it_do_not(stated):
    near = zeiss_file(zeiss_entry(IMAGE, "10 nm") + zeiss_entry(DISPLAY, "10.049 nm"))
    assert stated(near).value_nm == 10
    with pytest.raises(SEMReadError, match=r"a\.tif: states two pixel sizes, 10 nm .*34118.* and 10\.051 nm .*34119"):
        stated(zeiss_file(zeiss_entry(IMAGE, "10 nm"), zeiss_entry(IMAGE, "10.051 nm")))
    with pytest.raises(SEMReadError, match=r"9 nm .*Image Pixel Size.* and 7\.34375 nm .*numeric block"):
        stated(zeiss_file(zeiss_block() + zeiss_entry(IMAGE, "9 nm")))


@pytest.mark.parametrize("value", ["7.3 furlong", "seven nm", "-3 nm", "inf nm"])
def test_what_cannot_be_understood_is_named(stated, value):
    with pytest.raises(SEMReadError, match=rf"a\.tif: Zeiss tag 34118, Image Pixel Size: cannot understand {value}"):
        stated(zeiss_file(zeiss_entry(IMAGE, value)))


@pytest.mark.parametrize(("tag", "name"), [(34680, "SFEG"), (34682, "Helios")])
def test_fei(stated, tag, name):
    size = stated(tiff_file([(tag, fei_text().encode() + b"\0")]))
    assert size.value_nm == pytest.approx(0.826823)
    assert size.source == f"FEI tag {tag} ({name}), [Scan] PixelWidth"
    assert stated(tiff_file([(tag, fei_text("0", "0").encode() + b"\0")])) is None
    assert stated(tiff_file([(tag, b"[User]\r\nUser=user\r\n\0")])) is None


def test_pixels_that_are_not_square_are_refused(stated):
    message = r"a\.tif: its pixels are not square, 2 nm wide and 2\.1 nm high \(.*\); export it with square pixels"
    for data in (
        tiff_file([(34682, fei_text("2e-9", "2.1e-9").encode() + b"\0")]),
        imagej_file("nm", (10, 20), (10, 21)),
        ome_file(PhysicalSizeX="2", PhysicalSizeXUnit="nm", PhysicalSizeY="2.1", PhysicalSizeYUnit="nm"),
    ):
        with pytest.raises(SEMReadError, match=message):
            stated(data)
    assert stated(imagej_file("nm", (10, 20), (1000, 2009))).value_nm == 2


@pytest.mark.parametrize(
    ("unit", "value_nm"),
    [("nm", 0.007344), ("micron", 7.344), ("um", 7.344), ("µm", 7.344), (r"\u00B5m", 7.344), ("mm", 7344)],
)
def test_imagej(stated, unit, value_nm):
    size = stated(imagej_file(unit))
    assert size.value_nm == pytest.approx(value_nm)
    assert size.source == f"ImageJ, unit {unit} and resolution"


@pytest.mark.parametrize("unit", [None, "", "pixel", "inch", "cm"])
def test_dots_per_inch_count_for_nothing(stated, unit):
    assert stated(imagej_file(unit, (300, 1))) is None


def test_the_resolution_of_a_plain_tiff_counts_for_nothing(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5), np.uint8), resolution=(1e7, 1e7), resolutionunit="CENTIMETER")
    assert read_pixel_size(tmp_path / "a.tif") is None


def test_imagej_as_tifffile_writes_it_and_without_a_resolution(tmp_path, stated):
    tifffile.imwrite(
        tmp_path / "b.tif", np.zeros((4, 5), np.uint8), imagej=True, resolution=(0.5, 0.5), metadata={"unit": "nm"}
    )
    assert read_pixel_size(tmp_path / "b.tif").value_nm == pytest.approx(2)
    assert stated(tiff_file(description="ImageJ=1.54f\nunit=nm\n")) is None
    with pytest.raises(SEMReadError, match=r"a\.tif: ImageJ's unit furlong is not understood"):
        stated(imagej_file("furlong"))


def test_ome(stated):
    size = stated(ome_file(PhysicalSizeX="0.007344", PhysicalSizeY="0.007344"))
    assert (size.value_nm, size.source) == (pytest.approx(7.344), "OME-XML PhysicalSizeX")
    assert stated(ome_file(PhysicalSizeX="812.5", PhysicalSizeXUnit="pm")).value_nm == pytest.approx(0.8125)
    nanometres = ome_file(PhysicalSizeX="5", PhysicalSizeXUnit="nm", PhysicalSizeY="0.005", PhysicalSizeYUnit="µm")
    assert stated(nanometres).value_nm == 5
    assert stated(ome_file()) is None
    with pytest.raises(SEMReadError, match="cannot understand 5 reference frame"):
        stated(ome_file(PhysicalSizeX="5", PhysicalSizeXUnit="reference frame"))


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig"])
@pytest.mark.parametrize("ending", [".txt", ".TXT"])
def test_hitachi(stated, encoding, ending):
    size = stated(tiff_file(), hitachi_text().encode(encoding), ending=ending)
    assert (size.value_nm, size.source) == (7.344, f"Hitachi a{ending}, PixelSize")


def test_jeol(stated):
    size = stated(tiff_file(), jeol_text().encode())
    assert size.value_nm == pytest.approx(1000 / 136)
    assert size.source == "JEOL a.txt, scale bar of 1 um in 136 px"
    assert stated(tiff_file(), jeol_text("50", "100 nm").encode()).value_nm == 2
    assert stated(tiff_file(), jeol_text("50", "10µm").encode("cp1252")).value_nm == 200
    for bad in (jeol_text("0"), jeol_text("wide"), jeol_text(marker="long")):
        with pytest.raises(SEMReadError, match=r"a\.txt: .*declare the pixel size yourself"):
            stated(tiff_file(), bad.encode())


def test_side_cars_stand_beside_images_of_any_kind(stated):
    jpeg = cv2.imencode(".jpg", np.zeros((4, 5), np.uint8))[1].tobytes()
    assert stated(jpeg, hitachi_text().encode(), name="ein Bild.jpg").value_nm == 7.344
    assert stated(jpeg, b"", name="b.jpg") is None
    assert stated(jpeg, "Notizen zur Probe: gerührt".encode(), name="c.jpg") is None
    assert stated(jpeg, b"[SemImageFile]\r\n", name="d.jpg") is None
    with pytest.raises(SEMReadError, match=r"e\.txt: PixelSize: cannot understand wide nm"):
        stated(jpeg, hitachi_text("wide").encode(), name="e.jpg")


@pytest.mark.parametrize("text", [hitachi_text(size="10x8"), jeol_text(size="10 8")])
def test_an_image_resized_since_is_refused(stated, text):
    with pytest.raises(SEMReadError, match=r"a\.tif: a\.txt was written for an image 10 px wide, but this one has 5"):
        stated(tiff_file(), text.encode())


def test_tag_and_side_car_must_agree(stated):
    tagged = zeiss_file(zeiss_entry(IMAGE, "7.344 nm"))
    assert stated(tagged, hitachi_text().encode()).source.startswith("Zeiss")
    with pytest.raises(SEMReadError, match=r"7\.344 nm \(Zeiss .*\) and 9 nm \(Hitachi a\.txt, PixelSize\)"):
        stated(tagged, hitachi_text("9").encode())


def test_files_that_state_none(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 5), np.uint8))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5), np.uint8))
    assert read_pixel_size(tmp_path / "a.png") is None
    assert read_pixel_size(tmp_path / "a.tif") is None


@pytest.mark.parametrize("cut", [10, 40, 100, 200])
def test_unreadable_files_are_named(tmp_path, cut):
    (tmp_path / "a.tif").write_bytes(zeiss_file(zeiss_block() + zeiss_entry(IMAGE, "7 nm"))[:-cut])
    for name in ("a.tif", "absent.tif"):
        with pytest.raises(SEMReadError, match=name):
            read_pixel_size(tmp_path / name)


def test_the_real_zeiss_files_state_7_344_nm(raw_images):
    for path in raw_images:
        size = read_pixel_size(path)
        assert (size.value_nm, size.source) == (7.344, "Zeiss tag 34118, Image Pixel Size")
