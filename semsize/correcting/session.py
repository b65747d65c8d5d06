"""The pages at work on a results folder: one page at a time changes an image, and is answered once that is on disk."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from semsize.correcting.doubts import DOUBTFUL, Doubts, outline_rows
from semsize.correcting.drawn_scale import DrawnScale
from semsize.correcting.edits import BoxFiller, box_of, operation_of
from semsize.correcting.log import CorrectionLog
from semsize.correcting.operations import Corrections, Operation
from semsize.correcting.results import CorrectedResults, DetectedImage
from semsize.correcting.shapes import CorrectionError
from semsize.measuring.results_folder import ImageResult

ELSEWHERE = "another page is correcting this image; this page is read-only"

LONGEST_PAGE_NAME = 64
_PICTURES_KEPT = 3


class ReadOnlyError(CorrectionError):
    """Another page is correcting the image; this page is read-only."""


@dataclass
class _Opened:
    """An image that a page has open for correcting."""

    page: str
    result: ImageResult
    log: CorrectionLog
    doubts: Doubts


class Session:
    """The corrections of one results folder, for the server; methods may be called from several threads."""

    def __init__(self, results: CorrectedResults, person: str | None = None, filler: BoxFiller | None = None):
        self.results, self._person = results, person
        self._filler = BoxFiller.of_model(None) if filler is None else filler
        self._lock = threading.RLock()
        self._opened: dict[int, _Opened] = {}
        self._pictures: dict[int, bytes] = {}
        self._decoded = b"", np.zeros((0, 0), np.uint8)  # the picture that was decoded last
        self._listing: dict[int, dict[str, Any]] = {}
        self._is_changed = results.is_outdated()  # if a former program was killed

    def listing(self) -> list[dict[str, Any]]:
        """A row for each image with its numbers of outlines, doubtful ones and operations, in the record's order."""
        with self._lock:
            return [self._listed(image) for image in self.results.images]

    def open(self, number: Any, page: str, *, take: bool = False) -> dict[str, Any]:
        """An image with its outlines for a page, which may correct it unless another page does.

        Args:
            number: of the image.
            page: the page's own name; the page leaves the image that it had open.
            take: take the image from the page of this server that has it.
        """
        page = _page_name(page)
        with self._lock:
            image = self.results.image(number)
            shown = self._opened_for(image, page, take=take)
            self.leave(page, keep=image.number)
            return shown

    def _opened_for(self, image: DetectedImage, page: str, *, take: bool) -> dict[str, Any]:
        least = self.results.record.settings.score
        opened = self._opened.get(image.number)
        if opened is None:
            result = self.results.detected(image)
            try:
                log = self.results.open_log(image, result)
            except CorrectionError as cause:
                corrections = self.results.corrected(image, result)
                return self._shown(image, result, corrections, Doubts(corrections, result, least), str(cause))
            opened = _Opened(page, result, log, Doubts(log.corrections, result, least))
            self._opened[image.number] = opened
        elif take:
            opened.page = page
        read_only = None if opened.page == page else ELSEWHERE
        return self._shown(image, opened.result, opened.log.corrections, opened.doubts, read_only)

    def edit(self, number: Any, page: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a page asks for, and return the outlines that changed once they are on disk.

        `request` is as for `operation_of`, or of the kind `box` (`box_of`), in which the network draws an outline.
        """
        if request.get("kind") == "box":
            return self._fill(number, page, box_of(request))
        with self._lock:
            opened = self._held(number, page)
            operation = operation_of(request, opened.log.corrections, opened.result.frame)
            opened.log.apply(operation, self._person)
            return self._changed(number, opened, operation)

    def _fill(self, number: Any, page: str, box: tuple[float, float, float, float]) -> dict[str, Any]:
        """Add the outline that the network draws in a box; other requests are answered meanwhile."""
        with self._lock:
            top, rows = (getattr(self._held(number, page).result, name) for name in ("top", "frame_rows"))
            picture = self.picture(number)
            if picture is not self._decoded[0]:  # boxes come one after another in the same image
                self._decoded = picture, cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
            grey = self._decoded[1][top : top + rows]
        left, upper, right, lower = box
        (crop, (row, column)), source = self._filler.fill(grey, (left, upper - top, right, lower - top))
        with self._lock:
            opened = self._held(number, page)
            operation = opened.log.corrections.add((crop, (row + top, column)), source=source)
            opened.log.apply(operation, self._person)
            return self._changed(number, opened, operation)

    def undo(self, number: Any, page: str) -> dict[str, Any]:
        """Undo the last operation on an image."""
        with self._lock:
            opened = self._held(number, page)
            return self._changed(number, opened, opened.log.undo(self._person).inverse())

    def redo(self, number: Any, page: str) -> dict[str, Any]:
        """Redo the operation on an image that was undone last."""
        with self._lock:
            opened = self._held(number, page)
            return self._changed(number, opened, opened.log.redo(self._person))

    def keep_scale(self, number: Any, page: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a scale bar that was drawn over: `ends`, `length` with its unit, `reach` of the ends in px."""
        with self._lock:
            self._held(number, page)
            scale = DrawnScale.drawn(request.get("ends"), request.get("length"), request.get("reach"))
            self.results.keep_scale(self.results.image(number), scale)
            self._is_changed = True
            return {"scale": scale.for_page()}

    def picture(self, number: Any) -> bytes:
        """PNG of an image's grey levels, 8 bits."""
        with self._lock:
            image = self.results.image(number)
            if image.number not in self._pictures:
                data = cv2.imencode(".png", self.results.grey(image), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
                self._pictures = dict([*self._pictures.items()][-_PICTURES_KEPT + 1 :]) | {image.number: data}
            return self._pictures[image.number]

    def leave(self, page: str, keep: int | None = None) -> None:
        """Close the images that a page has open, except `keep`, and write `corrections.json` after changes.

        Raises:
            CorrectionError: `corrections.json` cannot be written; the logs hold everything.
        """
        with self._lock:
            left = [number for number, opened in self._opened.items() if opened.page == page and number != keep]
            for number in left:
                self._opened.pop(number).log.close()
            if left:
                self._write()

    def close(self) -> None:
        """Close all logs and write `corrections.json` if anything changed, or it lacks what a killed program kept."""
        with self._lock:
            for opened in self._opened.values():
                opened.log.close()
            self._opened.clear()
            self._write()

    def _write(self) -> None:
        if self._is_changed:
            self.results.write_annotations()
            self._is_changed = False

    def _held(self, number: Any, page: str) -> _Opened:
        image = self.results.image(number)
        opened = self._opened.get(image.number)
        if opened is None or opened.page != page:
            raise ReadOnlyError("this page is read-only; take the image over to correct it here")
        return opened

    def _changed(self, number: int, opened: _Opened, operation: Operation) -> dict[str, Any]:
        corrections, self._is_changed = opened.log.corrections, True
        self._listing.pop(number, None)
        others = opened.doubts.renew({*operation.before, *operation.after})
        rows = self._rows(corrections, opened.result, opened.doubts, {*operation.after, *others})
        gone = sorted(operation.before.keys() - operation.after.keys())
        note = opened.doubts.note_on(operation.after) if operation.kind in ("add", "particle") else operation.note
        return {"gone": gone, "outlines": rows, "note": note, **corrections.depths()}

    def _rows(
        self, corrections: Corrections, result: ImageResult, doubts: Doubts, numbers: Iterable[int]
    ) -> list[dict[str, Any]]:
        return outline_rows(corrections, result, doubts, self.results.counted(corrections, result.scores), numbers)

    def _shown(
        self,
        image: DetectedImage,
        result: ImageResult,
        corrections: Corrections,
        doubts: Doubts,
        read_only: str | None,
    ) -> dict[str, Any]:
        scale = self.results.scale(image)
        return {
            "number": image.number,
            "name": image.file.name,
            "rows": image.shape[0],
            "columns": image.shape[1],
            "top": result.top,
            "bottom": result.frame[1],
            "nm_per_px": image.measured.pixel_size_nm,
            "scale": None if scale is None else scale.for_page(),
            "read_only": read_only,
            "outlines": self._rows(corrections, result, doubts, corrections.outlines),
            **corrections.depths(),
        }

    def _listed(self, image: DetectedImage) -> dict[str, Any]:
        if image.number not in self._listing:
            row = {"number": image.number, "name": image.file.name, "outlines": 0, "doubtful": 0, "operations": 0}
            row["trouble"] = None
            try:
                opened = self._opened.get(image.number)
                result = self.results.detected(image) if opened is None else opened.result
                corrections = self.results.corrected(image, result) if opened is None else opened.log.corrections
                least, counted = self.results.record.settings.score, self.results.counted(corrections, result.scores)
                doubts = Doubts(corrections, result, least) if opened is None else opened.doubts
                row["doubtful"] = sum(doubt >= DOUBTFUL for doubt in doubts.of(counted).values())
                row["outlines"] = len(counted)
                row["operations"] = len(corrections.done)
            except CorrectionError as cause:
                row["trouble"] = str(cause)
            self._listing[image.number] = row
        return self._listing[image.number]


def _page_name(page: Any) -> str:
    if not isinstance(page, str) or not 0 < len(page) <= LONGEST_PAGE_NAME:
        raise CorrectionError("the page has no name; load it anew")
    return page
