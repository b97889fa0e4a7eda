"""What is drawn from a served model, and how it takes a text."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from serving_tools import LSTM

from pycharrnn.analysis import scoring
from pycharrnn.checkpoints import checkpoint
from pycharrnn.page.facts import facts_of
from pycharrnn.sampling import sampler
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.server import served_models

DASH = "\u2013".encode()  # three bytes that the model knows


@pytest.fixture(scope="module")
def loaded():
    return checkpoint.load(LSTM)


@pytest.fixture(scope="module")
def model(loaded):
    return served_models.served(loaded, facts_of(loaded, "x", 0))


def test_each_sample_begins_with_a_state_of_zeros(model):
    first, second = (list(served_models.sample(model, SampleOptions(length=30), b"The ", None, 5)) for _ in range(2))
    assert first == second


def test_a_character_of_several_bytes(model, loaded):
    """Its candidates are those of its first byte, its probability is that of all, its activation that of the last."""
    line, *_ = served_models.sample(model, SampleOptions(length=1), DASH, (2, 5), 3)
    drawn = list(sampler.draw(NumpyPredictor(loaded.network), loaded.vocab, SampleOptions(length=1), DASH))[:3]
    assert line["text"] == DASH.decode()
    assert line["given"] is True
    assert line["probability"] == pytest.approx(math.prod(one.probability for one in drawn), rel=1e-3)
    assert [p for _, p in line["candidates"]] == pytest.approx([1 / 73] * 3, rel=1e-3)
    predictor = NumpyPredictor(loaded.network)
    for one in drawn:
        predictor.step(one.vocab_index)
    assert line["activation"] == pytest.approx(predictor.activations()[1, 0, 0, 4], rel=1e-3)


def test_candidates_have_names_that_a_screen_can_show(model):
    line, *_ = served_models.sample(model, SampleOptions(length=1), b"T", None, 73)
    names = [name for name, _ in line["candidates"]]
    assert len(set(names)) == 73
    assert {"T", " ", "0xE2", "0x80", "0xC3"} <= set(names)


@pytest.mark.parametrize("primetext, text", [(b"T\xe2\x80", ["T", "\ufffd"]), (b"T\xe2", ["T", "\ufffd"])])
def test_a_sample_that_ends_amid_a_character(model, monkeypatch, primetext, text):
    draw = sampler.draw
    monkeypatch.setattr(sampler, "draw", lambda *args, **more: (one for one in draw(*args, **more) if one.given))
    lines = list(served_models.sample(model, SampleOptions(length=1), primetext, (1, 1), 0))
    assert [line["text"] for line in lines[:-1]] == text
    assert all("activation" in line for line in lines[:-1])
    assert lines[-1] == {"done": True}


def scored(model, text: bytes) -> dict:
    return json.loads("".join(served_models.score(model, text)))


def test_a_text_to_score_that_ends_amid_a_character(model):
    answer = scored(model, b"T\xe2\x80")
    assert [one["text"] for one in answer["characters"]] == ["T", "\ufffd"]
    assert (answer["known"], answer["unknown"]) == (3, 0)
    assert scored(model, b"\xe2")["characters"][0]["text"] == "\ufffd"


def test_the_mean_is_that_of_the_known_bytes(model, loaded):
    text = "The \u00fc night".encode()
    answer = scored(model, text)
    found = scoring.score(loaded, text)
    bits = found.bits[found.known]
    assert (answer["known"], answer["unknown"]) == (11, 1)
    assert answer["bits_per_character"] == pytest.approx(float(np.mean(bits)))


@pytest.mark.parametrize(
    "layers, size, steps", [(2, 16, 32), (2, 512, 32), (2, 1024, 16), (4, 1024, 8), (2, 4096, 1), (8, 8192, 1)]
)
def test_the_larger_a_model_the_fewer_characters_it_reads_in_a_turn(model, monkeypatch, layers, size, steps):
    asked = []
    kind = type(model.predictor)
    fresh = kind.fresh
    monkeypatch.setattr(kind, "fresh", lambda self, n=1: asked.append(n) or fresh(self, n))
    facts = dataclasses.replace(model.facts, num_layers=layers, rnn_size=size)
    scored(dataclasses.replace(model, facts=facts), b"The night")
    assert asked == [steps]


@pytest.mark.parametrize("x, shown", [(0.123456, 0.1235), (1e-20, 1e-20), (1, 1), (math.nan, 0), (math.inf, 0)])
def test_four_digits(x, shown):
    assert served_models._four_digits(x) == shown


def test_of_code_points_an_unknown_one_is_one_character(loaded):
    """As with the command: the model's characters are those of UTF-8, even if none of them takes two bytes."""
    told = dataclasses.replace(loaded, opt={**loaded.opt, "encoding": "utf8"})
    facts = facts_of(told, "x", 0)
    assert facts.code_points
    answer = scored(served_models.served(told, facts), "T\U0001f600he".encode())
    assert (answer["known"], answer["unknown"]) == (3, 1)
    assert [one["text"] for one in answer["characters"]] == ["T", "\U0001f600", "h", "e"]
