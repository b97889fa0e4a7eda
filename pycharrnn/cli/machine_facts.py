"""The facts that `pycharrnn doctor` prints for bug reports: files, versions, CPU, C kernel and GPUs.

Needs no PyTorch.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
from collections.abc import Iterator

from pycharrnn._version import __version__
from pycharrnn.common import extras
from pycharrnn.common.display import escape_line, plural
from pycharrnn.engine import device, kernel_library


def machine_facts() -> Iterator[str]:
    """Lines with files, versions of packages, CPU, C kernel and GPUs."""
    yield f"pycharrnn {__version__}, Python {platform.python_version()}, {platform.platform()}"
    yield ", ".join(
        f"{name} {_version(name)}" for name in ("torch", "numpy", "click", "torchfile", "chardet", "safetensors")
    )
    yield f"package: {escape_line(str(kernel_library.PACKAGE), None)}"
    yield f"C kernel: {_kernel()}"
    if extras.has_pytorch():
        yield from _pytorch_facts()
    else:
        yield f"CPU: {_cpu()}, {os.cpu_count()} logical cores"


def _pytorch_facts() -> Iterator[str]:
    import torch

    threads = torch.get_num_threads()
    cores = f"{os.cpu_count()} logical cores, PyTorch uses {threads} {plural(threads, 'thread')}"
    yield f"CPU: {_cpu()}, {cores}"
    settings = {name: os.environ[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ}
    blas = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    yield f"BLAS: {blas[1] if blas else 'unknown'}" + "".join(f", {name}={value}" for name, value in settings.items())
    if torch.cuda.is_available():
        for k in range(torch.cuda.device_count()):
            memory = torch.cuda.get_device_properties(k).total_memory / 2**30
            built = f"CUDA {torch.version.cuda or 'none'}"
            yield f"GPU {k}: {torch.cuda.get_device_name(k)}, {memory:.0f} GiB, {built}{_unusable(f'cuda:{k}')}"
    elif torch.backends.mps.is_available():
        yield f"GPU: Apple's, through MPS{_unusable('mps')}"
    else:
        built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
        yield f"GPU: none that PyTorch can use (it was built {built})"


def _unusable(gpu: str) -> str:
    fault = device.fault_of(gpu)
    return f", which can't be used: {fault}" if fault else ""


def _kernel() -> str:
    """The kernel in use, whether its bits are the same on every machine, its file, and why no better one is used."""
    loaded = kernel_library.library() if kernel_library.name() else None
    if loaded is None:
        return "; ".join([f"none, {kernel_library.SLOWER}", *kernel_library.why_not_better()])
    if kernel_library.rounds_as_elsewhere():
        bits = "which computes the same bits on every machine"
    else:
        bits = "which has no fused multiply-add: the last digits of a training are not those of other machines"
    file = f"file {escape_line(loaded._name, None)}"
    return "; ".join([f"{kernel_library.level(loaded)}, {bits}", file, *kernel_library.why_not_better()])


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _cpu() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
        for line in f:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
