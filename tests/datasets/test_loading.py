"""Images and annotations enter the pipeline exactly as the files hold them."""

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given

from semsize.structures import CroppedMasks
from strategies import ellipse_stacks
from tio2.datasets import InstanceCroppedMasks, LoadParticleAnnotations, LoadSEMImage

SHAPE = (60, 80)


def loaded(instances: list[dict]) -> dict:
    results = {"img_path": "scene.tif", "ori_shape": SHAPE, "instances": instances}
    return LoadParticleAnnotations().transform(results)


def instance(mask, number: int = 0, ignored: int = 0, **fields) -> dict:
    return {
        "bbox": [0, 0, 9, 9],
        "bbox_label": 0,
        "ignore_flag": ignored,
        "mask": mask,
        "fields": {"id": number, **fields},
    }


def test_grey_levels_come_as_three_equal_float_channels(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (12, 17)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    results = LoadSEMImage().transform({"img_path": str(tmp_path / "grey.png")})
    assert results["img"].dtype == np.float32
    assert results["img"].flags.c_contiguous
    np.testing.assert_array_equal(results["img"], np.stack([grey] * 3, axis=2).astype(np.float32))
    assert results["img_shape"] == results["ori_shape"] == (12, 17)


def test_a_declared_range_of_16_bits_keeps_fractions_of_levels(tmp_path):
    levels = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    tifffile.imwrite(tmp_path / "deep.tif", levels)
    img = LoadSEMImage(intensity_range=(0, 1023)).transform({"img_path": str(tmp_path / "deep.tif")})["img"]
    np.testing.assert_allclose(img[..., 0], levels * (255 / 1023), rtol=1e-5)
    assert len(np.unique(img)) == 1024


def test_a_bar_s_white_does_not_set_the_range_of_16_bits(tmp_path):
    specimen = np.random.default_rng(1).integers(2800, 40_000, (174, 200)).astype(np.uint16)
    bar = np.full((26, 200), 13_621, np.uint16)
    bar[8:16, 20:60:3] = 65_535
    tifffile.imwrite(tmp_path / "bare.tif", specimen)
    tifffile.imwrite(tmp_path / "barred.tif", np.concatenate([specimen, bar]))
    bare, barred = (LoadSEMImage().transform({"img_path": str(tmp_path / f"{n}.tif")}) for n in ("bare", "barred"))
    assert barred["ori_shape"] == (200, 200)  # as the annotations' masks
    np.testing.assert_array_equal(barred["img"][:174], bare["img"])


@pytest.mark.parametrize("content", [None, b"", b"no image at all"])
def test_a_bad_file_is_named(tmp_path, content):
    path = tmp_path / "bad.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.png"):
        LoadSEMImage().transform({"img_path": str(path)})


@given(ellipse_stacks())
def test_masks_are_those_of_the_file_in_any_form_of_rle(stack):
    rles = CroppedMasks.from_full(stack).to_rles()
    as_bytes = [{**rle, "counts": rle["counts"].encode()} for rle in rles]
    for form in (rles, as_bytes):
        results = loaded([instance(rle, number) for number, rle in enumerate(form)])
        assert isinstance(results["gt_masks"], InstanceCroppedMasks)
        np.testing.assert_array_equal(results["gt_masks"].to_ndarray(), stack)
        assert not results["gt_ignore_flags"].any()
        assert results["gt_bboxes"].tensor.shape == (len(stack), 4)
        assert results["gt_bboxes_labels"].shape == (len(stack),)


def test_polygons_and_rles_may_stand_side_by_side():
    square = [[10.0, 20, 14, 20, 14, 24, 10, 24]]
    bar = {"size": list(SHAPE), "counts": [5, 3, 60 * 80 - 8]}
    masks = loaded([instance(square), instance(bar), instance(square)])["gt_masks"]
    assert masks.areas.tolist() == [16, 3, 16]
    assert masks.cropped.boxes.tolist() == [[10, 20, 14, 24], [0, 5, 1, 8], [10, 20, 14, 24]]


def test_fields_and_ignore_flags_stay_with_their_particle():
    rle = {"size": list(SHAPE), "counts": [5, 3, 60 * 80 - 8]}
    results = loaded(
        [instance(rle, 7, state="complete"), instance(rle, 8, ignored=1), instance(rle, 9, state=None, ecd_nm=2.5)]
    )
    assert results["gt_ignore_flags"].tolist() == [False, True, False]
    assert results["gt_masks"].fields["id"].tolist() == [7, 8, 9]
    assert results["gt_masks"].fields["state"].tolist() == ["complete", None, None]
    assert results["gt_masks"].fields["ecd_nm"].tolist() == [None, None, 2.5]


def test_an_image_without_particles_has_empty_masks_of_its_size():
    masks = loaded([])["gt_masks"]
    assert len(masks) == 0
    assert (masks.height, masks.width) == SHAPE


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"size": [61, 80], "counts": [61 * 80]}, "RLE of size"),
        ({"size": list(SHAPE), "counts": [3]}, "add up to"),
        ([[0.0, 1, 2, 3]], "fewer than three corners"),
    ],
)
def test_annotations_that_do_not_fit_name_the_image(mask, message):
    with pytest.raises(ValueError, match=rf"scene\.tif.*{message}"):
        loaded([instance(mask)])
