"""Which detector finds the outlines, and what is recorded of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from semsize.detecting.looking import Looking
from semsize.detecting.models import SHIPPED, ShippedModel
from semsize.measuring.engines import Standing, choose
from semsize.measuring.inputs import OPERATING_SCORE, DetectorRequest, InputError
from semsize.measuring.outlines import Frame, NoOutlinesError, OutlineSource
from semsize.metrology import BiasRecord, BiasRecordError, ModelUse
from semsize.metrology.bias_record import find_bias_file, read_bias_records
from semsize.structures.pixel_size import pixels_across

GROUP = "semsize.detectors"
"""Entry points of engines: functions from a `DetectorRequest` to a source and its bias records."""

ELSEWHERE = "measure outlines made elsewhere (--from-coco, --from-labels, --from-rois)"


def find_detector(
    request: DetectorRequest, score: float = OPERATING_SCORE
) -> tuple[OutlineSource, Sequence[BiasRecord]]:
    """The detector that is asked for, and the bias records of its model.

    The engine `auto` is chosen as `semsize.measuring.engines.choose` does, by the bias records for this use and score.

    Raises:
        InputError: there is none, or its files cannot be used.
    """

    def standing_of(answer: tuple[OutlineSource, Sequence[BiasRecord]]) -> Standing:
        source, records = answer
        record = source.as_record()
        if "model" not in record:
            return Standing(None)
        use = ModelUse(**record["model"])
        recorded = [(each.model.engine, each.model.precision) for each in records if each.model is not None]
        is_validated = any(not each.differences(use, score) for each in records)
        return Standing((use.engine, use.precision), is_validated, recorded)

    nothing = f"no detector is installed: install this package (pip install .), or {ELSEWHERE}"
    return choose(GROUP, request, standing_of, nothing=nothing, otherwise=ELSEWHERE)


def shipped_model(name: str | None) -> ShippedModel:
    """The model that ships under a name; None: the default.

    Raises:
        InputError: there is none.
    """
    name = name or next(iter(SHIPPED))
    if name not in SHIPPED:
        raise InputError(
            f"no model {name!r} ships with this repository (there is: {', '.join(SHIPPED)}); give a model's file, "
            ".semsize, or --config and --checkpoint, or train one: python tools/train.py configs/tio2/light_stage1.py"
        )
    return SHIPPED[name]


def bias_records_beside(model: Path) -> tuple[BiasRecord, ...]:
    """The bias records in the file beside a checkpoint or archive; their contents say what each holds for.

    Raises:
        InputError: the file is damaged, or older than the statement what records hold for.
    """
    path = find_bias_file(model)
    try:
        return () if path is None else read_bias_records(path)
    except BiasRecordError as cause:
        raise InputError(str(cause)) from None


def model_record(weights: Path, sha256: str, config_sha256: str, licence: str, device: str, use: dict) -> dict:
    """What a measurement records of a detector: its file with SHA-256, its licence and how it is used.

    `use` is what a bias record is bound to (`semsize.metrology.ModelUse`), in JSON's terms.
    """
    settings = use["settings"]
    return {
        "kind": "model",
        "path": str(weights),
        "sha256": sha256,
        "config_sha256": config_sha256,
        "licence": licence,
        "scales": settings.get("model.test_cfg.scales"),
        "diameter": settings["diameter"],
        "tile": settings["tile"],
        "device": device,
        "model": use,
    }


def looking_at(frame: Frame, scales: Looking, diameter: str | None, tile: tuple[int, int] | None) -> Looking:
    """How a frame is looked at.

    Args:
        frame: it.
        scales: at which scales.
        diameter: what most particles measure across, with its unit, to choose scales for.
        tile: size of tiles and their overlap, px; None: large images only.

    Raises:
        NoOutlinesError: the diameter is a length, and the frame's pixel size is not known.
    """
    try:
        diameter_px = None if diameter is None else pixels_across(diameter, frame.pixel_size)
    except ValueError as cause:
        raise NoOutlinesError(f"{frame.file.path}: --diameter: {cause}") from None
    return Looking(scales.scales, diameter_px, tile)
