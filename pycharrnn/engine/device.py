"""Which PyTorch device -gpuid and -opencl ask for."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable

from pycharrnn.common.errors import UserError, flag


def choose(gpuid: int, opencl: int, say: Callable[[str], None], local_rank: int = 0) -> tuple[str, int]:
    """The device to use; a CUDA GPU becomes PyTorch's current one.

    Where no GPU can be used, `say` is told so and it is the CPU, as in char-rnn.

    Args:
        gpuid: number of the GPU, from 0; below 0 for the CPU.
        opencl: whether OpenCL was asked for, which PyTorch lacks.
        say: takes lines of the log.
        local_rank: number of this process among those of a run on this machine; each takes a GPU, from `gpuid` on.

    Returns: PyTorch's name of the device ("cpu", "cuda:0", "mps"), and the gpuid for checkpoints to record, which is -1
        for the CPU.

    Errors: UserError for a gpuid beyond the GPUs there are.
    """
    if gpuid < 0:
        return "cpu", -1
    if _might_have_gpu():
        import torch

        if opencl:
            say("PyTorch has no OpenCL: using the GPU through CUDA or MPS instead.")
        if torch.cuda.is_available():
            count = torch.cuda.device_count()
            gpu = gpuid + local_rank
            if gpu >= count:
                fewer = "; start as many processes a machine as it has GPUs" if local_rank else ""
                raise UserError(
                    f"{flag('gpuid', gpu)}: GPUs here are numbered 0 to {count - 1}; use one of them, or -1 for the"
                    f" CPU{fewer}."
                )
            say(f"using CUDA on GPU {gpu}...")
            torch.cuda.set_device(gpu)  # NCCL and CUDA graphs work on the current GPU
            return f"cuda:{gpu}", gpuid
        if torch.backends.mps.is_available():
            fault = fault_of_mps()
            if fault is None:
                say("using MPS on the GPU...")
                return "mps", gpuid
            say(f"PyTorch finds a GPU for MPS, but can't use it: {fault}")
    say("no GPU found that PyTorch can use; -gpuid -1 asks for none.")
    say("Falling back on CPU mode")
    return "cpu", -1


def fault_of_mps() -> str | None:
    """Why the GPU that PyTorch finds for MPS does not work, or None: on a virtual Mac, no memory can be had of it."""
    import torch

    try:
        torch.zeros(1, device="mps").tolist()
    except RuntimeError as e:
        return str(e).partition("\n")[0]
    return None


def _might_have_gpu() -> bool:
    """False where there is surely no GPU to use. It looks for the driver only: importing PyTorch takes seconds."""
    if sys.platform == "darwin" or os.path.exists("/dev/kfd"):
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    return True
