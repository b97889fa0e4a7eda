"""Every digit of every log line of the recorded runs, and the whole object graph of their checkpoints."""

from __future__ import annotations

import pytest
from conftest import GOLDEN, TRAIN_RUNS, spec
from object_graph import assert_same_graph, close
from runs import assert_same_digits, log_lines

import compat


@pytest.mark.parametrize("name", TRAIN_RUNS)
def test_log_lines(trained, name):
    recorded = (GOLDEN / name / "train.log").read_text(encoding="utf-8")
    assert_same_digits(log_lines(trained(name)[0]), log_lines(recorded))


@pytest.mark.parametrize("name", TRAIN_RUNS)
def test_checkpoint_names(trained, name):
    folder = trained(name)[1]
    assert sorted(p.name for p in folder.glob("lm_*_epoch*")) == sorted(spec(name)["checkpoints_written"])


@pytest.mark.parametrize("name", [name for name in TRAIN_RUNS if spec(name)["checkpoints_written"]])
def test_written_checkpoint_equals_the_originals(trained, name):
    folder = trained(name)[1]
    for theirs in GOLDEN.joinpath(name).glob("*.t7"):
        ours = compat.load_t7(folder / theirs.name)
        assert ours.pop(b"pycharrnn")[b"format"] == 1  # the one thing that the original lacks
        compared = assert_same_graph(ours, compat.load_t7(theirs), close)
        assert compared > 400


def test_the_runs_cover_every_model():
    assert len(TRAIN_RUNS) == 11
    assert {"lstm2", "gru2", "rnn3", "lstm3_dropout", "gru1_dropout", "rnn2_dropout"} <= set(TRAIN_RUNS)
