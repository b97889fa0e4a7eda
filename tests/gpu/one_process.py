"""`pycharrnn` as one process that sums as if there were others, by NCCL, or gloo without a GPU. torchrun starts it."""

from __future__ import annotations

import torch

from pycharrnn.cli.commands import main
from pycharrnn.training import distributed


class _Summing(distributed.Ranks):
    """The only process, which sums over all all the same."""

    def begin_sum(self, tensor: torch.Tensor) -> None:
        self._all_reduce(tensor)


if __name__ == "__main__":
    distributed.join = lambda process, where: _Summing(all_reduce=distributed.connect(where))
    main()
