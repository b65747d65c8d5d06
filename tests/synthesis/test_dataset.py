"""A rendered data set has the same bytes however it is made."""

import io
import os

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from semsize.sem import read_pixel_size
from semsize.structures import read_annotations
from semsize.structures.parts import DatasetFolderError
from semsize.synthesis import DatasetPlan, RenderSettings, claim_folder, render_dataset, render_missing
from semsize.synthesis.rendering import encode_image

PLAN = DatasetPlan(RenderSettings(seed=5, shape=(96, 128), particles=12), 5, (3, 1, 1))


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rendered")
    return folder, render_dataset(PLAN, folder)


def test_two_processes_write_the_bytes_of_one(rendered, tmp_path):
    summary = render_dataset(PLAN, tmp_path, jobs=2)
    assert summary == rendered[1]
    assert contents(tmp_path) == contents(rendered[0])


def test_an_interrupted_set_is_completed_to_the_same_bytes(rendered, tmp_path):
    parts = claim_folder(PLAN, tmp_path)
    stream = render_missing(PLAN, parts, 1)
    assert [next(stream), next(stream)] == [0, 1]
    stream.close()
    assert parts.missing() == [2, 3, 4]
    render_dataset(PLAN, tmp_path)
    assert contents(tmp_path) == contents(rendered[0])


def test_a_process_that_ends_by_itself_is_one_line(tmp_path):
    parts = claim_folder(PLAN, tmp_path)
    with pytest.raises(DatasetFolderError, match=r"^one of 2 processes was ended from outside[^\n]*fewer --jobs$"):
        list(parts.make_missing(os._exit, 2))
    assert parts.missing() == [0, 1, 2, 3, 4]


def test_annotations_are_valid_and_numbered_from_1(rendered):
    folder, summary = rendered
    for split, images in (("train", 3), ("val", 1), ("test", 1)):
        data = read_annotations(folder / "annotations" / f"{split}.json")
        assert len(data["images"]) == images == len(list((folder / "images" / split).iterdir()))
        assert [a["id"] for a in data["annotations"]] == list(range(1, len(data["annotations"]) + 1))
        assert len(data["annotations"]) == summary[split]["particles"] + summary[split]["specks"]
        assert {i["pixel_size_nm"] for i in data["images"]} == {7.344}


def test_a_folder_of_another_set_is_refused(rendered):
    other = DatasetPlan(RenderSettings(seed=6, shape=(96, 128)), 5)
    with pytest.raises(DatasetFolderError, match=r"begun with other settings \(settings\.seed: 5, now 6; settings"):
        claim_folder(other, rendered[0])


@given(st.integers(1, 200), st.tuples(*[st.integers(0, 9)] * 3).filter(any))
def test_splits_share_out_every_image(num, fractions):
    plan = DatasetPlan(PLAN.settings, num, fractions)
    counts = plan.counts()
    assert sum(counts) == num
    assert all(count == 0 for count, fraction in zip(counts, fractions, strict=True) if fraction == 0)
    if num >= 3:
        assert all(count > 0 for count, fraction in zip(counts, fractions, strict=True) if fraction > 0)
    assert [plan.split_of(n) for n in range(num)] == [
        s for s, c in zip(("train", "val", "test"), counts, strict=True) for _ in range(c)
    ]


def test_a_tiff_carries_the_pixel_size(tmp_path):
    pixels = np.arange(96, dtype=np.uint8).reshape(8, 12)
    data = encode_image(pixels, ".tif", 7.344)
    (tmp_path / "a.tif").write_bytes(data)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        tags = tiff.pages[0].tags
        np.testing.assert_array_equal(tiff.asarray(), pixels)
        numerator, denominator = tags["XResolution"].value
        assert 1e7 * denominator / numerator == pytest.approx(7.344, rel=1e-5)
        assert tiff.sem_metadata["ap_image_pixel_size"][1:] == (7.344, "nm")
    assert read_pixel_size(tmp_path / "a.tif").value_nm == pytest.approx(7.344)
