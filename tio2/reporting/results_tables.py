"""Fills the tables of README.md and docs/results.md with numbers from the folders of tested runs.

A table stands between the lines ``<!-- tested -->`` and ``<!-- /tested -->``. `ROWS` maps the first cell of a row to
the test of its numbers. The columns in `COLUMNS` are filled, those in `TYPED` are typed by hand. A row whose test is
missing stays as it is.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from semsize.detecting.models import SHIPPED, VISIBILITY
from semsize.measuring.report import DASH
from semsize.measuring.tables import read_rows_by_image
from semsize.metrology.matching import AVERAGE_PRECISIONS, OPERATING_SCORE
from semsize.structures.files import file_sha256, read_json
from tio2.reporting.run_comparison import METRICS
from tio2.reporting.tested_run import RunError, TestedImage, read_run

MARKER = "tested"
ELSEWHERE = None
"""In `ROWS`: the numbers come from elsewhere, such as a paper, and stay as they are."""


@dataclass(frozen=True)
class RowSource:
    """The test that the numbers of a row come from."""

    run: str  # folder of the run, in the folder of all runs
    split: str  # folder of the test, in that of the run
    model: str | None = None  # the shipped model whose weights must have been tested
    configuration: str | None = None  # configuration of the images that count; None: all images
    point: str = ""  # suffix of the average precisions in metrics.json; empty: those of all detections
    seen: str | None = None  # run of the visibility model that was tested on this test's outlines, on the same split


@dataclass(frozen=True, eq=False)
class Tested:
    """The results of a test, from which the cells of a row are filled."""

    metrics: dict  # contents of metrics.json
    images: tuple[TestedImage, ...]  # the images that count
    source: RowSource
    seen: dict | None = None  # contents of the visibility model's metrics.json

    def precision(self, name: str) -> float:
        """Return an average precision of masks."""
        point = self.source.point
        return self.metrics["metrics"][f"coco/segm_{name}{point}"] if point else METRICS[name](self.images)

    def of_particles(self, name: str) -> float | None:
        """Return a metric of single particles, known only for all images of the split together."""
        if self.source.configuration is not None:
            raise RunError(f"{self.source}: {name} is not known for a part of the images; remove the column")
        return self.metrics["metrics"][f"particles/{name}"]

    def size_error(self, name: str) -> float:
        """Return the error, %, of D10, D50 or D90 of fully imaged particles, by predicted against annotated states."""
        return self.seen["metrics"][f"visibility/fully_imaged_{name}_error_percent"] if self.seen else float("nan")

    @property
    def ceiling_share(self) -> str:
        """The mAP in % of an ideal detector's mAP, for the fewest and for the most annotation errors."""
        shares = [100 * self.precision("mAP") / ceiling for ceiling in reversed(MAP_CEILING)]
        return " to ".join(_shown(share, ".0f") for share in shares)

    @property
    def ecd_residual(self) -> str:
        """Mean ± standard deviation of the residuals of the ECD, in %."""
        mean, std = METRICS["ECD bias, %"](self.images), METRICS["ECD spread, %"](self.images)
        return f"{_shown(mean, '+.1f')} ± {_shown(std, '.1f')}"

    @property
    def computed_by(self) -> str:
        """The engine and the precision that computed the network."""
        if model := self.metrics.get("model"):
            return f"{model['engine']}, {model['precision']}"
        return f"torch, {self.metrics['precision']}" if "precision" in self.metrics else DASH


def _shown(value: float | None, form: str) -> str:
    return DASH if value is None or value != value else f"{value:{form}}".replace("-", "−")


FOUND = ("found, %", "useful found, %")
MAP_CEILING = (0.61, 0.81)
"""mAP of an ideal detector on the BAM images, with most and fewest annotation errors (docs/notebook/errors.md)."""
COLUMNS: Mapping[str, Callable[[Tested], str]] = {
    **{name: lambda tested, name=name: _shown(tested.precision(name), ".3f") for name in AVERAGE_PRECISIONS},
    **{name: lambda tested, name=name: _shown(METRICS[name](tested.images), ".1f") for name in FOUND},
    "false": lambda tested: str(tested.of_particles("false_positives")),
    "ECD residual, %": lambda tested: tested.ecd_residual,
    "within 5 %, %": lambda tested: _shown(tested.of_particles("useful_ecd_residual_within_5"), ".1f"),
    "Dice": lambda tested: _shown(METRICS["Dice"](tested.images), ".3f"),
    "mAP of the ceiling's, %": lambda tested: tested.ceiling_share,
    **{
        f"{name}, error %": lambda tested, name=name: _shown(tested.size_error(name), "+.1f")
        for name in ("D10", "D50", "D90")
    },
    "s an image": lambda tested: _shown(tested.metrics["seconds_per_image"]["median"], ".1f"),
    "images": lambda tested: str(len(tested.images)),
    "particles": lambda tested: str(sum(image.particles for image in tested.images)),
    "computed by": lambda tested: tested.computed_by,
}
"""Header of a column to a function that writes its cells; D10, D50 and D90 are of fully imaged particles."""

TYPED = ("method", "network", "tested", "trained on")

_BAM = "bam-tio2-sem-val"
_SETS = {
    "EMPS' fifth": {"split": "emps-val"},
    **{
        f"rendered, {name}": {"split": "rendered-validation-test", "configuration": name}
        for name in ("scattered", "agglomerated", "matrix")
    },
}
_PIXEL_SIZES = (1.836, 3.672, 7.344, 14.688, 29.376)  # nm, of tools/benchmarks/magnifications.py
ROWS: Mapping[str, RowSource | None] = {
    **{f"`{model}`, as it ships": RowSource(f"light_{model}", _BAM, model) for model in SHIPPED},
    **{f"`{model}` at that point": RowSource(f"light_{model}", _BAM, model, point="_table1") for model in SHIPPED},
    **{
        f"`{model}`: {name}": RowSource(f"light_{model}", model=model, **where)
        for model in SHIPPED
        for name, where in _SETS.items()
    },
    **{f"`free`: {nm:.3g} nm a pixel": RowSource(f"magnified/{nm}", f"{nm}-test", "free") for nm in _PIXEL_SIZES},
    "`nc`, three mirror images": RowSource("light_nc_flips", _BAM, "nc"),
    **{
        f"`{model}`: BAM {split}": RowSource(
            f"light_{model}", f"bam-tio2-sem-{split}", model, seen=f"visibility_{model}"
        )
        for model in SHIPPED
        for split in ("train", "val")
    },
    "the recipe of `nc` in small, four folds": RowSource("ablations/nc_0", "cv"),
    "light network, two stages": RowSource("light_stage2", "val"),
    "the paper's network, 3,100 steps": RowSource("mask_rcnn_short_stage2", "val"),
    "the paper's network, 3,100 steps, at that point": RowSource("mask_rcnn_short_stage2", "val", point="_table1"),
    "watershed on thresholds": RowSource("watershed", "val"),
    "watershed on clusters": RowSource("clustering", "val"),
    "the paper, its own particles": ELSEWHERE,
}
"""First cell of a row to the test of its numbers."""


def read_tested(runs: Path, source: RowSource) -> Tested | None:
    """Read the results of a test; None if the test is missing.

    Raises:
        RunError: a file is damaged, or other weights, another score or other outlines were tested than the row needs.
    """
    folder = runs / source.run / source.split
    seen_file = runs / source.seen / source.split / "metrics.json" if source.seen else None
    if not all(file.is_file() for file in (folder / "metrics.json", seen_file) if file):
        return None
    run = read_run(folder.parent, source.split)
    if source.model is not None:
        _require_weights(run.metrics, SHIPPED[source.model].checkpoint, folder / "metrics.json")
        counted_from = run.metrics.get("counted_from_score", OPERATING_SCORE)
        if counted_from != OPERATING_SCORE:
            raise RunError(
                f"{folder}/metrics.json: counts particles from score {counted_from:g} on, the tables from "
                f"{OPERATING_SCORE:g}; test again without --min-score"
            )
    images = run.images
    if source.configuration is not None:
        rows = read_rows_by_image(folder / "images.csv", RunError)
        images = {name: images[name] for name, (row,) in rows.items() if row["configuration"] == source.configuration}
    seen = read_json(seen_file, RunError) if seen_file else None
    if seen and seen["predictions_sha256"] != run.metrics["predictions_sha256"]:
        raise RunError(f"{seen_file} was tested on other outlines than {folder}/predictions.json; test on these")
    if seen and source.model is not None:
        _require_weights(seen, VISIBILITY[source.model].checkpoint, seen_file)
    return Tested(run.metrics, tuple(images.values()), source, seen)


def _require_weights(metrics: Mapping, checkpoint: Path, file: Path) -> None:
    """Raise RunError unless the metrics of a file are those of a shipped checkpoint."""
    if metrics.get("model", {}).get("sha256") != _sha256(checkpoint):
        raise RunError(f"{file}: is a test of other weights than {checkpoint}; test these weights")


@functools.cache
def _sha256(path: Path) -> str:
    return file_sha256(path)


def fill_markers(path: Path, name: str, filled: Callable[[str], str]) -> None:
    """Replace the text between each ``<!-- name -->`` and ``<!-- /name -->`` of a Markdown file by ``filled(text)``.

    Raises:
        RunError: the file has no such lines.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    between = re.compile(f"(?<={begin}\n).*?(?={end})", re.DOTALL)
    text, count = between.subn(lambda found: filled(found[0]), path.read_text(encoding="utf-8"))
    if not count:
        raise RunError(f"{path}: has no {begin} … {end} to fill; add the two lines")
    path.write_text(text, encoding="utf-8")


def fill_tables(path: Path, runs: Path) -> list[str]:
    """Fill the tables of a Markdown file; return a line for each row that stays as it is, with the reason.

    Raises:
        RunError: the file has no table, an unknown row or an unknown column, or `read_tested` fails.
    """
    kept = []

    def filled(table: str) -> str:
        header, rule, *rows = table.splitlines()
        columns = _cells(header)
        if unknown := [name for name in columns if name not in (*COLUMNS, *TYPED)]:
            raise RunError(f"{path}: the column {unknown[0]!r} is not known; take one of {', '.join(COLUMNS)}")
        return "\n".join([header, rule, *(filled_row(row, columns) for row in rows), ""])

    def filled_row(row: str, columns: list[str]) -> str:
        first, *_ = cells = _cells(row)
        if first not in ROWS or len(cells) != len(columns):
            raise RunError(
                f"{path}: the row {first!r} is not known, or not as long as the header; see ROWS in {__file__}"
            )
        source = ROWS[first]
        tested = None if source is ELSEWHERE else read_tested(runs, source)
        if tested is not None:
            cells = [
                COLUMNS[name](tested) if name in COLUMNS else cell for name, cell in zip(columns, cells, strict=True)
            ]
        elif source is not ELSEWHERE:
            untested = " or ".join(str(runs / run / source.split) for run in (source.run, source.seen) if run)
            kept.append(f"{path}: {first}: not tested in {untested}")
        return f"| {' | '.join(cells)} |"

    fill_markers(path, MARKER, filled)
    return kept


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]
