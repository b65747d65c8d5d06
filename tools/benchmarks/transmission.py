"""Compare completed outlines with transmission pictures, which show the silhouette of all bodies, also hidden ones.

python tools/benchmarks/transmission.py bam-tio2-tsem.zip --annotations data/bam-tio2-sem/annotations/*.json
python tools/benchmarks/transmission.py bam-tio2-tsem.zip --annotations data/bam-tio2-sem/annotations/val.json \
    --predictions work_dirs/light_free/bam-tio2-sem-val/predictions.json \
    --visibility configs/tio2/visibility_free.py work_dirs/visibility_free/epoch_10.pth

Images stand in images/<split> beside annotations/<split>.json. Each picture is moved by whole pixels to where its
silhouette fits the annotated masks best. Only completed pixels beyond all outlines are judged, since those under
another outline lie in the silhouette anyway. The rim around the outlines shows how many pixels would lie outside the
silhouette if completions were drawn at random beside outlines.
"""

import argparse
import re
import zipfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from semsize.cli import one_line_errors
from semsize.measuring import InputError
from semsize.measuring.inputs import VisibilityRequest
from semsize.measuring.predicted_states import find_visibility_model
from semsize.measuring.tables import markdown_table
from semsize.metrology.matching import OPERATING_SCORE
from semsize.sem import SEMReadError
from semsize.sem.image_sets import outlined_images
from semsize.structures import AnnotationError, CroppedMasks, PredictionError
from semsize.structures.states import disc
from semsize.visibility.completion import hull_completion
from semsize.visibility.prediction import Calibration, predict_visibility

BRIGHT = 250  # grey level of bodies; the silhouette begins half-way from the picture's median to it
REACH_PX = 12  # largest shift of a picture
RIM_PX = 3
RESAMPLES = 1000  # resamples of the images
VISIBLE, RIM = "visible outlines", f"rim of {RIM_PX} px around them"

Complete = Callable[[np.ndarray, CroppedMasks], CroppedMasks]


@dataclass(frozen=True, eq=False)
class Silhouette:
    """Pixels that stop the beam, moved and cut to the frame of the SEM image."""

    dark: np.ndarray  # (H, W) bool: a body covers the pixel
    known: np.ndarray  # (H, W) bool: the picture shows the pixel
    iou: float  # IoU with the annotated masks after the move

    @classmethod
    def aligned(cls, picture: np.ndarray, bodies: np.ndarray) -> "Silhouette":
        """The silhouette of an inverted transmission picture (h, w) uint8, 0 where it is empty.

        Args:
            picture: bodies bright.
            bodies: (H, W) bool, the annotated masks' union; the picture is moved to where its silhouette fits best.

        >>> picture = np.pad(np.full((9, 9), 255, np.uint8), 20, constant_values=20)
        >>> found = Silhouette.aligned(picture, np.pad(np.ones((9, 9), bool), ((17, 23), (22, 18))))
        >>> found.iou, found.dark[17:26, 22:31].all()
        (1.0, np.True_)
        """
        known = picture > 0
        dark = picture > (np.median(picture[known]) + BRIGHT) / 2
        dark, known = (_framed(pixels, bodies.shape) for pixels in (dark, known))
        shared, of_dark = _sums(dark, bodies), _sums(dark, np.ones_like(bodies))
        iou = shared / np.maximum(of_dark + _sums(known, bodies) - shared, 1)
        row, column = np.unravel_index(int(iou.argmax()), iou.shape)
        dark, known = (frame[row:, column:][: bodies.shape[0], : bodies.shape[1]] for frame in (dark, known))
        united = np.count_nonzero(dark | (bodies & known))
        return cls(dark, known, np.count_nonzero(dark & bodies) / max(united, 1))

    def counts(self, region: np.ndarray) -> tuple[int, int]:
        """Number of pixels of a region (H, W) that the picture shows, and of those outside the silhouette."""
        shown = region & self.known
        return int(np.count_nonzero(shown)), int(np.count_nonzero(shown & ~self.dark))


def _framed(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Place pixels (h, w) bool in a frame larger than (H, W) by `REACH_PX` on every side."""
    frame = np.zeros((shape[0] + 2 * REACH_PX, shape[1] + 2 * REACH_PX), bool)
    part = pixels[: shape[0] + REACH_PX, : shape[1] + REACH_PX]
    frame[REACH_PX : REACH_PX + part.shape[0], REACH_PX : REACH_PX + part.shape[1]] = part
    return frame


def _sums(frame: np.ndarray, template: np.ndarray) -> np.ndarray:
    """(2 R + 1, 2 R + 1) numbers of pixels that a template (H, W) shares with a frame, at each position."""
    return cv2.matchTemplate(frame.astype(np.float32), template.astype(np.float32), cv2.TM_CCORR)


def regions(grey: np.ndarray, outlines: CroppedMasks, completions: dict[str, Complete]) -> dict[str, np.ndarray]:
    """Name to pixels (H, W) bool: visible outlines, rim, and each completion's pixels beyond all outlines."""
    visible = outlines.union().astype(bool)
    rim = cv2.dilate(visible.astype(np.uint8), disc(RIM_PX)).astype(bool) & ~visible
    added = {name: complete(grey, outlines).union().astype(bool) & ~visible for name, complete in completions.items()}
    return {VISIBLE: visible, RIM: rim, **added}


def picture_of(pictures: zipfile.ZipFile, file_name: str) -> np.ndarray:
    """The transmission picture of an SEM image; its number is one more than the image's.

    Raises:
        ValueError: the archive does not hold it.
    """
    number = re.fullmatch(r"\d+", Path(file_name).stem)
    wanted = f"{int(number[0]) + 1}.tif" if number else f"the picture of {file_name}"
    member = next((name for name in pictures.namelist() if Path(name).name == wanted), None)
    if member is None:
        raise ValueError(f"{pictures.filename}: does not hold {wanted}; give the archive of these images")
    return cv2.imdecode(np.frombuffer(pictures.read(member), np.uint8), cv2.IMREAD_GRAYSCALE)


def counted(
    pictures: zipfile.ZipFile, annotations: Path, predictions: Path | None, completions: dict[str, Complete]
) -> tuple[dict[str, list[tuple[int, int]]], list[float]]:
    """Region to `Silhouette.counts` of each image of an annotation file, and the images' IoU after the move."""
    counts, fits = defaultdict(list), []
    images = outlined_images(annotations, predictions=predictions, min_score=OPERATING_SCORE)
    for record, grey, outlines, particles in tqdm(images, unit="image", disable=None, leave=False):
        bodies = CroppedMasks.from_rles([particle["segmentation"] for particle in particles], outlines.image_shape)
        silhouette = Silhouette.aligned(picture_of(pictures, record["file_name"]), bodies.union().astype(bool))
        fits.append(silhouette.iou)
        for name, region in regions(grey, outlines, completions).items():
            counts[name].append(silhouette.counts(region))
    return counts, fits


def rows(counts: dict[str, list[tuple[int, int]]]) -> list[list]:
    """A row for each region: pixels, share outside the silhouette, its standard error, pixels that it confirms.

    The standard error comes from images drawn with repeats.
    """
    rng, table = np.random.default_rng(0), []
    visible_px = sum(pixels for pixels, _ in counts[VISIBLE])
    for name, of_images in counts.items():
        pixels, outside = np.array(of_images).T
        times = rng.multinomial(len(pixels), np.full(len(pixels), 1 / len(pixels)), RESAMPLES)
        drawn = times @ pixels
        shares = (times @ outside)[drawn > 0] / drawn[drawn > 0]
        share, error = 100 * outside.sum() / max(pixels.sum(), 1), 100 * shares.std() if len(shares) else np.nan
        confirmed = int((pixels - outside).sum())
        table.append([name, int(pixels.sum()), float(share), float(error), confirmed, 100 * confirmed / visible_px])
    return table


def main() -> None:
    """Align the pictures, complete the outlines, count pixels and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, help="zip archive of the transmission pictures")
    parser.add_argument("--annotations", type=Path, nargs="+", required=True, help="annotations of the SEM images")
    parser.add_argument("--predictions", type=Path, nargs="+", help="predictions, a file for each of --annotations")
    parser.add_argument(
        "--visibility", nargs="+", type=Path, metavar="FILE", help="also a visibility model: config and weights"
    )
    arguments = parser.parse_args()
    if arguments.predictions and len(arguments.predictions) != len(arguments.annotations):
        parser.error("give as many --predictions as --annotations, or none")
    completions = {"added by the convex hull": lambda grey, outlines: hull_completion(outlines, grey)}
    counts, fits = defaultdict(list), []
    errors = (AnnotationError, PredictionError, SEMReadError, InputError, ValueError, OSError, zipfile.BadZipFile)
    with one_line_errors(*errors):
        if arguments.visibility:
            model = find_visibility_model(VisibilityRequest.of(arguments.visibility)).open(1, Calibration())
            completions["added by the visibility model"] = lambda grey, outlines: (
                predict_visibility(grey, outlines, model).whole
            )
        founds = arguments.predictions or [None] * len(arguments.annotations)
        with zipfile.ZipFile(arguments.pictures) as pictures:
            for annotations, predictions in zip(arguments.annotations, founds, strict=True):
                of_file, of_fits = counted(pictures, annotations, predictions, completions)
                fits += of_fits
                for name, of_images in of_file.items():
                    counts[name] += of_images
    outside, confirmed = ("outside the silhouette, %", "standard error, %"), ("confirmed, px", "% of the visible area")
    print(f"{len(fits)} images; IoU of silhouette and annotated masks {np.median(fits):.2f} in the median\n")
    print(markdown_table(["pixels", "number", *outside, *confirmed], rows(counts), decimals=1))


if __name__ == "__main__":
    main()
