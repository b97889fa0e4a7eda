"""Predictors: on NumPy and on PyTorch, the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import GOLDEN

from pycharrnn.checkpoints import checkpoint
from pycharrnn.engine import kernel_library
from pycharrnn.engine.kernel_network import PackedNetwork
from pycharrnn.engine.model import CharRNN
from pycharrnn.sampling import inference, numpy_predictor
from pycharrnn.sampling.inference import TorchPredictor
from pycharrnn.sampling.kernel_predictor import KernelPredictor
from pycharrnn.sampling.numpy_predictor import NumpyPredictor

FILES = {
    "lstm": GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7",
    "gru": GOLDEN / "gru2" / "lm_gru2_epoch1.00_2.9340.t7",
    "rnn": GOLDEN / "rnn3" / "lm_rnn3_epoch1.00_3.0075.t7",
}


def on_numpy(loaded, streams=1, steps=1):
    return NumpyPredictor(loaded.network, streams, steps)


def on_pytorch(loaded, streams=1, steps=1):
    return TorchPredictor(CharRNN.from_checkpoint(loaded, dtype=torch.float64), streams, steps)


def on_kernel(loaded, streams=1, steps=1):
    if kernel_library.library() is None:
        pytest.skip("no kernel was compiled here")
    return KernelPredictor(PackedNetwork(kernel_library.library(), loaded.network), streams, steps)


@pytest.fixture(params=[on_numpy, on_kernel, on_pytorch])
def make(request):
    return request.param


@pytest.fixture(params=FILES)
def loaded(request):
    return checkpoint.load(FILES[request.param])


def test_many_steps_are_one_after_another(make, loaded):
    text = np.array([3, 1, 4, 1, 5, 9])
    one = make(loaded)
    np.testing.assert_allclose(
        make(loaded, 1, 6).read(text[:, None])[:, 0], np.stack([one.step(k) for k in text.tolist()]), atol=1e-12
    )


def test_streams_go_on_from_where_others_are(make, loaded):
    """Stream k takes the hidden state of stream sources[k], in all layers, and all at once."""
    first, second = np.array([[1, 2, 3]]), np.array([[4, 5, 6]])
    moved = make(loaded, 3)
    moved.read(first)
    moved.select_streams(np.array([1, 0, 1]))
    expected = make(loaded, 3)
    expected.read(first[:, [1, 0, 1]])
    np.testing.assert_allclose(moved.read(second), expected.read(second), atol=1e-12)
    unmoved = make(loaded, 3)
    unmoved.read(first)
    assert np.abs(unmoved.read(second) - expected.read(second)).max() > 1e-6


def test_the_hidden_state_is_zeros_at_first(loaded):
    """Whatever was in the memory that a model's buffers take."""
    model = CharRNN.from_checkpoint(loaded, dtype=torch.float64)
    make_bptt = model.bptt

    def with_old_numbers(*sizes):
        bptt = make_bptt(*sizes)
        for state in bptt.states(-1):
            state.fill_(0.5)
        return bptt

    model.bptt = with_old_numbers
    np.testing.assert_allclose(TorchPredictor(model).step(3), NumpyPredictor(loaded.network).step(3), atol=1e-12)


def test_what_lies_outside_the_vocabulary_is_refused(make, loaded):
    predictor = make(loaded)
    predictor.step(predictor.vocab_size - 1)
    for index in (-1, predictor.vocab_size):
        with pytest.raises(IndexError, match=f"the characters hold {index}, but there are only 0 to"):
            predictor.step(index)
    with pytest.raises(IndexError, match="the streams hold 1"):
        predictor.select_streams(np.array([1]))


@pytest.mark.parametrize("make", [on_numpy, on_kernel])
def test_a_fresh_predictor_has_its_own_sizes_and_states(loaded, make):
    predictor = make(loaded, 2, 3)
    predictor.read(np.array([[1, 2], [3, 4], [5, 6]]))
    text = np.arange(5)[:, None]
    before = predictor.activations()
    found = predictor.fresh(steps=5).read(text)
    np.testing.assert_array_equal(found, make(loaded, 1, 5).read(text))
    np.testing.assert_array_equal(predictor.activations(), before)
    assert predictor.read(np.array([[1, 2], [3, 4], [5, 6]])).shape == (3, 2, predictor.vocab_size)


@pytest.mark.parametrize("make", [on_numpy, on_kernel])
def test_activations_are_those_of_the_last_read(loaded, make):
    """tanh(c) of an lstm, which is the output before its gate, and else what the next layer sees."""
    predictor = make(loaded, 2, 3)
    predictor.read(np.array([[1, 2], [3, 4], [5, 6]]))
    model = CharRNN.from_checkpoint(loaded, dtype=torch.float64)
    _, state = model(torch.tensor([[1, 2], [3, 4], [5, 6]]))
    layers = [c.tanh() for c in state[::2]] if loaded.network.model == "lstm" else state
    found = predictor.activations()
    assert found.shape == (loaded.network.num_layers, 3, 2, loaded.network.rnn_size)
    np.testing.assert_allclose(found[:, -1], torch.stack(layers).detach().numpy(), atol=1e-12)


def test_log_softmax_of_large_scores():
    found = numpy_predictor.log_softmax(np.array([[1000.0, 1000.0], [-1000.0, 0.0]]))
    np.testing.assert_allclose(found, [[-np.log(2), -np.log(2)], [-1000.0, 0.0]])


def test_the_predictor_that_fits_the_device(loaded, monkeypatch):
    assert isinstance(inference.make_predictor(loaded), KernelPredictor if kernel_library.library() else NumpyPredictor)
    with monkeypatch.context() as without:
        without.setattr(kernel_library, "library", lambda: None)
        assert isinstance(inference.make_predictor(loaded), NumpyPredictor)
    asked = []
    monkeypatch.setattr(CharRNN, "from_checkpoint", lambda loaded, device: asked.append(device) or "model")
    monkeypatch.setattr(inference, "TorchPredictor", lambda *args: args)
    assert inference.make_predictor(loaded, "cuda:1", 2, 3) == ("model", 2, 3)
    assert asked == ["cuda:1"]
