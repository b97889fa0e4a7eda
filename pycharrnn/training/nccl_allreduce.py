"""NCCL all-reduce with a timeout, for distributed.py.

When a process ends during an NCCL all-reduce, the GPUs of the others wait forever, and so does a CPU that reads a
result. So all processes first meet in an all-reduce on their CPUs, which fails at once if one has ended. The GPUs then
need one step at most: a short timeout is enough. ProcessGroupNCCL's watchdog ends the process without a message.
"""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

# For one step. torchrun kills processes that are still running 30 s after another one ended.
_TIMEOUT = 25.0  # seconds
_POLL_INTERVAL = 0.0001  # seconds


class NCCLAllReduce:
    """All-reduce over the current GPUs of all processes, one at a time; `timeout`: for connecting.

    Errors: RuntimeError from all methods if another process has ended or NCCL fails.
    """

    def __init__(self, timeout: timedelta):
        # This class handles errors. torchrun sets the variable to 1; the second name is that of PyTorch before 2.2.
        for name in ("TORCH_NCCL_ASYNC_ERROR_HANDLING", "NCCL_ASYNC_ERROR_HANDLING"):
            os.environ[name] = "0"
        self._group: Any = dist.new_group(backend="nccl", timeout=timeout)
        self._done: torch.cuda.Event | None = None

    def begin(self, tensor: torch.Tensor) -> None:
        """Start to sum `tensor` in place; later operations on this GPU use the sum."""
        self.wait()
        dist.all_reduce(torch.zeros(1, device="cpu"))  # on the CPUs, without the short timeout
        dist.all_reduce(tensor, group=self._group)
        self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]  # PyTorch's
        self._done.record()

    def wait(self) -> None:
        """Wait for the sum that `begin` started, if any. Errors: RuntimeError, also after _TIMEOUT seconds."""
        end = time.monotonic() + _TIMEOUT
        while self._done is not None and not self._done.query():  # type: ignore[no-untyped-call]  # PyTorch's
            if time.monotonic() > end:
                raise RuntimeError(f"the GPUs have not summed within {_TIMEOUT:g} s")
            time.sleep(_POLL_INTERVAL)
        self._done = None
