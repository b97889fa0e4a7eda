"""One character after another, of a model whose predictions are given."""

from __future__ import annotations

import numpy as np
import pytest

from compat.lua_random import LuaRandom, multinomial
from pycharrnn.common.errors import UserError
from pycharrnn.sampling import sampler
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.sampling.predictor import Predictor

VOCAB = {b"a": 1, b"b": 2, b"c": 3, b"d": 4}


class Constant(Predictor):
    """A predictor that predicts the same after every character, and remembers what it has read."""

    vocab_size = len(VOCAB)
    select_streams = None

    def __init__(self, probabilities: list[float], streams: int = 1):
        self.num_streams = streams
        with np.errstate(divide="ignore"):
            self._log_probs = np.tile(np.log(probabilities), (1, streams, 1))
        self.characters: list[list[int]] = []

    def read(self, token_ids: np.ndarray) -> np.ndarray:
        self.characters += token_ids.tolist()
        return self._log_probs.copy()


def draw(probabilities: list[float], primetext: bytes = b"a", **options) -> list[sampler.SampledCharacter]:
    return list(sampler.sample(Constant(probabilities), VOCAB, SampleOptions(**options), primetext))


def test_the_random_numbers_are_one_long_row():
    """Not the same ones over and over again."""
    p = [0.5, 0.25, 0.125, 0.125]
    numbers = LuaRandom(7).random(3000)
    expected = multinomial(np.tile(np.float32(p), (3000, 1)), numbers).tolist()
    found = [one.token_id for one in draw(p, length=3000, seed=7)[1:]]
    assert found == expected
    streams = sampler.sample_streams(Constant(p, 2), [[b"a"], [b"a"]], VOCAB, SampleOptions(length=3000), [8, 7])
    assert [token_id for chunk in streams if chunk.stream == 1 for token_id in chunk.token_ids][1:] == expected


@pytest.mark.parametrize(
    "options, kept",
    [
        ({"topp": 0.5}, [1, 0, 0, 0]),  # the first alone reaches it
        ({"topp": 0.51}, [2 / 3, 1 / 3, 0, 0]),
        ({"topp": 0.75}, [2 / 3, 1 / 3, 0, 0]),
        ({"topp": 1}, [0.5, 0.25, 0.125, 0.125]),
        ({"topk": 3}, [4 / 7, 2 / 7, 1 / 7, 0]),  # of equal ones, the first
        ({"topk": 3, "topp": 0.5}, [1, 0, 0, 0]),
        ({"topk": 1, "topp": 0.9}, [1, 0, 0, 0]),
        ({"topk": 9}, [0.5, 0.25, 0.125, 0.125]),
    ],
)
def test_what_topk_and_topp_leave(options, kept):
    last = draw([0.5, 0.25, 0.125, 0.125], length=1, **options)[-1]
    np.testing.assert_allclose(last.probs, kept, rtol=1e-12)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_ramp_ends_with_its_last_temperature(length):
    p = np.array([0.5, 0.25, 0.125, 0.125])
    found = draw(p.tolist(), length=length, temperature=(0.5, 2.0))[1:]
    temperatures = np.linspace(0.5, 2.0, length)
    for one, temperature in zip(found, temperatures, strict=True):
        expected = p ** (1 / temperature)
        np.testing.assert_allclose(one.probs, expected / expected.sum(), rtol=1e-12)


def test_each_character_is_read_once_and_the_last_one_not_at_all():
    predictor = Constant([1, 0, 0, 0])
    found = list(sampler.sample(predictor, VOCAB, SampleOptions(length=3), b"bc"))
    assert [(one.character, one.given) for one in found] == [
        (b"b", True),
        (b"c", True),
        (b"a", False),
        (b"a", False),
        (b"a", False),
    ]
    assert predictor.characters == [[1], [2], [0], [0]]


def test_without_a_primetext_all_characters_are_alike_at_first():
    predictor = Constant([1, 0, 0, 0])
    first, second = sampler.sample(predictor, VOCAB, SampleOptions(length=2), b"")
    np.testing.assert_allclose(first.probs, [0.25] * 4)
    np.testing.assert_allclose(second.probs, [1, 0, 0, 0])


def test_the_likeliest_character_at_each_timestep():
    assert [one.token_id for one in draw([0.1, 0.2, 0.4, 0.3], length=4, sample=0)[1:]] == [2] * 4


@pytest.mark.parametrize("options", [{}, {"sample": 0}, {"topk": 2}, {"topp": 0.5}])
def test_a_model_that_predicts_nan(options):
    with pytest.raises(UserError, match="at -temperature 0.5 are NaN"):
        draw([np.nan, 1, 1, 1], length=1, temperature=0.5, **options)


def test_what_is_given_does_not_stop():
    p = [0.0, 1.0, 0.0, 0.0]
    assert [one.character for one in draw(p, b"bb", length=9, stop="b")] == [b"b"] * 3
    assert len(draw(p, b"b", length=9, stop="bb")) == 3


def test_a_stop_must_be_able_to_occur():
    for length in (0, 9):
        with pytest.raises(UserError, match='-stop never occurs: it has the character U\\+007E "~", which the model'):
            draw([0.25] * 4, length=length, stop="a~")
    assert draw([0.25] * 4, length=0, stop="ab")[-1].character == b"b"


def test_a_stop_that_is_the_end_of_a_longer_character():
    """The text ends with that character, however many characters are sampled in one call."""
    vocab = {b"a": 1, b"bc": 2, b"d": 3, b"cd": 4}
    for seed in range(5):
        predictor = Constant([0.9, 0.02, 0.06, 0.02])
        found = list(sampler.sample(predictor, vocab, SampleOptions(length=0, stop="c", seed=seed), b"a"))
        assert [one.character == b"bc" for one in found[1:]] == [False] * (len(found) - 2) + [True]
        assert len(predictor.characters) == len(found) - 1
