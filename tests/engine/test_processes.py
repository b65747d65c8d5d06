"""Two processes train as one does; the scripts pass their arguments on; freed memory is used again."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import tiny_network
from processes import (
    CONFIG,
    ROOT,
    SMALL,
    ForkedProgram,
    data_options,
    finish,
    finish_ranks,
    largest_difference,
    loading,
    log_of,
    start,
    weights,
)

from semsize.structures import dataset, read_annotations, write_annotations
from tio2.engine.processes import ProcessError, process_variables

SRUN = """#!/usr/bin/env bash
# Starts the tasks of a Slurm job step on this machine, as far as our scripts need it.
echo "srun $*" >> "$SRUN_LOG"
shift 2
while [[ $1 == -* ]]; do
    if [[ $1 == --ntasks=* ]]; then tasks=${1#*=}; fi
    shift
done
for ((i = 0; i < tasks; i++)); do
    SLURM_PROCID=$i SLURM_LOCALID=$i SLURM_NTASKS=$tasks SLURM_NODELIST="node[1-2]" "$@" & started+=($!)
done
for process in "${started[@]}"; do wait "$process" || exit 1; done
"""
PYTHON = """#!/usr/bin/env bash
# Writes down how this interpreter was started, in place of starting it.
rank=${SLURM_PROCID:-${RANK:-0}}
printf '%s\\n' "$@" > "$STARTED.$rank.words"
env > "$STARTED.$rank.variables"
"""
SCONTROL = """#!/usr/bin/env bash
[ "$*" = "show hostnames node[1-2]" ] && printf '127.0.0.1\\nnode2\\n'
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Environment with stand-ins for Slurm on one machine, and for an interpreter that says how it was started."""
    folder = tmp_path_factory.mktemp("bin")
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL), ("python", PYTHON)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "SRUN_LOG": str(folder / "log"),
        "PYTHON": str(folder / "python"),
        "STARTED": str(folder / "started"),
    }


def started(slurm, rank=0):
    """Words and variables with which a script started the interpreter."""
    words, variables = (Path(f"{slurm['STARTED']}.{rank}.{kind}").read_text().splitlines()
                        for kind in ("words", "variables"))  # fmt: skip
    return words, dict(line.split("=", 1) for line in variables if "=" in line)


@pytest.fixture(scope="module")
def trained(rendered_set, slurm, tmp_path_factory):
    """Folders of three steps by two processes, and of the same six samples by one that accumulates two."""
    work = tmp_path_factory.mktemp("trained")
    common = [*SMALL, *loading(0), *data_options(rendered_set), "train_cfg.max_epochs=1"]
    two = [*common, "train_dataloader.sampler.num_batches=3"]
    one = [*common, "train_dataloader.sampler.num_batches=6", "optim_wrapper.accumulative_counts=2"]
    script = ["tools/slurm_train.sh", "part", "job", CONFIG, work / "two", "--cfg-options", *two]
    finish(start(script, work / "two.log", GPUS="2", SRUN_ARGS="--quiet --exclusive", **slurm), work / "two.log")
    ranks = []
    for rank in range(2):
        (unbuffered, *program), variables = started(slurm, rank)
        assert unbuffered == "-u"
        ranks.append(ForkedProgram(program, log_of(work / "two.log", rank), **variables))
    alone = ForkedProgram(
        ["tools/train.py", CONFIG, "--work-dir", work / "one", "--cfg-options", *one], work / "one.log"
    )
    for rank, program in enumerate(ranks):
        finish(program, log_of(work / "two.log", rank))
    finish(alone, work / "one.log")
    return work


def test_two_processes_train_as_one_that_accumulates_both_images(trained):
    one, two = weights(trained / "one" / "epoch_1.pth"), weights(trained / "two" / "epoch_1.pth")
    assert largest_difference(one, two) < 1e-4
    record = json.loads((trained / "two" / "run.json").read_text())
    assert record["steps"] == 3
    (log,) = (trained / "two").glob("*/*.log")
    assert "Distributed launcher: slurm" in log.read_text()


def test_the_weights_did_move_and_only_the_first_process_wrote(trained):
    records = list((trained / "two").glob("*/*.log"))
    assert len(records) == 1
    events = list((trained / "two").rglob("events.out.tfevents*"))
    assert len(events) == 1
    lines = [line for line in records[0].read_text().splitlines() if "Epoch(train)" in line]
    assert len(lines) == 3
    losses = [float(line.split("  loss: ")[1].split()[0]) for line in lines]
    assert max(losses) - min(losses) > 1e-3


def test_slurm_s_step_is_asked_for_as_mmdetection_does(trained, slurm):  # noqa: ARG001 - the log is written by it
    with open(slurm["SRUN_LOG"]) as log:
        asked = log.readline()
    assert asked.startswith(
        "srun -p part --job-name=job --ntasks=2 --ntasks-per-node=2 --cpus-per-task=5 --kill-on-bad-exit=1 "
        f"--quiet --exclusive {slurm['PYTHON']} -u tools/train.py {CONFIG} --work-dir="
    )
    assert "--launcher=slurm --cfg-options" in asked


@pytest.fixture(scope="module")
def three_images(rendered_set, tmp_path_factory):
    """The splits' images, one each, as one set of three."""
    files = {split: read_annotations(rendered_set / "annotations" / f"{split}.json")
             for split in ("train", "val", "test")}  # fmt: skip
    images, particles = [], []
    for number, (split, data) in enumerate(files.items(), start=1):
        images += [{**image, "id": number, "file_name": f"{split}/{image['file_name']}"} for image in data["images"]]
        particles += [{**particle, "image_id": number} for particle in data["annotations"]]
    particles = [{**particle, "id": number} for number, particle in enumerate(particles, start=1)]
    path = tmp_path_factory.mktemp("three") / "three.json"
    write_annotations(path, dataset(images, particles))
    return path


def test_two_processes_test_as_one_and_each_image_once(trained, rendered_set, three_images, slurm):
    data = [
        "val_dataloader.num_workers=0",
        "val_dataloader.persistent_workers=False",
        *tiny_network.options(tiny_network.MODEL),
        f"val_dataloader.dataset.data_root={rendered_set}/",
        f"val_dataloader.dataset.ann_file={three_images}",
        "val_dataloader.dataset.data_prefix.img=images/",
        f"val_evaluator.ann_file={three_images}",
    ]
    checkpoint = trained / "two" / "epoch_1.pth"
    arguments = [CONFIG, checkpoint, "--work-dir", trained / "test2", "--cfg-options", *data]
    log = trained / "test2.log"
    finish(start(["tools/dist_test.sh", *arguments[:2], 2, *arguments[2:]], log, **slurm), log)
    launcher = ["-m", "torch.distributed.run", "--nnodes=1", "--node_rank=0", "--master_addr=127.0.0.1"]
    words, variables = started(slurm)  # torchrun itself is started below
    assert words[:5] + words[6:] == [
        *(*launcher, "--nproc_per_node=2"),
        *map(str, ("tools/test.py", *arguments[:2], "--launcher", "pytorch", *arguments[2:])),
    ]
    assert words[5] == f"--master_port={variables['PORT']}"
    finish_ranks(["tools/test.py", *arguments], log)
    words = ["tools/test.py", CONFIG, checkpoint, "--work-dir", trained / "test1", "--cfg-options", *data]
    finish(ForkedProgram(words, trained / "test1.log"), trained / "test1.log")
    records = [json.loads((trained / name / "val" / "metrics.json").read_text()) for name in ("test1", "test2")]
    assert records[0]["metrics"] == records[1]["metrics"]
    assert records[1]["metrics"]["coco/images"] == 3
    found = [json.loads((trained / name / "val" / "predictions.json").read_text()) for name in ("test1", "test2")]
    assert found[0] == found[1]
    assert {prediction["image_id"] for prediction in found[0]} == {1, 2, 3}


def test_torchrun_starts_the_training_once_for_each_rank(slurm, tmp_path):
    """Here these say how they were started, in place of training."""
    told = {"PYTHON_EXEC": slurm["PYTHON"], "STARTED": str(tmp_path / "started")}
    finish(start(["tools/dist_train.sh", CONFIG, 2, "--resume"], tmp_path / "log", **told), tmp_path / "log")
    ports = set()
    for rank in range(2):
        words, variables = started(told, rank)
        assert words == ["-u", "tools/train.py", CONFIG, "--launcher", "pytorch", "--resume"]
        assert [variables[name] for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR")] == [
            *(str(rank), str(rank), "2"),
            "127.0.0.1",
        ]
        ports.add(variables["MASTER_PORT"])
    assert ports == {variables["PORT"]}


def test_a_launcher_that_did_not_start_the_process_is_named(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ProcessError, match="RANK, WORLD_SIZE, LOCAL_RANK are not set: start with tools/dist_tr"):
        process_variables("pytorch")


def test_slurm_s_and_mpi_s_variables_become_torch_s(monkeypatch):
    for name in ("MASTER_ADDR", "MASTER_PORT", "SLURM_NODELIST"):
        monkeypatch.delenv(name, raising=False)
    for prefix, names in {"SLURM_": ("PROCID", "NTASKS", "LOCALID"),
                          "OMPI_COMM_WORLD_": ("RANK", "SIZE", "LOCAL_RANK")}.items():  # fmt: skip
        for name, value in zip(names, "362", strict=True):
            monkeypatch.setenv(prefix + name, value)
    expected = {"RANK": "3", "WORLD_SIZE": "6", "LOCAL_RANK": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    assert process_variables("slurm") == process_variables("mpi") == expected


@pytest.mark.parametrize(("script", "words"), [("dist_train.sh", 1), ("dist_test.sh", 2), ("slurm_train.sh", 3)])
def test_a_script_without_its_arguments_says_them(script, words):
    done = subprocess.run([ROOT / "tools" / script, *["x"] * words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"tools/{script} " in done.stderr
    assert "CONFIG" in done.stderr


def test_slurm_asks_for_gpus_unless_gloo_is_named(slurm, tmp_path):
    calls = {**os.environ, **slurm, "SRUN_LOG": str(tmp_path / "log"), "PYTHON": "true", "GPUS": "16"}
    for backend in ("", "gloo"):
        subprocess.run([ROOT / "tools" / "slurm_test.sh", "p", "j", "c.py", "w.pth", "--split", "test"],
                       env={**calls, "BACKEND": backend}, check=True)  # fmt: skip
    gpu, cpu = (tmp_path / "log").read_text().splitlines()
    assert "--gres=gpu:8 --ntasks=16 --ntasks-per-node=8 " in gpu
    assert gpu.endswith("test.py c.py w.pth --launcher=slurm --split test")
    assert "--gres" not in cpu


HELD = """
import numpy as np
from tio2.engine.processes import give_back_freed_memory, keep_freed_memory
def resident_mib():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
assert keep_freed_memory()
arrays = [np.ones(8 * 2**20, np.uint8) for _ in range(33)]
del arrays[:32]  # the last one stands above what is freed
assert not give_back_freed_memory(300)
before = resident_mib()
assert give_back_freed_memory(200)
print(before - resident_mib())
"""

ROUNDS = """
import resource
import numpy as np
from tio2.engine.processes import keep_freed_memory
assert keep_freed_memory()
for _ in range(30):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(32 * 2**20, np.uint8).fill(1)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


def test_freed_memory_is_used_again(tmp_path):
    """Few pages are fetched to fill 32 MB, 8192 of them, that the process has filled and freed before."""
    (tmp_path / "rounds.py").write_text(ROUNDS)
    text = finish(ForkedProgram([tmp_path / "rounds.py"], tmp_path / "log"), tmp_path / "log")
    assert int(text.split()[-1]) < 200


def test_kept_memory_is_given_back_above_a_limit(tmp_path):
    (tmp_path / "held.py").write_text(HELD)
    text = finish(ForkedProgram([tmp_path / "held.py"], tmp_path / "log"), tmp_path / "log")
    assert float(text.split()[-1]) > 200
