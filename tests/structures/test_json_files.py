import pytest

from tio2.structures.json_files import read_json, write_json


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"µ": [1.25, None]})
    for broken in ({"x": float("nan")}, {"x": object()}):
        with pytest.raises((ValueError, TypeError)):
            write_json(path, broken)
    assert read_json(path, ValueError) == {"µ": [1.25, None]}
    assert list(tmp_path.iterdir()) == [path]
