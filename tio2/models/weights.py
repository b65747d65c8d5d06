"""Check what a checkpoint brings to a model before training: a wrong name must not train from scratch unseen."""

from collections.abc import Mapping

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

MISSING = "missing"  # the model has it, the checkpoint does not: keeps its initial value
UNEXPECTED = "unexpected"  # the checkpoint has it, the model does not: unused
MISMATCHED = "of another shape"  # both have it, in another shape: keeps its initial value
EQUAL = "not different as expected"

COCO_DIFFERENCES = {f"roi_head.mask_head.upsample2.{name}": MISSING for name in ("bias", "weight")} | {
    f"roi_head.{layer}.{name}": MISMATCHED
    for layer in ("bbox_head.fc_cls", "bbox_head.fc_reg", "mask_head.conv_logits")
    for name in ("bias", "weight")
}
"""COCO's 80-class Mask R-CNN into one class and a 56 x 56 mask: the class-dependent layers and the added one."""


class TransferError(ValueError):
    """A checkpoint differs from the model where it should not."""


@HOOKS.register_module()
class TransferCheckHook(Hook):
    """Stops a run whose checkpoint fits neither the whole model nor all but the layers that must differ from COCO's."""

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare names and shapes before mmengine, which only warns, copies what fits."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        check_transfer(model.state_dict(), checkpoint.get("state_dict", checkpoint), str(runner._load_from))


def compare_state_dicts(model_state: Mapping[str, Tensor], checkpoint_state: Mapping[str, Tensor]) -> dict[str, str]:
    """Name of each tensor that differs to how it differs."""
    common = model_state.keys() & checkpoint_state.keys()
    return (
        dict.fromkeys(model_state.keys() - common, MISSING)
        | dict.fromkeys(checkpoint_state.keys() - common, UNEXPECTED)
        | {name: MISMATCHED for name in common if model_state[name].shape != checkpoint_state[name].shape}
    )


def check_transfer(
    model_state: Mapping[str, Tensor],
    checkpoint_state: Mapping[str, Tensor],
    origin: str,
    allowed: tuple[Mapping[str, str], ...] = ({}, COCO_DIFFERENCES),
) -> dict[str, str]:
    """Make sure that a checkpoint fits a model: whole, or but for the tensors that must differ.

    Args:
        model_state: `model.state_dict()`.
        checkpoint_state: The checkpoint's `state_dict`.
        origin: The checkpoint's path or URL, for the message.
        allowed: The differences of which exactly one must be found.

    Returns:
        The differences found.

    Raises:
        TransferError: Other differences; the message names up to three of each kind beyond the nearest allowed ones.
    """
    found = compare_state_dicts(model_state, checkpoint_state)
    if found in allowed:
        return found
    surplus = min((_surplus(found, expected) for expected in allowed), key=len)
    raise TransferError(
        f"{origin} does not fit this model ({_describe(surplus)}); "
        "check the checkpoint and the names of the config's modules"
    )


def _surplus(found: Mapping[str, str], expected: Mapping[str, str]) -> dict[str, str]:
    return {
        name: found.get(name, EQUAL) for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)
    }


def _describe(surplus: Mapping[str, str], shown: int = 3) -> str:
    parts = []
    for kind in (MISSING, UNEXPECTED, MISMATCHED, EQUAL):
        names = sorted(name for name, of_kind in surplus.items() if of_kind == kind)
        if names:
            others = f" and {len(names) - shown} more" if len(names) > shown else ""
            parts.append(f"{kind}: {', '.join(names[:shown])}{others}")
    return "; ".join(parts)
