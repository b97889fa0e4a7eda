"""The end of a run, by its length or by -patience, and what it prints then."""

from __future__ import annotations

import math
from unittest import mock

import pytest
from click.testing import CliRunner
from conftest import working_in
from runs import folder_with_text, named, result_of, steps, train

from pycharrnn.checkpoints import checkpoint
from pycharrnn.cli.commands import cli
from pycharrnn.common.errors import for_command_line
from pycharrnn.common.losses import best_iteration
from pycharrnn.common.printing import print_nothing
from pycharrnn.text.token_text import TextChanged
from pycharrnn.training import loop
from pycharrnn.training.checkpoint_keeper import CheckpointKeeper
from pycharrnn.training.history import out_of_patience
from pycharrnn.training.next_commands import NextCommands
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.reports import Callbacks, TrainStep, Validation
from pycharrnn.training.signals import RunStopped
from pycharrnn.training.trainer import Trainer


def test_patience(tmp_path):
    folder = folder_with_text(tmp_path)
    args = ["-eval_val_every", "10", "-max_epochs", "20", "-learning_rate", "0.08", "-seed", "4"]
    error, out, err = result_of(folder, *args, "-patience", "3")
    assert error is None
    losses = checkpoint.load(folder / "cv" / "lm_lstm_latest.t7").val_losses
    best = best_iteration(losses)
    assert len(losses) == best / 10 + 3
    assert f"stopping after iteration {best + 30}: the last 3 validations (-patience) were no better." in err
    assert "finished; the best checkpoint is" in err
    # Without another flag nothing is left to train. Killed before its latest was made, the run makes it.
    before = {path.name: path.read_bytes() for path in (folder / "cv").iterdir()}
    (folder / "cv" / "lm_lstm_latest.t7").unlink()
    error, out, err = result_of(folder, "-resume", "cv", small=[])
    assert error is None and steps(out) == [line for line in out if line.startswith(f"{best + 30}/")]
    assert f"stopping after iteration {best + 30}: the last 3 validations (-patience) were no better." in err
    assert "the run is complete; a larger -patience, or -max_epochs, continues it." in err
    assert "finished; the best checkpoint is" in err
    assert {path.name: path.read_bytes() for path in (folder / "cv").iterdir()} == before
    # A run that goes on has another validation before it.
    error, out, err = result_of(folder, "-resume", "cv/lm_lstm_latest.t7", "-seed", "5", small=[])
    assert error is None
    assert f"stopping after iteration {best + 40}: the last 3 validations (-patience) were no better." in err
    # A run that is given a new length trains for that length.
    ended = checkpoint.load(folder / "cv" / "lm_lstm_latest.t7")
    epochs = f"{ended.epoch + 30 / (ended.i / ended.epoch):.4f}"
    error, out, err = result_of(folder, "-resume", "cv/lm_lstm_latest.t7", "-max_epochs", epochs, small=[])
    assert error is None
    assert "goes on without -patience 3" in err and "stopping after" not in err
    assert checkpoint.load(folder / "cv" / "lm_lstm_latest.t7").i == pytest.approx(ended.i + 30, abs=1)


def test_a_callback_is_told_of_patience(tmp_path, monkeypatch):
    """Also by a run that has nothing left to train."""
    told: list[int] = []
    new = {"data_dir": "data", "gpuid": -1, "rnn_size": 6, "batch_size": 5, "seq_length": 8, "eval_val_every": 5}
    monkeypatch.setattr(Trainer, "evaluate", lambda *about: 2.0)
    with working_in(folder_with_text(tmp_path)):
        for options in (new | {"patience": 2}, {"resume": "cv", "gpuid": -1}):
            opt, callbacks = TrainOptions(**options), Callbacks(on_patience=told.append)
            loop.train(opt, list(options), say=print_nothing, note=print_nothing, callbacks=callbacks)
    assert told == [2, 2]


@pytest.mark.parametrize(
    "losses, patience, over",
    [
        ({}, 1, False),
        ({1: 2.0}, 1, False),
        ({1: 2.0, 2: 2.0}, 1, True),
        ({1: 2.0, 2: 2.0}, 0, False),
        ({1: float("nan"), 2: 3.0}, 1, False),
        ({1: 3.0, 2: float("nan")}, 1, True),
        ({1: float("nan"), 2: float("inf")}, 2, True),
        ({1: 3.0, 2: 4.0, 3: 2.0, 4: 2.5}, 2, False),
    ],
)
def test_patience_counts(losses, patience, over):
    assert out_of_patience(losses, patience) is over


@pytest.fixture
def validated(tmp_path, monkeypatch):
    """A function that trains 10 iterations for each validation loss, and returns the reports of the validations.

    Ctrl-C comes at the iteration `stop_at`.
    """
    folder = folder_with_text(tmp_path)
    new = {"data_dir": "data", "gpuid": -1, "rnn_size": 6, "batch_size": 5, "seq_length": 8, "eval_val_every": 10}

    def run(losses: list[float], stop_at: int = 0, **options) -> list[Validation]:
        def stop(step: TrainStep) -> None:
            if step.iteration == stop_at:
                raise KeyboardInterrupt

        coming, reports = iter(losses), list[Validation]()
        monkeypatch.setattr(Trainer, "evaluate", lambda *about: next(coming))
        opt = TrainOptions(**(options if "resume" in options else new | options))
        with working_in(folder):
            loop.train(opt, say=print_nothing, note=print_nothing, callbacks=Callbacks(stop, reports.append))
        assert next(coming, None) is None
        return reports

    return run


def test_of_equal_validations_the_first_is_the_best(validated):
    found = validated([2.0, 2.0, math.nan, 1.0], max_epochs=40 / 60)
    assert [(one.iteration, one.iterations, one.is_best) for one in found] == [
        (10, 40, True),
        (20, 40, False),
        (30, 40, False),
        (40, 40, True),
    ]


def test_patience_that_has_been_lost_before_a_resume_waits_for_a_validation(validated):
    validated([1.0, 2.0, 3.0], max_epochs=30 / 60)
    (one,) = validated([4.0], resume="cv", max_epochs=1, patience=2)
    assert one.iteration == 40


def test_a_run_that_went_on_without_patience_goes_on_to_its_validation(validated):
    """It was stopped between two validations: the next one, not the last, says whether patience is lost."""
    validated([1.0, 2.0, 3.0], max_epochs=1, patience=2)
    with pytest.raises(RunStopped):
        validated([], stop_at=35, resume="cv", seed=5)
    (one,) = validated([4.0], resume="cv")
    assert one.iteration == 40


def test_only_a_run_that_is_over_is_completed(tmp_path, monkeypatch):
    """Another one may go on from an older checkpoint than its latest."""
    complete = mock.Mock()
    monkeypatch.setattr(CheckpointKeeper, "complete", complete)
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1")
    train(folder, "-resume", "cv", "-max_epochs", "0.15", small=[])
    assert complete.call_count == 0
    train(folder, "-resume", "cv", small=[])
    assert complete.call_count == 1


def test_a_finished_run_says_so(tmp_path):
    folder = folder_with_text(tmp_path)
    error, out, err = result_of(folder, "-max_epochs", "0.5", "-eval_val_every", "15")
    assert error is None
    losses = {p: float(p.name.split("_")[3][:-3]) for p in named(folder)}
    best = min(losses, key=losses.get)
    assert err.splitlines() == [
        f"pycharrnn: finished; the best checkpoint is cv/{best.name}, with validation loss {losses[best]:.4f}.",
        "pycharrnn: sample from it with: pycharrnn sample cv/lm_lstm_best.t7 -gpuid -1",
        "pycharrnn: write a page that runs it with: pycharrnn convert cv/lm_lstm_best.t7 lstm.html",
    ]
    assert (folder / "cv" / "lm_lstm_best.t7").samefile(best)
    with working_in(folder):
        assert CliRunner().invoke(cli, ["sample", "cv/lm_lstm_best.t7", "-gpuid", "-1"]).exit_code == 0
        assert CliRunner().invoke(cli, ["convert", "cv/lm_lstm_best.t7", "lstm.html"]).exit_code == 0


def test_the_page_of_a_run_without_a_name():
    assert for_command_line(NextCommands("").page("cv/lm__best.t7")).endswith(" cv/lm__best.t7 model.html")


def test_the_commands_at_the_end_of_a_run_with_names_like_flags(tmp_path):
    folder = folder_with_text(tmp_path)
    names = ["-checkpoint_dir", "-c5", "-savefile", "-x"]
    error, out, err = result_of(folder, "-max_epochs", "0.2", *names)
    assert error is None
    commands = [line.partition(" with: pycharrnn ")[2] for line in err.splitlines()[1:]]
    assert commands == ["sample ./-c5/lm_-x_best.t7 -gpuid -1", "convert ./-c5/lm_-x_best.t7 ./-x.html"]
    with working_in(folder):
        for command in commands:
            assert CliRunner().invoke(cli, command.split()).exit_code == 0


def test_resuming_a_finished_run(tmp_path):
    folder = folder_with_text(tmp_path)
    lines = train(folder, "-max_epochs", "0.5")
    error, out, err = result_of(folder, "-resume", "cv", small=[])
    assert error is None
    assert steps(out) == [lines[-1]]
    assert "iteration 30 of 30: the run is complete; a larger -max_epochs, or -minutes, continues it." in err
    assert "the best checkpoint is" in err
    assert len(named(folder)) == 1


@pytest.mark.parametrize("flags", [["-save_state", "0"], ["-print_every", "4"]])
def test_the_last_line_is_printed_again_where_it_can_be_and_was_printed(tmp_path, flags):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1", *flags)
    error, out, err = result_of(folder, "-resume", "cv", small=[])
    assert error is None and steps(out) == []
    assert "iteration 6 of 6: the run is complete" in err


@pytest.mark.parametrize("print_every, printed", [(3, 1), (4, 0)])
def test_after_a_last_validation_that_was_left_the_last_line_is_printed_if_it_is_due(
    tmp_path, monkeypatch, print_every, printed
):
    folder = folder_with_text(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "evaluate", mock.Mock(side_effect=TextChanged("the text changed")))
        result_of(folder, "-max_epochs", "0.1", "-print_every", str(print_every))
    lines = steps(train(folder, "-resume", "cv", small=[]))
    assert len([line for line in lines if line.startswith("evaluating")]) == 1
    assert len([line for line in lines if line.startswith("6/6 ")]) == printed
