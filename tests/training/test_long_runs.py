"""Runs that are stopped, run out of disk or go astray end clearly, and keep what they have."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import threading
import time
from array import array
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import HEEDS_SIGNALS, ROOT, needs_signals, run, start, train_as_recorded, with_slashes, working_in
from runs import (
    COMMAND,
    ENVIRONMENT,
    LONG,
    SMALL,
    a_trainer,
    copied,
    folder_with_text,
    named,
    result_of,
    started,
    steps,
    train,
)

from compat import atomic_write, charrnn
from compat.charrnn import Checkpoint
from pycharrnn.checkpoints import checkpoint
from pycharrnn.checkpoints.run_names import named_checkpoint
from pycharrnn.cli.commands import cli
from pycharrnn.common import file_lock
from pycharrnn.common.errors import UserError, for_command_line
from pycharrnn.common.interrupts import end_at_once, raise_once
from pycharrnn.common.losses import best_iteration
from pycharrnn.common.printing import print_nothing
from pycharrnn.training import checkpoint_keeper, ending_notes, run_lock
from pycharrnn.training.checkpoint_keeper import CheckpointKeeper
from pycharrnn.training.distributed import Ranks
from pycharrnn.training.history import History, out_of_patience
from pycharrnn.training.next_commands import NextCommands
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.run_output import RunOutput
from pycharrnn.training.settings import FileSettings, group
from pycharrnn.training.signals import GracefulStop, RunStopped
from pycharrnn.training.trainer import Trainer


def leavings(folder: Path) -> list[str]:
    return [p.name for p in folder.glob("cv/.*")]


# -- signals ---------------------------------------------------------------------------------------------------------


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
    # and the run that goes on is the one that never stopped
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


# -- saved in time ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_latest_is_kept_in_time_and_changes_no_digit(tmp_path):
    plain, timed = folder_with_text(tmp_path / "plain"), folder_with_text(tmp_path / "timed")
    args = ["-max_epochs", "1.3", "-eval_val_every", "30", "-dropout", "0.2"]
    lines = train(plain, *args, "-save_every_minutes", "0")
    assert not (plain / "cv" / "lm_lstm_latest.t7").exists()
    seen: list[int] = []

    def spy(keeper, saved, save_latest=CheckpointKeeper.save_latest):
        save_latest(keeper, saved)
        seen.append(checkpoint.load("cv/lm_lstm_latest.t7").i)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointKeeper, "save_latest", spy)
        timed_lines = train(timed, *args, "-save_every_minutes", "0.000001")
    assert timed_lines == lines
    assert len(seen) > 3
    assert seen == sorted(seen)
    for ours, theirs in zip(named(timed), named(plain), strict=True):
        ours, theirs = checkpoint.load(ours), checkpoint.load(theirs)
        assert ours.train_losses == theirs.train_losses
        np.testing.assert_array_equal(ours.state.mean_square, theirs.state.mean_square)
    # at the end it is the last checkpoint
    assert (timed / "cv" / "lm_lstm_latest.t7").read_bytes() == named(timed)[-1].read_bytes()
    resumed = train(copied(timed, tmp_path / "c", named(timed)[0]), "-resume", "cv", small=[])
    assert (
        steps(resumed)
        == steps(lines)[lines.index("saving checkpoint to cv/" + named(plain)[0].name) + 2 - len(lines) :]
    )


def a_keeper(folder: Path, monkeypatch, **options) -> tuple[CheckpointKeeper, Trainer]:
    """Of a run that has trained one iteration in `folder`."""
    folder_with_text(folder)
    (folder / "cv").mkdir()
    monkeypatch.chdir(folder)
    trainer = a_trainer(folder, **options)
    trainer.step()
    history = History(array("d", trainer.new_losses()))
    files = group(FileSettings, TrainOptions(**options), checkpoint_format="t7")
    return CheckpointKeeper(files, trainer.ranks, 60, history, lambda line: None, NextCommands("a"), None), trainer


def after(i: int, trainer: Trainer) -> Checkpoint:
    """A checkpoint of a trainer's model that says it is of iteration `i`."""
    return trainer.model.as_checkpoint(trainer.loader.vocab_mapping, {}, i=i, epoch=i / 60)


def test_latest_is_the_end_of_the_run_also_where_it_is_not_kept_in_time(tmp_path):
    """With -save_every_minutes 0 a signal may have written it; the run that goes on replaces it."""
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.2")
    (folder / "cv" / "lm_lstm_latest.t7").replace(folder / "old.t7")
    train(folder, "-max_epochs", "0.3", "-save_every_minutes", "0")
    assert not (folder / "cv" / "lm_lstm_latest.t7").exists()
    (folder / "old.t7").replace(folder / "cv" / "lm_lstm_latest.t7")
    latest = "cv/lm_lstm_latest.t7"
    train(folder, "-resume", latest, "-max_epochs", "0.4", "-save_every_minutes", "0", small=[])
    assert checkpoint.load(folder / latest).i == 24
    train(folder, "-resume", latest, "-max_epochs", "5", "-patience", "1", "-eval_val_every", "7", small=[])
    newest = checkpoint.load(folder / latest)
    assert newest.i == max(newest.val_losses) > 24


def test_time_is_counted_from_the_last_save(tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(checkpoint_keeper.time, "monotonic", lambda: now)
    keeper, trainer = a_keeper(tmp_path, monkeypatch, save_every_minutes=2)
    assert not keeper.is_due()
    now += 119
    assert not keeper.is_due()
    now += 1
    assert keeper.is_due()
    keeper.save_latest(after(1, trainer))
    assert not keeper.is_due()
    now += 120
    assert keeper.is_due()
    monkeypatch.setattr(charrnn, "save", _no_space)
    keeper.save_latest(after(2, trainer))
    assert not keeper.is_due(), "a save that failed is tried again in its time, not at every step"


def test_of_several_processes_the_first_counts_the_time(tmp_path, monkeypatch):
    """It alone writes: another one would ask for a save after every step."""
    now = 1000.0
    monkeypatch.setattr(checkpoint_keeper.time, "monotonic", lambda: now)
    first, trainer = a_keeper(tmp_path, monkeypatch, save_every_minutes=2)
    files = group(FileSettings, TrainOptions(save_every_minutes=2), checkpoint_format="t7")
    second = CheckpointKeeper(files, Ranks(1, 2), 60, History(), lambda line: None, NextCommands("a"), None)
    now += 120
    assert first.is_due() or second.is_due()
    for keeper in (first, second):
        keeper.save_latest(after(1, trainer))
    assert not first.is_due() and not second.is_due()


def test_another_process_than_the_first_denies_no_checkpoint_when_the_text_changes():
    """The first one may have written some at intervals."""
    files = group(FileSettings, TrainOptions(), checkpoint_format="t7")
    second = CheckpointKeeper(files, Ranks(1, 2), 60, History(), lambda line: None, NextCommands("a"), None)
    assert for_command_line(str(second.text_changed("it changed.", None))) == "it changed; continue with -resume."


def _no_space(*args, **keywords):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_what_is_not_finite_never_becomes_latest(tmp_path, monkeypatch):
    keeper, trainer = a_keeper(tmp_path, monkeypatch)
    trainer.model.flat.detach()[3] = float("inf")
    keeper.save_latest(after(1, trainer))
    assert not list((tmp_path / "cv").iterdir())


def test_latest_is_written_again_where_it_was_removed(tmp_path, monkeypatch):
    keeper, trainer = a_keeper(tmp_path, monkeypatch)
    latest = tmp_path / "cv/lm_lstm_latest.t7"
    keeper.save_latest(after(1, trainer))
    written = latest.stat().st_ino
    keeper.save_latest(after(1, trainer))
    assert latest.stat().st_ino == written  # nothing new to save
    latest.unlink()
    keeper.save_latest(after(1, trainer))
    assert latest.exists()


def test_advice_can_be_pasted_into_a_shell(tmp_path, monkeypatch):
    keeper, trainer = a_keeper(tmp_path, monkeypatch, checkpoint_dir="my cv; rm x")
    (tmp_path / "my cv; rm x").mkdir()
    said = str(keeper.stopped("SIGTERM", 143, after(1, trainer)))
    assert said.endswith("pycharrnn train -resume 'my cv; rm x/lm_lstm_latest.t7'")


def test_what_others_leave_half_written_stays(tmp_path):
    """Of another -savefile that differs in what a pattern would take for any character; and of any, with -lock 0."""
    folder = folder_with_text(tmp_path)
    (folder / "cv").mkdir()
    ours, others = (folder / f"cv/.lm_{name}_epoch9.00_2.0000.t7.tmp" for name in ("a.b", "aXb"))
    for path in (ours, others):
        path.touch()
    assert result_of(folder, "-max_epochs", "0.05", "-savefile", "a.b", "-lock", "0")[0] is None
    assert ours.exists() and others.exists()
    assert result_of(folder, "-max_epochs", "0.05", "-savefile", "a.b")[0] is None
    assert others.exists() and not ours.exists()


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


def test_keep_n_best_and_the_newest(tmp_path):
    folder = folder_with_text(tmp_path)
    args = ["-eval_val_every", "10", "-max_epochs", "1.34", "-learning_rate", "0.3", "-seed", "1"]
    (folder / "cv").mkdir()
    foreign = folder / "cv" / "lm_lstm_epoch9.00_9.9999.t7"
    foreign.write_bytes(b"of another run")
    train(folder, *args, "-keep", "2")
    losses = checkpoint.load(folder / "cv" / "lm_lstm_latest.t7").val_losses
    assert len(losses) == 8
    best = sorted(losses, key=losses.get)[:2]
    expected = {named_checkpoint("cv/lm_lstm", i / 60, losses[i], ".t7") for i in [*best, 80]}
    assert 80 not in best
    assert {f"cv/{p.name}" for p in named(folder)} == expected | {"cv/lm_lstm_epoch9.00_9.9999.t7"}
    assert (folder / "cv" / "lm_lstm_best.t7").samefile(
        folder / named_checkpoint("cv/lm_lstm", best[0] / 60, losses[best[0]], ".t7")
    )
    # a run that goes on knows its earlier checkpoints
    train(folder, "-resume", "cv/lm_lstm_latest.t7", "-keep", "1", "-max_epochs", "1.5", small=[])
    losses = checkpoint.load(folder / "cv" / "lm_lstm_latest.t7").val_losses
    kept = {named_checkpoint("cv/lm_lstm", i / 60, losses[i], ".t7") for i in [best_iteration(losses), 90]}
    assert {f"cv/{p.name}" for p in named(folder)} == kept | {"cv/lm_lstm_epoch9.00_9.9999.t7"}


@pytest.mark.parametrize("resumes", [False, True])
def test_best_stays_where_its_other_name_was_removed(tmp_path, monkeypatch, resumes):
    from pycharrnn.training.loop import train as train_

    losses = iter([1.0, 2.0, 3.0])
    monkeypatch.setattr(Trainer, "evaluate", lambda *about: next(losses))
    folder, notes = folder_with_text(tmp_path), list[str]()
    options = {"data_dir": "data", "gpuid": -1, "rnn_size": 6, "batch_size": 5, "seq_length": 8, "eval_val_every": 20}

    def remove(line: str) -> None:
        if line.startswith("21/60 "):
            named(folder)[0].unlink()

    with working_in(folder):
        if resumes:
            train_(TrainOptions(**options, max_epochs=0.34))
            named(folder)[0].unlink()
            train_(TrainOptions(resume="cv", max_epochs=1), note=notes.append)
        else:
            train_(TrainOptions(**options, max_epochs=1), say=remove, note=notes.append)
    assert next(losses, None) is None
    assert checkpoint.load(folder / "cv/lm_lstm_best.t7").i == 20
    (line,) = (note for note in notes if note.startswith("finished"))
    assert with_slashes(line) == ("finished; the best checkpoint is cv/lm_lstm_best.t7, with validation loss 1.0000.")


def test_keep_counts_files_where_several_validations_have_one_name(tmp_path):
    """The name has two digits of the epoch and four of the loss, which may be those of the validation before."""
    folder = folder_with_text(tmp_path)
    args = ["-seq_length", "1", "-eval_val_every", "1", "-max_epochs", "0.0227", "-learning_rate", "1e-300"]
    train(folder, *args, "-keep", "2")
    losses = checkpoint.load(folder / "cv" / "lm_lstm_latest.t7").val_losses
    assert len(losses) == 11 and len(set(losses.values())) == 1
    assert [path.name.split("_")[2] for path in named(folder)] == ["epoch0.00", "epoch0.01", "epoch0.02"]


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
    assert "nothing is left to train; a larger -patience, or -max_epochs, goes on." in err
    assert "finished; the best checkpoint is" in err
    assert {path.name: path.read_bytes() for path in (folder / "cv").iterdir()} == before
    # A run that goes on has another validation before it.
    error, out, err = result_of(folder, "-resume", "cv/lm_lstm_latest.t7", "-seed", "5", small=[])
    assert error is None
    assert f"stopping after iteration {best + 40}: the last 3 validations (-patience) were no better." in err
    assert ending_notes.patience_in(ending_notes.patience_note(7, 1)) == 1
    # A run that is given a new length trains for that length.
    ended = checkpoint.load(folder / "cv" / "lm_lstm_latest.t7")
    epochs = f"{ended.epoch + 30 / (ended.i / ended.epoch):.4f}"
    error, out, err = result_of(folder, "-resume", "cv/lm_lstm_latest.t7", "-max_epochs", epochs, small=[])
    assert error is None
    assert "goes on without -patience 3" in err and "stopping after" not in err
    assert checkpoint.load(folder / "cv" / "lm_lstm_latest.t7").i == pytest.approx(ended.i + 30, abs=1)


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


# -- the end ---------------------------------------------------------------------------------------------------------


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


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    "undone, more",
    [
        ("best", ()),
        ("latest", ()),
        ("best", ("-save_every_minutes", "0")),
        ("latest", ("-checkpoint_format", "safetensors")),
    ],
)
def test_a_run_killed_after_its_last_checkpoint_has_all_files_once_resumed(tmp_path, monkeypatch, undone, more):
    args = ("-max_epochs", "0.3", "-eval_val_every", "6", "-keep", "1", *more)
    whole, killed = (folder_with_text(tmp_path / name) for name in ("whole", "killed"))
    train(whole, *args)
    link = checkpoint_keeper.atomic_link

    def until_the_end(source, target):
        if "epoch0.30" in source and undone in target:
            raise Killed
        link(source, target)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(checkpoint_keeper, "atomic_link", until_the_end)
        train(killed, *args)
    train(killed, "-resume", "cv", small=[])
    found = [{path.name: path.read_bytes() for path in (folder / "cv").iterdir()} for folder in (whole, killed)]
    assert found[0] == found[1]


def test_best_is_a_copy_where_links_do_not_work(tmp_path, monkeypatch):
    def no_links(*args):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1")
    assert (folder / "cv" / "lm_lstm_best.t7").read_bytes() == named(folder)[0].read_bytes()
    assert not leavings(folder)


def test_resuming_a_finished_run(tmp_path):
    folder = folder_with_text(tmp_path)
    lines = train(folder, "-max_epochs", "0.5")
    error, out, err = result_of(folder, "-resume", "cv", small=[])
    assert error is None
    assert steps(out) == [lines[-1]]
    assert "iteration 30 of 30: nothing is left to train; a larger -max_epochs, or -minutes, goes on." in err
    assert "the best checkpoint is" in err
    assert len(named(folder)) == 1


# -- bad numbers -----------------------------------------------------------------------------------------------------


def test_explosion(tmp_path, monkeypatch):
    left = []
    monkeypatch.setattr(Ranks, "destroy", lambda ranks: left.append(ranks))
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.5")
    (good,) = named(folder)
    error, out, err = result_of(folder, "-resume", "cv", "-learning_rate", "9", "-max_epochs", "3", small=[])
    assert len(left) == 2  # each run parts from other processes, for else NCCL would say at the end that it did not
    assert out[-1] == "loss is exploding, aborting."
    assert error.status == 3
    assert str(error) == (
        "training diverged: lower -learning_rate or -grad_clip;"
        f" go on from the last good checkpoint, -resume cv/{good.name}."
    )


def test_an_explosion_between_two_log_lines(tmp_path):
    said, _ = train_as_recorded("exploding", tmp_path, "-print_every", "100")
    assert said.splitlines()[-2:] == ["number of parameters in the model: 5083", "loss is exploding, aborting."]


def test_nan(tmp_path, monkeypatch):
    """Weights that are not numbers: the original's name, but never without a line, and no latest, no best."""
    from pycharrnn.engine.rmsprop import RMSprop

    step, count = RMSprop.step, iter(range(1000))

    def break_at_20(self, gradient, clip):
        step(self, gradient, clip)
        if next(count) == 19:
            self.parameters[-1] = float("nan")

    monkeypatch.setattr(RMSprop, "step", break_at_20)
    folder = folder_with_text(tmp_path)
    error, out, err = result_of(folder, "-max_epochs", "1", "-eval_val_every", "10")
    good, bad = named(folder)
    assert "nan" in bad.name
    assert out[-1].startswith("loss is NaN.  This usually indicates a bug.")
    assert err.splitlines() == [
        f"pycharrnn: cv/{bad.name} holds numbers that are not finite: lower -learning_rate or -grad_clip;"
        f" the last good checkpoint is cv/{good.name}."
    ]
    assert error.status == 3
    assert f"go on from the last good checkpoint, -resume cv/{good.name}" in str(error)
    for name in ("latest", "best"):
        assert (folder / "cv" / f"lm_lstm_{name}.t7").samefile(good)
    lines = train(folder, "-resume", "cv", "-max_epochs", "0.2", small=[])
    assert any(line.startswith(f"resuming from cv/{good.name}") for line in lines)


def test_the_advice_after_nan_names_the_newest_good_checkpoint(tmp_path, monkeypatch):
    from pycharrnn.engine.rmsprop import RMSprop

    step, count = RMSprop.step, iter(range(1000))

    def break_at_25(self, gradient, clip):
        step(self, gradient, clip)
        if next(count) == 24:
            self.parameters[-1] = float("nan")

    monkeypatch.setattr(RMSprop, "step", break_at_25)
    folder = folder_with_text(tmp_path)
    error, _, _ = result_of(folder, "-max_epochs", "1", "-eval_val_every", "10")
    first, second = named(folder)
    assert "epoch0.33" in second.name
    assert str(error).endswith(f"go on from the last good checkpoint, -resume cv/{second.name}.")
    # a later lm_lstm_latest.t7 may have diverged already, so the advice is to give it up
    count = iter(range(1000))
    error, _, _ = result_of(
        folder, "-max_epochs", "1", "-eval_val_every", "20", "-save_every_minutes", "1e-9", "-overwrite", "1"
    )
    (path,) = set(named(folder)) - {first, second}
    given_up = f"-resume cv/{path.name}, and give up cv/lm_lstm_latest.t7 with -overwrite 1."
    assert str(error).endswith(given_up)


def test_nan_in_the_last_validation(tmp_path, monkeypatch):
    from pycharrnn.engine.rmsprop import RMSprop

    monkeypatch.setattr(RMSprop, "step", lambda self, gradient, clip: self.parameters.fill_(float("nan")))
    folder = folder_with_text(tmp_path)
    error, out, err = result_of(folder, "-max_epochs", "0.017")
    assert error.status == 3
    assert str(error) == ("training diverged: lower -learning_rate or -grad_clip; there is no good checkpoint.")
    assert "_nan.t7 holds numbers that are not finite" in err


# -- disks -----------------------------------------------------------------------------------------------------------


class Disk:
    """Faults in the file layer: `fault` raises, or not, by what is done and how often it was done before."""

    def __init__(self, monkeypatch, fault):
        self.done: list[str] = []
        for name in ("fsync", "replace"):
            monkeypatch.setattr(atomic_write.os, name, self._wrapped(name, getattr(os, name), fault))

    def _wrapped(self, name, real, fault):
        def call(*args, **keywords):
            self.done.append(name)
            number = fault(name, self.done.count(name))
            if number:
                raise OSError(number, os.strerror(number))
            return real(*args, **keywords)

        return call


EVERY_10 = ["-eval_val_every", "10", "-max_epochs", "1", "-save_every_minutes", "0"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "what, number", [("fsync", errno.ENOSPC), ("fsync", errno.EIO), ("replace", errno.EROFS), ("replace", errno.EDQUOT)]
)
def test_a_disk_that_fails_at_the_end(tmp_path, monkeypatch, number, what):
    folder = folder_with_text(tmp_path)
    train(folder_with_text(tmp_path / "whole"), *EVERY_10)
    whole = named(tmp_path / "whole")
    train(folder, "-max_epochs", "0.01", "-savefile", "cache")
    shutil.rmtree(folder / "cv")
    Disk(monkeypatch, lambda name, count: number if name == what and count > 6 else None)
    error, out, err = result_of(folder, *EVERY_10)
    assert len([line for line in out if line.startswith("saving checkpoint")]) == 6
    assert err.count("can't write") == 1
    assert err.count(os.strerror(number)) == 1
    written = named(folder)
    assert 1 <= len(written) < 6
    for ours, theirs in zip(written, whole, strict=False):
        assert ours.read_bytes() == theirs.read_bytes()
    assert error.status == 1
    assert f"the last checkpoint could not be written to cv ({os.strerror(number)})" in str(error)
    assert f"the last good checkpoint is cv/{written[-1].name}" in str(error)
    assert not leavings(folder)


def test_a_disk_that_recovers(tmp_path, monkeypatch):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.01", "-savefile", "cache")
    Disk(monkeypatch, lambda name, count: errno.ENOSPC if name == "fsync" and count in (4, 5, 9) else None)
    error, out, err = result_of(folder, *EVERY_10, "-print_every", "30")
    assert error is None
    assert "finished" in err
    assert err.count("trying again at the next save") >= 1
    assert all(checkpoint.load(p).i for p in named(folder))


def test_a_checkpoint_dir_that_vanishes(tmp_path):
    folder = folder_with_text(tmp_path)
    save = charrnn.save
    with pytest.MonkeyPatch.context() as patch:

        def vanish(path, found):
            if found.i == 20:
                shutil.rmtree("cv")
            save(path, found)

        patch.setattr(charrnn, "save", vanish)
        count = iter(range(99))
        patch.setattr(shutil, "rmtree", lambda path, real=shutil.rmtree: real(path) if next(count) == 0 else None)
        error, out, err = result_of(folder, *EVERY_10)
    assert error is None
    assert err.count("the folder cv was missing and has been created again.") == 1
    assert [checkpoint.load(p).i for p in named(folder)] == [20, 30, 40, 50, 60]


def test_a_checkpoint_dir_that_can_not_be_made_anew(tmp_path):
    folder = folder_with_text(tmp_path)
    save = charrnn.save
    with pytest.MonkeyPatch.context() as patch:

        def vanish(path, found):
            if os.path.isdir("cv"):
                shutil.rmtree("cv")
                Path("cv").write_text("a file in its place", encoding="utf-8")
            save(path, found)

        patch.setattr(charrnn, "save", vanish)
        error, out, err = result_of(folder, *EVERY_10)
    assert error.status == 1
    assert "there is no good checkpoint" in str(error)
    assert err.count("can't write") == 1


@pytest.mark.parametrize("fate", ["moved", "removed"])
def test_the_last_good_checkpoint_is_one_that_exists(tmp_path, monkeypatch, fate):
    """Saving fails from iteration 40 on. The folder was moved, or the named file of the best checkpoint removed."""
    folder = folder_with_text(tmp_path)
    save = charrnn.save

    def fail(path, found):
        if found.i >= 40:
            for old in Path("cv").glob("lm_lstm_epoch0.50_*"):
                old.unlink()
            if fate == "moved" and os.path.isdir("cv"):
                os.rename("cv", "cv.old")
                Path("cv").touch()
            raise OSError(errno.EIO, "Input/output error")
        save(path, found)

    monkeypatch.setattr(charrnn, "save", fail)
    error, _, err = result_of(folder, *EVERY_10)
    said = str(error)
    if fate == "moved":
        assert said.endswith("there is no good checkpoint.")
    else:
        path = said.rpartition("the last good checkpoint is ")[2].removesuffix(".")
        assert path == "cv/lm_lstm_best.t7" and checkpoint.load(folder / path).i == 30


def can_mount(path: Path) -> bool:
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("mount"):
        return False
    path.mkdir()
    return (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(path)], capture_output=True).returncode
        == 0
    )


def test_a_file_system_of_3_mb_that_fills_up(tmp_path):
    small = tmp_path / "small"
    if not can_mount(small):
        pytest.skip("mounting a file system is not allowed here")
    try:
        folder = folder_with_text(tmp_path / "a")
        args = ["-rnn_size", "40", "-num_layers", "1", "-eval_val_every", "5", "-max_epochs", "1"]
        process = run("train", *SMALL, *args, "-checkpoint_dir", str(small), cwd=folder)
        error = process.stderr.decode()
        assert process.returncode == 1, error
        assert "Traceback" not in error
        first, last = error.strip().split("\n")
        assert "No space left on device): trying again at the next save" in first
        assert "the last checkpoint could not be written" in last
        assert b"60/60" in process.stdout.splitlines()[-1]
        files = sorted(small.glob("*.t7"))
        assert len(files) > 3
        assert all(checkpoint.load(path).i % 5 == 0 for path in files)
        assert not list(small.glob(".*"))
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


# -- two at a time ---------------------------------------------------------------------------------------------------


def test_a_second_training_is_refused(tmp_path):
    folder = folder_with_text(tmp_path)
    process = started(folder, *LONG, "-eval_val_every", "1000000")  # on a busy machine it may run long
    try:
        error, _, _ = result_of(folder, "-max_epochs", "0.1")
        assert error.status == 1
        assert f"another training (process {process.pid} on " in str(error)
        assert "writes lm_lstm_* to cv: choose another -savefile" in str(error)
        assert result_of(folder, "-max_epochs", "0.1", "-savefile", "other")[0] is None
        assert result_of(folder, "-max_epochs", "0.1", "-lock", "0")[0] is None
    finally:
        process.kill()
        process.communicate()
    # a crash leaves no lock behind, and what it left half written goes
    half = folder / "cv" / ".lm_lstm_epoch1.00_2.0000.t7.tmp"
    others = folder / "cv" / ".lm_lstm_2_epoch1.00_2.0000.t7.tmp"
    half.touch()
    others.touch()
    assert result_of(folder, "-max_epochs", "0.1")[0] is None
    assert leavings(folder) == [others.name]


def test_where_locks_do_not_work_it_is_said(tmp_path, monkeypatch):
    def no_locks(fd):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(file_lock, "_lock_descriptor", no_locks)
    error, _, err = result_of(folder_with_text(tmp_path), "-max_epochs", "0.1")
    assert error is None
    assert "can't lock cv/.lm_lstm.lock (No locks available)" in err


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no file that is open")
@pytest.mark.parametrize("replaced", [False, True])
def test_a_lock_that_was_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch, replaced):
    real, removed = file_lock._lock_descriptor, []

    def remove_once(fd):
        if not removed:
            removed.append(os.unlink(tmp_path / ".lm_lstm.lock"))
            if replaced:
                (tmp_path / ".lm_lstm.lock").touch()
        real(fd)

    monkeypatch.setattr(file_lock, "_lock_descriptor", remove_once)
    with run_lock.lock(group(FileSettings, TrainOptions(checkpoint_dir=str(tmp_path))), print):
        assert (tmp_path / ".lm_lstm.lock").read_text(encoding="utf-8").startswith(f"process {os.getpid()}")
        second = run_lock.lock(group(FileSettings, TrainOptions(checkpoint_dir=str(tmp_path))), print)
        with pytest.raises(UserError, match="another training"), second:
            pass
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="pretends to be Windows elsewhere")
@pytest.mark.parametrize("system", ["nt", "posix"])
def test_a_lock_leaves_no_file_and_takes_none_of_another_run(tmp_path, monkeypatch, system):
    """Windows removes no open file; elsewhere whoever opens it before it is gone must find it locked."""
    unlink, held = os.unlink, []

    def unlink_as_there(path):
        with open(path, "rb") as f:
            try:
                file_lock._lock_descriptor(f.fileno())
            except OSError:
                held.append(True)
                if system == "nt":
                    raise PermissionError(errno.EACCES, "in use") from None
            else:
                held.append(False)
        unlink(path)

    monkeypatch.setattr(os, "unlink", unlink_as_there)
    with run_lock.lock(group(FileSettings, TrainOptions(checkpoint_dir=str(tmp_path))), pytest.fail):
        monkeypatch.setattr(os, "name", system)
    monkeypatch.undo()
    assert held == [system == "posix"]
    assert list(tmp_path.iterdir()) == []
