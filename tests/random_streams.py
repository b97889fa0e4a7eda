"""Networks with random weights, and the streams that read and draw with them on the C kernel."""

from __future__ import annotations

import numpy as np

from compat.graph_match import Network
from compat.nngraph import parameter_shapes
from pycharrnn.engine import kernel_library
from pycharrnn.engine.kernel_network import PackedNetwork
from pycharrnn.engine.kernel_streams import SampleRequest, SamplingParams, Streams
from pycharrnn.sampling.options import SampleOptions


def network(model: str, V: int, H: int, layers: int, float32: bool = False) -> Network:
    """Weights at random; `float32`: such that floats hold them."""
    random = np.random.RandomState(V + H)
    shapes = parameter_shapes(model, V, H, layers)
    weights = {name: random.uniform(-2, 2, shape) / np.sqrt(H) for name, shape in shapes.items()}
    if float32:
        weights = {name: weight.astype(np.float32).astype(np.float64) for name, weight in weights.items()}
    return Network(model, H, layers, V, 0.0, weights)


def streams_of(of: Network, streams: int = 1, steps: int = 1) -> Streams:
    return Streams(PackedNetwork(kernel_library.library(), of), streams, steps)


def text(T: int, B: int, V: int) -> np.ndarray:
    return np.random.RandomState(T + B).randint(0, V, (T, B))


def params_of(steps: int, M: int, opt: SampleOptions, pause_after: np.ndarray | None = None) -> SamplingParams:
    random = np.random.RandomState(3).uniform(size=(steps, M))
    temperatures = np.full((steps, M), float(opt.temperature))
    return SamplingParams(
        temperatures, random, np.full(M, not opt.sample), np.full(M, opt.topk), np.full(M, float(opt.topp)), pause_after
    )


def drawn(
    streams: Streams,
    steps: int,
    opt: SampleOptions | None = None,
    pause_after: np.ndarray | None = None,
    request: SampleRequest | None = None,
):
    M = len(streams.h)
    params = params_of(steps, M, opt or SampleOptions(), pause_after)
    return streams.sample(np.arange(M), np.arange(M) % streams.network.structure.V, None, params, True, request)
