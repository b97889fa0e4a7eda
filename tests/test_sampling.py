"""Sampling as a stream of characters with the distributions that they came from."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import GOLDEN

from pycharrnn import checkpoint, sampling
from pycharrnn.options import SampleOptions

LOADED = checkpoint.load(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")


def drawn(primetext: bytes = b"", **options) -> list[sampling.Drawn]:
    stepper = sampling.NumpyStepper(LOADED.network)
    return list(sampling.draw(stepper, LOADED.vocab, SampleOptions(**options), primetext))


def test_given_characters_come_with_the_models_own_probability():
    found = drawn(b"The", length=2, temperature=0.5)
    assert [d.given for d in found] == [True] * 3 + [False] * 2
    assert b"".join(d.character for d in found[:3]) == b"The"
    assert found[0].probability == pytest.approx(1 / len(LOADED.vocab))
    stepper = sampling.NumpyStepper(LOADED.network)
    after_t = np.exp(stepper.step(LOADED.vocab[b"T"] - 1))
    assert found[1].probability == pytest.approx(after_t[LOADED.vocab[b"h"] - 1])


def test_each_drawn_character_comes_with_its_distribution():
    for d in drawn(length=50, temperature=0.7):
        assert d.probabilities.sum() == pytest.approx(1)
        assert d.probability == d.probabilities[d.index] > 0
        assert LOADED.vocab[d.character] == d.index + 1


def test_topk_keeps_the_k_likeliest():
    for d in drawn(length=50, topk=3):
        assert np.count_nonzero(d.probabilities) == 3
        assert d.probabilities.sum() == pytest.approx(1)


def test_topp_keeps_the_fewest_that_reach_p():
    plain = drawn(b"The ", length=1)[-1].probabilities
    kept = drawn(b"The ", length=1, topp=0.6)[-1].probabilities > 0
    assert plain[kept].sum() >= 0.6
    assert plain[kept].min() >= plain[~kept].max()
    assert plain[kept].sum() - plain[kept].min() < 0.6
