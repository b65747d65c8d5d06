"""tools/download_dataset.py against a local server that answers like Zenodo and GitHub."""

import hashlib
import http.server
import io
import json
import socket
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from tool_modules import tool_module

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools/download_dataset.py"

tool = tool_module("download_dataset")


def zip_bytes(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


NOISE = hashlib.shake_256(b"noise").digest(400_000)
ARCHIVE = zip_bytes({"SEM/1.tif": NOISE, "SEM/2.tif": b"two"})
EMPS = zip_bytes({"emps-main/images/a.png": NOISE, "emps-main/segmaps/a.png": b"labels"})


class Server(http.server.ThreadingHTTPServer):
    """`breaks` transfers stop half-way, `ranges` says whether it resumes, `requests` is what was asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.breaks, self.ranges, self.requests = 0, True, []
        self.files = {"images.zip": ARCHIVE, "notes.txt": b"read me"}
        self.checksums = {name: hashlib.md5(content).hexdigest() for name, content in self.files.items()}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def record(self):
        files = [
            {
                "id": name,
                "key": name,
                "size": len(content),
                "checksum": f"md5:{self.checksums[name]}",
                "links": {"self": f"{self.url}/api/records/4563942/files/{name}/content"},
            }
            for name, content in self.files.items()
        ]
        return {"id": 4563942, "metadata": {"title": "Particles", "license": {"id": "cc-by-nc-nd-4.0"}}, "files": files}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.requests.append((self.path, wanted))
        if self.path == "/api/records/4563942":
            self.answer(json.dumps(server.record()).encode())
        elif self.path.endswith("/content") and self.path.split("/")[-2] in server.files:
            self.answer(server.files[self.path.split("/")[-2]], wanted)
        elif self.path == "/by256/emps/archive/HEAD.zip":
            self.answer(EMPS, wanted)
        else:
            self.send_error(404)

    def answer(self, content, wanted=None):
        start = 0
        if wanted and self.server.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.server.breaks and len(content) > 10_000:
            self.server.breaks -= 1
            content = content[: start + (len(content) - start) // 2]
        self.wfile.write(content[start:])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def get(server, out, name="bam-tio2-sem"):
    tool.main([name, "--out", str(out), "--base-url", server.url])
    return out / "downloads" / name


def refused(server, out, name="bam-tio2-sem"):
    with pytest.raises(SystemExit) as caught:
        get(server, out, name)
    text = str(caught.value)
    assert text.startswith("error: ")
    assert "\n" not in text
    return text


def asked(server, ending):
    return [wanted for path, wanted in server.requests if path.endswith(ending)]


def test_a_record_arrives_whole_checked_and_unpacked(server, tmp_path, capsys):
    folder = get(server, tmp_path)
    assert {path.name for path in folder.iterdir()} == {"images.zip", "images", "notes.txt"}
    assert (folder / "images.zip").read_bytes() == ARCHIVE
    assert (folder / "images/SEM/1.tif").read_bytes() == NOISE
    text = capsys.readouterr().out
    for line in ("CC BY-NC-ND 4.0", "4942 (2021)", f"bam_tio2.py {folder} --out {tmp_path}/bam-tio2-sem", "Particles"):
        assert line in text
    get(server, tmp_path)
    assert asked(server, "images.zip/content") == [None], "what is here is not fetched again"


def test_an_interrupted_download_goes_on_where_it_stopped(server, tmp_path):
    server.breaks = 2
    folder = get(server, tmp_path)
    half, three_quarters = len(ARCHIVE) // 2, len(ARCHIVE) // 2 + (len(ARCHIVE) - len(ARCHIVE) // 2) // 2
    assert asked(server, "images.zip/content") == [None, f"bytes={half}-", f"bytes={three_quarters}-"]
    assert (folder / "images.zip").read_bytes() == ARCHIVE


def test_a_download_that_keeps_breaking_off_is_resumed_by_the_next_run(server, tmp_path):
    server.breaks = 3
    assert "run the command again to continue" in refused(server, tmp_path)
    folder = tmp_path / "downloads/bam-tio2-sem"
    arrived = (folder / "images.zip.part").stat().st_size
    assert 0 < arrived < len(ARCHIVE)
    assert not (folder / "images.zip").exists()
    get(server, tmp_path)
    assert asked(server, "images.zip/content")[-1] == f"bytes={arrived}-"
    assert (folder / "images.zip").read_bytes() == ARCHIVE
    assert not list(folder.glob("*.part"))


def test_a_server_that_cannot_resume_sends_all_of_it_again(server, tmp_path):
    server.breaks, server.ranges = 1, False
    assert (get(server, tmp_path) / "images.zip").read_bytes() == ARCHIVE


def test_a_wrong_checksum_is_refused_and_nothing_kept(server, tmp_path):
    right = server.checksums["images.zip"]
    server.checksums["images.zip"] = "0" * 32
    text = refused(server, tmp_path)
    assert f"its md5 is {right}, the record says {'0' * 32}" in text
    assert list((tmp_path / "downloads/bam-tio2-sem").iterdir()) == []
    server.checksums["images.zip"] = right
    assert (get(server, tmp_path) / "images.zip").exists()


def test_a_file_that_was_changed_here_is_noticed(server, tmp_path):
    folder = get(server, tmp_path)
    (folder / "images.zip").write_bytes(ARCHIVE[:-1] + b"x")
    assert "deleted, run the command again" in refused(server, tmp_path)
    assert (get(server, tmp_path) / "images.zip").read_bytes() == ARCHIVE


def test_404_names_the_address(server, tmp_path):
    record = server.record()
    record["files"][0]["links"]["self"] = f"{server.url}/gone"
    server.record = lambda: record
    assert f"{server.url}/gone: the server says 404 Not Found; it has moved" in refused(server, tmp_path)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"files": []}, "lists no files"),
        ([], "lists no files"),
        ({"id": 1, "files": [{"key": "a"}]}, "is not understood"),
        ({"id": 1, "files": [{"key": "../a", "links": {"self": ""}, "size": 1, "checksum": ""}]}, "is not understood"),
        (
            {"files": [{"key": "a", "links": {"self": "file:///etc/hosts"}, "size": 1, "checksum": "md5:0"}]},
            "not an http address",
        ),
    ],
)
def test_an_answer_of_another_form_is_refused(server, tmp_path, record, message):
    server.record = lambda: record
    assert message in refused(server, tmp_path)
    assert not list(tmp_path.rglob("*.zip"))


def test_no_network_is_one_line(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(SystemExit, match=r"no connection .*; check the network"):
        tool.main(["bam-tio2-sem", "--out", str(tmp_path), "--base-url", f"http://127.0.0.1:{port}"])


def test_emps_from_an_archive_without_checksum(server, tmp_path, capsys):
    server.breaks = 1
    folder = get(server, tmp_path, "emps")
    assert (folder / "emps/emps-main/images/a.png").read_bytes() == NOISE
    text = capsys.readouterr().out
    assert "licence: MIT" in text
    assert "10.1021/acs.jcim.0c01455" in text


def test_a_damaged_zip_is_deleted_and_fetched_again(server, tmp_path):
    folder = tmp_path / "downloads/emps"
    folder.mkdir(parents=True)
    (folder / "emps.zip").write_bytes(EMPS[:5000])
    assert "a damaged zip" in refused(server, tmp_path, "emps")
    assert (get(server, tmp_path, "emps") / "emps/emps-main/segmaps/a.png").exists()


def test_the_environment_names_a_mirror_and_help_shows_a_command(server, tmp_path):
    command = [sys.executable, str(TOOL)]
    variables = {"TIO2_DOWNLOAD_BASE_URL": server.url, "PATH": ""}
    done = subprocess.run(
        [*command, "emps", "--out", str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT, env=variables
    )
    assert "unpacked: " in done.stdout
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "python tools/download_dataset.py bam-tio2-sem --out data/" in shown.stdout
