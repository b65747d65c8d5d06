"""Loading, seeded sampling and masks for mmdet pipelines; importing this registers them."""

from tio2.datasets.loading import LoadParticleAnnotations, LoadSEMImage
from tio2.datasets.masks import InstanceCroppedMasks
from tio2.datasets.particles import ParticleDataset
from tio2.datasets.rescale import RandomRescale
from tio2.datasets.sampler import FixedLengthSampler
from tio2.datasets.seeded import SeededDataset

__all__ = [
    "FixedLengthSampler",
    "InstanceCroppedMasks",
    "LoadParticleAnnotations",
    "LoadSEMImage",
    "ParticleDataset",
    "RandomRescale",
    "SeededDataset",
]
