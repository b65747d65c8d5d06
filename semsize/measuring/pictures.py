"""Draws overlays, ROI sets and thumbnails of all measured images, in several processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import matplotlib
import numpy as np
from tqdm import tqdm

from semsize.exchange import roi_zip
from semsize.measuring.inputs import ImageFile, MeasurementSettings, MeasuringError, RunOptions
from semsize.measuring.overlays import (
    IGNORED,
    STATE_COLOURS,
    Colour,
    Entry,
    add_legend,
    dashed_outline,
    enlarged_rgb,
    fitting_scale,
    outline,
    state_entries,
    write_png,
)
from semsize.measuring.particle_table import (
    CAPTION,
    ParticleTable,
    is_detected,
    is_left_to_states,
)
from semsize.measuring.results_folder import ResultsFolder
from semsize.metrology.size_distribution import quantiles
from semsize.sem import particle_contrast
from semsize.structures.files import whole_file
from semsize.structures.masks import CroppedMasks
from semsize.structures.parts import processes_for

THUMBNAIL_SIDE_PX = 560
THUMBNAILS_BYTES = 12_000_000  # all thumbnails together: in base64 16 MB of the report's 20
_MOST_BYTES = 60_000  # one thumbnail
_MAP, _MAP_RANGE = "plasma", (0.25, 1.0)  # without its darkest part, which cannot be seen on grey
_STEPS = 5  # number of sizes in the legend
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class SizeColours:
    """Colours of sizes on a logarithmic scale from `low` to `high`; sizes beyond have the colour of the nearer end."""

    low: float
    high: float
    unit: str

    @classmethod
    def of(cls, sizes: np.ndarray, unit: str) -> SizeColours:
        """The colour scale for the sizes of all images, from their 2 % to their 98 % quantile."""
        low, high = quantiles(sizes, (0.02, 0.98)) if len(sizes) else (1.0, 2.0)
        return cls(float(low), float(max(high, low * 1.01)), unit)

    def colours(self, sizes: np.ndarray) -> list[Colour]:
        """The colour (RGB) of each size."""
        fractions = np.log(np.asarray(sizes, np.float64) / self.low) / np.log(self.high / self.low)
        shades = np.interp(fractions, (0, 1), _MAP_RANGE)
        rgba = matplotlib.colormaps[_MAP](shades, bytes=True)
        return [tuple(int(level) for level in colour[:3]) for colour in np.atleast_2d(rgba)]

    def entries(self) -> list[Entry]:
        """Legend entries for `_STEPS` sizes."""
        sizes = np.geomspace(self.low, self.high, _STEPS)
        return [
            Entry(f"{size:.3g} {self.unit}", colour) for size, colour in zip(sizes, self.colours(sizes), strict=True)
        ]


@dataclass(frozen=True)
class Drawn:
    """The results of drawing an image."""

    name: str  # name of the image
    thumbnail: bytes  # JPEG
    contrast: float | None  # grey levels of particles less those around them; None if the frame lacks either


@dataclass(frozen=True)
class _Drawing:
    """The settings that the pictures of all images share."""

    settings: MeasurementSettings
    folder: ResultsFolder
    unit: str
    colours: SizeColours | None  # None: colours show states
    most_bytes: int  # limit of a thumbnail
    rois: bool  # also write ROI sets

    def draw(self, file: ImageFile, table: ParticleTable) -> Drawn:
        """Write the overlay of an image and, with `rois`, its ROI set, of the particles from the score threshold on.

        ROIs carry only given states, because a later measurement of them would take predicted states for given ones.
        """
        # Pixels are read again: colours need the sizes of all images, too many to keep in memory until then
        result, image = self.folder.read_result(file), self.settings.read(file.path)
        detected = is_detected(table)
        on_particles = result.masks[detected & (table["excluded"] != CAPTION)]
        contrast = particle_contrast(image.grey[result.top :], on_particles)
        masks, table = result.file_masks[detected], table.part(detected)
        if self.rois:
            given = [state or None for state in table["given_state"].tolist()]
            whole_file(self.folder.roi_set(file), lambda part: roi_zip(part, masks, given))
        if self.colours is None:
            colours = [STATE_COLOURS[state] for state in table.states]
            kept = is_left_to_states(table)
            entries = state_entries(table.part(kept).states)
        else:
            sizes = table[f"ecd_{self.unit}"]
            colours = self.colours.colours(np.where(np.isnan(sizes), self.colours.low, sizes))
            entries, kept = self.colours.entries(), table["excluded"] == ""
        canvas = draw_numbered(image.grey, masks, colours, kept, table["id"])
        if result.whole_rles:
            of_detected = np.flatnonzero(detected)[kept & (table["completed"] == 1)]
            whole = CroppedMasks.from_rles([result.whole_rles[number] for number in of_detected], result.file_shape)
            colour, scale = STATE_COLOURS["masked"], fitting_scale(image.grey.shape)
            dashed_outline(canvas, whole, result.file_masks[of_detected], colour, scale)
            entries.append(Entry(f"dashed, hidden part: {len(of_detected)}", colour))
        entries = [*entries, Entry(f"left out: {int((~kept).sum())}", IGNORED)]
        what = "outlines, states predicted" if table.is_predicted else "particles"
        caption = f"{file.name}: {int(kept.sum())} {what}"
        write_png(self.folder.overlay(file), add_legend(canvas, entries, caption))
        thumbnail = jpeg_thumbnail(canvas, THUMBNAIL_SIDE_PX, self.most_bytes)
        return Drawn(file.name, thumbnail, contrast if np.isfinite(contrast) else None)


def write_pictures(
    files: Sequence[ImageFile],
    table: ParticleTable,
    settings: MeasurementSettings,
    folder: ResultsFolder,
    options: RunOptions,
) -> dict[str, Drawn]:
    """Write overlays/ and, if the options say so, rois/ of measured images; return `Drawn` by the image's name."""
    kept, unit = table["excluded"] == "", table.unit
    by_state = (table["state"][kept] != "").any() if options.colour == "auto" else options.colour == "state"
    colours = None if by_state else SizeColours.of(table[f"ecd_{unit}"][kept], unit)
    most_bytes = min(_MOST_BYTES, THUMBNAILS_BYTES // max(len(files), 1))
    drawing, rows = _Drawing(settings, folder, unit, colours, most_bytes, options.rois), _rows_of(table)
    tasks = ((file, table.part(rows.get(file.name, slice(0)))) for file in files)
    jobs = min(options.jobs, len(files))
    with tqdm(total=len(files), desc="drawing", unit="image", disable=None) as bar:
        drawn = {}
        with processes_for(jobs, MeasuringError, drawing) as run:
            for picture in run(_Drawing.draw, tasks):
                drawn[picture.name] = picture
                bar.update()
    return drawn


def draw_numbered(
    image: np.ndarray, masks: CroppedMasks, colours: Sequence[Colour], kept: np.ndarray, ids: np.ndarray
) -> np.ndarray:
    """Draw kept particles in their colours with their numbers, over thin grey outlines of those left out.

    Args:
        image: (H, W) grey levels 0 to 255; may be taller than the masks' image by a data bar.
        masks: N masks.
        colours: N colours.
        kept: (N,) bool.
        ids: (N,) numbers to write.

    Returns:
        (H · scale, W · scale, 3) uint8 RGB, with the scale of `fitting_scale`.
    """
    scale = fitting_scale(image.shape)
    canvas = enlarged_rgb(image, scale)
    outline(canvas, masks[~kept], IGNORED, scale, width=1)
    chosen = np.flatnonzero(kept)
    for index in chosen:
        outline(canvas, masks[index], colours[index], scale, width=max(1, scale))
    for index in chosen:
        _write_number(canvas, str(ids[index]), masks.crops[index], masks.origins[index], scale)
    return canvas


def jpeg_thumbnail(picture: np.ndarray, longest_side: int, most_bytes: int) -> bytes:
    """Encode (H, W, 3) uint8 RGB as JPEG: quality, then size are reduced until it takes at most `most_bytes`."""
    side = longest_side
    while True:
        factor = min(1.0, side / max(picture.shape[:2]))
        size = max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor))
        small = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
        for quality in (85, 70, 55):
            data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
            if len(data) <= most_bytes or side <= 16:
                return data
        side = side * 3 // 4


def _write_number(canvas: np.ndarray, text: str, crop: np.ndarray, origin: np.ndarray, scale: int) -> None:
    """Write a number with a dark rim where the mask is widest, as large as fits there within readable sizes."""
    depth = cv2.distanceTransform(np.pad(crop, 1), cv2.DIST_L2, 3)
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    y, x = (origin[0] + row - 0.5) * scale, (origin[1] + column - 0.5) * scale
    size = float(np.clip(depth.max() * scale / (len(text) * 14), 0.28, 0.7))
    (width, height), _ = cv2.getTextSize(text, _FONT, size, 1)
    corner = round(x - width / 2), round(y + height / 2)
    for colour, thickness in ((0, 0, 0), 3), ((255, 255, 255), 1):
        cv2.putText(canvas, text, corner, _FONT, size, colour, thickness, cv2.LINE_AA)


def _rows_of(table: ParticleTable) -> dict[str, slice]:
    """Image name to its rows of the table, which are consecutive."""
    names = table["image"]
    starts = np.flatnonzero(np.append(len(names) > 0, names[1:] != names[:-1]))
    ends = np.append(starts, len(names))[1:]
    return {names[start]: slice(int(start), int(end)) for start, end in zip(starts, ends, strict=True)}
