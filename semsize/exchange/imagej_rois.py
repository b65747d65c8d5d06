"""Reads and writes ImageJ's regions of interest: a .zip of the ROI manager, or a single .roi, for each image."""

import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import roifile

from semsize.exchange.conversion import IGNORE
from semsize.exchange.shapes import Ellipse, Polygon, Shape, mask_polygons, rectangle
from semsize.exchange.source import Account, ExchangeError, SourceImage, SourceParticle, Stated, files_below
from semsize.exchange.which_picture import ImageFolder
from semsize.structures.files import ZIP_ERRORS
from semsize.structures.masks import CroppedMasks
from semsize.structures.states import STATES

GROUPS = (*STATES, IGNORE)
"""The meanings of ImageJ's ROI groups 1 to 6."""

_TYPES = roifile.ROI_TYPE
_OUTLINED = (_TYPES.POLYGON, _TYPES.FREEHAND, _TYPES.TRACED)
_LARGEST_ROI_BYTES = 64 << 20
_DECORATION = re.compile(r"(^rois?[-_ ]?(set)?[-_ ])|([-_ .]rois?[-_ ]?(set)?$)", re.IGNORECASE)
_NUMBERING = re.compile(r"[-_ .]*\d[\d\-_ .]*$")  # at the end of a ROI's name


def read_imagej(folder: Path, images: ImageFolder, account: Account) -> Iterator[SourceImage]:
    """Yield each image once, with the particles of the ROI file that has its name and its subfolder.

    `A.zip`, `A.roi`, `A.tif.zip`, `A_RoiSet.zip` and `RoiSet_A.zip` belong to the image A.tif; an image with two ROI
    files gets `trouble`. The label of a particle is the meaning of its ROI's group (see GROUPS), else the ROI's
    property `state`, else the ROI's name without the number at its end.

    Raises:
        ExchangeError: the folder holds no ROI file.
    """
    files = [path for path in files_below(folder, (".zip", ".roi")) if not _is_other_archive(path, account)]
    if not files:
        raise ExchangeError(f"{folder}: holds no .zip or .roi files; give the folder that does")
    stated = [Stated.of_file(path, folder, [path.stem, _DECORATION.sub("", path.stem)], on_disk=True) for path in files]
    left_out = "ROI files left out, no image of that name"
    for path, image in images.paired(stated, account, left_out, "without a ROI file"):
        if image.trouble is None:
            image.particles.extend(_particles(path, image, account))
        yield image


def roi_shape(roi: roifile.ImagejRoi) -> Shape | None:
    """Return the shape of a ROI; None for types without an area.

    Raises:
        ShapeError: the ROI cannot be drawn.
    """
    if roi.composite:
        rings = tuple(np.asarray(part, np.float64) for part in roi.coordinates(multi=True) if len(part) > 2)
        return Polygon(rings, with_holes=True)
    if roi.roitype in _OUTLINED:
        return Polygon((np.asarray(roi.coordinates(), np.float64),))
    if roi.roitype in (_TYPES.RECT, _TYPES.OVAL):
        x, y, width, height = roi.left, roi.top, roi.right - roi.left, roi.bottom - roi.top
        if roi.subpixelrect:
            x, y, width, height = roi.xd, roi.yd, roi.widthd, roi.heightd
        if roi.roitype == _TYPES.RECT:
            return rectangle(x, y, x + width, y + height)
        return Ellipse((x + width / 2, y + height / 2), (width / 2, height / 2))
    return None


def roi_zip(path: Path, masks: CroppedMasks, states: Sequence[str | None]) -> None:
    """Write N masks as a zip of ROIs with all holes and pieces; ROIs are named after their states and numbered.

    The state, or `ignore`, is also the ROI's group (see GROUPS), which ImageJ shows as a colour and changes by a click.

    Raises:
        OSError: the zip cannot be written.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, ((crop, origin), state) in enumerate(zip(masks, states, strict=True), start=1):
            polygons = mask_polygons(crop, origin)
            name = f"{state or 'particle'}-{number:04d}"
            if len(polygons) == 1:
                roi = roifile.ImagejRoi.frompoints(polygons[0].astype(np.float32), name=name)
            elif polygons:
                roi = _composite(polygons, name)
            else:
                continue
            roi.group = GROUPS.index(state) + 1 if state in GROUPS else 0
            archive.writestr(f"{name}.roi", roi.tobytes())


def _composite(polygons: Sequence[np.ndarray], name: str) -> roifile.ImagejRoi:
    """Encode several polygons as ImageJ's ShapeRoi: move to (0), line to (1) …, close (4)."""
    path = []
    for polygon in polygons:
        path += [0.0, *polygon[0]]
        for corner in polygon[1:]:
            path += [1.0, *corner]
        path.append(4.0)
    corners = np.concatenate(polygons).astype(int)
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return roifile.ImagejRoi(
        roitype=_TYPES.RECT,
        name=name,
        left=left,
        top=top,
        right=right,
        bottom=bottom,
        shape_roi_size=len(path),
        multi_coordinates=np.array(path, np.float32),
    )


def _particles(path: Path, image: SourceImage, account: Account) -> Iterator[SourceParticle]:
    for entry, data in _rois(path, image, account):
        place, shape = f"{image.name}: {entry}", None
        with account.tolerate(place, image, (Exception,)):  # roifile lets struct.error, assertions and others through
            roi = roifile.ImagejRoi.frombytes(data)
            shape = roi_shape(roi)
            if shape is None:
                account.leave_out_without_area(image, roi.roitype.name.lower(), place)
        if shape is not None:
            yield SourceParticle(entry, (shape,), _label(roi))


def _rois(path: Path, image: SourceImage, account: Account) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each ROI of a file; names may occur twice.

    A damaged entry is noted and left out; a file that cannot be read at all becomes the image's `trouble`.
    """
    try:
        if path.suffix.lower() == ".roi":
            yield path.stem, path.read_bytes()
            return
        archive = zipfile.ZipFile(path)
    except (OSError, *ZIP_ERRORS) as error:
        image.trouble = f"{path.name} cannot be read ({error}): save it again"
        return
    with archive:
        for entry in filter(_is_roi, archive.infolist()):
            try:
                if entry.file_size > _LARGEST_ROI_BYTES:
                    raise zipfile.BadZipFile(f"it would be {entry.file_size} bytes large")
                data = archive.read(entry)
            except (OSError, *ZIP_ERRORS) as error:
                account.leave_out(image, "their zip entry is damaged", f"{path.name}: {entry.filename}", f" ({error})")
            else:
                yield Path(entry.filename).stem, data


def _is_roi(entry: zipfile.ZipInfo) -> bool:
    parts = Path(entry.filename).parts
    return entry.filename.lower().endswith(".roi") and "__MACOSX" not in parts and not parts[-1].startswith("._")


def _is_other_archive(path: Path, account: Account) -> bool:
    """Whether a zip holds files but no ROI, which is noted; a zip without files is an empty ROI set."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (OSError, *ZIP_ERRORS):  # a single .roi, or a damaged zip, which `_rois` makes the image's trouble
        return False
    if not entries or any(map(_is_roi, entries)):
        return False
    account.note("zips left out, they hold other files than ROIs", path.name)
    return True


def _label(roi: roifile.ImagejRoi) -> str | None:
    if 1 <= roi.group <= len(GROUPS):
        return GROUPS[roi.group - 1]
    return roi.properties.get("state") or _NUMBERING.sub("", roi.name) or None
