"""tools/benchmarks/damaged_files.py in small: no damaged file of any reader ends in a traceback."""

import importlib.util
import sys
from pathlib import Path

import pytest

FILES = 60
path = Path(__file__).parents[2] / "tools/benchmarks/damaged_files.py"
sys.path.insert(0, str(path.parent))  # as where the program is run
spec = importlib.util.spec_from_file_location("damaged_files_tool", path)
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)
sys.path.remove(str(path.parent))


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
