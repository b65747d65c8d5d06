"""Data sets, sampling, transforms and masks for mmdet pipelines; importing this registers them."""

from tio2.datasets.loading import LoadParticleAnnotations, LoadSEMImage, ParticleDataset
from tio2.datasets.masks import InstanceCroppedMasks
from tio2.datasets.outlines import CropOutlines, LoadOutlines, OutlineDataset, PackOutlineCrops, TurnCrops
from tio2.datasets.paste import PasteAgglomerates, PasteOnBackground
from tio2.datasets.sampling import FixedLengthSampler, SeededDataset
from tio2.datasets.transforms import (
    OneOrMoreOf,
    RandomRescale,
    RandomScaledCrop,
    RandomTranspose,
    SEMContrast,
    SEMGaussianBlur,
    SEMGaussianNoise,
    SEMInvert,
    SEMMultiply,
)
