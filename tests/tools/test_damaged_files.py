"""tools/benchmarks/damaged_files.py on few files: no reader ends in a traceback."""

import pytest
from tool_modules import tool_module

FILES = 60
tool = tool_module("benchmarks/damaged_files")


@pytest.mark.parametrize("name", tool.READERS)
def test_damaged_files_are_read_left_out_or_refused(name):
    tally = tool.try_reader(name, range(FILES), seed=1)
    assert not tally.failed
    assert tally.read + tally.left_out + tally.refused == FILES
    assert tally.left_out + tally.refused > 0


@pytest.mark.parametrize("name", tool.READERS)
def test_whole_files_are_read(name, monkeypatch):
    whole = tool.READERS[name]
    monkeypatch.setitem(tool.READERS, name, tool.Reader(whole.whole, whole.name, lambda data, _: data, whole.read))
    tally = tool.try_reader(name, range(20), seed=0)
    assert not tally.failed
    assert tally.read >= 14, "a few hold what one reader refuses: one bit, a JPEG of labels"


def test_the_damage_depends_on_the_seed_and_the_number_alone():
    first = tool.try_reader("COCO", range(30), seed=3)
    assert vars(tool.try_reader("COCO", range(30), seed=3)) | {"slowest_s": 0} == vars(first) | {"slowest_s": 0}
