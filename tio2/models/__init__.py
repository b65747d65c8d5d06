"""The detector's changed parts, registered with MMDetection: one override per class."""

from tio2.models.assigner import ChunkedMaxIoUAssigner
from tio2.models.dense_heads import DenseRoIHead, DenseRPNHead
from tio2.models.dense_mask_head import DenseFCNMaskHead
from tio2.models.dense_visualizer import DenseDetVisualizer
from tio2.models.detector import DenseMaskRCNN
from tio2.models.efficientnet_lite import EfficientNetLite
from tio2.models.mask_head import HighResFCNMaskHead
from tio2.models.mask_pasting import ProbabilityCrops, paste_probabilities, paste_rles
from tio2.models.roi_extractor import DenseRoIExtractor
from tio2.models.transfer_hook import TransferCheckHook
from tio2.models.weights import StateDifferences, TransferError, check_transfer, compare_state_dicts

__all__ = [
    "ChunkedMaxIoUAssigner",
    "DenseDetVisualizer",
    "DenseFCNMaskHead",
    "DenseMaskRCNN",
    "DenseRPNHead",
    "DenseRoIExtractor",
    "DenseRoIHead",
    "EfficientNetLite",
    "HighResFCNMaskHead",
    "ProbabilityCrops",
    "StateDifferences",
    "TransferCheckHook",
    "TransferError",
    "check_transfer",
    "compare_state_dicts",
    "paste_probabilities",
    "paste_rles",
]
