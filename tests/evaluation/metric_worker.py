"""One of the two processes that test_metrics.py starts: python metric_worker.py RANK FOLDER.

Three perfectly detected images of 50 squares; each process also repeats the first, and the second process has it first:
cutting the gathered records off by position would lose an image.
"""

import json
import sys
from pathlib import Path

import torch.distributed
from data_samples import data_sample

from scenes import square_grid
from tio2.evaluation import DenseCocoMetric, ParticleMetric, PredictionWriter

IMAGES_OF_RANK = ((1, 3), (1, 2))


def main(rank: int, folder: Path) -> None:
    """Evaluates this process's images and writes the metrics that it got."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    metrics = {}
    truth = str(folder / "truth.json")
    evaluators = (DenseCocoMetric(truth), ParticleMetric(truth), PredictionWriter(str(folder / "predictions.json")))
    for metric in evaluators:
        for image_id in IMAGES_OF_RANK[rank]:
            metric.process(None, [data_sample(image_id, square_grid(50), [0.5] * 50)])
        metrics |= metric.evaluate(size=3)
    (folder / f"metrics{rank}.json").write_text(json.dumps(metrics))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
