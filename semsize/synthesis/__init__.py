"""Rendered SEM scenes with exact truth: bodies, agglomerates, image formation, data sets."""

from semsize.synthesis.dataset import DatasetPlan, claim_folder, join_parts, render_dataset, render_missing
from semsize.synthesis.populations import Population
from semsize.synthesis.rendering import RenderedImage, RenderSettings, render_image
