"""What a checkpoint brings to a model, checked before training: a wrong name must not train from scratch unseen."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


class TransferError(ValueError):
    """A checkpoint differs from the model where it should not."""


@dataclass(frozen=True)
class StateDifferences:
    """Names of tensors that differ between a model and a checkpoint, each sorted."""

    missing: tuple[str, ...] = ()  # the model has it, the checkpoint does not: keeps its initial value
    unexpected: tuple[str, ...] = ()  # the checkpoint has it, the model does not: unused
    mismatched: tuple[str, ...] = ()  # both have it, in another shape: keeps its initial value


NO_DIFFERENCES = StateDifferences()

COCO_DIFFERENCES = StateDifferences(
    missing=("roi_head.mask_head.upsample2.bias", "roi_head.mask_head.upsample2.weight"),
    mismatched=(
        "roi_head.bbox_head.fc_cls.bias",
        "roi_head.bbox_head.fc_cls.weight",
        "roi_head.bbox_head.fc_reg.bias",
        "roi_head.bbox_head.fc_reg.weight",
        "roi_head.mask_head.conv_logits.bias",
        "roi_head.mask_head.conv_logits.weight",
    ),
)
"""COCO's 80-class Mask R-CNN into one class and a 56 x 56 mask: the class-dependent layers and the added one."""


def compare_state_dicts(model_state: Mapping[str, Tensor], checkpoint_state: Mapping[str, Tensor]) -> StateDifferences:
    """Name what a checkpoint lacks, what it has too much and what has another shape."""
    model_names, checkpoint_names = set(model_state), set(checkpoint_state)
    return StateDifferences(
        missing=tuple(sorted(model_names - checkpoint_names)),
        unexpected=tuple(sorted(checkpoint_names - model_names)),
        mismatched=tuple(
            sorted(
                name
                for name in model_names & checkpoint_names
                if model_state[name].shape != checkpoint_state[name].shape
            )
        ),
    )


def check_transfer(
    model_state: Mapping[str, Tensor],
    checkpoint_state: Mapping[str, Tensor],
    origin: str,
    allowed: tuple[StateDifferences, ...] = (NO_DIFFERENCES, COCO_DIFFERENCES),
) -> StateDifferences:
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
    surplus = min((_symmetric_difference(found, expected) for expected in allowed), key=_count)
    raise TransferError(
        f"{origin} does not fit this model ({_describe(surplus)}); "
        "check the checkpoint and the names of the config's modules"
    )


def _symmetric_difference(found: StateDifferences, expected: StateDifferences) -> dict[str, list[str]]:
    return {
        "missing": sorted(set(found.missing) - set(expected.missing)),
        "unexpected": sorted(set(found.unexpected) - set(expected.unexpected)),
        "of another shape": sorted(set(found.mismatched) - set(expected.mismatched)),
        "not different as expected": sorted(
            (set(expected.missing) | set(expected.mismatched)) - set(found.missing) - set(found.mismatched)
        ),
    }


def _count(surplus: dict[str, list[str]]) -> int:
    return sum(map(len, surplus.values()))


def _describe(surplus: dict[str, list[str]], shown: int = 3) -> str:
    parts = []
    for kind, names in surplus.items():
        if names:
            rest = f" and {len(names) - shown} more" if len(names) > shown else ""
            parts.append(f"{kind}: {', '.join(names[:shown])}{rest}")
    return "; ".join(parts)
