"""How long a run would take: the steps and validations of its recipe, times that of a step."""

from __future__ import annotations

import io
import json
import sys

import pytest

from pycharrnn.common.errors import UserError
from pycharrnn.server.studio import estimate as estimate_process
from pycharrnn.text import text_stats
from pycharrnn.training import step_timing
from pycharrnn.training.estimate import estimate
from pycharrnn.training.options import TrainOptions

STATS = text_stats.stats_of([b"The sea is wide, and the wind is cold.\n" * 5000])


@pytest.fixture(autouse=True)
def hundredth(monkeypatch):
    """A step takes a hundredth of a second."""
    monkeypatch.setattr(step_timing, "step_seconds", lambda settings, vocab_size, clock, least: 0.01)


def test_the_steps_and_validations_of_a_recipe():
    # 195,000 characters are 390 batches of 10 * 50. Of these 39 are validated 12 times, each in a third of a step.
    found = estimate(TrainOptions(recipe="quick"), STATS)
    assert (found.iterations, found.rnn_size) == (3510, 128)
    assert found.flags["show"] == 200 and found.flags["max_epochs"] == 10 and found.flags["weight_drop"] == 0.25
    assert not {"recipe", "data_dir"} & found.flags.keys()
    assert found.seconds == pytest.approx(0.01 * (3510 + 12 * 39 / 3), abs=0.1)
    with pytest.raises(UserError, match="the text has 3 characters"):
        estimate(TrainOptions(recipe="quick"), text_stats.stats_of([b"abc"]))


def test_the_process_that_estimates(monkeypatch):
    asked = {"stats": STATS.fields(), "items": "line", "label": "", "choices": ["quick", "best"]}
    for stats, keys in ((STATS, {"quick", "best"}), (text_stats.stats_of([b"abc"]), {"error"})):
        out = io.StringIO()
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({**asked, "stats": stats.fields()})))
        monkeypatch.setattr(sys, "stdout", out)
        estimate_process.main()
        assert json.loads(out.getvalue()).keys() == keys
