"""Draw samples of a config's training pipeline: images after all augmentation, with their annotations.

python tools/browse_dataset.py configs/tio2/own_data.py --num 12 --out work_dirs/own_data/browse

They are the first samples that a training with the config's seed sees, in the same order.
"""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors
from tio2.cli import quiet_imports, required_imports


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="configs/tio2/….py")
    parser.add_argument("--out", type=Path, help="folder (default: work_dirs/<config>/browse)")
    parser.add_argument("--num", type=int, default=12, help="number of samples (default: %(default)s)")
    parser.add_argument(
        "--cfg-options", nargs="+", metavar="KEY=VALUE", help="values that replace those of the config, as in train.py"
    )
    parser.set_defaults(launcher="none", work_dir=None)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Build the data set and draw its first samples."""
    options = parse_arguments(arguments)
    with required_imports():
        from mmdet.registry import DATASETS
        from mmdet.utils import register_all_modules

        from semsize.measuring.overlays import draw_annotations, write_png
        from semsize.sem import SEMReadError
        from tio2.engine import launch
    with one_line_errors(*launch.ONE_LINE_ERRORS, SEMReadError):
        config = launch.read_config(options)
        launch.require_data(config, "train")
        with quiet_imports():
            register_all_modules()
            dataset = DATASETS.build(config.train_dataloader.dataset)
            dataset.seed = config.randomness.seed
            dataset.full_init()
        out = options.out or Path(config.work_dir) / "browse"
        for number in range(options.num):
            sample = dataset[number]
            data = sample["data_samples"]
            masks, ignored = data.gt_instances.masks, data.ignored_instances.masks
            states = masks.fields.get("state", [None] * len(masks))
            picture = draw_annotations(
                sample["inputs"].permute(1, 2, 0).numpy(),
                masks.cropped,
                list(states),
                ignored_regions=ignored.cropped,
                caption=f"sample {number}: {Path(data.img_path).name}",
            )
            write_png(out / f"{number:04d}_{Path(data.img_path).stem}.png", picture)
    print(f"written: {options.num} pictures in {out}")


if __name__ == "__main__":
    main()
