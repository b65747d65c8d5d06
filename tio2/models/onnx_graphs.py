"""A detector as four ONNX graphs: grey levels to proposals, RoIs to boxes and to masks, non-maximum suppression.

`semsize.detecting.onnx` names their inputs and outputs and runs them; the second and third read the first's feature
maps. Image sizes, numbers of boxes and thresholds are inputs, not constants; all arithmetic is float32.
"""

import copy
import io
import warnings
from typing import Any

import numpy as np
import onnx
import torch
from mmcv.ops import nms, roi_align
from mmdet.models.detectors import MaskRCNN
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from onnx import numpy_helper
from torch import Tensor, nn
from torch.autograd import Function

from tio2.models.cpu.efficientnet_lite import EfficientNetLite, LiteBlock, padded

OPSET = 17
HALVED_FROM = 256
"""Tensors of at least this many values are stored in half precision; smaller ones (norms, offsets) in float32."""


class NotExportableError(ValueError):
    """A detector that cannot be expressed as these graphs."""


def export_graphs(detector: MaskRCNN) -> dict[str, bytes]:
    """Return the graphs `proposals`, `boxes`, `masks` and `suppression` of a detector, as bytes of ONNX files.

    Raises:
        NotExportableError: the detector has several classes, or other settings of RoIAlign than MMDetection's usual.
    """
    head = detector.roi_head.bbox_head
    if head.num_classes != 1:
        raise NotExportableError(f"the detector has {head.num_classes} classes; it must have one to be exported")
    for extractor in (detector.roi_head.bbox_roi_extractor, detector.roi_head.mask_roi_extractor):
        layer = extractor.roi_layers[0]
        if (layer.sampling_ratio, layer.pool_mode, layer.aligned) != (0, "avg", True):
            raise NotExportableError("to be exported RoIAlign needs aligned=True, pool_mode='avg', sampling_ratio=0")
    detector = copy.deepcopy(detector).cpu().float().eval()
    if isinstance(detector.backbone, EfficientNetLite):
        detector.backbone = PlainLite(detector.backbone)
    image, frame = torch.zeros(1, 3, 128, 160), torch.tensor([128.0, 160.0])
    limit, share = torch.tensor([500]), torch.tensor([0.5])
    levels = len(detector.roi_head.bbox_roi_extractor.featmap_strides)
    maps = [f"map{level}" for level in range(levels)]
    map_axes = {name: {2: f"h{name}", 3: f"w{name}"} for name in maps}
    rois = torch.tensor([[4.0, 4.0, 40.0, 44.0], [8.0, 8.0, 150.0, 120.0], [1.0, 2.0, 9.0, 9.0]])
    with torch.no_grad():
        features = ProposalGraph(detector)(image, frame, limit, limit, share, share, share)[2:]
        boxes, scores = rois, torch.tensor([0.9, 0.8, 0.7])
        return {
            "proposals": exported(
                ProposalGraph(detector),
                {"image": image, "frame": frame, "before": limit, "after": limit}
                | {"min_score": share, "min_size": share, "iou": share},
                ["boxes", "scores", *maps],
                {"image": {2: "height", 3: "width"}, "boxes": {0: "n"}, "scores": {0: "n"}, **map_axes},
            ),
            "boxes": exported(
                BoxGraph(detector),
                {"rois": rois, "frame": frame, **dict(zip(maps, features, strict=True))},
                ["boxes", "scores"],
                {"rois": {0: "n"}, "boxes": {0: "n"}, "scores": {0: "n"}, **map_axes},
            ),
            "masks": exported(
                MaskGraph(detector),
                {"rois": rois, **dict(zip(maps, features, strict=True))},
                ["logits"],
                {"rois": {0: "n"}, "logits": {0: "n"}, **map_axes},
            ),
            "suppression": exported(
                SuppressionGraph(),
                {"boxes": boxes, "scores": scores, "min_score": share, "iou": share},
                ["kept"],
                {"boxes": {0: "n"}, "scores": {0: "n"}, "kept": {0: "k"}},
            ),
        }


class PlainLite(nn.Module):
    """EfficientNet-Lite of plain convolutions, norms and ReLU6; zeros in the kernels make its padding symmetric."""

    def __init__(self, backbone: EfficientNetLite):
        super().__init__()
        self.stem = _plain(backbone.stem.conv, backbone.stem.bn, nn.ReLU6())
        self.stages = nn.ModuleList(nn.Sequential(*map(PlainBlock, stage)) for stage in backbone.stages)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute the features that `EfficientNetLite` returns."""
        features, x = [], self.stem(images)
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return tuple(features)


class PlainBlock(nn.Module):
    """A `LiteBlock` of plain layers."""

    def __init__(self, block: LiteBlock):
        super().__init__()
        layers = [_plain(block._depthwise_conv, block._bn1, nn.ReLU6()), _plain(block._project_conv, block._bn2)]
        if block._block_args.expand_ratio != 1:
            layers.insert(0, _plain(block._expand_conv, block._bn0, nn.ReLU6()))
        self.layers, self.adds = nn.Sequential(*layers), block.adds

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H / stride, W / stride)."""
        return self.layers(x) + x if self.adds else self.layers(x)


def _plain(convolution: nn.Conv2d, norm: nn.BatchNorm2d, *activation: nn.Module) -> nn.Sequential:
    _, weight, padding = padded(convolution, None, convolution.weight, trains=False)
    outputs, inputs = weight.shape[0], weight.shape[1] * convolution.groups
    kernel, stride, groups = tuple(weight.shape[2:]), convolution.stride, convolution.groups
    plain = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    plain.weight = nn.Parameter(weight.detach().clone())
    return nn.Sequential(plain, norm, *activation)


class ProposalGraph(nn.Module):
    """From an image to proposals after non-maximum suppression, best first, and to the RoI heads' feature maps."""

    def __init__(self, detector: MaskRCNN):
        super().__init__()
        self.detector = detector
        self.maps = len(detector.roi_head.bbox_roi_extractor.featmap_strides)

    def forward(
        self,
        image: Tensor,
        frame: Tensor,
        before: Tensor,
        after: Tensor,
        min_score: Tensor,
        min_size: Tensor,
        iou: Tensor,
    ) -> tuple[Tensor, ...]:
        """`before`, `after`: most boxes per level before suppression, and in all after it; limits have shape (1,)."""
        backbone, head = self.detector.backbone, self.detector.rpn_head
        features = self.detector.neck(backbone(image))
        boxes, scores = [], []
        for level, x in enumerate(features):
            objectness, deltas = head.forward_single(x)
            objectness = objectness[0].permute(1, 2, 0).reshape(-1).sigmoid()
            deltas = deltas[0].permute(1, 2, 0).reshape(-1, 4)
            anchors = head.prior_generator.single_level_grid_priors(x.shape[-2:], level, device=x.device)
            best, chosen = _TopK.apply(objectness, before)
            decoded = _clipped(head.bbox_coder.decode(anchors[chosen], deltas[chosen]), frame)
            is_large = ((decoded[:, 2:] - decoded[:, :2]) > min_size).all(dim=1)
            kept = _Suppression.apply(decoded, torch.where(is_large, best, -1.0), min_score, iou)
            boxes.append(decoded[kept])
            scores.append(best[kept])
        best, chosen = _TopK.apply(torch.cat(scores), after)
        return torch.cat(boxes)[chosen], best, *features[: self.maps]


class BoxGraph(nn.Module):
    """From RoIs (N, 4) to the boxes (N, 4) and scores (N,) of the box branch."""

    def __init__(self, detector: MaskRCNN):
        super().__init__()
        self.head, self.extractor = detector.roi_head.bbox_head, detector.roi_head.bbox_roi_extractor

    def forward(self, rois: Tensor, frame: Tensor, *maps: Tensor) -> tuple[Tensor, Tensor]:
        """`frame`: (2,) height and width to which boxes are clipped."""
        features, back = roi_features(self.extractor, maps, rois)
        logits, deltas = self.head(features)
        boxes = self.head.bbox_coder.decode(rois, deltas[back])
        return _clipped(boxes, frame), logits[back].softmax(dim=1)[:, 0]


class MaskGraph(nn.Module):
    """From boxes (N, 4) to the logits (N, S, S) of their masks."""

    def __init__(self, detector: MaskRCNN):
        super().__init__()
        self.head, self.extractor = detector.roi_head.mask_head, detector.roi_head.mask_roi_extractor

    def forward(self, rois: Tensor, *maps: Tensor) -> Tensor:
        """Compute the mask head's output for each box."""
        features, back = roi_features(self.extractor, maps, rois)
        return self.head(features)[:, 0][back]


class SuppressionGraph(nn.Module):
    """Non-maximum suppression: from boxes and scores to the indices of the boxes that are kept, best first."""

    def forward(self, boxes: Tensor, scores: Tensor, min_score: Tensor, iou: Tensor) -> Tensor:
        """Suppress boxes (N, 4) with scores (N,); boxes at or below `min_score` are dropped."""
        return _Suppression.apply(boxes, scores, min_score, iou)


def roi_features(extractor: SingleRoIExtractor, maps: tuple[Tensor, ...], rois: Tensor) -> tuple[Tensor, Tensor]:
    """Return the features of RoIs (N, 4), ordered by feature map, and the position of each RoI in that order."""
    with_image = torch.cat([torch.zeros_like(rois[:, :1]), rois], dim=1)
    levels = extractor.map_roi_levels(with_image, len(maps))
    parts, order = [], []
    for level, (x, layer) in enumerate(zip(maps, extractor.roi_layers, strict=True)):
        chosen = (levels == level).nonzero()[:, 0]
        parts.append(_RoIAlign.apply(x, rois[chosen], layer.output_size[0], layer.spatial_scale))
        order.append(chosen)
    return torch.cat(parts), torch.cat(order).argsort()


def _clipped(boxes: Tensor, frame: Tensor) -> Tensor:
    return torch.minimum(boxes.clamp(min=0), torch.stack([frame[1], frame[0], frame[1], frame[0]]))


class _TopK(Function):
    @staticmethod
    def forward(_: Any, scores: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        return scores.topk(min(int(count), len(scores)))

    @staticmethod
    def symbolic(g: Any, scores: Any, count: Any) -> Any:
        least = g.op("Min", count, g.op("Shape", scores))
        return g.op("TopK", scores, least, axis_i=0, outputs=2)


class _Suppression(Function):
    @staticmethod
    def forward(_: Any, boxes: Tensor, scores: Tensor, min_score: Tensor, iou: Tensor) -> Tensor:
        chosen = (scores > min_score).nonzero()[:, 0]
        return chosen[nms(boxes[chosen], scores[chosen], float(iou))[1]]

    @staticmethod
    def symbolic(g: Any, boxes: Any, scores: Any, min_score: Any, iou: Any) -> Any:
        first = g.op("Constant", value_t=torch.tensor([0]))
        most = g.op("Shape", scores)
        boxes, scores = g.op("Unsqueeze", boxes, first), g.op("Unsqueeze", g.op("Unsqueeze", scores, first), first)
        kept = g.op("NonMaxSuppression", boxes, scores, most, iou, min_score)  # (K, 3): image, class, box
        two = g.op("Constant", value_t=torch.tensor(2))
        return g.op("Gather", kept, two, axis_i=1)


class _RoIAlign(Function):
    @staticmethod
    def forward(_: Any, x: Tensor, rois: Tensor, size: int, scale: float) -> Tensor:
        with_image = torch.cat([torch.zeros_like(rois[:, :1]), rois], dim=1)
        return roi_align(x, with_image, (size, size), scale, 0, "avg", True)

    @staticmethod
    def symbolic(g: Any, x: Any, rois: Any, size: int, scale: float) -> Any:
        begin, end = (g.op("Constant", value_t=torch.tensor([value])) for value in (0, 1))
        count = g.op("Slice", g.op("Shape", rois), begin, end)
        images = g.op("ConstantOfShape", count, value_t=torch.tensor([0]))
        return g.op(
            "RoiAlign", x, rois, images, output_height_i=size, output_width_i=size, sampling_ratio_i=0,
            spatial_scale_f=scale, mode_s="avg", coordinate_transformation_mode_s="half_pixel",
        )  # fmt: skip


def exported(module: nn.Module, inputs: dict[str, Tensor], outputs: list[str], axes: dict[str, dict]) -> bytes:
    """Return a module as bytes of an ONNX file, with large weights stored in half precision (`halved`)."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns of values that it takes for constants, and they are
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            file,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
            training=torch.onnx.TrainingMode.PRESERVE,  # else norms are folded into weights, which halving then rounds
        )
    model = halved(onnx.load_from_string(file.getvalue()))
    onnx.checker.check_model(model)
    return model.SerializeToString()


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store a model's large float32 weights as float16, in place, with casts to float32 at the graph's start."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < HALVED_FROM:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
