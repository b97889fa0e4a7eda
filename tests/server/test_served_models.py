"""How a served model takes a text."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from serving_tools import LSTM

from pycharrnn.analysis import line_scores, scoring
from pycharrnn.checkpoints import checkpoint
from pycharrnn.page.facts import facts_of
from pycharrnn.server import scores, served_models


@pytest.fixture(scope="module")
def loaded():
    return checkpoint.load(LSTM)


@pytest.fixture(scope="module")
def model(loaded):
    return served_models.served(loaded, facts_of(loaded, "x", 0))


def scored(model, text: bytes) -> dict:
    return json.loads("".join(scores.score(model, text)))


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
    assert (answer["known"], answer["code_points"], answer["unknown"]) == (11, 11, 1)
    assert answer["bits_per_character"] == pytest.approx(float(np.mean(bits)))


def test_the_mean_is_that_of_the_command_also_with_characters_of_several_bytes(model, loaded):
    text = "\u2013 The \u2013".encode()
    answer, found = scored(model, text), scoring.score(loaded, text)
    assert (answer["known"], answer["code_points"]) == (11, 7)
    assert f"{answer['bits_per_character']:.6f} bits per character, 7 characters" in scoring.as_sentence(found)
    assert answer["bits_per_character"] == pytest.approx(found.bits.sum() / 7)


def test_the_lines_are_those_of_the_command_also_with_characters_of_several_bytes(model, loaded):
    text = "\u2013 The \u00fc\n\u2013\u2013".encode()
    answer = json.loads("".join(scores.score(model, text, lines=True)))
    assert [line["characters"] for line in answer["lines"]] == [8, 2]
    found = list(line_scores.of_file(loaded, "a text", lambda path: text, "cpu", 1, None, "", print))
    assert [(line["text"].encode(), line["characters"]) for line in answer["lines"]] == [
        (line.text, line.characters) for line in found
    ]
    assert [line["bits"] for line in answer["lines"]] == pytest.approx([line.bits for line in found])
    assert json.loads("".join(scores.score(model, b"", lines=True)))["lines"] == []


@pytest.mark.parametrize(
    "layers, size, steps", [(2, 16, 32), (2, 512, 32), (2, 1024, 16), (4, 1024, 8), (2, 4096, 1), (8, 8192, 1)]
)
def test_the_larger_a_model_the_fewer_characters_it_reads_in_a_turn(model, monkeypatch, layers, size, steps):
    asked = []
    kind = type(model.predictor)
    fresh = kind.fresh
    monkeypatch.setattr(kind, "fresh", lambda self, steps=1: asked.append(steps) or fresh(self, steps=steps))
    facts = dataclasses.replace(model.facts, num_layers=layers, rnn_size=size)
    scored(dataclasses.replace(model, facts=facts), b"The night")
    assert asked == [steps]


def test_of_code_points_an_unknown_one_is_one_character(loaded):
    """As with the command: the model's characters are those of UTF-8, even if none of them takes two bytes."""
    told = dataclasses.replace(loaded, opt={**loaded.opt, "encoding": "utf8"})
    facts = facts_of(told, "x", 0)
    assert facts.code_points
    answer = scored(served_models.served(told, facts), "T\U0001f600he".encode())
    assert (answer["known"], answer["unknown"]) == (3, 1)
    assert [one["text"] for one in answer["characters"]] == ["T", "\U0001f600", "h", "e"]
