"""Agglomerates are cut out, saved and loaded."""

import pickle

import numpy as np
import pytest
from agglomerate_samples import agglomerate, drawn, library, write_dataset

from scenes import disks, squares
from semsize.structures import CroppedMasks
from semsize.structures.files import file_sha256
from tio2.agglomerates import AgglomerateLibrary, LibraryError
from tio2.agglomerates.agglomerate import CUT_BY_DATA_BAR, CUT_BY_EDGE, ONLY_SPECKS, cut_agglomerates
from tio2.agglomerates.library import decode_grey, encode_grey

SHAPE = (120, 160)
SCENE = disks(SHAPE, [(40, 40), (40, 53), (2, 100), (90, 90), (113, 120)], [6, 6, 5, 4, 5])
RECORD = {"file_name": "a.png", "pixel_size_nm": None}
PLAIN = [{"iscrowd": 0, "state": "complete"}] * 4


def test_whole_agglomerates_are_cut_out_with_their_margin():
    image = drawn(SCENE)
    kept, left_out = cut_agglomerates(image, SCENE, [*PLAIN, *PLAIN][:5], RECORD, margin_px=6)
    assert left_out == {CUT_BY_EDGE: 2}
    assert [len(a.masks) for a in kept] == [2, 1]
    np.testing.assert_array_equal(kept[0].image, image[28:52, 28:65])
    np.testing.assert_array_equal(kept[0].masks.to_full(), SCENE[:2].to_full()[:, 28:52, 28:65])
    assert kept[0].image.dtype == np.float32


def test_a_margin_that_reaches_the_edge_exactly_is_whole():
    masks = squares((30, 40), [(6, 6)], 10)
    sizes = {m: cut_agglomerates(drawn(masks), masks, PLAIN[:1], RECORD, margin_px=m)[1] for m in (6, 7)}
    assert sizes == {6: {}, 7: {CUT_BY_EDGE: 1}}


def test_the_data_bar_cuts_and_is_counted():
    masks = squares((60, 60), [(30, 20), (5, 45)], 8)
    parts = [cut_agglomerates(drawn(masks), masks, PLAIN[:2], RECORD, data_bar_px=rows) for rows in (16, 17)]
    assert [left_out for _, left_out in parts] == [{CUT_BY_EDGE: 1}, {CUT_BY_EDGE: 1, CUT_BY_DATA_BAR: 1}]


def test_specks_alone_are_left_out_and_with_particles_kept():
    masks = squares((60, 80), [(20, 20), (20, 30), (20, 60)], 8)
    particles = [{"iscrowd": 0}, {"iscrowd": 1}, {"iscrowd": 1}]
    kept, left_out = cut_agglomerates(drawn(masks), masks, particles, RECORD)
    assert [p["iscrowd"] for p in kept[0].particles] == [0, 1]
    assert left_out == {ONLY_SPECKS: 1}


def test_a_library_from_annotations_says_what_is_in_it(tmp_path):
    ann_file = write_dataset(tmp_path, [SCENE, disks(SHAPE, [(50, 50)], [7])])
    summary = AgglomerateLibrary.from_coco(ann_file, tmp_path / "images" / "train").summary()
    assert (summary["source images"], summary["agglomerates"], summary["particles"]) == ("2", "3", "4")
    assert summary["particles of state complete"] == "4"
    assert summary[f"left out: {CUT_BY_EDGE}"] == "2"


def test_saved_and_loaded_is_the_same_and_the_same_bytes(tmp_path):
    original = library()
    original.left_out["why"] = 3
    original.save(tmp_path / "a.zip")
    original.save(tmp_path / "b.zip")
    loaded = AgglomerateLibrary.load(tmp_path / "a.zip")
    assert file_sha256(tmp_path / "a.zip") == file_sha256(tmp_path / "b.zip")
    assert loaded.left_out == {"why": 3}
    assert len(loaded) == len(original)
    for one, other in zip(loaded, original, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.masks.to_full(), other.masks.to_full())
        assert one.particles == other.particles
        assert (one.source, one.pixel_size_nm) == (other.source, other.pixel_size_nm)
    loaded.save(tmp_path / "c.zip")
    assert file_sha256(tmp_path / "c.zip") == file_sha256(tmp_path / "a.zip")


def test_agglomerates_are_read_when_asked_for_and_not_carried_to_other_processes(tmp_path):
    library().save(tmp_path / "a.zip")
    loaded = AgglomerateLibrary.load(tmp_path / "a.zip")
    assert loaded.agglomerates._cache == {}
    assert loaded[1] is loaded[1]
    assert list(loaded.agglomerates._cache) == [1]
    copy = pickle.loads(pickle.dumps(loaded))
    assert copy.agglomerates._cache == {}
    np.testing.assert_array_equal(copy[1].image, loaded[1].image)


def test_grey_levels_survive():
    whole = np.arange(256, dtype=np.float32).reshape(16, 16)
    np.testing.assert_array_equal(decode_grey(encode_grey(whole)), whole)
    fractions = np.linspace(0, 255, 999, dtype=np.float32).reshape(27, 37)
    np.testing.assert_allclose(decode_grey(encode_grey(fractions)), fractions, atol=0.5 / 257 + 1e-5)


@pytest.mark.parametrize("content", [None, b"", b"no archive"])
def test_a_missing_or_foreign_file_is_one_line(tmp_path, content):
    path = tmp_path / "library.zip"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LibraryError, match=r"library\.zip") as error:
        AgglomerateLibrary.load(path)
    assert "\n" not in str(error.value)


def test_an_empty_library_is_refused_when_made_and_when_loaded(tmp_path):
    cut = disks(SHAPE, [(0, 0)], [9])
    with pytest.raises(LibraryError, match="no whole agglomerate"):
        AgglomerateLibrary.from_coco(write_dataset(tmp_path, [cut]), tmp_path / "images" / "train")
    AgglomerateLibrary([]).save(tmp_path / "empty.zip")
    with pytest.raises(LibraryError, match="empty"):
        AgglomerateLibrary.load(tmp_path / "empty.zip")


def test_an_image_of_another_size_is_one_line(tmp_path):
    ann_file = write_dataset(tmp_path, [SCENE])
    write_dataset(tmp_path / "other", [disks((50, 60), [(20, 20)], [5])])
    with pytest.raises(ValueError, match=r"1\.png"):
        AgglomerateLibrary.from_coco(ann_file, tmp_path / "other" / "images" / "train")


def test_the_contact_sheet_shows_every_agglomerate_once():
    tiles = AgglomerateLibrary([agglomerate((5, 4), seed=s) for s in range(7)])
    sheet = tiles.contact_sheet(width_px=120, gap_px=2)
    yellow = (sheet == (0, 220, 255)).all(axis=2)
    one = (tiles.contact_sheet(most=1) == (0, 220, 255)).all(axis=2)
    assert yellow.sum() == 7 * one.sum() > 0
    assert isinstance(tiles[0].masks, CroppedMasks)
