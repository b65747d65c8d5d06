"""One function loads every checkpoint: plain data only, never code; the Runner's own included."""

import os
import pickle
import re
import zipfile
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlparse

import torch
from mmengine.runner.checkpoint import CheckpointLoader, get_torch_safe_globals

CONFIG_FOLDER = Path("configs")


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message is one line that names the file and what to do."""


def load_checkpoint(path: str | Path, map_location: str | torch.device | None = "cpu") -> dict:
    """Load a checkpoint from a file or a URL under mmengine's allow-list of types.

    Args:
        path: A file, or an http(s) address, which is downloaded once into torch's hub folder.
        map_location: As for torch.load.

    Returns:
        The checkpoint, usually with the keys `state_dict` and `meta`.

    Raises:
        CheckpointError: The file is missing, cannot be downloaded, is damaged, or holds something besides plain data.
    """
    file = find_checkpoint(path)
    try:
        with torch.serialization.safe_globals(get_torch_safe_globals()):
            return torch.load(file, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        reason = re.search(r"(?:global|GLOBAL) (\S+)", str(error))
        what = f" ({reason.group(1)})" if reason else ""
        raise CheckpointError(
            f"checkpoint {file} is damaged or holds something besides weights and plain data{what}; it is not loaded, "
            "since such a file can run code: publish it as state_dict and meta of plain types"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"checkpoint {file} is damaged or cut short; take an older one or make it again"
        ) from error


def find_checkpoint(path: str | Path) -> Path:
    """The file of a checkpoint that is named by path or address; an address is downloaded once.

    Raises:
        CheckpointError: It is missing or cannot be downloaded; the message names the command that makes it.
    """
    file = fetch(str(path)) if str(path).startswith(("http://", "https://")) else Path(path).expanduser()
    if not file.is_file():
        raise CheckpointError(f"checkpoint {file} does not exist{how_to_make(file)}")
    return file


def fetch(url: str) -> Path:
    """Download a checkpoint once into torch's hub folder and return its path.

    A name that ends in `-<8 hex digits>.pth`, as the model zoo's do, is held against the file's SHA-256.

    Raises:
        CheckpointError: No network, an error of the server, or a wrong checksum.
    """
    name = Path(urlparse(url).path).name
    target = Path(torch.hub.get_dir()) / "checkpoints" / name
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = re.search(r"-([0-9a-f]{8,64})\.\w+$", name)
    try:
        # torch writes to a temporary name, checks and renames
        torch.hub.download_url_to_file(url, str(target), hash_prefix=digest.group(1) if digest else None)
    except (URLError, OSError, RuntimeError) as error:
        raise CheckpointError(
            f"could not download {url} ({error}); fetch it elsewhere and name the copy: "
            f"--cfg-options load_from=/path/to/{name}"
        ) from error
    return target


def how_to_make(file: Path) -> str:
    """The command that makes work_dirs/<config>/epoch_N.pth, where such a config stands here."""
    configs = sorted(CONFIG_FOLDER.rglob(f"{file.parent.name}.py")) if file.stem.startswith("epoch_") else []
    return f"; make it with: python tools/train.py {configs[0]}" if configs else ""


def _install() -> None:
    """Put load_checkpoint in the place of mmengine's own loaders, which fall back to unpickling code."""

    def load_from_file(filename: str, map_location=None) -> dict:
        return load_checkpoint(os.fspath(filename), map_location)

    CheckpointLoader.register_scheme(prefixes=["", "http://", "https://"], loader=load_from_file, force=True)


_install()
