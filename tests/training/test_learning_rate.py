"""How the learning rate falls: epoch by epoch as in char-rnn, or along the line of -anneal."""

from __future__ import annotations

import math

import pytest
from conftest import run, sentence
from runs import folder_with_text, named, train

from pycharrnn.checkpoints import checkpoint
from pycharrnn.training import learning_rate
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.trainer import Trainer


def test_the_decay_rule_at_any_iteration():
    opt = TrainOptions()
    rate = learning_rate.after(opt, 12 * 50, 50, 1000)
    assert rate == opt.learning_rate * 0.97 * 0.97 * 0.97
    assert learning_rate.after(opt, 9 * 50, 50, 1000) == opt.learning_rate
    assert learning_rate.after(opt, 10**9, 1, 10**9) == 0  # at once
    opt = TrainOptions(learning_rate_decay_after=math.inf)
    assert learning_rate.after(opt, 10**9, 1, 10**9) == opt.learning_rate


@pytest.mark.parametrize(("i", "part"), [(0, 1), (40, 1), (60, 1), (80, 0.5), (90, 0.25), (99, 0.025), (100, 0.01)])
def test_annealing_is_a_line_over_the_last_part(i, part):
    opt = TrainOptions(learning_rate=0.02, anneal=0.4)
    assert learning_rate.after(opt, i, 7, 100) == pytest.approx(0.02 * part)


@pytest.mark.parametrize(("i", "part"), [(50, 0.5), (100, 0.01), (101, 0.495), (150, 0.25)])
def test_after_its_end_a_run_that_goes_on_falls_anew(i, part):
    opt = TrainOptions(learning_rate=0.02, anneal=1, anneal_to="100:100")
    assert learning_rate.after(opt, i, 7, 200) == pytest.approx(0.02 * part)


def test_a_run_anneals_in_place_of_decaying(tmp_path):
    folder = folder_with_text(tmp_path)
    flags = ["-anneal", "0.5", "-max_epochs", "1", "-eval_val_every", "10", "-learning_rate_decay_after", "0"]
    lines = train(folder, *flags, "-learning_rate", "0.01")
    assert not any("decayed" in line for line in lines)
    found = [checkpoint.load(path) for path in named(folder)]
    last = max(one.i for one in found)
    assert len(found) > 4
    for one in found:
        expected = 0.01 * min(1, max(2 * (last - one.i) / last, 0.01))
        assert one.state.learning_rate == pytest.approx(expected), one.i


def test_without_its_state_a_run_goes_on_at_the_learning_rate_of_its_line(tmp_path):
    folder = folder_with_text(tmp_path)
    flags = ["-anneal", "1", "-max_epochs", "1", "-eval_val_every", "10", "-save_state", "0"]
    train(folder, *flags, "-learning_rate", "0.01")
    start = named(folder)[0]
    done = checkpoint.load(start).i
    last = checkpoint.load(named(folder)[-1]).i
    resumed = train(folder, "-resume", str(start), small=[])
    rate = f"{0.01 * (last - done) / last:.14g}"
    assert any(f"the decay rule gives the learning rate, {rate};" in line for line in resumed)


def test_a_part_is_at_most_all(tmp_path):
    folder = folder_with_text(tmp_path)
    assert "-anneal must be from 0 to 1, not 2" in sentence(run("train", "-anneal", "2", "-data_dir", str(folder)))


@pytest.mark.parametrize("flags", [["-anneal", "1"], ["-learning_rate_decay_after", "0"]])
def test_a_warmup_is_a_line_from_the_first_iteration(tmp_path, flags):
    flags = [*flags, "-max_epochs", "1", "-learning_rate", "0.01"]
    plain = _rates(tmp_path / "plain", *flags)
    warm = _rates(tmp_path / "warm", *flags, "-warmup", "20")
    assert max(plain) > 30
    assert warm == pytest.approx({i: rate * min(1, (i + 1) / 20) for i, rate in plain.items()})


def test_a_warmup_makes_the_first_step_smaller():
    assert learning_rate.first(TrainOptions(learning_rate=0.02, warmup=50)) == pytest.approx(0.0004)
    assert learning_rate.first(TrainOptions(learning_rate=0.02)) == 0.02


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (["-anneal", "1"], [0.5, 29 / 60, 28 / 60]),
        (["-warmup", "40"], [31 / 40, 32 / 40, 33 / 40]),
        (["-warmup", "30"], [1, 1, 1]),
    ],
)
def test_another_rate_of_a_resumed_run_is_a_fraction_from_its_first_step(tmp_path, monkeypatch, flags, parts):
    folder = folder_with_text(tmp_path)
    train(folder, *flags, "-max_epochs", "1", "-eval_val_every", "30")
    used, step = [], Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda self: used.append(self.optimizer.learning_rate) or step(self))
    resume = ["-resume", str(named(folder)[0]), "-learning_rate", "0.01", "-overwrite", "1"]
    train(folder, *resume, small=[])
    assert used[:3] == pytest.approx([0.01 * part for part in parts])


@pytest.mark.parametrize(("before", "given", "parts"), [("60", "0", [1, 1]), ("0", "60", [31 / 60, 32 / 60])])
def test_another_warmup_of_a_resumed_run_holds_from_its_first_step(tmp_path, monkeypatch, before, given, parts):
    folder = folder_with_text(tmp_path)
    train(folder, "-warmup", before, "-learning_rate", "0.01", "-max_epochs", "1", "-eval_val_every", "30")
    used, step = [], Trainer.step
    monkeypatch.setattr(Trainer, "step", lambda self: used.append(self.optimizer.learning_rate) or step(self))
    train(folder, "-resume", str(named(folder)[0]), "-warmup", given, "-overwrite", "1", small=[])
    assert used[:2] == pytest.approx([0.01 * part for part in parts])


def _rates(folder, *flags):
    """Iteration -> the learning rate of the next one, from the checkpoints of a run."""
    folder_with_text(folder)
    train(folder, *flags, "-eval_val_every", "7")
    return {(found := checkpoint.load(path)).i: found.state.learning_rate for path in named(folder)}
