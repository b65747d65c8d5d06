"""Loading, seeded sampling and masks for mmdet pipelines; importing this registers them."""

from tio2.datasets.agglomerate_paste import AgglomeratePaste
from tio2.datasets.loading import LoadParticleAnnotations, LoadSEMImage
from tio2.datasets.masks import InstanceCroppedMasks
from tio2.datasets.particles import ParticleDataset
from tio2.datasets.rescale import RandomRescale, RandomScaledCrop
from tio2.datasets.sampler import FixedLengthSampler
from tio2.datasets.seeded import SeededDataset
from tio2.datasets.sem_transforms import OneOrMoreOf, SEMContrast, SEMGaussianBlur, SEMGaussianNoise, SEMMultiply
from tio2.datasets.transposition import RandomTranspose

__all__ = [
    "AgglomeratePaste",
    "FixedLengthSampler",
    "InstanceCroppedMasks",
    "LoadParticleAnnotations",
    "LoadSEMImage",
    "OneOrMoreOf",
    "ParticleDataset",
    "RandomRescale",
    "RandomScaledCrop",
    "RandomTranspose",
    "SEMContrast",
    "SEMGaussianBlur",
    "SEMGaussianNoise",
    "SEMMultiply",
    "SeededDataset",
]
