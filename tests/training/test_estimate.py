"""How long a run would take: the steps and validations of its recipe, times that of a step."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
import time

import pytest
from conftest import ROOT

from pycharrnn.common.errors import UserError
from pycharrnn.engine import kernel_library
from pycharrnn.engine.device import GPUs
from pycharrnn.server.studio import estimate as estimate_process
from pycharrnn.text import text_stats
from pycharrnn.training import estimate as estimate_module
from pycharrnn.training import step_timing
from pycharrnn.training.estimate import estimate
from pycharrnn.training.machine import Machine
from pycharrnn.training.options import TrainOptions

STATS = text_stats.stats_of([b"The sea is wide, and the wind is cold.\n" * 5000])


@pytest.fixture(autouse=True)
def hundredth(monkeypatch):
    """A step takes a hundredth of a second."""
    monkeypatch.setattr(step_timing, "step_seconds", lambda settings, vocab_size, clock, least: 0.01)


def test_the_steps_and_validations_of_a_recipe():
    # 195,000 characters are 390 batches of 10 * 50. Of these 39 are validated, each in a third of a step.
    found = estimate(TrainOptions(recipe="quick"), STATS)
    flags = found.flags
    assert (flags["batch_size"], flags["rnn_size"]) == (10, found.rnn_size)
    assert flags["show"] == 200 and not {"recipe", "data_dir"} & flags.keys()
    assert found.iterations == int(351 * flags["max_epochs"])
    validations = math.ceil(found.iterations / flags["eval_val_every"])
    assert 10 < validations <= 20
    passes = validations + 2  # -calibrate takes about as long as two
    assert found.seconds == pytest.approx(0.01 * (found.iterations + passes * 39 / 3), abs=0.1)
    with pytest.raises(UserError, match="the text has 3 characters"):
        estimate(TrainOptions(recipe="quick"), text_stats.stats_of([b"abc"]))


@pytest.mark.parametrize(("gpus", "step"), [(GPUs(), 0.0), (GPUs("cuda", 1), 0.5)])
def test_a_step_that_waits_for_a_core(monkeypatch, gpus, step):
    """It takes no longer than one that has a core to itself; a GPU works while this thread waits for it."""

    def waits(settings, vocab_size, clock, least):
        """Half a second passes, in which this thread does nothing."""
        return {time.perf_counter: 0.5, time.thread_time: 0.0}[clock]

    monkeypatch.setattr(step_timing, "step_seconds", waits)
    monkeypatch.setattr(estimate_module, "machine_of", lambda options, process: Machine(process, gpus))
    found = estimate(TrainOptions(recipe="quick"), STATS)
    assert found.seconds / found.iterations == pytest.approx(step, abs=0.1)


def test_the_process_that_estimates(monkeypatch):
    asked = {"stats": STATS.fields(), "items": "line", "label": "", "choices": ["quick", "best"]}
    monkeypatch.setenv("GOMP_SPINCOUNT", "1000")  # else it would stay for later tests
    for stats, keys in ((STATS, {"quick", "best"}), (text_stats.stats_of([b"abc"]), {"error"})):
        out = io.StringIO()
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({**asked, "stats": stats.fields()})))
        monkeypatch.setattr(sys, "stdout", out)
        estimate_process.main()
        assert json.loads(out.getvalue()).keys() == keys


def test_recipes_that_set_the_same_are_timed_once(monkeypatch):
    """Else the times of one training would differ."""
    timed = iter([0.01])
    monkeypatch.setattr(step_timing, "step_seconds", lambda *args: next(timed))
    short = text_stats.stats_of([b"The sea is wide, and the wind is cold.\n" * 300])
    quick = estimate(TrainOptions(recipe="quick"), short)
    assert estimate(TrainOptions(recipe="best"), short, [quick]) == quick


ON_TORCH = """
import os, sys

class Finder:
    def find_spec(name, path, target=None):
        if name == "torch":
            print(os.environ.get("GOMP_SPINCOUNT"), flush=True)
            os._exit(0)

sys.meta_path.insert(0, Finder)
from pycharrnn.server.studio.estimate import main
main()
"""


def test_the_threads_of_an_estimate_wait_as_those_of_a_training():
    """Threads that spin on a busy machine take several times as long, most of all with small networks."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    asked = json.dumps({"stats": STATS.fields(), "items": "", "label": "", "choices": ["quick"]})
    command = [sys.executable, "-c", ON_TORCH]
    done = subprocess.run(
        command, env={**environment, "PYTHONPATH": str(ROOT)}, input=asked, capture_output=True, text=True
    )
    assert done.stdout == ("1000\n" if kernel_library.library() else "None\n")
