"""Export of a trained model as an archive: its graphs, a card that tells `semsize` how to use them, and int8.

In int8 the 3 × 3 convolutions of a detector's FPN, RPN and mask head compute in 8-bit integers, with ranges calibrated
on images: they are three quarters of the arithmetic, and two to three times as fast in integers. All else stays
float32. Each output channel of a weight has its own scale and 7 bits: without VNNI, sums of products of 8 bits would
overflow, and results would depend on the processor.
"""

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from mmengine.config import Config
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from semsize.detecting.archive import (
    DetectionSettings,
    DetectorCard,
    ModelArchive,
    Normalisation,
    ProposalSettings,
    VisibilityCard,
)
from semsize.detecting.looking import look
from semsize.detecting.onnx import GIVES, OnnxEngine
from semsize.metrology.bias_record import find_bias_file
from semsize.structures.files import file_sha256, read_json
from semsize.visibility.crops import CHANNELS, CROP_PX
from tio2.detector_source import resolved_sha256
from tio2.engine import ConfigError
from tio2.engine.config import detection_settings
from tio2.inference import Detector
from tio2.models.heads import DetectorTest, Proposals, RoITest, settings_of
from tio2.models.onnx_graphs import NotExportableError, export_graphs, exported, halved
from tio2.models.visibility import AnswersGraph
from tio2.visibility_source import VisibilityWeights, is_visibility

QUANTISED = ("proposals", "masks")
"""The graphs whose convolutions are quantised."""

KERNEL = [3, 3]
LEAST_CHANNELS = 16
"""Kernel and least input channels per group of quantised convolutions: not the depthwise ones, nor the image's."""

Inputs = dict[str, np.ndarray]


def archive_of(config: Config, checkpoint: Path, licence: str) -> ModelArchive:
    """Export a detector or a visibility model.

    Raises:
        ConfigError: the config has settings that an archive cannot hold.
        CheckpointError: the weights cannot be loaded, or are not this detector's.
        InputError: the weights cannot be loaded, or are not this visibility model's.
    """
    if is_visibility(config):
        return _visibility_archive(config, checkpoint, licence)
    config_sha256 = resolved_sha256(config)  # first, because building a model changes the config
    detector = Detector(config, checkpoint)
    try:
        card = _card(detector, config, config_sha256, checkpoint, licence)
        return ModelArchive(card, export_graphs(detector.model))
    except NotExportableError as cause:
        raise ConfigError(f"{config.filename}: {cause}") from None


def _card(detector: Detector, config: Config, config_sha256: str, checkpoint: Path, licence: str) -> DetectorCard:
    model = detector.model
    test, preprocessor = settings_of(DetectorTest, model.test_cfg), model.data_preprocessor
    rpn, rcnn = settings_of(Proposals, test.rpn), settings_of(RoITest, test.rcnn)
    if test.scales is None:
        raise NotExportableError("model.test_cfg.scales is not set; set it, because an archive has no test pipeline")
    means, stds = (set(getattr(preprocessor, name).flatten().tolist()) for name in ("mean", "std"))
    if len(means) != 1 or len(stds) != 1:
        raise NotExportableError("model.data_preprocessor must normalise all channels with the same mean and std")
    for name, suppression in (("rpn", rpn.nms), ("rcnn", rcnn.nms)):
        if suppression["type"] != "nms" or set(suppression) != {"type", "iou_threshold"}:
            raise NotExportableError(f"model.test_cfg.{name}.nms must have type='nms' and iou_threshold only")
    bias_file = find_bias_file(checkpoint)
    return DetectorCard(
        licence=licence,
        weights_sha256=file_sha256(checkpoint),
        config_sha256=config_sha256,
        precision="float32",
        settings=detection_settings(config),
        bias_records={"records": []} if bias_file is None else read_json(bias_file, ConfigError),
        scales=None if test.scales == "auto" else tuple(map(float, test.scales)),
        flips=tuple(test.flips or ()),
        normalisation=Normalisation(means.pop(), stds.pop(), preprocessor.pad_size_divisor),
        proposals=ProposalSettings(
            rpn.nms_pre, rpn.max_per_img, rpn.nms["iou_threshold"], float(rpn.min_bbox_size), rpn.min_score
        ),
        detections=DetectionSettings(
            rcnn.score_thr,
            rcnn.nms["iou_threshold"],
            -1 if rcnn.max_per_img is None else rcnn.max_per_img,
            rcnn.mask_thr_binary,
            rcnn.refine_boxes,
            rcnn.mask_scores,
        ),
    )


def _visibility_archive(config: Config, checkpoint: Path, licence: str) -> ModelArchive[VisibilityCard]:
    net = VisibilityWeights(Path(config.filename), checkpoint).load()
    complete, masked = net.thresholds.tolist()
    card = VisibilityCard(licence, file_sha256(checkpoint), resolved_sha256(config), "float32", complete, masked)
    crops, outputs = torch.zeros(2, len(CHANNELS), CROP_PX, CROP_PX), GIVES["answers"]
    axes = {name: {0: "k"} for name in ("crops", *outputs)}
    return ModelArchive(card, {"answers": exported(AnswersGraph(net), {"crops": crops}, outputs, axes)})


def quantised(archive: ModelArchive, images: Sequence[np.ndarray]) -> ModelArchive:
    """Return a detector's archive with its 3 × 3 convolutions in int8.

    Args:
        archive: the detector in float32.
        images: (H, W) float32 grey levels of 0-255, on which the range of each activation is measured.

    Raises:
        ConfigError: the archive is a visibility model's.
    """
    if isinstance(archive.card, VisibilityCard):
        raise ConfigError("--int8 is for detectors; leave it out for a visibility model")
    engine = RecordingEngine(archive)
    for image in images:
        look(image, engine, engine.looking)
    graphs = {name: _quantised(archive.graphs[name], engine.inputs[name]) for name in QUANTISED}
    return ModelArchive(replace(archive.card, precision="int8"), {**archive.graphs, **graphs})


class RecordingEngine(OnnxEngine):
    """Engine that keeps in `inputs` the inputs of the graphs to quantise; for masks, only a view's first run."""

    def __init__(self, archive: ModelArchive):
        super().__init__(archive)
        self.inputs: dict[str, list[Inputs]] = {name: [] for name in QUANTISED}

    def _run(self, graph: str, **inputs: np.ndarray) -> list:
        kept = self.inputs.get(graph, [])
        maps = self._maps[0]
        if graph == "proposals" or not (kept and kept[-1].get(maps) is inputs.get(maps)):
            kept.append(inputs)
        return super()._run(graph, **inputs)


class _Reader(CalibrationDataReader):
    def __init__(self, inputs: Sequence[Inputs]):
        self.rows = iter(inputs)

    def get_next(self) -> Inputs | None:
        return next(self.rows, None)


def _quantised(graph: bytes, inputs: Sequence[Inputs]) -> bytes:
    model = widened(onnx.load_from_string(graph))
    shapes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    dense = [node for node in model.graph.node if node.op_type == "Conv" and _is_dense(shapes[node.input[1]])]
    outputs = {node.output[0] for node in dense}
    relus = [node for node in model.graph.node if node.op_type == "Relu" and node.input[0] in outputs]
    logging.disable(logging.WARNING)  # it advises a preparation that is meant for other models
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "quantised.onnx"
            quantize_static(
                model,
                file,
                _Reader(inputs),
                op_types_to_quantize=["Conv", "Relu"],
                nodes_to_quantize=[node.name for node in dense + relus],
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
            return halved(onnx.load(file)).SerializeToString()
    finally:
        logging.disable(logging.NOTSET)


def _is_dense(shape: list[int]) -> bool:
    return shape[2:] == KERNEL and shape[1] >= LEAST_CHANNELS


def widened(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace float16 weights and their casts by float32 weights, in place: the inverse of `halved`."""
    halves = {tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT16}
    for cast in [node for node in model.graph.node if node.op_type == "Cast" and node.input[0] in halves]:
        tensor = halves[cast.input[0]]
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), cast.output[0]))
        model.graph.node.remove(cast)
    return model
