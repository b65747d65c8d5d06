"""The right result of every case in ../shared/cases: each `Check` is a line of the table of tools/benchmarks/cases.py.

A picture's right result stands in `case.md` under "Right result": the discs from which its scene was drawn, or the
picture left out for a reason that names what is wrong.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

Disc = tuple[float, float, float]
"""(x, y, equivalent circular diameter), px; pixel centres at integers + 0.5."""
Scene = Callable[..., list[Disc]]


@dataclass(frozen=True)
class Check:
    r"""One sub-case: a command and its right result.

    Attributes:
        case: number of the case.
        name: name of the sub-case.
        command: program and arguments, from the case's folder; checks of one command share its run.
        out: folder of the results below ``out/``, given as --out; "" for programs without results.
        right: picture below ``in/`` to its discs; particles on any other picture are a fault. None: no picture is read.
        missing: how many discs of a picture may be missing (captions over particles, a detector that misses one).
        extra: how many particles besides the discs a picture may have.
        nm: picture to nanometres a pixel; None if the pixel size must stay unknown.
        refused: pattern of the message that may leave the pictures out instead; "": they must be read.
        said: pattern of a message that must appear in either case.
        tolerance: largest relative error of a pixel size.
    """

    case: str
    name: str
    command: str
    out: str = ""
    right: Mapping[str, Sequence[Disc]] | None = None
    missing: int = 0
    extra: int = 0
    nm: Mapping[str, float | None] = field(default_factory=dict)
    refused: str = ""
    said: str = ""
    tolerance: float = 1e-3


MEASURE, CONVERT = "measure.py", "dataset_converters/"
SIZE = "--pixel-size 7.344nm"


def checks(scene: Scene, stitched: Sequence[Disc]) -> Iterator[Check]:
    """All sub-cases.

    Args:
        scene: returns the discs of `common.scene`, with its arguments.
        stitched: the particles of case 13, which `common.scene` does not draw.
    """
    yield from _coco_cases(scene)
    yield from _label_cases(scene)
    yield from _name_cases(scene, stitched)
    yield from _pixel_size_cases()
    yield from _nested_cases(scene)
    yield from _detector_cases(scene)


def _coco(case: str, json: str, **result) -> Iterator[Check]:
    """One COCO file, read by the converter and by measure.py."""
    stem, images = json.removesuffix(".json"), result.pop("images", "in/images")
    pictures = result.pop("pictures", images)
    convert = f"{CONVERT}coco.py in/{json} --images {images} --val 0"
    yield Check(case, f"{stem}, converter", convert, f"converted-{stem}", **result)
    yield Check(
        case, f"{stem}, measure", f"{MEASURE} {pictures} --from-coco in/{json} {SIZE}", f"measured-{stem}", **result
    )


def _coco_cases(scene: Scene) -> Iterator[Check]:
    right = {f"images/heap_{k}.png": scene(seed=k) for k in range(3)}
    crowds, empty = r"(?<!\d)48\b.*crowd|crowd.*(?<!\d)48\b", "crowd|no particle|not one particle|without a particle"
    yield from _coco("01", "instances_default.json", right=right, refused=crowds)
    config = "configs/tio2/own_data.py"
    stats = f"dataset_stats.py in/instances_default.json --images in/images --config {config} --out out/stats.png"
    yield Check("01", "dataset_stats", stats, said=empty)
    train = (
        f"train.py {config} --work-dir out/train --cfg-options "
        "train_dataloader.dataset.dataset.data_root= "
        "train_dataloader.dataset.dataset.ann_file=in/instances_default.json "
        "train_dataloader.dataset.dataset.data_prefix.img=in/images/ val_dataloader.dataset.data_root= "
        "val_dataloader.dataset.ann_file=in/instances_default.json val_dataloader.dataset.data_prefix.img=in/images/ "
        "val_evaluator.ann_file=in/instances_default.json load_from=None "
        "train_cfg.max_epochs=1 train_dataloader.sampler.num_batches=2 train_dataloader.num_workers=0 "
        "train_dataloader.persistent_workers=False"
    )
    yield Check("01", "train", train, refused=empty)
    shared = r"\bids?\b.*20250116(?!_)|20250116(?!_).*\bids?\b"
    yield from _coco("02", "via_coco.json", refused=shared)
    twice = r"\b16\b.*(twice|double|duplicate|more than once|repeated|same|again)"
    yield from _coco("04", "via_coco.json", right={"images/a.png": scene(seed=40)}, said=twice)
    yield from _coco(
        "12",
        "result.json",
        right={
            f"images/{name}.png": scene(seed=120 + k)
            for k, name in enumerate(("12", "cb0618f6-a", "90fbb0c7-b", "scan 3"))
        },
    )


def _labels(case: str, folder: str, options: str = "", **result) -> Iterator[Check]:
    """One folder of label images, read by the converter and by measure.py."""
    pictures, out = result.pop("pictures", "in/images"), folder + options.split(" ")[0]
    images = result.pop("images", pictures)
    convert = f"{CONVERT}label_images.py --images {images} --labels in/{folder} --val 0 {options}"
    measure = f"{MEASURE} {pictures} --from-labels in/{folder} {SIZE} {options}"
    name = f"{folder} {options}".strip()
    yield Check(case, f"{name}, converter", convert, f"converted-{out}", **result)
    yield Check(case, f"{name}, measure", measure, f"measured-{out}", **result)


def _label_cases(scene: Scene) -> Iterator[Check]:
    def right(first: int, ending: str = "png", **more) -> dict:
        return {f"images/s{k}.{ending}": scene(seed=first + k, **more) for k in range(2)}

    drawn = right(50, radii=(16, 26), border=30)
    yield from _labels("05", "right", right=drawn)
    for folder, size in (("half", "256 [x×] 176"), ("double", "1024 [x×] 704")):
        yield from _labels("05", folder, refused=f"s0.png.*({size}.*512 [x×] 352|512 [x×] 352.*{size})")
    yield from _coco("05", "half_coco.json", refused="s0.png.*256 [x×] 176.*512 [x×] 352")
    for folder in ("lzw", "deflate"):
        yield from _labels("06", folder, right=right(60))
    yield from _labels("08", "masks", "--binary", right=right(80))
    for folder in ("masks", "inverted"):  # the converter may go on with a message; no D50 may result
        convert, measure = _labels("08", folder, refused="--binary")
        yield from (replace(convert, refused="", said="--binary"), measure)
    ground = r"ground|cover|invert|\b9\d(\.\d)? ?%"
    yield from _labels("08", "inverted", "--binary", right=right(80), extra=1, said=ground, refused=ground)
    yield from _labels("09", "one", right=right(90), extra=1, said=ground, refused=ground)
    yield from _labels("09", "minus", refused=r"-1\b|negative|below 0|whole numbers from 0")
    cellpose = right(280, "tif")
    yield from _labels("28", "masks", "--suffix _cp_masks", right=cellpose)
    yield from _labels("28", "masks", right=cellpose, refused="s0_cp_masks")
    beside = {name.replace("images", "mixed"): discs for name, discs in cellpose.items()}
    yield from _labels("28", "mixed", "--suffix _masks", right=beside, pictures="in/mixed/s?.tif", images="in/mixed")


def _name_cases(scene: Scene, stitched: Sequence[Disc]) -> Iterator[Check]:
    sample_b = {"sampleB/001.png": scene(seed=101, count=9), "sampleB/002.png": scene(seed=102, count=13)}
    beside = {"sampleA/001.png": scene(seed=100, count=5), **sample_b}
    for folder, right in (("beside", beside), ("parent", sample_b)):
        right = {f"{folder}/{name}": discs for name, discs in right.items()}
        yield Check("10", folder, f"{CONVERT}labelme.py in/{folder} --val 0", folder, right=right)

    scan, options = {"images/scan.tif": stitched}, f"{SIZE} --min-size 1"
    yield Check("13", "there", f"{MEASURE} in/images --from-labels in/labels --rois {options}", "there", right=scan)
    yield Check("13", "and back", f"{MEASURE} in/images --from-rois out/there/rois {options}", "back", right=scan)

    picture = {"images/A.png": scene(seed=260)}
    twice = "more than once|twice|several|two |both|A.zip.*A.roi|A.roi.*A.zip|double|ids 1, 51"
    for kind, said in (("rois", twice), ("doubled", "")):
        command = f"{CONVERT}imagej_rois.py in/{kind} --images in/images --val 0"
        yield Check("26", f"{kind}, converter", command, f"converted-{kind}", picture, said=said, refused=twice)
        command = f"{MEASURE} in/images --from-rois in/{kind} {SIZE}"
        yield Check("26", f"{kind}, measure", command, f"measured-{kind}", picture, said=said, refused=twice)
    yield from _coco("26", "two_ids.json", right=picture, missing=4, said=twice, refused=twice)

    samples = {"A/001.tif": scene(seed=270, count=8), "B/001.tif": scene(seed=271, count=14)}
    scans = {f"scans/{name}": discs for name, discs in samples.items()}
    scans3 = {f"scans3/{name}": discs for name, discs in samples.items()}
    scans3["scans3/001.tif"] = scene(seed=275, count=5)
    only_a = {"scans/A/001.tif": samples["A/001.tif"]}
    for part, folder, right in (("a", "scans", scans), ("b", "scans3", scans3)):
        yield Check("27", f"{part} there", f"{MEASURE} in/{folder} --rois {SIZE}", part, right=right)
        command = f"{MEASURE} in/{folder} --from-rois out/{part}/rois {SIZE}"
        yield Check("27", f"{part} and back", command, f"{part}-back", right=right)
    for number, source in enumerate(
        ("coco in/all_samples.json", "rois out/a/rois", "labels in/labels", "coco out/a/predictions.json")
    ):
        command = f"{MEASURE} in/scans/A --from-{source} {SIZE}"
        yield Check("27", f"c {source}", command, f"c{number}", right=only_a)
    yield Check("27", "d measure", f"{MEASURE} in/scans --from-labels in/labels {SIZE}", "d", right=scans)
    command = f"{CONVERT}label_images.py --images in/scans --labels in/labels --val 0"
    yield Check("27", "d converter", command, "d-converted", right=scans)
    for name in ("all_samples", "dotted", "absolute"):
        yield from _coco("27", f"{name}.json", right=scans, images="in/scans")


def _pixel_size_cases() -> Iterator[Check]:
    lengths = ["micron", "microns", "micrometer", "micrometers", "micrometres", "Micron", "um", "UM", "\\u00B5m"]
    lengths += ["\\u03BCm", "nm", "NM", "nanometers", "nanometres", "Nanometer", "mm", "millimeter", "m", "meter"]
    units = {f"u{k:02d}": unit for k, unit in enumerate([*lengths, "cm", "A", "Å", "-", "1/nm", " nm "])}
    units |= {"mu-latin1": "µm, Latin-1", "mu-twice": "Âµm"}
    command = f"{MEASURE} in/images --from-labels in/labels"
    for stem, unit in units.items():
        name = f"images/{stem}.tif"
        if unit in ("cm", "-"):  # these state no size, as the documentation says
            yield Check("15", f"{stem} {unit}", command, "all", nm={name: None}, refused=f"{stem}.tif.*{unit}")
        elif unit == "1/nm":
            yield Check("15", f"{stem} {unit}", command, "all", nm={name: None}, refused=f"{stem}.tif.*1/nm")
        else:
            refused = f"{stem}.tif.*Â" if unit == "Âµm" else ""
            yield Check("15", f"{stem} {unit}", command, "all", nm={name: 7.344}, refused=refused)

    bar = 1000 / 136.5  # truncated, not rounded (microscopes.md, 2): 136 px stand for 136 to 137
    for name, nm, refused in (
        ("capital", bar, ""),
        ("small", bar, ""),
        ("micro", bar, ""),
        ("sjis", bar, "sjis.*m"),
        ("float", bar, r"float.*(136\.2|SM_MICRON_BAR)"),
        ("comma", bar / 2, "comma.*0 ?,5"),
    ):
        picture = {f"images/{name}.Tif": nm}
        yield Check("16", name, command, "all", nm=picture, refused=refused, tolerance=2.5e-3)

    for name in ("jem", "preview"):
        of_image = f"{MEASURE} in/images/{name}.tif --from-labels in/labels {SIZE}"
        yield Check("17", name, of_image, name, refused=f"{name}.tif.*(pages|stack)")

    for name in ("utf16", "renamed", "utf16be", "bom8"):
        yield Check("22", name, command, "all", nm={f"images/{name}.tif": 7.344})
    yield Check("22", "empty", command, "all", nm={"images/empty.tif": None}, said="empty.t(if|xt)")
    yield Check("22", "comma", command, "all", nm={"images/comma.tif": 7.344}, refused="comma.*7,344")


def _nested_cases(scene: Scene) -> Iterator[Check]:
    left_out = r"left out.*(form|corner|coordinates|nest|polygon)"
    pairs = ("pairs", "pairs_in_list", "pairs_in_list_odd")
    for form in ("flat", "bare", *pairs, "too_deep", "ring_and_hole", "contour"):
        hole = 0.3 if form == "ring_and_hole" else 0.0  # diameter, as a share of the particle's
        discs = [(x, y, ecd * (1 - hole**2) ** 0.5) for x, y, ecd in scene(seed=190)]
        right = {f"images/{form}.png": discs}
        refused = "" if form == "flat" else left_out
        yield from _coco("19", f"{form}.json", right=right, refused=refused, pictures=f"in/images/{form}.png")


def _detector_cases(scene: Scene) -> Iterator[Check]:
    bright = {"bright/a.tif": scene(seed=210, count=24)}
    yield Check("21", "bright", f"{MEASURE} in/bright {SIZE}", "bright", bright, missing=2)
    yield Check("21", "dark", f"{MEASURE} in/dark {SIZE}", "dark", said=r"contrast.*-1\d\d|dark")
    discs = scene(seed=240, rows=480, columns=640, count=24)
    for name in ("fei_line", "fei_noline", "greyish", "gradient", "top", "burnt"):
        shifted = [(x, y + 40, ecd) for x, y, ecd in discs] if name == "top" else discs
        yield Check("24", name, f"{MEASURE} in/images {SIZE}", "all", {f"images/{name}.tif": shifted}, missing=2)
