"""Finds the files in the archive of BAM's annotated TiO₂ SEM images (Zenodo record 4563942) and pairs them."""

import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from semsize.structures.files import ZIP_ERRORS

SPLITS = {
    "train": (
        *("1908248", "1908250", "1908254", "1908258", "1908264", "1908266", "1908268", "1908274", "1908278", "1908280"),
        *("1908284", "1908288", "1908292", "1908294", "1908298", "1908302", "1908306", "1908308", "1908312", "1908316"),
        *("1908320", "1908322"),
    ),
    "val": ("1908260", "1908272", "1908286", "1908300", "1908314", "1908324"),
}

_IMAGES = PurePosixPath("Electron Microscopy Images/SEM")
_MASKS = PurePosixPath("Electron Microscopy Image Masks/TiO2_Masks_Manual_4connected")
_CLASSES = PurePosixPath("Electron Microscopy Image Masks/TiO2_Masks_Manual_4connected_4Classes")


class BamArchiveError(ValueError):
    """The folders or a file of the archive differ from record 4563942; the message names the path."""


@dataclass(frozen=True)
class AnnotatedImage:
    """One SEM image with its masks: the paths of its files and its split."""

    name: str  # without ending, e.g. 1908248
    split: str  # train, val or test
    image: Path
    mask: Path
    classes: Path | None  # the four-class mask; None if the archive has none of this image


@dataclass(frozen=True)
class Archive:
    """The images of an archive that have a mask, sorted by name, and the names of files left out or missing."""

    images: tuple[AnnotatedImage, ...]
    without_mask: tuple[str, ...]  # SEM images, which are left out
    without_image: tuple[str, ...]  # masks, which are left out
    absent: tuple[str, ...]  # images of SPLITS that are not in the archive or have no mask


def unpack(source: Path, target: Path) -> Path:
    """Return the folder to read: `source` if it is a folder, else `target` with the files of the zip `source`.

    Raises:
        BamArchiveError: `source` is neither a folder nor a readable zip, or lacks the images or masks.
    """
    if source.is_dir():
        return source
    try:
        with zipfile.ZipFile(source) as archive:
            for member in archive.infolist():
                path = PurePosixPath(member.filename.replace("\\", "/"))
                folder = next((known for known in (_IMAGES, _MASKS, _CLASSES) if _ends_with(path.parent, known)), None)
                if folder is None or member.is_dir() or not _is_tiff(path):
                    continue
                unpacked = target / folder / path.name
                if unpacked.exists():
                    raise BamArchiveError(f"{source}: holds {folder / path.name} twice; give the folder to read")
                unpacked.parent.mkdir(parents=True, exist_ok=True)
                unpacked.write_bytes(archive.read(member))
    except BamArchiveError:
        raise
    except OSError as cause:
        raise BamArchiveError(
            f"{source}: cannot be read ({cause.strerror}); give the archive's folder or zip"
        ) from None
    except ZIP_ERRORS as cause:
        raise BamArchiveError(f"{source}: no sound zip ({cause}); download it again") from None
    for wanted in (_IMAGES, _MASKS):
        if not (target / wanted).is_dir():
            raise _lacks(source, wanted)
    return target


def list_archive(folder: Path) -> Archive:
    """Find the archive's folders at any depth below `folder` and pair images with masks.

    Images with a mask that are not in the train and val lists of SPLITS are `test`.

    Raises:
        BamArchiveError: the folder of images or of masks is missing or occurs twice, or no image has a mask.
    """
    found = [_find(folder, _IMAGES), _find(folder, _MASKS), _find(folder, _CLASSES)]
    for wanted, path in zip((_IMAGES, _MASKS), found[:2], strict=True):
        if path is None:
            raise _lacks(folder, wanted)
    images, masks, classes = (
        {} if path is None else _tiffs(path, ending) for path, ending in zip(found, ("", "_m", "_cm"), strict=True)
    )
    split_of = {name: split for split, names in SPLITS.items() for name in names}
    names = sorted(images.keys() & masks.keys())
    if not names:
        raise BamArchiveError(f"{folder}: no image of {_IMAGES} has a mask in {_MASKS}; give the whole archive")
    return Archive(
        tuple(AnnotatedImage(n, split_of.get(n, "test"), images[n], masks[n], classes.get(n)) for n in names),
        without_mask=tuple(sorted(images.keys() - masks.keys())),
        without_image=tuple(sorted(masks.keys() - images.keys())),
        absent=tuple(sorted(split_of.keys() - set(names))),
    )


def _find(folder: Path, wanted: PurePosixPath) -> Path | None:
    """Return the folder below `folder` whose path ends in `wanted`, or None; `__MACOSX` folders do not count."""
    found = sorted(path for path in folder.rglob(wanted.name) if _ends_with(path, wanted) and path.is_dir())
    if len(found) > 1:
        raise BamArchiveError(f"{folder}: holds {wanted} twice ({found[0]}, {found[1]}); give the one to read")
    return found[0] if found else None


def _lacks(source: Path, wanted: PurePosixPath) -> BamArchiveError:
    return BamArchiveError(f"{source}: holds no files in {wanted}; give the archive of Zenodo record 4563942")


def _ends_with(path: PurePosixPath | Path, end: PurePosixPath) -> bool:
    return path.parts[-len(end.parts) :] == end.parts and "__MACOSX" not in path.parts


def _is_tiff(path: PurePosixPath | Path) -> bool:
    return path.suffix.lower() in (".tif", ".tiff") and not path.name.startswith(".")


def _tiffs(folder: Path, ending: str) -> dict[str, Path]:
    """Return the TIFF files of a folder whose stem ends in `ending`, by the stem without it."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if _is_tiff(path) and path.stem.endswith(ending):
            other = found.setdefault(path.stem.removesuffix(ending), path)
            if other != path:
                raise BamArchiveError(f"{folder}: holds {other.name} and {path.name} of one image; keep one of them")
    return found
