"""What is settled before the first step of a run."""

from __future__ import annotations

import dataclasses
import sys

import pytest
from conftest import is_open
from runs import folder_with_text, result_of, train

from pycharrnn.common.errors import UserError
from pycharrnn.training import distributed, overwrite_guard
from pycharrnn.training.machine import Process
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.session import prepare


def test_fractions_that_sum_to_one_but_for_rounding_leave_no_test_split(tmp_path):
    fractions = ["-train_frac", "0.9", "-val_frac", "0.1000000005"]
    error, out, _ = result_of(folder_with_text(tmp_path), *fractions, "-max_epochs", "0.05")
    assert error is None
    assert any(line.endswith("val: 7, test: 0") for line in out)


def settled(folder, monkeypatch, **options):
    """The session of a run in `folder`, and what was said on the way."""
    monkeypatch.chdir(folder)
    said: list[str] = []
    sizes = {"rnn_size": 6, "batch_size": 5, "seq_length": 8}
    opt = TrainOptions(data_dir="data", **{"gpuid": -1, **sizes, **options})
    return opt, prepare(opt, None, Process(), said.append, said.append), said


def test_a_first_process_that_is_refused_has_joined_the_others(tmp_path, monkeypatch):
    """Otherwise the others wait for it to connect, and torchrun kills them after 30 seconds."""
    joined = []

    def refuse(*args):
        assert joined == ["cpu"]
        raise UserError("an unfinished run")

    monkeypatch.setattr(distributed, "join", lambda process, where: joined.append(where) or distributed.Ranks())
    monkeypatch.setattr(overwrite_guard, "check", refuse)
    with pytest.raises(UserError, match="an unfinished run"):
        settled(folder_with_text(tmp_path), monkeypatch)


def test_options_are_facts(tmp_path, monkeypatch):
    """What a checkpoint overrules is overruled in the session; the options that were given stay as they are."""
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.05", "-model", "gru", "-num_layers", "1")
    opt, session, said = settled(folder, monkeypatch, init_from="cv/lm_lstm_latest.t7", savefile="next")
    assert (opt.model, opt.num_layers) == ("lstm", 2)
    settings = session.settings
    assert (settings.model.model, settings.options.num_layers, session.model.model) == ("gru", 1, "gru")
    assert settings.resumed is None and settings.start.path == "cv/lm_lstm_latest.t7"
    assert "overwriting rnn_size=6, num_layers=1, model=gru based on the checkpoint." in said
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.options.rnn_size = 7


def test_a_run_goes_on_with_the_options_of_its_checkpoint(tmp_path, monkeypatch):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.05", "-learning_rate", "0.004")
    opt, session, _ = settled(folder, monkeypatch, resume="cv", max_epochs=0.2)
    settings = session.settings
    assert (settings.optimisation.learning_rate, settings.optimisation.max_epochs) == (0.004, 0.2)
    assert settings.options.resume == ""
    assert settings.resumed is settings.start
    assert session.iterations == int(0.2 * session.loader.ntrain)
    assert settings.resumed.overridden == {"max_epochs"}


@pytest.mark.parametrize("given", [None, 0.5])
def test_dropout_of_a_run_that_goes_on(tmp_path, monkeypatch, given):
    """What the checkpoint's graph holds, unless the command line says something else."""
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.05", "-dropout", "0.25")
    _, session, _ = settled(folder, monkeypatch, resume="cv", **({} if given is None else {"dropout": given}))
    assert session.model.dropout == session.settings.model.dropout == (given or 0.25)


def test_a_gpu_that_is_not_there_is_overruled(tmp_path, monkeypatch):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    _, session, _ = settled(folder_with_text(tmp_path), monkeypatch, gpuid=3)
    assert (session.settings.machine.device, session.settings.machine.gpuid) == ("cpu", -1)


def test_characters_of_a_checkpoint_need_a_checkpoint(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="-vocab keep needs a checkpoint: add -init_from"):
        settled(folder_with_text(tmp_path), monkeypatch, vocab="keep")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("args", [["-max_epochs", "0.1"], ["-max_epochs", "1", "-learning_rate", "1e9"]])
def test_no_run_that_has_ended_holds_its_text_open(tmp_path, args):
    """Windows would not let another one in the same program make the cache of a changed text."""
    folder = folder_with_text(tmp_path)
    result_of(folder, *args)
    assert not is_open(folder / "data" / "data.t7")
