"""Test a detector on a split and write tables, figures, overlays and predictions into the run's folder.

For a visibility model (configs/tio2/visibility_free.py) it writes tables of states, calibration and completions.

python tools/test.py configs/tio2/light_stage2.py
python tools/test.py configs/tio2/light_stage2.py work_dirs/light_stage2/epoch_12.pth --split test
python tools/test.py configs/tio2/light_nc.py checkpoints/light_nc.pth --data data/rendered --split test
python tools/test.py configs/tio2/light_nc.py light_nc.semsize     # a model archive, on ONNX Runtime
python tools/test.py configs/tio2/visibility_free.py checkpoints/visibility_free.pth --split test --calibrated
"""

import argparse
import os
from pathlib import Path

from semsize.cli import one_line_errors, score
from tio2.cli import add_run_arguments, required_imports


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="configs/tio2/….py")
    parser.add_argument("checkpoint", nargs="?", help="weights, or a model archive (default: the run's newest weights)")
    add_run_arguments(parser)
    parser.add_argument(
        "--split", choices=["train", "val", "test"], default="val", help="the images to test on (default: %(default)s)"
    )
    parser.add_argument("--data", metavar="ROOT", help="folder of another converted data set to test on")
    parser.add_argument(
        "--min-score", type=score, help="lowest score at which single particles count (default: 0.5, as in the paper)"
    )
    calibrated = "visibility model: apply the calibration of the record beside the weights, as a measurement does"
    parser.add_argument("--calibrated", action="store_true", help=calibrated)
    parser.add_argument(
        "--out", metavar="FILE.pkl", help="also write the data samples as a pickle, as MMDetection does"
    )
    parser.add_argument("--show-dir", metavar="DIR", help="folder of the overlays (default: overlays/ beside figures/)")
    return parser.parse_args()


def main() -> None:
    """Read the config, build the runner, test, and write the report on the first process."""
    arguments = parse_arguments()
    os.environ.setdefault("LOCAL_RANK", str(arguments.local_rank))
    with required_imports():
        from mmengine.dist import is_main_process

        from semsize.detecting.archive import ENDING
        from semsize.measuring.tables import results_table
        from semsize.metrology.matching import OPERATING_SCORE
        from semsize.structures.files import file_sha256
        from tio2.engine import find_checkpoint, launch, newest_checkpoint, precision_name
        from tio2.engine.config import is_detector, model_use
        from tio2.engine.testing import (
            look_with_archive,
            record_calibration,
            require_trained_boxes,
            select_split,
            split_files,
            split_folder,
            tested_record,
        )
        from tio2.evaluation import ParticleMetric, VisibilityMetric, nms_ceiling
        from tio2.reporting.report import write_report
        from tio2.reporting.visibility import write_visibility_report
    with one_line_errors(*launch.ONE_LINE_ERRORS):
        config = launch.read_config(arguments)
        folder = split_folder(config, arguments.split, arguments.data)
        if arguments.calibrated:
            folder = folder.with_name(f"{folder.name}-calibrated")
        min_score = OPERATING_SCORE if arguments.min_score is None else arguments.min_score
        select_split(config, arguments.split, folder, arguments.out, arguments.data, min_score)
        checkpoint = find_checkpoint(arguments.checkpoint or newest_checkpoint(config.work_dir))
        data = launch.require_data(config, "test")
        is_archive = checkpoint.suffix == ENDING
        if not is_archive:
            require_trained_boxes(config, checkpoint)
        config.load_from, config.resume = None if is_archive else str(checkpoint), False
        runner = launch.build_runner(config, launch.TestRunner)
        config.load_from = str(checkpoint)
        if is_archive:
            use = look_with_archive(runner, checkpoint)
        else:
            use = model_use(config, file_sha256(checkpoint), precision_name(runner.model))
        if arguments.calibrated:
            calibration = record_calibration(config, checkpoint, use)
            for metric in runner.test_evaluator.metrics:
                if isinstance(metric, VisibilityMetric):
                    metric.calibration = calibration
        launch.say_what_begins("testing", config, data, runner)
        metrics = runner.test()
        if not is_main_process():
            return
        folder.mkdir(parents=True, exist_ok=True)
        config.dump(folder / Path(config.filename).name)
        if not is_detector(config):
            outlines = config.test_dataloader.dataset.predictions
            record = tested_record(runner, metrics, checkpoint, use, folder.name, outlines and Path(outlines))
            record["calibrated"] = arguments.calibrated
            *_, metric = (each for each in runner.test_evaluator.metrics if isinstance(each, VisibilityMetric))
            report = write_visibility_report(folder, metric.judged, metric.sizes, record)
            print(f"{report.read_text(encoding='utf-8')}\nwritten: {report}, {folder}/metrics.json")
            return
        *_, particles = (metric for metric in runner.test_evaluator.metrics if isinstance(metric, ParticleMetric))
        metrics |= {f"particles/{name}": value for name, value in particles.all_metrics.items()}
        record = tested_record(runner, metrics, checkpoint, use, folder.name, folder / "predictions.json")
        record["counted_from_score"] = min_score
        print(results_table({Path(config.work_dir).name: record["metrics"]}))
        for iou in (0.3, 0.5):
            ceiling = nms_ceiling(particles.truth, iou)
            print(f"box NMS at {iou} would delete {ceiling.deleted} of the {ceiling.particles} true boxes")
        pictures, _ = split_files(config)
        overlays = arguments.show_dir or folder / "overlays"
        write_report(folder, particles.comparisons, record, pictures, min_score=min_score, overlays=overlays)
        print(f"written: {folder}/report.md, figures, particles.csv, metrics.json, predictions.json; {overlays}/*.png")


if __name__ == "__main__":
    main()
