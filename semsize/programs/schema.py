"""Program that prints JSON Schemas of the files that the instrument writes and reads."""

import argparse
import json
from collections.abc import Sequence
from typing import Any

PROGRAM = """Print the JSON Schema (draft 2020-12) of a file that this version writes.

semsize schema record > record.schema.json
semsize schema bias

record        record.json of a measurement
predictions   predictions.json of a measurement or a test: COCO results with the name of each image
corrections   corrections.json of corrected outlines, and annotation files of data sets: COCO with states
bias          CHECKPOINT.bias.json: residuals of a model's sizes, and the use that they hold for
visibility    CHECKPOINT.record.json of a visibility model
archive       model.json in a model archive (.semsize), of a detector or of a visibility model
"""
"""Description in --help."""

NAMES = ("record", "predictions", "corrections", "bias", "visibility", "archive")


def main(arguments: list[str] | None = None) -> None:
    """Print the schema of a file."""
    parser = argparse.ArgumentParser(description=PROGRAM, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", choices=NAMES)
    print(json.dumps(schema(parser.parse_args(arguments).file), indent=1))


def schema(name: str) -> dict[str, Any]:
    """Return the schema of a file in `NAMES`; schemas of dataclasses come from the types that the reader checks."""
    from semsize.detecting.archive import GRAPHS  # not above: --help is quick
    from semsize.measuring.record import Record
    from semsize.metrology import BiasRecord
    from semsize.structures.files import json_schema
    from semsize.visibility.record import VisibilityRecord

    schemas = {
        "record": lambda: _measurement(json_schema(Record)),
        "predictions": lambda: {"type": "array", "items": _PREDICTION},
        "corrections": lambda: _DATASET,
        "bias": lambda: _object(records=_list(json_schema(BiasRecord))),
        "visibility": lambda: _object(records=_list(json_schema(VisibilityRecord))),
        "archive": lambda: {"anyOf": [_archive(json_schema(card), names) for card, names in GRAPHS.items()]},
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schemas[name]()}


def _object(**properties: dict) -> dict[str, Any]:
    """Schema of an object that has these keys, and may have more."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: dict) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _or_null(kind: str) -> dict[str, Any]:
    return {"type": [kind, "null"]}


_TEXT, _WHOLE, _NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
_BOX = {"type": "array", "items": _NUMBER, "minItems": 4, "maxItems": 4}  # x, y, width, height, px
_RLE = _object(size={"type": "array", "items": _WHOLE, "minItems": 2, "maxItems": 2}, counts=_TEXT)
_PREDICTION = _object(
    image_id=_WHOLE,
    image=_TEXT,
    category_id=_WHOLE,
    bbox=_BOX,
    score={"type": "number", "minimum": 0, "maximum": 1},
    segmentation=_RLE,
)
_IMAGE = _object(id=_WHOLE, file_name=_TEXT, height=_WHOLE, width=_WHOLE, pixel_size_nm=_or_null("number"))
_PARTICLE = _object(
    id=_WHOLE,
    image_id=_WHOLE,
    category_id=_WHOLE,
    segmentation=_RLE,
    area=_NUMBER,
    bbox=_BOX,
    iscrowd=_WHOLE,
    state=_or_null("string"),
)
_DATASET = _object(
    info={"type": "object"},
    categories=_list(_object(id=_WHOLE, name=_TEXT)),
    images=_list(_IMAGE),
    annotations=_list(_PARTICLE),
)


def _measurement(record: dict[str, Any]) -> dict[str, Any]:
    """Schema of `record.json`: the record, how it was made, and the numbers."""
    made = {
        "program": _TEXT,
        "date": {"type": "string", "format": "date-time"},
        "command": _list(_TEXT),
        "versions": {"type": "object", "additionalProperties": _TEXT},
        "states_sha256": _or_null("string"),
        "corrections": _or_null("object"),
        "processes": _WHOLE,
        "not_validated": _list(_TEXT),
        "states_not_validated": _list(_TEXT),
        "warnings": _list(_TEXT),
        "results": {"type": "object"},
        "seconds": _NUMBER,
    }
    contents = _object(**record["properties"], **made) | {"additionalProperties": False}
    contents["properties"]["licence"] = _TEXT  # missing in files of earlier versions
    return contents


def _archive(card: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Schema of `model.json` for a kind of model: the format, the graphs' SHA-256 by name, and the card."""
    graphs = _object(**dict.fromkeys(names, _TEXT)) | {"additionalProperties": False}
    return _object(**card["properties"], format={"const": 1}, graphs=graphs) | {"additionalProperties": False}
