"""The C kernel against recurrence.py, which defines what it computes."""

import pytest
import torch

from pycharrnn.engine import kernel, kernel_library
from pycharrnn.engine.loop_layer import LoopLayer
from pycharrnn.engine.model import CharRNN
from pycharrnn.engine.recurrence import CELLS
from pycharrnn.engine.rmsprop import RMSprop

_PACKAGE = kernel_library.PACKAGE
_USABLE = kernel_library.LEVELS[: kernel_library.LEVELS.index(kernel_library.best_level()) + 1]
LEVELS = [level for level in _USABLE if list(_PACKAGE.glob(f"_kernel_{level}.*"))]
pytestmark = pytest.mark.skipif(not LEVELS, reason="no compiler was there when pycharrnn was installed")


@pytest.fixture(params=LEVELS)
def level(request, monkeypatch):
    monkeypatch.setenv("PYCHARRNN_KERNEL", request.param)
    kernel_library.library.cache_clear()
    assert kernel_library.name() == request.param
    yield request.param
    kernel_library.library.cache_clear()


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
    kernel_library.library.cache_clear()
    assert not kernel.usable(torch.zeros(1))


def layer(model="lstm", T=3, B=4, H=5, V=6, reads_characters=True):
    """A layer with weights of zeros, its cell, its scratch and its (inputs, recurrent)."""

    def zeros(*shape):
        return torch.zeros(*shape, dtype=torch.float64)

    cell = CELLS[model](zeros, T, B, H)
    rows = cell.blocks // len(cell.input_linears) * H
    weights = [
        [(zeros(rows, columns), zeros(rows)) for _ in linears]
        for columns, linears in ((V if reads_characters else H, cell.input_linears), (H, cell.recurrent_linears))
    ]
    scratch = kernel.KernelLayer.make_scratch(cell, V)
    return kernel.KernelLayer(cell, *weights, reads_characters, scratch), cell, scratch, weights


@pytest.mark.parametrize("model", CELLS)
def test_tensors_that_are_not_as_large_as_c_takes_them_to_be(model):
    ours, cell, scratch, weights = layer(model)
    x = torch.zeros(12, dtype=torch.int64)
    ours.forward(x)
    for bad in (x[:-1], x.view(3, 4), torch.zeros(24, dtype=torch.int64)[::2]):
        with pytest.raises(ValueError):
            ours.forward(bad)
    with pytest.raises(TypeError):
        ours.forward(x.int())
    dh = torch.zeros(3, 4, 5, dtype=torch.float64)
    for bad in (dh[:-1], dh[:, :, :1].expand(3, 4, 5), dh.transpose(0, 1).contiguous().transpose(0, 1)):
        with pytest.raises(ValueError):
            ours.backward(bad)
    with pytest.raises(TypeError):
        ours.backward(dh.float())
    ours.backward(dh)
    for part in (0, 1):
        for change in (lambda t: t[:-1], lambda t: t.float(), lambda t: t[..., :1].expand(t.shape)):
            wrong = [list(group) for group in weights]
            wrong[1][-1] = tuple(change(t) if k == part else t for k, t in enumerate(wrong[1][-1]))
            with pytest.raises((TypeError, ValueError)):
                ours.gradients(*wrong)
            with pytest.raises((TypeError, ValueError)):
                kernel.KernelLayer(cell, *wrong, True, scratch)
    for name, buffer in scratch.items():
        with pytest.raises(ValueError):
            kernel.KernelLayer(cell, *weights, True, scratch | {name: buffer[..., :-1].contiguous()})


def test_an_input_as_wide_as_the_layer_is_what_the_buffers_are_made_for():
    _, cell, scratch, (inputs, recurrent) = layer(reads_characters=False)
    wider = [(torch.zeros(20, 6, dtype=torch.float64), bias) for _, bias in inputs]
    with pytest.raises(ValueError, match=r"\(20, 5\), not \(20, 6\)"):
        kernel.KernelLayer(cell, wider, recurrent, False, scratch)


def test_backward_reads_the_characters_that_were_right():
    """They are read again, so an input that was refused must not be where the structure points."""
    ours, *_, weights = layer()
    with pytest.raises(RuntimeError, match="forward"):
        ours.gradients(*weights)
    ours.forward(torch.ones(12, dtype=torch.int64))
    for bad in (6, -1, 1 << 40):
        with pytest.raises(IndexError, match=f" {bad},"):
            ours.forward(torch.full((12,), bad))
    ours.backward(torch.ones(3, 4, 5, dtype=torch.float64))
    ours.gradients(*[[tuple(t.clone() for t in linear) for linear in group] for group in weights])


def test_more_threads_than_there_is_room_for():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    ours, *_, weights = layer()
    torch.set_num_threads(3)
    x = torch.zeros(12, dtype=torch.int64)
    ours.forward(x)
    ours.backward(torch.ones(3, 4, 5, dtype=torch.float64))
    gradients = [[tuple(torch.full_like(t, float("nan")) for t in linear) for linear in g] for g in weights]
    ours.gradients(*gradients)
    torch.set_num_threads(before)
    assert all(t.isfinite().all() for group in gradients for linear in group for t in linear)


def test_without_openmp_threads_of_python_do_the_same(level, threads, monkeypatch):
    def step():
        model = CharRNN("gru", 9, 24, 2, dtype=torch.float64)
        with torch.no_grad():
            model.flat.copy_(torch.linspace(-1, 1, len(model.flat)))
        model(torch.arange(60).view(6, 10).remainder(9))[0].square().sum().backward()
        return model.flat.grad

    expected = step()
    monkeypatch.setattr(kernel.ctypes, "CDLL", lambda name: None)
    kernel._team.cache_clear()
    found = step()
    kernel._team.cache_clear()
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["gradient", "mean_square"])
def test_rmsprop_takes_vectors_of_one_kind(name):
    for change in (lambda t: t[:-1], lambda t: t.float(), lambda t: t[:1].expand(9), lambda t: t.to("meta")):
        parameters = torch.zeros(9, dtype=torch.float64)
        optimizer = RMSprop(parameters, 2e-3, 0.95)
        gradient = torch.zeros_like(parameters)
        if name == "gradient":
            gradient = change(gradient)
        else:
            optimizer.mean_square = change(optimizer.mean_square)
        with pytest.raises((TypeError, ValueError), match=name):
            optimizer.step(gradient, clip=5)
