import hashlib

import pytest

from semsize.structures.files import file_sha256, files_sha256, read_json, write_json


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"µ": [1.25, None]})
    for broken in ({"x": float("nan")}, {"x": object()}):
        with pytest.raises((ValueError, TypeError)):
            write_json(path, broken)
    assert read_json(path, ValueError) == {"µ": [1.25, None]}
    assert list(tmp_path.iterdir()) == [path]


def test_indented_and_compact_say_the_same(tmp_path):
    data = {"a": [1, {"b": None}]}
    write_json(tmp_path / "compact.json", data)
    write_json(tmp_path / "indented.json", data, indent=2)
    assert (tmp_path / "compact.json").read_text() == '{"a":[1,{"b":null}]}'
    assert (tmp_path / "indented.json").read_text().splitlines()[1] == '  "a": ['
    assert read_json(tmp_path / "compact.json", ValueError) == read_json(tmp_path / "indented.json", ValueError)


def test_the_digest_of_files_is_that_of_a_listing_as_sha256sum_writes_it_but_for_the_order(tmp_path):
    """Records of measurements hold it, so that it never changes."""
    paths = [tmp_path / name for name in ("b", "a")]
    for path in paths:
        path.write_bytes(path.name.encode())
    listing = "".join(f"{path.name} {file_sha256(path)}\n" for path in paths).encode()
    assert files_sha256((path.name, path) for path in paths) == hashlib.sha256(listing).hexdigest()
    assert files_sha256([]) == hashlib.sha256(b"").hexdigest()
