"""Pixel sizes from every maker's tags and side-car files, and statements that are refused."""

import re

import cv2
import numpy as np
import pytest
import tifffile
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

from semsize.sem import SEMReadError, read_pixel_size, read_scale
from semsize.structures import PixelSize


@pytest.fixture
def stated(tmp_path):
    """Pixel size of a file of these bytes, with the text beside it if any; `read.notes` holds the last one's notes."""

    def read(data, side_car=None, name="a.tif", ending=".txt"):
        path = tmp_path / name
        path.write_bytes(data)
        if side_car is not None:
            path.with_name(path.stem + ending).write_bytes(side_car)
        size, read.notes = read_scale(path)
        assert read_pixel_size(path) == size
        return size

    return read


IMAGE, DISPLAY, STORE = "Image Pixel Size", "Pixel Size", "Store resolution"


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
    named = zeiss_file(display + zeiss_entry(STORE, f"{width} * 4"), shape=(4, width))
    assert stated(named).value_nm == pytest.approx(nm, rel=1e-3)
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


@pytest.mark.parametrize(
    "data",
    [
        tiff_file([(34682, fei_text("2e-9", "2.1e-9").encode() + b"\0")]),
        imagej_file("nm", (10, 20), (10, 21)),
        ome_file(PhysicalSizeX="2", PhysicalSizeXUnit="nm", PhysicalSizeY="2.1", PhysicalSizeYUnit="nm"),
        tiff_file([tescan_tag(*tescan_text("2e-9", "2.1e-9"))]),
        tiff_file([fibics_tag(5, 4, step="0.002", down="-0.0021")]),
        olympus_file(2.0, 2.1),
    ],
)
def test_pixels_that_are_not_square_keep_the_area_and_are_said(stated, data):
    size = stated(data)
    assert size.value_nm**2 == pytest.approx(2 * 2.1)
    (note,) = stated.notes
    assert "its pixels are not square, 2 nm wide and 2.1 nm high" in note
    assert "only with 2.04939 nm a pixel are areas" in note  # another one may be declared
    assert "lengths along x and y are off by +2.5% and -2.4%" in note


def test_sides_of_a_pixel_in_different_orders_of_magnitude_are_refused(stated):
    with pytest.raises(SEMReadError, match=r"2 nm wide and 2000 nm high .* contradict each other; declare"):
        stated(imagej_file("nm", (10, 20), (1, 2000)))


def test_pixels_half_a_percent_from_square_are_square(stated):
    assert stated(imagej_file("nm", (10, 20), (1000, 2009))).value_nm == 2
    assert stated.notes == ()


@pytest.mark.parametrize(
    ("unit", "value_nm"),
    [("nm", 0.007344), ("micron", 7.344), ("um", 7.344), ("µm", 7.344), (r"\u00B5m", 7.344), ("mm", 7344)],
)
def test_imagej(stated, unit, value_nm):
    size = stated(imagej_file(unit))
    assert size.value_nm == pytest.approx(value_nm)
    assert size.source == f"ImageJ, unit {unit} and resolution"


@pytest.mark.parametrize(
    ("unit", "nm"),
    [
        *(("micron", 1e3), ("microns", 1e3), ("micrometer", 1e3), ("micrometers", 1e3), ("micrometres", 1e3)),
        *(
            ("Micron", 1e3),
            ("UM", 1e3),
            (r"\u03BCm", 1e3),
            ("Âµm", 1e3),
            ("NM", 1),
            ("nanometers", 1),
            ("Nanometer", 1),
        ),
        *(("millimeter", 1e6), ("m", 1e9), ("meter", 1e9), ("A", 0.1), ("Å", 0.1), ("\u212b", 0.1), (" nm ", 1)),
    ],
)
def test_imagej_spellings(stated, unit, nm):
    assert stated(imagej_file(unit, (1, 1))).value_nm == pytest.approx(nm)


def test_imagej_units_of_the_two_axes(stated):
    assert stated(imagej_file("nm\nyunit=um", (1, 2), (1000, 2))).value_nm == pytest.approx(2)
    for unit in ("1/nm", "Mm", "furlong"):
        with pytest.raises(SEMReadError, match=rf"ImageJ's unit {unit} is not understood"):
            stated(imagej_file(unit))


@pytest.mark.parametrize("unit", [None, "", "-", "pixel", "Pixels", "inch", "cm"])
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
    for unit in ("reference frame", "pixel"):
        assert stated(ome_file(PhysicalSizeX="5", PhysicalSizeXUnit=unit)) is None
    assert stated(ome_file(PhysicalSizeX="")) is None
    assert stated(ome_file(PhysicalSizeX="73.44", PhysicalSizeXUnit="Å")).value_nm == pytest.approx(7.344)
    with pytest.raises(SEMReadError, match="PhysicalSizeX: cannot understand 5 Mm"):
        stated(ome_file(PhysicalSizeX="5", PhysicalSizeXUnit="Mm"))


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
@pytest.mark.parametrize("ending", [".txt", ".TXT", ".Txt", ".tif.txt"])
def test_hitachi(stated, encoding, ending):
    size = stated(tiff_file(), hitachi_text().encode(encoding), ending=ending)
    assert (size.value_nm, size.source) == (7.344, f"Hitachi a{ending}, PixelSize")


def test_a_big_endian_side_car_with_its_mark(stated):
    assert stated(tiff_file(), b"\xfe\xff" + hitachi_text().encode("utf-16-be")).value_nm == 7.344


def test_a_decimal_comma_is_a_point_and_two_are_nothing(stated):
    assert stated(tiff_file(), hitachi_text("7,344").encode()).value_nm == 7.344
    assert stated(tiff_file(), jeol_text(marker="0,5um").encode()).value_nm == pytest.approx(500 / 136.5)
    with pytest.raises(SEMReadError, match=r"a\.txt: PixelSize: cannot understand 1,000,5 nm"):
        stated(tiff_file(), hitachi_text("1,000,5").encode())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (hitachi_text(""), "a.txt is Hitachi's and states no pixel size (PixelSize is missing or empty)"),
        (jeol_text(None), "a.txt is JEOL's and states no pixel size (no $CM_PIXEL_SIZE,"),
        (tescan_text(None)[0], "a.txt is TESCAN's and states no pixel size (no PixelSizeX)"),
    ],
)
def test_a_side_car_without_a_size_is_named(stated, text, said):
    assert stated(tiff_file(), text.encode()) is None
    (note,) = stated.notes
    assert note.startswith(said)
    assert note.endswith("give --pixel-size")
    assert stated(zeiss_file(zeiss_entry(IMAGE, "7 nm")), text.encode()).value_nm == 7
    assert stated.notes == ()


def test_jeol_bars_that_nothing_else_explains_get_half_a_pixel(stated):
    size = stated(tiff_file(), jeol_text().encode())
    assert size.value_nm == pytest.approx(1000 / 136.5)
    assert size.relative_std == pytest.approx(1 / np.sqrt(12) / 136.5)
    assert size.source == "JEOL a.txt, scale bar of 1um in 136 px, cut off"
    for marker, encoding in (("100 nm", "ascii"), ("0.1µm", "cp1252"), ("0.1μm", "utf-8"), ("0.1μm", "shift_jis")):
        assert stated(tiff_file(), jeol_text("50", marker).encode(encoding)).value_nm == pytest.approx(100 / 50.5)
    whole = stated(tiff_file(), jeol_text("136.2").encode())
    assert (whole.value_nm, whole.std_nm) == (pytest.approx(1000 / 136.2), None)
    for bad in (jeol_text("0"), jeol_text("wide"), jeol_text(marker="long"), jeol_text(marker="")):
        with pytest.raises(SEMReadError, match=r"a\.txt: .*declare the pixel size yourself"):
            stated(tiff_file(), bad.encode())


@pytest.mark.parametrize(
    ("mag", "bar", "marker", "more", "value_nm"),
    [
        ("1000", "106", "10um", (), 93.75),  # 7800F: 120 mm
        ("50000", "53", "100nm", (), 1.875),  # 7600F, 53.33 px
        ("50000", "49", "100nm", (), 2.0),  # IT800: 128 mm, 50 px
        ("100000", "99", "100nm", (), 1.0),
        ("10000", "100", "1um", (), 10.0),
        ("10000", "19", "200nm", ("$SM_STANDARD_FIELD_SIZE 128 96",), 10.0),
    ],
)
def test_jeol_bars_are_cut_off_not_rounded(stated, mag, bar, marker, more, value_nm):
    text = jeol_text(bar, marker, "1280 960", mag, more)
    size = stated(tiff_file(shape=(1024, 1280)), text.encode())
    assert (size.value_nm, size.std_nm) == (pytest.approx(value_nm), None)


def test_jeol_side_cars_that_state_the_size_itself(stated):
    more = ("$CM_PIXEL_SIZE 2.00nm/pixel", "$$CM_FIELD_OF_VIEW 2.56 1.92um")
    big = tiff_file(shape=(960, 1280))
    both = stated(big, jeol_text(None, size="1280 960", more=more).encode())
    assert (both.value_nm, both.source) == (2, "JEOL a.txt, $CM_PIXEL_SIZE")
    field = stated(big, jeol_text("49", "100nm", "1280 960", more=more[1:]).encode())
    assert (field.value_nm, field.source) == (pytest.approx(2), "JEOL a.txt, $CM_FIELD_OF_VIEW")
    with pytest.raises(SEMReadError, match="1280 px wide, but this one has 640"):
        stated(tiff_file(shape=(480, 640)), jeol_text(None, size="", more=more).encode())


def test_jeol_maker_note(stated):
    size = stated(jeol_file(jeol_note(), shape=(1026, 1280)))
    assert (size.value_nm, size.source) == (2, "JEOL MakerNote, $CM_PIXEL_SIZE")
    for note in (
        jeol_note(CM_PIXEL_SIZE=None),
        jeol_note(CM_PIXEL_SIZE=None, CM_FIELD_OF_VIEW="2560 1920nm"),
        jeol_note(CM_PIXEL_SIZE=None, CM_FIELD_OF_VIEW=None),
    ):
        assert stated(jeol_file(note)).value_nm == pytest.approx(2)
    assert stated(jeol_file(jeol_note()), jeol_text("49", "100nm", "1280 960").encode()).value_nm == 2
    with pytest.raises(SEMReadError, match="MakerNote was written for an image 1280 px wide, but this one has 640"):
        stated(jeol_file(jeol_note(), shape=(480, 640)))


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_tescan(stated, end):
    size = stated(tiff_file([tescan_tag(*tescan_text(end=end))]))
    assert (size.value_nm, size.source) == (pytest.approx(2501.2), "TESCAN tag 50431, PixelSizeX")
    assert stated(tiff_file([tescan_tag(*tescan_text("0.000000004537772", end=end))])).value_nm == pytest.approx(
        4.537772
    )
    for name, ending in (("b.tif", "-tif.hdr"), ("c.png", "-png.hdr"), ("d.TIF", "-tif.HDR"), ("e.tif", ".hdr")):
        beside = stated(tiff_file(), "".join(tescan_text(end=end)).encode("latin-1"), name=name, ending=ending)
        assert beside.value_nm == pytest.approx(2501.2)
    assert stated(tiff_file([(50431, b"\xff" * 40, BYTE)])) is None


def test_hitachi_tag_beside_the_width_that_it_implies(stated):
    wide = tiff_file([hitachi_tag()], shape=(960, 1280))
    assert (stated(wide).value_nm, stated(wide).source) == (992.1875, "Hitachi tag 40092, PixelSize")
    beside = stated(wide, hitachi_text("992.1875", "1280x960").encode(), name="b.tif")
    assert beside.source.startswith("Hitachi tag")
    assert stated(tiff_file([hitachi_tag(mag=None)], shape=(960, 1280))).value_nm == 992.1875
    assert stated(tiff_file([hitachi_tag("49.609375", "x1.00k")], shape=(1920, 2560))).value_nm == 49.609375
    for data in (tiff_file([hitachi_tag()], shape=(480, 640)), tiff_file([hitachi_tag(mag=None)], shape=(480, 640))):
        with pytest.raises(SEMReadError, match="1280 px wide, but this one has 640"):
            stated(data)
    assert stated(tiff_file([(40092, "a comment of Windows".encode("utf-16-le"), BYTE)])) is None


def test_fibics_and_olympus(stated):
    size = stated(tiff_file([fibics_tag()], shape=(767, 1023)))
    assert (size.value_nm, size.source) == (pytest.approx(44.7), "Fibics tag 51023, Ux and Uy")
    assert stated(tiff_file([fibics_tag(step="", down="")], shape=(767, 1023))).value_nm == pytest.approx(
        45743.8 / 1023
    )
    with pytest.raises(
        SEMReadError, match="Fibics tag 51023 was written for an image 1023 px wide, but this one has 5"
    ):
        stated(tiff_file([fibics_tag()]))
    with pytest.raises(SEMReadError, match=r"Fibics tag 51023 cannot be read .*give --pixel-size"):
        stated(tiff_file([(51023, b"<Fibics><Image>\0")]))
    olympus = stated(olympus_file())
    assert (olympus.value_nm, olympus.source) == (pytest.approx(2.5), "Olympus tag 33560, pixelsizex")
    assert stated(olympus_file(0.0, 0.0)) is None


@pytest.mark.parametrize("tag", [34680, 34683])
def test_fei_xml(stated, tag):
    sides = '<PixelSize><X unit="m">2e-9</X><Y unit="m">2e-9</Y></PixelSize>'
    velox = "<Metadata><BinaryResult>{}" + sides + "</BinaryResult></Metadata>"
    phenom = '<FeiImage><databarHeight>64</databarHeight><pixelWidth unit="um">0.694952</pixelWidth></FeiImage>'
    phenom = f'<?xml version="1.0"?>{phenom}'
    size = stated(tiff_file([(tag, velox.format("").encode() + b"\0")]))
    assert (size.value_nm, size.source) == (pytest.approx(2), f"FEI tag {tag} (XML), PixelSize")
    assert stated(tiff_file([(tag, phenom.encode() + b"\0")])).value_nm == pytest.approx(694.952)
    jpeg = cv2.imencode(".jpg", np.zeros((4, 5), np.uint8))[1].tobytes()
    assert stated(jpeg + phenom.encode(), name="a.jpg").value_nm == pytest.approx(694.952)
    large = velox.format("<ImageSize><X>10</X><Y>8</Y></ImageSize>")
    with pytest.raises(SEMReadError, match="10 px wide, but this one has 5"):
        stated(tiff_file([(tag, large.encode() + b"\0")]))


@pytest.mark.parametrize(
    ("data", "who"),
    [
        (tiff_file([(37706, bytes(200), BYTE)]), "TVIPS"),
        (tiff_file([(65003, b"n\0m\0", BYTE), (65009, bytes(8), BYTE)]), "Gatan"),
        (tiff_file(description='{"image": {}, "pixel_size": {"x": 9.77e-08, "y": 9.77e-08}}'), "fibsem-OS"),
    ],
)
def test_sizes_that_are_not_read_are_named(stated, data, who):
    with pytest.raises(SEMReadError, match=rf"a\.tif: .*{who}.* not read; give --pixel-size"):
        stated(data)
    assert stated(data, hitachi_text().encode()).value_nm == 7.344


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
    with pytest.raises(SEMReadError, match=r"a\.tif: a\.txt was .* 10 px wide, but this one has 5: .* --pixel-size"):
        stated(tiff_file(), text.encode())


@pytest.mark.parametrize(
    ("data", "stated_px", "has_px"),
    [
        (zeiss_file(zeiss_entry(IMAGE, "7.344 nm") + zeiss_entry(STORE, "1024 * 768"), shape=(384, 512)), 1024, 512),
        (zeiss_file(zeiss_block() + zeiss_entry(STORE, "1024 * 768"), shape=(384, 512)), 1024, 512),
        (
            zeiss_file(None, zeiss_entry(IMAGE, "7.344 nm") + zeiss_entry("Width", "7.520 µm"), shape=(9, 512)),
            1024,
            512,
        ),
        (zeiss_file(zeiss_entry(IMAGE, "7.344 nm") + zeiss_entry(STORE, "512 * 384"), shape=(768, 512)), 384, 768),
        (tiff_file([(34682, fei_text(resolution=("1536", "1024")).encode())], shape=(512, 768)), 1536, 768),
        (tiff_file([(34682, fei_text("1e-9", "1e-9", None, field="1.536e-6").encode())], shape=(9, 768)), 1536, 768),
        (ome_file(PhysicalSizeX="1").replace(b'SizeX="5"', b'SizeX="9"'), 9, 5),
    ],
)
def test_a_picture_resized_after_its_tags_were_written_is_refused_with_both_numbers(stated, data, stated_px, has_px):
    with pytest.raises(
        SEMReadError, match=rf"for an image {stated_px} px .*, but this one has {has_px}: .*--pixel-size"
    ):
        stated(data)


def test_a_data_bar_that_was_added_or_cut_off_is_no_other_size(stated):
    for rows in (600, 884, 943):
        data = tiff_file([(34682, fei_text(resolution=("1024", "884")).encode())], shape=(rows, 1024))
        assert stated(data).value_nm == pytest.approx(0.826823)


def test_a_declared_size_settles_it_and_says_what_the_file_states(tmp_path):
    path, declared = tmp_path / "a.tif", PixelSize(14.688, source="--pixel-size")
    path.write_bytes(zeiss_file(zeiss_entry(IMAGE, "7.344 nm") + zeiss_entry(STORE, "10 * 8")))
    assert read_scale(path, declared) == (declared, ())
    path.write_bytes(zeiss_file(zeiss_entry(IMAGE, "7.344 nm")))
    size, notes = read_scale(path, declared)
    assert size == declared
    assert notes == ("states 7.344 nm a pixel (Zeiss tag 34118, Image Pixel Size), not the 14.688 nm declared",)


ZEISS_TILT = "Stage at T = {} °\r\nTilt Corrn. = {}\r\n"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (zeiss_file(ZEISS_TILT.format("54.0", "Off")), "tilted by 54° and tilt correction is off: .* 0.588 of"),
        (zeiss_file(ZEISS_TILT.format("-54.0", "Off")), "tilted by 54°"),
        (zeiss_file(ZEISS_TILT.format("54.0", "On")), None),
        (zeiss_file(ZEISS_TILT.format("4.0", "Off")), None),
        (tiff_file([(34682, fei_text(tilt="0.959931").encode())]), "tilted by 55° and .* 0.574 of"),
        (tiff_file([(34682, fei_text(tilt="0.959931", corrected="").encode())]), "no tilt correction is stated"),
        (tiff_file([(34682, fei_text(tilt="0.959931", corrected="yes").encode())]), None),
        (tiff_file([(34682, fei_text(tilt="0.907", beam="IBeam").encode())]), None),
        (tiff_file([tescan_tag(*tescan_text(tilt="55.0"))]), "tilted by 55° and tilt correction is off"),
        (tiff_file([tescan_tag(*tescan_text(tilt="55.0", correction="55.0"))]), None),
    ],
)
def test_a_tilted_stage_is_said(stated, data, said):
    stated(data)
    assert len(stated.notes) == (said is not None)
    if said is not None:
        assert re.search(said, stated.notes[0])


@pytest.mark.parametrize(
    ("line", "tilted"),
    [
        ("$CM_STAGE_POSITION X=37.1, Y=44.9, R=354.9, Z=16.9, T=19.0", True),
        ("$CM_STAGE_POS 14.612 -1.250 10.0 0.0 32.0 0", True),
        ("$CM_STAGE_POS 14.612 -1.250 10.0 0.0 0.0 0", False),
        ("$CM_STAGE_POS 14.612", False),
    ],
)
def test_a_tilted_stage_of_a_jeol_is_said_whether_a_size_is_known_or_declared(tmp_path, line, tilted):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_file())
    path.with_suffix(".txt").write_text(jeol_text(more=(line,)))
    assert len(read_scale(path)[1]) == tilted
    assert sum("tilted" in note for note in read_scale(path, PixelSize(7.0))[1]) == tilted


def test_side_cars_in_another_case_and_of_a_namesake(tmp_path):
    for name, size in (("A.TIF", None), ("B.tif", "1"), ("b.tif", "2")):
        (tmp_path / name).write_bytes(tiff_file())
        if size:
            (tmp_path / name).with_suffix(".TXT").write_text(hitachi_text(size))
    (tmp_path / "a.txt").write_text(hitachi_text("3"))
    sizes = {name: read_pixel_size(tmp_path / name).value_nm for name in ("A.TIF", "B.tif", "b.tif")}
    assert sizes == {"A.TIF": 3, "B.tif": 1, "b.tif": 2}
    (tmp_path / "B.TXT").unlink()
    assert read_pixel_size(tmp_path / "B.tif") is None


def test_an_empty_entry_never_takes_the_next_line(stated):
    assert stated(zeiss_file(f"{IMAGE} = \r\n7.344 nm\r\n{DISPLAY} =\r\n")) is None
    assert stated(tiff_file([(34682, fei_text("", "").encode())])) is None
    text = hitachi_text("").replace("PixelSize=", "PixelSize=\r\nSignalName=SE(U)").encode()
    assert stated(tiff_file(), text) is None


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
