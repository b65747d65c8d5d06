"""Join the processes of a run, exchange values between them, and control the memory of each."""

import ctypes
import os
import subprocess
import sys

import torch
from mmengine.config import Config
from mmengine.dist import all_reduce, get_world_size, is_distributed
from torch import nn

from semsize.measuring.finding import LAUNCHERS
from tio2.engine.config import ConfigError

DEFAULT_PORT = "29500"
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's malloc.h
STEP_COUNTS = ("begin", "end", "T_max", "step_size", "total_steps", "milestones")
"""Settings of a learning-rate schedule that count steps, unless it counts epochs."""


class ProcessError(RuntimeError):
    """Processes that cannot be joined; the message is one line that says what to do."""


def join_processes(config: Config) -> None:
    """Set the backend ($BACKEND, else the config's), and without a GPU join the processes over gloo.

    MMEngine needs a GPU in two places, whatever the backend: it sets the CUDA device when it joins processes, and it
    gives the model's wrapper a device number. It sets no device if the processes are joined already, and it takes the
    wrapper's settings from `model_wrapper_cfg`, which is therefore set in `config` without a device.

    Raises:
        ProcessError: The launcher's variables are missing, or $BACKEND names a GPU backend and there is no GPU.
    """
    backend = os.environ.get("BACKEND")
    if torch.cuda.is_available():
        if backend:
            config.env_cfg.dist_cfg.backend = backend
        return
    if backend not in (None, "", "gloo"):
        raise ProcessError(f"BACKEND={backend} needs a GPU, and none is here: set BACKEND=gloo, or leave it out")
    os.environ.update(process_variables(config.launcher))
    if not is_distributed():
        torch.distributed.init_process_group("gloo")
    wrapper = {
        "type": "MMDistributedDataParallel",
        "broadcast_buffers": False,
        "find_unused_parameters": config.get("find_unused_parameters", False),
        **(config.get("model_wrapper_cfg") or {}),
    }
    config.model_wrapper_cfg = {**wrapper, "device_ids": None}


def process_variables(launcher: str) -> dict[str, str]:
    """Return the environment variables that torch.distributed reads, from those that the launcher set.

    Raises:
        ProcessError: The launcher did not start this process.
    """
    missing = [name for name in LAUNCHERS[launcher].values() if name not in os.environ]
    if missing:
        raise ProcessError(
            f"--launcher {launcher} was given, but {', '.join(missing)} are not set: "
            "start with tools/dist_train.sh or tools/slurm_train.sh (tools/dist_test.sh, tools/slurm_test.sh)"
        )
    values = {name: os.environ[source] for name, source in LAUNCHERS[launcher].items()}
    values["MASTER_PORT"] = os.environ.get("MASTER_PORT", DEFAULT_PORT)
    values["MASTER_ADDR"] = os.environ.get("MASTER_ADDR") or _first_node()
    return values


def _first_node() -> str:
    """Host of the first process: the first node of the Slurm job, or this machine."""
    nodes = os.environ.get("SLURM_NODELIST")
    if not nodes:
        return "127.0.0.1"
    listed = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True)
    return listed.stdout.split()[0]


def limit_images_at_once(config: Config, images: int) -> None:
    """Compute each training batch in parts whose gradients add up, so that a large batch fits into memory.

    The batch and the number of optimizer steps stay those of the config; several processes share a batch. Schedules
    that count steps are stretched, so that within a warm-up an optimizer step has the learning rate of its last part.

    Args:
        config: changed in place.
        images: how many images each process computes at once.

    Raises:
        ConfigError: the batch cannot be divided that way, or the training does not count epochs.
        ProcessError: the launcher did not start this process.
    """
    processes = 1 if config.launcher == "none" else int(process_variables(config.launcher)["WORLD_SIZE"])
    loader = config.train_dataloader
    if images < 1 or loader.batch_size % (images * processes):
        raise ConfigError(
            f"--images-at-once {images}: the batch of {loader.batch_size} images in {config.filename} is no multiple "
            f"of {images} images on each of {processes} processes"
        )
    if "max_epochs" not in config.train_cfg:
        raise ConfigError(f"--images-at-once needs a training of train_cfg.max_epochs; {config.filename} has none")
    parts = loader.batch_size // (images * processes)
    loader.batch_size = images
    if "num_batches" in loader.sampler:
        loader.sampler.update(batch_size=images, num_batches=loader.sampler.num_batches * parts)
    config.optim_wrapper.accumulative_counts = config.optim_wrapper.get("accumulative_counts", 1) * parts
    for schedule in config.param_scheduler:
        if not schedule.get("by_epoch", True):
            for name in schedule.keys() & STEP_COUNTS:
                counts = schedule[name]
                schedule[name] = [each * parts for each in counts] if isinstance(counts, list) else counts * parts


def on_any_process(flag: bool, model: nn.Module) -> bool:
    """Whether `flag` is set on any process; all must call this together, with the model that they train."""
    if get_world_size() == 1:
        return flag
    highest = torch.tensor(float(flag), device=next(model.parameters()).device)
    all_reduce(highest, op="max")
    return bool(highest)


def same_on_all_processes(number: int, model: nn.Module) -> bool:
    """Whether all processes pass the same number; all must call this together, with the model that they train."""
    limits = torch.tensor([number, -number], device=next(model.parameters()).device)
    all_reduce(limits, op="max")
    return bool(limits[0] == -limits[1])


def keep_freed_memory() -> bool:
    """Let the C library's allocator keep freed memory for the rest of the process, instead of returning it.

    By default glibc takes each large array from the system and returns it when it is freed. The system then clears
    every page again, which takes nearly half of the CPU time of a whole-image inference. Kept memory is fragmented, so
    the peak of that inference rises by a third (docs/notebook/dense.md); `give_back_freed_memory` lowers it.

    Returns:
        Whether the allocator can do so: glibc's can; on other systems nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return False
    return bool(library.mallopt(M_MMAP_MAX, 0) and library.mallopt(M_TRIM_THRESHOLD, -1))


class _AllocatorState(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"
    ))  # fmt: skip


def give_back_freed_memory(above_mib: float) -> bool:
    """Return the memory that the C library's allocator keeps unused, if it is more than `above_mib` MiB.

    Returns:
        Whether it was returned; always False without glibc 2.33 or later.
    """
    library = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    if not hasattr(library, "mallinfo2"):
        return False
    library.mallinfo2.restype = _AllocatorState
    return library.mallinfo2().fordblks > above_mib * 2**20 and bool(library.malloc_trim(0))


def peak_resident_mib() -> float:
    """The most memory that this process has held so far, in MiB."""
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return psutil.Process().memory_info().peak_wset / 2**20
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
