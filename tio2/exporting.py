"""A trained detector as a model archive: its graphs, and the card that says how `semsize` has to use them."""

from pathlib import Path

from mmengine.config import Config

from semsize.detecting.archive import DetectionSettings, ModelArchive, ModelCard, Normalisation, ProposalSettings
from semsize.metrology.bias_record import find_bias_file
from semsize.structures.files import file_sha256, read_json
from tio2.detector_source import resolved_sha256
from tio2.engine import ConfigError
from tio2.engine.config import detection_settings
from tio2.inference import Detector
from tio2.models.heads import DetectorTest, Proposals, RoITest, settings_of
from tio2.models.onnx_graphs import NotExportableError, export_graphs


def archive_of(config: Config, checkpoint: Path, licence: str) -> ModelArchive:
    """Export a detector.

    Raises:
        ConfigError: the config says what an archive cannot hold.
        CheckpointError: the weights cannot be loaded, or are not of this model.
    """
    detector = Detector(config, checkpoint)
    try:
        card = _card(detector, config, checkpoint, licence)
        return ModelArchive(card, export_graphs(detector.model))
    except NotExportableError as cause:
        raise ConfigError(f"{config.filename}: {cause}") from None


def _card(detector: Detector, config: Config, checkpoint: Path, licence: str) -> ModelCard:
    model = detector.model
    test, preprocessor = settings_of(DetectorTest, model.test_cfg), model.data_preprocessor
    rpn, rcnn = settings_of(Proposals, test.rpn), settings_of(RoITest, test.rcnn)
    if test.scales is None:
        raise NotExportableError("model.test_cfg.scales is not set: it looks at images through its pipeline")
    means, stds = (set(getattr(preprocessor, name).flatten().tolist()) for name in ("mean", "std"))
    if len(means) != 1 or len(stds) != 1:
        raise NotExportableError("model.data_preprocessor normalises its channels differently; they are one grey level")
    for name, suppression in (("rpn", rpn.nms), ("rcnn", rcnn.nms)):
        if suppression["type"] != "nms" or set(suppression) != {"type", "iou_threshold"}:
            raise NotExportableError(f"model.test_cfg.{name}.nms must be of type nms, with an iou_threshold alone")
    bias_file = find_bias_file(checkpoint)
    return ModelCard(
        licence=licence,
        weights_sha256=file_sha256(checkpoint),
        config_sha256=resolved_sha256(config),
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
