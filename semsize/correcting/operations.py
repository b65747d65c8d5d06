"""The outlines of an image under correction, and invertible operations on them; undo and redo have no limit.

An operation holds outlines by id, as they are before and after it; its inverse swaps the two. An id is never used for
a second outline, so that what a log or a table says of it stays true.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from semsize.correcting.shapes import SMALLEST_PART_PX, CorrectionError, cut, largest_pieces, without
from semsize.exchange.shapes import joined
from semsize.structures.annotations import AnnotationError, particle_entry, rle_area
from semsize.structures.masks import CroppedMasks, Placed
from semsize.structures.rle import Rle, encode_crops
from semsize.structures.states import STATES, neighbour_pairs

KINDS = ("delete", "add", "split", "merge", "push", "state", "particle")
"""Kinds of operations; a log also holds `undo` and `redo`."""

_MEETS_PX = math.sqrt(2)  # distance of pixel centres within which outlines share a border or a corner


@dataclass(frozen=True)
class Outline:
    """One outline of an image."""

    counts: str  # compressed text of an RLE of the image's size
    state: str | None = None  # one of STATES, None where not known
    is_particle: bool = True  # False if a person said that it is none


@dataclass(frozen=True)
class Operation:
    """A change of some outlines; ids that only `before` has are deleted, ids that only `after` has are new."""

    kind: str
    before: Mapping[int, Outline]
    after: Mapping[int, Outline]
    source: str | None = None  # what drew the outlines; None: the person
    note: str | None = field(default=None, compare=False)  # message to the person when the operation is done

    def inverse(self) -> Operation:
        """The operation that undoes this one."""
        return Operation(self.kind, self.after, self.before, self.source)


@dataclass
class Corrections:
    """The outlines of one image and the operations that were done on them.

    Methods named after the page's actions (`delete`, `add`, …) return an operation and change nothing; `apply` does it.

    >>> corrections = Corrections.from_masks(CroppedMasks.from_label_image(np.array([[1, 1, 2, 2]])), [None, None])
    >>> corrections.apply(corrections.merge([1, 2]))
    >>> sorted(corrections.outlines), corrections.undo().kind, sorted(corrections.outlines)
    ([3], 'merge', [1, 2])
    """

    image_shape: tuple[int, int]  # (H, W)
    outlines: dict[int, Outline]
    next_id: int
    done: list[Operation] = field(default_factory=list)
    undone: list[Operation] = field(default_factory=list)

    @classmethod
    def from_masks(cls, masks: CroppedMasks, states: Sequence[str | None]) -> Corrections:
        """Give N masks the ids 1 to N; no mask may be empty."""
        rles = zip(masks.to_rles(), states, strict=True)
        outlines = {number: Outline(rle["counts"], state) for number, (rle, state) in enumerate(rles, 1)}
        return cls(masks.image_shape, outlines, len(outlines) + 1)

    def rle(self, number: int) -> Rle:
        """The outline as COCO's RLE."""
        return {"size": list(self.image_shape), "counts": self._outline(number).counts}

    def masks(self, numbers: Sequence[int] | None = None) -> CroppedMasks:
        """Masks of some outlines, or of all in the order of their ids."""
        chosen = sorted(self.outlines) if numbers is None else numbers
        return CroppedMasks.from_rles([self.rle(number) for number in chosen], self.image_shape)

    def delete(self, numbers: Iterable[int]) -> Operation:
        """Delete some outlines."""
        return Operation("delete", self._chosen(numbers), {})

    def add(self, mask: Placed, state: str | None = None, source: str | None = None) -> Operation:
        """Add an outline that the person or `source` drew; see `polygon_mask` and `ellipse_mask`."""
        return Operation("add", {}, self._numbered([mask], state), source)

    def split(self, number: int, line: Sequence[Sequence[float]]) -> Operation:
        """Cut an outline by a line, see `cut`; the parts have new ids, and no state until somebody gives one."""
        parts = cut(self._mask(number), line)
        return Operation("split", self._chosen([number]), self._numbered(parts, None))

    def merge(self, numbers: Sequence[int]) -> Operation:
        """Join two outlines or more to one with a new id, which keeps their state if they agree on it.

        Raises:
            CorrectionError: there are fewer than two outlines, or they do not all hang together.
        """
        before = self._chosen(numbers)
        if len(before) < 2:
            raise CorrectionError("merge needs two outlines or more; select another one")
        masks = self.masks(list(before))
        first, second = neighbour_pairs(masks, _MEETS_PX).T
        links = coo_array((np.ones(len(first)), (first, second)), shape=(len(masks), len(masks)))
        if connected_components(links, directed=False)[0] > 1:
            raise CorrectionError("only outlines that touch or overlap can be merged; leave the others out")
        states = {outline.state for outline in before.values()}
        after = self._numbered([joined(list(masks))], states.pop() if len(states) == 1 else None)
        return Operation("merge", before, after)

    def push(self, number: int, brush: Placed, *, adds: bool) -> Operation:
        """Add a brush's pixels to an outline, or remove them; if that parts a piece, only its largest part stays.

        Raises:
            CorrectionError: no pixel of the outline would be left, or none changes.
        """
        mask, note = self._mask(number), None
        if adds:
            pushed = joined([mask, brush])
        else:
            pushed, lost_px = largest_pieces(mask, without(mask, brush))
            if lost_px >= SMALLEST_PART_PX:
                kept = f"the brush parted outline {number}: the largest piece stays, {lost_px} px are gone"
                note = f"{kept}; to keep both, undo and split it"
        if pushed[0].size == 0:
            raise CorrectionError(f"the brush takes all of outline {number}; delete it instead")
        outline = self._outline(number)
        after = replace(outline, counts=self._counts([pushed])[0])
        if after == outline:
            raise CorrectionError(
                f"the brush changes nothing of outline {number}, which is selected; begin at its border"
            )
        return Operation("push", {number: outline}, {number: after}, note=note)

    def restate(self, numbers: Iterable[int], state: str | None) -> Operation:
        """Give some outlines a state; None takes the state away."""
        before = self._chosen(numbers)
        return Operation("state", before, {key: replace(outline, state=state) for key, outline in before.items()})

    def mark(self, numbers: Iterable[int], *, is_particle: bool) -> Operation:
        """Say that outlines are particles, or are none."""
        before = self._chosen(numbers)
        after = {key: replace(outline, is_particle=is_particle) for key, outline in before.items()}
        return Operation("particle", before, after)

    def check(self, operation: Operation) -> None:
        """Raise CorrectionError unless an operation can be done now.

        `before` must equal the present outlines, new ids must follow the last one, and `after` must fit this image.
        """
        if operation.kind not in KINDS or not (operation.before or operation.after):
            raise CorrectionError(f"{operation.kind!r} is no operation or of no outline; use one of {', '.join(KINDS)}")
        for number, outline in operation.before.items():
            if self.outlines.get(number) != outline:
                raise CorrectionError(f"outline {number} is not what it was before this operation; load the image anew")
        height, width = self.image_shape
        new = sorted(operation.after.keys() - operation.before.keys())
        if new != list(range(self.next_id, self.next_id + len(new))):
            raise CorrectionError(f"new outlines must have ids from {self.next_id} on, not {new}; load the image anew")
        for number, outline in operation.after.items():
            if outline.state not in (*STATES, None):
                raise CorrectionError(f"outline {number}: state {outline.state!r} is none of {', '.join(STATES)}")
            if type(outline.is_particle) is not bool:
                raise CorrectionError(f"outline {number}: is_particle is true or false, not {outline.is_particle!r}")
            rle = {"size": [height, width], "counts": outline.counts}
            try:
                if rle_area(rle, {"height": height, "width": width}, f"outline {number}") < 1:
                    raise CorrectionError(f"outline {number}: has no pixel; delete it instead")
            except AnnotationError as cause:
                raise CorrectionError(str(cause)) from None

    def apply(self, operation: Operation) -> None:
        """Check and do an operation; operations that were undone before it can no longer be redone."""
        self.check(operation)
        self._change(operation)
        self.next_id = max(self.next_id, *(number + 1 for number in operation.after), 1)
        self.done.append(operation)
        self.undone.clear()

    def undo(self) -> Operation:
        """Undo the last operation and return it; CorrectionError if there is none."""
        operation = self.last_done()
        self._change(operation.inverse())
        self.undone.append(self.done.pop())
        return operation

    def redo(self) -> Operation:
        """Redo the operation that was undone last and return it; CorrectionError if there is none."""
        operation = self.last_undone()
        self._change(operation)
        self.done.append(self.undone.pop())
        return operation

    def last_done(self) -> Operation:
        """The operation that `undo` would undo."""
        if not self.done:
            raise CorrectionError("nothing is left to undo")
        return self.done[-1]

    def last_undone(self) -> Operation:
        """The operation that `redo` would redo."""
        if not self.undone:
            raise CorrectionError("nothing is left to redo")
        return self.undone[-1]

    def depths(self) -> dict[str, int]:
        """Numbers of operations that can be undone and redone, for JSON."""
        return {"done": len(self.done), "undone": len(self.undone)}

    def touched(self) -> set[int]:
        """Ids of outlines that an operation added or changed, unless it was undone."""
        return {number for operation in self.effective() for number in operation.after}

    def effective(self) -> Iterator[Operation]:
        """The operations that are done, without pushes that change no pixel: logs of former versions hold such."""
        return (each for each in self.done if each.kind != "push" or each.before != each.after)

    def accepted(self) -> set[int]:
        """Ids of outlines whose last operation gave a state, or said whether they are particles."""
        accepted: set[int] = set()
        for operation in self.effective():
            is_word = operation.kind in ("state", "particle")
            (accepted.update if is_word else accepted.difference_update)(operation.after)
        return accepted

    def particle_entries(self, numbers: Iterable[int], *, image_id: int, first_id: int) -> list[dict[str, Any]]:
        """Annotations of some outlines for `corrections.json`, with ids from `first_id` on."""
        return [
            particle_entry(id=id, image_id=image_id, rle=self.rle(number), state=self.outlines[number].state)
            for id, number in enumerate(numbers, first_id)
        ]

    def _change(self, operation: Operation) -> None:
        for number in operation.before.keys() - operation.after.keys():
            del self.outlines[number]
        self.outlines.update(operation.after)

    def _outline(self, number: int) -> Outline:
        if number not in self.outlines:
            raise CorrectionError(f"there is no outline {number} in this image; load the image anew")
        return self.outlines[number]

    def _chosen(self, numbers: Iterable[int]) -> dict[int, Outline]:
        chosen = {number: self._outline(number) for number in sorted(set(numbers))}
        if not chosen:
            raise CorrectionError("no outline is selected; select one")
        return chosen

    def _mask(self, number: int) -> Placed:
        return next(iter(self.masks([number])))

    def _counts(self, masks: Sequence[Placed]) -> list[str]:
        crops, origins = zip(*masks, strict=True)
        return [rle["counts"] for rle in encode_crops(crops, np.array(origins), self.image_shape)]

    def _numbered(self, masks: Sequence[Placed], state: str | None) -> dict[int, Outline]:
        return {number: Outline(counts, state) for number, counts in enumerate(self._counts(masks), self.next_id)}
