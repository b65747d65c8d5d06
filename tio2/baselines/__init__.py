"""What a laboratory does without a network: threshold, distance transform, watershed; made as good as it can be."""

from tio2.baselines.running import SearchError, SearchResult, read_search, run_search
from tio2.baselines.search import Example, ScoredSet, search
from tio2.baselines.thresholds import THRESHOLDS
from tio2.baselines.watershed import Parameters, contrast_scores, segment

__all__ = [
    "THRESHOLDS",
    "Example",
    "Parameters",
    "ScoredSet",
    "SearchError",
    "SearchResult",
    "contrast_scores",
    "read_search",
    "run_search",
    "search",
    "segment",
]
