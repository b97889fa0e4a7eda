"""Odd shapes of whole networks on the C kernel, held to recurrence.py, for a build under AddressSanitizer: see `run`.

Every weight and gradient has memory of its own here, so that a step beyond its end is seen; in a model's flat vector it
would lead into the next one.
"""

from __future__ import annotations

import itertools
import random
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from kernel_levels import LEVELS
from random_streams import drawn, network, streams_of, text

from compat.cells import MODELS
from compat.nngraph import parameter_shapes
from pycharrnn.engine import kernel
from pycharrnn.engine.backends import choose_backend
from pycharrnn.engine.bptt import BPTT
from pycharrnn.engine.kernel_streams import SampleRequest
from pycharrnn.engine.rmsprop import RMSprop
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.sampling.options import SampleOptions

# Around the rows and columns of a tile, and around the kernel's CHUNK and DEPTH.
BATCHES = (1, 2, 5, 6, 7, 11, 12, 13, 63, 64, 65, 127, 128, 129, 130)
STEPS = (1, 2, 3, 4, 7, 49, 50)
UNITS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 999, 1000)
LAYERS = (1, 2, 3, 4, 5, 6)
CHARACTERS = (1, 2, 65, 255, 256, 257)
THREADS = (1, 2, 3, 8)
TOLERANCES = {torch.float64: 1e-11, torch.float32: 2e-4, torch.bfloat16: 0.05}  # by the precision of products
MOST = 12_500_000  # multiplications of one recurrent product over all steps and layers: about a quarter of a second

PLANTED = """
import torch
from pycharrnn import CharRNN
passes = CharRNN("lstm", 5, 7, 2, dtype=torch.float64).bptt(3, 4)
for state in passes.states(0):
    state.zero_()
passes.forward(torch.zeros(3, 4, dtype=torch.int64))
passes.backend._layers[{layer}].{field} += 1
passes.backend._call("charrnn_forward")
"""

PLANTED_IN_STREAMS = """
import numpy as np
from random_streams import drawn, network, streams_of
streams = streams_of(network("lstm", 70, 7, 2), 4)
streams.network.structure.{field} += 1
drawn(streams, 3)
"""


def cost(T: int, B: int, H: int, layers: int) -> int:
    return T * B * 4 * H * H * layers


def shapes(seed: str) -> list[tuple[int, int, int, int, int, int]]:
    """(T, B, H, layers, V, threads): every value of the lists above, combined at random; and the corners."""
    draw = random.Random(seed)
    lists = (STEPS, BATCHES, LAYERS, CHARACTERS, THREADS)
    steps, batches, layers, characters, threads = (itertools.cycle(draw.sample(v, len(v))) for v in lists)
    found = []
    for H in UNITS:
        T, B, L = next(steps), next(batches), next(layers)
        while cost(T, B, H, L) > MOST:
            T, B, L = (T, B, L - 1) if L > 1 else (T, 1 + B // 3, L) if B > 3 else (1 + T // 3, B, L)
        found.append((T, B, H, L, next(characters), next(threads)))
    for T, B, H, L in itertools.product((1, 50), (1, 130), (1, 1000), (1, 6)):
        if cost(T, B, H, L) <= MOST:
            found.append((T, B, H, L, next(characters), next(threads)))
    return found


@pytest.fixture(autouse=True)
def as_many_threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("products", TOLERANCES, ids=str)
@pytest.mark.parametrize("model", MODELS)
def test_shapes(level, model, products, monkeypatch):
    for shape in shapes(f"{level} {model} {products}"):
        definition, ours = (passes(model, products, usable, *shape, monkeypatch) for usable in (False, True))
        for name, right in definition.items():
            tolerance = TOLERANCES[products] * max(1.0, right.abs().max().item())
            torch.testing.assert_close(ours[name], right, rtol=0, atol=tolerance, msg=lambda m: f"{name} {shape}: {m}")  # noqa: B023


def passes(model, products, usable, T, B, H, layers, V, threads, monkeypatch) -> dict[str, torch.Tensor]:
    """What a forward and a backward pass give, on the kernel or on the loops of recurrence.py, which round nothing."""
    dtype = torch.float64 if products == torch.float64 else torch.float32
    precision = products if usable and products == torch.bfloat16 else None
    torch.set_num_threads(threads)
    monkeypatch.setattr(kernel, "usable", lambda parameters, products=None: usable)
    generator = torch.Generator().manual_seed(1)

    def noise(*shape):
        return torch.randn(shape, dtype=dtype, generator=generator)

    weights = {name: noise(*shape) / (1 + shape[-1]) for name, shape in parameter_shapes(model, V, H, layers).items()}
    network = SimpleNamespace(model=model, num_layers=layers, views=lambda flat: weights, flat=noise(1))
    bptt = BPTT(choose_backend(model, network.flat, precision=precision).make(network, T, B))
    for state in bptt.states(0):
        state.copy_(noise(B, H))
    x, y = (torch.randint(V, (T, B), generator=generator) for _ in range(2))
    bptt.forward(x, noise(layers, T, B, H) if layers % 2 else None)
    bptt.nll(y)
    gradients = {name: torch.full_like(weight, float("nan")) for name, weight in weights.items()}
    d_last = [noise(B, H) for _ in bptt.states(-1)] if T % 2 else None
    first = bptt.backward(bptt.d_nll(), gradients, d_last)
    states = {f"state {k}": state.clone() for k, state in enumerate(bptt.states(-1))}
    return {"log_probs": bptt.log_probs, **states, **{f"d_first {k}": d for k, d in enumerate(first)}, **gradients}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "float"])
def test_updates_of_any_length(level, dtype):
    for size, threads in itertools.product((1, 2, 3, 7, 8, 9, 4095, 4096, 4097, 10001), THREADS):
        torch.set_num_threads(threads)
        parameters, gradient = torch.randn(size, dtype=dtype), torch.randn(size, dtype=dtype)
        RMSprop(parameters, 2e-3, 0.95).step(gradient, clip=1)
        assert parameters.isfinite().all()


@pytest.mark.parametrize("model", MODELS)
def test_shapes_of_streams(level, model):
    """What is read and drawn, held to NumPy; whether the weights are floats alternates."""
    for n, (T, B, H, layers, V, _) in enumerate(shapes(f"{level} {model} streams")):
        of = network(model, V, min(H, 300), min(layers, 3), float32=bool(n % 2))
        streams, definition = streams_of(of, B, T), NumpyPredictor(of, B, T)
        characters = text(T, B, V)
        np.testing.assert_allclose(streams.read(characters), definition.read(characters), rtol=0, atol=1e-12)
        streams.log_likelihoods(np.arange(B), characters, (characters + 1) % V)
        options = SampleOptions(topk=n % 5, topp=0.5 + n % 2 / 2, sample=int(n % 7 > 0))
        request = SampleRequest(np.arange(B) % (V + 1), np.arange(B) % (of.num_layers * of.rnn_size + 1) - 1)
        assert not drawn(streams_of(of, B), 3, options, np.arange(V) == V - 1, request).failed


PLANTED_IN_ALL = [
    *(PLANTED.format(layer=layer, field=field) for layer, field in ((0, "vocab"), (0, "B"), (1, "T"), (1, "H"))),
    *(PLANTED_IN_STREAMS.format(field=field) for field in ("H", "V", "layers")),
]


@pytest.mark.parametrize("planted", PLANTED_IN_ALL)
def test_a_planted_fault_is_seen(level, planted):
    """One step, text, unit, character or layer more than the buffers hold, past Python's checks: a CHECK or ASan."""
    code = f"import sys; sys.path[:0] = {sys.path}\n" + planted
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    # AddressSanitizer does not know what to call it where a vector begins within the buffer.
    assert ended.returncode, ended.stderr
    seen = r"AddressSanitizer: (heap-buffer-overflow|unknown-crash)|kernel_passes\.h:\d+: CHECK\("
    assert re.search(seen, ended.stderr), ended.stderr


def test_there_is_a_kernel():
    assert "any" in LEVELS
