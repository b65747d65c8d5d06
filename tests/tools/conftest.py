"""Fixtures for the tests of programs."""

import subprocess

import pytest
from processes import ForkedProgram


@pytest.fixture(scope="module")
def run_tool(tmp_path_factory):
    """Runs a program of tools/ with some words in the repository's root, to its end; gives code, stdout and stderr."""
    folder = tmp_path_factory.mktemp("console")

    def run(name, *words):
        number = len(list(folder.iterdir()))
        out, errors = folder / f"{number}.out", folder / f"{number}.err"
        code = ForkedProgram([f"tools/{name}", *words], out, errors).wait()
        return subprocess.CompletedProcess([name, *words], code, out.read_text(), errors.read_text())

    return run
