"""Rendered SEM scenes with exact truth: bodies, agglomerates, image formation, data sets."""

from semsize.synthesis.dataset import (
    DatasetPlan,
    RenderedDatasetError,
    claim_folder,
    join_parts,
    missing_numbers,
    render_missing,
)
from semsize.synthesis.populations import Population
from semsize.synthesis.rendering import RenderedImage, RenderSettings, render_image

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
