"""Rendered SEM scenes with exact truth: bodies, agglomerates, image formation, data sets."""

from semsize.synthesis.populations import Population
from semsize.synthesis.rendering import (
    DatasetPlan,
    RenderedImage,
    RenderSettings,
    claim_folder,
    render_dataset,
    render_image,
    render_missing,
)
