"""Predictors of a model of items: each item is read and drawn as if it were alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from kernel_levels import LEVELS
from random_streams import network

from compat.cells import MODELS
from compat.charrnn import Checkpoint
from compat.graph_match import Network
from compat.vocabulary import vocabulary_of
from pycharrnn.engine import kernel_library
from pycharrnn.engine.kernel_network import PackedNetwork
from pycharrnn.engine.kernel_streams import SampleRequest, SamplingParams
from pycharrnn.engine.model import CharRNN
from pycharrnn.sampling.inference import TorchPredictor
from pycharrnn.sampling.kernel_predictor import KernelPredictor
from pycharrnn.sampling.numpy_predictor import NumpyPredictor

pytestmark = pytest.mark.usefixtures("kernel_is_on")

V, H, END = 7, 21, 3
VOCAB = vocabulary_of([b"a", b"b", b"c", b"\n", b"d", b"e", b"f"])
PATHS = [*LEVELS, "numpy", "torch"]
each_path = pytest.mark.parametrize("path", PATHS, indirect=True)
each_model = pytest.mark.parametrize("model", MODELS)


def of_items(model: str, layers: int = 2) -> Network:
    return dataclasses.replace(network(model, V, H, layers), end_id=END)


def predictor(path: str, of: Network, streams: int = 1, steps: int = 1):
    if path == "numpy":
        return NumpyPredictor(of, streams, steps)
    if path == "torch":
        import torch

        opt = {} if of.end_id is None else {"items": "line"}
        loaded = CharRNN.from_checkpoint(Checkpoint(of, VOCAB, opt), dtype=torch.float64)
        return TorchPredictor(loaded, streams, steps)
    return KernelPredictor(PackedNetwork(kernel_library.library(), of), streams, steps)


def texts(T: int, B: int) -> np.ndarray:
    """Characters, a fourth of them ends: at the start of a stream, at the last step, twice in turn, or never."""
    random = np.random.RandomState(T + B)
    found = random.randint(0, V, (T, B))
    found[random.rand(T, B) < 0.2] = END
    found[0, ::3] = found[-1, ::4] = END
    found[:, 1::5] = np.where(found[:, 1::5] == END, 0, found[:, 1::5])
    return found


def alone(of: Network, text: np.ndarray) -> np.ndarray:
    """The log-probabilities (T, V) of the items of one stream, each by a new predictor that knows of no end."""
    without = dataclasses.replace(of, end_id=None)
    starts = sorted({0, *np.flatnonzero(text == END)})
    pieces = np.split(text, starts[1:])
    return np.concatenate([NumpyPredictor(without, 1, len(piece)).read(piece[:, None])[:, 0] for piece in pieces])


@pytest.mark.parametrize(("T", "B"), [(1, 1), (9, 1), (8, 5), (6, 30)])
@each_model
@each_path
def test_items_are_read_as_if_alone(path, model, T, B):
    """In calls of T steps: the states are carried over, and the streams are at different places of their items."""
    of, text = of_items(model), texts(3 * T, B)
    together = predictor(path, of, B, T)
    found = np.concatenate([together.read(text[t : t + T]) for t in range(0, 3 * T, T)])
    expected = np.stack([alone(of, text[:, b]) for b in range(B)], 1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert not np.allclose(predictor(path, dataclasses.replace(of, end_id=None), B, 3 * T).read(text), expected)


@each_model
@pytest.mark.parametrize("path", LEVELS, indirect=True)
def test_log_likelihoods_and_activations(path, model):
    of, text = of_items(model), texts(9, 13)
    which = np.array([7, 0, 12, 3])
    ours, definition = predictor(path, of, 13, 8), NumpyPredictor(of, 13, 8)
    log_probs = definition.read(text[:-1])
    np.testing.assert_allclose(ours.read(text[:-1]), log_probs, rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours.activations(), definition.activations(), rtol=0, atol=1e-12)
    found = predictor(path, of, 13).log_likelihoods(which, text[:-1, which], text[1:, which])
    expected = np.take_along_axis(log_probs, text[1:, :, None], -1)[..., 0]
    np.testing.assert_allclose(found, expected[:, which], rtol=0, atol=1e-12)


@each_model
@each_path
def test_a_drawn_end_begins_the_next_item(path, model):
    """Streams that draw several items: the probabilities of each character are those of its item alone."""
    of, (N, M) = of_items(model), (40, 5)
    random = np.random.RandomState(3)
    params = SamplingParams(
        np.full((N, M), 1.5), random.rand(N, M), np.zeros(M, bool), np.zeros(M, np.int64), np.ones(M)
    )
    first = np.array([END, 0, END, 1, 2])
    more = {"request": SampleRequest(np.full(M, 2), np.arange(M))} if path in LEVELS else {}
    output = predictor(path, of, M).sample(range(M), first, None, params, True, **more)
    text = np.concatenate([first[None], output.token_ids])[:-1]
    assert (np.count_nonzero(text[1:] == END, 0) > 1).all()
    for stream in range(M):
        expected = np.exp(alone(of, text[:, stream]) / 1.5)
        expected /= expected.sum(1, keepdims=True)
        np.testing.assert_allclose(output.probs[:, stream], expected, rtol=0, atol=1e-12)


@each_model
@pytest.mark.parametrize("path", LEVELS, indirect=True)
def test_texts_without_an_end_have_the_bits_of_a_text(path, model):
    of, text = of_items(model), texts(20, 14)
    text[text == END] = END + 1
    ours = predictor(path, of, 14, 20).read(text)
    np.testing.assert_array_equal(ours, predictor(path, dataclasses.replace(of, end_id=None), 14, 20).read(text))


@pytest.mark.parametrize("path", LEVELS, indirect=True)
@pytest.mark.parametrize("end_id", [-1, V, 1 << 40])
def test_an_end_outside_of_the_vocabulary_never_reaches_c(path, end_id):
    with pytest.raises(ValueError, match=r"the end of an item is token id"):
        predictor(path, dataclasses.replace(of_items("rnn"), end_id=end_id))
