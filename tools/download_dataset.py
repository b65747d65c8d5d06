"""Download a public data set: BAM's TiO2 images (Zenodo record 4563942) or EMPS, checked and unpacked.

python tools/download_dataset.py bam-tio2-sem --out data/
python tools/download_dataset.py emps --out data/

Files go to OUT/downloads/<name>/, zips are unpacked beside themselves. A transfer that broke off goes on where it
stopped when the command is run again. --base-url (or TIO2_DOWNLOAD_BASE_URL) names a mirror.
"""

import argparse
import os
from pathlib import Path

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


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(BASES), help="which data set")
    parser.add_argument("--out", type=Path, default=Path("data"), help="folder (default: %(default)s)")
    parser.add_argument(
        "--base-url", default=os.environ.get("TIO2_DOWNLOAD_BASE_URL"), help="server (default: its own)"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """List, fetch, check, unpack, say whose it is."""
    options = parse_arguments(arguments)
    from semsize.exchange import download

    base = (options.base_url or BASES[options.name]).rstrip("/")
    folder = options.out / "downloads" / options.name
    with one_line_errors(download.DownloadError, OSError):
        if options.name == "emps":  # made by the server when asked for, hence without size and checksum
            files = [download.RemoteFile("emps.zip", f"{base}/by256/emps/archive/HEAD.zip")]
        else:
            record = download.zenodo_record(base, RECORD)
            print(f"Zenodo record {RECORD}: {record.get('metadata', {}).get('title')}")
            files = download.files_of(record)
        for file in files:
            path = download.fetch(file, folder)
            print(f"{path}: {path.stat().st_size:,} bytes, {file.checksum or 'no checksum stated'}")
            if path.suffix.lower() == ".zip":
                print(f"unpacked: {download.unpack_zip(path, path.with_suffix(''))}")
    for line in ABOUT[options.name]:
        print(line.format(folder=folder, out=options.out))


if __name__ == "__main__":
    main()
