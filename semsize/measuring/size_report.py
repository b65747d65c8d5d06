"""The report of a measurement: one HTML file that holds its figures and thumbnails; every number is the record's."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

CAPTIONS = {
    "histogram": "Density by number with the log-normal fit.",
    "cumulative": "Cumulative distribution by number (Q0) and by volume of spheres of the same diameter (Q3).",
    "logarithmic": "Density by number over the logarithm of size; a log-normal distribution is a bell here.",
    "quantiles": "Q–Q plot: quantiles measured against those of the log-normal fit; on the line they agree.",
}
DASH = "–"


@dataclass(frozen=True)
class Picture:
    """An image in the report.

    Attributes:
        name: the image's.
        link: its full overlay, relative to the report.
        thumbnail: JPEG.
    """

    name: str
    link: str
    thumbnail: bytes


def size_report(record: Mapping, figures: Mapping[str, bytes], pictures: Sequence[Picture]) -> str:
    """The HTML.

    Args:
        record: contents of `record.json`, whose ``results`` are the numbers.
        figures: name, of `CAPTIONS`, to SVG.
        pictures: of the images, in their order.
    """
    environment = Environment(
        loader=PackageLoader("semsize.measuring"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True
    )  # fmt: skip
    environment.filters |= {
        "number": number,
        "percent": percent,
        "uncertain": uncertain,
        "uncertainty": uncertainty,
        "link": quote,
        "svg": lambda data: f"data:image/svg+xml;base64,{base64.b64encode(data).decode()}",
        "jpeg": lambda data: f"data:image/jpeg;base64,{base64.b64encode(data).decode()}",
    }
    template = environment.get_template("size_report.html")
    return template.render(
        record=record, results=record["results"], figures=figures, captions=CAPTIONS, pictures=pictures
    )


def number(value: float | None, digits: int = 4) -> str:
    """A number to some significant digits, without an exponent; – where there is none."""
    if value is None or math.isnan(value):
        return DASH
    if math.isinf(value):
        return "∞"
    return f"{value:.{_decimals(value, digits)}f}"


def percent(share: float | None, decimals: int = 1) -> str:
    """A share in %."""
    return DASH if share is None else f"{100 * share:.{decimals}f} %"


def uncertainty(std: float | None) -> str:
    """An uncertainty to two significant digits (GUM 7.2.6)."""
    return number(std, 2)


def uncertain(value: float | None, std: float | None) -> str:
    """A value to the last digit of its uncertainty; to four digits where there is none."""
    if value is None or not std:
        return number(value)
    return f"{value:.{_decimals(std, 2)}f}"


def _decimals(value: float, digits: int) -> int:
    """Digits after the point that give so many significant ones, as rounded to them."""
    if value == 0:
        return digits - 1
    exponent = int(f"{abs(value):.{digits - 1}e}".partition("e")[2])
    return max(0, digits - 1 - exponent)
