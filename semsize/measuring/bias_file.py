"""Bias records on disk: what is known of a model's errors, in a file beside its weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semsize.metrology import BiasRecord, BiasRecordError, ModelUse
from semsize.structures.files import from_json, in_json, read_json, write_json

ENDINGS = (".bias.json", ".validation.json")
"""Of the files of bias records; the latter is that of former versions."""


def bias_path(checkpoint: str | Path) -> Path:
    """``checkpoints/x.pth`` → ``checkpoints/x.bias.json``."""
    return Path(checkpoint).with_suffix(ENDINGS[0])


def find_bias_file(checkpoint: str | Path) -> Path | None:
    """The file of bias records beside weights, under the present name or else the former one; None without one."""
    return next(filter(Path.is_file, map(Path(checkpoint).with_suffix, ENDINGS)), None)


def read_bias_records(path: str | Path) -> tuple[BiasRecord, ...]:
    """The bias records of a file.

    Raises:
        BiasRecordError: the file is missing, damaged, or of before records were bound to weights and settings; one
            line.
    """
    data = read_json(path, BiasRecordError)
    if isinstance(data, dict) and "records" not in data and "residuals" in data:
        raise BiasRecordError(
            f"{path}: an old record that does not say which weights, settings and precision it holds for; make it "
            "anew with tools/validate.py, or remove it to measure without correction"
        )
    if not isinstance(data, dict) or set(data) != {"records"} or not isinstance(data["records"], list):
        raise _damaged(path, "the file holds no list of records")
    return tuple(bias_record_from_json(record, path) for record in data["records"])


def write_bias_records(path: str | Path, records: Sequence[BiasRecord]) -> None:
    """Write the file, whole or not at all."""
    write_json(path, {"records": in_json(records)}, indent=1)


def bias_record_from_json(data: Any, origin: str | Path) -> BiasRecord:
    """A bias record out of a file.

    Raises:
        BiasRecordError: a key is missing or unknown, a value of the wrong kind, classes overlap or a range is reversed.
    """
    record = _read(data, BiasRecord, "", origin)
    ends = [residual.high_px for residual in record.residuals[:-1]]
    if ends != [residual.low_px for residual in record.residuals[1:]]:
        raise _damaged(origin, "residual classes do not adjoin")
    for name, ends in vars(record.ranges).items():
        if ends is not None and ends[0] > ends[1]:
            raise _damaged(origin, f"{name} of ranges is reversed: {list(ends)}")
    return record


def model_use_from_json(data: Any, origin: str | Path) -> ModelUse:
    """A model's use out of a file; `BiasRecordError` where it is something else."""
    return _read(data, ModelUse, "the model", origin)


def _read(data: Any, kind: type, name: str, origin: str | Path) -> Any:
    try:
        return from_json(data, kind, name)
    except ValueError as cause:
        raise _damaged(origin, str(cause)) from None


def _damaged(origin: str | Path, what: str) -> BiasRecordError:
    return BiasRecordError(f"{origin}: {what}; make it again with tools/validate.py")
