"""From a run's checkpoint to one that is shipped."""

import io
from pathlib import Path

import torch

from tio2.engine.checkpoints import CheckpointError, load_checkpoint
from tio2.engine.saving import write_whole


def publish_checkpoint(source: str | Path, target: str | Path) -> None:
    """Write the weights of `source` to `target`: floating-point tensors in half precision, `meta` plain, nothing else.

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
    write_whole(target, buffer.getvalue())


def _halved(tensor: torch.Tensor, name: str) -> torch.Tensor:
    if not tensor.is_floating_point():
        return tensor.clone()
    half = tensor.half()
    if not torch.isfinite(half).all():
        raise CheckpointError(f"{name} has a value that half precision cannot hold; ship it in full precision")
    return half
