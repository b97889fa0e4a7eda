"""Data-parallel training: `torchrun --nproc_per_node=N -m pycharrnn train ...`.

Each process computes its rows of every batch, and gradients are summed before clipping, so the result is that of a
single process. Uses torch.distributed: gloo on CPUs, NCCL on GPUs.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from pycharrnn.common import memory
from pycharrnn.common.errors import UserError, flag
from pycharrnn.training.machine import Process
from pycharrnn.training.nccl_allreduce import NCCLAllReduce

# Long, because processes wait while the first preprocesses a text; a process that ends is noticed at once.
_TIMEOUT = timedelta(hours=12)
_T = TypeVar("_T")
_LONGEST = 200  # characters of a message


@dataclass(frozen=True)
class Ranks(Process):
    """This process among those of the run; `all_reduce` sums tensors on GPUs, None on CPUs."""

    all_reduce: NCCLAllReduce | None = None

    def rows(self, batch_size: int) -> slice:
        """The rows of a batch that this process computes."""
        return slice(batch_size * self.rank // self.size, batch_size * (self.rank + 1) // self.size)

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Sum `tensor` over all processes in place; the same bits in each. Errors: UserError if another one ended."""
        self.begin_sum(tensor)
        if tensor.device.type != "cpu":
            self.wait()
        return tensor

    def begin_sum(self, tensor: torch.Tensor) -> None:
        """As `sum`, but asynchronous on a GPU: call `wait` before reading any result of the GPU."""
        if self.size > 1:
            self._all_reduce(tensor)

    def wait(self) -> None:
        """Wait for begin_sum. Errors: UserError if another process has ended."""
        if self.all_reduce:
            self._collective(self.all_reduce.wait)

    def _all_reduce(self, tensor: torch.Tensor) -> None:
        on_gpus = self.all_reduce if tensor.device.type != "cpu" else None
        self._collective(lambda: on_gpus.begin(tensor) if on_gpus else dist.all_reduce(tensor))

    def whole_batch(self, part: torch.Tensor, batch_size: int) -> torch.Tensor:
        """The tensor (batch_size, ...) of which each process has its rows."""
        if self.size == 1:
            return part
        whole = part.new_zeros(batch_size, *part.shape[1:])
        whole[self.rows(batch_size)] = part
        return self.sum(whole)

    def any(self, *conditions: bool) -> list[bool]:
        """For each condition, whether it holds in any process. On the CPU, so that nothing waits for a GPU."""
        return [count > 0 for count in self.sum(torch.tensor(conditions, dtype=torch.int32, device="cpu")).tolist()]

    def first_on_each_machine(self, work: Callable[[], _T]) -> _T:
        """Call `work` in one process of each machine, then in the others; return its result."""
        first = [work()] if self.local_rank == 0 else []
        if self.size > 1:
            self._collective(lambda: dist.all_reduce(torch.zeros(1, device="cpu")))
        return first[0] if first else work()

    def destroy(self) -> None:
        """Close the connections to the other processes."""
        if self.size > 1:
            dist.destroy_process_group()

    def _collective(self, call: Callable[[], object]) -> None:
        try:
            call()
        except RuntimeError as e:
            if self.all_reduce:
                atexit.register(_end_at_once)
            if memory.ran_out(e) or str(e).startswith(("CUDA error", "HIP error")):  # a fault of this process
                raise
            # NCCL may fail in all processes, as without enough shared memory: then no message but its own says why.
            reason = f" ({' '.join(str(e).split())[-_LONGEST:]})" if isinstance(e, dist.DistBackendError) else ""
            raise UserError(
                f"process {self.rank} of {self.size} stops, since another one ended{reason}: read its message, then"
                f" continue with {flag('resume')}."
            ) from e


def join(process: Process, where: str) -> Ranks:
    """Connect this process to the others of its run, if any; `where`: PyTorch's device. Errors: UserError."""
    ranks = Ranks(process.rank, process.size, process.local_rank)
    if ranks.size > 1:
        try:
            return replace(ranks, all_reduce=connect(where))
        except (RuntimeError, ValueError) as e:
            raise UserError(f"process {ranks.rank} of {ranks.size} can't reach the others: {e}.") from e
    return ranks


def connect(where: str) -> NCCLAllReduce | None:
    """Connect to the other processes; return the all-reduce if `where` is a GPU. Errors: RuntimeError."""
    dist.init_process_group("gloo", timeout=_TIMEOUT)
    return NCCLAllReduce(_TIMEOUT) if where.startswith("cuda") else None


def _end_at_once() -> None:
    """Exit without PyTorch's cleanup, which would wait for a GPU that waits for an ended process."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(UserError.status)
