"""A signal, or a callback's KeyboardInterrupt, stops a run after its step, and saves it."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from conftest import HEEDS_SIGNALS, ROOT, needs_signals
from runs import COMMAND, ENVIRONMENT, LONG, folder_with_text, leavings, named, started, steps, train

from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.interrupts import end_at_once, raise_once
from pycharrnn.common.printing import print_nothing
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.run_output import RunOutput
from pycharrnn.training.signals import GracefulStop, RunStopped


@needs_signals
@pytest.mark.parametrize("name, status", [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_saves_and_says_how_to_resume(tmp_path, name, status):
    folder = folder_with_text(tmp_path / "a")
    process = started(folder, *LONG, "-dropout", "0.2")
    process.send_signal(getattr(signal, name))
    out, error = process.communicate(timeout=300)
    assert process.returncode == status, error
    said, sample, last = error.strip().split("\n")
    known_as = "Ctrl-C" if name == "SIGINT" else name
    assert said == f"pycharrnn: {known_as}: finishing the step and saving; a second one stops at once."
    assert sample == "pycharrnn: sample from it with: pycharrnn sample cv/lm_lstm_latest.t7 -gpuid -1"
    latest = folder / "cv" / "lm_lstm_latest.t7"
    i = checkpoint.load(latest).i
    assert last == (
        f"pycharrnn: stopped by {known_as} after iteration {i}; go on with: pycharrnn train -resume"
        " cv/lm_lstm_latest.t7"
    )
    assert not leavings(folder)
    # -resume continues with the digits of an uninterrupted run.
    end = f"{(i + 30.5) / 60}"
    whole = folder_with_text(tmp_path / "b")
    lines = train(whole, *LONG, "-dropout", "0.2", "-max_epochs", end, "-print_every", "1")
    resumed = train(folder, "-resume", "cv", "-max_epochs", end, "-print_every", "1", small=[])
    assert steps(resumed) == steps_after(lines, i)
    assert named(folder)[-1].read_bytes() == named(whole)[-1].read_bytes()


def steps_after(lines: list[str], i: int) -> list[str]:
    """Training's own lines after iteration i, with -print_every 1."""
    own = steps(lines)
    return own[next(k for k, line in enumerate(own) if line.startswith(f"{i + 1}/")) :]


def slow_saving(tmp_path: Path) -> dict[str, str]:
    """An environment in which each fsync of a checkpoint says so and waits for a file `go` in the folder of the run."""
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text(
        "import os, time\n"
        "sync = os.fsync\n"
        "def fsync(fd):\n"
        "    if os.fstat(fd).st_ino in {file.inode() for file in os.scandir('cv')}:\n"
        "        os.write(1, b'SYNC\\n')\n"
        "        while not os.path.exists('go'):\n"
        "            time.sleep(0.01)\n"
        "    sync(fd)\n"
        "os.fsync = fsync\n",
        encoding="utf-8",
    )
    return {**ENVIRONMENT, "PYTHONPATH": f"{tmp_path / 'slow'}{os.pathsep}{ROOT}"}


@pytest.mark.slow
@needs_signals
@pytest.mark.parametrize("signals, status", [pytest.param(1, 143, marks=pytest.mark.slow), (2, 130)])
def test_signals_during_a_save(tmp_path, signals, status):
    """One lets the save finish; a second one ends it, and leaves no half file."""
    folder = folder_with_text(tmp_path / "a")
    train(folder, "-max_epochs", "0.01")  # the cache is there
    before = {p.name for p in folder.glob("cv/*")}
    command = [*COMMAND, *LONG, "-eval_val_every", "20"]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=slow_saving(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **HEEDS_SIGNALS,
    )
    for awaited in ("saving checkpoint", "SYNC"):
        while awaited not in (line := process.stdout.readline()):
            assert line, process.stderr.read()
    process.send_signal(signal.SIGTERM)
    assert "SIGTERM: finishing" in process.stderr.readline()
    if signals == 2:
        process.send_signal(signal.SIGINT)
    else:
        (folder / "go").touch()
    _, error = process.communicate(timeout=300)
    assert process.returncode == status
    assert "Traceback" not in error
    new = {p.name for p in folder.glob("cv/*")} - before
    if signals == 2:
        assert error.strip() == "pycharrnn: stopped at once by a second signal, Ctrl-C."
        assert not new
    else:
        (path,) = new - {"lm_lstm_latest.t7", "lm_lstm_best.t7"}
        assert checkpoint.load(folder / "cv" / path).i == 20
        assert f"after iteration 20; go on with: pycharrnn train -resume cv/{path}" in error
    assert not leavings(folder)


@needs_signals
def test_many_signals_end_without_noise(tmp_path):
    """In a process that starts and ends as a user's does."""
    folder = folder_with_text(tmp_path)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([*COMMAND, *LONG], cwd=folder, env=ENVIRONMENT, **pipes, **HEEDS_SIGNALS)
    while "train_loss" not in (line := process.stdout.readline()):
        assert line, process.stderr.read()
    numbers = [signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGTERM]
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.002)
    _, error = process.communicate(timeout=300)
    # At its very end, Python lets a signal end the process as it would any other.
    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    assert process.returncode in {*(128 + number for number in ends), *(-number for number in ends)}, error
    assert "Traceback" not in error, error
    assert "race condition" not in error, error


@pytest.fixture
def heard_signals():
    """SIGINT and SIGTERM as in a program of its own, whatever the tests' process ignores."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_third_signal_ends_a_command_but_not_a_program(heard_signals, monkeypatch):
    """After the context of a run that a second signal has ended, a program has its own handler again."""
    for own, afterwards in ((raise_once, end_at_once), (signal.default_int_handler, signal.default_int_handler)):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, own)
        with pytest.raises(RunStopped, match="Ctrl-C"), GracefulStop(RunOutput(print, print), alone=True):
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
        assert {signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)} == {afterwards}


def test_signals_are_handled_only_while_training(heard_signals):
    before = signal.getsignal(signal.SIGINT)
    with GracefulStop(RunOutput(print, print), alone=True) as stop:
        assert signal.getsignal(signal.SIGINT) is not before
        signal.raise_signal(signal.SIGINT)
        assert (stop.cause, stop.status) == ("Ctrl-C", 130)
        with pytest.raises(RunStopped, match="second signal") as error:
            signal.raise_signal(signal.SIGTERM)
        assert error.value.status == 143
    assert signal.getsignal(signal.SIGINT) is before


@needs_signals
def test_a_second_hangup_is_of_the_same_terminal(heard_signals):
    before = signal.signal(signal.SIGHUP, signal.default_int_handler)
    with GracefulStop(RunOutput(print, print), alone=True) as stop:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert (stop.cause, stop.status) == ("SIGHUP", 129)
        with pytest.raises(RunStopped, match="second signal, Ctrl-C"):
            signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGHUP, before)


def test_a_callback_stops_a_run_by_keyboard_interrupt(heard_signals):
    """A signal after it counts as the first one."""

    def interrupt(report):
        raise KeyboardInterrupt

    with GracefulStop(RunOutput(print, print), alone=True) as stop:
        stop.call(print, "report")
        assert (stop.cause, stop.status) == ("", 0)
        stop.call(interrupt, "report")
        assert (stop.cause, stop.status) == ("a callback", 130)
        signal.raise_signal(signal.SIGTERM)
        assert (stop.cause, stop.status) == ("SIGTERM", 143)


def test_under_torchrun_signals_stay_ignored_after_the_end(heard_signals):
    """It sends more of them to processes that are ending."""
    with GracefulStop(RunOutput(print, print), alone=False) as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert stop.cause == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_an_ignored_signal_stays_ignored(heard_signals):
    """As SIGHUP under nohup."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with GracefulStop(RunOutput(print, print), alone=True) as stop:
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        signal.raise_signal(signal.SIGINT)
        assert stop.cause == ""


def test_outside_the_main_thread_only_the_log_is_watched(tmp_path):
    folder = folder_with_text(tmp_path)
    folders = {"data_dir": str(folder / "data"), "checkpoint_dir": str(folder / "cv")}
    opt = TrainOptions(**folders, gpuid=-1, rnn_size=4, batch_size=5, seq_length=8, max_epochs=0.1)
    from pycharrnn.training.loop import train as train_

    notes: list[str] = []
    thread = threading.Thread(target=train_, args=(opt,), kwargs={"say": print_nothing, "note": notes.append})
    thread.start()
    thread.join(300)
    assert any("finished" in line for line in notes)
