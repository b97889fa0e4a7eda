"""One run on many processes: `torchrun --nproc_per_node=N -m pycharrnn train ...`.

The rows of every batch are divided among the processes, and gradients are summed before clipping, so together they are
the run of one process. Source: PyTorch's torch.distributed; gloo on CPUs, NCCL on GPUs.
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

# Others wait while the first preprocesses a large text; a process that has died is noticed at once.
_LONGEST_WAIT = timedelta(hours=12)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Ranks(Process):
    """This process among those of the run.

    Attributes:
        gpus: sums tensors on GPUs; None on CPUs.
    """

    gpus: NCCLAllReduce | None = None

    def rows(self, batch_size: int) -> slice:
        """The rows of a batch that are this process's."""
        return slice(batch_size * self.rank // self.size, batch_size * (self.rank + 1) // self.size)

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """`tensor`, in place the sum over all processes, the same to the last bit in each.

        Errors: UserError if another process has ended.
        """
        self.begin_sum(tensor)
        if tensor.device.type != "cpu":
            self.finish()
        return tensor

    def begin_sum(self, tensor: torch.Tensor) -> None:
        """As `sum`, but on a GPU the CPU goes on; it must call `finish` before it waits for a result of the GPU."""
        if self.size > 1:
            self._add_up(tensor)

    def finish(self) -> None:
        """Wait for a sum that has been begun. Errors: UserError if another process has ended."""
        if self.gpus:
            self._together(self.gpus.wait)

    def _add_up(self, tensor: torch.Tensor) -> None:
        gpus = self.gpus if tensor.device.type != "cpu" else None
        self._together(lambda: gpus.begin(tensor) if gpus else dist.all_reduce(tensor))

    def whole_batch(self, part: torch.Tensor, batch_size: int) -> torch.Tensor:
        """A tensor (batch_size, ...) from each process's rows of it."""
        if self.size == 1:
            return part
        whole = part.new_zeros(batch_size, *part.shape[1:])
        whole[self.rows(batch_size)] = part
        return self.sum(whole)

    def any(self, *flags: bool) -> list[bool]:
        """Whether a flag is set in any process, for each; on the CPU, so that no GPU has to be waited for."""
        return [bool(flag) for flag in self.sum(torch.tensor(flags, dtype=torch.int32)).tolist()]

    def one_a_machine_first(self, work: Callable[[], _T]) -> _T:
        """The result of `work`, which one process a machine does before the others."""
        first = [work()] if self.local_rank == 0 else []
        if self.size > 1:
            self._together(lambda: dist.all_reduce(torch.zeros(1)))
        return first[0] if first else work()

    def destroy(self) -> None:
        """Close the connections to the other processes."""
        if self.size > 1:
            dist.destroy_process_group()

    def _together(self, call: Callable[[], object]) -> None:
        try:
            call()
        except RuntimeError as e:
            if self.gpus:
                atexit.register(_end_at_once)
            if memory.ran_out(e) or str(e).startswith("CUDA error"):  # a fault of this process
                raise
            raise UserError(
                f"process {self.rank} of {self.size} stops, since another one ended: see what that one said, then go on"
                f" with {flag('resume')}."
            ) from e


def join(process: Process, where: str) -> Ranks:
    """Connect this process with the others of its run; a single process stays alone.

    Args:
        where: PyTorch's name of the device that the run uses.

    Errors: UserError.
    """
    ranks = Ranks(process.rank, process.size, process.local_rank)
    if ranks.size > 1:
        try:
            return replace(ranks, gpus=connect(where))
        except (RuntimeError, ValueError) as e:
            raise UserError(f"process {ranks.rank} of {ranks.size} can't reach the others: {e}.") from e
    return ranks


def connect(where: str) -> NCCLAllReduce | None:
    """Connect this process with the others: what sums on GPUs, if the device `where` is one. Errors: RuntimeError."""
    dist.init_process_group("gloo", timeout=_LONGEST_WAIT)
    return NCCLAllReduce(_LONGEST_WAIT) if where.startswith("cuda") else None


def _end_at_once() -> None:
    """End without what PyTorch does at the end, which would wait for a GPU that waits for a process that has ended."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(UserError.status)
