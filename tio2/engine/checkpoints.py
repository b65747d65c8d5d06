"""Load checkpoints as plain data, compare them with the model, write them whole, find the newest, publish weights."""

import io
import os
import pickle
import re
import shutil
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlparse

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader, get_torch_safe_globals
from torch import nn

from semsize.structures.files import write_whole

CONFIG_FOLDER = Path("configs")
MIB = 2**20
NAME = re.compile(r"epoch_(\d+)(?:_step_(\d+))?\.pth")

MISSING = "missing"  # only the model has the tensor, which keeps its initial value
UNEXPECTED = "unexpected"  # only the checkpoint has the tensor, which is not used
MISMATCHED = "of another shape"  # the shapes differ; the model's tensor keeps its initial value
EQUAL = "not different as expected"  # a tensor of `COCO_DIFFERENCES` fits the model
COCO_DIFFERENCES = {f"roi_head.mask_head.upsample2.{name}": MISSING for name in ("bias", "weight")} | {
    f"roi_head.{layer}.{name}": MISMATCHED
    for layer in ("bbox_head.fc_cls", "bbox_head.fc_reg", "mask_head.conv_logits")
    for name in ("bias", "weight")
}
"""How COCO's 80-class Mask R-CNN differs from ours (one class, 56 x 56 masks): class-dependent layers, an added one."""

NAMES_SHOWN = 3  # names of tensors of each kind in an error message


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message is one line that names the file and what to do."""


def load_checkpoint(path: str | Path, map_location: str | torch.device | None = "cpu") -> dict:
    """Load a checkpoint from a file or an http(s) address; only types on MMEngine's allow-list are unpickled.

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


def load_weights(model: nn.Module, path: str | Path, config: str) -> None:
    """Load the weights of a checkpoint into a model; `config`, the file of the model's config, is for the error.

    Raises:
        CheckpointError: The checkpoint cannot be loaded, or its weights belong to another model.
    """
    weights = load_checkpoint(path)
    try:
        model.load_state_dict(weights.get("state_dict", weights))
    except RuntimeError:
        raise CheckpointError(
            f"checkpoint {path} does not fit {config}; give the config that it was trained with"
        ) from None


def _load_for_mmengine(filename: str, map_location: str | torch.device | None = None) -> dict:
    return load_checkpoint(os.fspath(filename), map_location)


# MMEngine's own loaders fall back to unpickling, which can run code
CheckpointLoader.register_scheme(prefixes=["", "http://", "https://"], loader=_load_for_mmengine, force=True)


@HOOKS.register_module()
class TransferCheckHook(Hook):
    """Stops a run unless its checkpoint fits the whole model, or all of it but `COCO_DIFFERENCES`.

    MMEngine only warns and copies what fits, so that a misspelt module would silently train from scratch. Modules that
    the checkpoint's meta lists in `left_out` are missing on purpose; they start from their initial values.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the names and shapes of tensors before MMEngine copies them."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        left_out = tuple(f"{module}." for module in (checkpoint.get("meta") or {}).get("left_out", ()))
        expected = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(left_out)}
        check_transfer(expected, checkpoint.get("state_dict", checkpoint), str(runner._load_from))


def compare_state_dicts(
    model_state: Mapping[str, torch.Tensor], checkpoint_state: Mapping[str, torch.Tensor]
) -> dict[str, str]:
    """Map the name of each tensor that differs to `MISSING`, `UNEXPECTED` or `MISMATCHED`."""
    common = model_state.keys() & checkpoint_state.keys()
    return (
        dict.fromkeys(model_state.keys() - common, MISSING)
        | dict.fromkeys(checkpoint_state.keys() - common, UNEXPECTED)
        | {name: MISMATCHED for name in common if model_state[name].shape != checkpoint_state[name].shape}
    )


def check_transfer(
    model_state: Mapping[str, torch.Tensor], checkpoint_state: Mapping[str, torch.Tensor], origin: str
) -> None:
    """Make sure that a checkpoint (`origin`: path or address) fits a model, or differs by exactly `COCO_DIFFERENCES`.

    Raises:
        CheckpointError: It differs otherwise; the message compares it with the nearer of the two cases.
    """
    found = compare_state_dicts(model_state, checkpoint_state)
    beyond = [
        {name: found.get(name, EQUAL) for name in found.keys() | nearest.keys() if found.get(name) != nearest.get(name)}
        for nearest in ({}, COCO_DIFFERENCES)
    ]
    if not all(beyond):
        return
    parts, surplus = [], min(beyond, key=len)
    for kind in (MISSING, UNEXPECTED, MISMATCHED, EQUAL):
        if names := sorted(name for name, of_kind in surplus.items() if of_kind == kind):
            others = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
            parts.append(f"{kind}: {', '.join(names[:NAMES_SHOWN])}{others}")
    raise CheckpointError(
        f"{origin} does not fit this model ({'; '.join(parts)}); "
        "check the checkpoint and the names of the config's modules"
    )


def find_checkpoint(path: str | Path) -> Path:
    """Return the file of a checkpoint that is given by its path or address; an address is downloaded only once.

    Raises:
        CheckpointError: The file is missing or cannot be downloaded; the message names the command that makes it.
    """
    file = _download(str(path)) if str(path).startswith(("http://", "https://")) else Path(path).expanduser()
    if not file.is_file():
        raise CheckpointError(f"checkpoint {file} does not exist{_how_to_make(file)}")
    return file


def _download(url: str) -> Path:
    """Download a checkpoint into torch's hub folder, unless it is there, and return its path."""
    name = Path(urlparse(url).path).name
    target = Path(torch.hub.get_dir()) / "checkpoints" / name
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = re.search(r"-([0-9a-f]{8,64})\.\w+$", name)  # model zoo names end in the first digits of the SHA-256
    try:  # torch downloads to a temporary file, checks its hash and renames it
        torch.hub.download_url_to_file(url, str(target), hash_prefix=digest.group(1) if digest else None)
    except (URLError, OSError, RuntimeError) as error:
        raise CheckpointError(
            f"could not download {url} ({error}); fetch it elsewhere and name the copy: "
            f"--cfg-options load_from=/path/to/{name}"
        ) from error
    return target


def _how_to_make(file: Path) -> str:
    """Text with the command that trains work_dirs/<config>/epoch_N.pth; empty if there is no such config."""
    configs = sorted(CONFIG_FOLDER.rglob(f"{file.parent.name}.py")) if file.stem.startswith("epoch_") else []
    return f"; make it with: python tools/train.py {configs[0]}" if configs else ""


def checkpoint_name(epoch: int, step: int | None = None) -> str:
    """File name of the state after `epoch` epochs, or within the next epoch after `step` steps of the run."""
    return f"epoch_{epoch}.pth" if step is None else f"epoch_{epoch}_step_{step}.pth"


def checkpoint_position(path: Path) -> tuple[int, int]:
    """Epochs, and steps of the run (0 if saved at an epoch's end), that a checkpoint's name states."""
    epoch, step = NAME.fullmatch(path.name).groups()
    return int(epoch), int(step or 0)


def checkpoints_of(folder: str | Path) -> list[Path]:
    """List a run's checkpoints (epoch_3.pth, epoch_3_step_350.pth), also damaged ones, the last written first.

    Checkpoints with the same time of writing are ordered by their position.
    """
    found = [path for path in Path(folder).glob("epoch_*.pth") if NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, checkpoint_position(path)), reverse=True)


def newest_checkpoint(folder: str | Path) -> Path:
    """Return the checkpoint that `resume_point` finds, for programs that need a checkpoint.

    Raises:
        CheckpointError: The folder holds no checkpoint, or none is whole.
    """
    newest = resume_point(folder)
    if newest is None:
        raise CheckpointError(f"no epoch_*.pth in {folder}{_how_to_make(Path(folder) / 'epoch_1.pth')}")
    return newest


def resume_point(folder: str | Path) -> Path | None:
    """Return the whole checkpoint that was written last; None if the folder holds no checkpoint at all.

    Damaged checkpoints are named on stderr and passed over. The time of writing decides, not the name: an earlier run
    in the same folder may have left later epochs. MMEngine's `last_checkpoint` file is not used, since it holds an
    absolute path, which is wrong once the folder has moved.

    Raises:
        CheckpointError: The folder holds checkpoints, but none is whole.
    """
    candidates = checkpoints_of(folder)
    for path in candidates:
        try:
            _require_whole(path)
        except CheckpointError as error:
            print(f"passed over: {error}", file=sys.stderr)
        else:
            return path
    if candidates:
        names = ", ".join(path.name for path in candidates)
        raise CheckpointError(f"no checkpoint in {folder} is whole ({names}): move them away to start anew")
    return None


def _require_whole(path: Path) -> None:
    """Load a checkpoint as a resumed run does, and check all its bytes against their checksums."""
    checkpoint = load_checkpoint(path)
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged:
        raise CheckpointError(f"checkpoint {path} is damaged ({damaged}); take an older one or make it again")
    missing = {"state_dict", "optimizer", "meta", "message_hub"} - set(checkpoint)
    if missing:
        raise CheckpointError(
            f"checkpoint {path} holds weights, but no state to go on from ({', '.join(sorted(missing))})"
        )


def write_checkpoint(path: str | Path, data: bytes, *, of_run: bool = True) -> None:
    """Write the bytes of a checkpoint; even after a power cut `path` is either the old file or the whole new one.

    Raises:
        CheckpointError: The disk is full or cannot be written; for a file `of_run`, a training that can be resumed, the
            message names the checkpoint to go on from.
    """
    path, then = Path(path), "start the same command again"
    try:
        write_whole(path, data, durable=True)
    except OSError as error:
        if of_run:
            kept = next(iter(checkpoints_of(path.parent)), None)
            then = f"go on with --resume ({f'{kept.name} is kept' if kept else 'there is no checkpoint before it'})"
        raise CheckpointError(
            f"checkpoint {path} could not be written ({error.strerror}; it has {len(data) / MIB:.1f} MiB, the disk "
            f"{free_mib(path.parent):.1f} MiB free); nothing was replaced: make room, then {then}"
        ) from error


def free_mib(folder: Path) -> float:
    """Free space on the disk of `folder`, in MiB."""
    return shutil.disk_usage(folder).free / MIB


def publish_checkpoint(source: str | Path, target: str | Path) -> None:
    """Write the weights of `source` with its epoch and step to `target`, float32 weights in half precision.

    Raises:
        CheckpointError: `source` cannot be loaded, holds no weights, or has a weight that half precision cannot hold.
    """
    checkpoint = load_checkpoint(source)
    if "state_dict" not in checkpoint:
        raise CheckpointError(f"checkpoint {source} holds no state_dict; give one that training wrote")
    halved = {name: _halved(tensor, f"{source}: {name}") for name, tensor in checkpoint["state_dict"].items()}
    position = {key: int(checkpoint["meta"][key]) for key in ("epoch", "iter") if key in checkpoint.get("meta", {})}
    buffer = io.BytesIO()
    torch.save({"state_dict": halved, "meta": position}, buffer)
    write_checkpoint(target, buffer.getvalue(), of_run=False)


def _halved(tensor: torch.Tensor, name: str) -> torch.Tensor:
    if tensor.dtype != torch.float32:  # such as counts, or float64 thresholds, which must not be rounded
        return tensor.clone()
    half = tensor.half()
    if not torch.isfinite(half).all():
        raise CheckpointError(f"{name} has a value that half precision cannot hold; ship it in full precision")
    return half
