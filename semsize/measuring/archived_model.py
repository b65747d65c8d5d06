"""A model archive as a source of outlines: the engine `onnx`, which needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from semsize.detecting.archive import ENDING, ArchiveError, DetectorCard, ModelCard, read_archive, write_archive
from semsize.detecting.looking import Looking, look, outline_in_box, outline_rules
from semsize.detecting.models import ShippedModel
from semsize.detecting.onnx import ENGINE, OnnxEngine, OnnxGraphs, require_runtime
from semsize.measuring.engines import NotForEngineError, bias_records_beside, looking_at, model_record, shipped_model
from semsize.measuring.inputs import OPERATING_SCORE, DetectorRequest, InputError, VisibilityRequest
from semsize.measuring.outlines import FillBox, Find, Frame, Outlines
from semsize.metrology import BiasRecord, BiasRecordError, ModelUse
from semsize.metrology.bias_record import bias_records_from_json, nearest_record
from semsize.structures.files import file_sha256, in_json
from semsize.structures.masks import Placed
from semsize.structures.parts import usable_cores

Graphs = TypeVar("Graphs", bound=OnnxGraphs)

MOST_SHIPPED_BYTES = 20 * 2**20
"""Largest file of an archive that ships."""


@dataclass(frozen=True)
class ArchivedModel:
    """A model archive and how it is used (`OutlineSource`).

    Attributes:
        path: the archive's file.
        sha256: SHA-256 of that file.
        card: the archive's card, with the requested scales in place of its own.
        diameter: diameter of most particles, with its unit, from which scales are chosen.
        tile: side and overlap of tiles, px; None: only large images are tiled.
        batch_size: how many tiles of an image the engine gets at once.
    """

    path: Path
    sha256: str
    card: DetectorCard
    diameter: str | None = None
    tile: tuple[int, int] | None = None
    batch_size: int = 1

    def open(self, processes: int) -> Find:
        """Load the graphs, for this process's share of the cores.

        Raises:
            InputError: the file cannot be used.
        """
        engine = loaded(self.path, DetectorCard, OnnxEngine, processes)
        scales = Looking(self.card.scales)

        def find(frame: Frame) -> Outlines:
            looking = looking_at(frame, scales, self.diameter, self.tile)
            try:
                return Outlines.of_look(look(frame.grey, engine, looking, self.batch_size))
            except ArchiveError as cause:
                raise InputError(f"{self.path}: {cause}") from None

        return find

    def open_boxes(self) -> FillBox:
        """Load the graphs to draw outlines in boxes (`BoxSource`); raises as `open`."""
        engine = loaded(self.path, DetectorCard, OnnxEngine, processes=1)

        def fill(grey: np.ndarray, box: Sequence[float]) -> Placed:
            try:
                return outline_in_box(grey, box, engine.draw)
            except ArchiveError as cause:
                raise InputError(f"{self.path}: {cause}") from None

        return fill

    @property
    def use(self) -> ModelUse:
        """The model and how it is used."""
        card, scales = self.card, "auto" if self.card.scales is None else list(self.card.scales)
        used = {
            "tile": None if self.tile is None else list(self.tile),
            "diameter": self.diameter,
            "model.test_cfg.scales": scales,
            **outline_rules(scales),
        }
        return ModelUse(card.weights_sha256, ENGINE, card.precision, {**card.settings, **used})

    def as_record(self) -> dict:
        """The model's entry in the record of a measurement, see `model_record`."""
        return model_record(self.path, self.sha256, self.card.config_sha256, self.card.licence, "cpu", self.use)


def open_detector(request: DetectorRequest) -> tuple[ArchivedModel, Sequence[BiasRecord]]:
    """Open the named archive, or that of a shipped model: the entry point `onnx` of `semsize.detectors`.

    The bias records are those in the archive and those in the file beside it.

    Raises:
        ImportError: ONNX Runtime is not installed.
        NotForEngineError: the requested model has no archive, or is to run on a GPU.
        InputError: the archive or a bias record cannot be used.
    """
    is_given = request.model is not None and request.model.endswith(ENDING)
    path = archive_for(
        request,
        Path(request.model) if is_given else None,
        lambda: shipped_model(request.model),
        option="--model",
        instead="--config and --checkpoint",
    )
    try:
        card, origin = read_archive(path).card, f"{path}, model.json"
        records = (*bias_records_from_json(card.bias_records, origin), *bias_records_beside(path))
    except (ArchiveError, BiasRecordError) as cause:
        raise InputError(str(cause)) from None
    if request.scales is not None or request.diameter is not None:
        chosen = request.scales if isinstance(request.scales, tuple) else None
        card = replace(card, scales=chosen)
    return ArchivedModel(path, file_sha256(path), card, request.diameter, request.tile, request.batch_size), records


def publish_archive(source: Path, target: Path) -> BiasRecord:
    """Write an archive for shipping: the graphs of the source, and the bias records from the file beside the target.

    Returns:
        The bias record that holds for the archive with its own settings.

    Raises:
        ArchiveError: ONNX Runtime cannot load the source, or the source is too large to ship.
        ImportError: ONNX Runtime is not installed.
        InputError: no record beside the target holds for the archive.
    """
    archive = read_archive(source)
    OnnxEngine(archive)
    if (size := source.stat().st_size) > MOST_SHIPPED_BYTES:
        raise ArchiveError(f"{source}: {size / 2**20:.1f} MiB; at most {MOST_SHIPPED_BYTES // 2**20} MiB ship")
    use = ArchivedModel(source, file_sha256(source), archive.card).use
    records = bias_records_beside(target)
    record = nearest_record(records, use, OPERATING_SCORE)
    differences = ("that file has none",) if record is None else record.differences(use, OPERATING_SCORE)
    if record is None or differences:
        raise InputError(
            f"{source}: no bias record beside {target} holds for this archive ({'; '.join(differences)}); test the "
            "model with tools/test.py and make a record with tools/validate.py"
        )
    write_archive(target, replace(archive, card=replace(archive.card, bias_records={"records": in_json(records)})))
    return record


def archive_for(
    request: DetectorRequest | VisibilityRequest,
    given: Path | None,
    shipped: Callable[[], ShippedModel],
    *,
    option: str,
    instead: str,
) -> Path:
    """Return the file of the requested archive.

    Args:
        request: the requested model.
        given: the archive that the request names, None if it names none.
        shipped: returns the shipped model to use if `given` is None.
        option: option of the command line that names an archive, for messages.
        instead: options that name a model for torch, for messages.

    Raises:
        ImportError: ONNX Runtime is not installed.
        NotForEngineError: the requested model has no archive, or is to run on a GPU.
        InputError: the named archive does not exist.
    """
    require_runtime()
    if request.device != "cpu":
        raise NotForEngineError(f"the engine {ENGINE} computes on a CPU, not on --device {request.device}")
    if request.config is not None:
        raise NotForEngineError(
            f"the engine {ENGINE} takes a model archive, not {instead}; make one with tools/export_onnx.py and give it "
            f"as {option} FILE{ENDING}"
        )
    if given is not None:
        if not given.is_file():
            raise InputError(f"model {given} does not exist; check {option}")
        return given
    path = shipped().archive
    if not path.is_file():
        raise NotForEngineError(
            f"the engine {ENGINE} has no archive {path}; make it with tools/export_onnx.py, or give another as "
            f"{option} FILE{ENDING}"
        )
    return path


def loaded(path: Path, kind: type[ModelCard], graphs: type[Graphs], processes: int) -> Graphs:
    """Load the graphs of an archive; with several processes on a machine each takes its share of the cores.

    Raises:
        InputError: the file cannot be used.
    """
    try:
        return graphs(read_archive(path, kind), max(1, usable_cores() // processes))
    except ArchiveError as cause:
        raise InputError(str(cause)) from None
