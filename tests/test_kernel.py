"""The C kernel against recurrence.py, which defines what it computes."""

import importlib.util

import pytest
import torch

from pycharrnn import kernel
from pycharrnn.bptt import LoopLayer
from pycharrnn.model import CharRNN
from pycharrnn.recurrence import CELLS
from pycharrnn.rmsprop import RMSprop

LEVELS = [
    level
    for level in kernel._LEVELS.get(torch.backends.cpu.get_cpu_capability(), ("any",))
    if importlib.util.find_spec(f"pycharrnn._kernel_{level}")
]
pytestmark = pytest.mark.skipif(not LEVELS, reason="no compiler was there when pycharrnn was installed")


@pytest.fixture(params=LEVELS)
def level(request, monkeypatch):
    monkeypatch.setenv("PYCHARRNN_KERNEL", request.param)
    kernel._library.cache_clear()
    yield request.param
    kernel._library.cache_clear()


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


SHAPES = [(1, 1, 1), (4, 3, 7), (2, 13, 33), (3, 70, 16), (1, 150, 5), (60, 2, 40)]  # T, B, H


@pytest.mark.parametrize("T,B,H", SHAPES, ids=str)
@pytest.mark.parametrize("reads_characters", [True, False], ids=["characters", "inputs"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "float"])
@pytest.mark.parametrize("model", CELLS)
def test_a_layer_is_that_of_the_definition(level, model, dtype, reads_characters, T, B, H):
    generator = torch.Generator().manual_seed(1)
    D = 11 if reads_characters else H

    def noise(*shape):
        return torch.randn(*shape, dtype=dtype, generator=generator)

    cell_class = CELLS[model]
    rows = cell_class.blocks // len(cell_class.input_linears) * H
    inputs = [(noise(rows, D) / (1 + D), noise(rows)) for _ in cell_class.input_linears]
    recurrent = [(noise(rows, H) / (1 + H), noise(rows)) for _ in cell_class.recurrent_linears]
    x = torch.randint(D, (T * B,), generator=generator) if reads_characters else noise(T * B, D)
    first = [noise(B, H) for _ in range(1 + (model == "lstm"))]
    d_above, d_last = noise(T, B, H), [noise(B, H) for _ in first]

    results = []
    for layer_class in (LoopLayer, kernel.KernelLayer):
        cell = cell_class(lambda *shape: torch.full(shape, float("nan"), dtype=dtype), T, B, H)
        layer = layer_class(cell, inputs, recurrent, reads_characters, layer_class.make_scratch(cell, D))
        for state, value in zip(cell.states, first, strict=True):
            state[0] = value
        layer.forward(x)
        for after in (None, d_last):
            dh = d_above.clone()
            d_first = [d.clone() for d in layer.backward(dh, after)]
            gradients = [
                [tuple(torch.full_like(p, float("nan")) for p in linear) for linear in group]
                for group in (inputs, recurrent)
            ]
            layer.gradients(*gradients)
            flat = [p for group in gradients for linear in group for p in linear]
            results.append([*cell.states, *d_first, *flat, *([] if reads_characters else [dh])])
    for definition, ours in ((results[0], results[2]), (results[1], results[3])):
        for a, b in zip(definition, ours, strict=True):
            tolerance = (1e-12 if dtype == torch.float64 else 1e-5) * max(1.0, a.abs().max().item())
            torch.testing.assert_close(b, a, rtol=0, atol=tolerance)


def test_the_number_of_threads_does_not_change_a_bit(level):
    x = torch.randint(9, (6, 20), generator=torch.Generator().manual_seed(1))
    found = []
    before = torch.get_num_threads()
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        torch.manual_seed(1)
        model = CharRNN("lstm", 9, 24, 2, dtype=torch.float64)
        bptt = model.bptt(6, 20)
        for state in bptt.states(0):
            state.zero_()
        bptt.forward(x)
        found.append([s.clone() for s in bptt.states(-1)])
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("value", [0.0, 1e-300, 1e-9, -0.1, 0.3, 5.0, -19.0, 40.0, 800.0, -1e6, float("inf")])
def test_gates_far_from_zero(level, value):
    """sigmoid and tanh to the last digits, near 0 in relative terms too, and no NaN where they are shut."""
    for model in ("rnn", "lstm"):
        bias = torch.full((4 if model == "lstm" else 1,), value, dtype=torch.float64)
        zeros = torch.zeros(len(bias), 1, dtype=torch.float64)
        cell = CELLS[model](lambda *shape: torch.zeros(shape, dtype=torch.float64), 1, 1, 1)
        scratch = kernel.KernelLayer.make_scratch(cell, 1)
        layer = kernel.KernelLayer(cell, [(zeros, bias)], [(zeros, 0 * zeros[:, 0])], True, scratch)
        layer.forward(torch.zeros(1, dtype=torch.int64))
        if model == "rnn":
            torch.testing.assert_close(cell.h[1, 0], bias.tanh(), rtol=1e-15, atol=0)
        else:
            expected = torch.cat([bias[:3].sigmoid(), bias[3:].tanh()])
            torch.testing.assert_close(cell.gates[0, 0], expected, rtol=1e-15, atol=1e-307)


def test_not_a_number_stays_one(level):
    model = CharRNN("lstm", 5, 3, 1, dtype=torch.float64)
    with torch.no_grad():
        model.flat[0] = float("nan")
    log_probs, _ = model(torch.zeros(2, 2, dtype=torch.long))
    assert log_probs.isnan().all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "float"])
def test_rmsprop_is_that_of_the_definition(level, threads, dtype, monkeypatch):
    generator = torch.Generator().manual_seed(1)
    start, found = torch.randn(10001, dtype=dtype, generator=generator), []
    for usable in (False, True):
        monkeypatch.setattr(kernel, "usable", lambda _, usable=usable: usable)
        parameters, generator = start.clone(), generator.manual_seed(2)
        optimizer = RMSprop(parameters, 2e-3, 0.95)
        for _ in range(3):
            gradient = 3 * torch.randn(10001, dtype=dtype, generator=generator)
            optimizer.step(gradient, clip=5)
        found.append((parameters, optimizer.mean_square, gradient, torch.tensor(optimizer.norm_ratio(gradient))))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(b, a, rtol=0, atol=1e-13 if dtype == torch.float64 else 1e-6)


def test_it_can_be_switched_off(level, monkeypatch):
    assert kernel.usable(torch.zeros(1))
    monkeypatch.setenv("PYCHARRNN_KERNEL", "off")
    kernel._library.cache_clear()
    assert not kernel.usable(torch.zeros(1))
