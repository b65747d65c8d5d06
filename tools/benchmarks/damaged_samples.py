"""Small whole files of every kind that the programs read, and functions that damage them; for damaged_files.py."""

import base64
import copy
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

import cv2
import numpy as np
import roifile
import tifffile
from PIL import Image

from semsize.exchange import (
    roi_zip,
    via_project,
)
from semsize.exchange.labelme import labelme_file
from semsize.measuring.inputs import ImageFile
from semsize.measuring.results_folder import ImageResult
from semsize.structures import CroppedMasks, dataset, image_entry, particle_entry, prediction_entry
from semsize.structures.pixel_size import PixelSize

SHAPE = (40, 52)
NUMBERS = (0, 1, 2, 3, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
SCALARS = (None, True, False, 0, -1, 1, 2.5, 1e308, float("nan"), float("inf"), 2**31, 4 * 10**9, 10**400)
TEXTS = ("", "7", "x", "\0", "\ud800", "ä" * 300)
NESTS = ([], [1], [[1, 2]], [None], {}, {"x": 1}, {"size": [1, 1], "counts": [1]}, [[[[1, 2]]]])
VALUES = (*SCALARS, *TEXTS, *NESTS)


def labels() -> np.ndarray:
    """Five particles, one of them with a hole."""
    picture = np.zeros(SHAPE, np.uint8)
    for number, centre in enumerate([(8, 8), (30, 9), (20, 25), (42, 12), (40, 30)], start=1):
        cv2.circle(picture, centre, 3 + number, number, -1)
    picture[23:27, 18:22] = 0
    return picture


LABELS = labels()
MASKS = CroppedMasks.from_label_image(LABELS)
GREY = cv2.GaussianBlur(40 + 30 * (LABELS > 0).astype(np.uint8) + 7 * LABELS, (0, 0), 1)
IMAGE = {"id": 1, "file_name": "a.png", "height": SHAPE[0], "width": SHAPE[1]}


# --- whole files ------------------------------------------------------------------------------------------------------


def tiffs(levels: np.ndarray) -> Iterator[bytes]:
    """TIFFs of all kinds that the readers know, of a picture or of labels."""
    zeiss = "0\r\n0\r\n0\r\n7.3e-9\r\n1\r\n1\r\n1\r\n1\r\n1\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 7.3 nm\r\n"
    zeiss += "DP_IMAGE_STORE\r\nStore resolution = 52 * 40\r\n"
    fei = "[Scan]\r\nPixelWidth=8.2e-010\r\nPixelHeight=8.2e-010\r\n[Image]\r\nResolutionX=52\r\nResolutionY=40\r\n"
    ramp = np.repeat(np.arange(256, dtype=np.uint16)[None] * 257, 3, axis=0)
    colours = np.random.default_rng(1).integers(0, 65536, (3, 256)).astype(np.uint16)
    wide = levels.astype(np.uint16) * 200
    for values, options in (
        (levels, {}),
        (levels, {"compression": "zlib", "predictor": True, "byteorder": ">"}),
        (levels, {"tile": (16, 16), "bigtiff": True}),
        (levels, {"photometric": "palette", "colormap": ramp}),
        (levels, {"photometric": "palette", "colormap": colours, "compression": "zlib"}),
        (levels, {"photometric": "miniswhite", "rowsperstrip": 7}),
        (levels > 60, {}),
        (wide, {}),
        (wide.astype(np.float32), {"compression": "lzma"}),
        (np.dstack([levels] * 3), {"photometric": "rgb"}),
        (np.stack([levels] * 3), {"photometric": "rgb", "planarconfig": "separate"}),
        (levels, {"extratags": [(34118, "s", 0, zeiss, True)], "metadata": None}),
        (levels, {"extratags": [(34680, "s", 0, fei, True)], "metadata": None}),
        (levels, {"extratags": [(34682, "s", 0, fei, True)], "metadata": None, "byteorder": ">"}),
        (levels, {"imagej": True, "resolution": (1e3 / 7, 1e3 / 7), "metadata": {"unit": "um"}}),
        (levels, {"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 7.0, "PhysicalSizeXUnit": "nm"}}),
    ):
        stream = io.BytesIO()
        tifffile.imwrite(stream, values, **{"photometric": "minisblack", **options})
        yield stream.getvalue()
    for values, compression in ((levels, "tiff_lzw"), (wide, "tiff_lzw"), (levels, "packbits"), (levels, "jpeg")):
        stream = io.BytesIO()
        Image.fromarray(values).save(stream, "TIFF", compression=compression)
        yield stream.getvalue()


def encoded(levels: np.ndarray) -> Iterator[bytes]:
    """PNG, BMP and JPEG, also with palettes."""
    palette = Image.frombytes("P", SHAPE[::-1], levels.tobytes())
    palette.putpalette(np.random.default_rng(1).integers(0, 256, 768).astype(np.uint8).tobytes())
    plain = Image.fromarray(levels)
    for picture, kind in ((plain, "PNG"), (plain, "BMP"), (plain, "JPEG"), (palette, "PNG"), (palette, "BMP")):
        stream = io.BytesIO()
        picture.save(stream, kind)
        yield stream.getvalue()


def coco() -> dict[str, Any]:
    """Polygons, RLE of both kinds, states and attributes."""
    rles = MASKS.to_rles()
    runs = {"size": list(SHAPE), "counts": [5, 3, SHAPE[0] * SHAPE[1] - 8]}
    forms = [[[3, 2, 11, 2, 11, 8, 3, 8]], rles[0], runs, [[[3, 2], [11, 2], [11, 8]]], rles[2]]
    annotations = [
        {"id": n, "image_id": 1, "category_id": 1, "segmentation": form, "bbox": [3, 2, 8, 6], "iscrowd": 0}
        for n, form in enumerate(forms, start=1)
    ]
    annotations[0] |= {"state": "complete", "attributes": {"state": "masked", "occluded": False}}
    return {"images": [dict(IMAGE)], "annotations": annotations, "categories": [{"id": 1, "name": "particle"}]}


def ours() -> dict[str, Any]:
    """An annotation file of this project with rendered truth, and a particle as another program writes it."""
    records = [
        particle_entry(id=n, image_id=1, rle=rle, state="complete", amodal_rle=rle, visible_fraction=1.0, ecd_nm=9.0)
        for n, rle in enumerate(MASKS.to_rles(), start=1)
    ]
    plain = {"id": 9, "image_id": 1, "category_id": 1, "segmentation": [[3, 2, 11, 2, 11, 8, 3, 8]]}
    return {**dataset([image_entry(**IMAGE, pixel_size_nm=7.3)], records), "annotations": [*records, plain]}


def labelme() -> dict[str, Any]:
    """Shapes of every type."""
    data = labelme_file(IMAGE, MASKS, ["complete"] * 5)
    png = base64.b64encode(cv2.imencode(".png", np.eye(3, dtype=np.uint8))[1]).decode()
    for kind, points, more in (
        ("rectangle", [[2, 3], [8, 9]], {}),
        ("circle", [[20, 20], [23, 24]], {"flags": {"masked": True}}),
        ("mask", [[4, 5], [6, 7]], {"mask": png}),
    ):
        data["shapes"].append({"label": "x", "points": points, "shape_type": kind, "group_id": None} | more)
    return data


def via() -> dict[str, Any]:
    """Regions of every shape."""
    project = via_project([(IMAGE, MASKS, ["complete"] * 5)])
    for shape in (
        {"name": "rect", "x": 2, "y": 3, "width": 5, "height": 6},
        {"name": "circle", "cx": 20, "cy": 20, "r": 5.5},
        {"name": "ellipse", "cx": 20, "cy": 20, "rx": 5, "ry": 3, "theta": 0.4},
    ):
        next(iter(project.values()))["regions"].append({"shape_attributes": shape, "region_attributes": {"state": "x"}})
    return project


def predictions() -> list[dict[str, Any]]:
    """Predictions of all particles."""
    boxes = MASKS.boxes.tolist()
    return [prediction_entry(1, "a.png", box, 0.9, rle) for box, rle in zip(boxes, MASKS.to_rles(), strict=True)]


def part() -> dict[str, Any]:
    """The result of one image in a results folder."""
    file = ImageFile(Path("a.png"), "a.png")
    scores = np.full(5, 0.9, np.float32)
    result = ImageResult(
        file=file, sha256="0" * 64, file_shape=SHAPE, top=0, frame_rows=SHAPE[0], rles=MASKS.to_rles(), scores=scores,
        boxes=MASKS.boxes, states=(None,) * 5, on_caption=np.zeros(5, bool), caption_px=0, pixel_size=PixelSize(5.0),
        notes=(), seconds=0.1,
    )  # fmt: skip
    return result.to_part()


def roi_files(folder: Path) -> Iterator[bytes]:
    """Zips of ROIs: exact outlines with a hole, and ovals and rectangles."""
    roi_zip(folder / "a.zip", MASKS, ["complete"] * 5)
    yield (folder / "a.zip").read_bytes()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for kind in (roifile.ROI_TYPE.RECT, roifile.ROI_TYPE.OVAL):
            box = {"left": 4, "top": 5, "right": 14, "bottom": 12}
            roi = roifile.ImagejRoi(roitype=kind, **box, name=kind.name, props="state: masked\n")
            archive.writestr(f"{kind.name}.roi", roi.tobytes())
    yield stream.getvalue()


# --- damage -----------------------------------------------------------------------------------------------------------


def damaged_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Change, cut, insert or delete bytes, in a TIFF also entries of its directory; a PNG gets right checksums."""
    data = bytearray(data)
    kind = rng.choice(["tag", "tag", "tag", "bytes", "bytes", "head", "cut", "cut", "insert", "delete", "number"])
    entries = _directory(data)
    if kind == "tag" and entries:
        for _ in range(rng.integers(1, 3)):
            _damage_tag(data, int(rng.choice(entries)), rng)
    elif kind == "cut":
        del data[int(rng.integers(0, len(data))) :]
    elif kind in ("insert", "delete"):
        at, count = int(rng.integers(0, len(data))), int(rng.integers(1, 20))
        data[at : at + (count if kind == "delete" else 0)] = b"" if kind == "delete" else rng.bytes(count)
    elif kind == "number":
        at = int(rng.integers(0, max(len(data) - 4, 1)))
        data[at : at + 4] = struct.pack(rng.choice(["<I", ">I"]), int(rng.choice(NUMBERS)))
    else:
        reach = min(len(data), 200) if kind == "head" else len(data)
        for at in rng.integers(0, reach, int(rng.integers(1, 9))):
            data[at] = int(rng.integers(0, 256))
    return _checked_png(bytes(data)) if data.startswith(b"\x89PNG") else bytes(data)


def _directory(data: bytearray) -> list[int]:
    """Offsets of the entries of a small TIFF's first directory."""
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return []
    order = "<" if data[:1] == b"I" else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    return [start + 2 + 12 * number for number in range(count)]


def _damage_tag(data: bytearray, at: int, rng: np.random.Generator) -> None:
    """Change code, type, count or value of a directory's entry."""
    order = "<" if data[:1] == b"I" else ">"
    what, number = rng.integers(0, 6), int(rng.choice(NUMBERS) if rng.random() < 0.6 else rng.integers(0, 2**32))
    if what == 0:
        struct.pack_into(f"{order}H", data, at, number % 65536)
    elif what == 1:
        struct.pack_into(f"{order}H", data, at + 2, int(rng.integers(0, 20)))
    elif what == 2:
        struct.pack_into(f"{order}I", data, at + 4, number)
    elif what == 3:
        struct.pack_into(f"{order}H", data, at + 8, number % 65536)
    else:
        struct.pack_into(f"{order}I", data, at + 8, number)


def _checked_png(data: bytes) -> bytes:
    """The same chunks with right checksums, so that readers do not stop at them."""
    found, at = data[:8], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        found += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return found + data[at:]


def damaged_json(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage the text's bytes, or give values other types, drop keys, and nest or shorten lists."""
    if rng.random() < 0.2:
        return damaged_bytes(data, rng)
    tree = {"": json.loads(data)}
    for _ in range(rng.integers(1, 4)):
        _damage_node(tree, rng)
    return json.dumps(tree[""]).encode()


def _damage_node(tree: dict, rng: np.random.Generator) -> None:
    places = list(_places(tree))
    parent, key = places[int(rng.integers(0, len(places)))]
    value, kind = parent[key], rng.integers(0, 10)
    if kind < 5:
        parent[key] = copy.deepcopy(VALUES[int(rng.integers(0, len(VALUES)))])
    elif kind == 5 and parent is not tree:
        del parent[key]
    elif kind == 6:
        parent[key] = [value]
    elif kind == 7 and isinstance(value, list) and value:
        parent[key] = value[0] if rng.random() < 0.5 else value[: int(rng.integers(0, len(value)))]
    elif kind == 8 and isinstance(value, int | float) and abs(value) < 1e300:
        parent[key] = [-value, value * 1e6, value + 0.5, str(value), int(value) + 1][int(rng.integers(0, 5))]
    else:
        other, name = places[int(rng.integers(0, len(places)))]
        parent[key] = copy.deepcopy(other[name])


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key or index) of a tree."""
    keys = node.keys() if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield node, key
        yield from _places(node[key])
