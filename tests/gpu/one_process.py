"""`pycharrnn` as one process that sums as if there were others, by NCCL, or gloo without a GPU. torchrun starts it."""

from __future__ import annotations

import torch
import torch.distributed as dist

from pycharrnn.cli.commands import main
from pycharrnn.training import distributed


class _Summing(distributed.Ranks):
    """The only process, which sums over all all the same."""

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        self._together(lambda: dist.all_reduce(tensor))
        return tensor


if __name__ == "__main__":
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    distributed.join = lambda where: _Summing()
    main()
