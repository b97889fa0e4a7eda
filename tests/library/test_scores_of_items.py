"""Scores of a model of items in a program: those of the server and of `score -lines 1`, along the caller's text."""

from __future__ import annotations

import json
import math

import item_models
import pytest
from conftest import run

import pycharrnn
from compat.item_options import record_labels
from pycharrnn.analysis import scoring
from pycharrnn.checkpoints import checkpoint
from pycharrnn.engine.adapt_options import AdaptOptions
from pycharrnn.library.model import Model
from pycharrnn.page.facts import facts_of
from pycharrnn.server import scores
from pycharrnn.server.learning_models import LearningModel
from pycharrnn.server.served_models import served

LABELS = record_labels({b"ab": 3, b"cc": 2})
TEXTS = {
    "line": ["ab", "ab\n", "\nab\n\n\ncXa\r\n b\n\n", "é\naéb", "\n\n"],
    "blank": ["ab", "a\nb\n", "\r\n ab\nc\n \t\n\nab\n\nc\n\n", "a\x1e\x1e\nb\nc\x1e", "\x1e", " \n"],
    "file": ["ab", "\n\na\n\nb\n\n", "\x1eab\x1e\x1ec", "\r\n"],
}


def from_server(loaded, text: str, adapt: bool) -> dict:
    facts = facts_of(loaded, "x", 0)
    learning = LearningModel(loaded, facts, AdaptOptions().adaptation) if adapt else None
    return json.loads("".join(scores.score(served(loaded, facts), text.encode(), learning, lines=True)))


@pytest.mark.parametrize("adapt", [False, True])
@pytest.mark.parametrize("kind, text", [(kind, text) for kind, texts in TEXTS.items() for text in texts])
def test_a_score_is_that_of_the_server(kind, text, adapt):
    loaded = item_models.made(kind, letters="abcé\n ")
    expected, found = from_server(loaded, text, adapt), Model(loaded).score(text, adapt=adapt)
    assert int(found.counted.sum()) == expected["known"]
    assert found.counted_code_points == expected["code_points"]
    assert found.unknown.total() == expected["unknown"]
    assert found.bits.sum() == pytest.approx(sum(line["bits"] for line in expected["lines"]))
    if expected["known"]:
        assert found.bits_per_character == pytest.approx(expected["bits_per_character"])
    else:
        assert math.isnan(found.bits_per_character)
    end = item_models.ENDS[kind].decode()
    whole = b"".join(found.characters).decode()
    assert whole == text or whole == text + end and not text.endswith(("\n", end))
    assert len(found.characters) == len(found.bits) == len(found.known) == len(found.counted)


@pytest.mark.parametrize("utf8", [False, True])
@pytest.mark.parametrize("kind", ["line", "blank", "file"])
def test_the_bits_of_an_item_are_those_with_which_it_was_drawn(kind, utf8):
    model = Model(item_models.made(kind, utf8=utf8))
    items = [item for item in model.items(20, seed=4) if item]
    assert len(items) > 10
    for item in items:
        assert model.score(item).bits.sum() == pytest.approx(item.bits)
        assert model.score(item).bits_per_token == pytest.approx(item.bits / (len(model.encode(item)) + 1))
    model = Model(item_models.made(kind, utf8=utf8, letters="abc\t", label="file", **LABELS))
    for item in model.items(20, seed=4, least=1):
        assert model.score(f"{item.label}\t{item}").bits.sum() == pytest.approx(item.bits)


def test_bits_stand_at_the_characters_of_the_text():
    model = Model(item_models.made("blank", letters="abc\n"))
    first, second = (model.score(item).bits.tolist() for item in ("ab\nc", "ca"))
    found = model.score("\nab\nc\n \t\nca")
    assert found.bits.tolist() == [0, *first, 0, 0, 0, *second]
    assert found.characters[-1] == b"\x1e"
    assert found.counted.tolist() == [False, *[True] * 5, *[False] * 3, *[True] * 3]
    assert not found.unknown  # blanks between items are not read


@pytest.mark.parametrize("encoding, said", [("bytes", "3 bytes"), ("utf8", "1 character")])
def test_what_was_never_seen_is_counted_in_characters_of_the_model(encoding, said):
    model = Model(item_models.made(utf8=encoding == "utf8", encoding=encoding))
    assert f"; left out {said} that the model has never seen: " in scoring.as_sentence(model.score("a\u20acb"))


@pytest.mark.parametrize("adapt", [False, True])
def test_labels_are_read_and_have_no_bits(tmp_path, adapt):
    path = item_models.saved(tmp_path, letters="abc\t", label="file", **LABELS)
    text = "ab\tba\n\ncc\tabX\n"
    found = pycharrnn.load(path).score(text, adapt=adapt)
    assert found.counted.tolist() == [bool(int(digit)) for digit in "00011100001101"]
    assert set(found.bits[:3].tolist()) == {0} and found.bits[3:6].all()
    assert found.bits_per_character == pytest.approx(
        from_server(checkpoint.load(path), text, adapt)["bits_per_character"]
    )
    (tmp_path / "list.txt").write_text(text, encoding="utf-8")
    done = run("score", str(path), "list.txt", "-lines", "1", "-adapt", str(int(adapt)), cwd=tmp_path)
    rows = [float(row.split("\t")[0]) for row in done.stdout.decode().splitlines()]
    assert [found.bits[:6].sum(), found.bits[6:].sum()] == pytest.approx(rows, abs=1e-5)


@pytest.mark.parametrize("adapt", [False, True])
@pytest.mark.parametrize("utf8", [False, True])
def test_a_label_alone_is_no_item(tmp_path, utf8, adapt):
    """As for `score -lines 1`, which a training agrees with; it stays in the text."""
    labels = record_labels({"\u00e9b".encode(): 3, b"cc": 2})
    path = item_models.saved(tmp_path, letters="abc\u00e9\t", utf8=utf8, label="column", **labels)
    (tmp_path / "list.txt").write_text(
        text := "cc\t\n\u00e9b\tba\n\u00e9b\t\ncc\tab\ncc\t", encoding="utf-8", newline=""
    )
    done = run("score", str(path), "list.txt", "-lines", "1", "-adapt", str(int(adapt)), cwd=tmp_path)
    rows = [row.split("\t") for row in done.stdout.decode().splitlines()]
    assert [row[2:] for row in rows] == [["\u00e9b", "ba"], ["cc", "ab"]]
    loaded, model = checkpoint.load(path), pycharrnn.load(path)
    found, of_server = model.score(text, adapt=adapt), from_server(loaded, text, adapt)
    assert found.bits[found.counted].sum() == pytest.approx(sum(float(row[0]) for row in rows), abs=1e-5)
    assert found.counted.sum() == of_server["known"] == 6
    assert of_server["bits_per_character"] == pytest.approx(found.bits_per_character)
    assert b"".join(found.characters).decode() == text
    assert utf8 == ("\u00e9".encode() in found.characters)
    assert [line["text"] for line in of_server["lines"]] == ["ba", "ab"]
    nothing = model.score("cc\t\ncc\t", adapt=adapt)
    assert not nothing.counted.any() and not nothing.bits.any()
    assert from_server(loaded, "cc\t\ncc\t", adapt)["known"] == 0


def test_a_message_names_no_flags(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("a" * 1_000_001 + "\n", encoding="utf-8")
    with pytest.raises(pycharrnn.UserError, match="than 1,000,000 bytes, .* or train without items"):
        pycharrnn.train("list.txt", items="line", gpuid=-1, quiet=True)
