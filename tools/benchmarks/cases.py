"""Build and run every case of ../shared/cases, and compare each result with the right one.

python tools/benchmarks/cases.py --cases ../shared/cases
python tools/benchmarks/cases.py --only 05 27 --keep /tmp/cases

Prints a table: case, sub-case, right result, result, ok or FAULT. Exit code 0: all right; 1: a fault; 2: no cases.
"""

import argparse
import contextlib
import importlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
import tempfile
import traceback
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
from case_results import Check, Disc, checks

import tio2
from semsize.exchange.label_images import read_labels
from semsize.measuring.tables import csv_rows
from semsize.structures.files import file_sha256, read_json
from semsize.structures.masks import CroppedMasks

ROOT = Path(tio2.__file__).parents[1]
PLACE_PX, SIZE_PX, SIZE_SHARE = 3.0, 1.0, 0.02
"""Largest distance of a particle's centre from its disc's; largest difference of diameters: px plus a share."""
PATIENCE_S = 600


@dataclass
class Outcome:
    """The result of a command.

    Attributes:
        code: exit code.
        screen: the text that it printed.
        found: picture below ``in/`` to its particles.
        nm: picture to the pixel size in use; None if unknown.
    """

    code: int
    screen: str
    found: dict[str, list[Disc]] = field(default_factory=dict)
    nm: dict[str, float | None] = field(default_factory=dict)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--cases", type=Path, default=Path("../shared/cases"), help="folder of the cases (default: %(default)s)"
    )
    parser.add_argument("--only", nargs="+", metavar="NN", help="numbers of cases (default: all)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="new folder that keeps inputs and results")
    return parser.parse_args(arguments)


def build(cases: Path, folder: Path, numbers: set[str]) -> dict[str, Path]:
    """Write the inputs of these cases; return case number to its folder, which holds ``in``."""
    environment = {**os.environ, "CASES_OUT": str(folder), "PYTHONPATH": str(cases)}
    folders = {}
    for make in sorted(cases.glob("*/make.py")):
        number = make.parent.name[:2]
        if number in numbers:
            subprocess.run([sys.executable, str(make)], env=environment, check=True, capture_output=True)
            folders[number] = folder / make.parent.name
    return folders


def complete(folders: dict[str, Path], labels: np.ndarray) -> None:
    """Write inputs that make.py omits: the other spellings of 27 (e), and for 15 the `labels` of all its pictures."""
    if "27" in folders:
        listed = (folders["27"] / "in/all_samples.json").read_text(encoding="utf-8")
        for name, start in (("dotted", "./"), ("absolute", "/home/lab/project/scans/")):
            text = listed.replace('"file_name": "', f'"file_name": "{start}')
            (folders["27"] / f"in/{name}.json").write_text(text, encoding="utf-8")
    if "15" in folders:
        (folders["15"] / "in/labels").mkdir()
        for picture in (folders["15"] / "in/images").glob("*.tif"):
            tifffile.imwrite(folders["15"] / "in/labels" / picture.name, labels)


def run(command: str, out: str, folder: Path, known: set[str]) -> Outcome:
    """Run a command from the case's folder, in this process except training, and read its results.

    Args:
        command: `Check.command`.
        out: `Check.out`.
        folder: the case's folder.
        known: pictures that go first where several have the same contents.
    """
    tool, *words = shlex.split(command)
    words = [str(ROOT / word) if word.startswith("configs/") else word for word in words]
    words = [str(ROOT / "tools" / tool), *words, *(["--out", f"out/{out}"] if out else [])]
    with contextlib.chdir(folder):
        if tool == "train.py":
            ended = subprocess.run(
                [sys.executable, *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False
            )
            return Outcome(ended.returncode, ended.stdout + ended.stderr)
        outcome = Outcome(*_run_here(words))
        results = Path("out") / out
        if (results / "record.json").is_file():
            _read_measured(results, outcome)
        elif out and (results / "annotations").is_dir():
            _read_converted(results, outcome, known)
    return outcome


def _run_here(words: Sequence[str]) -> tuple[int, str]:
    """Run a program in this process; return its exit code and its printed text."""
    screen, code, before = io.StringIO(), 0, sys.argv
    sys.argv = list(words)
    try:
        with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen):
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=screen)
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except Exception:
        print(traceback.format_exc(), file=screen)
        code = 1
    finally:
        sys.argv = before
    return code, screen.getvalue()


def _read_measured(results: Path, outcome: Outcome) -> None:
    """Read a measurement's counted particles and pixel sizes into `outcome`."""
    paths = {}
    for entry in read_json(results / "record.json", ValueError)["images"]:
        path = os.path.relpath(entry["path"], "in")
        paths[entry["image"]] = path
        outcome.nm[path] = entry["pixel_size_nm"]
        outcome.found[path] = []
    with (results / "particles.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv_rows(stream):
            if not row["excluded"]:
                disc = (float(row["x_px"]), float(row["y_px"]), float(row["ecd_px"]))
                outcome.found[paths[row["image"]]].append(disc)


def _read_converted(results: Path, outcome: Outcome, known: set[str]) -> None:
    """Read the particles of a converted set into `outcome`; contents, not names, tell which picture a copy is of."""
    files = {str(path.relative_to("in")): path for path in Path("in").rglob("*") if path.is_file()}
    originals = {file_sha256(files[name]): name for name in sorted(files, key=lambda name: (name in known, name))}
    for file in sorted((results / "annotations").glob("*.json")):
        data = read_json(file, ValueError)
        for image in data["images"]:
            path = originals[file_sha256(results / "images" / file.stem / image["file_name"])]
            own = [each for each in data["annotations"] if each["image_id"] == image["id"] and not each["iscrowd"]]
            kept = [each["segmentation"] for each in own]
            outcome.found[path] = discs_of(CroppedMasks.from_rles(kept, (image["height"], image["width"])))
            outcome.nm[path] = image.get("pixel_size_nm")


def discs_of(masks: CroppedMasks) -> list[Disc]:
    """Centre and equivalent circular diameter of each mask."""
    discs = []
    for crop, (row, column) in masks:
        rows, columns = np.nonzero(crop)
        centre = float(columns.mean() + column + 0.5), float(rows.mean() + row + 0.5)
        discs.append((*centre, float(np.sqrt(4 * len(rows) / np.pi))))
    return discs


def matched(right: Sequence[Disc], found: Sequence[Disc]) -> int:
    """Number of discs with a particle of their place and size; each particle counts once."""
    left, count = list(found), 0
    for x, y, diameter in right:
        for other in left:
            near = np.hypot(x - other[0], y - other[1]) <= PLACE_PX
            if near and abs(diameter - other[2]) <= SIZE_PX + SIZE_SHARE * diameter:
                left.remove(other)
                count += 1
                break
    return count


def judge(check: Check, outcome: Outcome, alone: bool, known: set[str]) -> tuple[bool, str]:
    """Return whether a sub-case gives its right result, and its result in words.

    Args:
        check: the sub-case.
        outcome: the result of its command.
        alone: True if no other sub-case shares the command, so that the exit code is this one's.
        known: pictures that some sub-case of the command expects to be read.
    """
    if "Traceback (most recent call last)" in outcome.screen:
        return False, outcome.screen.strip().splitlines()[-1]
    came, right = [], check.right is not None or bool(check.nm)
    for picture, discs in (check.right or {}).items():
        found = outcome.found.get(picture, [])
        count = matched(discs, found)
        right &= len(discs) - count <= check.missing and len(found) - count <= check.extra
        came.append(f"{count}" + (f" and {len(found) - count} false" if len(found) > count else ""))
    for picture, nm in check.nm.items():
        got = outcome.nm.get(picture, np.nan)
        right &= got is None if nm is None else got is not None and abs(got / nm - 1) <= check.tolerance
        came.append("left out" if picture not in outcome.nm else f"{got:.4g} nm" if got else "none stated")
    strays = sorted(name for name, found in outcome.found.items() if found and name not in known)
    if strays and (alone or check.right):
        right = False
        came.append(f"{sum(len(outcome.found[name]) for name in strays)} on {', '.join(strays)}")
    said = re.search(check.said, outcome.screen, re.IGNORECASE) is not None
    read = [name for name in check.right or check.nm or known if outcome.found.get(name)]
    refused = bool(check.refused) and re.search(check.refused, outcome.screen, re.IGNORECASE) is not None
    left_out = refused and not read and not strays and (outcome.code != 0 or not alone)
    whole = right and (outcome.code == 0 or not alone)
    only_said = check.right is None and not check.nm and not check.refused
    if alone:
        came.append(f"exit {outcome.code}")
    if not said or (not whole and check.refused and not refused):
        came.append("not said")
    return said and (whole or left_out or only_said), ", ".join(came)


def expected(check: Check) -> str:
    """The right result in words."""
    words = []
    if check.right is not None:
        extra = f" (+{check.extra})" if check.extra else ""
        words.append(" + ".join(str(len(discs)) for discs in check.right.values()) + extra)
    words += ["none stated" if nm is None else f"{nm:.4g} nm" for nm in check.nm.values()]
    if check.refused:
        words.append("left out, named")
    text = " or ".join(words)
    return f"{text}, said" if text and check.said else text or "said"


def judged(found: Sequence[Check], folders: dict[str, Path]) -> Iterator[tuple[Check, bool, str]]:
    """Yield all sub-cases with their verdicts; each command runs once."""
    shared = defaultdict(list)
    for check in found:
        shared[check.case, check.command].append(check)
    for (case, command), group in shared.items():
        known = {picture for check in group for picture in (*(check.right or {}), *check.nm)}
        outcome = run(command, group[0].out, folders[case], known)
        log = folders[case] / "out" / f"{re.sub(r'[^A-Za-z0-9]+', '-', group[0].name)}.txt"
        log.parent.mkdir(exist_ok=True)
        log.write_text(f"{command}\n{outcome.screen}\nexit code {outcome.code}\n", encoding="utf-8")
        for check in group:
            yield check, *judge(check, outcome, len(group) == 1, known)


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the inputs, run the commands, judge them and print the table."""
    options = parse_arguments(arguments)
    if not (options.cases / "common.py").is_file():
        print(f"{options.cases}: the cases are not here (no common.py); name their folder: --cases DIR")
        sys.exit(2)
    cases = options.cases.resolve()
    sys.path.insert(0, str(cases))
    common = importlib.import_module("common")

    def scene(**drawn) -> list[Disc]:
        return discs_of(CroppedMasks.from_label_image(common.scene(**drawn)[1].astype(np.int64)))

    with contextlib.ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        numbers = {path.parent.name[:2] for path in cases.glob("*/make.py")}
        if options.only:
            numbers &= set(options.only)
        folders = build(cases, folder.resolve(), numbers)
        complete(folders, common.scene(seed=150)[1])
        stitched = []
        if "13" in folders:
            labels = read_labels(folders["13"] / "in/labels/scan.tif")
            stitched = discs_of(CroppedMasks.from_label_image(labels))
        chosen = [check for check in checks(scene, stitched) if check.case in folders]
        row, faults = "{:4}  {:35}  {:38}  {:38}  {}", 0
        print(row.format("case", "sub-case", "right result", "got", ""))
        for check, ok, came in judged(chosen, folders):
            faults += not ok
            print(row.format(check.case, check.name, expected(check), came, "ok" if ok else "FAULT"), flush=True)
    print(f"{len(chosen) - faults} of {len(chosen)} sub-cases of {len(folders)} cases give their right result")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
