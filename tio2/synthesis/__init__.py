"""Rendered SEM scenes with exact truth: bodies, agglomerates, image formation, data sets."""

from tio2.synthesis.dataset import (
    DatasetPlan,
    RenderedDatasetError,
    claim_folder,
    join_parts,
    missing_numbers,
    render_missing,
)
from tio2.synthesis.populations import Population
from tio2.synthesis.rendering import RenderedImage, RenderSettings, render_image

__all__ = [
    "DatasetPlan",
    "Population",
    "RenderSettings",
    "RenderedDatasetError",
    "RenderedImage",
    "claim_folder",
    "join_parts",
    "missing_numbers",
    "render_image",
    "render_missing",
]
