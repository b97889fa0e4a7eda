"""CharRNN as a PyTorch module: gradients, state, equality with torch.nn where torch.nn has the same cell."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from conftest import GOLDEN

import pycharrnn
from compat import charrnn
from compat.cells import MODELS
from compat.lua_random import LuaRandom
from pycharrnn import CharRNN
from pycharrnn.checkpoints import checkpoint
from pycharrnn.engine import kernel
from pycharrnn.engine.rmsprop import RMSprop
from pycharrnn.sampling.numpy_predictor import NumpyPredictor

V, H = 7, 5


def make(model: str, num_layers: int = 2, **keywords) -> CharRNN:
    torch.manual_seed(0)
    net = CharRNN(model, V, H, num_layers, dtype=torch.float64, **keywords)
    with torch.no_grad():
        net.flat.mul_(5)  # large enough for the gates to bend
    return net


def text(T: int, B: int) -> torch.Tensor:
    return torch.randint(V, (T, B), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("num_layers", [1, 3])
def test_gradients(model, num_layers):
    net, x = make(model, num_layers), text(4, 3)
    state = [torch.randn(3, H, dtype=torch.float64, requires_grad=True) for _ in net.initial_state(3)]

    def run(flat, *state):
        log_probs, after = net(x, state)
        return log_probs, *after

    assert torch.autograd.gradcheck(run, (net.flat, *state), fast_mode=True)


def test_gradients_through_dropout():
    net, x = make("lstm", dropout=0.4), text(4, 3)

    def run(flat):
        torch.manual_seed(5)
        return net(x)[0]

    assert torch.autograd.gradcheck(run, (net.flat,), fast_mode=True)


@pytest.mark.parametrize("model", MODELS)
def test_state_carries_a_text_on(model):
    net, x = make(model), text(9, 3)
    whole, last = net(x)
    first, state = net(x[:4])
    second, state = net(x[4:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(state, last)


@pytest.mark.parametrize("model, theirs", [("lstm", torch.nn.LSTM), ("rnn", torch.nn.RNN)])
def test_same_as_torch_nn(model, theirs):
    """torch.nn orders an lstm's gates in, forget, candidate, out."""
    net, x = make(model), text(6, 3)
    order = torch.tensor([0, 1, 3, 2]) if model == "lstm" else torch.tensor([0])
    reference = theirs(V, H, 2).double()
    for layer in (1, 2):
        for ours, name in (("i2h", "ih"), ("h2h", "hh")):
            for part in ("weight", "bias"):
                value = net.weights[f"{ours}_{layer}.{part}"]
                blocks = value.view(len(order), H, -1)[order]
                getattr(reference, f"{part}_{name}_l{layer - 1}").data.copy_(blocks.reshape(value.shape))
    h, _ = reference(torch.eye(V, dtype=torch.float64)[x])
    scores = h @ net.weights["decoder.weight"].T + net.weights["decoder.bias"]
    torch.testing.assert_close(net(x)[0].detach(), scores.log_softmax(-1).detach())


def test_gru_resets_before_the_product():
    """candidate = tanh(W x + U (r*h)), written out for one step."""
    net = make("gru", 1)
    w = net.weights
    h = torch.randn(1, H, dtype=torch.float64)
    linear = lambda name, v: v @ w[f"{name}_1.weight"].T + w[f"{name}_1.bias"]  # noqa: E731
    x = torch.eye(V, dtype=torch.float64)[[2]]
    z = torch.sigmoid(linear("update_i2h", x) + linear("update_h2h", h))
    r = torch.sigmoid(linear("reset_i2h", x) + linear("reset_h2h", h))
    candidate = torch.tanh(linear("candidate_i2h", x) + linear("candidate_h2h", r * h))
    _, (after,) = net(torch.tensor([[2]]), [h])
    torch.testing.assert_close(after, z * candidate + (1 - z) * h)


@pytest.mark.parametrize("model", MODELS)
def test_numpy_computes_what_pytorch_computes(model):
    net, x = make(model), text(6, 1)
    weights = {name: w.numpy() for name, w in net.weights.items()}
    predictor = NumpyPredictor(charrnn.Network(model, H, 2, V, 0.0, weights))
    ours = np.stack([predictor.step(int(i)) for i in x[:, 0]])
    np.testing.assert_allclose(ours, net(x)[0][:, 0].detach().numpy(), rtol=0, atol=1e-13)


def test_dropout_acts_in_training_only():
    net, x = make("gru", dropout=0.5), text(20, 4)
    train = net(x)[0]
    net.eval()
    evaluated = net(x)[0]
    assert not torch.allclose(train, evaluated)
    torch.testing.assert_close(net(x)[0], evaluated)


def test_it_learns_with_any_optimizer():
    net = CharRNN("lstm", V, 16, 1)
    x = torch.arange(30).remainder(V).view(30, 1)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    losses = []
    for _ in range(80):
        optimizer.zero_grad()
        loss = torch.nn.functional.nll_loss(net(x)[0].flatten(0, 1)[:-1], x.flatten()[1:])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 < losses[0]


def test_modules_move_and_save_like_any_other():
    net = make("rnn")
    twin = CharRNN("rnn", V, H, 2)
    twin.load_state_dict(net.state_dict())
    assert twin.double().flat.dtype == torch.float64
    assert {w.data_ptr() for w in twin.weights.values()} >= {twin.flat.data_ptr()}
    torch.testing.assert_close(twin.float()(text(3, 2))[0], net.float()(text(3, 2))[0])


def test_initial_weights_are_char_rnns():
    """One number a parameter is thrown away, then the flat vector is drawn, then forget biases are set."""
    net = CharRNN("lstm", V, H, 1, dtype=torch.float64)
    n = net.flat.numel()
    net.reset_parameters(LuaRandom(123))
    drawn = LuaRandom(123).uniform(-0.08, 0.08, 2 * n)[n:]
    bias = net.weights["i2h_1.bias"]
    assert (bias[H : 2 * H] == 1).all()
    bias[H : 2 * H] = torch.from_numpy(net.views(torch.from_numpy(drawn))["i2h_1.bias"][H : 2 * H].numpy())
    np.testing.assert_array_equal(net.flat.detach().numpy(), drawn)


def test_forget_biases_may_stay_as_they_are_drawn():
    net = CharRNN("lstm", V, H, 2, dtype=torch.float64)
    net.reset_parameters(LuaRandom(123), forget_bias=False)
    drawn = LuaRandom(123).uniform(-0.08, 0.08, 2 * net.flat.numel())[net.flat.numel() :]
    np.testing.assert_array_equal(net.flat.detach().numpy(), drawn)


def test_states_that_a_pass_gave_may_be_overwritten():
    net, x = make("lstm"), text(4, 3)
    gradients = []
    for change in (False, True):
        log_probs, state = net(x)
        if change:
            for s in state:
                s.detach().zero_()
        gradients.append(torch.autograd.grad(log_probs.square().sum(), net.flat)[0])
    assert torch.equal(*gradients)


def test_the_gradient_of_the_loss_is_always_in_the_same_place():
    """A graph of CUDA has the addresses of the buffers."""
    bptt = make("rnn").bptt(3, 2)
    places = set()
    for _ in range(2):
        bptt.forward(text(3, 2))
        bptt.nll(text(3, 2))
        places.add(bptt.d_nll().data_ptr())
    assert len(places) == 1


@pytest.mark.parametrize("dtype, kind", [(torch.float64, "Double"), (torch.float32, "Float"), (torch.float16, "Float")])
def test_a_model_is_saved_and_loaded(tmp_path, dtype, kind):
    net = CharRNN("gru", V, H, 2, dropout=0.25, dtype=dtype)
    net.vocab = {bytes([65 + k]): k + 1 for k in range(V)}
    net.opt = {"seq_length": 11, "data_dir": "data/mine"}
    assert net.as_checkpoint(net.vocab, net.opt).network.tensor_type == f"torch.{kind}Tensor"
    net.save(tmp_path / "a.t7")
    loaded = pycharrnn.load(tmp_path / "a.t7", dtype=dtype).module
    assert (loaded.model, loaded.rnn_size, loaded.num_layers, loaded.dropout) == ("gru", H, 2, 0.25)
    assert loaded.vocab == net.vocab
    assert loaded.opt == {"model": "gru", "rnn_size": H, "num_layers": 2, **net.opt}
    assert torch.equal(loaded.flat, net.flat) and loaded.flat.dtype == dtype
    assert pycharrnn.load(tmp_path / "a.t7").module.flat.dtype == torch.float32


@pytest.mark.parametrize("size", [0, V - 1, V + 1])
def test_a_model_is_saved_with_its_vocabulary_only(tmp_path, size):
    net = make("rnn")
    net.vocab = {bytes([65 + k]): k + 1 for k in range(size)}
    with pytest.raises(ValueError, match=f"model.vocab has {size} characters, the model {V}"):
        net.save(tmp_path / "a.t7")
    assert not list(tmp_path.iterdir())


def test_a_vocabulary_numbers_the_characters_from_1(tmp_path):
    net = make("rnn")
    for ids in (range(V), [1, *range(1, V)]):
        net.vocab = {bytes([65 + k]): token_id for k, token_id in enumerate(ids)}
        with pytest.raises(ValueError, match=f"^model.vocab must number its characters from 1 to {V}$"):
            net.save(tmp_path / "a.t7")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("a.onnx", {"encoding": "ascii"}, "encoding='ascii' is for .t7 files, not for "),
        ("a.pt", {"dtype": "float32"}, "dtype='float32' is for "),
        ("a.html", {}, "can't write the page "),
    ],
)
def test_options_that_a_format_does_not_have(tmp_path, name, options, words):
    net = make("rnn")
    net.vocab = {bytes([65 + k]): k + 1 for k in range(V)}
    with pytest.raises(pycharrnn.UserError, match=f"^{words}"):
        net.save(tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_bad_arguments():
    with pytest.raises(ValueError, match="lstm, gru, rnn"):
        CharRNN("transformer", V, H, 1)
    with pytest.raises(ValueError, match="dropout"):
        CharRNN("lstm", V, H, 1, dropout=1.0)


def test_rmsprop_is_pytorchs_up_to_rounding():
    torch.manual_seed(3)
    ours = torch.randn(40, dtype=torch.float64)
    theirs = torch.nn.Parameter(ours.clone())
    reference = torch.optim.RMSprop([theirs], lr=0.01, alpha=0.9, eps=1e-8)
    optimizer = RMSprop(ours, 0.01, 0.9)
    for _ in range(5):
        theirs.grad = torch.randn(40, dtype=torch.float64)
        optimizer.step(theirs.grad, clip=5)
        reference.step()
    torch.testing.assert_close(ours, theirs.detach())


@pytest.mark.parametrize("in_c", [False, True])
def test_rmsprop_clips_both_ways_and_knows_no_ratio_to_nothing(monkeypatch, in_c):
    if not in_c:
        monkeypatch.setattr(kernel, "usable", lambda parameters: False)
    parameters = torch.zeros(3, dtype=torch.float64)
    gradient = torch.tensor([9.0, -9.0, 0.5], dtype=torch.float64)
    optimizer = RMSprop(parameters, 0.0, 0.9)
    optimizer.step(gradient, clip=5)
    assert gradient.tolist() == [5, -5, 0.5]
    torch.testing.assert_close(optimizer.mean_square, 0.1 * gradient * gradient)
    assert not math.isfinite(optimizer.norm_ratio(gradient))  # as all parameters are 0
    parameters[0] = 2
    optimizer.step(gradient, clip=3)
    assert optimizer.norm_ratio(gradient) == pytest.approx(math.sqrt(9 + 9 + 0.25) / 2, rel=1e-12)


@pytest.mark.parametrize("in_c", [False, True])
def test_rmsprop_may_start_from_other_mean_squares(monkeypatch, in_c):
    """As in optim/rmsprop.lua of 8 June to 6 September 2016, which filled m with 1."""
    if not in_c:
        monkeypatch.setattr(kernel, "usable", lambda parameters: False)
    parameters, gradient = torch.zeros(2, dtype=torch.float64), torch.tensor([2.0, -0.5], dtype=torch.float64)
    optimizer = RMSprop(parameters, 0.01, 0.9, initial_mean=1)
    optimizer.step(gradient.clone(), clip=5)
    first = 0.9 + 0.1 * gradient**2
    torch.testing.assert_close(optimizer.mean_square, first)
    torch.testing.assert_close(parameters, -0.01 * gradient / (first.sqrt() + 1e-8))


@pytest.mark.parametrize("in_c", [False, True])
def test_rmsprop_takes_multiples_of_its_rate(monkeypatch, in_c):
    """Each parameter moves as one of an RMSprop with its own rate, and the ratio of norms is that of the whole."""
    if not in_c:
        monkeypatch.setattr(kernel, "usable", lambda parameters: False)
    torch.manual_seed(3)
    multiples = torch.tensor([2.0] * 5 + [1.0] * 17 + [0.5] * 3 + [2.0] * 15, dtype=torch.float64)
    parameters, gradients = torch.randn(40, dtype=torch.float64), torch.randn(3, 40, dtype=torch.float64)
    ours = parameters.clone()
    optimizer = RMSprop(ours, 0.01, 0.9, multiples)
    for gradient in gradients:
        optimizer.step(gradient.clone(), clip=1)
    for multiple in (2.0, 1.0, 0.5):
        alone = parameters.clone()
        of_one_rate = RMSprop(alone, 0.01 * multiple, 0.9)
        for gradient in gradients:
            of_one_rate.step(gradient.clone(), clip=1)
        assert torch.equal(ours[multiples == multiple], alone[multiples == multiple])
        assert torch.equal(optimizer.mean_square, of_one_rate.mean_square)
    last = gradients[-1].clamp(-1, 1)
    assert optimizer.norm_ratio(last) == pytest.approx(float(last.norm() / ours.norm()), rel=1e-12)


def test_a_checkpoint_becomes_a_module():
    loaded = checkpoint.load(GOLDEN / "gru1_dropout" / "lm_gru1d_epoch1.00_3.1027.t7")
    net = CharRNN.from_checkpoint(loaded, dtype=torch.float64)
    assert (net.model, net.rnn_size, net.num_layers, net.dropout) == ("gru", 20, 1, 0.25)
    np.testing.assert_array_equal(net.weights["decoder.bias"].numpy(), loaded.network.weights["decoder.bias"])
