"""The benchmarks of the dense-image engine run, and their numbers are consistent."""

import pytest


@pytest.fixture(scope="module")
def run(run_tool):
    """Runs a benchmark; gives what it prints."""

    def benchmark(name, *words):
        done = run_tool(f"benchmarks/{name}", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return benchmark


def cells(text, start):
    """The cells of the first table row that begins so."""
    row = next(line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_both_sides_are_measured_and_agree(run, tmp_path):
    out = run("dense.py", "--quick", "--figure", tmp_path / "time.png")
    for work in ("logits to RLE, 32 instances", "load, flip, crop, pack 16 truths; BitmapMasks", "mask targets, 8"):
        _, stock, ours, ratio, *_ = cells(out, work)
        assert 0 < float(ours) < float(stock)
        assert float(ratio) > 1
    assert float(out.split("mean IoU of both sides' masks: ")[1].split()[0]) >= 0.999
    assert (tmp_path / "time.png").stat().st_size > 1000


def test_masks_of_56_cells_are_as_good_as_rasterising_where_the_box_leaves_a_pixel(run):
    out = run("sawtooth.py", "--phases", 60)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in out.splitlines() if " px" not in line]
    rows = [row for row in rows if len(row) == 8 and row[1] == "1"]
    ours = [row for row in rows if "ours" in row[2]]
    assert len(ours) == 3
    for row in ours:
        bias, spread_ratio = float(row[3]), float(row[5])
        assert abs(bias) <= 0.1
        assert spread_ratio <= 1.2
    nearest = [float(row[6]) for row in rows if "nearest" in row[2]]
    assert all(float(row[6]) < 0.5 * theirs for row, theirs in zip(ours, nearest, strict=True))
