"""Sums over the GPUs of many processes, for which nobody waits without end.

NCCL adds up on the GPUs while the CPU goes on. If a process dies in a sum, the GPUs of the others wait for it without
end, and so does a CPU that asks for a result. So all processes meet on their CPUs first, where a dead one is noticed at
once; and what then is asked of the GPUs takes one step at most, so that a CPU can give up.

Source: PyTorch's ProcessGroupNCCL, whose own watchdog would end the process without a sentence.
"""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

# For all that a GPU has to do for one step. torchrun kills those that haven't ended 30 s after another one did.
_PATIENCE = 25.0  # seconds
_PAUSE = 0.0001  # seconds between two looks at the GPU


class NCCLAllReduce:
    """Sums of tensors on this process's current GPU and those of the others; one is under way at most.

    Args:
        longest_wait: for the others to make the connection.

    Errors: of all methods RuntimeError, if another process has ended, for `begin` also if NCCL fails.
    """

    def __init__(self, longest_wait: timedelta):
        os.environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0")  # it is handled here
        self._group: Any = dist.new_group(backend="nccl", timeout=longest_wait)
        self._done: torch.cuda.Event | None = None

    def begin(self, tensor: torch.Tensor) -> None:
        """Let the GPUs sum `tensor` in place; what this GPU is asked for after it comes after it."""
        self.wait()
        dist.all_reduce(torch.zeros(1))  # on the CPUs, with all the patience for those that save or preprocess
        dist.all_reduce(tensor, group=self._group)
        self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]  # PyTorch's
        self._done.record()

    def wait(self) -> None:
        """Let the CPU wait until the sum under way, and all before it, is there."""
        end = time.monotonic() + _PATIENCE
        while self._done is not None and not self._done.query():  # type: ignore[no-untyped-call]  # PyTorch's
            if time.monotonic() > end:
                raise RuntimeError(f"the GPUs have not summed within {_PATIENCE:g} s")
            time.sleep(_PAUSE)
        self._done = None
