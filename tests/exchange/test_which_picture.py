"""The rule for the picture of an outline, by itself and in each reader."""

import base64
import json
import os
import unicodedata
import zipfile

import cv2
import numpy as np
import pytest
import roifile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from scenes import squares
from semsize.exchange import (
    Account,
    ExchangeError,
    ImageFolder,
    Stated,
    annotated_masks,
    label_image,
    labelme_file,
    read_coco,
    read_imagej,
    read_label_images,
    read_labelme,
    read_via,
    roi_zip,
    short_name,
    size_trouble,
    via_project,
)
from semsize.structures import crowd_flag

SHAPE = (30, 40)
COUNTS = {"001.png": 1, "A/001.png": 2, "B/001.png": 3}


def picture(path, level=0, shape=SHAPE):
    """A picture that no other is a copy of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.full(shape, 20, np.uint8)
    grey[0] = level
    path.write_bytes(cv2.imencode(path.suffix, grey)[1])
    return path


def pictures(folder, *names):
    for number, name in enumerate(names):
        picture(folder / name, number + 1)
    return ImageFolder(folder)


def found(images, folder, *names):
    """What each name, written in a file in `folder`, leads to; the name of the picture, or the trouble."""
    matches = images.match([Stated.in_text(name, folder) for name in names], Account())
    return [images.name_of(one.path) if one.path else one.trouble for one in matches]


# --- the rule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prefix", ["", "./", ".\\", "scans/", "C:\\lab\\scans\\", "/home/lab/project/scans/", "file:///data/scans/",
               "https://x.org/data/scans/", "/data/local-files/?d=upload/scans/"]
)  # fmt: skip
def test_equal_names_in_folders_are_told_apart_by_the_end_of_the_path(tmp_path, prefix):
    images = pictures(tmp_path / "scans", "A/001.png", "B/001.png")
    names = [f"{prefix}{name}" for name in ("A/001.png", "B/001.png")]
    assert found(images, tmp_path / "elsewhere", *names) == ["A/001.png", "B/001.png"]
    if "//" not in prefix and "?" not in prefix:
        windows = [name.replace("/", "\\") for name in names]
        assert found(images, tmp_path / "elsewhere", *windows) == ["A/001.png", "B/001.png"]


def test_a_name_is_looked_for_from_the_folder_of_the_file_that_states_it(tmp_path):
    images = pictures(tmp_path, "001.png", "A/001.png", "B/001.png")
    for folder, name in (("", "001.png"), ("A", "A/001.png"), ("B", "B/001.png")):
        assert found(images, tmp_path / folder, "001.png") == [name]
        assert found(images, tmp_path / folder, str(tmp_path / "B/001.png")) == ["B/001.png"]
    assert found(images, tmp_path / "A", "../B/001.png", "..\\001.png") == ["B/001.png", "001.png"]


def test_a_tie_is_named_with_both(tmp_path):
    images = pictures(tmp_path / "scans", "A/001.png", "B/001.png")
    (trouble,) = found(images, tmp_path, "001.png")
    assert trouble == "A/001.png and B/001.png fit it equally well"
    assert found(images, tmp_path, "C/001.png") == [trouble]


def test_another_folder_s_outlines_do_not_land_on_a_namesake(tmp_path):
    pictures(tmp_path / "scans", "001.png", "A/001.png", "B/001.png", "B/002.png")
    only = ImageFolder(tmp_path / "scans" / "A")
    best, other, top = found(only, tmp_path, "A/001.png", "B/001.png", "001.png")
    assert best == "001.png"
    assert "001.png is a namesake" in other
    assert "001.png belongs to A/001.png" in top or "namesake" in top
    # with A's own name missing, B's file on disk tells that it is B's, and that the plain name is the one beside both
    other, top = found(only, tmp_path, "B/001.png", "001.png")
    assert str(tmp_path / "scans/B/001.png") in other
    assert str(tmp_path / "scans/001.png") in top
    assert found(only, tmp_path, "001.png") == ["001.png"]


def test_a_folder_that_is_there_and_lacks_the_picture_is_a_contradiction(tmp_path):
    images = pictures(tmp_path / "scans", "A/001.png", "A/003.png", "B/001.png")
    (trouble,) = found(images, tmp_path, "B/003.png")
    assert "the folder b" in trouble
    assert "A/003.png" in trouble
    images = pictures(tmp_path / "more", "A/001.png", "A/002.png")
    assert found(images, tmp_path, "A/001.png", "A/002.png") == ["A/001.png", "A/002.png"]
    good, bad = found(images, tmp_path, "A/001.png", "B/002.png")
    assert good == "A/001.png"
    assert "A/002.png" in bad


def test_two_names_that_fit_one_picture_equally_are_both_left_out(tmp_path):
    images = pictures(tmp_path / "sem", "001.png")
    for trouble in found(images, tmp_path, "B/001.png", "C/001.png"):
        assert trouble == "B/001.png and C/001.png fit 001.png equally well"


def test_a_file_that_is_there_but_was_not_given_is_not_replaced_by_a_namesake_unless_it_is_a_copy(tmp_path):
    picture(tmp_path / "ann" / "001.png", 9)
    images = pictures(tmp_path / "sem", "001.png")
    (trouble,) = found(images, tmp_path / "ann", "001.png")
    assert str(tmp_path / "ann/001.png") in trouble
    (tmp_path / "ann/001.png").write_bytes((tmp_path / "sem/001.png").read_bytes())
    assert found(images, tmp_path / "ann", "001.png") == ["001.png"]


def test_a_picture_found_by_its_name_alone_is_said(tmp_path):
    images, account = pictures(tmp_path / "images", "12.png", "scan 3.png"), Account()
    names = ["..\\label\\12.png", "/data/upload/1/scan%203.png"]
    matches = images.match([Stated.in_text(name, tmp_path) for name in names], account)
    assert [one.path.name for one in matches] == ["12.png", "scan 3.png"]
    (line,) = account.lines()
    assert line.startswith("2 × images found by their file name alone, in another folder than stated")
    assert "..\\label\\12.png is taken for 12.png" in line


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_composed_and_decomposed_names_are_one(tmp_path, form):
    name = "Größe/Prüfling é.PNG"
    images = pictures(tmp_path / "sem", unicodedata.normalize(form, name))
    for other in ("NFC", "NFD"):
        (path,) = found(images, tmp_path, unicodedata.normalize(other, name).replace(".PNG", ".png"))
        assert unicodedata.normalize("NFC", path) == unicodedata.normalize("NFC", name)


def test_names_of_bytes_that_are_no_text(tmp_path):
    raw = os.fsencode(tmp_path / "caf") + b"\xe9.png"
    picture(tmp_path / "x.png").rename(os.fsdecode(raw))
    images = ImageFolder(tmp_path)
    assert found(images, tmp_path / "out", "caf\\udce9.png") == [images.name_of(images.files[0])]


def test_the_same_spelling_goes_before_another_case(tmp_path):
    images = pictures(tmp_path / "sem", "a.png", "A.png")
    assert found(images, tmp_path, "A.png", "a.png") == ["A.png", "a.png"]


def test_the_size_in_bytes_tells_pictures_of_one_name_apart(tmp_path):
    images = pictures(tmp_path / "sem", "A/001.png", "B/001.png")
    (tmp_path / "sem/B/001.png").write_bytes((tmp_path / "sem/B/001.png").read_bytes() + b"more")
    size = (tmp_path / "sem/B/001.png").stat().st_size
    (match,) = images.match([Stated.in_text("001.png", tmp_path, byte_size=size)], Account())
    assert images.name_of(match.path) == "B/001.png"
    only = ImageFolder(tmp_path / "sem/A")
    (match,) = only.match([Stated.in_text("001.png", tmp_path, byte_size=size)], Account())
    assert match.path is None
    actual = (tmp_path / "sem/A/001.png").stat().st_size
    assert f"001.png has {actual} bytes, not {size}: another picture" in match.trouble
    stated = [Stated.in_text("001.png", tmp_path, byte_size=one) for one in (None, actual, size)]
    assert [one.path is not None for one in only.match(stated, Account())] == [True, True, False]
    assert not any(one.path for one in only.match(stated[::2], Account()))


folders = st.lists(st.sampled_from("ABC"), max_size=3).map("/".join)


@settings(max_examples=60, deadline=None)
@given(st.sets(st.tuples(folders, st.sampled_from(["1", "2"])), min_size=1, max_size=8), st.data())
def test_pictures_named_by_their_own_paths_are_always_found(tmp_path_factory, names, data):
    folder = tmp_path_factory.mktemp("tree")
    names = sorted(f"{place}/{name}.png".lstrip("/") for place, name in names)
    images = pictures(folder / "scans", *names)
    stated = data.draw(st.permutations(names))
    assert found(images, folder / "scans", *stated) == stated
    assert found(images, folder / "ann", *(str(folder / "scans" / name) for name in stated)) == stated
    for one, name in zip(found(images, folder / "ann", *stated), stated, strict=True):
        assert one == name or one not in names, "in doubt nothing, never another"


def test_of_files_needs_one():
    with pytest.raises(ExchangeError, match="no image files are given"):
        ImageFolder.of_files([])


# --- every reader -----------------------------------------------------------------------------------------------------


def masks_of(count):
    return squares(SHAPE, [(2, 2 + 7 * number) for number in range(count)], 5)


def write_rois(folder, name, count):
    path = folder / f"{name}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    roi_zip(path, masks_of(count), [None] * count)


def write_labels(folder, name, count):
    path = (folder / name).with_suffix(".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", label_image(masks_of(count)))[1])


def write_labelme(folder, name, count):
    path = (folder / name).with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {"file_name": path.with_suffix(".png").name, "height": SHAPE[0], "width": SHAPE[1]}
    path.write_text(json.dumps(labelme_file(record, masks_of(count), [None] * count)))


def polygon(left):
    return [left, 2, left + 5, 2, left + 5, 7, left, 7]


def coco(*entries, **more):
    """COCO's terms of (id, file name, number of particles)."""
    images, annotations = [], []
    for number, name, count in entries:
        images.append({"id": number, "file_name": name, "height": SHAPE[0], "width": SHAPE[1]})
        annotations += [
            {"id": len(annotations) + n + 1, "image_id": number, "category_id": 1, "segmentation": [polygon(2 + 7 * n)]}
            for n in range(count)
        ]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "particle"}]} | more


def written(path, data, encoding="utf-8"):
    path.write_text(json.dumps(data, ensure_ascii=False), encoding=encoding)
    return path


def counts(read, images):
    """Name of each picture to how many outlines it was given; to the trouble where it was given none."""
    read, troubles = list(read), {}
    good = [image for image in read if image.path is not None and image.trouble is None]
    result = {images.name_of(image.path): len(image.particles) for image in good}
    assert len(result) == len(good), "each picture once"
    for image in read:
        for path in (image.path, *image.candidates) if image.trouble else ():
            if path is not None:
                troubles.setdefault(images.name_of(path), image.trouble)
    return troubles | result


def readers(source):
    """A reader of each kind over outlines of COUNTS, made anew in `source`."""
    for name, count in COUNTS.items():
        write_rois(source / "rois", name, count)
        write_labels(source / "labels", name, count)
        write_labelme(source / "labelme", name, count)
    records = [({"file_name": name}, masks_of(count), [None] * count) for name, count in COUNTS.items()]
    via = written(source / "via.json", via_project(records))
    listed = written(source / "coco.json", coco(*((n, *entry) for n, entry in enumerate(COUNTS.items()))))
    return {
        "rois": lambda images, account: read_imagej(source / "rois", images, account),
        "labels": lambda images, account: read_label_images(images, ImageFolder(source / "labels"), account),
        "labelme": lambda images, account: read_labelme(source / "labelme", images, account),
        "via": lambda images, account: read_via(via, images, account),
        "coco": lambda images, account: read_coco(listed, images, account),
    }


@pytest.mark.parametrize("kind", ["rois", "labels", "labelme", "via", "coco"])
def test_every_reader_tells_equal_names_in_folders_apart(tmp_path, kind):
    images = pictures(tmp_path / "scans", *COUNTS)
    read = readers(tmp_path / "made")[kind]
    assert counts(read(images, Account()), images) == COUNTS
    for folder in ("A", "B"):
        part = ImageFolder(tmp_path / "scans" / folder)
        assert counts(read(part, Account()), part) == {"001.png": COUNTS[f"{folder}/001.png"]}


def test_labelme_files_beside_their_pictures(tmp_path):
    images = pictures(tmp_path, "001.png", "B/001.png", "B/002.png")
    write_labelme(tmp_path, "B/001.png", 3)
    write_labelme(tmp_path, "B/002.png", 4)
    account = Account()
    assert counts(read_labelme(tmp_path, images, account), images) == {"B/001.png": 3, "B/002.png": 4}
    assert list(account.lines()) == ["1 × images left out, without an annotation file: 001.png"]


def renamed(folder, json_name, image_path, **more):
    write_labelme(folder, f"{json_name}.png", 2)
    path = folder / f"{json_name}.json"
    written(path, json.loads(path.read_text()) | {"imagePath": image_path} | more)


def test_a_renamed_picture_whose_labelme_file_names_another(tmp_path):
    images = pictures(tmp_path, "scan7.png", "IMG_1.png", "sub/old.png")
    renamed(tmp_path, "scan7", "old.png")  # a namesake lies in another folder
    assert counts(read_labelme(tmp_path, images, Account()), images) == {"scan7.png": 2}
    renamed(tmp_path, "scan7", "IMG_1.png")
    trouble = "scan7.json says IMG_1.png but its own name scan7.png, so neither is used: correct imagePath"
    assert counts(read_labelme(tmp_path, images, Account()), images) == {"IMG_1.png": trouble, "scan7.png": trouble}
    inside = base64.b64encode((tmp_path / "scan7.png").read_bytes()).decode()
    picture(tmp_path / "IMG_1.png", 250, (30, 40))
    (tmp_path / "IMG_1.png").write_bytes(cv2.imencode(".png", np.full(SHAPE, 200, np.uint8))[1])
    renamed(tmp_path, "scan7", "IMG_1.png", imageData=inside)
    assert counts(read_labelme(tmp_path, images, Account()), images) == {"scan7.png": 2}
    picture(tmp_path / "IMG_1.png", 5, (30, 41))
    renamed(tmp_path, "scan7", "IMG_1.png")
    assert counts(read_labelme(tmp_path, images, Account()), images) == {"scan7.png": 2}


def test_a_labelme_file_of_a_picture_that_is_gone_takes_no_namesake(tmp_path):
    images = pictures(tmp_path, "new.png", "sub/old.png")
    renamed(tmp_path, "old", "old.png")
    assert "its folder holds images" in counts(read_labelme(tmp_path, images, Account()), images)["sub/old.png"]
    write_labelme(tmp_path / "other", "B/001.png", 2)
    images = pictures(tmp_path / "other", "A/001.png")
    trouble = counts(read_labelme(tmp_path / "other", images, Account()), images)["A/001.png"]
    assert trouble.startswith("its folder is b, so A/001.png is a namesake")


def test_two_files_of_one_picture_are_both_named(tmp_path):
    images = pictures(tmp_path / "sem", "A.png", "B.png")
    write_rois(tmp_path / "rois", "A", 4)
    roifile.ImagejRoi.frompoints(np.array([(1, 1), (5, 1), (5, 5)], np.float32)).tofile(tmp_path / "rois" / "A.roi")
    write_rois(tmp_path / "rois", "B_RoiSet", 2)
    assert counts(read_imagej(tmp_path / "rois", images, Account()), images) == {
        "A.png": "A.roi and A.zip are of it: keep one",
        "B.png": 2,
    }
    write_labels(tmp_path / "labels", "A.png", 1)
    Image.fromarray(label_image(masks_of(2))).save(tmp_path / "labels" / "A.tif")
    assert counts(read_label_images(images, ImageFolder(tmp_path / "labels"), Account()), images) == {
        "A.png": "A.png and A.tif fit A.png equally well"
    }


def test_sets_and_archives_in_any_case_and_what_is_none(tmp_path):
    images = pictures(tmp_path / "sem", "A.Png", "B.png", "C.png", "D.png")
    write_rois(tmp_path / "rois", "A", 3)
    (tmp_path / "rois" / "A.zip").rename(tmp_path / "rois" / "A.ZIP")
    roifile.ImagejRoi.frompoints(np.array([(1, 1), (5, 1), (5, 5)], np.float32)).tofile(tmp_path / "rois" / "B.roi")
    (tmp_path / "rois" / "B.roi").rename(tmp_path / "rois" / "b.ROI")
    with zipfile.ZipFile(tmp_path / "rois" / "C.zip", "w") as archive:
        archive.writestr("C.png", b"a copy")
    (tmp_path / "rois" / "D.zip").write_bytes(b"PK damaged")
    account = Account()
    result = counts(read_imagej(tmp_path / "rois", images, account), images)
    assert (result["A.Png"], result["B.png"]) == (3, 1)
    assert result["D.png"].startswith("D.zip cannot be read")
    assert list(account.lines()) == [
        "1 × zips left out, they hold other files than ROIs: C.zip",
        "1 × images left out, without a ROI file: C.png",
    ]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_entries_of_one_name_in_a_zip_are_all_read(tmp_path):
    images = pictures(tmp_path, "A.png")
    with zipfile.ZipFile(tmp_path / "A.zip", "w") as archive:
        for left in range(0, 30, 6):
            corners = np.array([(left, 1), (left + 5, 1), (left + 5, 6), (left, 6)], np.float32)
            archive.writestr("particle.roi", roifile.ImagejRoi.frompoints(corners, name="particle").tobytes())
        archive.writestr("__MACOSX/._particle.roi", b"junk")
    account = Account()
    (image,) = read_imagej(tmp_path, images, account)
    masks = annotated_masks(image, SHAPE, account).masks
    assert masks.boxes[:, 0].tolist() == list(range(0, 30, 6))
    assert not account.faults


def test_a_set_written_under_a_shortened_name_is_found_again(tmp_path):
    long = f"{'ein sehr langer Name ' * 11}"
    names = [f"{long} 1.png", f"{long} 2.png"]
    images = pictures(tmp_path / "sem" / "A", *names)
    shorts = [short_name(name) for name in names]
    assert len(set(shorts)) == 2
    assert all(len(name.encode()) <= 200 for name in shorts)
    for count, short in enumerate(shorts, start=1):
        write_rois(tmp_path / "rois" / "A", short, count)
    assert counts(read_imagej(tmp_path / "rois", images, Account()), images) == {names[0]: 1, names[1]: 2}


@given(st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=300))
def test_a_shortened_name_fits_and_short_names_stay(name):
    short = short_name(name)
    assert len(short.encode()) <= 200
    assert short == name or len(name.encode()) > 200
    assert short_name(short) == short


# --- COCO's ids -------------------------------------------------------------------------------------------------------


def read(tmp_path, images, data, **options):
    account = Account()
    result = counts(read_coco(written(tmp_path / "c.json", data), images, account, **options), images)
    return result, "\n".join(account.lines())


def test_images_that_share_an_id_are_left_out_with_each_other_s_names(tmp_path):
    images = pictures(tmp_path / "sem", "a.png", "b.png", "c.png")
    result, _ = read(tmp_path, images, coco((5, "a.png", 1), ("5", "b.png", 2), (6, "c.png", 3)))
    assert result["c.png"] == 3
    assert result["a.png"] == "it shares the id 5 with b.png: number the images anew"
    assert result["b.png"] == "it shares the id 5 with a.png: number the images anew"


def test_ids_as_text_are_the_numbers(tmp_path):
    images = pictures(tmp_path / "sem", "a.png", "b.png")
    data = coco((1, "a.png", 1), ("2", "b.png", 2))
    for annotation in data["annotations"]:
        annotation["image_id"] = {1: "1", "2": 2.0}[annotation["image_id"]]
    assert read(tmp_path, images, data)[0] == {"a.png": 1, "b.png": 2}


def test_an_image_under_two_ids(tmp_path):
    images = pictures(tmp_path / "sem", "a.png")
    result, _ = read(tmp_path, images, coco((1, "a.png", 3), (51, "a.png", 2)))
    assert result == {
        "a.png": "it is listed under the ids 1, 51 with different annotations: keep those that are its own"
    }
    for data in (coco((1, "a.png", 3), (51, "a.png", 0)), coco((1, "a.png", 3), (51, "a.png", 3))):
        result, text = read(tmp_path, images, data)
        assert result == {"a.png": 3}
        assert text == "1 × images listed more than once, taken once: a.png"
    data = coco((1, "a.png", 3))
    data["images"] *= 2
    assert read(tmp_path, images, data) == ({"a.png": 3}, text)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_json_with_a_mark_is_read(tmp_path, encoding):
    images = pictures(tmp_path / "sem", "ä.png")
    path = written(tmp_path / "c.json", coco((1, "ä.png", 2)), encoding)
    assert counts(read_coco(path, images, Account()), images) == {"ä.png": 2}


@pytest.mark.parametrize("data", [{"images": [], "annotations": 5}, {"images": [], "categories": 5}, {"images": 5}])
def test_what_is_no_list_is_refused(tmp_path, data):
    images = pictures(tmp_path / "sem", "a.png")
    with pytest.raises(ExchangeError, match="not a COCO file"):
        read(tmp_path, images, data)


def test_ids_that_are_none_are_named(tmp_path):
    images = pictures(tmp_path / "sem", "a.png")
    data = coco((1, "a.png", 2), ([3], "b.png", 0))
    data["annotations"][0]["image_id"] = {"of": 1}
    result, text = read(tmp_path, images, data)
    assert result == {"a.png": 1}
    assert "annotations left out, not in the form of their format: entry 1" in text
    assert "images left out, they have no id: number the images anew: b.png" in text


def test_crowds_as_numbers_and_as_text():
    assert not any(map(crowd_flag, (0, "0", "false", False, None, "", 0.0, "No")))
    assert all(map(crowd_flag, (1, "1", "True", True, 1.0)))


def test_a_crowd_that_is_none_is_refused():
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        crowd_flag("perhaps")


def test_a_file_of_crowds_only_is_said_and_can_be_taken(tmp_path):
    images = pictures(tmp_path / "sem", "a.png")
    data = coco((1, "a.png", 2))
    for annotation in data["annotations"]:
        annotation["iscrowd"] = 1
    (image,) = read_coco(written(tmp_path / "c.json", data), images, account := Account())
    assert [particle.is_crowd for particle in image.particles] == [True, True]
    assert "files with ALL annotations marked as crowds (iscrowd)" in "".join(account.lines())
    assert "--crowds-as-particles" in "".join(account.lines())
    (image,) = read_coco(tmp_path / "c.json", images, Account(), crowds_as_particles=True)
    assert [particle.is_crowd for particle in image.particles] == [False, False]


def test_regions_written_twice_are_taken_once_with_the_state_that_is_known(tmp_path):
    images = pictures(tmp_path / "sem", "a.png")
    data = coco((1, "a.png", 3))
    again = [dict(annotation, state="masked") for annotation in data["annotations"][:2]]
    data["annotations"] = [*data["annotations"], *again, *data["annotations"][2:]]
    (image,) = read_coco(written(tmp_path / "c.json", data), images, account := Account())
    masks = annotated_masks(image, SHAPE, account)
    assert masks.states == ("masked", "masked", None)
    text = "\n".join(account.lines())
    assert "3 × annotations drawn twice on the same pixels, taken once" in text
    assert "annotations that share their id with another" in text


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("labels", "state"), [((None, None), None), (("masked", None), "masked"), (("masked", "complete"), None)]
)
def test_a_region_written_as_crowd_and_as_particle_is_a_particle_in_any_order(tmp_path, order, labels, state):
    images = pictures(tmp_path / "sem", "a.png")
    data = coco((1, "a.png", 1))
    (crowd,) = data["annotations"]
    crowd |= {"iscrowd": 1} | ({"state": labels[0]} if labels[0] else {})
    particle = crowd | {"iscrowd": 0, "id": 2, "state": labels[1] or ""}
    data["annotations"] = [crowd, particle][::order]
    (image,) = read_coco(written(tmp_path / "c.json", data), images, account := Account())
    masks = annotated_masks(image, SHAPE, account)
    assert (masks.ignored.tolist(), masks.states) == ([False], (state,))


BOX_FORMS = {
    "x, y, visibility": lambda ring: [np.c_[ring, np.full(len(ring), 2)].ravel().tolist()],
    "all x, then all y": lambda ring: [ring.T.ravel().tolist()],
    "y, x": lambda ring: [ring[:, ::-1].ravel().tolist()],
    "percent": lambda ring: [(100 * ring / SHAPE[::-1]).ravel().tolist()],
}


def boxed(form=lambda ring: [ring.ravel().tolist()], box=lambda x, y: [x, y, 5, 5]):
    """COCO's terms of squares on an uneven line, with their boxes."""
    data = coco((1, "a.png", 4))
    for annotation, (x, y) in zip(data["annotations"], ((22, 2), (30, 9), (33, 18), (24, 1)), strict=True):
        ring = np.array([(x, y), (x + 5, y), (x + 5, y + 2), (x + 5, y + 5), (x + 2, y + 5), (x, y + 5)], float)
        annotation |= {"segmentation": form(ring), "bbox": box(x, y)}
    return data


@pytest.mark.parametrize("form", BOX_FORMS)
def test_outlines_elsewhere_than_their_stated_boxes_are_left_out(tmp_path, form):
    images = pictures(tmp_path / "sem", "a.png")
    result, text = read(tmp_path, images, boxed(BOX_FORMS[form]))
    assert "of 4 outlines lie elsewhere than the boxes (bbox) that it states for them" in result["a.png"]
    assert "their outline lies elsewhere than the box (bbox) that they state: a.png: annotation 1" in text


@pytest.mark.parametrize(
    "box",
    [
        lambda *_: [0, 0, 0, 0],
        lambda *_: [0, 0, 1, 1],
        lambda *_: [0, 0, 40, 30],
        lambda x, y: [x, y, x + 5, y + 5],
        lambda x, y: [x - 1, y - 2, 7, 7],
        lambda *_: None,
        lambda x, y: [x / 40, y / 30, 0.1, 0.2],
        lambda _, y: ["x", y, 5, 5],
    ],
    ids=["zeros", "dummies", "frames", "corners", "wider", "null", "shares", "text"],
)
def test_boxes_that_fit_or_state_nothing_leave_outlines_alone(tmp_path, box):
    images = pictures(tmp_path / "sem", "a.png")
    assert read(tmp_path, images, boxed(box=box)) == ({"a.png": 4}, "")


def test_one_outline_elsewhere_is_left_out_and_said(tmp_path):
    data = boxed()
    data["annotations"][1]["bbox"] = [2, 20, 5, 5]
    result, text = read(tmp_path, pictures(tmp_path / "sem", "a.png"), data)
    assert result == {"a.png": 3}
    assert text.startswith("1 × annotations left out, their outline lies elsewhere than the box (bbox)")


# --- sizes ------------------------------------------------------------------------------------------------------------


def sized(tmp_path, stated, file_shape, orientation=1):
    """What `size_trouble` says, and what it notes."""
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(np.zeros(file_shape, np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    images, account = ImageFolder(tmp_path), Account()
    data = coco((1, "a.jpg", 1))
    data["images"][0] |= {"height": stated and stated[0], "width": stated and stated[1]}
    (image,) = read_coco(written(tmp_path / "c.json", data), images, Account())
    return size_trouble(image, file_shape, account), "".join(account.lines())


def test_outlines_of_another_size_than_the_picture(tmp_path):
    assert sized(tmp_path, (30, 40), (30, 40)) == (None, "")
    assert sized(tmp_path, ("30", "40"), (30, 40)) == (None, "")
    assert sized(tmp_path, None, (30, 40)) == (None, "")
    for stated in ((15, 20), (60, 80), (30, 41), (31, 40), (15, 40), (21, 40)):
        assert sized(tmp_path, stated, (30, 40))[0] == f"{stated[1]} x {stated[0]} on 40 x 30"
    trouble, noted = sized(tmp_path, (26, 40), (30, 40))
    assert trouble is None
    assert noted.startswith("1 × images annotated without their lowest rows, taken for a data bar: a.jpg (40 x 26")


def test_an_outline_beyond_the_frame_contradicts_a_source_without_a_size(tmp_path):
    images = pictures(tmp_path / "sem", "a.png")
    for name, corners, fits in (("in", [(5, 20), (5, 38)], True), ("out", [(5, 20), (5, 38), (5, 60)], False)):
        (tmp_path / name).mkdir()
        roi_zip(tmp_path / name / "a.zip", squares((50, 80), corners, 4), [None] * len(corners))
        (image,) = read_imagej(tmp_path / name, images, Account())
        trouble = size_trouble(image, SHAPE, Account())
        assert trouble is None if fits else trouble.startswith("1 of 3 outlines lie beyond 40 x 30, the first is")


def test_orientation_tags_are_named(tmp_path):
    trouble, _ = sized(tmp_path, (40, 30), (30, 40), 6)
    assert trouble.startswith("30 x 40 on 40 x 30, as viewers turn it by its orientation tag: save the image turned")
    assert sized(tmp_path, (40, 30), (30, 40), 3)[0] == "30 x 40 on 40 x 30"
    assert sized(tmp_path, (30, 40), (30, 40), 6) == (None, "")
    for stated, shape, tag in (((30, 40), (30, 40), 3), (None, (30, 40), 8), ((30, 30), (30, 30), 5)):
        trouble, noted = sized(tmp_path, stated, shape, tag)
        assert trouble is None
        assert f"a.jpg (orientation {tag})" in noted


def test_rle_of_another_size_without_a_stated_one(tmp_path):
    images = pictures(tmp_path / "sem", "a.png")
    data = coco((1, "a.png", 1))
    del data["images"][0]["height"]
    data["annotations"][0]["segmentation"] = {"size": [15, 20], "counts": [10, 20, 270]}
    (image,) = read_coco(written(tmp_path / "c.json", data), images, Account())
    assert size_trouble(image, SHAPE, Account()) == "20 x 15 on 40 x 30"
