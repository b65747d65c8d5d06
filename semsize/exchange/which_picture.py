"""Finds the image file that an annotation belongs to, from the name that the source states: one rule for all formats.

A stated name is followed from the folder of the file that states it; an absolute path is followed as it is. If this
does not lead to a given image, the image whose path has the longest end in common with the stated one is taken. If two
images fit equally well, or a stated folder or another file on disk contradicts, none is taken and both are named.
"""

import filecmp
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from semsize.exchange.source import (
    IMAGE_ENDINGS,
    Account,
    ExchangeError,
    Parts,
    SourceImage,
    Stated,
    files_below,
    fold,
    folded,
    parts_of,
    short_name,
)


@dataclass(eq=False)
class FoundPicture:
    """The image that belongs to a stated name, or why there is none."""

    path: Path | None = None  # None if no image fits, or it is not certain
    trouble: str | None = None  # why the image is not certain, in a clause that names the candidates
    candidates: tuple[Path, ...] = ()  # images that the name may mean
    parts: Parts = ()  # the stated path that led to the image, folded
    depth: int = 0  # how many parts at the end of this path the source states
    common: int = 0  # how many parts at the ends of this path and of the image's are the same
    by_root: bool = False  # the stated parts are the image's path below the given folder

    def fail(self, trouble: str) -> None:
        """Make the image a mere candidate, and say why it is not certain."""
        if self.path is not None:
            self.candidates = (self.path, *self.candidates)
        self.path, self.trouble = None, trouble


class ImageFolder:
    """The image files of a folder or a list, found by the names that annotation files use for them."""

    def __init__(self, folder: Path, leave_out: Sequence[Path] = ()):
        """Index the images at any depth of `folder`, without those in the folders `leave_out`.

        Raises:
            ExchangeError: `folder` is no folder or holds no images.
        """
        if not folder.is_dir():
            raise ExchangeError(f"{folder}: no such folder; give the one that holds the images")
        files = files_below(folder, IMAGE_ENDINGS, leave_out)
        if not files:
            raise ExchangeError(f"{folder}: holds no images ({' '.join(IMAGE_ENDINGS)}); give the folder that does")
        self.root = folder
        self._index(files, [path.relative_to(folder).as_posix() for path in files])

    @classmethod
    def of_files(cls, files: Sequence[Path], names: Sequence[str] | None = None) -> Self:
        """Index these image files, wherever they lie; ExchangeError if there are none.

        Args:
            files: the files.
            names: the name of each file; None: its path below the folder that holds them all.
        """
        if not files:
            raise ExchangeError("no image files are given; name one at least")
        absolute = [Path(os.path.abspath(path)) for path in files]
        images = cls.__new__(cls)
        images.root = Path(os.path.commonpath([path.parent for path in absolute]))
        images._index(files, names or [path.relative_to(images.root).as_posix() for path in absolute])
        return images

    def _index(self, files: Sequence[Path], names: Sequence[str]) -> None:
        """Index the files by every end of their paths, with and without file endings."""
        self.files = list(files)
        self._names = dict(zip(files, names, strict=True))
        self._by_parts = {parts_of(path): path for path in files}
        self._folded = {path: folded(parts) for parts, path in self._by_parts.items()}
        self._by_end: dict[Parts, list[Path]] = defaultdict(list)
        self._by_endless: dict[Parts, list[Path]] = defaultdict(list)
        for path, (*folders, last) in self._folded.items():
            whole = {last, fold(short_name(path.name))}
            for index, ends in ((self._by_end, whole), (self._by_endless, whole | {fold(path.stem)})):
                for end in ends:
                    parts = (*folders, end)
                    for count in range(1, len(parts) + 1):
                        index[parts[-count:]].append(path)
        self._folders = {parts[:-1] for parts in self._folded.values()}
        self._folder_names = {folder[-1] for folder in self._folders}

    def name_of(self, path: Path) -> str:
        """Return the name of one of the files: its relative path, unless names were given."""
        return self._names[path]

    def match(self, stated: Sequence[Stated], account: Account) -> list[FoundPicture]:
        """Find the images of all names that a source, or a folder of sources, states; the names are judged together.

        Equal names get the same image: only the reader can compare the annotations behind them.
        """
        matches = [self._candidate(name) for name in stated]
        pairs = list(zip(stated, matches, strict=True))
        self._fail_namesakes([(name, match) for name, match in pairs if match.path is not None])
        self._fail_outdone([(name, match) for name, match in pairs if match.path is not None])
        for name, match in pairs:
            if match.path is not None and match.common == 1 and match.depth > 1:
                account.note(
                    "images found by their file name alone, in another folder than stated: make sure they are the same",
                    f"{name.text} is taken for {self.name_of(match.path)}",
                )
        return matches

    def paired(
        self, stated: Sequence[Stated], account: Account, left_out: str, unused: str
    ) -> Iterator[tuple[Path, SourceImage]]:
        """Yield files that belong to one image each (`Stated.of_file`), with this image; each image comes once.

        A file without an image is noted as `left_out`, unless it is one of the images itself; an image without a file
        is noted as left out because it is `unused`.
        """
        matches = self.match(stated, account)
        doubts = rivals(matches, [name.text for name in stated])
        used, done = set(), set()
        for name, match, doubt in zip(stated, matches, doubts, strict=True):
            if match.path is None and name.own in self._names:
                continue
            if match.path is None and match.trouble is None:
                account.note(left_out, name.text)
                continue
            used |= {name.own, match.path, *match.candidates}
            if match.path is None or match.path not in done:
                called = name.text if match.path is None else self.name_of(match.path)
                yield (
                    name.own,
                    SourceImage(match.path, called, trouble=doubt or match.trouble, candidates=match.candidates),
                )
            done.add(match.path)
        self.note_unused(used, account, unused)

    def note_unused(self, used: Set[Path | None], account: Account, reason: str) -> None:
        """Note the images that are not in `used`: they have no annotations, for this `reason`."""
        for path in sorted(set(self.files) - used):
            account.note(f"images left out, {reason}", self.name_of(path))

    def _candidate(self, stated: Stated) -> FoundPicture:
        """Return the image whose path has the longest end in common with the stated one."""
        index = self._by_endless if stated.endless else self._by_end
        own = self._by_parts.get(parts_of(stated.own)) if stated.own is not None else None
        common, parts, depth, spelling = 0, (), 0, ()
        for given, stated_depth in stated.spellings:
            path = folded(given)
            ends = (count for count in range(len(path), 0, -1) if set(index.get(path[-count:], ())) - {own})
            longest = next(ends, 0)
            if longest > common:
                common, parts, depth, spelling = longest, path, stated_depth, given
        if not common:
            return FoundPicture()
        found = [path for path in index[parts[-common:]] if path != own]
        of_root = [path for path in found if parts[-depth:] in self._root_names(path, stated.endless)]
        of_size = [path for path in found if stated.byte_size and path.stat().st_size == stated.byte_size]
        exact = [path for path in found if _spelt(path, stated.endless)[-common:] == spelling[-common:]]
        for choice in (of_size, of_root, exact):  # each narrows down equally good images, unless it excludes them all
            kept = [path for path in found if path in choice]
            found = kept or found
        match = FoundPicture(found[0], None, tuple(found[1:]), parts, depth, common, found[0] in of_root)
        if len(found) > 1:
            match.fail(f"{_both(map(self.name_of, found))} fit it equally well")
        elif stated.on_disk and common < len(parts):
            other = _existing(Path(*spelling), stated.endless)
            if other is not None and not _same(other, match.path):
                match.fail(f"it is of {other}, which is not among the images given, not of {self.name_of(match.path)}")
        return match

    def _fail_namesakes(self, pairs: Sequence[tuple[Stated, FoundPicture]]) -> None:
        """Fail images found by file name alone, if other names or files show that the stated image is another one."""
        bases = defaultdict(set)  # folder as the sources state it: the folders of images that it has turned out to be
        for _, match in pairs:
            if match.common > 1:
                count = min(match.common, match.depth)
                bases[match.parts[:-count]].add(self._folded[match.path][:-count])
        doubtful = [(name, match) for name, match in pairs if match.common == 1 < len(match.parts)]
        for name, match in doubtful:
            named, folder = self.name_of(match.path), match.parts[-2]
            if match.depth > 1 and folder in self._folder_names:
                match.fail(f"the folder {folder} exists but does not hold it, so {named} is a namesake")
            elif name.beside and match.parts[:-1] in self._folders:
                match.fail(f"its folder holds images but not this one, so {named} is a namesake")
            elif name.beside and match.depth > 1 and len(Path(named).parts) > 1:
                match.fail(
                    f"its folder is {folder}, so {named} is a namesake; if it is the one, give only the two folders"
                )
            elif not match.by_root and self._belongs_elsewhere(match, bases):
                match.fail(f"the folders of the other names show that {named} is a namesake")
        self._fail_files_on_disk([(name, match) for name, match in doubtful if match.path is not None])

    def _fail_files_on_disk(self, doubtful: Sequence[tuple[Stated, FoundPicture]]) -> None:
        """Fail images whose stated path leads, from a folder above the image, to another file that was not given."""
        bases = defaultdict(set)
        for name, match in doubtful:
            if match.depth > 1 and (found := _file_above(name, match)):
                base, other = found
                bases[match.parts[:-2]].add(base)
                match.fail(f"it is of {other}, which is not among the images given, not of {self.name_of(match.path)}")
        for _, match in doubtful:
            others = (base / match.path.name for base in bases[match.parts[:-1]]) if match.path is not None else ()
            if other := next((path for path in others if path.is_file() and not _same(path, match.path)), None):
                match.fail(f"the other names show that it is of {other}, not of {self.name_of(match.path)}")

    def _fail_outdone(self, pairs: Sequence[tuple[Stated, FoundPicture]]) -> None:
        """Fail names whose image fits another name as well or better, or differs from the size in bytes they state."""
        claims = defaultdict(list)
        for name, match in pairs:
            claims[match.path].append((name, match))
        for path, of_path in claims.items():
            best = max(match.common for _, match in of_path)
            equals = {match.parts: name.text for name, match in of_path if match.common == best}
            sizes = {name.byte_size for name, match in of_path if match.common == best} - {None}
            actual = path.stat().st_size if sizes else None
            for name, match in of_path:
                if match.common < best:
                    match.fail(f"{self.name_of(path)} belongs to {next(iter(equals.values()))}")
                elif len(equals) > 1:
                    match.fail(f"{_both(equals.values())} fit {self.name_of(path)} equally well")
                elif name.byte_size not in (None, actual) or (sizes and actual not in sizes):
                    other = name.byte_size or next(iter(sizes))
                    match.fail(
                        f"{self.name_of(path)} has {actual} bytes, not {other}: another picture, or saved anew; if it "
                        "is the right one, set its size to -1"
                    )

    def _root_names(self, path: Path, endless: bool) -> set[Parts]:
        """Return what an image may be called below the given folder, folded."""
        *folders, last = Path(self._names[path]).parts
        lasts = {last, short_name(last)} | ({Path(last).stem} if endless else set())
        return {folded((*folders, name)) for name in lasts}

    def _belongs_elsewhere(self, match: FoundPicture, bases: Mapping[Parts, set[Parts]]) -> bool:
        """Whether the other names show where the stated folder is, and the image lies elsewhere in it."""
        folded_parts = self._folded[match.path]
        for count in range(1, len(match.parts)):
            for base in bases.get(match.parts[:-count], ()):
                below = folded_parts[len(base) :]
                if folded_parts[: len(base)] == base and below[:-1] != match.parts[-count:-1]:
                    return True
        return False


def rivals(matches: Sequence[FoundPicture], names: Sequence[str]) -> list[str | None]:
    """Return for each file why it cannot be used if another file has the same image; None for files without rival."""
    of_path = defaultdict(list)
    for match, name in zip(matches, names, strict=True):
        of_path[match.path].append(name)
    return [
        f"{_both(of_path[match.path])} are of it: keep one" if match.path and len(of_path[match.path]) > 1 else None
        for match in matches
    ]


def _spelt(path: Path, endless: bool) -> Parts:
    return (*parts_of(path)[:-1], path.stem if endless else path.name)


def _existing(path: Path, endless: bool) -> Path | None:
    """Return the file of this path or, if `endless`, of this path and an image's ending; None if there is none."""
    endings = [spelt for end in IMAGE_ENDINGS for spelt in (end, end.upper(), end.title())] if endless else []
    try:
        return next((file for file in (path, *(Path(f"{path}{end}") for end in endings)) if file.is_file()), None)
    except (OSError, ValueError):  # a name that no file can have
        return None


def _file_above(stated: Stated, match: FoundPicture) -> tuple[Path, Path] | None:
    """Return a folder above an image, and the other file to which the end of the stated path leads from there."""
    for base in Path(os.path.abspath(match.path)).parents:
        for spelling, _ in stated.spellings:
            other = _existing(base.joinpath(*spelling[-2:]), stated.endless)
            if other is not None and not _same(other, match.path):
                return base, other
    return None


def _same(path: Path, other: Path) -> bool:
    """Whether two paths lead to the same file or to equal copies."""
    return os.path.samefile(path, other) or filecmp.cmp(path, other, shallow=False)


def _both(names: Iterable[str]) -> str:
    """Join names in words: the first three, and how many more there are."""
    first, *others = dict.fromkeys(names)
    listed = [first, *others[:2], *([f"{len(others) - 2} more"] if len(others) > 2 else [])]
    return " and ".join(listed) if len(listed) < 3 else f"{', '.join(listed[:-1])} and {listed[-1]}"
