"""A network that learns while it reads: the kernel against PyTorch, and the same bits everywhere."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from kernel_levels import needs_kernel

from compat.graph_match import Network
from compat.nngraph import parameter_shapes
from pycharrnn.common.errors import UserError
from pycharrnn.common.targets import IGNORED
from pycharrnn.engine import adapt, kernel_library
from pycharrnn.engine.adapt_options import AdaptOptions
from pycharrnn.engine.torch_adapt import TorchLearner

HOW = adapt.Adaptation(rate=0.002, length=7, pull=0.01)
IDS = np.random.default_rng(3).integers(0, 30, 400)
# Recorded once: the weights after IDS, in float32, of a cell and a length of segments.
RECORDED = {
    ("lstm", 7): "13106eeadf0d4887aa17cc05209b3acc377eb9b1b29a11ee4cea86817a1f4e3a",
    ("gru", 7): "0b7d473ac997764b3cd08ed81669311fe590bb5ddf55412296ebc0a01c468a1b",
    ("rnn", 7): "6148d1fc90c45312cb648e3f7e8811dd278b80a157bf5ae43b5806e92a92f240",
    ("gru", 20): "efbdeeaea0b9a8fde3c6f4ea73e0619516c38445f2a4099c1057125ef98e4397",  # USUAL of kernel_learn.h
}


def network(model: str, layers: int, end_id: int | None = None, units: int = 13) -> Network:
    random, V = np.random.default_rng(7), 30
    shapes = parameter_shapes(model, V, units, layers)
    weights = {name: random.uniform(-0.3, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    return Network(model, units, layers, V, 0.5, weights, end_id=end_id)


def bits(network: Network) -> str:
    return hashlib.sha256(b"".join(weight.tobytes() for weight in network.weights.values())).hexdigest()


@needs_kernel
@pytest.mark.parametrize(
    ("model", "layers", "end_id"), [("lstm", 2, 3), ("lstm", 1, None), ("gru", 2, 3), ("rnn", 3, 3)]
)
def test_the_kernel_and_pytorch_agree(model, layers, end_id):
    of = network(model, layers, end_id)
    targets = IDS[1:].copy()
    if end_id is not None:
        targets[[5, 6, 70, *range(77, 84)]] = IGNORED
    learners = [adapt.learner(of, HOW), TorchLearner(of, HOW)]
    log_probs = [learner.read(IDS[:-1], targets) for learner in learners]
    np.testing.assert_allclose(*log_probs, atol=1e-5)
    assert (log_probs[0][targets == IGNORED] == 0).all() and (log_probs[0][targets != IGNORED] < 0).all()
    kernel, torch = (learner.network().weights for learner in learners)
    for name, weight in of.weights.items():
        np.testing.assert_allclose(kernel[name], torch[name], atol=2e-6, err_msg=name)
        assert np.abs(kernel[name] - weight).max() > 1e-3, name


@needs_kernel
@pytest.mark.parametrize(("model", "length"), RECORDED)
def test_the_same_bits_whatever_the_instructions_and_threads(level, model, length):
    if not kernel_library.rounds_as_elsewhere():
        pytest.skip("this level has no fused multiply-add, so it rounds otherwise")
    of = network(model, 2, 3, units=130)  # enough for four threads
    for threads in (1, 2, 5):
        learner = adapt.learner(of, adapt.Adaptation(HOW.rate, length, HOW.pull), threads)
        learner.read(IDS[:-1], IDS[1:])
        assert bits(learner.network()) == RECORDED[model, length], threads


@needs_kernel
def test_weights_are_where_c_reads_them_on_windows(integers_of_windows):
    of = network("lstm", 2)
    found, expected = (kind(of, HOW).read(IDS[:35], IDS[1:36]) for kind in (adapt.learner, TorchLearner))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@needs_kernel
def test_a_character_that_returns_has_decayed_meanwhile():
    """A text that lacks a character for long: its weights are pulled back, in the kernel, when they are needed."""
    of = network("gru", 1)
    ids = np.concatenate([IDS[:60], IDS[:200] % 5, IDS[60:90]])
    learners = [adapt.learner(of, HOW), TorchLearner(of, HOW)]
    log_probs = [learner.read(ids[:-1], ids[1:]) for learner in learners]
    np.testing.assert_allclose(*log_probs, atol=1e-5)
    kernel, torch = (learner.network().weights for learner in learners)
    for name in of.weights:
        np.testing.assert_allclose(kernel[name], torch[name], atol=2e-6, err_msg=name)


def test_a_text_in_parts_is_the_same_text():
    of, done = network("lstm", 1), []
    whole, parts = adapt.learner(of, HOW), adapt.learner(of, HOW)
    found = whole.read(IDS[:-1], IDS[1:])
    assert parts.read_all(IDS[:-1], IDS[1:], done.append).tolist() == found.tolist()
    assert sum(done) == len(IDS) - 1
    in_two = adapt.learner(of, HOW)
    read = [in_two.read(IDS[k : k + 35], IDS[k + 1 : k + 36]) for k in (0, 35)]
    assert np.concatenate(read).tolist() == found[:70].tolist()
    assert bits(parts.network()) == bits(whole.network())


@pytest.mark.parametrize("kind", [adapt.learner, TorchLearner])
def test_a_share_of_the_rate_is_for_one_text(kind):
    of = network("gru", 1)
    slow, shared = kind(of, adapt.Adaptation(HOW.rate / 2, HOW.length, HOW.pull)), kind(of, HOW)
    slow.read(IDS[:35], IDS[1:36])
    shared.read(IDS[:35], IDS[1:36], 0.5)
    assert bits(shared.network()) == bits(slow.network()) != bits(of)
    slow.read(IDS[35:70], IDS[36:71])
    shared.read(IDS[35:70], IDS[36:71])
    assert bits(shared.network()) != bits(slow.network())


def test_nothing_is_learnt_without_a_rate_and_the_pull_leads_back():
    of = network("gru", 1)
    before = bits(of)
    deaf = adapt.learner(of, adapt.Adaptation(1e-30, 7, 0.1))
    plain = deaf.read(IDS[:-1], IDS[1:])
    assert bits(deaf.network()) == before
    first = adapt.learner(of, HOW).read(IDS[:-1], IDS[1:])[: HOW.length]
    assert first.tolist() == plain[: HOW.length].tolist()  # a segment is predicted before it is learnt from
    learner = adapt.learner(of, adapt.Adaptation(0.01, 7, 1))
    learner.read(IDS[:-1], IDS[1:])
    for name, weight in learner.network().weights.items():
        np.testing.assert_allclose(weight, of.weights[name], atol=1e-7)
    assert bits(of) == before


def test_what_repeats_is_learnt():
    ids = np.tile(IDS[:9], 60)
    log_probs = adapt.learner(network("lstm", 1), adapt.Adaptation(0.01, 5, 0)).read(ids[:-1], ids[1:])
    assert log_probs[-50:].mean() > -0.5 and log_probs[:50].mean() < -2


def test_the_rate_falls_with_the_number_of_units():
    for model, layers, units in (("lstm", 1, 13), ("gru", 3, 13)):
        learner = adapt.learner(network(model, layers, units=units), adapt.Adaptation(0, 7, 0))
        assert learner.how.rate == 0.16 / (layers * units)


def test_checks():
    learner = adapt.learner(network("rnn", 1), HOW)
    for x, y in (([30], [0]), ([0], [30]), ([0], [-1])):
        with pytest.raises(IndexError, match="there are only 0 to 29"):
            learner.read(np.array(x), np.array(y))
    with pytest.raises(ValueError, match="must have the shape"):
        learner.read(np.array([1, 2]), np.array([1]))
    with pytest.raises(TypeError, match="whole numbers"):
        learner.read(np.array([1.5]), np.array([1]))
    assert learner.read(IDS[:0], IDS[:0]).shape == (0,)
    of = network("rnn", 1)
    of.weights["decoder.bias"] = of.weights["decoder.bias"][:-1]
    with pytest.raises(ValueError, match="shape"):
        adapt.learner(of, HOW)


def test_without_the_kernel_pytorch_learns(monkeypatch):
    monkeypatch.setattr(kernel_library, "library", lambda: None)
    assert isinstance(adapt.learner(network("rnn", 1), HOW), TorchLearner)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="learning from a text without the C kernel needs PyTorch"):
        adapt.learner(network("rnn", 1), HOW)


@pytest.mark.parametrize(
    ("name", "value"),
    [("adapt_rate", -1), ("adapt_rate", 2), ("adapt_length", 0), ("adapt_pull", -0.1), ("adapt_pull", 1.1)],
)
def test_bad_values(name, value):
    with pytest.raises(UserError, match=f"-{name} must be .*, not {value}"):
        AdaptOptions(**{name: value})
