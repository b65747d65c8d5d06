r"""Make a model's bias record, from which a measurement takes its correction, budget and warnings.

The record holds for the weights, the test settings (scales, thresholds, views) and the precision of the predictions,
as tools/test.py wrote them into the metrics.json beside these. Another use of the same weights gets a record of its
own in the same file.

python tools/validate.py --pair data/bam-tio2-sem/annotations/val.json work_dirs/light_nc/val/predictions.json \
    --images data/bam-tio2-sem/images/val --checkpoint checkpoints/light_nc.pth

Give one --pair for each set of images, real or rendered, and --images in the same order, for the contrast. Leave out
images that served to train the model or to choose its thresholds. Writes <checkpoint>.bias.json.

With --visibility CONFIG WEIGHTS (or an archive) the rendered sets also give the record of the visibility model behind
this detector: every second image fits its temperatures and intervals, the other images judge it. Writes
<WEIGHTS>.record.json. Scenes of another renderer (--other) only give the budget's line "renderer": the errors in
them of the completion of hidden parts and of the selection of fully imaged particles.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from semsize.cli import PAIRS, one_line_errors, score

if TYPE_CHECKING:
    from semsize.metrology import BiasRecord, ModelUse
    from semsize.metrology.bias import ComparedSet
    from semsize.visibility.record import VisibilityRecord


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", **PAIRS, help="truth, and predictions of tools/test.py in its images; repeatable")
    parser.add_argument(
        "--images", type=Path, action="append", default=[], help="folder of a pair's images (default: no contrast)"
    )
    parser.add_argument("--checkpoint", type=Path, help="the model's weights; the record is written beside them")
    parser.add_argument("--out", type=Path, help="file of the records (default: <checkpoint>.bias.json)")
    parser.add_argument("--min-score", type=score, help="lowest score that counts (default: 0.5, as in the paper)")
    parser.add_argument(
        "--visibility", nargs="+", type=Path, metavar="FILE", help="make this model's record too; needs --images"
    )
    triple = {"nargs": 3, "type": Path, "metavar": ("ANNOTATIONS", "PREDICTIONS", "IMAGES"), "default": []}
    other = "scenes of another renderer, with predictions of the same use; repeatable, needs --visibility"
    parser.add_argument("--other", action="append", **triple, help=other)
    arguments = parser.parse_args()
    if arguments.other and not arguments.visibility:
        parser.error("--other needs --visibility")
    if {annotations for annotations, *_ in arguments.other} & {annotations for annotations, _ in arguments.pair}:
        parser.error("--other takes scenes of another renderer, not the annotations of a --pair")
    if arguments.visibility and not (arguments.images and arguments.checkpoint):
        parser.error("--visibility needs --images and --checkpoint")
    if arguments.images and len(arguments.images) != len(arguments.pair):
        parser.error("give --images once for each --pair, or not at all")
    if not (arguments.checkpoint or arguments.out):
        parser.error("give --checkpoint, or --out for a method without a checkpoint")
    return arguments


def main() -> None:
    """Compare the sets, write the records and print their tables."""
    arguments = parse_arguments()
    import numpy as np

    from semsize.measuring.record_tables import bias_tables
    from semsize.metrology.bias import make_bias_record
    from semsize.metrology.bias_record import bias_path, find_bias_file, write_bias_records
    from semsize.metrology.matching import MIN_DICE, OPERATING_SCORE
    from semsize.sem import SEMReadError
    from semsize.structures import AnnotationError, PredictionError
    from semsize.visibility.record import record_path

    out = arguments.out or bias_path(arguments.checkpoint)
    file_before = arguments.out or find_bias_file(arguments.checkpoint)
    least_score = OPERATING_SCORE if arguments.min_score is None else arguments.min_score
    folders = arguments.images or [None] * len(arguments.pair)
    with one_line_errors(AnnotationError, PredictionError, SEMReadError, ValueError, OSError):
        predictions = [predictions for _, predictions, *_ in (*arguments.pair, *arguments.other)]
        model = _model_of(predictions, arguments.checkpoint)
        before = _records_before(file_before)
        sets = [_compared(*pair, folder, least_score) for pair, folder in zip(arguments.pair, folders, strict=True)]
        others = [_other_renderer(*other, least_score) for other in arguments.other]
        name = arguments.checkpoint.name if arguments.checkpoint else None
        rng = np.random.default_rng(0)
        record = make_bias_record(sets, name, model, min_score=least_score, min_dice=MIN_DICE, rng=rng)
        records = [*(former for former in before if not _same_use(former, record)), record]
        write_bias_records(out, records)
        tables = _visibility_record(arguments, sets, others, record) if arguments.visibility else None
    print(bias_tables(record))
    _say_what_is_left_out(sets, record)
    if model is not None:
        print(
            f"holds for {model.engine}, {model.precision}, weights {model.sha256[:8]}…, particles from score "
            f"{least_score:g}"
        )
    print(f"written: {out}, which holds {len(records)} bias records")
    if tables is not None:
        print(f"\n{tables}\nwritten: {record_path(arguments.visibility[-1])}")


def _visibility_record(
    arguments: argparse.Namespace, sets: "list[ComparedSet]", others: "list[ComparedSet]", bias: "BiasRecord"
) -> str:
    """Write the visibility model's record beside its weights, from the rendered sets and those of other renderers.

    Returns:
        The record's tables.

    Raises:
        ValueError: no set is rendered, or the rendered sets hold too few particles or images.
    """
    from dataclasses import replace

    from semsize.measuring.inputs import VisibilityRequest
    from semsize.measuring.predicted_states import find_visibility_model, predict_split
    from semsize.measuring.record_tables import visibility_tables
    from semsize.visibility.prediction import Calibration
    from semsize.visibility.prior import renderer_prior
    from semsize.visibility.record import write_visibility_records
    from semsize.visibility.validation import JUDGED, make_visibility_record, size_errors

    source, weights = find_visibility_model(VisibilityRequest.of(arguments.visibility)), arguments.visibility[-1]
    use, model, seen = source.as_record(), source.open(1, Calibration()), []
    for compared, (annotations, _), folder in zip(sets, arguments.pair, arguments.images, strict=True):
        if compared.kind == "rendered":
            seen += predict_split(compared.images, annotations, folder, model)
    record = make_visibility_record(
        seen,
        bias.residuals,
        checkpoint=weights.name,
        **{name: use[name] for name in ("sha256", "engine", "precision")},
        detector=bias.model,
        min_score=bias.min_score,
        sources=[source for source in bias.sources if source.kind == "rendered"],
    )
    if others:
        scenes = [
            predict_split(compared.images, annotations, folder, model)
            for compared, (annotations, _, folder) in zip(others, arguments.other, strict=True)
        ]
        sources = [compared.as_source() for compared in others]
        record = replace(record, prior=renderer_prior(record, scenes, bias.residuals, sources))

    def same(other: "VisibilityRecord") -> bool:
        return not other.differences(record.sha256, record.engine, record.precision, record.detector, record.min_score)

    former = next(filter(same, source.records), None)
    if former is not None and former.prior is not None and record.prior is None:
        print("dropped: the former record's comparison with another renderer; give --other again to have it anew")
    write_visibility_records(weights, [*(each for each in source.records if not same(each)), record])
    return visibility_tables(record, size_errors(seen[JUDGED], record.calibration(), by_true=True))


def _model_of(predictions: list[Path], checkpoint: Path | None) -> "ModelUse | None":
    """Return the use of the model that made all predictions; None if no model did and no checkpoint is given.

    Raises:
        BiasRecordError: a metrics.json is missing or of other predictions, or they differ in use or weights.
    """
    from semsize.metrology import BiasRecordError, ModelUse
    from semsize.structures.files import file_sha256

    uses = {}
    for file in predictions:
        if use := ModelUse.behind(file):
            uses[file] = use
        elif checkpoint is not None:
            raise BiasRecordError(
                f"{file}: no metrics.json beside it states its weights and settings; "
                "make the predictions again with tools/test.py"
            )
    for file, use in uses.items():
        first, other = next(iter(uses.items()))
        differences = use.differences(other)
        if differences:
            raise BiasRecordError(f"{file} was made with other settings than {first}: {'; '.join(differences)}")
        if checkpoint is not None and use.sha256 != file_sha256(checkpoint):
            raise BiasRecordError(f"{file} was made by other weights than {checkpoint}; run tools/test.py with these")
    if uses and len(uses) < len(predictions):
        raise BiasRecordError("some predictions were made by a network and some not; give predictions of one method")
    return next(iter(uses.values()), None)


def _records_before(path: Path | None) -> "tuple[BiasRecord, ...]":
    """Return the records in the file; none, with a message, if it is unreadable or states no use of the model."""
    from semsize.metrology import BiasRecordError
    from semsize.metrology.bias_record import read_bias_records

    if path is None or not path.is_file():
        return ()
    try:
        return read_bias_records(path)
    except BiasRecordError as cause:
        print(f"replaced: {cause}")
        return ()


def _same_use(record: "BiasRecord", other: "BiasRecord") -> bool:
    """Return whether two bias records hold for the same use of a model."""
    if record.model is None or other.model is None:
        return record.model is other.model
    return not record.differences(other.model, other.min_score)


def _say_what_is_left_out(sets: "list[ComparedSet]", record: "BiasRecord") -> None:
    images = [image for compared in sets for image in compared.images]
    stating = sum(any(state is not None for state in image.truth.states) for image in images)
    used = sum(group.images for group in record.occlusion)
    if used < stating:
        print(
            f"{stating - used} of {stating} images are not used for the effect of occlusion: an image needs 5 found "
            "and 5 fully imaged particles, and a second image of the same density to show how images differ"
        )


def _compared(annotations: Path, predictions: Path, folder: Path | None, min_score: float) -> "ComparedSet":
    """Match the images of a pair of files and measure their contrast (NaN without a folder of images)."""
    from semsize.metrology import compare_split
    from semsize.metrology.bias import ComparedSet
    from semsize.sem import particle_contrast, read_grey
    from semsize.structures import read_annotations, read_predictions

    truth = read_annotations(annotations)
    images = compare_split(truth, read_predictions(predictions), min_score=min_score)
    rendered = any(particle.get("visible_fraction") is not None for particle in truth["annotations"])
    contrast = [
        float("nan") if folder is None else particle_contrast(read_grey(folder / i.truth.file_name), i.found.masks)
        for i in images
    ]
    return ComparedSet(annotations.name, predictions.name, "rendered" if rendered else "annotated", images, contrast)


def _other_renderer(annotations: Path, predictions: Path, folder: Path, min_score: float) -> "ComparedSet":
    """Compare a set of another renderer's scenes, as `_compared` does.

    Raises:
        ValueError: the truth is not rendered, or the set holds fewer than two images.
    """
    compared = _compared(annotations, predictions, folder, min_score)
    if compared.kind != "rendered":
        raise ValueError(f"{annotations}: no particle has a visible fraction; --other takes rendered scenes")
    if len(compared.images) < 2:
        raise ValueError(f"{annotations}: one image cannot show how images differ; render more")
    return compared


if __name__ == "__main__":
    main()
