"""The likeliest text that beams find."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from conftest import GOLDEN, run

from pycharrnn.checkpoints import checkpoint
from pycharrnn.common import memory
from pycharrnn.common.errors import UserError
from pycharrnn.sampling import beam
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.sampling.predictor import Predictor

CHECKPOINT = str(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")
LOADED = checkpoint.load(CHECKPOINT)


def printed(*args: str) -> bytes:
    return run("sample", CHECKPOINT, "-gpuid", "-1", "-verbose", "0", *args).stdout


def log_probability(text: list[int]) -> float:
    """Of the characters after the first, in nats."""
    predictor = NumpyPredictor(LOADED.network)
    return sum(predictor.step(a)[b] for a, b in zip(text[:-1], text[1:], strict=True))


def beamed(width: int, **options) -> list[int]:
    opt = SampleOptions(beam=width, **options)
    return [d.token_id for d in beam.search(NumpyPredictor(LOADED.network, width), LOADED.vocab, opt, b"T")]


def test_one_beam_takes_the_maximum():
    args = ["-length", "100", "-primetext", "The "]
    assert printed(*args, "-beam", "1") == printed(*args, "-sample", "0")


def test_a_beam_of_all_finds_the_likeliest_text():
    V = len(LOADED.vocab)
    found = beamed(V, length=2)
    predictor = NumpyPredictor(LOADED.network)
    first = predictor.step(LOADED.vocab[b"T"] - 1)
    second = np.stack([pair_after_t(index) for index in range(V)])
    best = np.unravel_index((first[:, None] + second).argmax(), (V, V))
    assert found[1:] == list(best)


def pair_after_t(index: int) -> np.ndarray:
    predictor = NumpyPredictor(LOADED.network)
    predictor.step(LOADED.vocab[b"T"] - 1)
    return predictor.step(index)


def test_wider_beams_find_likelier_texts():
    narrow, wide = beamed(1, length=60), beamed(20, length=60)
    assert len(narrow) == len(wide) == 61
    assert log_probability(wide) > log_probability(narrow)


def test_a_beam_comes_out_piece_by_piece_and_stops(monkeypatch):
    whole = beamed(6, length=200)
    monkeypatch.setattr(beam, "_CHECK_EVERY", 1000)
    assert beamed(6, length=200) == whole
    monkeypatch.undo()
    opt = SampleOptions(beam=6, length=0, stop="e")
    text = b"".join(d.character for d in beam.search(NumpyPredictor(LOADED.network, 6), LOADED.vocab, opt, b"T"))
    assert text.endswith(b"e")


def test_the_history_is_walked_now_and_then(monkeypatch):
    walked: list[int] = []
    path = beam._best_path
    monkeypatch.setattr(beam, "_best_path", lambda history: walked.append(len(history)) or path(history))
    beamed(6, length=200)
    assert 0 < len(walked) <= 200 / 16 + 1


def test_beams_that_do_not_agree_are_ended(monkeypatch):
    monkeypatch.setattr(beam, "_FORCE_AFTER", 1)
    found = beamed(6, length=100)
    assert len(found) == 101
    assert log_probability(found) > log_probability(beamed(1, length=100)) - 10


def searched(width: int, primetext: bytes = b"T", **options) -> list:
    opt = SampleOptions(beam=width, **options)
    return list(beam.search(NumpyPredictor(LOADED.network, width), LOADED.vocab, opt, primetext))


def plain_search(width: int, length: int) -> list[int]:
    """The same search, by lists of whole texts."""
    texts = [(0.0, [LOADED.vocab[b"T"] - 1])]
    for _ in range(length):
        longer = []
        for total, text in texts:
            predictor = NumpyPredictor(LOADED.network, 1, len(text))
            log_probs = predictor.read(np.array(text)[:, None])[-1, 0]
            longer += [(total + log_prob, [*text, index]) for index, log_prob in enumerate(log_probs.tolist())]
        texts = sorted(longer, key=lambda entry: -entry[0])[:width]
    return texts[0][1]


@pytest.mark.parametrize("width, length", [(2, 7), (5, 20), (9, 33), (len(LOADED.vocab) + 20, 3)])
def test_the_search_is_that_of_whole_texts(width, length):
    assert [one.token_id for one in searched(width, length=length)] == plain_search(width, length)


@pytest.mark.parametrize("force_after", [1, 20, 256])
def test_each_character_comes_with_the_distribution_after_the_text_before_it(monkeypatch, force_after):
    """Also after beams had to be ended: what comes out is one text, not pieces of several."""
    monkeypatch.setattr(beam, "_FORCE_AFTER", force_after)
    found = searched(6, length=100)
    predictor = NumpyPredictor(LOADED.network)
    for one, following in itertools.pairwise(found):
        np.testing.assert_allclose(following.probs, np.exp(predictor.step(one.token_id)), rtol=1e-9)


def test_the_primetext_comes_with_the_models_own_distribution():
    found = searched(3, b"The", length=1)
    assert [one.given for one in found] == [True] * 3 + [False]
    np.testing.assert_allclose(found[0].probs, 1 / len(LOADED.vocab))
    after_t = np.exp(NumpyPredictor(LOADED.network).step(LOADED.vocab[b"T"] - 1))
    np.testing.assert_allclose(found[1].probs, after_t)


def test_a_search_ends_with_the_text_of_stop():
    whole = searched(4, length=64)
    characters = [one.character for one in whole]
    last = characters[20]
    ended = searched(4, length=64, stop=last.decode())
    first = characters.index(last, 1)
    assert [one.character for one in ended] == characters[: first + 1]


def timesteps(*parents: list[int]) -> list[beam._Timestep]:
    nothing = np.zeros(0)
    return [beam._Timestep(np.array(p), np.zeros(len(p), int), nothing) for p in parents]


def test_what_all_beams_share_is_decided():
    apart = [0, 1]
    assert beam._count_decided(timesteps(apart, apart, apart), np.zeros(2)) == 0
    assert beam._count_decided(timesteps(apart, apart, [1, 1], apart), np.zeros(2)) == 2
    assert beam._count_decided(timesteps([1, 1], apart, apart), np.zeros(2)) == 0
    assert beam._count_decided(timesteps([0], [0], [0]), np.zeros(1)) == 3
    assert beam._count_decided(timesteps(apart, apart, apart), np.array([0, -np.inf])) == 3  # one is left


def test_without_agreement_the_likeliest_beam_decides_half(monkeypatch):
    monkeypatch.setattr(beam, "_FORCE_AFTER", 4)
    history = timesteps(*[[0, 1, 2]] * 3, [0, 1, 0])
    totals = np.zeros(3)
    assert beam._count_decided(history[1:], totals) == 0
    assert (totals == 0).all()
    assert beam._count_decided(history, totals) == 2
    assert totals.tolist() == [0, -np.inf, 0]  # the third goes on from the first one's text


def test_what_is_agreed_on_comes_out_every_16_timesteps():
    """One beam always agrees with itself."""
    predictor = NumpyPredictor(LOADED.network)
    reads = 0
    read = predictor.read

    def counted(indices):
        nonlocal reads
        reads += 1
        return read(indices)

    predictor.read = counted
    found = iter(beam.search(predictor, LOADED.vocab, SampleOptions(beam=1, length=40), b"T"))
    next(found)
    assert [reads for _ in found] == [16] * 16 + [32] * 16 + [40] * 8


def test_more_beams_than_memory_holds(monkeypatch):
    n = LOADED.network
    per_beam = 8 * (16 * n.vocab_size + 6 * n.num_layers * n.rnn_size)
    monkeypatch.setattr(memory, "_main_memory", lambda: 10_000 * per_beam)
    beam.check_memory(n, 10_000)
    with pytest.raises(UserError, match="-beam 10001 takes about"):
        beam.check_memory(n, 10_001)


def test_the_stop_of_a_search_must_be_able_to_occur():
    with pytest.raises(UserError, match="-stop never occurs: it has the character"):
        searched(2, length=9, stop="~")


class Indifferent(Predictor):
    """A predictor that predicts all characters alike."""

    vocab_size = 3
    select_streams = lambda self, sources: None  # noqa: E731

    def read(self, token_ids):
        return np.full((1, token_ids.shape[1], 3), -np.log(3))


def test_of_equal_texts_the_first_in_the_vocabulary_is_kept():
    found = beam.search(Indifferent(), {b"c": 1, b"a": 2, b"b": 3}, SampleOptions(beam=2, length=4), b"")
    assert [one.character for one in found] == [b"c"] * 4
