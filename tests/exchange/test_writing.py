import pytest

from semsize.exchange import FolderExistsError, new_folder


def test_appears_whole_or_not_at_all(tmp_path):
    out = tmp_path / "deep" / "out"
    with pytest.raises(RuntimeError), new_folder(out, lambda _: True) as folder:  # noqa: PT012
        (folder / "half").write_text("x")
        raise RuntimeError
    assert not any(out.parent.iterdir())
    for content in ("first", "second"):
        with new_folder(out, lambda _: True) as folder:
            (folder / "file").write_text(content)
        assert [path.name for path in out.parent.iterdir()] == ["out"]
        assert (out / "file").read_text() == content


def test_leaves_others_alone(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FolderExistsError, match="move it or give another"), new_folder(tmp_path, lambda _: False):
        pass
    assert (tmp_path / "file").read_text() == "mine"
