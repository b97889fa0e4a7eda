"""The C kernel against recurrence.py, which defines what it computes."""

import math
import platform
import threading
from types import SimpleNamespace

import pytest
import torch
from kernel_levels import needs_kernel

from compat.cells import CELLS
from compat.nngraph import parameter_shapes
from pycharrnn.common.targets import IGNORED
from pycharrnn.engine import kernel, kernel_library
from pycharrnn.engine.backends import choose_backend
from pycharrnn.engine.bptt import BPTT
from pycharrnn.engine.model import CharRNN
from pycharrnn.engine.nll_head import NLLHead
from pycharrnn.engine.rmsprop import RMSprop

pytestmark = [needs_kernel, pytest.mark.usefixtures("kernel_is_on")]


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def passes(model, dtype, T, B, H, layers=2, V=6):
    """Passes with weights of their own, which are small noise, and their states noise too."""
    generator = torch.Generator().manual_seed(1)

    def noise(*shape):
        return torch.randn(*shape, dtype=dtype, generator=generator)

    weights = {name: noise(*shape) / (1 + shape[-1]) for name, shape in parameter_shapes(model, V, H, layers).items()}
    network = SimpleNamespace(model=model, num_layers=layers, views=lambda flat: weights, flat=noise(1))
    bptt = BPTT(choose_backend(model, network.flat).make(network, T, B))
    for state in bptt.states(0):
        state.copy_(noise(B, H))
    return bptt, noise


def everything(bptt, x, y, masks=None, d_last=None):
    """What a forward and a backward pass give."""
    log_probs = bptt.forward(x, masks).clone()
    loss = bptt.nll(y)
    gradients = {name: torch.full_like(weight, float("nan")) for name, weight in bptt.backend.weights.items()}
    first = bptt.backward(bptt.d_nll(), gradients, d_last)
    states = [state.clone() for state in bptt.states(-1)]
    return [log_probs, loss, bptt.d_nll().clone(), *states, *first, *gradients.values()]


SHAPES = [(1, 1, 1), (4, 3, 7), (2, 13, 33), (3, 70, 16), (1, 150, 5), (60, 2, 40), (5, 30, 65)]  # T, B, H


@pytest.mark.parametrize("T,B,H", SHAPES, ids=str)
@pytest.mark.parametrize("drops", [False, True], ids=["whole", "dropout"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "float"])
@pytest.mark.parametrize("model", CELLS)
def test_passes_are_those_of_the_definition(level, model, dtype, drops, T, B, H, monkeypatch):
    results = []
    for usable in (False, True):
        monkeypatch.setattr(kernel, "usable", lambda _, usable=usable: usable)
        bptt, noise = passes(model, dtype, T, B, H)
        masks = noise(2, T, B, H) if drops else None
        d_last = [noise(B, H) for _ in bptt.states(-1)]
        generator = torch.Generator().manual_seed(2)
        x, y = (torch.randint(6, (T, B), generator=generator) for _ in range(2))
        results.append([*everything(bptt, x, y, masks), *everything(bptt, x, y, masks, d_last)])
    for a, b in zip(*results, strict=True):
        tolerance = (1e-12 if dtype == torch.float64 else 2e-5) * max(1.0, a.abs().max().item())
        torch.testing.assert_close(b, a, rtol=0, atol=tolerance)


def test_a_second_backward_pass_is_the_first():
    """Gradients take the place of the gates, so these are computed again."""
    for model in CELLS:
        bptt, noise = passes(model, torch.float64, 4, 5, 6)
        bptt.forward(torch.ones(4, 5, dtype=torch.int64), noise(2, 4, 5, 6))
        d_logits, found = noise(20, 6), []
        for _ in range(2):
            gradients = {name: torch.full_like(weight, float("nan")) for name, weight in bptt.backend.weights.items()}
            found.append([*bptt.backward(d_logits, gradients), *gradients.values()])
        assert all(map(torch.equal, *found))


@pytest.mark.parametrize("model", CELLS)
def test_nothing_is_left_of_the_batch_before(level, model):
    """Neither its masks, nor the gradients of its last states."""
    found = []
    for before in (False, True):
        bptt, noise = passes(model, torch.float64, 4, 5, 6)
        first = [state.clone() for state in bptt.states(0)]
        x, y = (torch.randint(6, (4, 5), generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
        if before:
            everything(bptt, y, x, noise(2, 4, 5, 6), [noise(5, 6) for _ in bptt.states(-1)])
        for state, value in zip(bptt.states(0), first, strict=True):
            state.copy_(value)
        found.append(everything(bptt, x, y))
    assert all(map(torch.equal, *found))


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_the_loss_of_a_part_of_a_batch(level, batch_size, monkeypatch):
    found = []
    for usable in (False, True):
        monkeypatch.setattr(kernel, "usable", lambda _, usable=usable: usable)
        torch.manual_seed(1)
        net = CharRNN("rnn", 6, 4, 1, dtype=torch.float64)
        bptt, x = net.bptt(4, 3, batch_size), torch.ones(4, 3, dtype=torch.int64)
        bptt.states(0)[0].zero_()
        bptt.forward(x)
        found.append((bptt.nll(x), bptt.d_nll().clone()))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-13, atol=1e-14)
    assert found[0][1].sum(1).abs().max() < 1e-14


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "float"])
def test_a_gradient_that_is_not_a_number_is_not_clipped(level, dtype):
    """The loss is exploding: a run must see it, in every place of a vector."""
    for at in range(20):
        parameters, gradient = torch.zeros(20, dtype=dtype), torch.full((20,), 9.0, dtype=dtype)
        gradient[at] = float("nan")
        optimizer = RMSprop(parameters, 2e-3, 0.95)
        optimizer.step(gradient, clip=5)
        expected = torch.full((20,), 5.0, dtype=dtype)
        expected[at] = float("nan")
        torch.testing.assert_close(gradient, expected, rtol=0, atol=0, equal_nan=True)
        assert parameters.isnan().nonzero().tolist() == [[at]] and optimizer.mean_square[at].isnan()


def test_the_number_of_threads_does_not_change_a_bit(level):
    before, found = torch.get_num_threads(), []
    x, y = (torch.randint(6, (9, 70), generator=torch.Generator().manual_seed(1)) for _ in range(2))
    for threads in (1, 2, 3, 8):
        torch.set_num_threads(threads)
        bptt, noise = passes("lstm", torch.float32, 9, 70, 24)
        found.append(everything(bptt, x, y, noise(2, 9, 70, 24)))
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("value", [0.0, 1e-300, 1e-9, -0.1, 0.3, 5.0, -19.0, 40.0, 800.0, -1e6, float("inf")])
def test_gates_far_from_zero(level, value):
    """sigmoid and tanh to the last digits, near 0 in relative terms too, and no NaN where they are shut."""
    for model in ("rnn", "lstm"):
        network = CharRNN(model, 1, 1, 1, dtype=torch.float64)
        network.flat.detach().zero_()
        bias = network.weights["i2h_1.bias"].fill_(value)
        bptt = network.bptt(1, 1)
        for state in bptt.states(0):
            state.zero_()
        bptt.forward(torch.zeros(1, 1, dtype=torch.int64))
        (cell,) = bptt.backend.cells
        if model == "rnn":
            torch.testing.assert_close(cell.h[1, 0], bias.tanh(), rtol=1e-15, atol=0)
        else:
            expected = torch.cat([bias[:3].sigmoid(), bias[3:].tanh()])
            torch.testing.assert_close(cell.gates[0, 0], expected, rtol=1e-15, atol=1e-307)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "float"])
@pytest.mark.parametrize("V", [1, 2, 15, 16, 17, 65, 257, 4000])
def test_log_probabilities_of_any_logits(level, dtype, V):
    """Equal ones, one far above all others, some far below, and infinitely far below."""
    network = CharRNN("rnn", V, 3, 1, dtype=dtype)
    network.flat.detach().zero_()
    generator = torch.Generator().manual_seed(V)
    for scale in (0.0, 1e-3, 1.0, 50.0, 1e4):
        logits = network.weights["decoder.bias"]
        logits.copy_(scale * torch.randn(V, dtype=dtype, generator=generator))
        if scale == 50:
            logits[V // 2 :] = -float("inf")
            logits[0] = 1
        bptt = network.bptt(1, 1)
        bptt.states(0)[0].zero_()
        found = bptt.forward(torch.zeros(1, 1, dtype=torch.int64))[0]
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(found, logits.log_softmax(0), rtol=2 * eps, atol=4 * eps)


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


def test_only_the_lowest_level_of_x86_rounds_products_by_themselves(level):
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    assert kernel_library.rounds_as_elsewhere() == (level != "any" or not is_x86)


def test_it_can_be_switched_off(level, monkeypatch):
    assert kernel.usable(torch.zeros(1))
    monkeypatch.setenv("PYCHARRNN_KERNEL", "off")
    kernel_library.library.cache_clear()
    assert not kernel.usable(torch.zeros(1))
    assert not kernel_library.rounds_as_elsewhere()


@pytest.mark.parametrize("model", CELLS)
def test_tensors_that_are_not_as_large_as_c_takes_them_to_be(model):
    bptt, noise = passes(model, torch.float64, 3, 4, 5)
    ours, d_logits = bptt.backend, noise(12, 6)
    x = torch.zeros(3, 4, dtype=torch.int64)
    ours.forward(x, None)
    for bad in (x[:-1], x.flatten(), torch.zeros(3, 8, dtype=torch.int64)[:, ::2]):
        with pytest.raises(ValueError):
            ours.forward(bad, None)
    with pytest.raises(TypeError):
        ours.forward(x.int(), None)
    masks = noise(2, 3, 4, 5)
    for bad in (masks[:, :-1], masks[:, :, :1], masks.float()):
        with pytest.raises((TypeError, ValueError)):
            ours.forward(x, bad)
    for bad in (d_logits[:-1], d_logits[:, :-1], d_logits.float()):
        with pytest.raises((TypeError, ValueError)):
            ours.backward(bad, ours.weights, None)
    for bad in ([noise(3, 5)] * 4, [noise(4, 5).float()] * 4):
        with pytest.raises((TypeError, ValueError, RuntimeError)):
            ours.backward(d_logits, ours.weights, bad)
    for name in ours.weights:
        for change in (lambda t: t[:-1], lambda t: t.float(), lambda t: t[..., :1].expand(t.shape)):
            wrong = ours.weights | {name: change(ours.weights[name])}
            with pytest.raises((TypeError, ValueError)):
                ours.backward(d_logits, wrong, None)
            if not name.startswith("decoder.weight"):  # which says how large the others must be
                network = SimpleNamespace(model=model, num_layers=2, views=lambda flat, w=wrong: w, flat=noise(1))
                with pytest.raises((TypeError, ValueError)):
                    type(ours)(network, 3, 4)


def test_backward_reads_the_characters_that_were_right():
    """They are read again, so an input that was refused must not be where the structure points."""
    bptt, noise = passes("lstm", torch.float64, 3, 4, 5)
    d_logits, gradients = (
        noise(12, 6),
        {name: torch.empty_like(weight) for name, weight in bptt.backend.weights.items()},
    )
    with pytest.raises(RuntimeError, match="forward"):
        bptt.backward(d_logits, gradients)
    bptt.forward(torch.ones(3, 4, dtype=torch.int64))
    for bad in (6, -1, 1 << 40):
        with pytest.raises(IndexError, match=f" {bad},"):
            bptt.forward(torch.full((3, 4), bad))
    bptt.backward(d_logits, gradients)


def test_the_loss_reads_characters_that_there_are():
    log_probs, d = torch.zeros(3, 4), torch.empty(3, 4)
    for bad in (torch.tensor([0, 1, 4]), torch.tensor([0, -1, 3])):
        with pytest.raises(IndexError):
            kernel.likelihood(log_probs, bad)
        with pytest.raises(IndexError):
            kernel.loss_gradient(log_probs, bad, 1, d)
    y = torch.tensor([0, 1, 2])
    for bad in (y[:2], y.int(), torch.zeros(6, dtype=torch.int64)[::2]):
        with pytest.raises((TypeError, ValueError)):
            kernel.likelihood(log_probs, bad)
    for bad in (d[:2], d.double(), d.t().contiguous().t()):
        with pytest.raises((TypeError, ValueError)):
            kernel.loss_gradient(log_probs, y, 1, bad)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("on_kernel", [True, False])
def test_the_loss_at_a_temperature(dtype, on_kernel):
    torch.manual_seed(0)
    log_probs = torch.log_softmax(5 * torch.randn(30, 65, dtype=dtype), 1)
    y = torch.randint(65, (30,))
    y[::7] = IGNORED
    head = NLLHead(3, log_probs, may_ignore=True)
    head._uses_kernel = head._uses_kernel and on_kernel
    assert head.nll(log_probs, y) == head.nll_at(log_probs, 1)
    for at in (0.8, 1, 1.25, 3):
        expected = (
            torch.nn.functional.cross_entropy(log_probs.double() / at, y, ignore_index=IGNORED, reduction="sum") / 3
        )
        torch.testing.assert_close(head.nll_at(log_probs, at).double(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("on_kernel", [True, False])
def test_the_loss_of_ignored_targets_alone_has_no_sign(on_kernel):
    log_probs = torch.log_softmax(torch.randn(4, 5, dtype=torch.float64), 1)
    head = NLLHead(2, log_probs, may_ignore=True)
    head._uses_kernel = head._uses_kernel and on_kernel
    loss = head.nll(log_probs, torch.full((4,), IGNORED)).item()
    assert loss == 0
    assert math.copysign(1, loss) == 1


def test_the_loss_comes_before_its_gradient():
    log_probs = torch.log_softmax(torch.randn(4, 5), 1)
    head = NLLHead(1, log_probs)
    for call in (lambda: head.d_nll(log_probs), lambda: head.nll_at(log_probs, 2)):
        with pytest.raises(RuntimeError, match="nll comes first"):
            call()
    head.nll(log_probs, torch.zeros(4, dtype=torch.int64))
    for temperature in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="temperature must be above 0"):
            head.nll_at(log_probs, temperature)


def test_the_loss_of_no_rows():
    log_probs, y = torch.empty(0, 4), torch.empty(0, dtype=torch.int64)
    assert kernel.likelihood(log_probs, y) == 0
    assert kernel.loss_gradient(log_probs, y, 1, torch.empty(0, 4)).shape == (0, 4)


def test_more_threads_than_there_is_room_for():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    bptt, noise = passes("lstm", torch.float64, 3, 40, 50)
    torch.set_num_threads(3)
    x = torch.zeros(3, 40, dtype=torch.int64)
    assert all(tensor.isfinite().all() for tensor in everything(bptt, x, x, noise(2, 3, 40, 50)))
    torch.set_num_threads(before)


def step():
    """What one step gives."""
    bptt, noise = passes("gru", torch.float64, 6, 50, 24)
    x = torch.arange(300).view(6, 50).remainder(6)
    return torch.cat([tensor.flatten() for tensor in everything(bptt, x, x, noise(2, 6, 50, 24))])


def test_threads_that_train_at_the_same_time(threads):
    """The kernel's threads help them all."""
    expected, found = step(), []
    others = [threading.Thread(target=lambda: found.extend(step() for _ in range(20))) for _ in range(3)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert len(found) == 60 and all(torch.equal(expected, one) for one in found)


@pytest.mark.parametrize("on_kernel", [True, False])
def test_rmsprop_at_a_rate_beyond_the_largest_float(on_kernel):
    """The loss then is NaN, and the run ends with advice."""
    parameters = torch.zeros(9)
    optimizer = RMSprop(parameters, 1e300, 0.95)
    optimizer._uses_kernel = optimizer._uses_kernel and on_kernel
    optimizer.step(torch.ones(9), clip=5)
    assert (parameters < -1e38).all()


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
