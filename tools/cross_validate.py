"""Cross-validate a config on its training images: weights that never saw an image judge it; results are pooled.

python tools/cross_validate.py configs/tio2/light_stage1.py
python tools/cross_validate.py configs/tio2/light_stage2.py        # each fold starts from the same fold of stage 1
python tools/compare.py work_dirs/light_stage2 work_dirs/light_mask28 --split cv --baseline work_dirs/light_stage2

Started again with the same arguments, it goes on where it stopped. docs/training.md lists the files that it writes.
"""

import argparse
from pathlib import Path

from semsize.cli import one_line_errors
from tio2.cli import add_config_arguments, required_imports


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="configs/tio2/….py")
    add_config_arguments(parser)
    parser.add_argument("--folds", type=int, default=4, help="number of folds (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the division into folds (default: %(default)s)")
    parser.add_argument("--load-from", metavar="CHECKPOINT", help="weights that every fold starts from")
    parser.add_argument("--prepare", action="store_true", help="only write the folds' annotation files and configs")
    return parser.parse_args()


def main() -> None:
    """Divide the images, train and test each fold, pool the results and write them."""
    arguments = parse_arguments()
    with required_imports():
        from semsize.measuring.tables import results_table
        from semsize.metrology import compare_split, particle_metrics
        from semsize.structures import read_annotations, write_predictions
        from tio2.agglomerates import LibraryError
        from tio2.engine import launch
        from tio2.engine.config import annotation_file, divided_set, is_detector
        from tio2.engine.cross_validation import prepare_folds
        from tio2.engine.folds import judged_samples, pooled_predictions, pooled_record, test_fold, train_fold
        from tio2.evaluation import VisibilityMetric, coco_metrics, table1_metrics
        from tio2.reporting.report import write_report
        from tio2.reporting.visibility import write_visibility_report
    with one_line_errors(*launch.ONE_LINE_ERRORS, LibraryError):
        config = launch.read_config(arguments)
        config.load_from = arguments.load_from or config.load_from
        data = launch.require_data(config, "train")
        launch.say_what_begins(f"cross-validating in {arguments.folds} folds", config, data)
        folds = prepare_folds(config, arguments.folds, arguments.seed)
        folder, programs = Path(config.work_dir) / "cv", Path(__file__).parent
        if arguments.prepare:
            print(f"written: {folder}/fold_*/train.json, val.json, {Path(config.filename).name}")
            return
        for fold in folds:
            print(f"fold {fold.number} of {len(folds)}: {len(fold.kept_back)} images kept back, {fold.run}")
            train_fold(fold, programs)
            if is_detector(config):
                test_fold(fold, programs)
        if not is_detector(config):
            for outlines in ("found", "annotated"):
                metric = VisibilityMetric()
                for samples in judged_samples(folds, programs, outlines):
                    metric.process(None, samples)
                metrics = {
                    f"visibility/{name}": value for name, value in metric.compute_metrics(metric.results).items()
                }
                record = pooled_record(config, folds, metrics) | {"split": f"cv, outlines as {outlines}"}
                report = write_visibility_report(folder / outlines, metric.judged, metric.sizes, record)
                print(f"{report.read_text(encoding='utf-8')}\nwritten: {report}, {report.parent}/metrics.json")
            return
        divided = divided_set(config)
        truth, predictions = read_annotations(annotation_file(divided)), pooled_predictions(folds)
        write_predictions(folder / "predictions.json", predictions)
        precisions = coco_metrics(truth, predictions) | table1_metrics(truth, predictions)
        metrics = {f"coco/{name}": value for name, value in precisions.items()}
        compared = compare_split(truth, predictions)
        metrics |= {f"particles/{name}": value for name, value in particle_metrics(compared).items()}
        record = pooled_record(config, folds, metrics)
        print(results_table({f"{Path(config.work_dir).name} (cv)": record["metrics"]}))
        curve = write_report(folder, compared, record, Path(divided.data_root) / divided.data_prefix["img"])
        print(f"score threshold suggested: {curve.suggested:g} (tools/test.py --min-score; see {folder}/report.md)")
        print(f"written: {folder}/report.md, figures, overlays, particles.csv, metrics.json, predictions.json")


if __name__ == "__main__":
    main()
