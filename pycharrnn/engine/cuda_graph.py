"""Records the many small kernels of a time loop as one CUDA graph, so that the GPU does not wait for Python."""

from __future__ import annotations

from collections.abc import Callable

import torch

from pycharrnn.common.printing import PrintLine

_EAGER_CALLS = 3  # before recording: in the first calls CUDA's libraries initialize, which can't be recorded


class CUDAGraphStep:
    """Call a function; on a CUDA GPU, record it as a graph after a few calls and replay it from then on.

    On other devices, and if recording fails, each call calls the function. Source: PyTorch's torch.cuda.CUDAGraph.

    Args:
        function: uses the same buffers at each call, since the graph holds their addresses.
        note: prints why recording failed. wait: called before recording, to wait for the GPU's pending work.
    """

    def __init__(
        self,
        function: Callable[[], None],
        device: torch.device,
        note: PrintLine,
        wait: Callable[[], None] = lambda: None,
    ):
        self._function, self._note, self._wait, self._calls = function, note, wait, 0
        self._device, self._records = device, device.type == "cuda"
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        if self._graph is not None:
            self._graph.replay()
            return
        self._calls += 1
        if not self._records or self._calls <= _EAGER_CALLS:
            self._function()
            return
        self._wait()
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            # Records without computing. NCCL's thread may query the GPU meanwhile, which ends a "global" recording.
            # The default stream of torch.cuda.graph is on the GPU of the first recording of the process.
            own = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]  # PyTorch's
            with torch.cuda.graph(graph, stream=own, capture_error_mode="thread_local"):
                self._function()
        except RuntimeError as e:
            torch.cuda.set_stream(stream)  # PyTorch does not restore it if ending the recording fails too
            self._records = False
            first = e.__context__ or e
            why = (str(first) or type(first).__name__).splitlines()[0]
            self._note(f"a step could not be recorded as a CUDA graph, so that each takes longer: {why}")
            torch.cuda.synchronize()
            self._function()
            return
        self._graph = graph
        graph.replay()
