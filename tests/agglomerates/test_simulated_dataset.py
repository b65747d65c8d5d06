"""Simulated data sets: the same bytes for any number of processes and after an interruption."""

import json
from dataclasses import replace
from itertools import islice

import cv2
import numpy as np
import pytest
from agglomerate_samples import drawn, library

from scenes import disks
from semsize.structures import CroppedMasks, read_annotations
from semsize.structures.files import file_sha256
from semsize.structures.parts import DatasetFolderError
from tio2.agglomerates import AgglomerateLibrary, PasteSettings
from tio2.agglomerates.simulation import SimulationPlan, Simulator, folder_hash, join_parts


@pytest.fixture
def plan_and_sources(tmp_path):
    library().save(tmp_path / "library.zip")
    for number, name in enumerate(("backgrounds", "matrix")):
        (tmp_path / name).mkdir()
        image = drawn(disks((120, 160), [], []), number, level=40 + 40 * number)
        cv2.imwrite(str(tmp_path / name / "a.png"), image.astype(np.uint8))
    plan = SimulationPlan(
        num=5,
        shape=(100, 150),
        seed=3,
        library_sha256=file_sha256(tmp_path / "library.zip"),
        backgrounds_sha256=folder_hash(tmp_path / "backgrounds"),
        matrix_sha256=folder_hash(tmp_path / "matrix"),
        versions={"numpy": np.__version__},
        matrix_share=0.4,
        settings=PasteSettings((2, 6)),
    )
    return plan, (tmp_path / "library.zip", tmp_path / "backgrounds", tmp_path / "matrix")


def made(plan, sources, out, jobs=1):
    parts = plan.claim(out)
    list(parts.make_missing(Simulator(plan, parts, *sources), jobs))
    counts = join_parts(plan, parts)
    return counts, {str(path.relative_to(out)): file_sha256(path) for path in sorted(out.rglob("*")) if path.is_file()}


def test_two_processes_and_an_interruption_change_no_byte(plan_and_sources, tmp_path):
    plan, sources = plan_and_sources
    expected = made(plan, sources, tmp_path / "out")
    assert made(plan, sources, tmp_path / "parallel", jobs=2) == expected

    parts = plan.claim(tmp_path / "interrupted")
    assert list(islice(parts.make_missing(Simulator(plan, parts, *sources), 1), 2)) == [0, 1]
    (parts.folder / "images" / "train" / "000002.png").write_bytes(b"half an im")
    assert parts.missing() == [2, 3, 4]
    assert made(plan, sources, parts.folder) == expected


def test_annotations_lie_on_the_particles_and_the_manifest_tells_how_to_make_each_again(plan_and_sources, tmp_path):
    plan, sources = plan_and_sources
    counts, _ = made(plan, sources, tmp_path / "out")
    truth = read_annotations(tmp_path / "out" / "annotations" / "train.json")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert counts["particles"] == len(truth["annotations"]) > 0
    assert manifest["library_sha256"] == plan.library_sha256
    assert manifest["versions"] == plan.versions
    loaded = AgglomerateLibrary.load(sources[0])
    for image, made_image in zip(truth["images"], manifest["images"], strict=True):
        pixels = cv2.imread(str(tmp_path / "out" / "images" / "train" / image["file_name"]), cv2.IMREAD_UNCHANGED)
        assert pixels.shape == plan.shape == (image["height"], image["width"])
        assert (image["file_name"], image["configuration"]) == (made_image["file"], made_image["configuration"])
        assert image["pixel_size_nm"] == 7.0
        assert made_image["background"]["file"] == "a.png"
        particles = [p for p in truth["annotations"] if p["image_id"] == image["id"]]
        masks = CroppedMasks.from_rles([p["segmentation"] for p in particles], plan.shape)
        again = [loaded[p["agglomerate"]].turned(p["angle"], p["flip"]) for p in made_image["placements"]]
        assert masks.areas.tolist() == [a for agglomerate in again for a in agglomerate.masks.areas]
        assert [p["state"] for p in particles] == [q["state"] for agglomerate in again for q in agglomerate.particles]
        for crop, (row, column) in masks:
            assert pixels[row : row + crop.shape[0], column : column + crop.shape[1]][crop > 0].mean() > 95


@pytest.mark.parametrize(("num", "share", "count"), [(699, 23 / 699, 23), (622, 23 / 699, 20)])
def test_the_share_with_a_matrix_is_kept(plan_and_sources, num, share, count):
    plan = replace(plan_and_sources[0], num=num, matrix_share=share)
    assert sum(map(plan.has_matrix, range(num))) == count


def test_matrix_images_stand_on_matrix_backgrounds(plan_and_sources, tmp_path):
    plan, sources = plan_and_sources
    made(plan, sources, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    kinds = [image["configuration"] for image in manifest["images"]]
    assert kinds == ["agglomerated", "agglomerated", "matrix", "agglomerated", "matrix"]
    for number, kind in enumerate(kinds):
        pixels = cv2.imread(str(tmp_path / "out" / "images" / "train" / f"{number:06d}.png"), cv2.IMREAD_UNCHANGED)
        assert np.median(pixels) == pytest.approx(80 if kind == "matrix" else 40, abs=3)


def test_a_folder_of_another_plan_is_not_continued(plan_and_sources, tmp_path):
    plan, _ = plan_and_sources
    plan.claim(tmp_path / "out")
    with pytest.raises(DatasetFolderError, match="other settings"):
        replace(plan, seed=4).claim(tmp_path / "out")


def test_a_full_disk_leaves_no_part_and_no_stump(plan_and_sources, tmp_path, monkeypatch):
    plan, sources = plan_and_sources
    parts = plan.claim(tmp_path / "out")

    def full(self, content):
        with self.open("wb") as stream:
            stream.write(content[:10])
        raise OSError(28, "No space left on device")

    simulator = Simulator(plan, parts, *sources)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            simulator(0)
    assert parts.missing() == [0, 1, 2, 3, 4]
    assert list((tmp_path / "out" / "images" / "train").iterdir()) == []
