"""Written files match the schemas that `semsize schema` prints, and damaged files do not."""

import json
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator

from semsize.cli import main
from semsize.detecting.models import SHIPPED
from semsize.metrology.bias_record import bias_path
from semsize.programs.schema import NAMES, schema


def validator(name):
    return Draft202012Validator(schema(name))


def contents(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_each_is_printed_and_is_a_schema(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["semsize", "schema", name])
    main()
    printed = json.loads(capsys.readouterr().out)
    assert printed == schema(name)
    Draft202012Validator.check_schema(printed)


def test_a_measurement_and_its_corrections_hold_to_theirs(results):
    for name in ("record", "predictions"):
        validator(name).validate(contents(results.folder / f"{name}.json"))
    written = contents(results.write_annotations())
    assert written["annotations"]
    validator("corrections").validate(written)


@pytest.mark.parametrize("change", [{"settings": None}, {"seconds": "long"}, {"unknown": 1}, {"images": [{}]}])
def test_a_record_that_cannot_be_read_breaks_it(results, change):
    record = contents(results.folder / "record.json") | change
    assert not validator("record").is_valid(record)


def test_what_ships_holds_to_theirs():
    for model in SHIPPED.values():
        validator("bias").validate(contents(bias_path(model.checkpoint)))


def test_a_reader_that_leaves_ends_it_quietly():
    program = [sys.executable, "-c", "from semsize.cli import main; main()", "schema", "record"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        running.stdout.close()
        assert running.stderr.read() == ""
