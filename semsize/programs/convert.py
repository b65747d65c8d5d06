"""Programs that convert annotations: each reads its command line, converts, writes, and prints what it did."""

import argparse
import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2

from semsize.cli import one_line_errors
from semsize.exchange.coco import read_coco
from semsize.exchange.conversion import MEANINGS, convert_images
from semsize.exchange.imagej_rois import read_imagej, roi_zip
from semsize.exchange.label_images import label_image, read_label_images
from semsize.exchange.labelme import labelme_file, read_labelme
from semsize.exchange.source import Account, ExchangeError, SourceImage
from semsize.exchange.via import read_via, via_project
from semsize.exchange.which_picture import ImageFolder
from semsize.exchange.writing import (
    ACCOUNT_FILE,
    FolderExistsError,
    conversion_notes,
    empty_split_warnings,
    new_folder,
    split_by_lists,
    split_by_share,
    split_table,
    write_dataset,
)
from semsize.structures import AnnotationError, CroppedMasks, by_image, read_annotations
from semsize.structures.files import write_json

ONE_LINE_ERRORS = (ExchangeError, FolderExistsError, AnnotationError, OSError)

_PLACES_PRINTED = 5


def _parser(program: Callable) -> argparse.ArgumentParser:
    description = inspect.cleandoc(program.__doc__)
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def coco(arguments: list[str] | None = None) -> None:
    """Convert a COCO JSON of any tool (polygons, RLE, crowds) to the project's annotations.

    python tools/dataset_converters/coco.py instances.json --images sem/ --out data/own

    Categories become labels: --label bead=complete gives a label its meaning, --label scalebar=drop leaves it out.
    """
    parser = _parser(coco)
    add = parser.add_argument
    add("annotations", type=Path, metavar="JSON", help="the COCO file")
    add("--images", type=Path, help="folder of the images (default: that of JSON)")
    key = "key of an annotation, or of its attributes, with the state (default: %(default)s)"
    add("--key", default="state", help=key)
    crowds = "treat annotations marked as crowds (iscrowd) as particles, for tools that mark every mask as a crowd"
    add("--crowds-as-particles", action="store_true", help=crowds)
    options = _parse(parser, arguments)
    with one_line_errors(*ONE_LINE_ERRORS):
        account, file = Account(), options.annotations
        images = ImageFolder(options.images or file.parent, leave_out=[options.out])
        taken = options.crowds_as_particles
        found = read_coco(file, images, account, label_key=options.key, crowds_as_particles=taken)
        _convert(options, found, account, f"COCO's {file}")


def label_images(arguments: list[str] | None = None) -> None:
    """Convert label images (one value per particle, 0 background; 8, 16 or 32 bits) to the project's annotations.

    python tools/dataset_converters/label_images.py --images emps/images --labels emps/segmaps --out data/emps

    Images and label images are paired by name; images are copied unchanged.
    """
    parser = _parser(label_images)
    add = parser.add_argument
    add("--images", type=Path, required=True, help="folder of the images")
    add("--labels", type=Path, required=True, help="folder of the label images")
    add("--suffix", default="", help="end of the label images' names, such as _mask (default: the usual ones)")
    add("--binary", action="store_true", help="label images are masks: their connected pieces are particles")
    options = _parse(parser, arguments)
    with one_line_errors(*ONE_LINE_ERRORS):
        account = Account()
        apart = [options.out] if options.labels == options.images else [options.out, options.labels]
        images, labels = ImageFolder(options.images, apart), ImageFolder(options.labels, [options.out])
        found = read_label_images(images, labels, account, suffix=options.suffix, binary=options.binary)
        _convert(options, found, account, f"label images in {options.labels}")


def labelme(arguments: list[str] | None = None) -> None:
    """Convert LabelMe's annotations to the project's.

    python tools/dataset_converters/labelme.py sem/ --out data/own

    Reads every JSON file below the folder: polygons, rectangles, circles, masks; shapes of the same group_id are one
    particle.
    """
    parser = _parser(labelme)
    parser.add_argument("annotations", type=Path, metavar="FOLDER", help="folder of the JSON files")
    parser.add_argument("--images", type=Path, help="folder of the images (default: FOLDER)")
    options = _parse(parser, arguments)
    with one_line_errors(*ONE_LINE_ERRORS):
        account = Account()
        images = ImageFolder(options.images or options.annotations, leave_out=[options.out])
        found = read_labelme(options.annotations, images, account)
        _convert(options, found, account, f"LabelMe's files in {options.annotations}")


def via(arguments: list[str] | None = None) -> None:
    """Convert annotations of the VGG Image Annotator (VIA 1 and 2) to the project's annotations.

    python tools/dataset_converters/via.py project.json --images sem/ --out data/own

    Reads a project file, or its annotations exported as JSON: polygons, polylines (closed), circles, ellipses,
    rectangles.
    """
    parser = _parser(via)
    add = parser.add_argument
    add("annotations", type=Path, metavar="JSON", help="VIA's project, or its exported annotations")
    add("--images", type=Path, help="folder of the images (default: that of JSON)")
    attribute = "region attribute that holds the state or class (default: %(default)s)"
    add("--attribute", default="state", help=attribute)
    add("--group", metavar="ATTRIBUTE", help="region attribute that the parts of one particle share")
    options = _parse(parser, arguments)
    with one_line_errors(*ONE_LINE_ERRORS):
        account = Account()
        images = ImageFolder(options.images or options.annotations.parent, leave_out=[options.out])
        found = read_via(options.annotations, images, account, label_attribute=options.attribute, group=options.group)
        _convert(options, found, account, f"VIA's {options.annotations}")


def imagej_rois(arguments: list[str] | None = None) -> None:
    """Convert ImageJ's ROIs (beside each image a .zip of the ROI manager) to the project's annotations.

    python tools/dataset_converters/imagej_rois.py sem/ --out data/own

    A.zip, A.roi, A_RoiSet.zip and RoiSet_A.zip belong to A.tif. Lines and points have no area and are left out.
    """
    parser = _parser(imagej_rois)
    parser.add_argument("rois", type=Path, metavar="FOLDER", help="folder of the ROI files")
    parser.add_argument("--images", type=Path, help="folder of the images (default: FOLDER)")
    options = _parse(parser, arguments)
    with one_line_errors(*ONE_LINE_ERRORS):
        account = Account()
        images = ImageFolder(options.images or options.rois, leave_out=[options.out])
        _convert(options, read_imagej(options.rois, images, account), account, f"ImageJ's ROIs in {options.rois}")


def _parse(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """Add the options that all converters share, and parse the command line."""
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder; gets images/<split>, annotations/<split>.json")
    val, test = "share of the images for validation (default: 0.2; 0 with --test 1)", "share for testing; 1: all"
    add("--val", type=float, metavar="SHARE", help=val)
    add("--test", type=float, default=0.0, metavar="SHARE", help=f"{test} (default: %(default)s)")
    add("--seed", type=int, default=0, help="seed of the split (default: %(default)s)")
    add("--val-list", type=Path, metavar="FILE", help="names of the images for validation, one per line")
    add("--test-list", type=Path, metavar="FILE", help="names of the images for testing; all others train")
    size = "nanometres per pixel of all images (default: from the files)"
    add("--pixel-size", type=float, metavar="NM", help=size)
    label = f"meaning of a label: {', '.join(MEANINGS)}; may be repeated (names of states need no entry)"
    add("--label", action="append", default=[], metavar="NAME=MEANING", help=label)
    specks = "smaller particles are specks, written with iscrowd 1 and in no metric (default: %(default)s)"
    add("--min-area", type=int, default=1, metavar="PX", help=specks)
    add("--keep-empty", action="store_true", help="keep images without a particle, as background")
    return parser.parse_args(arguments)


def _convert(options: argparse.Namespace, images: Iterable[SourceImage], account: Account, source: str) -> None:
    """Convert, split, write, and print what happened; OUT/conversion.txt gets the full account."""
    if options.pixel_size is not None and not options.pixel_size > 0:
        raise ExchangeError(f"--pixel-size must be above 0, not {options.pixel_size:g}")
    annotated: list[str] = []  # names of all images with annotations, also of images left out for a fault

    def noted() -> Iterator[SourceImage]:
        for image in images:
            if image.particles or image.trouble is not None:
                annotated.append(image.name)
            yield image

    converted, strange_labels = convert_images(
        noted(),
        account,
        pixel_size_nm=options.pixel_size,
        meanings=_meanings(options.label),
        min_area_px=options.min_area,
        keep_empty=options.keep_empty,
    )
    if not any(image.particle_count for image in converted):
        print("\n".join(account.lines(_PLACES_PRINTED)))
        if not converted:
            raise ExchangeError(f"{source}: no image with particles is left to write; the lines above say why")
        ignored = sum(len(image.particles) for image in converted)
        found = f"not one particle in {len(converted)} images, but {ignored} regions to ignore"
        raise ExchangeError(f"{source}: {found}; the lines above say why")
    split = _split(options, [image.name for image in converted], annotated)
    lines = [
        split_table(converted, split),
        *empty_split_warnings(converted, split),
        *conversion_notes(converted, strange_labels),
    ]
    if "train" not in split.values():
        lines.append("no image is left to train on: a set to validate or test a model on")
    full = "\n".join([f"converted from {source}", *lines, *account.lines()])
    write_dataset(options.out, converted, split, source, f"{full}\n")
    print("\n".join([*lines, *account.lines(_PLACES_PRINTED)]))
    print(f"written: {options.out}/images/<split>, annotations/<split>.json, {ACCOUNT_FILE} (every name)")


def _meanings(entries: list[str]) -> dict[str, str]:
    """Read the meanings of labels from words NAME=MEANING."""
    meanings = {}
    for entry in entries:
        name, _, meaning = entry.rpartition("=")
        if not name or meaning not in MEANINGS:
            raise ExchangeError(f"--label {entry}: give NAME=MEANING, the meaning one of {', '.join(MEANINGS)}")
        meanings[name] = meaning
    return meanings


def _split(options: argparse.Namespace, names: list[str], annotated: list[str]) -> dict[str, str]:
    """Return image name to split, by lists if any is given, else by shares.

    Shares are drawn from all annotated images, so that leaving out an image for a fault, or repairing it, does not move
    others between training and validation. If a split would become empty, they are drawn from the remaining images.
    """
    lists = {"val": options.val_list, "test": options.test_list}
    lists = {part: path for part, path in lists.items() if path is not None}
    if lists:
        return split_by_lists(names, lists)
    val = options.val if options.val is not None else 0.2 if options.test < 1 else 0.0
    among_left = split_by_share(names, val, options.test, options.seed)
    among_all = split_by_share({*names, *annotated}, val, options.test, options.seed)
    split = {name: among_all[name] for name in names}
    return split if set(split.values()) == set(among_left.values()) else among_left


def export(arguments: list[str] | None = None) -> None:
    """Write annotations in the format of an annotation tool, to view and correct there, and convert back.

    python tools/dataset_converters/export.py data/own/annotations/train.json --format via --out train-via
    python tools/dataset_converters/via.py train-via/via.json --images data/own/images/train --group particle --out new

    via: one via.json; for each image labelme: a JSON, imagej: a zip of ROIs, label_images: a 16-bit PNG.
    VIA and LabelMe have no holes: a slit opens each hole. Where particles overlap, a label image shows the later one.
    """
    parser = _parser(export)
    parser.add_argument("annotations", type=Path, metavar="ANN", help="the project's annotation file")
    parser.add_argument("--format", choices=["via", "labelme", "imagej", "label_images"], required=True)
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    options = parser.parse_args(arguments)
    with one_line_errors(AnnotationError, FolderExistsError, OSError):
        data = read_annotations(options.annotations)
        particles = by_image(data["annotations"])
        images = []
        for record in data["images"]:
            whole = particles[record["id"]]
            rles = [particle["segmentation"] for particle in whole]
            masks = CroppedMasks.from_rles(rles, (record["height"], record["width"]))
            states = ["ignore" if particle["iscrowd"] else particle["state"] for particle in whole]
            images.append((record, masks, states))
        with new_folder(options.out, is_ours=lambda _: False) as folder:
            _write_export(folder, options.format, images)
    print(f"written: {sum(map(len, particles.values()))} particles of {len(images)} images in {options.out}")


def _write_export(folder: Path, form: str, images: list) -> None:
    """Write (image record, masks, states) of every image into `folder`."""
    if form == "via":
        write_json(folder / "via.json", via_project(images))
        return
    for record, masks, states in images:
        stem = Path(record["file_name"]).stem
        if form == "labelme":
            write_json(folder / f"{stem}.json", labelme_file(record, masks, states))
        elif form == "imagej":
            roi_zip(folder / f"{stem}.zip", masks, states)
        else:
            (folder / f"{stem}.png").write_bytes(cv2.imencode(".png", label_image(masks))[1])
