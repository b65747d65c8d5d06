"""Each worker process has its own number."""

import os

from semsize.structures import parts
from semsize.structures.parts import process_number, processes_for


def who(shared, task):
    return os.getpid(), process_number(), shared, task


def test_each_process_has_a_number_of_its_own_and_a_single_one_has_none(monkeypatch):
    monkeypatch.setattr(parts, "START_METHOD", "spawn")
    with processes_for(2, ValueError, "shared") as run:
        found = list(run(who, [(task,) for task in range(8)]))
    assert sorted(task for *_, task in found) == list(range(8))
    number_of = {pid: number for pid, number, *_ in found}
    assert {(pid, number) for pid, number, *_ in found} == set(number_of.items())
    assert len(set(number_of.values())) == len(number_of)
    assert set(number_of.values()) <= {1, 2}
    with processes_for(1, ValueError, "shared") as run:
        assert list(run(who, [(0,)])) == [(os.getpid(), 0, "shared", 0)]
