"""Label images in any kind of file; masks, labels of the ground and pictures are told from labels."""

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from scenes import disks
from semsize.exchange import Account, ExchangeError, ImageFolder, label_image, picture_stems, read_label_images
from semsize.exchange.label_images import label_particles, read_labels
from semsize.measuring import InputError, measure_images
from semsize.measuring.inputs import ImageFile, find_images, without_label_images
from semsize.measuring.outline_files import outlines_from_labels

SHAPE = (64, 90)
LABELS = label_image(disks(SHAPE, [(15, 15), (40, 30), (30, 70), (50, 60)], [6.0, 9.0, 12.0, 5.0])).astype(np.int64)
WATERSHED = LABELS + 1


def tiff(path, values, compression):
    """Through libtiff, as OpenCV, Fiji and GDAL write; uint32 is stored as int32 and then said to be unsigned."""
    if compression in (None, "zlib"):
        tifffile.imwrite(path, values, compression=compression)
        return
    picture = Image.fromarray(values.view(np.int32) if values.dtype == np.uint32 else values)
    picture.save(path, "TIFF", compression=compression)
    if values.dtype == np.uint32:
        with tifffile.TiffFile(path, mode="r+") as file:
            file.pages.first.tags["SampleFormat"].overwrite(1)


@pytest.mark.parametrize("compression", [None, "zlib", "tiff_lzw", "tiff_deflate", "packbits"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.uint32, np.float32])
def test_tiffs_of_all_types_and_compressions(tmp_path, dtype, compression):
    largest = {1: 255, 2: 30_000, 4: 70_000}[np.dtype(dtype).itemsize]
    values = np.where(LABELS == 4, largest, LABELS).astype(dtype)
    tiff(tmp_path / "a.tif", values, compression)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), values)


def test_labels_beyond_31_bits_of_an_lzw_tiff(tmp_path):
    values = np.where(LABELS == 4, 2**32 - 5, LABELS).astype(np.uint32)
    tiff(tmp_path / "a.tif", values, "tiff_lzw")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), values)
    names = [particle.name for particle in particles_of(values.astype(np.int64))]
    assert names == ["label 1", "label 2", "label 3", f"label {2**32 - 5}"]


@pytest.mark.parametrize("ending", ["tif", "png", "bmp"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_the_indices_of_a_palette_are_the_labels(tmp_path, ending, compression):
    picture = Image.frombytes("P", SHAPE[::-1], LABELS.astype(np.uint8).tobytes())
    colours = np.random.default_rng(0).integers(0, 256, (256, 3)).astype(np.uint8)
    picture.putpalette(colours.tobytes())
    picture.save(tmp_path / f"a.{ending}", **({"compression": compression} if ending == "tif" else {}))
    np.testing.assert_array_equal(read_labels(tmp_path / f"a.{ending}"), LABELS)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "group4", "packbits"])
def test_masks_of_one_bit(tmp_path, compression):
    Image.fromarray((LABELS > 0).astype(np.uint8) * 255).convert("1").save(tmp_path / "a.tif", compression=compression)
    Image.fromarray((LABELS > 0).astype(np.uint8) * 255).convert("1").save(tmp_path / "a.png")
    for name in ("a.tif", "a.png"):
        values = read_labels(tmp_path / name)
        np.testing.assert_array_equal(values > 0, LABELS > 0)
        assert len(np.unique(values)) == 2


@pytest.mark.parametrize("photometric", [0, 1])
def test_labels_of_four_bits(tmp_path, photometric):
    values = LABELS.astype(np.uint8)
    rows = ((values[:, 0::2] << 4) | values[:, 1::2]).tobytes()
    entries = [
        (256, SHAPE[1]),
        (257, SHAPE[0]),
        (258, 4),
        (259, 1),
        (262, photometric),
        (273, 8),
        (277, 1),
        (278, SHAPE[0]),
    ]
    entries.append((279, len(rows)))
    directory = b"".join(struct.pack("<HHII", code, 4, 1, value) for code, value in entries)
    header = b"II" + struct.pack("<HI", 42, 8 + len(rows))
    (tmp_path / "a.tif").write_bytes(header + rows + struct.pack("<H", len(entries)) + directory + bytes(4))
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), LABELS)


def test_stored_values_count_where_white_is_zero_and_the_file_asks_to_be_turned(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", LABELS.astype(np.uint8), photometric="miniswhite")
    Image.fromarray(LABELS.astype(np.uint8)).save(tmp_path / "b.tif", compression="tiff_lzw", tiffinfo={274: 6})
    for name in ("a.tif", "b.tif"):
        np.testing.assert_array_equal(read_labels(tmp_path / name), LABELS)


def jpeg(path):
    cv2.imwrite(str(path.with_suffix(".jpg")), LABELS.astype(np.uint8))
    path.with_suffix(".jpg").rename(path)


UNREADABLE = {
    "colours": (lambda path: Image.fromarray(np.dstack([LABELS, 2 * LABELS, LABELS]).astype(np.uint8)).save(path),
                "has colours"),
    "pages": (lambda path: tifffile.imwrite(path, np.stack([LABELS] * 3).astype(np.uint8), photometric="minisblack"),
              "holds 3 pages or a stack"),
    "a JPEG": (jpeg, "does not keep values"),
    "parts of a label": (lambda path: tifffile.imwrite(path, LABELS + np.float32(0.5)), "must be whole numbers"),
    "NaN": (lambda path: tifffile.imwrite(path, np.where(LABELS > 0, LABELS, np.nan)), "must be whole numbers"),
    "a watershed's boundary": (lambda path: tifffile.imwrite(path, (LABELS - 1).astype(np.int32)), "below 0 (-1; "),
    "half a file": (lambda path: path.write_bytes(b"II*\0half"), "TIFF"),
    "a text": (lambda path: path.write_text("labels"), "not a TIFF, PNG or BMP"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_holds_no_labels_is_refused_by_name(tmp_path, case):
    write, message = UNREADABLE[case]
    write(tmp_path / "a.tif")
    with pytest.raises(ExchangeError) as caught:
        read_labels(tmp_path / "a.tif")
    assert str(caught.value).startswith(f"{tmp_path / 'a.tif'}: ")
    assert message in str(caught.value)


# --- labels, masks, grounds, pictures ---------------------------------------------------------------------------------


def particles_of(labels, binary=False, account=None):
    return label_particles(np.asarray(labels, np.int64), Path("a.png"), binary, "a", account or Account())


def areas(particles):
    return sorted(int(particle.shapes[0].crop.sum()) for particle in particles)


TRUE_AREAS = sorted(np.bincount(LABELS.ravel())[1:].tolist())
MASK = 255 * (LABELS > 0)
SOFT = cv2.GaussianBlur(MASK.astype(np.float32), (0, 0), 0.7).round().astype(int)


def test_labels_are_the_particles():
    assert areas(particles_of(LABELS)) == TRUE_AREAS
    assert particles_of(np.zeros(SHAPE)) == []


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_a_mask_is_told_from_labels_and_split_on_demand(white):
    with pytest.raises(ExchangeError, match=f"a.png: a mask of 0 and {white}, not labels; with --binary"):
        particles_of(white * (LABELS > 0))
    assert areas(particles_of(white * (LABELS > 0), binary=True)) == TRUE_AREAS


def test_a_mask_with_soft_edges():
    with pytest.raises(ExchangeError, match="a mask of 0 and 255"):
        particles_of(SOFT)
    account = Account()
    assert areas(particles_of(SOFT, binary=True, account=account)) == pytest.approx(TRUE_AREAS, rel=0.05)
    assert list(account.faults) == ["masks of more than two values, taken from half of the largest one on"]


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("white", [1, 255])
def test_an_inverted_mask_is_refused_with_and_without_binary(white, binary):
    with pytest.raises(ExchangeError, match=r"white takes \d+ % of the frame and touches its four sides"):
        particles_of(white * (LABELS == 0), binary)


def test_labels_are_no_mask():
    with pytest.raises(ExchangeError, match="holds 4 values, labels and not a mask: leave --binary out"):
        particles_of(np.where(LABELS == 3, 0, LABELS) + 5 * (LABELS == 3), binary=True)


def test_one_particle_alone_may_be_labels_or_a_mask():
    for binary in (False, True):
        assert areas(particles_of(255 * (LABELS == 2), binary)) == [TRUE_AREAS[2]]


GROUNDS = {
    "label 1": WATERSHED,
    "the largest label": np.where(LABELS == 0, 99, LABELS),
    "with lines of 0 around the particles": np.where(
        cv2.morphologyEx(LABELS.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((2, 2))) > 0, 0, WATERSHED
    ),
    "above a data bar of 0": np.vstack([WATERSHED, np.zeros((10, SHAPE[1]), int)]),
    "with a particle at the border": np.where(np.mgrid[:64, :90].min(axis=0) > 55, 9, WATERSHED),
}


@pytest.mark.parametrize("case", GROUNDS)
def test_a_label_of_the_ground_is_said_and_is_no_particle(case):
    account = Account()
    found = areas(particles_of(GROUNDS[case], account=account))
    assert len(found) == 4 + ("border" in case)
    if "lines" not in case and "border" not in case:
        assert found == TRUE_AREAS
    (line,) = account.lines()
    assert line.startswith("1 × labels of the ground, which no particle is, left out: a: label ")


def test_a_mask_of_1_and_2_has_a_ground_too():
    with pytest.raises(ExchangeError, match="a mask of 0 and 2"):
        particles_of(1 + (LABELS > 0))
    assert areas(particles_of(1 + (LABELS > 0), binary=True)) == TRUE_AREAS


@pytest.mark.parametrize("width", [1, 3])
def test_a_label_of_a_frame_round_the_picture_is_said_and_is_no_particle(width):
    account, framed = Account(), np.pad(LABELS[width:-width, width:-width], width, constant_values=99)
    assert areas(particles_of(framed, account=account)) == TRUE_AREAS
    assert list(account.lines()) == ["1 × labels of a line around the image, left out: a: label 99"]


def test_classes_are_no_labels():
    for classes in (np.where(LABELS > 0, 1 + LABELS % 2, 0), np.select([LABELS == 1, LABELS > 1], [2, 1])):
        with pytest.raises(ExchangeError, match="2 values on 4 pieces that do not touch: classes and not labels"):
            particles_of(classes)
    specks = LABELS.copy()
    specks[::9, :4][specks[::9, :4] == 0] = 1
    assert len(particles_of(specks, account=(account := Account()))) == 4
    assert "1 × labels in several pieces, kept as one particle: a: label 1" in list(account.lines())


def test_particles_that_fill_the_frame_are_no_ground():
    grains = 1 + np.arange(8)[:, None].repeat(8, 0).repeat(90, 1) * 6 + np.arange(90)[None, :] // 15
    account = Account()
    assert len(particles_of(grains, account=account)) == 48
    assert not list(account.lines())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_picture_is_no_label_image_and_takes_no_time(dtype):
    picture = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (600, 800), dtype=dtype)
    with pytest.raises(ExchangeError, match="values are scattered all over it: a photograph, not labels"):
        particles_of(picture)


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stem", "plain"),
    [
        ("s0_cp_masks", "s0"), ("s0_masks", "s0"), ("s0_mask", "s0"), ("s0-labels", "s0"), ("s0_seg", "s0"),
        ("s0_Label", "s0"), ("s0.segmentation", "s0"), ("s0_gt", "s0"), ("s0 label image", "s0"),
        ("mask", None), ("unmasks", None), ("s0_masks_2", None),
    ],
)  # fmt: skip
def test_the_usual_ends_of_names_are_known(stem, plain):
    assert picture_stems(stem, "") == [stem] + ([plain] if plain else [])


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = io.BytesIO()
    Image.fromarray(values.astype(np.uint8)).save(encoded, "PNG" if path.suffix == ".png" else "TIFF")
    path.write_bytes(encoded.getvalue())
    return path


@pytest.mark.parametrize("suffix", ["", "_cp_masks"])
def test_cellposes_names_in_a_folder_of_their_own_and_among_the_pictures(tmp_path, suffix):
    write(tmp_path / "images/s0.tif", 50 + LABELS)
    write(tmp_path / "masks/s0_cp_masks.png", LABELS)
    write(tmp_path / "mixed/s0.tif", 50 + LABELS)
    write(tmp_path / "mixed/s0_cp_masks.png", LABELS)
    for images, labels in (("images", "masks"), ("mixed", "mixed")):
        account = Account()
        folders = ImageFolder(tmp_path / images), ImageFolder(tmp_path / labels)
        (image,) = read_label_images(*folders, account, suffix=suffix)
        assert image.path == tmp_path / images / "s0.tif"
        assert areas(image.particles) == TRUE_AREAS
        assert not list(account.lines())


def test_measuring_says_why_label_images_gave_nothing(tmp_path):
    write(tmp_path / "images/s0.tif", 50 + LABELS)
    for name, values, reason in (
        ("masks/s0.png", MASK, r"s0\.tif: .*s0\.png: a mask of 0 and 255, not labels; with --binary"),
        ("inverted/s0.png", 255 - MASK, r"s0\.tif: .*s0\.png: a mask whose white takes \d+ % of the frame"),
        (
            "strange/s0_wrong.png",
            LABELS,
            r"no outlines for this image in .*; 1 × label images left out, no image .*wrong",
        ),
    ):
        write(tmp_path / name, values)
        files = find_images([tmp_path / "images"], tmp_path / "out")
        source = outlines_from_labels((tmp_path / name).parent, files)
        with pytest.raises(InputError, match=f"none of 1 images could be measured; the first: .*{reason}"):
            measure_images([tmp_path / "images"], tmp_path / "out", source)
    source = outlines_from_labels(tmp_path / "masks", files, binary=True)
    done = measure_images([tmp_path / "images"], tmp_path / "out", source)
    assert sorted(done.table["area_px"].tolist()) == TRUE_AREAS


def test_names_that_fit_no_picture_are_said(tmp_path):
    write(tmp_path / "images/s0.tif", LABELS)
    write(tmp_path / "masks/s0_wrong.png", LABELS)
    account = Account()
    assert not list(read_label_images(ImageFolder(tmp_path / "images"), ImageFolder(tmp_path / "masks"), account))
    assert any("label images left out, no image" in kind and "--suffix" in kind for kind in account.faults)


def test_label_images_among_the_pictures_are_not_measured_as_pictures(tmp_path):
    mixed = [tmp_path / name for name in ("s0.tif", "s0_masks.tif", "s1.tif", "s1_masks.tif", "own_masks.tif")]
    files = [ImageFile(path, path.name) for path in mixed]
    assert [file.name for file in without_label_images(files, tmp_path, "")] == ["s0.tif", "s1.tif", "own_masks.tif"]
    below = [*files[::2], ImageFile(tmp_path / "labels/s0.tif", "labels/s0.tif")]
    assert without_label_images(below, tmp_path / "labels", "") == files[::2]
