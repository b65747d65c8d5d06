"""Several processes: the backend, what MMEngine needs to run them without a GPU, and what all must agree on."""

import os
import subprocess

import torch
from mmengine.config import Config
from mmengine.dist import all_reduce, get_world_size, is_distributed

from semsize.measuring.ranks import LAUNCHERS

DEFAULT_PORT = "29500"


class DistributionError(RuntimeError):
    """Processes that cannot be joined; the message is one line that says what to do."""


def join_processes(config: Config) -> None:
    """Set the backend ($BACKEND, else the config's), and without a GPU join the processes over gloo.

    MMEngine's own start asks for a GPU twice, whatever the backend: it sets the CUDA device, and it gives the model's
    wrapper a device number. Joined beforehand, it leaves the first alone; the wrapper is told that there is no device.

    Raises:
        DistributionError: The launcher's variables are missing, or a backend for GPUs is named where none is.
    """
    backend = os.environ.get("BACKEND")
    if torch.cuda.is_available():
        if backend:
            config.env_cfg.dist_cfg.backend = backend
        return
    if backend not in (None, "", "gloo"):
        raise DistributionError(f"BACKEND={backend} needs a GPU, and none is here: set BACKEND=gloo, or leave it out")
    os.environ.update(process_variables(config.launcher))
    if not is_distributed():
        torch.distributed.init_process_group("gloo")
    config.model_wrapper_cfg = dict(type="MMDistributedDataParallel", device_ids=None, broadcast_buffers=False)


def process_variables(launcher: str) -> dict[str, str]:
    """What torch.distributed reads from the environment, from what the launcher put there.

    Raises:
        DistributionError: The launcher did not start this process.
    """
    missing = [name for name in LAUNCHERS[launcher].values() if name not in os.environ]
    if missing:
        raise DistributionError(
            f"--launcher {launcher} was given, but {', '.join(missing)} are not set: "
            "start with tools/dist_train.sh or tools/slurm_train.sh (tools/dist_test.sh, tools/slurm_test.sh)"
        )
    values = {name: os.environ[source] for name, source in LAUNCHERS[launcher].items()}
    values["MASTER_PORT"] = os.environ.get("MASTER_PORT", DEFAULT_PORT)
    values["MASTER_ADDR"] = os.environ.get("MASTER_ADDR") or _first_node()
    return values


def _first_node() -> str:
    """Host of the first process: of the Slurm job's nodes, or this machine."""
    nodes = os.environ.get("SLURM_NODELIST")
    if not nodes:
        return "127.0.0.1"
    listed = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True)
    return listed.stdout.split()[0]


def on_any_process(flag: bool, device: torch.device | str = "cpu") -> bool:
    """Whether `flag` is set on any process; all must ask together. `device`: the model's, which the backend reads."""
    if get_world_size() == 1:
        return flag
    told = torch.tensor(float(flag), device=device)
    all_reduce(told, op="max")
    return bool(told)


def same_on_all_processes(number: int, device: torch.device | str = "cpu") -> bool:
    """Whether all processes hold the same number; all must ask together."""
    limits = torch.tensor([number, -number], device=device)
    all_reduce(limits, op="max")
    return bool(limits[0] == -limits[1])
