"""How well methods without a network complete hidden parts, on exact visible outlines with known whole outlines.

python tools/benchmarks/completion.py data/rendered-short/annotations/test.json
python tools/benchmarks/completion.py data/rendered-short/annotations/*.json
python tools/benchmarks/completion.py data/covered-bam/annotations/test.json

Particles are rendered, or real ones over which tools/cover_particles.py laid others. Images stand in
images/<split> beside annotations/<split>.json. Particles that the frame cuts, and specks, are left out.
The row "truth through its crop" is the true whole outline cut to where a part may hide: it shows what that rule costs.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from semsize.cli import one_line_errors
from semsize.measuring.tables import markdown_table
from semsize.sem import SEMReadError
from semsize.sem.image_sets import outlined_images
from semsize.structures import AnnotationError, CroppedMasks
from semsize.structures.states import visibility_class
from semsize.visibility.completion import (
    VISIBLE_FRACTION_EDGES,
    CompletionScores,
    CompletionSummary,
    by_fraction,
    completion_scores,
    hull_completion,
    summary,
)
from semsize.visibility.crops import mask_crops, whole_outlines, windows

METHODS: dict[str, Callable[[CroppedMasks, CroppedMasks, np.ndarray], CroppedMasks]] = {
    "visible outline": lambda visible, _, __: visible,
    "convex hull, where a part may hide": lambda visible, _, grey: hull_completion(visible, grey),
    "truth through its crop": lambda visible, whole, grey: whole_outlines(
        visible, mask_crops(whole, windows(visible)), grey
    ),
}
"""Name to the completion of an image's visible outlines; the last uses the truth: the best that a visibility model,
which completes crops, could reach."""
HEADER = ("particles", "IoU", "hidden part's IoU", "ECD error, %", "its sd, %")


def scored_images(path: Path) -> dict[str, dict[str, CompletionScores]]:
    """Scores of the particles of an annotation file by configuration, then by method."""
    scores = defaultdict(lambda: defaultdict(list))
    for image, grey, visible, particles in tqdm(outlined_images(path), unit="image", disable=None, leave=False):
        rles = [particle.get("amodal_segmentation", particle["segmentation"]) for particle in particles]
        whole = CroppedMasks.from_rles(rles, visible.image_shape)
        chosen = [
            number
            for number, particle in enumerate(particles)
            if "amodal_segmentation" in particle and not (particle["truncated"] or particle["iscrowd"])
        ]
        for name, complete in METHODS.items():
            completed = complete(visible, whole, grey)  # all particles, since those left out hide others
            sets = (masks[chosen] for masks in (visible, completed, visible, whole))
            scores[image["configuration"] or "unknown"][name].append(completion_scores(*sets))
    if not any(len(part) for of in scores.values() for parts in of.values() for part in parts):
        raise AnnotationError(f"{path}: no particle has a whole outline; give rendered or covered ones")
    return {kind: {name: CompletionScores.cat(parts) for name, parts in of.items()} for kind, of in scores.items()}


def is_masked(scores: CompletionScores) -> np.ndarray:
    """(N,) bool: by the truth partly hidden, with enough visible to be measured."""
    return np.array([visibility_class(fraction) == "masked" for fraction in scores.true_fraction.tolist()], bool)


def cells(found: CompletionSummary) -> list[float]:
    """A summary as cells of a table; IoU without unit, errors in %."""
    return [found.count, found.iou, found.hidden_iou, found.ecd_error_percent, found.ecd_error_std_percent]


def fraction_rows(scores: dict[str, CompletionScores], key: str) -> list[list]:
    """A row for each method and each class of true or predicted fraction that has particles."""
    ends = (*VISIBLE_FRACTION_EDGES[1:], 1.0)
    rows = []
    for name, of_method in scores.items():
        summaries = by_fraction(of_method, getattr(of_method, key))
        classes = zip(VISIBLE_FRACTION_EDGES, ends, summaries, strict=True)
        rows += [[name, f"{low:g} to {high:g}", *cells(found)] for low, high, found in classes if found.count]
    return rows


def main() -> None:
    """Complete the outlines, compare them with the truth and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path, nargs="+", help="annotation files")
    arguments = parser.parse_args()
    by_configuration = defaultdict(lambda: defaultdict(list))
    with one_line_errors(AnnotationError, SEMReadError):
        for path in arguments.annotations:
            for kind, of_kind in scored_images(path).items():
                for name, scores in of_kind.items():
                    by_configuration[kind][name].append(scores)
    every = {name: [part for of in by_configuration.values() for part in of[name]] for name in METHODS}
    scores = {name: CompletionScores.cat(parts) for name, parts in every.items()}
    print("Masked particles (0.4 to 0.98 visible)\n")
    print(markdown_table(["completion", *HEADER], [[n, *cells(summary(s[is_masked(s)]))] for n, s in scores.items()]))
    for key in ("true_fraction", "predicted_fraction"):
        print(f"By {key.replace('_', ' ')}, each class includes its lower end\n")
        print(markdown_table(["completion", "visible", *HEADER], fraction_rows(scores, key)))
    print("Masked particles by configuration\n")
    rows = []
    for kind, of_kind in sorted(by_configuration.items()):
        joined = {name: CompletionScores.cat(parts) for name, parts in of_kind.items()}
        rows += [[kind, name, *cells(summary(s[is_masked(s)]))] for name, s in joined.items()]
    print(markdown_table(["configuration", "completion", *HEADER], rows))


if __name__ == "__main__":
    main()
