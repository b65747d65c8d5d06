"""The converter on an archive of a few drawn images, and on the real archive if it lies beside the repository."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from tool_modules import tool_module

from semsize.structures import CroppedMasks, read_annotations

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools/dataset_converters/bam_tio2.py"
REAL = ROOT.parent / "shared/data/bam-tio2-sem.zip"
BAR_HEIGHT, HEIGHT, WIDTH = 8, 48, 64
COLOURS = {"green": (0, 255, 0), "blue": (0, 0, 255), "red": (255, 0, 0)}

tool = tool_module("dataset_converters/bam_tio2")


def grey_levels(name, height=HEIGHT + BAR_HEIGHT):
    return np.random.default_rng(int(name)).integers(0, 256, (height, WIDTH), dtype=np.uint8)


def write_image(folder, name, height=HEIGHT + BAR_HEIGHT):
    """A palette TIFF as the microscope writes it: a grey ramp with one entry painted red, and a pixel size."""
    palette = np.repeat(np.arange(256)[None] * 257, 3, axis=0).astype(np.uint16)
    palette[:, 9] = 65535, 0, 0
    tag = (34118, 2, None, b"AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 7.344 nm\r\n", True)
    path = folder / "Electron Microscopy Images/SEM" / f"{name}.tif"
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, grey_levels(name, height), photometric="palette", colormap=palette, extratags=[tag])


def write_masks(folder, name, rectangles, *, height=HEIGHT + BAR_HEIGHT, classes=True):
    """Masks of (row, column, height, width, colour) rectangles; one more lies in the data bar, which is no particle."""
    masks = folder / "Electron Microscopy Image Masks"
    mask, colours = np.zeros((height, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    mask[-5:, :20] = 255
    for row, column, rows, columns, colour in rectangles:
        mask[row : row + rows, column : column + columns] = 255
        colours[row : row + rows, column : column + columns] = COLOURS.get(colour, 0)
    for kind, ending, array in (("", "m", mask), ("_4Classes", "cm", colours))[: 2 if classes else 1]:
        path = masks / f"TiO2_Masks_Manual_4connected{kind}" / f"{name}_{ending}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, array, photometric="rgb" if array.ndim == 3 else "minisblack")


TRAIN = [
    (2, 2, 6, 6, "green"),  # one empty column from the next: a neighbour
    (2, 9, 6, 6, "blue"),
    (20, 2, 6, 6, "green"),  # nobody but a speck nearby
    (20, 9, 3, 3, "green"),
    (20, 30, 6, 6, "red"),
    (40, 30, 8, 6, "none"),  # meets the data bar
    (30, 50, 4, 3, "blue"),  # 12 px: the smallest particle
    (36, 50, 11, 1, "blue"),  # 11 px: the largest speck
]
DIAGONAL = [(2, 2, 6, 6, "green"), (8, 8, 6, 6, "green")]  # meet at a corner: two particles


@pytest.fixture
def archive(tmp_path):
    """A folder, the archive two levels down: 2 train images, 1 val, 2 test, 1 without mask, 1 mask without image."""
    top = tmp_path / "source"
    inner = top / "record" / "4563942"
    for name in ("1908248", "1908250", "1908260", "1908999"):
        write_image(inner, name)
    write_masks(inner, "1908248", TRAIN)
    write_masks(inner, "1908250", [])
    for name in ("1908260", "1908999"):
        write_masks(inner, name, DIAGONAL)
    write_image(inner, "1909000", height=768)
    write_masks(inner, "1909000", [(0, 0, 10, 10, "green"), (700, 40, 20, 10, "green")], height=768, classes=False)
    write_image(inner, "1907000")
    write_masks(inner, "1907001", DIAGONAL)
    (inner / "Electron Microscopy Images/SEM/notes.txt").write_text("not an image")
    return top


def zipped(folder, path):
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("__MACOSX/Electron Microscopy Images/SEM/._1908248.tif", b"junk")
        for file in sorted(folder.rglob("*")):
            packed.write(file, file.relative_to(folder))
    return path


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def convert(source, out, *more):
    tool.main([str(source), "--out", str(out), *map(str, more)])
    return {path.stem: read_annotations(path) for path in (out / "annotations").iterdir()}


def test_images_are_the_palette_indices_above_the_data_bar(archive, tmp_path):
    data = convert(archive, tmp_path / "out")
    assert {split: [image["file_name"] for image in part["images"]] for split, part in data.items()} == {
        "train": ["1908248.png", "1908250.png"],
        "val": ["1908260.png"],
        "test": ["1908999.png", "1909000.png"],
    }
    for split, part in data.items():
        for image in part["images"]:
            stored = cv2.imread(str(tmp_path / "out/images" / split / image["file_name"]), cv2.IMREAD_UNCHANGED)
            name, height = image["file_name"][:-4], 768 if image["height"] == 704 else HEIGHT + BAR_HEIGHT
            np.testing.assert_array_equal(stored, grey_levels(name, height)[: image["height"]])
            assert image["pixel_size_nm"] == 7.344
            assert image["configuration"] is None
            assert image["source"] == f"Zenodo 4563942, {name}.tif"


def test_particles_states_and_specks(archive, tmp_path):
    particles = convert(archive, tmp_path / "out")["train"]["annotations"]
    found = {tuple(particle["bbox"]): particle for particle in particles}
    kind = {
        tuple(box): (particle["state"], particle["source_state"], particle["iscrowd"])
        for box, particle in found.items()
    }
    assert kind == {
        (2, 2, 6, 6): ("complete", "green", 0),
        (9, 2, 6, 6): ("masked", "blue", 0),
        (2, 20, 6, 6): ("isolated", "green", 0),
        (9, 20, 3, 3): (None, "green", 1),
        (30, 20, 6, 6): ("unusable", "red", 0),
        (30, 40, 6, 8): (None, None, 0),
        (50, 30, 3, 4): ("masked", "blue", 0),
        (50, 36, 1, 11): (None, "blue", 1),
    }
    assert all(particle["area"] == np.prod(particle["bbox"][2:]) for particle in particles)


def test_particles_are_four_connected_and_end_at_the_data_bar(archive, tmp_path):
    data = convert(archive, tmp_path / "out")
    masks = CroppedMasks.from_rles([particle["segmentation"] for particle in data["val"]["annotations"]])
    np.testing.assert_array_equal(masks.areas, [36, 36])
    tall = [particle for particle in data["test"]["annotations"] if particle["image_id"] == 2]
    assert [particle["bbox"] for particle in tall] == [[0, 0, 10, 10], [40, 700, 10, 4]]
    assert [(particle["state"], particle["source_state"]) for particle in tall] == [(None, None)] * 2


def test_a_smaller_min_area_keeps_specks(archive, tmp_path):
    particles = convert(archive, tmp_path / "out", "--min-area", 1)["train"]["annotations"]
    assert not any(particle["iscrowd"] for particle in particles)


def test_zip_folder_and_a_second_run_give_the_same_bytes(archive, tmp_path):
    convert(archive, tmp_path / "a")
    first = contents(tmp_path / "a")
    convert(zipped(archive, tmp_path / "record.zip"), tmp_path / "b")
    convert(archive, tmp_path / "a")
    assert first == contents(tmp_path / "b") == contents(tmp_path / "a")
    assert {path.name for path in tmp_path.iterdir()} == {"source", "record.zip", "a", "b"}


def test_everything_left_out_is_said(archive, tmp_path, capsys):
    convert(archive, tmp_path / "out")
    text = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line}
    assert rows["split"] == ["images", "particles", "most", "specks", *bam_tio2_states(), "unknown"]
    assert rows["train"] == ["2", "6", "6", "2", "1", "1", "0", "2", "1", "1"]
    assert rows["test"] == ["2", "4", "2", "0", "0", "2", "0", "0", "0", "2"]
    assert "1 SEM images without a mask, left out: 1907000" in text
    assert "1 masks without an SEM image, left out: 1907001" in text
    assert "1 images without a class mask, their states unknown: 1909000" in text
    assert "25 images of the fixed split that SRC lacks: 1908254" in text


def bam_tio2_states():
    return ["isolated", "complete", "touch_complete", "masked", "unusable"]


def test_licence_and_citation_go_along(archive, tmp_path):
    for part in convert(archive, tmp_path / "out").values():
        assert "4942 (2021)" in part["info"]["contributor"]
        assert part["licenses"][0]["name"] == "CC BY-NC-ND 4.0"


def masks_of(archive):
    return next(archive.rglob("TiO2_Masks_Manual_4connected"))


def break_mask_size(archive):
    tifffile.imwrite(masks_of(archive) / "1908248_m.tif", np.zeros((HEIGHT - 1, WIDTH), np.uint8))


def break_mask_values(archive):
    tifffile.imwrite(masks_of(archive) / "1908248_m.tif", np.full((HEIGHT, WIDTH), 128, np.uint8))


def break_class_size(archive):
    path = next(archive.rglob("1908248_cm.tif"))
    tifffile.imwrite(path, np.zeros((HEIGHT, WIDTH + 1, 3), np.uint8), photometric="rgb")


def break_image(archive):
    path = next(archive.rglob("1908248.tif"))
    path.write_bytes(path.read_bytes()[:1000])


def empty_mask_file(archive):
    (masks_of(archive) / "1908248_m.tif").write_bytes(b"")


def drop_class_mask(archive):
    next(archive.rglob("1908248_cm.tif")).unlink()


def drop_masks(archive):
    masks_of(archive).rename(archive / "elsewhere")


def drop_images(archive):
    next(archive.rglob("SEM")).rename(archive / "elsewhere")


def two_of_one_name(archive):
    path = next(archive.rglob("1908248.tif"))
    path.with_suffix(".TIFF").write_bytes(path.read_bytes())


def double_images(archive):
    (archive / "copy/Electron Microscopy Images/SEM").mkdir(parents=True)


def store_16_bits(archive):
    path = next(archive.rglob("1908248.tif"))
    tifffile.imwrite(path, grey_levels("1908248").astype(np.uint16) * 200)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_mask_size, "1908248_m.tif: 64 x 47 pixels do not fit an image of 64 x 56"),
        (break_mask_values, "1908248_m.tif: a mask holds 0 and 255 only"),
        (break_class_size, "1908248_cm.tif: 65 x 48 pixels do not fit"),
        (break_image, "1908248.tif: "),
        (empty_mask_file, "1908248_m.tif: not a readable image"),
        (drop_class_mask, "1908248.tif: cannot tell where its data bar begins"),
        (drop_masks, "holds no files in Electron Microscopy Image Masks/TiO2_Masks_Manual_4connected"),
        (drop_images, "holds no files in Electron Microscopy Images/SEM"),
        (double_images, "holds Electron Microscopy Images/SEM twice"),
        (two_of_one_name, "holds 1908248.TIFF and 1908248.tif of one image; keep one of them"),
        (store_16_bits, "1908248.tif: not an 8-bit image"),
    ],
)
def test_damage_is_one_line_and_leaves_nothing_behind(archive, tmp_path, damage, message):
    damage(archive)
    with pytest.raises(SystemExit) as caught:
        convert(archive, tmp_path / "out")
    text = str(caught.value)
    assert text.startswith("error: ")
    assert message in text
    assert "\n" not in text
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("content", [None, b"", b"PK\3\4 half a zip"])
def test_what_is_no_archive_is_named(tmp_path, content):
    source = tmp_path / "record.zip"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(SystemExit, match=r"record\.zip: "):
        convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_zip_of_something_else_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as packed:
        packed.writestr("a.txt", "a")
    with pytest.raises(SystemExit, match=r"other\.zip: holds no files in Electron Microscopy Images/SEM"):
        convert(tmp_path / "other.zip", tmp_path / "out")


def test_an_encrypted_zip_is_named(archive, tmp_path):
    path = zipped(archive, tmp_path / "locked.zip")
    content = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # of each file's two headers
        at = content.find(mark)
        while at >= 0:
            content[at + flags] |= 1
            at = content.find(mark, at + 1)
    path.write_bytes(content)
    with pytest.raises(SystemExit, match=r"locked\.zip: no sound zip \(.*encrypted"):
        convert(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_failed_run_keeps_what_an_earlier_one_wrote(archive, tmp_path):
    convert(archive, tmp_path / "out")
    before = contents(tmp_path / "out")
    break_image(archive)
    with pytest.raises(SystemExit):
        convert(archive, tmp_path / "out")
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("strange", ["file", "folder", "addition", "other data set"])
def test_what_somebody_else_made_is_not_replaced(archive, tmp_path, strange):
    out = tmp_path / "out"
    if strange == "file":
        out.write_text("mine")
    elif strange == "folder":
        (out / "annotations").mkdir(parents=True)
        (out / "annotations/notes.txt").write_text("mine")
    else:
        convert(archive, out)
        if strange == "addition":
            (out / "predictions.json").write_text("[]")
        else:
            path = out / "annotations/val.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {"info": {}}))
    before = contents(tmp_path)
    with pytest.raises(SystemExit, match="exists and was not written by this program"):
        convert(archive, out)
    assert contents(tmp_path) == before


def test_an_empty_folder_is_filled(archive, tmp_path):
    (tmp_path / "out").mkdir()
    assert set(convert(archive, tmp_path / "out")) == {"train", "val", "test"}


def test_help_shows_a_command():
    done = subprocess.run([sys.executable, str(TOOL), "--help"], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "bam_tio2.py ../shared/data/bam-tio2-sem.zip --out" in done.stdout


@pytest.mark.skipif(not REAL.exists(), reason="../shared/data/bam-tio2-sem.zip is not here")
def test_the_real_archive(tmp_path):
    data = convert(REAL, tmp_path / "out")
    assert set(data) == {"train", "val"}
    expected = {"train": (22, 2785, 499), "val": (6, 813, 254)}
    for split, (images, particles, most) in expected.items():
        whole = [particle for particle in data[split]["annotations"] if not particle["iscrowd"]]
        per_image = np.bincount([particle["image_id"] for particle in whole])
        assert (len(data[split]["images"]), len(whole), per_image.max()) == (images, particles, most)
        assert {image["pixel_size_nm"] for image in data[split]["images"]} == {7.344}
        assert {(image["height"], image["width"]) for image in data[split]["images"]} == {(704, 1024)}
        assert {particle["state"] for particle in whole} == {"isolated", "complete", "masked", "unusable"}
