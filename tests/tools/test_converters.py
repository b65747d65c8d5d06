"""The converters: round trips of rendered scenes and of EMPS, the split, states, pixel sizes, and bad input."""

import base64
import contextlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import roifile
import tifffile
from pycocotools import mask as coco_mask
from tool_modules import tool_module

from semsize.exchange.shapes import simple_polygons
from semsize.structures import CroppedMasks, read_annotations
from semsize.synthesis import DatasetPlan, RenderSettings, render_dataset

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tools/dataset_converters"
EMPS = ROOT.parent / "shared/data/emps.zip"
NAMES = ("label_images", "via", "labelme", "coco", "imagej_rois", "export")
HEIGHT, WIDTH = 40, 60


TOOLS = {name: tool_module(f"dataset_converters/{name}") for name in NAMES}


def run(name, *words):
    TOOLS[name].main([str(word) for word in words])


def refused(name, *words):
    """The one line with which a program ends."""
    with pytest.raises(SystemExit) as caught:
        run(name, *words)
    text = str(caught.value)
    assert text.startswith("error: ")
    assert "\n" not in text
    return text


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Folder of a rendered data set: one agglomerated image of 80 particles in each split."""
    folder = tmp_path_factory.mktemp("scenes") / "set"
    plan = DatasetPlan(RenderSettings(seed=3, shape=(256, 320), preset="agglomerated", particles=80), 3, (1, 1, 1))
    render_dataset(plan, folder)
    return folder


def write_image(path, *, seed=0, shape=(HEIGHT, WIDTH)):
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, grey)[1])
    return path


def write_json(path, data):
    path.write_text(json.dumps(data))
    return path


def by_image(data):
    names = {image["id"]: Path(image["file_name"]).stem for image in data["images"]}
    groups = {name: [] for name in names.values()}
    for particle in data["annotations"]:
        groups[names[particle["image_id"]]].append(particle)
    return groups


def overlaps(data, other):
    """IoU of each particle with the one of the same place in the other file."""
    pairs = []
    for name, particles in by_image(data).items():
        others = by_image(other)[name]
        assert len(particles) == len(others)
        pairs += zip(particles, others, strict=True)
    return np.array(
        [coco_mask.iou([a["segmentation"]], [b["segmentation"]], [0])[0, 0] for a, b in pairs]
    ), pairs  # fmt: skip


ROUND_TRIPS = {
    "via": lambda made, images: ("via", made / "via.json", "--images", images, "--group", "particle"),
    "labelme": lambda made, images: ("labelme", made, "--images", images),
    "imagej": lambda made, images: ("imagej_rois", made, "--images", images),
    "label_images": lambda made, images: ("label_images", "--images", images, "--labels", made),
}


@pytest.mark.parametrize("form", ROUND_TRIPS)
def test_rendered_scenes_survive_a_round_trip(scenes, tmp_path, form):
    for split in ("train", "val", "test"):
        source, images = scenes / f"annotations/{split}.json", scenes / f"images/{split}"
        made, out = tmp_path / f"made-{split}", tmp_path / f"out-{split}"
        run("export", source, "--format", form, "--out", made)
        run(*ROUND_TRIPS[form](made, images), "--val", 0, "--out", out)
        ious, pairs = overlaps(read_annotations(source), read_annotations(out / "annotations/train.json"))
        assert len(ious) >= 30
        assert (ious == 1).all(), "outlines run along the pixels' edges"
        if form != "label_images":
            assert all(a["iscrowd"] == b["iscrowd"] and (a["iscrowd"] or a["state"] == b["state"]) for a, b in pairs)


def test_our_own_files_come_back_as_they_were(scenes, tmp_path):
    for split in ("train", "val", "test"):
        source, out = scenes / f"annotations/{split}.json", tmp_path / split
        run("coco", source, "--images", scenes / f"images/{split}", "--val", 0, "--out", out)
        before, after = read_annotations(source), read_annotations(out / "annotations/train.json")
        for a, b in zip(before["annotations"], after["annotations"], strict=True):
            assert {key: a[key] for key in ("segmentation", "area", "bbox", "iscrowd", "state")} == {
                key: b[key] for key in ("segmentation", "area", "bbox", "iscrowd", "state")
            }
        [a], [b] = before["images"], after["images"]
        for key in ("height", "width", "pixel_size_nm", "configuration"):
            assert a[key] == b[key]
        name = b["file_name"]
        assert (out / "images/train" / name).read_bytes() == (scenes / f"images/{split}" / name).read_bytes()


def test_polygons_and_uncompressed_rle_of_other_tools(scenes, tmp_path):
    source, images = scenes / "annotations/train.json", scenes / "images/train"
    data = read_annotations(source)
    for number, particle in enumerate(data["annotations"]):
        if number % 2:
            mask = coco_mask.decode(particle["segmentation"])
            runs = np.diff(np.flatnonzero(np.diff(mask.T.ravel(), prepend=0)), prepend=0).tolist()
            particle["segmentation"]["counts"] = [*runs, mask.size - sum(runs)]
        else:
            masks = CroppedMasks.from_rles([particle["segmentation"]])
            particle["segmentation"] = [
                ring.ravel().tolist() for ring in simple_polygons(masks.crops[0], masks.origins[0])
            ]
    other = write_json(tmp_path / "other.json", data)
    run("coco", other, "--images", images, "--val", 0, "--out", tmp_path / "out")
    ious, _ = overlaps(read_annotations(source), read_annotations(tmp_path / "out/annotations/train.json"))
    assert ious.min() >= 0.98


@pytest.mark.skipif(not EMPS.exists(), reason=f"{EMPS.name} is not here")
def test_emps_from_label_images_and_through_via(tmp_path):
    with zipfile.ZipFile(EMPS) as archive:
        chosen = sorted(name for name in archive.namelist() if name.endswith(".png"))[:24]
        archive.extractall(
            tmp_path, [*chosen, *(n.replace("segmaps", "images").replace(".png", ".jpg") for n in chosen)]
        )
    images, labels, out = tmp_path / "emps/images", tmp_path / "emps/segmaps", tmp_path / "out"
    run("label_images", "--images", images, "--labels", labels, "--val", 0, "--out", out)
    data = read_annotations(out / "annotations/train.json")
    assert len(data["images"]) == 24
    for name, particles in by_image(data).items():
        values = cv2.imread(str(labels / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert values.dtype == np.uint16
        numbers = np.unique(values)[1:]
        masks = CroppedMasks.from_rles([particle["segmentation"] for particle in particles]).to_full()
        np.testing.assert_array_equal(masks, values[None] == numbers[:, None, None])
    made, back = tmp_path / "via", tmp_path / "back"
    run("export", out / "annotations/train.json", "--format", "via", "--out", made)
    run("via", made / "via.json", "--images", out / "images/train", "--group", "particle", "--val", 0, "--out", back)
    ious, _ = overlaps(data, read_annotations(back / "annotations/train.json"))
    assert (ious == 1).all()


# --- what each format holds -------------------------------------------------------------------------------------------

SQUARE = {"name": "polygon", "all_points_x": [2, 8, 8, 2], "all_points_y": [3, 3, 9, 9]}
OTHER_SHAPES = [
    ({"name": "polyline", "all_points_x": [10, 16, 16, 10], "all_points_y": [3, 3, 9, 9]}, 36),
    ({"name": "rect", "x": 20, "y": 3, "width": 5, "height": 4}, 20),
    ({"name": "circle", "cx": 35.5, "cy": 10.5, "r": 1.2}, 5),
    ({"name": "ellipse", "cx": 46, "cy": 10, "rx": 6, "ry": 2, "theta": 0}, 40),
]


def via_entry(name, *shapes, attributes=None):
    regions = [{"shape_attributes": shape, "region_attributes": attributes or {}} for shape in shapes]
    return {"filename": name, "size": -1, "regions": regions, "file_attributes": {}}


def convert_via(tmp_path, data, *words, images=("a.png",)):
    for number, name in enumerate(images):
        write_image(tmp_path / "sem" / name, seed=number)
    project = write_json(tmp_path / "project.json", data)
    run("via", project, "--images", tmp_path / "sem", "--out", tmp_path / "out", *words)
    train = tmp_path / "out/annotations/train.json"
    return read_annotations(train) if train.exists() else None


def test_via_shapes_of_both_versions_and_both_kinds_of_file(tmp_path, capsys):
    shapes = [SQUARE, *(shape for shape, _ in OTHER_SHAPES), {"name": "point", "cx": 1, "cy": 1}]
    second = via_entry("a.png", *shapes)
    first = second | {"regions": {str(i): region for i, region in enumerate(second["regions"])}}
    for entry in (second, first):
        for data in ({"a.png1": entry}, {"_via_settings": {}, "_via_img_metadata": {"a.png1": entry}}):
            found = convert_via(tmp_path, data, "--val", 0)
            assert [particle["area"] for particle in found["annotations"]] == [36, *(area for _, area in OTHER_SHAPES)]
            assert "1 × annotations left out, a point has no area: a.png: region 6" in capsys.readouterr().out


@pytest.mark.parametrize(("states", "state"), [(("masked", ""), "masked"), (("masked", "complete"), None)])
def test_parts_of_one_particle_share_a_state_or_it_has_none(tmp_path, capsys, states, state):
    regions = []
    for number, of_part in enumerate(states):
        shape = SQUARE | {"all_points_x": [x + 9 * number for x in SQUARE["all_points_x"]]}
        regions += via_entry("a.png", shape, attributes={"state": of_part, "particle": "1"})["regions"]
    found = convert_via(tmp_path, {"a": via_entry("a.png") | {"regions": regions}}, "--val", 0, "--group", "particle")
    assert [particle["state"] for particle in found["annotations"]] == [state]
    noted = "particles whose parts have different labels, taken without a label: a.png: region 1"
    assert (noted in capsys.readouterr().out) == (state is None)


def test_states_come_from_labels(tmp_path, capsys):
    regions = []
    for number, label in enumerate(("Touch-complete", "masked", "bead", "speck", "scalebar", "")):
        shape = SQUARE | {"all_points_x": [x + 7 * number for x in SQUARE["all_points_x"]]}
        regions += via_entry("a.png", shape, attributes={"state": label})["regions"]
    data = {"a": via_entry("a.png") | {"regions": regions}}
    words = ("--val", 0, "--label", "speck=ignore", "--label", "scalebar=drop")
    found = convert_via(tmp_path, data, *words)["annotations"]
    assert [(p["state"], p["source_state"], p["iscrowd"]) for p in found] == [
        ("touch_complete", "Touch-complete", 0),
        ("masked", "masked", 0),
        (None, "bead", 0),
        (None, "speck", 1),
        (None, None, 0),
    ]
    text = capsys.readouterr().out
    assert "labels that are no state, kept as source_state (--label says what one means): bead (1)" in text
    assert "1 × annotations left out, labelled scalebar: a.png: region 5" in text
    data["b"] = via_entry("b.png", poly([1, 30, 30, 1], [1, 1, 30, 30]))
    words = (*words, "--label", "bead=isolated", "--min-area", 37)
    found = convert_via(tmp_path, data, *words, images=("a.png", "b.png"))["annotations"]
    assert [particle["state"] for particle in found] == ["touch_complete", "masked", "isolated", None, None, None]
    assert [particle["iscrowd"] for particle in found] == [1, 1, 1, 1, 1, 0], "36 px are specks now"


def test_labelme_shapes_groups_flags_and_masks(tmp_path):
    write_image(tmp_path / "sem/a.png")
    crop = np.array([[0, 1, 1], [1, 1, 0]], np.uint8) * 255
    png = base64.b64encode(cv2.imencode(".png", crop)[1]).decode()

    def shape(kind, points, **more):
        return {"label": "particle", "points": points, "group_id": None, "shape_type": kind, "flags": {}} | more

    shapes = [
        shape("polygon", [[2, 3], [8, 3], [8, 9], [2, 9]], group_id=1),
        shape("polygon", [[12, 3], [14, 3], [14, 9], [12, 9]], group_id=1),
        shape("rectangle", [[25, 7], [20, 3]], flags={"masked": True, "complete": False}),
        shape("circle", [[35.5, 10.5], [35.5, 11.7]], label="unusable"),
        shape("mask", [[40, 20], [42, 21]], mask=png),
        shape("line", [[0, 0], [5, 5]]),
    ]
    data = {"shapes": shapes, "imagePath": "..\\sem\\a.png", "imageHeight": HEIGHT, "imageWidth": WIDTH}
    write_json(tmp_path / "sem/a.json", data)
    run("labelme", tmp_path / "sem", "--val", 0, "--out", tmp_path / "out")
    found = read_annotations(tmp_path / "out/annotations/train.json")["annotations"]
    assert [particle["area"] for particle in found] == [48, 20, 5, 4]
    assert [particle["state"] for particle in found] == [None, "masked", "unusable", None]
    mask = CroppedMasks.from_rles([found[3]["segmentation"]])
    np.testing.assert_array_equal(mask.crops[0], crop > 0)
    np.testing.assert_array_equal(mask.origins, [[20, 40]])


def test_imagej_areas_names_and_places(tmp_path, capsys):
    for name in ("a.tif", "b.tif", "c.tif", "d.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / name, np.zeros((HEIGHT, WIDTH), np.uint8))
    types = roifile.ROI_TYPE
    rois = [
        roifile.ImagejRoi.frompoints(np.array([(2, 3), (8, 3), (8, 9), (2, 9)], np.float32), name="masked 007"),
        roifile.ImagejRoi(roitype=types.RECT, left=20, top=3, right=25, bottom=7, name="0003-0020"),
        roifile.ImagejRoi(
            roitype=types.OVAL, left=34, top=9, right=37, bottom=12, name="bead", props="state: isolated\n"
        ),
        roifile.ImagejRoi.frompoints(np.array([(1, 1)], np.float32), name="dot"),
    ]
    rois[3].roitype = types.POINT
    for name, chosen in (("a_RoiSet.zip", rois), ("RoiSet-b.zip", rois[:1]), ("c.tif.zip", rois[1:2])):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for number, roi in enumerate(chosen):
                archive.writestr(f"{number}.roi", roi.tobytes())
    (tmp_path / "d.roi").write_bytes(rois[0].tobytes())
    run("imagej_rois", tmp_path, "--val", 0, "--out", tmp_path / "out", "--pixel-size", 2.5)
    data = read_annotations(tmp_path / "out/annotations/train.json")
    assert {name: [p["area"] for p in particles] for name, particles in by_image(data).items()} == {
        "a": [36, 20, 9],
        "b": [36],
        "c": [20],
        "d": [36],
    }
    assert [p["state"] for p in by_image(data)["a"]] == ["masked", None, "isolated"]
    assert all(image["pixel_size_nm"] == 2.5 for image in data["images"])
    assert "1 × annotations left out, a point has no area: a.tif: 3" in capsys.readouterr().out


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint32, np.float32])
def test_label_images_of_every_width(tmp_path, dtype):
    labels = np.zeros((HEIGHT, WIDTH), dtype)
    labels[2:8, 3:9], labels[20:24, 30:35] = 7, 70_000 if np.dtype(dtype).itemsize == 4 else 200
    write_image(tmp_path / "all/a.png")
    tifffile.imwrite(tmp_path / "all/a_mask.tif", labels)
    folder = tmp_path / "all"
    run(
        "label_images", "--images", folder, "--labels", folder, "--suffix", "_mask", "--val", 0, "--out", tmp_path / "o"
    )
    data = read_annotations(tmp_path / "o/annotations/train.json")
    assert [particle["area"] for particle in data["annotations"]] == [36, 20]
    assert [image["file_name"] for image in data["images"]] == ["a.png"]


def test_masks_of_0_and_1_and_labels_above_a_data_bar(tmp_path, capsys):
    mask = np.zeros((HEIGHT - 8, WIDTH), np.uint8)
    mask[2:8, 3:9] = mask[8:10, 9:12] = mask[20:24, 30:35] = 255
    write_image(tmp_path / "sem/a.png")
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "masks/a.png"), mask)
    words = ("label_images", "--images", tmp_path / "sem", "--labels", tmp_path / "masks", "--val", 0)
    assert "no image with particles is left" in refused(*words, "--out", tmp_path / "one")
    assert (
        "a mask of 0 and 255, not labels; with --binary each connected piece is a particle" in capsys.readouterr().out
    )
    run(*words, "--binary", "--out", tmp_path / "many")
    text = capsys.readouterr().out
    assert "1 × images annotated without their lowest rows, taken for a data bar: a.png (60 x 32 on 60 x 40)" in text
    data = read_annotations(tmp_path / "many/annotations/train.json")
    assert sorted(particle["area"] for particle in data["annotations"]) == [6, 20, 36]
    assert data["images"][0]["height"] == HEIGHT


# --- split, pixel size, the folder ------------------------------------------------------------------------------------

TEN = [f"{letter}.png" for letter in "abcdefghij"]


def splits(tmp_path, *words):
    convert_via(tmp_path, {name: via_entry(name, SQUARE) for name in TEN}, *words, images=TEN)
    files = sorted((tmp_path / "out/annotations").iterdir())
    found = {path.stem: [image["file_name"] for image in read_annotations(path)["images"]] for path in files}
    assert sorted(name for names in found.values() for name in names) == TEN, "each image once"
    for split, names in found.items():
        assert sorted(path.name for path in (tmp_path / "out/images" / split).iterdir()) == sorted(names)
    return found


def test_split_by_shares(tmp_path):
    first = splits(tmp_path)
    assert {split: len(names) for split, names in first.items()} == {"train": 8, "val": 2}
    assert splits(tmp_path) == first
    assert splits(tmp_path, "--seed", 1) != first
    assert {s: len(n) for s, n in splits(tmp_path, "--val", 0.01, "--test", 0.3).items()} == {
        "train": 6,
        "val": 1,
        "test": 3,
    }


def test_an_image_left_out_for_a_fault_does_not_move_the_others(tmp_path):
    whole = splits(tmp_path)
    entries = {name: via_entry(name, SQUARE) for name in TEN}
    for fault in (whole["train"][3], whole["val"][0]):
        project = write_json(tmp_path / "project.json", entries)
        (tmp_path / "sem" / fault).rename(tmp_path / fault)
        run("via", project, "--images", tmp_path / "sem", "--out", tmp_path / "out")
        (tmp_path / fault).rename(tmp_path / "sem" / fault)
        for part, names in whole.items():
            data = read_annotations(tmp_path / f"out/annotations/{part}.json")
            assert [image["file_name"] for image in data["images"]] == [name for name in names if name != fault]


def test_split_by_lists(tmp_path):
    val, test = tmp_path / "val.txt", tmp_path / "test.txt"
    val.write_text("c\n\nd.png\n")
    test.write_text("j\n")
    found = splits(tmp_path, "--val-list", val, "--test-list", test)
    assert (found["val"], found["test"]) == (["c.png", "d.png"], ["j.png"])


@pytest.mark.parametrize(
    "words", [["--test", 1], ["--test", 1, "--val", 0], ["--test-list"], ["--val", 0, "--test", 1.0]]
)
def test_a_set_may_be_a_test_only(tmp_path, capsys, words):
    if words == ["--test-list"]:
        (tmp_path / "all.txt").write_text("\n".join(TEN))
        words.append(tmp_path / "all.txt")
    assert {split: len(names) for split, names in splits(tmp_path, *words).items()} == {"test": 10}
    assert "no image is left to train on: a set to validate or test a model on" in capsys.readouterr().out


def test_a_set_may_be_all_val_and_test(tmp_path):
    found = splits(tmp_path, "--val", 0.7, "--test", 0.3)
    assert {split: len(names) for split, names in found.items()} == {"val": 7, "test": 3}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("z\n", "z names 0 of the images"),
        ("a\na\n", "a was listed before"),
    ],
)
def test_wrong_lists(tmp_path, content, message):
    (tmp_path / "val.txt").write_text(content)
    project = write_json(tmp_path / "project.json", {name: via_entry(name, SQUARE) for name in TEN})
    for name in TEN:
        write_image(tmp_path / "sem" / name)
    words = ("--images", tmp_path / "sem", "--val-list", tmp_path / "val.txt", "--out", tmp_path / "out")
    assert message in refused("via", project, *words)
    assert not (tmp_path / "out").exists()


def tiff_of_pixel_size(path, text):
    path.parent.mkdir(exist_ok=True)
    tag = (34118, 2, None, f"AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = {text}\r\n".encode(), True)
    tifffile.imwrite(path, np.zeros((HEIGHT, WIDTH), np.uint8), extratags=[tag])


def test_pixel_size_from_the_image_or_declared(tmp_path, capsys):
    tiff_of_pixel_size(tmp_path / "sem/z.tif", "7.344 nm")
    data = {name: via_entry(name, SQUARE) for name in ("z.tif", "a.png")}
    found = convert_via(tmp_path, data, "--val", 0)
    assert {image["file_name"]: image["pixel_size_nm"] for image in found["images"]} == {"z.tif": 7.344, "a.png": None}
    text = capsys.readouterr().out
    assert "pixel size: 7.344 nm in 1 images" in text
    assert "pixel size: not known in 1 images (--pixel-size says it)" in text
    found = convert_via(tmp_path, data, "--val", 0, "--pixel-size", 2)
    assert [image["pixel_size_nm"] for image in found["images"]] == [2, 2]
    assert "1 × images that state another pixel size, taken with the declared 2 nm: z.tif (7.344 nm)" in (
        capsys.readouterr().out
    )


def test_equal_names_in_different_folders_stay_apart(tmp_path):
    names = ("x/a.png", "y/a.png", "x_a.jpg")
    for number, name in enumerate(names):
        write_image(tmp_path / "sem" / name, seed=number)
    found = convert_via(tmp_path, {name: via_entry(name, SQUARE) for name in names}, "--val", 0, images=())
    assert [image["file_name"] for image in found["images"]] == ["x_a.png", "y_a.png", "x_a-2.jpg"]
    assert [image["source"] for image in found["images"]] == list(names)


def test_the_output_may_lie_among_the_images(tmp_path):
    write_image(tmp_path / "sem/a.png")
    square = {"label": "masked", "points": [[2, 3], [8, 3], [8, 9], [2, 9]], "shape_type": "polygon"}
    write_json(tmp_path / "sem/a.json", {"shapes": [square], "imagePath": "a.png"})
    for _ in range(2):
        run("labelme", tmp_path / "sem", "--val", 0, "--out", tmp_path / "sem/converted")
    assert len(read_annotations(tmp_path / "sem/converted/annotations/train.json")["images"]) == 1


def test_an_earlier_conversion_is_replaced_and_nothing_else(tmp_path):
    convert_via(tmp_path, {"a": via_entry("a.png", SQUARE)}, "--val", 0)
    convert_via(tmp_path, {"a": via_entry("a.png", SQUARE, poly([20, 30, 30], [3, 3, 9]))}, "--val", 0)
    (tmp_path / "out/notes.txt").write_text("mine")
    with pytest.raises(SystemExit, match="exists and was not written by this program"):
        convert_via(tmp_path, {"a": via_entry("a.png", SQUARE)}, "--val", 0)
    assert len(read_annotations(tmp_path / "out/annotations/train.json")["annotations"]) == 2


# --- bad input --------------------------------------------------------------------------------------------------------


def poly(x, y):
    return {"name": "polygon", "all_points_x": x, "all_points_y": y}


def test_bad_annotations_are_counted_and_named(tmp_path, capsys):
    regions = via_entry(
        "a.png",
        SQUARE,
        poly([-5, 5, 5, -5], [3, 3, 9, 9]),
        poly([100, 120, 120], [100, 100, 120]),
        poly([5.1, 5.2, 5.2], [5.1, 5.1, 5.2]),
        poly([2, 12, 12, 2], [2, 12, 2, 12]),
        poly([1, 2], [1, 2]),
        poly([1, 2, 3], [1, 2]),
        poly([1, None, 3], [1, 2, 3]),
        poly([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        {"name": "circle", "cx": 5, "cy": 5, "r": 0},
        {"name": "blob"},
        {},
    )["regions"]
    data = {"a": via_entry("a.png") | {"regions": [*regions, None, {"region_attributes": {}}]}}
    data |= {"b": via_entry("gone.png", SQUARE), "c": via_entry("empty.png"), "d": {"regions": []}}
    data |= {"e": via_entry("broken.png", SQUARE), "f": via_entry("spare.png", SQUARE)}
    data |= {"g": via_entry("spare.png", poly([20, 30, 30], [3, 3, 9]))}
    (tmp_path / "sem").mkdir()
    (tmp_path / "sem/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nhalf")
    found = convert_via(tmp_path, data, "--val", 0, images=("a.png", "empty.png", "spare.png", "unlisted.png"))
    assert [particle["area"] for particle in found["annotations"]][:2] == [36, 30]
    assert len(found["annotations"]) == 3
    text = capsys.readouterr().out
    for line in (
        "1 × annotations that leave their image, cut at its border: a.png: region 2",
        "1 × annotations left out, outside their image: a.png: region 3",
        "1 × annotations left out, empty: they cover no pixel centre: a.png: region 4",
        "1 × annotations whose outline crosses itself, filled wherever it winds round: look at them: a.png: region 5",
        "1 × annotations left out, they have fewer than three corners: a.png: region 6",
        "2 × annotations left out, their coordinates are not two equally long lists of numbers: a.png: region 7, a.png",
        "1 × annotations left out, a coordinate is not a number, or far outside any image: a.png: region 8",
        "1 × annotations left out, their radius is not above 0: a.png: region 10",
        "4 × annotations left out, not in the form of their format: a.png: region 11",
        "1 × images left out with their annotations, no such file: gone.png",
        "1 × images left out, no particle in them (--keep-empty keeps them as background): empty.png",
        "1 × images left out, their entry names no file: d",
        "1 × images left out, they cannot be read: broken.png (",
        "1 × images left out with their annotations: spare.png (2 entries are of it, with different regions: keep the",
        "1 × images left out, not in the annotation file: unlisted.png",
    ):
        assert line in text
    assert "a.png: region 14" in (tmp_path / "out/conversion.txt").read_text()


def test_bad_coco_annotations_are_counted_and_named(tmp_path, capsys):
    write_image(tmp_path / "sem/a.png")
    write_image(tmp_path / "sem/b.png", shape=(HEIGHT, WIDTH + 1))
    good = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[2, 3, 8, 3, 8, 9, 2, 9]], "iscrowd": 0}
    annotations = [
        good,
        good | {"id": 2, "segmentation": []},
        good | {"id": 3, "segmentation": {"size": [HEIGHT, WIDTH], "counts": "???"}},
        good | {"id": 4, "segmentation": {"size": [HEIGHT, WIDTH], "counts": [0, 5]}},
        good | {"id": 5, "segmentation": {"size": [3, 3], "counts": [0, 9]}},
        good | {"id": 6, "image_id": 99},
        good
        | {"id": 7, "iscrowd": 1, "attributes": {"state": "masked"}, "segmentation": [[20, 3, 26, 3, 26, 9, 20, 9]]},
        good | {"id": 8, "segmentation": [[2, 3, 8, 3]]},
        "nonsense",
    ]
    images = [
        {"id": 1, "file_name": "sem/a.png"},
        {"id": 2, "file_name": "b.png", "height": HEIGHT, "width": WIDTH},
        {},
    ]
    images[0] |= {"height": HEIGHT, "width": WIDTH}
    data = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "bead"}]}
    run(
        "coco", write_json(tmp_path / "c.json", data), "--images", tmp_path / "sem", "--val", 0, "--out", tmp_path / "o"
    )
    found = read_annotations(tmp_path / "o/annotations/train.json")["annotations"]
    assert [(p["area"], p["iscrowd"], p["state"], p["source_state"]) for p in found] == [
        (36, 0, None, "bead"),
        (36, 1, "masked", "masked"),
    ]
    text = capsys.readouterr().out
    for line in (
        "1 × annotations left out, they have a box at most, but no mask: sem/a.png: annotation 2",
        "1 × annotations left out, not in the form of their format: entry 9",
        "1 × annotations left out, their RLE's counts are damaged, or do not add up to its size: sem/a.png: annotation",
        "1 × annotations left out, their RLE's counts do not add up to its size: sem/a.png: annotation 4",
        "1 × annotations left out, their RLE is of another size than the image: sem/a.png: annotation 5",
        "1 × annotations left out, their image is not in the file: annotation 6 of image 99",
        "1 × annotations left out, they have fewer than three corners: sem/a.png: annotation 8",
        "1 × images left out, annotated at another size than the file has: b.png (60 x 40 on 61 x 40)",
        "1 × images left out, their entry names no file: entry 3",
    ):
        assert line in text


def test_a_set_without_a_particle_is_an_error_that_says_why(tmp_path, capsys):
    for name in ("a.png", "b.png"):
        write_image(tmp_path / "sem" / name)
    images = [{"id": n, "file_name": f"{name}.png", "height": HEIGHT, "width": WIDTH} for n, name in enumerate("ab")]
    square = {"category_id": 1, "segmentation": [[2, 3, 8, 3, 8, 9, 2, 9]], "iscrowd": "1"}
    crowds = [square | {"id": n, "image_id": n} for n in range(2)]
    path = write_json(tmp_path / "c.json", {"images": images, "annotations": crowds})
    words = ("coco", path, "--images", tmp_path / "sem", "--val", 0, "--out", tmp_path / "out")
    assert "not one particle in 2 images, but 2 regions to ignore" in refused(*words)
    text = capsys.readouterr().out
    assert "files with ALL annotations marked as crowds (iscrowd), regions to ignore: --crowds-as-particles" in text
    assert not (tmp_path / "out").exists()
    run(*words, "--crowds-as-particles")
    assert len(read_annotations(tmp_path / "out/annotations/train.json")["annotations"]) == 2
    path = write_json(tmp_path / "c.json", {"images": images, "annotations": []})
    assert "not one particle in 2 images, but 0 regions to ignore" in refused(*words, "--keep-empty")


def test_splits_without_a_particle_are_said(tmp_path, capsys):
    for name in ("a.png", "b.png"):
        write_image(tmp_path / "sem" / name)
    project = write_json(tmp_path / "p.json", {"a": via_entry("a.png", SQUARE), "b": via_entry("b.png")})
    (tmp_path / "a.txt").write_text("a", encoding="utf-8-sig")
    (tmp_path / "b.txt").write_text("b")
    words = ("via", project, "--images", tmp_path / "sem", "--keep-empty", "--out", tmp_path / "out")
    run(*words, "--val-list", tmp_path / "b.txt")
    assert "WARNING: not one particle is in the 1 images of val" in capsys.readouterr().out
    assert "no particle is in the 1 images to train on" in refused(*words, "--val-list", tmp_path / "a.txt")


def test_what_cannot_be_read_does_not_become_background(tmp_path, capsys):
    for name in ("a.png", "b.png"):
        write_image(tmp_path / "sem" / name)
    project = {"a": via_entry("a.png", SQUARE), "b": via_entry("b.png", {"name": "point", "cx": 3, "cy": 3})}
    found = convert_via(tmp_path, project, "--val", 0, "--keep-empty", images=())
    assert [image["file_name"] for image in found["images"]] == ["a.png"]
    assert "images left out, none of their annotations can be used: b.png (1)" in capsys.readouterr().out


def test_too_long_a_name_is_shortened(tmp_path):
    names = [f"{'x' * 120}/{'y' * 120}{number}.png" for number in range(2)]
    for number, name in enumerate(names):
        write_image(tmp_path / "sem" / name, seed=number)
    data = {name: via_entry(name, SQUARE) for name in names}
    found = convert_via(tmp_path, data, "--val", 0, images=())
    files = [image["file_name"] for image in found["images"]]
    assert len(set(files)) == 2
    assert all((tmp_path / "out/images/train" / name).is_file() for name in files)
    assert [image["source"] for image in found["images"]] == names


def test_bad_labelme_and_imagej_files_are_named(tmp_path, capsys):
    for name in ("a.png", "b.png", "c.png"):
        write_image(tmp_path / "sem" / name)
    square = {"label": "x", "points": [[2, 3], [8, 3], [8, 9], [2, 9]], "shape_type": "polygon"}
    write_json(tmp_path / "sem/a.json", {"shapes": [square, {"points": 5}, "no"], "imagePath": "a.png"})
    (tmp_path / "sem/b.json").write_text("{ not json")
    write_json(tmp_path / "sem/c.json", {"something": "else"})
    run("labelme", tmp_path / "sem", "--val", 0, "--out", tmp_path / "out")
    text = capsys.readouterr().out
    assert "1 × annotations left out, their outline is no list: a.png: shape 2" in text
    assert "1 × annotations left out, not in the form of their format: a.png: shape 3" in text
    assert "1 × annotation files left out, they cannot be read: " in text
    assert "1 × JSON files left out, not LabelMe's: c.json" in text
    assert "2 × images left out, without an annotation file: b.png, c.png" in text

    roi = roifile.ImagejRoi.frompoints(np.array([(2, 3), (8, 3), (8, 9)], np.float32))
    with zipfile.ZipFile(tmp_path / "sem/a.zip", "w") as archive:
        archive.writestr("good.roi", roi.tobytes())
        archive.writestr("bad.roi", b"Iout\0\0")
    (tmp_path / "sem/b.zip").write_bytes(b"no zip")
    (tmp_path / "sem/nobody.roi").write_bytes(roi.tobytes())
    run("imagej_rois", tmp_path / "sem", "--val", 0, "--out", tmp_path / "out")
    text = capsys.readouterr().out
    assert "1 × annotations left out, not in the form of their format: a.png: bad" in text
    assert "1 × images left out with their annotations: b.png (b.zip cannot be read (" in text
    assert "1 × ROI files left out, no image of that name: nobody.roi" in text
    assert "1 × images left out, without a ROI file: c.png" in text


def test_bad_label_images_are_named(tmp_path, capsys):
    for name in "abcde":
        write_image(tmp_path / f"sem/{name}.png")
    (tmp_path / "lab").mkdir()
    labels = np.zeros((HEIGHT, WIDTH), np.uint16)
    labels[2:5, 2:5] = 3
    tifffile.imwrite(tmp_path / "lab/a.tif", labels)
    tifffile.imwrite(tmp_path / "lab/b.tif", labels + np.float32(0.5))
    cv2.imwrite(str(tmp_path / "lab/c.png"), np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))
    (tmp_path / "lab/d.png").write_bytes(b"")
    tifffile.imwrite(tmp_path / "lab/f.tif", labels)
    run("label_images", "--images", tmp_path / "sem", "--labels", tmp_path / "lab", "--val", 0, "--out", tmp_path / "o")
    text = capsys.readouterr().out
    assert "3 × images left out with their annotations: b.png (" in text
    assert "1 × images left out, without a label image: e.png" in text
    assert "1 × label images left out, no image of that name (--suffix names the end): f.tif" in text


def corners_of(count=16):
    """(count, 2) on a circle of radius 9 px, whose area is known."""
    turn = np.arange(count) * 2 * np.pi / count
    return np.stack([30 + 9 * np.cos(turn), 20 + 9 * np.sin(turn)], axis=1)


FORMS = {  # of a segmentation; the eight of public reports, where odd and even numbers of corners differed
    "flat": lambda p: [p.ravel().tolist()],
    "bare": lambda p: p.ravel().tolist(),
    "pairs": lambda p: p.tolist(),
    "pairs in a list": lambda p: [p.tolist()],
    "an odd number of pairs in a list": lambda p: [[*p.tolist(), p[0].tolist()]],
    "too deep": lambda p: [[p.ravel().tolist()]],
    "contour": lambda p: [p[:, None].tolist()],
    "outline and hole": lambda p: [[p.ravel().tolist(), ((p - p.mean(0)) * 0.3 + p.mean(0)).ravel().tolist()]],
    "an RLE without a size of the image": lambda _: rle_of_disk(),
}


def rle_of_disk():
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    disk = (np.hypot(rows - 20, columns - 30) < 9).astype(np.uint8)
    rle = coco_mask.encode(np.asfortranarray(disk))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


@pytest.mark.parametrize("form", FORMS)
def test_coco_polygons_in_every_nesting(tmp_path, form):
    write_image(tmp_path / "sem/a.png")
    corners = corners_of()
    expected = 0.5 * 16 * 81 * np.sin(2 * np.pi / 16) * (1 - 0.09 * (form == "outline and hole"))
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": FORMS[form](corners)}
    data = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [annotation]}
    run(
        "coco", write_json(tmp_path / "c.json", data), "--images", tmp_path / "sem", "--val", 0, "--out", tmp_path / "o"
    )
    (particle,) = read_annotations(tmp_path / "o/annotations/train.json")["annotations"]
    assert particle["area"] == pytest.approx(expected, rel=0.05)


def test_an_rle_of_another_size_than_the_file_is_left_out_though_the_image_states_none(tmp_path, capsys):
    write_image(tmp_path / "sem/a.png", shape=(2 * HEIGHT, 2 * WIDTH))
    write_image(tmp_path / "sem/b.png")
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}]
    annotations = [{"id": n, "image_id": n, "category_id": 1, "segmentation": rle_of_disk()} for n in (1, 2)]
    path = write_json(tmp_path / "c.json", {"images": images, "annotations": annotations})
    run("coco", path, "--images", tmp_path / "sem", "--val", 0, "--out", tmp_path / "o")
    assert "1 × images left out, annotated at another size than the file has: a.png (60 x 40 on 120 x 80)" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[2, 8, 8, 2, 5, 5], [3, 3, 9, 9, 3, 9]], "their points are not a list of pairs"),
        ([[[2, 3], [8, 3], [8, 9]], [[2, 3], [8, 3], [8, 9]]], "their points are not a list of pairs"),
    ],
)
def test_labelme_points_that_are_no_pairs_are_no_other_shape(tmp_path, capsys, points, message):
    write_image(tmp_path / "sem/a.png")
    good = {"label": "x", "points": [[2, 3], [8, 3], [8, 9], [2, 9]], "shape_type": "polygon"}
    write_json(tmp_path / "sem/a.json", {"shapes": [good, good | {"points": points}], "imagePath": "a.png"})
    run("labelme", tmp_path / "sem", "--val", 0, "--out", tmp_path / "out")
    assert len(read_annotations(tmp_path / "out/annotations/train.json")["annotations"]) == 1
    assert f"1 × annotations left out, {message}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("mask", "points", "message"),
    [
        (b"no PNG at all, but long enough", [[4, 5], [6, 6]], "their mask is of another size than its box"),
        (None, [[4, 5], [9, 12]], "their mask is of another size than its box"),
        ("*", [[4, 5], [6, 6]], "their mask is no PNG in base64"),
        (None, [[4, 5], [6, 6], [7, 7]], "a mask has two points"),
    ],
)
def test_labelme_masks_that_are_not_those_of_their_box(tmp_path, capsys, mask, points, message):
    write_image(tmp_path / "sem/a.png")
    png = cv2.imencode(".png", np.ones((2, 3), np.uint8))[1].tobytes() if mask is None else mask
    good = {"label": "x", "points": [[2, 3], [8, 3], [8, 9], [2, 9]], "shape_type": "polygon"}
    bad = {"label": "x", "points": points, "shape_type": "mask"}
    bad["mask"] = png if isinstance(png, str) else base64.b64encode(png).decode()
    write_json(tmp_path / "sem/a.json", {"shapes": [good, bad], "imagePath": "a.png"})
    run("labelme", tmp_path / "sem", "--val", 0, "--out", tmp_path / "out")
    assert f"1 × annotations left out, {message}: a.png: shape 2" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["annotations", "categories", "image_id", "id", "category_id", "label", "name"])
@pytest.mark.parametrize("value", [5, [1], {"a": 1}, None, True, "\ud800", 1e400])
def test_other_types_in_coco_files_end_in_no_traceback(tmp_path, capsys, change, value):
    write_image(tmp_path / "sem/a.png")
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": FORMS["flat"](corners_of()), "state": None}
    data = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [annotation, annotation | {"id": 2}],
        "categories": [{"id": 1, "name": "x"}],
    }
    places = {
        "annotations": data, "categories": data, "image_id": annotation, "id": data["images"][0],
        "category_id": annotation, "label": annotation, "name": data["categories"][0],
    }  # fmt: skip
    places[change]["state" if change == "label" else change] = value
    path = write_json(tmp_path / "c.json", data)
    with contextlib.suppress(SystemExit):  # the program's one line
        run("coco", path, "--images", tmp_path / "sem", "--val", 0, "--out", tmp_path / "o")
    capsys.readouterr().out.encode()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("via", "{ half", "not a JSON file"),
        ("coco", "[" * 200_000, "not a JSON file"),
        ("coco", '{"images": [], "annotations": 5}', "its annotations must be a list"),
        ("via", "[]", "not a VIA file"),
        ("via", '{"project": 1, "file": {}, "metadata": {}}', "VIA 3"),
        ("via", "{}", "not a VIA file"),
        ("via", '{"a": {"filename": "none.png", "regions": []}}', "no image with particles is left to write"),
        ("coco", '{"info": 1}', "not a COCO file"),
        ("coco", None, "cannot be read"),
    ],
)
def test_what_is_no_annotation_file_is_refused_in_one_line(tmp_path, name, content, message):
    write_image(tmp_path / "sem/a.png")
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content)
    assert message in refused(name, path, "--images", tmp_path / "sem", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--label", "x=nothing"], "--label x=nothing: give NAME=MEANING"),
        (["--pixel-size", "0"], "--pixel-size must be above 0"),
        (["--val", "0.5", "--test", "0.6"], "sum to 1 at most"),
        (["--val", "nan"], "must lie in 0 to 1"),
        (["--val", "0.5"], "1 images are too few for val and test"),
        (["--val", "0.5", "--test", "0.5"], "1 images are too few for val and test"),
    ],
)
def test_wrong_options_are_refused_in_one_line(tmp_path, words, message):
    write_image(tmp_path / "sem/a.png")
    project = write_json(tmp_path / "p.json", {"a": via_entry("a.png", SQUARE)})
    assert message in refused("via", project, "--images", tmp_path / "sem", "--out", tmp_path / "out", *words)


def test_empty_folders_are_refused(tmp_path):
    (tmp_path / "none").mkdir()
    write_image(tmp_path / "sem/a.png")
    assert "holds no images" in refused("labelme", tmp_path / "none", "--out", tmp_path / "out")
    assert "holds no LabelMe file" in refused("labelme", tmp_path / "sem", "--out", tmp_path / "out")
    assert "holds no .zip or .roi files" in refused("imagej_rois", tmp_path / "sem", "--out", tmp_path / "out")
    assert "no such folder" in refused("labelme", tmp_path / "gone", "--out", tmp_path / "out")


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_a_command(name):
    done = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py"), "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert f"python tools/dataset_converters/{name}.py" in done.stdout
