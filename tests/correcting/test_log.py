"""The log of corrections: replayed, torn at any byte, locked, bounded, refused if it belongs to another measurement."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from correcting_scenes import SHAPE, corrections

from semsize.correcting import CorrectionError, CorrectionLog, Operation, Outline, read_log
from semsize.correcting.shapes import ellipse_mask

SHA = "ab" * 32
NAME = "a\nb\r\u2028.png"


def opened(path, **changed):
    return CorrectionLog(path, corrections(), **({"image": NAME, "sha256": SHA} | changed))


def written(path):
    """A log of seven operations, and the outlines after them."""
    with opened(path) as log:
        state = log.corrections
        log.apply(state.merge([1, 2]), person="A\nB")
        log.apply(state.split(3, [(27, 10), (27, 29)]))
        log.undo()
        log.apply(state.add(ellipse_mask((5, 20), (3, 3), SHAPE)))
        log.apply(state.restate([3], "complete"))
        log.undo()
        log.redo()
        return state


def test_a_replay_gives_the_outlines_with_all_that_can_be_undone(tmp_path):
    state = written(tmp_path / "log")
    with opened(tmp_path / "log") as log:
        assert log.corrections == state
        assert log.torn == 0


def test_reading_gives_what_a_writer_has_put_down_and_changes_no_byte(tmp_path):
    path = tmp_path / "log"
    assert read_log(path, corrections(), image=NAME, sha256=SHA) == corrections()
    state = written(path)
    with opened(path), path.open("ab") as stream:
        stream.write(b'{"time":')
        stream.flush()
        content = path.read_bytes()
        assert read_log(path, corrections(), image=NAME, sha256=SHA) == state
        assert path.read_bytes() == content
    with pytest.raises(CorrectionError, match="another image"):
        read_log(path, corrections(), image=NAME, sha256="cd" * 32)


def test_a_name_brings_no_line_into_the_log(tmp_path):
    written(tmp_path / "log")
    records = [json.loads(line) for line in (tmp_path / "log").read_text(encoding="ascii").splitlines()]
    assert len(records) == 8
    assert records[1]["person"] == "A\nB"
    assert {record["image"] for record in records} == {NAME}


def test_after_a_kill_at_any_byte_whole_lines_count_and_the_half_one_is_kept_apart(tmp_path):
    written(tmp_path / "log")
    content = (tmp_path / "log").read_bytes()
    lines = [place for place, byte in enumerate(content) if byte == ord("\n")]
    for end in {*range(0, len(content), 61), *(place + near for place in lines for near in (0, 1, 2))}:
        path = tmp_path / f"log{end}"
        path.write_bytes(content[:end])
        whole, half = content[:end].rpartition(b"\n")[0::2]
        with opened(path) as log:
            assert log.torn == (half != b"")
            log.apply(log.corrections.add(ellipse_mask((35, 5), (3, 3), SHAPE)))
            after = log.corrections
        assert path.read_bytes().startswith(whole)
        torn = path.with_name(path.name + ".torn")
        assert (torn.read_bytes() if torn.exists() else b"") == (half + b"\n" if half else b"")
        with opened(path) as log:
            assert log.corrections == after


def test_a_second_writer_is_refused_until_the_first_has_gone_or_was_killed(tmp_path):
    path = tmp_path / "log"
    with opened(path), pytest.raises(CorrectionError, match="another process is correcting it"):
        opened(path)
    opened(path).close()
    code = (
        "import sys; from correcting_scenes import corrections; from semsize.correcting import CorrectionLog\n"
        f"log = CorrectionLog({str(path)!r}, corrections(), image={NAME!r}, sha256={SHA!r})\n"
        "print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline().strip() == b"locked"
        with pytest.raises(CorrectionError, match="another process is correcting it"):
            opened(path)
        other.kill()
        other.wait()
    opened(path).close()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda lines: [lines[0].replace('"format":1', '"format":2'), *lines[1:]], "another version"),
        (lambda lines: [lines[0].replace("abab", "cdcd"), *lines[1:]], "another image"),
        (lambda lines: [lines[0].replace("[30,40]", "[40,30]"), *lines[1:]], "another image"),
        (lambda lines: lines[1:], "another version"),
        (lambda lines: [lines[0], *lines[2:]], "line 2: new outlines"),
        (lambda lines: [lines[0], "[" * 5000, *lines[1:]], "line 2 is no operation"),
        (lambda lines: [lines[0], "null", *lines[1:]], "line 2 is no operation"),
        (lambda lines: [*lines[:2], lines[2].replace('"after":{"5":["', '"after":{"5":["0'), *lines[3:]], "line 3"),
        (lambda lines: [*lines, lines[-1]], "nothing is left to redo"),
    ],
)
def test_a_log_of_another_or_a_damaged_one_is_refused_in_one_line_and_left_as_it_is(tmp_path, change, word):
    path = tmp_path / "log"
    written(path)
    lines = path.read_text(encoding="ascii").splitlines()
    changed = change(lines)
    assert changed != lines
    path.write_text("".join(f"{line}\n" for line in changed), encoding="ascii")
    before = path.read_bytes()
    with pytest.raises(CorrectionError, match=word) as caught:
        opened(path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"notes", b"notes\nof somebody", b'{"a": 1}'])
def test_somebody_else_s_file_is_left_as_it_is(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(CorrectionError):
        opened(path)
    assert path.read_bytes() == content
    assert not (tmp_path / "notes.txt.torn").exists()


def test_a_log_is_of_its_outlines(tmp_path):
    written(tmp_path / "log")
    other = corrections()
    del other.outlines[3]
    with pytest.raises(CorrectionError, match="other outlines"):
        CorrectionLog(tmp_path / "log", other, image=NAME, sha256=SHA)


def test_what_is_refused_or_does_not_reach_the_disk_leaves_log_and_outlines_as_they_were(tmp_path, monkeypatch):
    path = tmp_path / "log"
    with opened(path) as log:
        before = path.read_bytes()
        with pytest.raises(CorrectionError):
            log.apply(Operation("add", {}, {4: Outline("0")}))
        with pytest.raises(CorrectionError, match="person"):
            log.apply(log.corrections.delete([1]), person="x" * 2000)
        with pytest.raises(CorrectionError, match="undo"):
            log.undo()

        def full_disk(_):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("semsize.correcting.log.os.fsync", full_disk)
            with pytest.raises(CorrectionError, match="No space"):
                log.apply(log.corrections.delete([1]))
        with monkeypatch.context() as patch:
            patch.setattr("semsize.correcting.log.MOST_LINE_BYTES", 100)
            with pytest.raises(CorrectionError, match="too long"):
                log.apply(log.corrections.delete([1]))
        assert path.read_bytes() == before
        assert log.corrections == corrections()


class FullDisk:
    """A log's stream on a disk that takes half a line and, while it is full, does not let it be cut off either."""

    def __init__(self, stream):
        self.stream, self.is_full = stream, True

    def write(self, line):
        return self.stream.write(line[:20] if self.is_full else line)

    def truncate(self, length):
        if self.is_full:
            raise OSError(5, "Input/output error")
        return self.stream.truncate(length)

    def __getattr__(self, name):
        return getattr(self.stream, name)


def test_half_a_line_that_could_not_be_taken_back_is_cut_off_before_the_next_one(tmp_path):
    path = tmp_path / "log"
    with opened(path) as log:
        log.apply(log.corrections.delete([1]))
        log._stream = disk = FullDisk(log._stream)
        for _ in range(2):
            with pytest.raises(CorrectionError, match=r"cannot be written"):
                log.apply(log.corrections.delete([2]))
        disk.is_full = False
        log.apply(log.corrections.restate([3], "complete"))
        after = log.corrections
    with opened(path) as log:
        assert log.corrections == after
        assert log.torn == 0


def replaced(path):
    shutil.copyfile(path, path.with_name("copy"))
    os.replace(path.with_name("copy"), path)


def lengthened(path):
    with path.open("ab") as stream:
        stream.write(b"{}\n")


@pytest.mark.parametrize("change", [replaced, lengthened, os.unlink])
def test_nothing_is_saved_in_a_log_that_another_program_changed_while_it_was_open(tmp_path, change):
    path = tmp_path / "log"
    with opened(path) as log:
        log.apply(log.corrections.delete([1]))
        change(path)
        content = path.read_bytes() if path.exists() else None
        for call in (lambda: log.apply(log.corrections.delete([2])), log.undo):
            with pytest.raises(CorrectionError, match=r"another program changed or replaced it; start this"):
                call()
        assert sorted(log.corrections.outlines) == [2, 3]
        assert (path.read_bytes() if path.exists() else None) == content
