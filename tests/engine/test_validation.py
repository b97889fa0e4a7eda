"""What callers may give to the network's passes, and what they are told else: with the C kernel, which believes every
address, and without it."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
import torch
from conftest import GOLDEN

import pycharrnn
from pycharrnn import CharRNN
from pycharrnn.checkpoints import checkpoint
from pycharrnn.engine.bptt import BPTT
from pycharrnn.engine.rmsprop import RMSprop
from pycharrnn.engine.torch_nn_backend import TorchNNBackend
from pycharrnn.sampling.inference import TorchPredictor
from pycharrnn.sampling.numpy_predictor import NumpyPredictor

T, B, V, H = 3, 2, 5, 4
DROPOUT = GOLDEN / "gru1_dropout" / "lm_gru1d_epoch1.00_3.1027.t7"
WHOLE = ("uint8", "int8", "int16", "int32", "uint16", "uint32", "uint64")
OUTSIDE = [V, -1, 250, 1 << 31, 1 << 40, -(1 << 40), (1 << 63) - 1, -(1 << 63)]


def network(model: str = "lstm", dtype=torch.float64, **keywords) -> CharRNN:
    torch.manual_seed(0)
    return CharRNN(model, V, H, 2, dtype=dtype, **keywords)


def characters(*shape: int) -> torch.Tensor:
    return torch.randint(V, shape or (T, B), generator=torch.Generator().manual_seed(1))


def with_one(value: int) -> torch.Tensor:
    x = characters()
    x[-1, -1] = value
    return x


# -- characters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", OUTSIDE)
@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
def test_a_character_that_the_vocabulary_lacks(kernel_or_loops, model, value):
    for dtype in (torch.float64, torch.float32):
        net = network(model, dtype)
        with pytest.raises(IndexError, match=rf"{value}\b.* 0 to 4"):
            net(with_one(value))
        bptt = net.bptt(T, B)
        with pytest.raises(IndexError, match=str(value)):
            bptt.forward(with_one(value))
        bptt.forward(characters())
        with pytest.raises(IndexError, match=str(value)):
            bptt.nll(with_one(value))


@pytest.mark.parametrize("dtype", [name for name in WHOLE if hasattr(torch, name)])
def test_whole_numbers_of_any_type(kernel_or_loops, dtype):
    net, x = network(), characters()
    assert torch.equal(net(x.to(getattr(torch, dtype)))[0], net(x)[0])


@pytest.mark.parametrize(
    "x",
    [*(characters().to(dtype) for dtype in (torch.float32, torch.float64, torch.bool, torch.complex64))]
    + [characters().numpy(), characters().tolist(), 3, None, characters().to_sparse()],
    ids=lambda x: str(getattr(x, "dtype", type(x).__name__)),
)
def test_no_whole_numbers(kernel_or_loops, x):
    with pytest.raises(TypeError, match="x must"):
        network()(x)


@pytest.mark.parametrize("shape", [(), (T,), (T, B, 1), (T, B, V), (0, B), (T, 0)], ids=str)
def test_no_batch(kernel_or_loops, shape):
    with pytest.raises(ValueError, match=re.escape(str(shape))):
        network()(torch.zeros(shape, dtype=torch.int64))


def test_a_batch_elsewhere(kernel_or_loops):
    with pytest.raises(ValueError, match="must be on cpu, not on meta"):
        network()(characters().to("meta"))
    with pytest.raises(ValueError, match="must be on meta, not on cpu"):
        network(device="meta")(characters())


def test_shapes_without_numbers(kernel_or_loops):
    """On PyTorch's meta device."""
    chosen = torch.empty(1, 1, device="meta")
    index = torch.zeros(1, dtype=torch.int64, device="meta")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where it resizes `chosen`
        torch.index_select(torch.empty(2, 1, device="meta"), 0, index, out=chosen)
    if len(chosen) != 1:
        pytest.skip(f"index_select of PyTorch {torch.__version__} gives its result a wrong shape there")
    assert network(device="meta")(characters().to("meta"))[0].shape == (T, B, V)


def test_a_batch_that_lies_in_pieces(kernel_or_loops):
    net = network()
    whole = characters(2 * T, 3 * B)
    pieces = {
        "transposed": characters(B, T).T,
        "every other step": whole[::2, :B],
        "one text": whole[:T, 1:2],
        "one character everywhere": torch.ones(1, 1, dtype=torch.int64).expand(T, B),
        "one text, expanded": whole[:T, :1].expand(T, B),
    }
    for name, x in pieces.items():
        copy = torch.tensor(x.tolist())
        for found, expected in zip(gradient(net, x), gradient(net, copy), strict=True):
            assert torch.equal(found, expected), name


def gradient(net: CharRNN, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    log_probs, _ = net(x)
    return log_probs.detach(), torch.autograd.grad(log_probs.square().sum(), net.flat)[0]


def test_a_batch_that_changes_before_the_backward_pass(kernel_or_loops):
    net, x = network(), characters()
    _, expected = gradient(net, x)
    log_probs, _ = net(x)
    x.fill_(1 << 40)
    assert torch.equal(torch.autograd.grad(log_probs.square().sum(), net.flat)[0], expected)


def test_a_batch_that_was_refused_leaves_the_one_before(kernel_or_loops):
    net, found = network(), []
    for bad in (None, with_one(1 << 40)):
        bptt = net.bptt(T, B)
        for state in bptt.states(0):
            state.zero_()
        bptt.forward(characters())
        bptt.nll(characters())
        if bad is not None:
            with pytest.raises(IndexError):
                bptt.forward(bad)
        gradient = torch.empty_like(net.flat.detach())
        bptt.backward(bptt.d_nll(), net.views(gradient))
        found.append(gradient)
    assert torch.equal(*found)


# -- states ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, error",
    [
        (lambda s: s[:-1], ValueError),
        (lambda s: [*s, s[0]], ValueError),
        (lambda s: [], ValueError),
        (lambda s: [torch.zeros(B + 1, H, dtype=x.dtype) for x in s], ValueError),
        (lambda s: [torch.zeros(B, H + 1, dtype=x.dtype) for x in s], ValueError),
        (lambda s: [torch.zeros(1, H, dtype=x.dtype) for x in s], ValueError),
        (lambda s: [x[None] for x in s], ValueError),
        (lambda s: [x.to("meta") for x in s], ValueError),
        (lambda s: [x.float() for x in s], TypeError),
        (lambda s: [x.tolist() for x in s], TypeError),
        (lambda s: [None for x in s], TypeError),
        (lambda s: 3, TypeError),
    ],
)
@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
def test_states_that_are_none(kernel_or_loops, model, change, error):
    net = network(model)
    with pytest.raises(error, match="state"):
        net(characters(), change(net.initial_state(B)))


def test_states_that_lie_in_pieces(kernel_or_loops):
    net, x = network(), characters()
    states = torch.randn(4, H, B, dtype=torch.float64).transpose(1, 2)
    expected, _ = net(x, [s.contiguous() for s in states])
    for state in (states, tuple(states), iter(states)):
        assert torch.equal(net(x, state)[0], expected)


# -- weights and gradients ---------------------------------------------------------------------------------------------


def test_weights_that_lie_in_pieces(kernel_or_loops):
    net = network()
    log_probs, expected = gradient(net, characters())
    twice = torch.stack([net.flat.detach(), torch.full_like(net.flat, float("nan"))], 1)
    net.flat.data = twice[:, 0]
    assert not net.flat.is_contiguous()
    for found, right in zip(gradient(net, characters()), (log_probs, expected), strict=True):
        torch.testing.assert_close(found, right, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net.weights["decoder.bias"].add_(1),
        lambda net: net.weights["i2h_1.bias"].__setitem__(0, 1.0),
        lambda net: net.views(net.flat.detach())["h2h_2.weight"].mul_(2),
        lambda net: net.set_forget_bias(),
        lambda net: net.load_weights({name: weight.numpy() for name, weight in net.weights.items()}),
        lambda net: net.load_state_dict(net.state_dict()),
        lambda net: torch.optim.SGD(net.parameters(), lr=1.0, momentum=0.9).step(),
        lambda net: RMSprop(net.flat.detach(), 1.0, 0.9).step(torch.ones_like(net.flat.detach()), 5),
    ],
)
def test_weights_that_change_before_the_backward_pass(kernel_or_loops, change):
    net = network()
    net.flat.grad = torch.ones_like(net.flat)
    log_probs, _ = net(characters())
    change(net)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        log_probs.sum().backward()


def test_log_probabilities_that_change_before_the_backward_pass(kernel_or_loops):
    net = network()
    for change in (lambda p: p.detach().exp_(), lambda p: p.detach()[0].zero_()):
        log_probs, _ = net(characters())
        change(log_probs)
        with pytest.raises(RuntimeError, match="inplace"):
            log_probs.sum().backward()


def test_each_forward_pass_has_buffers_of_its_own(kernel_or_loops):
    net, other = network(), characters().flip(0)
    expected = [gradient(net, x)[1] for x in (characters(), other)]
    results = [net(x)[0].square().sum() for x in (characters(), other)]
    for result, right in zip(results, expected, strict=True):
        for keep in (True, True, False):
            assert torch.equal(torch.autograd.grad(result, net.flat, retain_graph=keep)[0], right)
        with pytest.raises(RuntimeError, match="second time"):
            result.backward()


def test_gradients_are_not_differentiated_again(kernel_or_loops):
    net = network()
    state = [s.requires_grad_() for s in net.initial_state(B)]
    log_probs, _ = net(characters(), state)
    # Neither gradient of log_probs depends on a tensor that requires one itself.
    d_flat, d_state = torch.autograd.grad(log_probs.sum(), [net.flat, state[0]], create_graph=True)
    for penalty in (d_flat.square().sum(), d_state.square().sum(), log_probs.sum() + d_flat.norm()):
        for inputs in ([net.flat], [state[1]], None):
            with pytest.raises(RuntimeError, match="differentiated again"):
                penalty.backward(inputs=inputs, retain_graph=True)
    net.requires_grad_(False)
    log_probs, _ = net(characters(), state)
    (d_state,) = torch.autograd.grad(log_probs.sum(), state[0], create_graph=True)
    with pytest.raises(RuntimeError, match="differentiated again"):
        d_state.sum().backward()


def test_inference_mode(kernel_or_loops):
    net = network()
    expected, after = net(characters())
    with torch.inference_mode():
        log_probs, state = net(characters())
    assert log_probs.is_inference() and torch.equal(log_probs, expected)
    log_probs, _ = net(characters(), state)
    assert torch.equal(log_probs, net(characters(), after)[0])
    log_probs.sum().backward()


@pytest.mark.parametrize(
    "sizes, error",
    [((0, H, 1), ValueError), ((V, 0, 1), ValueError), ((V, H, 0), ValueError), ((V, -1, 1), ValueError)],
)
def test_networks_of_nothing(sizes, error):
    with pytest.raises(error, match=r"at least 1, not (0|-1)"):
        CharRNN("lstm", *sizes)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_networks_of_other_numbers(dtype):
    with pytest.raises(TypeError, match=str(dtype)):
        CharRNN("lstm", V, H, 1, dtype=dtype)


def test_weights_of_another_shape():
    net = network()
    weights = {name: weight.numpy() for name, weight in net.weights.items()}
    with pytest.raises(ValueError, match=r"decoder.bias .*\(5,\).*\(1,\)"):
        net.load_weights({**weights, "decoder.bias": np.zeros(1)})


# -- the passes by themselves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(0, B), (T, 0), (-1, B), (T, B, 0)])
def test_passes_over_nothing(sizes):
    with pytest.raises(ValueError, match="at least 1"):
        network().bptt(*sizes)


def test_batches_of_another_shape(kernel_or_loops):
    bptt = network().bptt(T, B)
    for x in (characters(T + 1, B), characters(B, T), characters(T, 1), characters(T * B)):
        with pytest.raises(ValueError, match=r"\(3, 2\)"):
            bptt.forward(x)
    bptt.forward(characters())
    with pytest.raises(ValueError, match=r"y must have the shape \(3, 2\)"):
        bptt.nll(characters(B, T))
    with pytest.raises(TypeError, match="y must hold whole numbers"):
        bptt.nll(characters().double())
    assert torch.equal(bptt.nll(characters().to(torch.uint8)), bptt.nll(characters()))


def test_what_goes_backward_must_fit(kernel_or_loops):
    net = network()
    bptt = net.bptt(T, B)
    bptt.forward(characters())
    bptt.nll(characters())
    d_logits, d_last = bptt.d_nll(), net.initial_state(B)
    views = net.views(torch.empty_like(net.flat.detach()))

    def refused(error, d_logits=d_logits, views=views, d_last=d_last):
        with pytest.raises(error):
            bptt.backward(d_logits, views, d_last)

    refused(ValueError, d_logits=d_logits[:-1])
    refused(ValueError, d_logits=d_logits.view(T, B, V))
    refused(TypeError, d_logits=d_logits.float())
    for name, view in views.items():
        refused(ValueError, views=views | {name: view[:-1]})
        refused(TypeError, views=views | {name: view.float()})
    refused(ValueError, d_last=d_last[:-1])
    refused(ValueError, d_last=[d[:1] for d in d_last])
    refused(TypeError, d_last=[d.float() for d in d_last])
    bptt.backward(d_logits, views, d_last)
    masks = torch.ones(2, T, B, H, dtype=torch.float64)
    for bad in (masks[:1], masks[:, :1], masks[..., :-1]):
        with pytest.raises(ValueError, match=r"masks must have the shape \(2, 3, 2, 4\)"):
            bptt.forward(characters(), bad)


@pytest.mark.parametrize("model", ["lstm", "rnn"])
def test_passes_of_torch_nn(model):
    bptt = BPTT(TorchNNBackend(network(model), T, B))
    with pytest.raises(IndexError, match="holds 5"):
        bptt.forward(with_one(V))
    with pytest.raises(ValueError, match=r"\(3, 2\), not \(2, 3\)"):
        bptt.forward(characters(B, T))
    with pytest.raises(TypeError, match="float32"):
        bptt.forward(characters().float())
    assert torch.equal(bptt.forward(characters().byte()), bptt.forward(characters()))


# -- predictors --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[NumpyPredictor, TorchPredictor])
def predictor(request):
    loaded = checkpoint.load(DROPOUT)
    model = loaded.network if request.param is NumpyPredictor else CharRNN.from_checkpoint(loaded, dtype=torch.float64)
    return lambda *sizes: request.param(model, *sizes)


def test_predictors_read_whole_numbers_of_the_vocabulary(predictor):
    one, many = predictor(), predictor(B, T)
    V = one.vocab_size
    for bad in (V, -1, 250, 1 << 40, -(1 << 63)):
        with pytest.raises(IndexError, match=f" {bad},"):
            one.step(bad)
        x = np.zeros((T, B), np.int64)
        x[1, 1] = bad
        with pytest.raises(IndexError, match=f" {bad},"):
            many.read(x)
    for bad in (0.0, 1.5, True, None, "a", 1j):
        with pytest.raises(TypeError, match="whole numbers"):
            one.step(bad)
    for shape in ((B, T), (T,), (T, 1), (0, B), (T, B, 1)):
        with pytest.raises(ValueError, match=re.escape(f"(3, 2), not {shape}")):
            many.read(np.zeros(shape, np.int64))
    with pytest.raises(ValueError, match=re.escape("(1, 1), not (2, 1)")):
        one.read(np.zeros((2, 1), np.int64))


def test_predictors_read_any_type_of_whole_numbers(predictor):
    numbers = np.arange(T * B).reshape(B, T).T
    expected = predictor(B, T).read(numbers)
    for dtype in (np.uint8, np.int32, np.uint64):
        np.testing.assert_array_equal(predictor(B, T).read(numbers.astype(dtype)), expected)


def test_predictors_select_among_their_streams(predictor):
    model = predictor(B)
    for bad, error in (([0, B], IndexError), ([-1, 0], IndexError), ([0], ValueError), ([0.0, 1.0], TypeError)):
        with pytest.raises(error):
            model.select_streams(np.array(bad))


def test_a_fresh_predictor_reads_what_it_was_made_for():
    model = NumpyPredictor(checkpoint.load(DROPOUT).network, B, T)
    assert model.fresh(steps=7).read(np.zeros((7, 1), np.int64)).shape == (7, 1, model.vocab_size)
    with pytest.raises(ValueError):
        model.fresh().read(np.zeros((T, B), np.int64))


@pytest.mark.parametrize("sizes", [(0, 1), (1, 0), (-1, 1)])
def test_predictors_of_nothing(predictor, sizes):
    with pytest.raises(ValueError, match="at least 1"):
        predictor(*sizes)


# -- what load gives ---------------------------------------------------------------------------------------------------


def test_a_loaded_model_predicts_without_dropping():
    model = pycharrnn.load(DROPOUT, dtype=torch.float64).module
    assert model.dropout == 0.25 and not model.training
    numbers = np.arange(20)[:, None]
    log_probs, _ = model(torch.from_numpy(numbers))
    expected = NumpyPredictor(checkpoint.load(DROPOUT).network, 1, 20).read(numbers)
    np.testing.assert_allclose(log_probs.detach().numpy(), expected, rtol=0, atol=1e-12)
    model.train()
    assert (model(torch.from_numpy(numbers))[0] - log_probs).abs().max() > 1e-3


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda net: net.initial_state(-1), ValueError, "B must be at least 0, not -1"),
        (lambda net: net.initial_state(1.5), TypeError, "B must be a whole number, not 1.5"),
        (lambda net: net.bptt(torch.zeros(2), 2), TypeError, "T must be a whole number"),
        (lambda net: net.bptt(10**400, 2), ValueError, "T must be at most 2147483647, not 1000"),
        (lambda net: net.bptt(2, 2, 0), ValueError, "batch_size must be at least 1, not 0"),
        (lambda net: net.views(None), TypeError, "flat must be a tensor, not "),
        (lambda net: net.views(torch.zeros(2)), ValueError, "flat must have the shape "),
        (lambda net: CharRNN("gru", 5, 4, 10**9), ValueError, "num_layers must be at most 100000, not 1000000000"),
    ],
)
def test_sizes_and_vectors_that_cannot_be(call, error, words):
    with pytest.raises(error, match=words):
        call(CharRNN("gru", 5, 4, 2))
