"""Every digit of every log line of the recorded runs."""

from __future__ import annotations

import re

import pytest
from conftest import GOLDEN, TRAIN_RUNS, spec

STEP = re.compile(r"(\d+)/(\d+) \(epoch (\S+)\), train_loss = (\S+), grad/param norm = (\S+), time/batch = \d+\.\d{4}s")
# Which of the two is cloned first depends on where Lua keeps the keys of a table; preprocessing runs once a folder.
NOT_OURS = ("cloning rnn", "cloning criterion")


def lines(log: str) -> list[str]:
    """From the first line that every run prints."""
    return [line for line in log[log.index("loading data files...") :].splitlines() if line not in NOT_OURS]


@pytest.mark.parametrize("name", TRAIN_RUNS)
def test_log_lines(trained, name):
    ours = lines(trained(name)[0])
    theirs = lines((GOLDEN / name / "train.log").read_text())
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        our_step, their_step = STEP.fullmatch(our), STEP.fullmatch(their)
        if not their_step:
            assert our == their
            continue
        assert our_step, our
        assert our_step.groups()[:3] == their_step.groups()[:3]
        # One unit of the last printed digit is where rounding may fall either way.
        assert float(our_step[4]) == pytest.approx(float(their_step[4]), abs=1.01e-8)
        assert float(our_step[5]) == pytest.approx(float(their_step[5]), rel=1.01e-4)


@pytest.mark.parametrize("name", TRAIN_RUNS)
def test_checkpoint_names(trained, name):
    folder = trained(name)[1]
    assert sorted(p.name for p in folder.glob("lm_*_epoch*")) == sorted(spec(name)["checkpoints_written"])


def test_the_runs_cover_every_model():
    assert len(TRAIN_RUNS) == 11
    assert {"lstm2", "gru2", "rnn3", "lstm3_dropout", "gru1_dropout", "rnn2_dropout"} <= set(TRAIN_RUNS)
