"""Download a public data set: BAM's TiO2 images (Zenodo record 4563942) or EMPS, checked and unpacked.

python tools/download_dataset.py bam-tio2-sem --out data/
python tools/download_dataset.py emps --out data/

Files go to OUT/downloads/<name>/; a zip is unpacked into a folder beside it. If a transfer breaks off, run the command
again: it goes on where it stopped. --base-url (or TIO2_DOWNLOAD_BASE_URL) names a mirror.
"""

import argparse
import hashlib
import http.client
import json
import os
import shutil
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from semsize.cli import one_line_errors

RECORD = 4563942
BASES = {"bam-tio2-sem": "https://zenodo.org", "emps": "https://github.com"}
ABOUT = {
    "bam-tio2-sem": (
        "licence: CC BY-NC-ND 4.0, and so weights trained on it are for non-commercial use",
        "cite: B. Rühle, J. F. Krumrey, V.-D. Hodoroaba, Sci. Rep. 11, 4942 (2021); doi:10.5281/zenodo.4563942",
        "next: python tools/dataset_converters/bam_tio2.py {folder} --out {out}/bam-tio2-sem",
    ),
    "emps": (
        "licence: MIT",
        "cite: B. Yildirim, J. M. Cole, J. Chem. Inf. Model. (2021); doi:10.1021/acs.jcim.0c01455",
        "next: python tools/dataset_converters/label_images.py --images {folder}/emps/*/images "
        "--labels {folder}/emps/*/segmaps --out {out}/emps",
    ),
}
TRIES = 3
TIMEOUT_S = 60
_CHUNK = 1 << 16


class DownloadError(ValueError):
    """A file could not be fetched or is damaged; the message is one line with the address or file and what to do."""


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch.

    Attributes:
        name: name of the file to write, without folder.
        url: its address.
        size: bytes, None if not stated.
        checksum: `md5:…` or another algorithm of hashlib, None if not stated.
    """

    name: str
    url: str
    size: int | None = None
    checksum: str | None = None


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(BASES), help="the data set")
    parser.add_argument("--out", type=Path, default=Path("data"), help="folder (default: %(default)s)")
    parser.add_argument(
        "--base-url", default=os.environ.get("TIO2_DOWNLOAD_BASE_URL"), help="server to use (default: the data set's)"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """List the files, fetch, check and unpack them; print licence and citation."""
    options = parse_arguments(arguments)
    base = (options.base_url or BASES[options.name]).rstrip("/")
    folder = options.out / "downloads" / options.name
    with one_line_errors(DownloadError, OSError):
        if options.name == "emps":  # the server makes the zip on request, so it has neither size nor checksum
            files = [RemoteFile("emps.zip", f"{base}/by256/emps/archive/HEAD.zip")]
        else:
            record = zenodo_record(base, RECORD)
            print(f"Zenodo record {RECORD}: {record.get('metadata', {}).get('title')}")
            files = files_of(record)
        for file in files:
            path = fetch(file, folder)
            print(f"{path}: {path.stat().st_size:,} bytes, {file.checksum or 'no checksum stated'}")
            if path.suffix.lower() == ".zip":
                print(f"unpacked: {unpack_zip(path, path.with_suffix(''))}")
    for line in ABOUT[options.name]:
        print(line.format(folder=folder, out=options.out))


def zenodo_record(base: str, number: int) -> dict[str, Any]:
    """Return Zenodo's description of a record.

    Raises:
        DownloadError: the record cannot be fetched, or the answer is no record.
    """
    url = f"{base.rstrip('/')}/api/records/{number}"
    with _open(urllib.request.Request(url)) as answer:
        try:
            record = json.loads(answer.read())
        except (ValueError, http.client.HTTPException) as cause:
            raise DownloadError(f"{url}: the answer is not JSON ({cause}); try again later") from None
    if not (isinstance(record, dict) and isinstance(record.get("files"), list) and record["files"]):
        raise DownloadError(f"{url}: the record lists no files; look at it in a browser")
    return record


def files_of(record: dict[str, Any]) -> list[RemoteFile]:
    """Return the files of a Zenodo record with the checksums that it states.

    Raises:
        DownloadError: an entry lacks its name, size, checksum or address.
    """
    try:
        return [
            RemoteFile(_plain_name(entry["key"]), entry["links"]["self"], int(entry["size"]), entry["checksum"])
            for entry in record["files"]
        ]
    except (KeyError, TypeError, ValueError) as cause:
        raise DownloadError(f"record {record.get('id')}: an entry of its files is not understood ({cause!r})") from None


def fetch(file: RemoteFile, folder: Path) -> Path:
    """Fetch a file into a folder, unless it is there already.

    The file is `<name>.part` until it is complete and its checksum is right; the next call continues it. If the
    server cannot resume, the whole file is fetched again.

    Raises:
        DownloadError: it cannot be fetched, or its size or checksum is wrong; a wrong file is deleted.
    """
    path, part = folder / file.name, folder / f"{file.name}.part"
    if path.exists():
        _check(path, file)
        return path
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(TRIES):
        before = part.stat().st_size if part.exists() else 0
        if _receive(file, part):
            _check(part, file)
            part.replace(path)
            return path
        if part.stat().st_size <= before:
            break
    arrived = part.stat().st_size
    raise DownloadError(f"{file.url}: broke off after {arrived:,} bytes; run the command again to continue")


def unpack_zip(path: Path, folder: Path) -> Path:
    """Unpack a zip into a folder, whole or not at all; an existing folder is left as it is.

    Raises:
        DownloadError: the zip is damaged; it is deleted, so that the next call fetches it again.
    """
    if folder.exists():
        return folder
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(scratch)
        scratch.rename(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError) as cause:
        path.unlink()
        raise DownloadError(f"{path}: a damaged zip ({cause}), deleted; run the command again") from None
    finally:
        if scratch.exists():
            shutil.rmtree(scratch)
    return folder


def _receive(file: RemoteFile, part: Path) -> bool:
    """Append what the server sends to `part`; return whether the file is then complete."""
    start = part.stat().st_size if part.exists() else 0
    if file.size is not None and start >= file.size:
        return True
    request = urllib.request.Request(file.url, headers={"Range": f"bytes={start}-"} if start else {})
    with _open(request) as answer:
        resumed = answer.status == http.client.PARTIAL_CONTENT
        start = start if resumed else 0
        length = answer.headers.get("Content-Length")
        expected = file.size if file.size is not None else None if length is None else start + int(length)
        with (
            part.open("ab" if resumed else "wb") as stream,
            tqdm(desc=file.name, total=expected, initial=start, unit="B", unit_scale=True, disable=None) as bar,
        ):
            try:
                while chunk := answer.read(_CHUNK):
                    bar.update(stream.write(chunk))
            except (OSError, http.client.HTTPException):
                return False  # the received bytes stay, and the next try continues from them
    return expected is None or part.stat().st_size >= expected


def _open(request: urllib.request.Request) -> http.client.HTTPResponse:
    request.add_header("User-Agent", "tio2-download")
    url = request.full_url
    if not url.startswith(("http://", "https://")):
        raise DownloadError(f"{url}: not an http address; correct it")
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as cause:
        cure = "it has moved or does not exist: look for it in a browser" if cause.code == 404 else "try again later"
        raise DownloadError(f"{url}: the server says {cause.code} {cause.reason}; {cure}") from None
    except (OSError, http.client.HTTPException) as cause:
        reason = getattr(cause, "reason", cause)
        raise DownloadError(f"{url}: no connection ({reason}); check the network, then run the command again") from None


def _check(path: Path, file: RemoteFile) -> None:
    """Compare size and checksum with those stated; delete the file and raise DownloadError if they differ."""
    size = path.stat().st_size
    wrong = file.size is not None and size != file.size
    what = f"{size:,} bytes arrived instead of {file.size:,}" if wrong else ""
    if not wrong and file.checksum is not None:
        algorithm, _, expected = file.checksum.partition(":")
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, algorithm).hexdigest()
        wrong, what = found != expected, f"its {algorithm} is {found}, the record says {expected}"
    if wrong:
        path.unlink()
        raise DownloadError(f"{path}: {what}; deleted, run the command again")


def _plain_name(name: str) -> str:
    if not name or Path(name).name != name or name in (".", ".."):
        raise ValueError(f"file name {name!r}")
    return name


if __name__ == "__main__":
    main()
