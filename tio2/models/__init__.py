"""Register the detector parts that differ from MMDetection's, and the visibility model; `cpu`: parts for CPUs."""

from tio2.models.cpu.assigner import ChunkedMaxIoUAssigner
from tio2.models.cpu.efficientnet_lite import EfficientNetLite
from tio2.models.cpu.roi_align import DenseRoIExtractor
from tio2.models.detector import DenseMaskRCNN
from tio2.models.heads import DenseRoIHead, DenseRPNHead
from tio2.models.mask_head import DenseFCNMaskHead, HighResFCNMaskHead
from tio2.models.results import DenseDetVisualizer
from tio2.models.visibility import VisibilityNet
