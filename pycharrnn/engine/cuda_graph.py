"""The many small kernels of a time loop as one CUDA graph, so that the GPU doesn't wait for Python."""

from __future__ import annotations

from collections.abc import Callable

import torch

_EAGER_CALLS = 3  # before recording, so that libraries have set themselves up


class Replayed:
    """Calls a function that works on fixed buffers; on a CUDA GPU, after a few calls, as a recorded graph.

    Where recording fails the function goes on being called as it is, and so it is on other devices.

    Source: PyTorch's torch.cuda.CUDAGraph.
    """

    def __init__(self, function: Callable[[], None], device: torch.device):
        self._function, self._calls = function, 0
        self._records = device.type == "cuda"
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        if self._graph is not None:
            self._graph.replay()
            return
        self._calls += 1
        if not self._records or self._calls <= _EAGER_CALLS:
            self._function()
            return
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):  # records, does not compute
                self._function()
        except RuntimeError:
            self._records = False
            torch.cuda.synchronize()
            self._function()
            return
        self._graph = graph
        graph.replay()
