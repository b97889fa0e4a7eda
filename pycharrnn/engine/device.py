"""The PyTorch device that -gpuid and -opencl select."""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass

from pycharrnn.common import extras
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.printing import PrintLine


@dataclass(frozen=True)
class GPUs:
    """The GPUs that PyTorch can use."""

    kind: str = ""  # "cuda", "mps", or "" for none
    count: int = 0
    fault: str | None = None  # why a GPU that may be there can't be used


def find_gpus(gpuid: int = 0) -> GPUs:
    """The GPUs of this machine; none if PyTorch can't compute on number `gpuid`."""
    if _might_have_gpu():
        if not extras.has_pytorch():
            return GPUs(fault="a GPU needs PyTorch, which is not installed")
        import torch

        if torch.cuda.is_available():
            count = torch.cuda.device_count()
            if gpuid < count and (fault := fault_of(f"cuda:{gpuid}")):
                return GPUs(fault=f"PyTorch finds GPU {gpuid}, but can't use it: {fault}")
            return GPUs("cuda", count)
        if torch.backends.mps.is_available():
            if fault := fault_of("mps"):
                return GPUs(fault=f"PyTorch finds a GPU for MPS, but can't use it: {fault}")
            return GPUs("mps", 1)
    return GPUs()


def pick(gpuid: int, opencl: int, gpus: GPUs, local_rank: int = 0) -> tuple[str, int, list[str]]:
    """The device that the flags select. Without a GPU it is the CPU, as in char-rnn.

    Args:
        gpuid: index of the GPU, from 0; below 0 for the CPU.
        opencl: 1 for OpenCL, which PyTorch lacks.
        local_rank: index of this process among those of a run on this machine; each takes a GPU, from `gpuid` on.

    Returns: PyTorch's device name ("cpu", "cuda:0", "mps"); the gpuid for checkpoints, -1 for the CPU; log lines.

    Errors: UserError for a gpuid beyond the last GPU.
    """
    if gpuid < 0:
        return "cpu", -1, []
    lines = ["PyTorch has no OpenCL: using the GPU through CUDA or MPS instead."] if opencl and gpus.kind else []
    if gpus.kind == "cuda":
        gpu = gpuid + local_rank
        if gpu >= gpus.count:
            fewer = "; start as many processes a machine as it has GPUs" if local_rank else ""
            raise UserError(
                f"{flag('gpuid', gpu)}: GPUs here are numbered 0 to {gpus.count - 1}; use one of them, or -1 for the"
                f" CPU{fewer}."
            )
        return f"cuda:{gpu}", gpuid, [*lines, f"using CUDA on GPU {gpu}..."]
    if gpus.kind == "mps":
        return "mps", gpuid, [*lines, "using MPS on the GPU..."]
    if gpus.fault:
        lines.append(gpus.fault)
    why = "no GPU found that PyTorch can use" if extras.has_pytorch() else "a GPU needs PyTorch, which is not installed"
    lines.append(f"{why}; -gpuid -1 selects the CPU without this message.")
    lines.append("Falling back on CPU mode")
    return "cpu", -1, lines


def make_current(device: str) -> None:
    """Make a CUDA GPU PyTorch's current one, which NCCL and CUDA graphs use."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.set_device(int(device.removeprefix("cuda:")))


def choose(gpuid: int, opencl: int, say: PrintLine) -> str:
    """PyTorch's name of the device that `pick` selects, made current. say: prints a log line. Errors: as pick."""
    device, _, lines = pick(gpuid, opencl, find_gpus(gpuid) if gpuid >= 0 else GPUs())
    for line in lines:
        say(line)
    make_current(device)
    return device


def fault_of(device: str) -> str | None:
    """Why a GPU that PyTorch finds does not compute; None if it does.

    PyTorch may have been compiled for newer GPUs than this one, or for older ones; a virtual Mac has no memory on its.
    """
    import torch

    try:
        torch.zeros(1, device=device).add_(1).tolist()
    except RuntimeError as e:
        return str(e).partition("\n")[0]
    return None


def _might_have_gpu() -> bool:
    """False if there is surely no GPU. Looks only for the driver: importing PyTorch takes seconds."""
    if sys.platform == "darwin" or any(map(os.path.exists, ("/dev/kfd", "/dev/dxg"))):  # of AMD, of WSL
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    return True
