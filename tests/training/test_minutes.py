"""-minutes: the plan, its end in time whatever the speed, and plain flags that give the same checkpoint."""

from __future__ import annotations

import math
import re
import shlex
import shutil
import signal

import numpy as np
import pytest
from conftest import with_slashes
from pretended_device import pretended_gpu
from runs import TEXT, folder_with_text, named, result_of, train, working_in

import pycharrnn
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common import extras
from pycharrnn.common.errors import UserError, for_command_line
from pycharrnn.text.text_stats import TextStats
from pycharrnn.text.token_text import TextChanged
from pycharrnn.training import current_run, learning_rate, length_changes, loop, step_timing, text_defaults, time_plan
from pycharrnn.training.checkpoint_keeper import CheckpointKeeper
from pycharrnn.training.history import History
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.pace import Pace, Stopwatch
from pycharrnn.training.reports import Callbacks
from pycharrnn.training.signals import RunStopped
from pycharrnn.training.status_figures import StatusFigures
from pycharrnn.training.text_defaults import RunRequest
from pycharrnn.training.trainer import Trainer

SMALL = {"rnn_size": 6, "gpuid": -1, "data_dir": "data", "show": 0}


class Machine:
    """A machine with a clock of its own, which only iterations, validations and writing move; seconds each."""

    def __init__(self, monkeypatch, step=0.5, validation=0.4, write=0.05):
        self.now, self.step, self.validation, self.write = 0.0, step, validation, write
        self.stop_at = float("inf")
        self.stops_validating = False
        self._slow(monkeypatch, Trainer, "step", lambda: self.step)
        self._slow(monkeypatch, Trainer, "evaluate", lambda: self.validation)
        self._slow(monkeypatch, Trainer, "calibrate", lambda: self.validation)
        self._slow(monkeypatch, CheckpointKeeper, "_save", lambda: self.write)
        self.changes = []  # (from when on, attribute, value)
        self.notes = []

    def _slow(self, monkeypatch, kind, name, seconds):
        done = getattr(kind, name)

        def slow(*args):
            found = done(*args)
            self.now += seconds()
            for when, what, value in self.changes:
                if self.now >= when:
                    setattr(self, what, value)
            if self.now >= self.stop_at or (name == "evaluate" and self.stops_validating):
                self.stop_at, self.stops_validating = float("inf"), False
                signal.raise_signal(signal.SIGTERM)
            return found

        monkeypatch.setattr(kind, name, slow)

    def train(self, folder, callbacks=None, **options):
        """(log, seconds it took) of a training that begins now."""
        lines, began = [], self.now
        opt, watch, callbacks = TrainOptions(**options), Stopwatch(lambda: self.now, began), callbacks or Callbacks()
        with working_in(folder):
            loop.train(opt, options, say=lines.append, note=self.notes.append, callbacks=callbacks, watch=watch)
        return lines, self.now - began


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


def words_of(line):
    return shlex.split(line.partition(": ")[2])[2:]


def assert_plain_flags_give_the_same(folder, line, again):
    """A run by the flags in the line has the bytes of this one's last checkpoint."""
    folder_with_text(again)
    error, _, _ = result_of(again, *words_of(line), small=[])
    assert error is None
    assert named(again)[-1].name == named(folder)[-1].name
    assert named(again)[-1].read_bytes() == named(folder)[-1].read_bytes()
    assert (again / "cv/lm_lstm_latest.t7").read_bytes() == (folder / "cv/lm_lstm_latest.t7").read_bytes()


# -- in time -----------------------------------------------------------------------------------------------------------


def test_a_run_takes_its_time_and_its_first_line_gives_the_same_checkpoints(tmp_path, machine):
    folder = folder_with_text(tmp_path / "a")
    lines, seconds = machine.train(folder, minutes=1, **SMALL)
    assert 0.94 * 60 < seconds <= 60
    assert lines[0].startswith("-minutes 1: pycharrnn train -data_dir data -rnn_size 6 ")
    assert not any(line.startswith("as it was trained") for line in lines)
    assert_plain_flags_give_the_same(folder, lines[0], tmp_path / "b")
    assert [path.read_bytes() for path in named(folder)] == [path.read_bytes() for path in named(tmp_path / "b")]
    assert "minutes" not in checkpoint.load(named(folder)[-1]).opt


@pytest.mark.parametrize(
    "changes",
    [
        [(30, "step", 2.0)],  # a machine that grows busy
        pytest.param([(50, "step", 2.0), (50, "validation", 2.0)], marks=pytest.mark.slow),  # near the end
        [(20, "step", 2.0), (30, "step", 0.25)],  # and then has more time than at first
        pytest.param([(8, "step", 0.2)], marks=pytest.mark.slow),  # one that was busy while it was measured
        pytest.param([(5, "validation", 5.0)], marks=pytest.mark.slow),  # validations that take long
        pytest.param([(5, "write", 3.0)], marks=pytest.mark.slow),  # a slow disk
        [(58.4, "validation", 2.0), (58.4, "write", 1.5)],  # the last checkpoint alone
    ],
)
def test_a_changed_speed_changes_the_length_and_the_last_line_gives_the_same_checkpoint(tmp_path, machine, changes):
    machine.changes = changes
    folder = folder_with_text(tmp_path / "a")
    lines, seconds = machine.train(folder, minutes=1, **SMALL)
    assert 0.85 * 60 < seconds <= 1.05 * 60
    last = checkpoint.load(named(folder)[-1])
    if changes[0][0] < 50:
        assert lines[-1].startswith("as it was trained: pycharrnn train ")
        assert " -anneal_to " in lines[-1]
        assert last.state.learning_rate <= 0.02 * last.opt["learning_rate"]  # fallen to its end
    assert_plain_flags_give_the_same(folder, lines[-1] if " train " in lines[-1] else lines[0], tmp_path / "b")


def test_the_time_is_measured_before_the_size_is_chosen(tmp_path, machine, monkeypatch):
    small = {name: value for name, value in SMALL.items() if name != "rnn_size"}
    monkeypatch.setattr(time_plan, "SIZES", (4, 16, 24))
    folder = folder_with_text(tmp_path)
    machine.step = 0.5
    lines, seconds = machine.train(folder, minutes=1, **small)
    assert "-rnn_size 4 " in lines[0]  # too few characters for a larger one, which was not timed
    assert seconds <= 60


def test_a_run_grows_from_a_speed_that_was_too_low_for_a_moment(tmp_path, machine):
    machine.step, machine.changes = 5.0, [(24, "step", 0.25)]
    folder = folder_with_text(tmp_path)
    lines, seconds = machine.train(folder, minutes=1, **SMALL)
    assert "/20 (epoch" in next(line for line in lines if line.startswith("1/"))
    last = checkpoint.load(named(folder)[-1])
    assert last.i > 80 and len(last.val_losses) <= 6
    assert 0.9 * 60 < seconds <= 1.02 * 60


@pytest.mark.parametrize("reported", [1, 20])  # on a GPU, not every iteration is
def test_the_pace_needs_no_report_of_every_iteration(reported):
    now = [0.0]
    pace = Pace(10, Stopwatch(lambda: now[0], 0), every=100, done=40, validation=30, most=1e9, calibrates=False)
    for i in range(41, 101):
        now[0] += 1
        if i % reported == 0:
            pace.stepped(i)
    assert pace.length(100, 120) == pytest.approx(100 + (591 - 60) - 6 * 30, abs=30)
    assert pace.length(100, 120) == 120  # so soon after, it stays


def test_a_gpu_is_timed_before_each_validation(tmp_path, machine, monkeypatch):
    """Else the iterations since the last printed one would count as a part of the validation."""
    done, validated = [0], []
    stepped = Pace.stepped
    monkeypatch.setattr(Pace, "stepped", lambda pace, i: (done.append(i), stepped(pace, i)))
    monkeypatch.setattr(Pace, "validated", lambda pace: validated.append(done[-1]))
    folder = folder_with_text(tmp_path)
    with pretended_gpu("mps"):
        machine.train(folder, minutes=1, **{**SMALL, "gpuid": 0, "keep": 0, "print_every": 30, "eval_val_every": 40})
    assert len(done) < max(done)  # not every iteration is
    assert validated == [checkpoint.load(path).i for path in named(folder)]
    assert validated[:2] == [40, 80]


@pytest.mark.parametrize("at, seconds", [(0.1, 100), (0.3, 200), (0.5, 240), (0.8, 120)])
@pytest.mark.parametrize("in_validation", [False, True])
def test_after_a_pause_the_time_that_is_left_is_used(at, seconds, in_validation):
    now, total, validation = [0.0], 1800, 3.0
    pace = Pace(30, Stopwatch(lambda: now[0], 0), every=2000, done=0, validation=300, most=1e9, calibrates=False)
    i, iterations, paused = 0, 160_000, False
    while i < iterations:
        i += 1
        now[0] += 0.01
        if now[0] > at * total and not paused and not in_validation:
            now[0], paused = now[0] + seconds, True
        pace.stepped(i)
        iterations = pace.length(i, iterations)
        if i % 2000 == 0 or i == iterations:
            now[0] += validation
            if now[0] > at * total and not paused:
                now[0], paused = now[0] + seconds, True
            pace.validated()
    assert paused
    assert 0.95 * total < now[0] < 1.02 * total


def seconds_of_a_run_with_calibration(validation: float, checkpoint: float, paused: int = 0, pause: float = 0) -> float:
    """By a Pace of ten minutes, with iterations of 0.05 seconds, and validations that were expected to take 15."""
    now = [0.0]
    pace = Pace(10, Stopwatch(lambda: now[0], 0), every=2000, done=0, validation=300, most=1e9, calibrates=True)
    i, iterations = 0, 11_000
    while i < iterations:
        i += 1
        now[0] += 0.05 + pause * (i == paused)
        pace.stepped(i)
        iterations = pace.length(i, iterations)
        if i % 2000 == 0 or i == iterations:
            now[0] += validation
            pace.evaluated()
            now[0] += checkpoint
            pace.validated()
    return now[0] + 2 * validation  # with the calibration, about


@pytest.mark.parametrize("paused", [1, 2, 3])
@pytest.mark.parametrize("seconds", [5, 12.5, 60])
def test_a_pause_in_the_first_iterations_says_nothing_of_the_speed(paused, seconds):
    assert 0.95 * 600 < seconds_of_a_run_with_calibration(15, 0, paused, seconds) < 1.02 * 600


@pytest.mark.parametrize("validation, checkpoint", [(5, 0), (15, 20), (60, 0), (45, 5)])
def test_the_time_of_the_calibration_follows_from_the_validations(validation, checkpoint):
    assert 0.95 * 600 < seconds_of_a_run_with_calibration(validation, checkpoint) < 1.02 * 600


def test_a_first_iteration_that_takes_all_of_the_time_is_the_last_one():
    now = [0.0]
    pace = Pace(10, Stopwatch(lambda: now[0], 0), every=2000, done=0, validation=0, most=1e9, calibrates=False)
    now[0] = 601
    pace.stepped(1)
    assert pace.length(1, 11_000) == 1


def test_a_machine_that_becomes_much_slower_ends_in_time():
    now, total = [0.0], 1800
    pace = Pace(30, Stopwatch(lambda: now[0], 0), every=100_000, done=0, validation=1, most=1e9, calibrates=False)
    i, iterations = 0, 160_000
    while i < iterations:
        i += 1
        now[0] += 0.01 if now[0] < 900 else 20
        pace.stepped(i)
        iterations = pace.length(i, iterations)
    assert 0.95 * total < now[0] < 1.02 * total


# -- resuming ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"from_texts": 1}, {}),
        ({}, {"from_texts": 1}),
        ({"from_texts": 1, "text_encoding": "cp1252"}, {"from_texts": 0}),
    ],
)
def test_a_stopped_run_goes_on_with_the_time_that_is_left(tmp_path, machine, first, then):
    folder = folder_with_text(tmp_path / "a")
    machine.stop_at = 25
    with pytest.raises(RunStopped, match=r"stopped by SIGTERM after iteration \d+; go on with: pycharrnn train -"):
        machine.train(folder, minutes=1, **first, **SMALL)
    used = machine.now
    left = checkpoint.load(folder / "cv/lm_lstm_latest.t7").opt["minutes"]
    assert left == pytest.approx((60 - used) / 60, abs=0.02)
    machine.step = 0.4
    lines, seconds = machine.train(folder, resume="cv", **then)
    assert 0.9 * 60 < used + seconds <= 1.02 * 60
    assert lines[-1].startswith("as it was trained: pycharrnn train ")
    assert lines[-1].endswith(" -from_texts 1") == ({**first, **then}["from_texts"] == 1)
    assert_plain_flags_give_the_same(folder, lines[-1], tmp_path / "b")


def test_the_flags_of_a_resumed_run_name_the_format_of_its_checkpoints(tmp_path, machine):
    folder = folder_with_text(tmp_path / "a")
    machine.stop_at = 25
    with pytest.raises(RunStopped):
        machine.train(folder, minutes=1, checkpoint_format="safetensors", **SMALL)
    lines, _ = machine.train(folder, resume="cv")
    assert lines[-1].startswith("as it was trained: pycharrnn train ")
    other = folder_with_text(tmp_path / "b")
    train(other, *words_of(lines[-1]), small=[])
    last, again = (checkpoint.load(path / "cv/lm_lstm_latest.safetensors") for path in (folder, other))
    assert again.train_losses == last.train_losses and again.opt == last.opt


def test_every_latest_checkpoint_knows_the_time_that_is_left(tmp_path, machine, monkeypatch):
    folder, found = folder_with_text(tmp_path), []

    class Killed(Exception):
        pass

    def killed(*args):
        found.append(checkpoint.load(folder / "cv/lm_lstm_latest.t7").opt.get("minutes"))
        if len(found) == 3:
            raise Killed

    save_named = CheckpointKeeper.save_named
    monkeypatch.setattr(CheckpointKeeper, "save_named", lambda *args: (save_named(*args), killed()))
    with pytest.raises(Killed):
        machine.train(folder, minutes=1, **SMALL)
    assert 1 > found[0] > found[1] > found[2] > 0
    assert all("minutes" not in checkpoint.load(path).opt for path in named(folder))
    lines, seconds = machine.train(folder, resume="cv")
    assert "resuming from cv/lm_lstm_latest.t7" in "\n".join(lines)
    assert seconds <= 60 * found[2] * 1.05


@pytest.mark.parametrize("by", ["interval", "changed text"])
def test_latest_of_an_interval_or_a_changed_text_knows_the_time_that_is_left(tmp_path, machine, monkeypatch, by):
    folder = folder_with_text(tmp_path)
    step, saved_at = Trainer.step, []

    def change(trainer: Trainer) -> None:
        if len(saved_at) == 3:
            raise TextChanged("it changed.")
        step(trainer)

    def is_due(keeper: CheckpointKeeper) -> bool:
        saved_at.append(machine.now)
        return by == "interval" and len(saved_at) == 3

    monkeypatch.setattr(Trainer, "step", change)
    monkeypatch.setattr(CheckpointKeeper, "is_due", is_due)
    if by == "interval":
        monkeypatch.setattr(CheckpointKeeper, "text_changed", lambda *args: RunStopped("it changed."))
    with pytest.raises(RunStopped, match="it changed"):
        machine.train(folder, minutes=1, eval_val_every=1000, **SMALL)
    found = checkpoint.load(folder / "cv/lm_lstm_latest.t7")
    assert found.i == 3
    assert found.opt["minutes"] == pytest.approx(1 - saved_at[-1] / 60)


def stop(report):
    raise KeyboardInterrupt


def test_callbacks_and_the_status_line_are_told_each_length_of_the_run(tmp_path, machine, monkeypatch):
    told: list[int] = []
    machine.changes = [(30, "step", 2.0)]
    status: list[StatusFigures] = []
    monkeypatch.setattr(current_run, "StatusFigures", lambda *about: status.append(StatusFigures(*about)) or status[0])
    folder = folder_with_text(tmp_path)
    lines, _ = machine.train(folder, Callbacks(on_length=told.append), minutes=1, print_every=1, **SMALL)
    printed = [int(re.split("[/ ]", line)[1]) for line in lines if " (epoch " in line]
    assert len(told) > 1 and list(dict.fromkeys(printed)) == told
    assert status[0].iterations == told[-1]


@pytest.mark.parametrize("every", [10, 0])
@pytest.mark.parametrize("by", ["on_validation", "on_print", "signal"])
def test_a_run_that_is_stopped_at_a_validation_goes_on_with_the_time_that_is_left(tmp_path, machine, by, every):
    """Its last checkpoint is not that of the validation, which is the one of the plain flags."""
    folder = folder_with_text(tmp_path / "a")
    callbacks = Callbacks() if by == "signal" else Callbacks(**{by: stop})
    machine.stops_validating = by == "signal"
    with pytest.raises(RunStopped, match=r"after iteration 20; go on with: .*cv.lm_lstm_latest\.t7") as stopped:
        machine.train(
            folder, callbacks, minutes=1, eval_val_every=20, print_every=20, save_every_minutes=every, **SMALL
        )
    used = machine.now
    (validated,) = named(folder)
    assert "minutes" not in checkpoint.load(validated).opt
    last = folder / stopped.value.result.last
    assert checkpoint.load(last).opt["minutes"] == pytest.approx((60 - used) / 60, abs=0.002)
    machine.step = 0.4
    lines, seconds = machine.train(folder, resume=str(last.relative_to(folder)))
    assert 0.9 * 60 < used + seconds <= 1.02 * 60
    assert all("minutes" not in checkpoint.load(path).opt for path in (folder / "cv").iterdir())
    if every:  # else plain flags write no latest
        assert_plain_flags_give_the_same(folder, lines[-1], tmp_path / "b")


def test_the_advice_after_a_diverging_loss_names_a_checkpoint_with_the_time(tmp_path, machine, monkeypatch):
    folder = folder_with_text(tmp_path)
    monkeypatch.setattr(History, "is_exploding", lambda history: len(history.train_losses) == 25)
    with pytest.raises(RunStopped, match=r"go on from the last good checkpoint, -resume cv.lm_lstm_latest\.t7\.$"):
        machine.train(folder, minutes=1, eval_val_every=20, **SMALL)
    assert 0.5 < checkpoint.load(folder / "cv/lm_lstm_latest.t7").opt["minutes"] < 1


def test_on_resuming_flags_win_over_the_time(tmp_path, machine):
    folder = folder_with_text(tmp_path)
    machine.stop_at = 25
    with pytest.raises(RunStopped):
        machine.train(folder, minutes=1, **SMALL)
    lines, seconds = machine.train(folder, resume="cv", minutes=2)
    assert 1.8 * 60 < seconds <= 2.04 * 60
    assert any(line.startswith("overridden: -minutes 2 (was 0.5") for line in lines)
    last = checkpoint.load(named(folder)[-1])
    lines, _ = machine.train(folder, resume="cv", max_epochs=float(last.epoch) + 1)
    assert checkpoint.load(folder / "cv/lm_lstm_latest.t7").epoch == pytest.approx(last.epoch + 1, abs=0.1)
    assert "minutes" not in lines[1]


def test_no_flags_repeat_a_run_that_was_changed_on_resuming(tmp_path, machine):
    folder = folder_with_text(tmp_path)
    machine.stop_at = 25
    with pytest.raises(RunStopped):
        machine.train(folder, minutes=1, **SMALL)
    lines, _ = machine.train(folder, resume="cv", learning_rate=0.001, batch_size=5, keep=3)
    assert not any(line.startswith("as it was trained") for line in lines)
    (said,) = (line for line in machine.notes if line.startswith("no flags repeat this run, since "))
    assert "-learning_rate" in said and "-batch_size" in said and "keep" not in said


def other_text(folder):
    (folder / "other").mkdir()
    (folder / "other/input.txt").write_bytes(TEXT[:2500])


@pytest.mark.parametrize(
    "first, then, why",
    [
        ({}, {"val_frac": 0.2, "train_frac": 0.8}, "-train_frac, -val_frac changed when it was resumed"),
        ({}, {"exact": 1}, "-exact changed when it was resumed"),
        ({}, {"eval_val_every": 7}, "-eval_val_every changed when it was resumed"),
        ({}, {"data_dir": "other"}, "the text changed when it was resumed"),
        ({"save_state": 0}, {}, "cv/lm_lstm_latest.t7, from which it was resumed, holds no run state"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_no_flags_are_said_to_repeat_a_run_with_other_batches_digits_or_validations(
    tmp_path, machine, first, then, why
):
    folder = folder_with_text(tmp_path)
    other_text(folder)
    machine.stop_at = 12
    with pytest.raises(RunStopped):
        machine.train(folder, minutes=0.5, **first, **SMALL)
    lines, _ = machine.train(folder, resume="cv", **then)
    assert not any(line.startswith("as it was trained") for line in lines)
    assert f"no flags repeat this run, since {why}." in [with_slashes(for_command_line(note)) for note in machine.notes]


def test_flags_repeat_a_run_whose_text_has_moved(tmp_path, machine):
    folder = folder_with_text(tmp_path / "a")
    machine.stop_at = 12
    with pytest.raises(RunStopped):
        machine.train(folder, minutes=0.5, **SMALL)
    (folder / "data").rename(folder / "moved")
    lines, _ = machine.train(folder, resume="cv", data_dir="moved")
    shutil.copytree(folder / "moved", tmp_path / "b/moved")
    error, _, _ = result_of(tmp_path / "b", *words_of(lines[-1]), small=[])
    assert error is None
    assert len({(path / "cv/lm_lstm_latest.t7").read_bytes() for path in (folder, tmp_path / "b")}) == 1


def test_flags_repeat_a_run_whose_calibration_was_turned_off(tmp_path, machine):
    """It acts after the last iteration only, so no earlier checkpoint depends on it."""
    folder = folder_with_text(tmp_path / "a")
    machine.stop_at = 12
    with pytest.raises(RunStopped):
        machine.train(folder, minutes=0.5, **SMALL)
    lines, _ = machine.train(folder, resume="cv", calibrate=0)
    assert " -calibrate" not in lines[-1]
    again = folder_with_text(tmp_path / "b")
    error, _, _ = result_of(again, *words_of(lines[-1]), small=[])
    assert error is None
    assert len({(path / "cv/lm_lstm_latest.t7").read_bytes() for path in (folder, again)}) == 1


def test_a_change_on_resuming_is_remembered_when_the_run_is_resumed_again(tmp_path, machine):
    folder = folder_with_text(tmp_path)
    for stop_at, options in ((9, {"minutes": 0.5, **SMALL}), (18, {"resume": "cv", "learning_rate": 0.001})):
        machine.stop_at = stop_at
        with pytest.raises(RunStopped):
            machine.train(folder, **options)
    for options in ({}, {"minutes": 0.3}):  # to its end, and further
        machine.notes.clear()
        lines, _ = machine.train(folder, resume="cv", **options)
        assert not any(line.startswith("as it was trained") for line in lines)
        said = "no flags repeat this run, since other settings changed when it was resumed before."
        assert said in machine.notes


def test_the_plan_names_a_first_model_that_stays(tmp_path, machine):
    folder = folder_with_text(tmp_path / "a")
    machine.train(folder, recipe="quick", max_epochs=1, **SMALL)
    first = named(folder)[-1]
    shutil.copytree(folder, tmp_path / "b")
    lines, _ = machine.train(folder, minutes=0.5, init_from="cv/lm_lstm_best.t7", keep=1, **SMALL)
    assert f" -init_from cv/{first.name} " in f"{lines[0]} "
    error, _, _ = result_of(tmp_path / "b", *words_of(lines[0]), small=[])
    assert error is None
    paths = (path / "cv/lm_lstm_latest.t7" for path in (folder, tmp_path / "b"))
    assert len({path.read_bytes() for path in paths}) == 1


@pytest.mark.parametrize(
    "first",
    [
        {"minutes": 0.5, "calibrate": 0},
        {"recipe": "quick", "max_epochs": 0.5, "calibrate": 0},
        # Its last validation changes no state, as that of a text does with -exact 1.
        {"recipe": "quick", "max_epochs": 0.5, "calibrate": 0, "items": "line", "exact": 1},
        # That of a longer run is there, too.
        {"recipe": "quick", "max_epochs": 1, "calibrate": 0, "exact": 1, "eval_val_every": 11},
    ],
)
def test_a_finished_run_goes_on_for_the_time(tmp_path, machine, first):
    folder = folder_with_text(tmp_path / "a")
    machine.train(folder, **first, **SMALL)
    done = checkpoint.load(named(folder)[-1]).i
    lines, seconds = machine.train(folder, resume="cv", minutes=1)
    assert 0.9 * 60 < seconds <= 1.02 * 60
    assert checkpoint.load(folder / "cv/lm_lstm_latest.t7").i > done
    assert f" -anneal_to {done}:{done}," in lines[-1]
    again = folder_with_text(tmp_path / "b")
    error, _, _ = result_of(again, *words_of(lines[-1]), small=[])
    assert error is None
    found, expected = (checkpoint.load(path / "cv/lm_lstm_latest.t7") for path in (again, folder))
    assert list(found.train_losses) == list(expected.train_losses)


def test_no_flags_repeat_a_run_that_was_calibrated_before_it_went_on(tmp_path, machine):
    folder = folder_with_text(tmp_path)
    machine.train(folder, minutes=0.3, **SMALL)
    first = named(folder)[-1]
    lines, _ = machine.train(folder, resume="cv", minutes=0.3)
    assert not any(line.startswith("as it was trained") for line in lines)
    said = f"no flags repeat this run, since -calibrate 1 had divided the logits of cv/{first.name}."
    assert said in [with_slashes(for_command_line(note)) for note in machine.notes]


@pytest.mark.parametrize(
    "first, then",
    [
        ({"max_epochs": 1}, {"learning_rate": 0.001}),
        ({"max_epochs": 1, "anneal": 1}, {"max_epochs": 2}),
        ({"max_epochs": 0.5}, {}),  # with -exact 1 the run goes on from the state after its last validation
    ],
)
def test_no_flags_are_said_to_repeat_a_run_that_was_changed_before_minutes(tmp_path, machine, first, then):
    folder = folder_with_text(tmp_path)
    machine.stop_at = 12
    with pytest.raises(RunStopped):
        machine.train(folder, batch_size=5, seq_length=8, **first, **SMALL)
    machine.train(folder, resume="cv", **then)
    lines, _ = machine.train(folder, resume="cv", minutes=0.3)
    assert not any(line.startswith("as it was trained") for line in lines)
    assert any(note.startswith("no flags repeat this run, since ") for note in machine.notes)


@pytest.mark.parametrize("is_finished", [True, False])
def test_a_run_with_more_iterations_than_its_larger_batches_allow_goes_on_for_the_time(tmp_path, machine, is_finished):
    folder = folder_with_text(tmp_path)
    machine.stop_at = 22
    with pytest.raises(RunStopped):
        machine.train(folder, minutes=0.5, **SMALL)
    if is_finished:
        machine.train(folder, resume="cv")
    done = checkpoint.load(folder / "cv/lm_lstm_latest.t7").i
    _, seconds = machine.train(folder, resume="cv", batch_size=8, minutes=0.4)
    last = checkpoint.load(folder / "cv/lm_lstm_latest.t7")
    assert 0.85 * 24 < seconds <= 1.05 * 24
    assert last.i > done and last.opt["anneal_to"].startswith(f"{done}:{done}")


def test_a_run_that_goes_on_says_when_it_has_read_its_text_often(tmp_path, machine):
    """One that -minutes begins ends then; who asks for more time gets it."""
    folder = folder_with_text(tmp_path)

    def notes(**options) -> list[str]:
        machine.notes.clear()
        machine.train(folder, **options)
        return [note for note in machine.notes if "by heart" in note]

    (ends,) = notes(minutes=60, **SMALL)
    assert "the run ends after 40 epochs, since more would learn it by heart" in ends
    (goes_on,) = notes(resume="cv", minutes=1)
    assert goes_on.startswith("the run has had 40 epochs, and goes on to the end of its ")
    assert checkpoint.load(folder / "cv/lm_lstm_latest.t7").epoch > 41


def test_a_stopped_run_that_goes_on_ends_as_early_as_it_would_have(tmp_path, machine):
    folder = folder_with_text(tmp_path)
    machine.stop_at = 25
    with pytest.raises(RunStopped):
        machine.train(folder, minutes=60, **SMALL)
    machine.train(folder, resume="cv")
    assert checkpoint.load(folder / "cv/lm_lstm_latest.t7").epoch == 40


# -- the plan ----------------------------------------------------------------------------------------------------------

STEPS = {size: 1e-6 * size**2 for size in time_plan.SIZES}


def planned(length=1_000_000, minutes=1.0, steps=STEPS, text=None, **typed):
    opt = TrainOptions(minutes=minutes, **typed)
    request = RunRequest(opt, {*typed, "minutes"}, text or TextStats(length, length))
    return time_plan.plan(request, minutes * 60, steps)


@pytest.mark.parametrize("items", ["", "line", "file"])
@pytest.mark.parametrize("length", [40, 1000, 30_000, 10**6, 10**9])
@pytest.mark.parametrize("minutes", [1e-3, 1, 1000])
def test_any_text_and_time_have_a_plan(length, minutes, items):
    opt = planned(length, minutes, items=items)
    batches = length // (opt.batch_size * opt.seq_length)
    ntrain = int(batches * opt.train_frac)
    iterations = int(opt.max_epochs * ntrain)
    assert 1 <= ntrain < batches
    assert iterations >= 1
    assert opt.max_epochs <= time_plan.most_epochs(opt)
    assert iterations == 20 or iterations * STEPS[opt.rnn_size] <= 60 * minutes
    assert (opt.minutes, opt.recipe, opt.anneal, opt.exact) == (0, "char-rnn", 1, 0)


def test_more_time_or_a_faster_machine_trains_a_larger_network():
    sizes = [planned(minutes=minutes).rnn_size for minutes in (0.1, 1, 10, 100)]
    assert sizes == sorted(sizes) and len({*sizes}) == 4
    fast = {size: seconds / 10 for size, seconds in STEPS.items()}
    assert planned(minutes=1, steps=fast).rnn_size == planned(minutes=10).rnn_size
    assert planned(minutes=1, steps=fast).learning_rate < planned(minutes=1).learning_rate


def test_a_large_network_for_a_long_text_has_longer_sequences():
    def of(rnn_size: int, length: int = 10**6, **typed) -> int:
        return planned(length, minutes=100, steps={rnn_size: STEPS[rnn_size]}, **typed).seq_length

    assert [of(512), of(640), of(1024)] == [50, 100, 100]
    assert of(640, 299_999) == of(640, init_from="cv") == of(640, seq_length=50) == 50
    assert of(640, items="line") == 25


def test_a_short_text_limits_the_network():
    """The square root of its length; for a list, nine times the cube root. A larger network learns it by heart."""
    assert [planned(length, minutes=1000).rnn_size for length in (50_000, 150_000, 10**6)] == [192, 384, 768]
    assert planned(50_000, minutes=1000, rnn_size=512).rnn_size == 512
    assert [planned(n, minutes=1000, items="line").rnn_size for n in (3000, 14_000, 45_000)] == [128, 192, 320]


@pytest.mark.parametrize(("items", "epochs"), [("", 20), ("blank", 20), ("line", 40)])
def test_a_model_that_is_trained_further_has_fewer_epochs(items, epochs):
    assert time_plan.most_epochs(TrainOptions(items=items)) == 40
    opt = planned(50_000, minutes=1000, steps={256: 0.01}, items=items, init_from="cv/lm_lstm_best.t7", rnn_size=256)
    assert opt.max_epochs == time_plan.most_epochs(opt) == epochs


@pytest.mark.slow
def test_the_first_steps_of_a_large_network_do_not_diverge(tmp_path):
    opt = planned(10**8, items="line", rnn_size=1024, steps={1024: 0.1}, batch_size=8)
    rng = np.random.default_rng(1)
    folder = folder_with_text(tmp_path, b"".join(bytes(rng.integers(97, 123, 30).tolist()) + b"\n" for _ in range(150)))
    flags = opt.flags({"rnn_size", "learning_rate", "batch_size", "seq_length", "anneal", "exact", "items"})
    flags += ["-data_dir", "data", "-gpuid", "-1", "-save_state", "0", "-max_epochs", "0.3", "-print_every", "1"]
    with pytest.raises(RunStopped, match="diverged"):
        train(folder, *flags, small=[])
    lines = train(folder, *flags, "-warmup", str(opt.warmup), small=[])
    assert len([line for line in lines if "train_loss" in line]) > 4


def test_texts_have_a_higher_embedding_rate():
    """With a warm-up: RMSprop's first steps are its largest, and could make a network diverge at this rate."""
    assert (planned(minutes=0.1).embedding_rate, planned(minutes=0.1).warmup) == (3, text_defaults.WARMUP)
    assert (planned(minutes=0.1, items="line").embedding_rate, planned(minutes=0.1, items="line").warmup) == (1, 0)
    assert planned(embedding_rate=1.5).embedding_rate == 1.5
    assert [planned(length).embedding_rate for length in (299_999, 300_000)] == [2, 3]


def test_sequences_of_long_texts_sometimes_start_from_zeros():
    """The items of a list always do, and a text that is read often needs it less."""
    resets = [planned(minutes=0.1, items=items).state_reset for items in ("", "line", "blank", "file")]
    assert 0 < resets[0] < 1 and resets[1:] == [0, 0, 0]
    for length in (300_000, 1_000_000, 3_000_000, 10_000_000):
        opt = planned(length)
        assert (opt.state_reset > 0) == (opt.max_epochs < 1.5)
    assert planned(state_reset=0.5).state_reset == 0.5


def test_what_is_read_more_often_is_regularized_more():
    drops = [planned(length).weight_drop for length in (50_000, 300_000, 1_000_000, 10_000_000)]
    assert drops == sorted(drops, reverse=True)
    assert drops[-1] == 0 < drops[0] <= 0.5


def test_a_given_flag_stays_and_the_rest_follows_from_it():
    opt = planned(rnn_size=100, steps={100: 0.01}, batch_size=40, weight_drop=0.0)
    assert (opt.rnn_size, opt.batch_size, opt.weight_drop) == (100, 40, 0)
    assert opt.max_epochs == pytest.approx(60 / 0.01 * 40 * 50 / 940_000, rel=0.1)
    cyrillic = TextStats(1_900_000, 1_000_000, 900_000)
    assert planned(text=cyrillic).encoding == "utf8"
    assert planned(text=cyrillic).max_epochs == planned().max_epochs
    tuned = planned(init_from="cv/lm_lstm_best.t7", steps={128: 0.01})
    assert (tuned.vocab, tuned.rnn_size) == ("extend", TrainOptions().rnn_size)


def test_validations_take_a_small_part_of_the_time():
    for minutes, least, part in ((0.1, 3, 0.2), (0.2, 5, 0.2), (0.5, 5, 0.11), (10, 7, 0.07)):
        opt = planned(minutes=minutes)
        iterations = int(opt.max_epochs * int(1000 * opt.train_frac))
        assert least <= math.ceil(iterations / opt.eval_val_every) <= 20  # the last iteration validates, too
        validated = 1000 * opt.val_frac * iterations / opt.eval_val_every / 3
        assert validated <= part * iterations


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["-max_epochs", "5"], "-minutes 2 and -max_epochs 5 both say when to end: give one of them."),
        (["-recipe", "quick"], "-minutes 2 and -recipe quick both choose settings: give one of them."),
        (["-anneal_to", "5:6"], f"-anneal_to must be {length_changes.ALLOWED}, not 5:6."),
    ],
)
def test_what_contradicts_it_is_refused(tmp_path, flags, message):
    error, _, _ = result_of(folder_with_text(tmp_path), "-minutes", "2", *flags)
    assert str(error) == message


def test_what_needs_no_speed_is_refused_before_it_is_measured(tmp_path, monkeypatch):
    def measured(*args):
        raise AssertionError

    monkeypatch.setattr(step_timing, "step_seconds", measured)
    folder = folder_with_text(tmp_path)
    error, _, _ = result_of(folder, "-minutes", "2", "-val_frac", "0")
    assert " characters, and the val split gets none: use a larger -val_frac" in str(error)
    error, _, _ = result_of(folder, "-minutes", "2", "-seq_length", "50000")
    assert str(error).startswith("input.txt has 2560 characters, fewer than ")
    (folder / "cv").mkdir()
    (folder / "cv/lm_lstm_latest.t7").write_bytes(b"no checkpoint")
    error, _, _ = result_of(folder, "-minutes", "2")
    assert "which this training would overwrite, is not a checkpoint" in str(error)


def test_processes_of_torchrun_are_refused(tmp_path, machine, monkeypatch):
    folder = folder_with_text(tmp_path)
    machine.stop_at = 5
    with pytest.raises(RunStopped):
        machine.train(folder, minutes=1, **SMALL)
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UserError, match="not in the 4 of torchrun"):  # which would go on at different lengths
        machine.train(folder, resume="cv")
    with pytest.raises(
        UserError, match=r"^-minutes 2 trains in one process, not in the 4 of torchrun: use -max_epochs\.$"
    ):
        time_plan.check(TrainOptions(minutes=2), {"minutes"}, 4)


# -- -anneal_to --------------------------------------------------------------------------------------------------------


def test_the_rate_falls_to_the_end_of_a_changed_length():
    opt = TrainOptions(learning_rate=1, anneal=1, anneal_to="100:40,60:50")
    rates = [learning_rate.after(opt, i, 7, 90) for i in range(91)]
    plain = TrainOptions(learning_rate=1, anneal=1)
    assert rates[:41] == [learning_rate.after(plain, i, 7, 100) for i in range(41)]
    assert rates[45] == pytest.approx(0.6 * 15 / 20)
    assert rates[50] == pytest.approx(0.3)
    assert rates[70] == pytest.approx(0.15)
    assert rates[90] == 0.01
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("text", ["5", "5:6", "9:3,8:3", "9:3,8:2", "0:0", "9:3,", "a:b", " 9:3"])
def test_invalid_changes(text):
    assert length_changes.parse(text) is None


def test_a_change_that_was_not_used_is_left_out():
    assert length_changes.appended("", 100, 40) == "100:40"
    assert length_changes.appended("100:40", 60, 50) == "100:40,60:50"
    assert length_changes.appended("100:40", 60, 40) == "100:40"


# -- as a user gives it ------------------------------------------------------------------------------------------------


def test_texts_on_the_command_line(tmp_path):
    (tmp_path / "names.txt").write_text("".join(f"anna{k}\nberta{k}\n" for k in range(400)), encoding="utf-8")
    error, lines, notes = result_of(
        tmp_path, "names.txt", "-items", "line", "-minutes", "0.01", "-rnn_size", "6", "-gpuid", "-1", small=[]
    )
    assert error is None
    assert lines[0].startswith("-minutes 0.01: pycharrnn train -data_dir data/names -rnn_size 6 ")
    assert " -items line" in lines[0] and " -seq_length 25 " in lines[0]
    assert "finished; the best checkpoint is cv/lm_names_epoch" in notes
    assert checkpoint.load(tmp_path / "cv/lm_names_best.t7").opt["items"] == "line"


def test_a_program_trains_for_minutes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = pycharrnn.train(TEXT, minutes=0.01, rnn_size=6, gpuid=-1, quiet=True)
    assert run.val_losses and run.options.anneal == 1
    with pytest.raises(UserError, match=r"^minutes=1 and max_epochs=3 both say when to end: give one of them\.$"):
        pycharrnn.train(TEXT, minutes=1, max_epochs=3, quiet=True)


def test_the_time_of_a_program_begins_with_the_call(tmp_path, monkeypatch, machine):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Stopwatch, "start", lambda: Stopwatch(lambda: machine.now, machine.now))
    monkeypatch.setattr(extras, "require_pytorch", lambda what: setattr(machine, "now", machine.now + 20))
    pycharrnn.train(TEXT, minutes=1, rnn_size=6, gpuid=-1, quiet=True)
    assert 0.94 * 60 < machine.now <= 60


def test_ctrl_c_while_a_program_measures_has_nothing_to_save(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Trainer, "step", lambda trainer: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        pycharrnn.train(TEXT, minutes=1, quiet=True)
    assert not (tmp_path / "cv").exists()


def test_a_model_is_trained_further(tmp_path, machine):
    folder = folder_with_text(tmp_path)
    small = {name: value for name, value in SMALL.items() if name != "rnn_size"}
    machine.train(folder, max_epochs=1, batch_size=5, seq_length=8, **SMALL)
    lines, seconds = machine.train(folder, init_from="cv", minutes=1, savefile="tuned", **small)
    assert lines[0].startswith("-minutes 1: pycharrnn train -data_dir data -rnn_size 6 -learning_rate ")
    assert " -init_from cv/lm_lstm_epoch" in lines[0] and " -vocab extend" in lines[0]
    assert "overwriting rnn_size=6, num_layers=2, model=lstm based on the checkpoint." in lines
    assert 0.9 * 60 < seconds <= 60


def test_a_short_text_may_not_need_the_time(tmp_path, machine):
    folder = folder_with_text(tmp_path)
    machine.step = 0.001
    lines, seconds = machine.train(folder, minutes=1, **SMALL)
    assert " -max_epochs 40 " in lines[0] and seconds < 30
