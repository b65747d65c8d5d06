r"""Time and memory that finding particles takes in images of 1 to 64 megapixels, relative to 3 in the same run.

python tools/render_dataset.py --num 1 --size 2048 1536 --preset agglomerated --particles 1600 --seed 21 \
    --fractions 0 0 1 --out data/area
python tools/benchmarks/area.py data/area/images/test/000000.png --megapixels 1 3 12 28 64 --out docs/figures/area.png

A larger image repeats the given one in mirror images, so that particles and work grow with the area; a smaller one is
a part of it. Each size runs in its own process, which warms up on a small image. Joining is all time outside the
network: tiles, scales, notes. The reference is the first row of at least 3 megapixels. With --limits 4 the network may
propose four times as many boxes as its config allows, which shows what the limits cost.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from semsize.cli import one_line_errors
from semsize.measuring.tables import markdown_table
from semsize.sem import SEMReadError, read_grey

HEADER = ("megapixels", "particles", "scales", "s", "quartiles", "joining, %", "memory, MiB", "times the reference")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path, help="an image of about 3 megapixels")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1, 3, 12, 28, 64], help="default: 1 3 12 28 64")
    parser.add_argument("--model", default="nc", help="a shipped model (default: %(default)s)")
    parser.add_argument("--scales", default=None, help="auto, or numbers such as 0.75,1.5 (default: the model's own)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each size (default: %(default)s)")
    parser.add_argument("--limits", type=int, default=1, help="factor on the model's limits of proposals (default: 1)")
    parser.add_argument("--out", type=Path, help="also draw seconds over megapixels into this file")
    parser.add_argument("--alone", type=float, help=argparse.SUPPRESS)  # measure one size in this process
    return parser.parse_args()


def of_area(grey: np.ndarray, megapixels: float) -> np.ndarray:
    """An image of this area with the proportions of `grey`: a part of it, or its mirror images side by side."""
    factor = np.sqrt(megapixels * 1e6 / grey.size)
    height, width = (round(side * factor) for side in grey.shape)
    beyond = [(0, max(0, after - before)) for after, before in zip((height, width), grey.shape, strict=True)]
    return np.ascontiguousarray(np.pad(grey, beyond, mode="symmetric")[:height, :width])


def measure(arguments: argparse.Namespace) -> dict:
    """Times, particles and memory of one size, measured in this process."""
    import resource  # not on Windows

    from tio2.cli import required_imports

    with required_imports():
        from semsize.detecting.looking import look
        from semsize.measuring.inputs import DetectorRequest
        from tio2.detector_source import open_detector
        from tio2.engine.processes import keep_freed_memory
        from tio2.inference import Detector
    keep_freed_memory()
    scales = arguments.scales
    if scales not in (None, "auto"):
        scales = tuple(float(number) for number in scales.split(","))
    source, _ = open_detector(DetectorRequest(arguments.model, scales=scales))
    config = source.read_config()
    for name in ("nms_pre", "max_per_img"):
        config.model.test_cfg.rpn[name] *= arguments.limits
    detector = Detector(config, source.checkpoint)
    grey, in_network, rows = read_grey(arguments.image), [0.0], []
    image = of_area(grey, arguments.alone)

    def engine(windows: list[np.ndarray], scale: float, sizes: object) -> list:
        began = time.perf_counter()
        found = detector.engine(windows, scale, sizes)
        in_network[0] += time.perf_counter() - began
        return found

    look(grey[:512, :512], engine, detector.looking)
    for _ in range(arguments.repeats):
        in_network[0], began = 0.0, time.perf_counter()
        found = look(image, engine, detector.looking)
        seconds = time.perf_counter() - began
        rows.append((seconds, seconds - in_network[0]))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    particles = int((found.scores >= 0.5).sum())
    return {"rows": rows, "particles": particles, "scales": found.scales, "memory": memory, "notes": found.notes}


def main() -> None:
    """Measure each size, print the table, draw the figure."""
    arguments = parse_arguments()
    with one_line_errors(SEMReadError, OSError):
        if arguments.alone is not None:
            print(json.dumps(measure(arguments)))
            return
        read_grey(arguments.image)
        rows, reference = [], None
        for megapixels in sorted(arguments.megapixels):
            command = [sys.executable, __file__, *sys.argv[1:], "--alone", str(megapixels)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"error: {megapixels:g} megapixels: {(done.stderr.strip() or 'ended').splitlines()[-1]}")
            result = json.loads(done.stdout.splitlines()[-1])
            seconds = [total for total, _ in result["rows"]]
            median = statistics.median(seconds)
            if reference is None and megapixels >= 3:
                reference = median
            spread = f"{np.quantile(seconds, 0.25):.1f}-{np.quantile(seconds, 0.75):.1f}"
            joining = 100 * statistics.median(rest / total for total, rest in result["rows"])
            times = "–" if reference is None else f"{median / reference:.2f}"
            scales = ", ".join(f"{scale:g}" for scale in result["scales"])
            cells = (f"{megapixels:g}", result["particles"], scales, f"{median:.1f}", spread, f"{joining:.1f}")
            rows.append((*cells, f"{result['memory']:.0f}", times))
            print(f"{megapixels:g} megapixels: {median:.1f} s", *result["notes"], sep="\n  ", file=sys.stderr)
        print(markdown_table(HEADER, rows), end="")
    if arguments.out:
        draw(arguments.out, [float(row[0]) for row in rows], [float(row[3]) for row in rows], reference)


def draw(path: Path, megapixels: list[float], seconds: list[float], reference: float | None) -> None:
    """Draw seconds over megapixels, both logarithmic, beside a line proportional to the area."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.loglog(megapixels, seconds, "o-", label="measured")
    if reference is not None:
        at = next(area for area in megapixels if area >= 3)
        axes.loglog(megapixels, [reference * area / at for area in megapixels], "--", label="proportional to the area")
    axes.set(xlabel="megapixels", ylabel="seconds")
    axes.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
