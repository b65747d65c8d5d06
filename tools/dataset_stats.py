"""Count and measure the particles of annotation files, and warn if a config's anchors or caps do not suit them.

python tools/dataset_stats.py data/own/annotations/train.json data/own/annotations/val.json
python tools/dataset_stats.py data/own/annotations/*.json --config configs/tio2/mask_rcnn_stage1.py --out stats.png

The images of an annotation file NAME.json are expected in ../images/NAME beside its folder.
"""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", metavar="ANN", type=Path, nargs="+", help="annotation files")
    parser.add_argument(
        "--config", default="configs/tio2/own_data.py", help="the config to check (default: %(default)s)"
    )
    parser.add_argument("--images", type=Path, help="folder of the images of all ANN (default: ../images/NAME)")
    parser.add_argument(
        "--out", type=Path, default=Path("work_dirs/dataset_stats.png"), help="the figure (default: %(default)s)"
    )
    return parser.parse_args(arguments)


def read_limits(path: str):
    """Read the anchors and caps of a config; ValueError if its file does not exist."""
    import numpy as np

    from semsize.detecting.scales import NATURAL_SCALE
    from tio2.engine.config import read_config_file
    from tio2.reporting.dataset_statistics import DetectorLimits

    config = read_config_file(path, import_custom_modules=False)
    model, generator = config.model, config.model.rpn_head.anchor_generator
    sides = np.outer(generator.base_sizes, generator.scales).ravel()
    stretch = np.sqrt(generator.ratios)  # a ratio is height to width
    anchors = np.stack([np.outer(sides, 1 / stretch).ravel(), np.outer(sides, stretch).ravel()], axis=1)
    strides = np.repeat(generator.strides, len(anchors) // len(generator.strides))
    scales = model.test_cfg.get("scales") or [1.0]
    scale = NATURAL_SCALE if scales == "auto" else max(scales)
    assigner, caps = model.train_cfg.rpn.assigner, model.test_cfg
    overlaps = assigner.min_pos_iou, assigner.pos_iou_thr
    return DetectorLimits(anchors, strides, scale, *overlaps, caps.rcnn.max_per_img, caps.rpn.max_per_img)


def main(arguments: list[str] | None = None) -> None:
    """Read annotations and images, print the table and warnings, draw the figure."""
    options = parse_arguments(arguments)
    from tqdm import tqdm

    from semsize.sem import SEMReadError, read_grey
    from semsize.sem.image_sets import default_image_folder
    from semsize.structures import AnnotationError, read_annotations
    from tio2.reporting import dataset_statistics as statistics

    with one_line_errors(AnnotationError, SEMReadError, ValueError, OSError):
        limits = read_limits(options.config)
        found = []
        for path in options.annotations:
            folder = options.images or default_image_folder(path)
            data = read_annotations(path)
            if not data["images"]:
                raise AnnotationError(f"{path}: lists no image; convert the data set again")
            with tqdm(total=len(data["images"]), desc=path.stem, unit="image", disable=None) as bar:

                def read(name: str, folder=folder, bar=bar):
                    bar.update()
                    return read_grey(folder / name)

                found.append(statistics.dataset_statistics(path.stem, data, read))
        print(statistics.statistics_table(found))
        for file in found:
            if not len(file.boxes_px):
                images = len(file.image_shapes)
                print(f"warning: {file.name}: NOT ONE PARTICLE in {images} images, {file.ignored} regions to ignore")
                continue
            print(statistics.good_anchors_line(file.name, file.boxes_px, limits))
            for line in statistics.detector_warnings(file, limits):
                print(f"warning: {line}")
        options.out.parent.mkdir(parents=True, exist_ok=True)
        statistics.draw_statistics(found, limits).savefig(options.out, dpi=100)
        print(f"written: {options.out}")


if __name__ == "__main__":
    main()
