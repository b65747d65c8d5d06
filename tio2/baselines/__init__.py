"""What a laboratory does without a network: threshold, distance transform, watershed; made as good as it can be."""

from tio2.baselines.search import SearchError, SearchResult, read_search, run_search
from tio2.baselines.segmentation import Parameters, contrast_scores, segment
