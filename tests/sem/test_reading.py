"""Every kind of file reads back as the array that was written."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from semsize.sem import SEMReadError, read_grey

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
NOISE = np.random.default_rng(0).integers(0, 256, (24, 33), dtype=np.uint8)
COLOURS = np.random.default_rng(1).integers(0, 256, (24, 33, 3), dtype=np.uint8)


def painted_ramp(painted=((9, (255, 0, 0)), (243, (255, 255, 255)))):
    """A TIFF colour map (3, 256) uint16: grey ramp with colours painted over some entries."""
    palette = np.repeat(np.arange(256)[:, None], 3, axis=1)
    for index, colour in painted:
        palette[index] = colour
    return (palette.T * 257).astype(np.uint16)


def luma(rgb):
    return rgb.astype(np.float64) @ [0.299, 0.587, 0.114]


ODD = {"one pixel": np.full((1, 1), 77, np.uint8), "all black": np.zeros((24, 33), np.uint8)}


@pytest.mark.parametrize("ending", ["tif", "png", "bmp"])
@pytest.mark.parametrize("image", [RAMP, NOISE, *ODD.values()])
def test_8_bit_levels_come_as_they_are(tmp_path, ending, image):
    path = tmp_path / f"Größe µ 粒子 (2) .{ending}"
    path.write_bytes(cv2.imencode(".png" if ending == "tif" else f".{ending}", image)[1])
    if ending == "tif":
        tifffile.imwrite(path, image)
    grey = read_grey(path)
    assert grey.dtype == np.float32
    np.testing.assert_array_equal(grey, image)


def test_jpeg_is_read_as_grey(tmp_path):
    smooth = cv2.GaussianBlur(NOISE, (0, 0), 4)
    cv2.imwrite(str(tmp_path / "a.jpg"), smooth, [cv2.IMWRITE_JPEG_QUALITY, 100])
    np.testing.assert_allclose(read_grey(tmp_path / "a.jpg"), smooth, atol=2)


def test_contents_count_not_the_name(tmp_path):
    (tmp_path / "a.tif").write_bytes(cv2.imencode(".png", NOISE)[1])
    tifffile.imwrite(tmp_path / "b.tif", NOISE)
    (tmp_path / "b.tif").rename(tmp_path / "b.png")
    for name in ("a.tif", "b.png"):
        np.testing.assert_array_equal(read_grey(tmp_path / name), NOISE)


@pytest.mark.parametrize("factor", [257, 256, 1])
def test_tiff_palette_of_a_painted_ramp_gives_indices(tmp_path, factor):
    palette = (painted_ramp() // 257 * factor).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", RAMP, photometric="palette", colormap=palette)
    np.testing.assert_array_equal(read_grey(tmp_path / "a.tif"), RAMP)


def test_any_other_tiff_palette_is_applied(tmp_path):
    palette = np.random.default_rng(2).integers(0, 256, (3, 256)) * 257
    tifffile.imwrite(tmp_path / "a.tif", RAMP, photometric="palette", colormap=palette.astype(np.uint16))
    np.testing.assert_allclose(read_grey(tmp_path / "a.tif"), luma(palette.T / 257)[RAMP], rtol=1e-5)


def test_an_inverted_ramp_is_applied(tmp_path):
    palette = np.repeat(np.arange(255, -1, -1)[None] * 257, 3, axis=0).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", RAMP, photometric="palette", colormap=palette)
    np.testing.assert_array_equal(read_grey(tmp_path / "a.tif"), 255 - RAMP)


def palette_png(indices, palette, transparent=b""):
    """A palette PNG written by hand: OpenCV writes none."""

    def chunk(name, contents):
        body = name + contents
        return len(contents).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    height, width = indices.shape
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 3, 0, 0, 0])
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in indices))
    extra = chunk(b"tRNS", transparent) if transparent else b""
    plte = chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + plte + extra + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("transparent", [b"", b"\0\x80"])
def test_png_palettes_follow_the_same_rule(tmp_path, transparent):
    ramp = painted_ramp().T // 257
    (tmp_path / "a.png").write_bytes(palette_png(RAMP, ramp, transparent))
    np.testing.assert_array_equal(read_grey(tmp_path / "a.png"), RAMP)
    colours = COLOURS.reshape(-1, 3)[:256]
    (tmp_path / "b.png").write_bytes(palette_png(RAMP, colours, transparent))
    np.testing.assert_allclose(read_grey(tmp_path / "b.png"), luma(colours)[RAMP], rtol=1e-5)


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
@pytest.mark.parametrize("alpha", [False, True])
def test_equal_channels_pass_exactly_and_colours_become_luma(tmp_path, name, alpha):
    half = np.where(np.arange(33)[:, None] < 16, NOISE[..., None], COLOURS)
    image = np.dstack([half, NOISE.T.reshape(24, 33)]) if alpha else half
    path = tmp_path / name
    if name.endswith("tif"):
        tifffile.imwrite(path, image, photometric="rgb", extrasamples=["unassalpha"] if alpha else None)
    else:
        cv2.imwrite(str(path), image[..., [2, 1, 0, 3][: image.shape[2]]])
    grey = read_grey(path)
    np.testing.assert_array_equal(grey[:, :16], NOISE[:, :16])
    np.testing.assert_allclose(grey[:, 16:], luma(COLOURS)[:, 16:], rtol=1e-5)


def test_planar_rgb_and_grey_with_alpha(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(COLOURS, 2, 0), photometric="rgb", planarconfig="separate")
    np.testing.assert_allclose(read_grey(tmp_path / "a.tif"), luma(COLOURS), rtol=1e-5)
    two = np.dstack([NOISE, 255 - NOISE])
    tifffile.imwrite(
        tmp_path / "b.tif", two, photometric="minisblack", extrasamples=["unassalpha"], planarconfig="contig"
    )
    np.testing.assert_array_equal(read_grey(tmp_path / "b.tif"), NOISE)


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_10_bits_stored_in_16_keep_their_1024_levels(tmp_path, name):
    image = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    tifffile.imwrite(tmp_path / name, image) if name.endswith("tif") else cv2.imwrite(str(tmp_path / name), image)
    grey = read_grey(tmp_path / name, intensity_range=(0, 1023))
    np.testing.assert_allclose(grey, image * (255 / 1023), rtol=1e-6)
    low, high = np.percentile(image, [0.1, 99.9])
    expected = np.clip((image - low) * 255 / (high - low), 0, 255)
    np.testing.assert_allclose(read_grey(tmp_path / name), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32, np.float64])
def test_stretching_does_not_depend_on_gain_and_offset(tmp_path, dtype):
    image = np.random.default_rng(3).integers(0, 3000, (40, 50))
    tifffile.imwrite(tmp_path / "a.tif", image.astype(dtype))
    tifffile.imwrite(tmp_path / "b.tif", (image * 7 + 1000).astype(dtype))
    first, second = read_grey(tmp_path / "a.tif"), read_grey(tmp_path / "b.tif")
    np.testing.assert_allclose(first, second, atol=1e-3)
    assert first.min() == 0
    assert first.max() == 255
    assert not np.array_equal(first, np.round(first))


def test_16_bit_rgb_of_equal_channels_is_the_16_bit_grey(tmp_path):
    image = np.random.default_rng(4).integers(0, 65536, (20, 30)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", image)
    tifffile.imwrite(tmp_path / "b.tif", np.dstack([image] * 3), photometric="rgb")
    np.testing.assert_array_equal(read_grey(tmp_path / "a.tif"), read_grey(tmp_path / "b.tif"))


def test_a_declared_range_leaves_8_bit_alone_and_clips(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", NOISE)
    np.testing.assert_array_equal(read_grey(tmp_path / "a.tif", intensity_range=(0, 4095)), NOISE)
    tifffile.imwrite(tmp_path / "b.tif", np.array([[0, 100, 150, 200, 900]], np.uint16))
    np.testing.assert_array_equal(read_grey(tmp_path / "b.tif", intensity_range=(100, 200)), [[0, 0, 127.5, 255, 255]])


def test_white_is_zero_is_turned_round(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", NOISE, photometric="miniswhite")
    np.testing.assert_array_equal(read_grey(tmp_path / "a.tif"), 255 - NOISE)


@pytest.mark.parametrize("compression", ["deflate", "packbits"])
def test_compressed_and_big_tiffs(tmp_path, compression):
    if compression == "deflate":
        tifffile.imwrite(tmp_path / "a.tif", NOISE, compression="deflate", bigtiff=True, byteorder=">")
    else:
        cv2.imwrite(str(tmp_path / "a.tif"), NOISE, [cv2.IMWRITE_TIFF_COMPRESSION, 32773])
    np.testing.assert_array_equal(read_grey(tmp_path / "a.tif"), NOISE)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lzw_as_opencv_writes_it(tmp_path, dtype):
    for name, image in (("grey", NOISE), ("colour", COLOURS)):
        values = image.astype(dtype) * (1 if dtype == np.uint8 else 257)
        cv2.imwrite(str(tmp_path / f"{name}.tif"), values[..., ::-1] if image.ndim == 3 else values)
        tifffile.imwrite(tmp_path / f"{name}_plain.tif", values, photometric="rgb" if image.ndim == 3 else None)
        with tifffile.TiffFile(tmp_path / f"{name}.tif") as tiff:
            assert tiff.pages.first.compression == tifffile.COMPRESSION.LZW
        np.testing.assert_array_equal(read_grey(tmp_path / f"{name}.tif"), read_grey(tmp_path / f"{name}_plain.tif"))


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("kind", ["black is zero", "white is zero", "painted ramp"])
def test_lzw_neither_applies_palettes_nor_turns_the_image(tmp_path, kind, orientation):
    path = tmp_path / "a.tif"
    picture = Image.fromarray(NOISE)
    if kind == "painted ramp":
        picture = Image.frombytes("P", picture.size, NOISE.tobytes())
        picture.putpalette((painted_ramp().T // 257).astype(np.uint8).tobytes())
    picture.save(path, compression="tiff_lzw", tiffinfo={274: orientation})
    if kind == "white is zero":
        with tifffile.TiffFile(path, mode="r+") as tiff:
            tiff.pages.first.tags["PhotometricInterpretation"].overwrite(0)
    np.testing.assert_array_equal(read_grey(path), 255 - NOISE if kind == "white is zero" else NOISE)


def test_a_preview_page_is_no_second_image(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(NOISE)
        tiff.write(NOISE[::2, ::2], subfiletype=1)
    np.testing.assert_array_equal(read_grey(tmp_path / "a.tif"), NOISE)


def tiff_bytes(tmp_path, *args, **kwargs):
    tifffile.imwrite(tmp_path / "made.tif", *args, **kwargs)
    return (tmp_path / "made.tif").read_bytes()


def without_pixels(data):
    """The same TIFF, its strips overwritten with zeros."""
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages.first
        for start, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            data = data[:start] + bytes(count) + data[start + count :]
    return data


def flip_a_bit(data):
    return data[:100] + bytes([data[100] ^ 1]) + data[101:]


def with_palette(count, index=255):
    """A palette TIFF, 8 bits, whose map has room for `count` colours only."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.full((24, 33), index, np.uint8), photometric="palette", colormap=painted_ramp())
    whole = struct.pack("<HHI", 320, 3, 3 * 256)
    assert whole in stream.getvalue()
    return stream.getvalue().replace(whole, struct.pack("<HHI", 320, 3, 3 * count))


def with_width(width):
    """A TIFF that claims to be so wide."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, NOISE, compression="deflate")
    whole = struct.pack("<HHII", 256, 4, 1, NOISE.shape[1])
    assert whole in stream.getvalue()
    return stream.getvalue().replace(whole, struct.pack("<HHII", 256, 4, 1, width))


def cmyk_jpeg(progressive=False):
    stream = io.BytesIO()
    Image.fromarray(np.dstack([NOISE] * 4), "CMYK").save(stream, "JPEG", progressive=progressive)
    return stream.getvalue()


BAD = {
    "empty": (lambda _: b"", "the file is empty"),
    "text": (lambda _: b"not an image at all", "not a TIFF, PNG, JPEG or BMP"),
    "half a TIFF": (lambda tmp: tiff_bytes(tmp, NOISE)[:-100], "TIFF"),
    "TIFF header only": (lambda tmp: tiff_bytes(tmp, NOISE)[:8], "no page in it is complete"),
    "TIFF magic only": (lambda _: b"II*\0", "TIFF"),
    "damaged deflate": (
        lambda tmp: without_pixels(tiff_bytes(tmp, NOISE, compression="deflate")),
        "not a readable TIFF",
    ),
    "half a PNG": (lambda _: cv2.imencode(".png", NOISE)[1].tobytes()[:-60], "PNG is cut off or damaged"),
    "PNG header only": (lambda _: cv2.imencode(".png", NOISE)[1].tobytes()[:8], "PNG is cut off or damaged"),
    "flipped bit in a PNG": (
        lambda _: flip_a_bit(cv2.imencode(".png", NOISE)[1].tobytes()),
        "PNG is cut off or damaged",
    ),
    "half a JPEG": (lambda _: cv2.imencode(".jpg", NOISE)[1].tobytes()[:-200], "JPEG is cut off or damaged"),
    "half a BMP": (lambda _: cv2.imencode(".bmp", NOISE)[1].tobytes()[:-200], "BMP is cut off or damaged"),
    "two pages": (
        lambda tmp: tiff_bytes(tmp, np.stack([NOISE, NOISE]), photometric="minisblack"),
        "save one image a file",
    ),
    "ImageJ stack": (lambda tmp: tiff_bytes(tmp, np.stack([NOISE] * 5), imagej=True), "save one image a file"),
    "CMYK TIFF": (lambda tmp: tiff_bytes(tmp, np.dstack([NOISE] * 4), photometric="separated"), "CMYK"),
    "CMYK JPEG": (lambda _: cmyk_jpeg(), "CMYK"),
    "progressive CMYK JPEG": (lambda _: cmyk_jpeg(progressive=True), "CMYK"),
    "truncated LZW": (lambda _: cv2.imencode(".tif", NOISE)[1].tobytes()[:-40], "TIFF"),
    "16-bit, all black": (lambda tmp: tiff_bytes(tmp, np.zeros((9, 9), np.uint16)), "no range to stretch"),
    "16-bit, one pixel": (lambda tmp: tiff_bytes(tmp, np.full((1, 1), 7, np.uint16)), "no range to stretch"),
    "CIELab": (lambda tmp: tiff_bytes(tmp, COLOURS, photometric="cielab"), "CIELAB are not read"),
    "one bit": (lambda tmp: tiff_bytes(tmp, NOISE > 127), "1 bits a pixel"),
    "complex": (lambda tmp: tiff_bytes(tmp, NOISE.astype(np.complex64)), "complex64 are not grey levels"),
    "NaN": (lambda tmp: tiff_bytes(tmp, np.where(NOISE > 9, NOISE, np.nan)), "not numbers"),
    "palette too short": (lambda _: with_palette(16), "its palette of 16 colours does not fit its pixels"),
    "palette of nothing": (lambda _: with_palette(0), "not a readable TIFF"),
    "a billion columns": (lambda _: with_width(1 << 30), "its pixels are incomplete"),
    "palette PNG too short": (
        lambda _: palette_png(RAMP, painted_ramp().T[:16] // 257),
        "its palette of 16 colours does not fit its pixels",
    ),
    "DM4": (lambda _: b"\0\0\0\4" + bytes(60), "Gatan DigitalMicrograph files are not read; export it as TIFF"),
    "HDF5": (
        lambda _: b"\x89HDF\r\n\x1a\n" + bytes(60),
        "HDF5 files are not read; export it as TIFF, and give --pixel",
    ),
    "TIA": (lambda _: b"II\x97\1" + bytes(60), "FEI TIA files are not read"),
    "flat 16-bit": (lambda tmp: tiff_bytes(tmp, np.full((9, 9), 7, np.uint16)), "declare its intensity_range"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_read_is_named_in_one_line_and_nothing_else_is_said(tmp_path, kind, capfd, recwarn):
    make, message = BAD[kind]
    path = tmp_path / "brüchig und leer.tif"
    path.write_bytes(make(tmp_path))
    with pytest.raises(SEMReadError) as caught:
        read_grey(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert message in text
    assert "\n" not in text
    assert "Traceback" not in capfd.readouterr().err
    assert not recwarn.list


def test_a_palette_whose_first_colours_are_enough_is_read(tmp_path):
    (tmp_path / "a.tif").write_bytes(with_palette(16, index=15))
    assert read_grey(tmp_path / "a.tif").shape == (24, 33)


def test_foreign_files_are_told_by_their_ending_too(tmp_path):
    (tmp_path / "a.MRC").write_bytes(bytes(1024))
    with pytest.raises(SEMReadError, match="MRC files are not read; export it as TIFF, and give --pixel-size with it"):
        read_grey(tmp_path / "a.MRC")


@pytest.mark.parametrize("name", ["absent.tif", "."])
def test_missing_files_and_folders_are_named(tmp_path, name):
    with pytest.raises(SEMReadError, match="cannot be read"):
        read_grey(tmp_path / name)


def test_a_range_must_ascend(tmp_path):
    with pytest.raises(ValueError, match="from low to high"):
        read_grey(tmp_path / "a.tif", intensity_range=(5, 5))


def test_pages_that_lead_in_a_circle_are_refused_and_not_followed(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif", byteorder="<") as tiff:
        for _ in range(2):
            tiff.write(NOISE, metadata=None)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        first, second = (page.offset for page in tiff.pages)
    (count,) = struct.unpack_from("<H", data, second)
    struct.pack_into("<I", data, second + 2 + 12 * count, first)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(SEMReadError, match="holds more than 32 pages, or an endless list"):
        read_grey(tmp_path / "a.tif")


WHOLE = {
    "TIFF": lambda tmp: tiff_bytes(tmp, NOISE),
    "deflated TIFF": lambda tmp: tiff_bytes(tmp, NOISE, compression="deflate"),
    "LZW TIFF": lambda _: cv2.imencode(".tif", NOISE)[1].tobytes(),
    "PNG": lambda _: cv2.imencode(".png", NOISE)[1].tobytes(),
    "JPEG": lambda _: cv2.imencode(".jpg", NOISE)[1].tobytes(),
    "BMP": lambda _: cv2.imencode(".bmp", NOISE)[1].tobytes(),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_file_cut_off_anywhere_is_refused_or_has_lost_nothing(tmp_path, kind):
    whole = WHOLE[kind](tmp_path)
    path = tmp_path / "cut.tif"
    path.write_bytes(whole)
    grey = read_grey(path)
    messages = []
    for length in np.unique(np.linspace(0, len(whole) - 1, 60).astype(int)).tolist():
        path.write_bytes(whole[:length])
        try:
            np.testing.assert_array_equal(read_grey(path), grey)
        except SEMReadError as error:
            messages.append(str(error))
    assert len(messages) >= 50
    assert all(message.startswith(f"{path}: ") and "\n" not in message for message in messages)
