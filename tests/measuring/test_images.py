"""Each image is measured once, under its own name, which is a legal file name."""

import os
from pathlib import Path

import pytest

from semsize.measuring.inputs import ImageFile, InputError, find_images


@pytest.fixture
def tree(tmp_path):
    for name in ("a/1.tif", "a/deep/1.tif", "b/1.tif", "b/Grüße µm.png", "b/notes.txt", "b/[x] 2.bmp"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def names(tree, *inputs):
    return [file.name for file in find_images([tree / given for given in inputs], tree / "out")]


def test_folders_are_searched_and_text_files_left_alone(tree):
    assert names(tree, "a") == ["1.tif", "deep/1.tif"]
    assert names(tree, "b") == ["1.tif", "Grüße µm.png", "[x] 2.bmp"]


def test_a_file_that_is_named_is_taken_whatever_its_ending(tree):
    assert names(tree, "b/notes.txt") == ["notes.txt"]


def test_patterns_and_names_that_look_like_patterns(tree):
    assert names(tree, "b/*.p*") == ["Grüße µm.png"]
    assert names(tree, "**/1.tif") == ["a/1.tif", "deep/1.tif", "b/1.tif"]
    assert names(tree, "b/[x] 2.bmp") == ["[x] 2.bmp"]


def test_files_in_microscopes_own_formats_are_not_passed_over(tree):
    for name in ("raw/1.dm4", "raw/2.EMD", "raw/3.ser", "raw/3.tif", "own/1.dm3"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_bytes(b"x")
    assert names(tree, "raw") == ["3.tif", "1.dm4", "2.EMD"]
    assert names(tree, "own") == ["1.dm3"]
    assert names(tree, "raw/3.ser") == ["3.ser"]


def test_equal_names_get_their_folders_and_an_image_given_twice_counts_once(tree):
    assert names(tree, "a/1.tif", "b/1.tif", "a/1.tif", "a/../a/1.tif") == ["a/1.tif", "b/1.tif"]
    keys = {file.key for file in find_images([tree / "a", tree / "b"], tree / "out")}
    assert len(keys) == 5
    assert all("/" not in key and " " not in key for key in keys)


def test_a_key_is_no_device_of_windows():
    for name in ("con.1.tif", "aux.tif", "NUL.x.png", "com1.a.tif"):
        first = ImageFile(Path(name), name).key.split(".")[0].lower()
        assert first not in ("con", "aux", "nul", "com1")


def test_what_the_measurement_itself_wrote_is_no_input(tree):
    (tree / "a" / "out" / "overlays").mkdir(parents=True)
    (tree / "a" / "out" / "overlays" / "1.png").write_bytes(b"x")
    assert [file.name for file in find_images([tree / "a"], tree / "a" / "out")] == ["1.tif", "deep/1.tif"]


def test_a_name_that_is_no_text_is_spelt_out(tree):
    raw = os.fsencode(tree / "a") + b"/\xff.tif"
    with open(raw, "wb"):
        pass
    (file,) = find_images([os.fsdecode(raw)], tree / "out")
    assert file.name.encode() == b"\\udcff.tif"
    assert file.path.exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [("none.tif", "no such file or folder"), ("*.gif", "no file matches this pattern"), ("empty", "holds no images")],
)
def test_what_is_not_there_is_said(tree, given, message):
    (tree / "empty").mkdir()
    with pytest.raises(InputError, match=message):
        names(tree, given)
