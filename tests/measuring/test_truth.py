"""Rendered scenes of known size measured with their full outlines: no network between truth and result."""

import json

import numpy as np
import pytest

from semsize.measuring import MeasurementSettings, measure_images
from semsize.measuring.inputs import find_images
from semsize.measuring.outline_files import outlines_from_coco
from semsize.structures import dataset, particle_entry, read_annotations, write_annotations
from semsize.synthesis import DatasetPlan, RenderSettings, render_dataset
from semsize.synthesis.populations import Population

IMAGES = 8
MEDIAN_NM = 300.0


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Images of a population of known size, and annotations with full outlines, hidden parts included."""
    folder = tmp_path_factory.mktemp("truth") / "set"
    powder = Population(ecd_median_nm=MEDIAN_NM)
    settings = RenderSettings(seed=3, shape=(420, 560), preset="scattered", particles=25, population=powder)
    plan = DatasetPlan(settings, num=IMAGES, fractions=(0, 1, 0))
    render_dataset(plan, folder)
    truth = read_annotations(folder / "annotations" / "val.json")
    whole = [one for one in truth["annotations"] if not one["iscrowd"]]
    full = [
        particle_entry(id=number, image_id=one["image_id"], rle=one["amodal_segmentation"], state="complete")
        for number, one in enumerate(whole, start=1)
    ]
    write_annotations(folder / "full.json", dataset(truth["images"], full))
    return folder, whole, settings


def test_sizes_are_those_that_were_rendered(scenes, tmp_path):
    folder, whole, settings = scenes
    source = outlines_from_coco(folder / "full.json", find_images([folder / "images"], tmp_path))
    chosen = MeasurementSettings(reference_std_px=0.0, calibration_std=0.0, min_size_px=0.0)
    done = measure_images([folder / "images"], tmp_path / "out", source, chosen)
    table = done.table
    assert len(table) == len(whole)
    inside = table["excluded"] == ""
    true = {name: np.array([one[name] for one in whole])[inside] for name in ("ecd_nm", "feret_min_nm", "feret_max_nm")}
    pixels = true["ecd_nm"] / settings.pixel_size_nm
    usual = (pixels > 20) & (pixels < 100)
    assert usual.sum() > 60
    assert abs((table["ecd_nm"][inside] / true["ecd_nm"] - 1)[usual].mean()) < 0.002
    for name in ("feret_min_nm", "feret_max_nm"):
        error_px = (table[name][inside] - true[name])[usual] / settings.pixel_size_nm
        assert abs(error_px.mean()) < 0.5
        assert abs(error_px).max() < 1.7
    budget = done.summary.budgets["D50"]
    assert budget.population_low < MEDIAN_NM < budget.population_high
    record = json.loads((tmp_path / "out" / "record.json").read_text(encoding="utf-8"))
    assert record["results"]["quantity"] == "fully imaged particles"
