"""Models that learn from a text, in a program."""

from __future__ import annotations

import item_models
import numpy as np
import pytest
import torch
from conftest import GOLDEN

import pycharrnn
from compat.item_options import record_labels
from pycharrnn.analysis import adapted
from pycharrnn.checkpoints import checkpoint, checkpoint_facts, recorded_copies
from pycharrnn.common.targets import IGNORED
from pycharrnn.engine import adapt
from pycharrnn.engine.adapt_options import Adaptation
from pycharrnn.library.model import Model

CHECKPOINT = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"
TEXT = "the night is the night\n" * 40


def test_a_copy_learns():
    model = pycharrnn.load(CHECKPOINT)
    before = model.generate("the ", length=50, seed=1)
    mine = model.learn(TEXT, adapt_rate=0.01, adapt_length=11)
    assert "night" in mine.generate("the ", length=50, sample=0)
    assert model.generate("the ", length=50, seed=1) == before
    assert mine.score(TEXT).bits_per_character < model.score(TEXT).bits_per_character - 1
    assert (mine.path, mine.vocab, mine.val_loss, mine.device) == ("", model.vocab, None, "cpu")
    assert repr(mine).startswith("<Model: model ") and "file" not in mine._repr_html_()
    twice = mine.learn(TEXT)  # goes on from what it has become
    assert twice.score(TEXT).bits_per_character < mine.score(TEXT).bits_per_character
    assert model.learn("~").score(TEXT).bits_per_character == pytest.approx(model.score(TEXT).bits_per_character)


def test_the_learnt_model_is_saved_and_is_that_of_the_command_line(tmp_path):
    mine = pycharrnn.load(CHECKPOINT).learn(TEXT)
    mine.save(tmp_path / "mine.t7")
    saved = pycharrnn.load(tmp_path / "mine.t7")
    assert saved.generate("a", length=30, seed=3) == mine.generate("a", length=30, seed=3)


def test_the_learnt_model_has_the_training_text_of_the_model_and_no_figures_of_its_samples(tmp_path):
    loaded = checkpoint.load(CHECKPOINT)
    loaded.program, loaded.text_fingerprint = "pycharrnn 1", "9 bytes, SHA-256 ab"
    loaded.opt |= {"data_dir": "data/x", "copied_longest": 9, "copied_share": 0.5, "copied_val_share": 0.25}
    checkpoint.convert(loaded, tmp_path / "a.t7")
    pycharrnn.load(tmp_path / "a.t7").learn(TEXT).save(tmp_path / "mine.t7")
    mine = checkpoint.load(tmp_path / "mine.t7")
    assert checkpoint_facts.trained_on(mine) == "data/x, 9 bytes, SHA-256 ab"
    assert recorded_copies.of(checkpoint.load(tmp_path / "a.t7").opt) and recorded_copies.of(mine.opt) is None


def test_the_learnt_model_has_the_dtype_of_the_model():
    model = pycharrnn.load(CHECKPOINT, dtype=torch.float64)
    assert model.learn(TEXT).module.flat.dtype == torch.float64


def test_a_score_while_learning():
    model = pycharrnn.load(CHECKPOINT)
    found = model.score(TEXT, adapt=True, adapt_rate=0.005)
    expected = adapted.score(checkpoint.load(CHECKPOINT), TEXT.encode(), Adaptation(0.005, 20, 0.001))
    assert found.bits.tolist() == expected.bits.tolist()
    assert found.bits_per_character < model.score(TEXT).bits_per_character
    assert model.score(TEXT).bits.tolist() == pycharrnn.load(CHECKPOINT).score(TEXT).bits.tolist()


@pytest.mark.parametrize("kind, text", [("line", "cab"), ("blank", "cab\n \ncab\n\n")])
def test_a_model_of_items_learns_where_they_begin_and_end(kind, text):
    mine = Model(item_models.made(kind, letters="abc\n "))
    for _ in range(60):
        mine = mine.learn(text, adapt_rate=0.02)
    assert list(mine.items(1, sample=False, length=20)) == ["cab"]


def test_a_model_with_labels_learns_the_items_after_them():
    loaded = item_models.made(letters="abc\t", label="file", **record_labels({b"ab": 3, b"cc": 2}))
    mine = Model(loaded).learn("ab\tba\ncc\taXb\n", adapt_length=5)
    ids = np.array([loaded.vocab[bytes([byte])] - 1 for byte in b"\nab\tba\ncc\tab\n"])
    counted = np.array([bool(int(digit)) for digit in "0000111000111"])
    learner = adapt.learner(loaded.network, Adaptation(0, 5, 0.001))
    learner.read(ids[:-1], np.where(counted, ids, IGNORED)[1:])
    saved = mine._weights.checkpoint().network.weights
    assert all(np.array_equal(saved[name], weight) for name, weight in learner.network().weights.items())


def test_bad_arguments():
    model = pycharrnn.load(CHECKPOINT)
    with pytest.raises(pycharrnn.UserError, match="adapt_rate says how adapt=True learns: add adapt=True, or"):
        model.score(TEXT, adapt_rate=0.1)
    with pytest.raises(pycharrnn.UserError, match="adapt_pull must be from 0 to 1, not 2"):
        model.learn(TEXT, adapt_pull=2)
    with pytest.raises(TypeError, match="has no option 'adapt_rat'; did you mean adapt_rate"):
        model.learn(TEXT, adapt_rat=0.1)
    with pytest.raises(TypeError, match=r"learn\(\) has no option 'adapt'; did you mean adapt_rate\?"):
        model.learn(TEXT, adapt=True)
    with pytest.raises(TypeError, match=r"score\(\) has no option 'adpat'; did you mean adapt\?"):
        model.score(TEXT, adpat=True)
    with pytest.raises(TypeError, match="text must be a str or bytes, not 3"):
        model.learn(3)
