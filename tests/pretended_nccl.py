"""`pycharrnn` on a pretended GPU, whose sums with those of other processes gloo makes in NCCL's place.

    RANK=1 WORLD_SIZE=2 ... python pretended_nccl.py "gpu 8" train ...

dies at its eighth sum on the GPU; "cpu 8" at its eighth on the CPU, "never" not at all. As NCCL's, a sum on the GPU
fails for nobody where a process has died: it is only never there. And a process with such a GPU does not end by itself.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from unittest import mock

import torch
import torch.distributed as dist
from pretended_device import PretendedTensor, pretended_gpu

from pycharrnn.cli.commands import main
from pycharrnn.training import nccl_allreduce

_LOOKS = 3  # at an event before a sum is there


class _Event:
    """What a CPU can ask whether the GPU has come so far."""

    sum_is_there = True

    def record(self) -> None:
        self._looks = 0

    def query(self) -> bool:
        self._looks += 1
        return self._looks > _LOOKS and _Event.sum_is_there


def run(dies: str, args: list[str]) -> None:
    reduce, connect = dist.all_reduce, dist.new_group
    counts = {"cpu": 0, "gpu": 0}

    def all_reduce(tensor: torch.Tensor, group: dist.ProcessGroup | None = None) -> None:
        where = "gpu" if isinstance(tensor, PretendedTensor) else "cpu"
        counts[where] += 1
        if dies == f"{where} {counts[where]}":
            os._exit(9)
        if where == "cpu":
            reduce(tensor)
            return
        try:
            reduce(tensor.held, group=group)
        except RuntimeError:
            _Event.sum_is_there = False

    def new_group(backend: str, timeout: object) -> dist.ProcessGroup:
        assert backend == "nccl"
        return connect(backend="gloo", timeout=timeout)

    with (
        mock.patch.object(dist, "all_reduce", all_reduce),
        mock.patch.object(dist, "new_group", new_group),
        mock.patch.object(torch.cuda, "Event", _Event),
        mock.patch.object(nccl_allreduce, "_TIMEOUT", 300.0 if dies == "never" else 2.0),
        pretended_gpu(count=2),
    ):
        main(args)


if __name__ == "__main__":
    if sys.argv[1] != "never":
        atexit.register(time.sleep, 600)
    run(sys.argv[1], sys.argv[2:])
