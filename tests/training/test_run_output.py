"""A log that nobody reads stops a run, and is saved; a full disk under the log does not."""

from __future__ import annotations

import errno
import os
import subprocess

import pytest
from conftest import start
from runs import COMMAND, ENVIRONMENT, LONG, SMALL, folder_with_text, named, started

from pycharrnn.checkpoints import checkpoint
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.run_output import RunOutput


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_reader_of_the_log_that_goes_away(tmp_path):
    folder = folder_with_text(tmp_path)
    process = started(folder, *LONG)
    process.stdout.close()
    error = process.stderr.read()
    assert process.wait(300) == 1
    assert "\npycharrnn: stopped by a closed standard output after iteration " in error
    assert error.count("\n") == 2
    assert checkpoint.load(folder / "cv" / "lm_lstm_latest.t7").i > 40


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")
def test_started_with_a_closed_stdout(tmp_path):
    folder = folder_with_text(tmp_path)
    result = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, "-max_epochs", "0.1"],
        cwd=folder,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "finished" in result.stderr
    assert len(named(folder)) == 1
    assert (folder / "data" / "input.txt").read_bytes() == (
        folder_with_text(tmp_path / "b") / "data/input.txt"
    ).read_bytes()


def test_a_full_disk_under_the_log_does_not_stop_training(tmp_path):
    lost: list[str] = []
    notes: list[str] = []

    def full(line):
        lost.append(line)
        raise OSError(errno.ENOSPC, "No space left on device")

    output = RunOutput(full, notes.append)
    output.say("a")
    output.say("b")
    assert lost == ["a", "b"]
    assert notes == ["can't write the log (No space left on device): training goes on."]
    assert not output.closed


@pytest.mark.parametrize("system", ["nt", "posix"])
def test_a_closed_pipe_of_windows(monkeypatch, system):
    """Writing to it is EINVAL there."""
    notes: list[str] = []

    def closed(line):
        raise OSError(errno.EINVAL, "Invalid argument")

    output = RunOutput(closed, notes.append)
    with monkeypatch.context() as patched:
        patched.setattr(os, "name", system)
        output.say("a")
    assert output.closed == (system == "nt") != bool(notes)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_log_on_a_full_disk_costs_no_run(tmp_path):
    folder = folder_with_text(tmp_path)
    with open("/dev/full", "wb") as full:
        process = start("train", *SMALL, "-max_epochs", "1", cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True)
    _, error = process.communicate()
    assert process.returncode == 0, error
    first, *_, last = error.strip().split("\n")
    assert first == "pycharrnn: can't write the log (No space left on device): training goes on."
    assert "write a page that runs it with" in last
    assert len(named(folder)) == 1


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
@pytest.mark.parametrize("lines", [0, 1, 5])
def test_a_log_that_is_closed_before_training_begins(tmp_path, lines):
    """As by `| head -1`: one step is trained and saved, and how to go on is said."""
    folder = folder_with_text(tmp_path)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = start("train", *SMALL, *LONG, cwd=folder, **pipes)
    for _ in range(lines):
        process.stdout.readline()
    process.stdout.close()
    error = process.stderr.read()
    assert process.wait(300) == 1
    assert "\npycharrnn: stopped by a closed standard output after iteration " in error
    assert "go on with: pycharrnn train -resume cv/lm_lstm_latest.t7" in error
    assert checkpoint.load(folder / "cv" / "lm_lstm_latest.t7").i >= 1


def test_an_end_that_is_asked_for_at_the_last_iteration_is_the_end(tmp_path):
    """A log whose reader goes away with the last line has been read to its end."""
    folder = folder_with_text(tmp_path)
    folders = {"data_dir": str(folder / "data"), "checkpoint_dir": str(folder / "cv")}
    opt = TrainOptions(**folders, gpuid=-1, rnn_size=4, batch_size=5, seq_length=8, max_epochs=0.1)
    from pycharrnn.training.loop import train as train_

    notes: list[str] = []

    def say(line):
        if line.startswith("6/6 "):
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    train_(opt, say=say, note=notes.append)
    assert notes[0].startswith("finished; the best checkpoint is ")
