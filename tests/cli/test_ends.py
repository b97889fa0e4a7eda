"""How the command line ends: the exit status and the sentence of each error and each signal."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys

import click
import pytest
from conftest import GOLDEN, ROOT, run

from pycharrnn.cli import commands
from pycharrnn.common import interrupts, numpy_warnings
from pycharrnn.common.errors import UserError
from pycharrnn.common.interrupts import Interrupted
from pycharrnn.training.signals import RunStopped

LSTM = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"
C_LOCALE = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
CONTEXT = click.Context(click.Command("sample"), info_name="pycharrnn sample")


def raising(error: BaseException):
    def main(args, *about, **keywords):
        raise error

    return main


@pytest.mark.parametrize(
    "error, status, said",
    [
        (click.UsageError("no such flag."), 2, "pycharrnn: no such flag. (see pycharrnn -help)\n"),
        (
            click.UsageError("no such flag.", CONTEXT),
            2,
            "pycharrnn sample: no such flag. (see pycharrnn sample -help)\n",
        ),
        (UserError("it is so: do that."), 1, "pycharrnn: it is so: do that.\n"),
        (RunStopped("training diverged.", 3), 3, "pycharrnn: training diverged.\n"),
        (RunStopped("", 130), 130, ""),
        (IsADirectoryError(21, "Is a directory", "my poems"), 1, "pycharrnn: my poems is a folder: name a file.\n"),
        (
            OSError(errno.EROFS, "Read-only file system", "m.c"),
            1,
            "pycharrnn: can't write m.c: Read-only file system; name a file in another folder.\n",
        ),
        (
            FileNotFoundError(2, "No such file or directory", "x.t7"),
            1,
            "pycharrnn: can't read x.t7 (No such file or directory): name a file that exists.\n",
        ),
        (
            FileNotFoundError(2, "No usable temporary directory found"),
            1,
            "pycharrnn: No usable temporary directory found: set TMPDIR to a folder in which you may write.\n",
        ),
        (
            FileNotFoundError(2, "No such file or directory", "nowhere/x.html"),
            1,
            "pycharrnn: there is no folder nowhere for nowhere/x.html: create it, or name another.\n",
        ),
        (OSError(28, "No space left on device"), 1, "pycharrnn: No space left on device.\n"),
        (
            OSError(12, "Cannot allocate memory", "torch/_refs"),
            1,
            "pycharrnn: out of memory: use smaller values, or end other programs.\n",
        ),
        (OSError("odd"), 1, "pycharrnn: odd.\n"),
        (click.exceptions.Abort(), 130, "pycharrnn: stopped by Ctrl-C.\n"),
        (Interrupted(signal.SIGTERM), 143, "pycharrnn: stopped by SIGTERM.\n"),
        (MemoryError(), 1, "pycharrnn: out of memory: use smaller values, or end other programs.\n"),
        (
            ImportError("libtorch_cpu.so: failed to map segment from shared object"),
            1,
            "pycharrnn: out of memory: use smaller values, or end other programs.\n",
        ),
        (
            RuntimeError("can't allocate memory: you tried to allocate 800 bytes"),
            1,
            "pycharrnn: out of memory, 800 bytes more were needed: use smaller values, or end other programs.\n",
        ),
    ],
    ids=repr,
)
def test_status_and_sentence_of_an_error(monkeypatch, capsys, error, status, said):
    monkeypatch.setattr(commands.cli, "main", raising(error))
    assert commands._run([], commands.tell_error, None) == status
    out = capsys.readouterr()
    assert (out.out, out.err) == ("", said)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("shapes do not fit"), ImportError("x.so: failed to map segment: Operation not permitted")],
    ids=repr,
)
def test_an_error_of_the_program_is_not_hidden(monkeypatch, error):
    monkeypatch.setattr(commands.cli, "main", raising(error))
    with pytest.raises(type(error), match=str(error)):
        commands._run([], commands.tell_error, None)


@pytest.mark.parametrize("error, status", [(KeyboardInterrupt(), 130), (Interrupted(signal.SIGTERM), 143)])
def test_a_signal_while_an_error_is_printed(monkeypatch, error, status):
    for name in ("raise_on_signals", "exit_silently_on_signals"):
        monkeypatch.setattr(interrupts, name, lambda: None)
    monkeypatch.setattr(numpy_warnings, "ignore", lambda: None)
    monkeypatch.setattr(commands, "_run", raising(error))
    with pytest.raises(SystemExit) as end:
        commands.main([])
    assert end.value.code == status


def test_signals_are_heard_from_the_first_to_the_last_line(monkeypatch):
    done = []
    monkeypatch.setattr(interrupts, "raise_on_signals", lambda: done.append("hear"))
    monkeypatch.setattr(interrupts, "exit_silently_on_signals", lambda: done.append("end at once"))
    monkeypatch.setattr(numpy_warnings, "ignore", lambda: done.append("no warnings"))
    monkeypatch.setattr(commands, "_run", lambda args, *about: done.append(args) or 3)
    with pytest.raises(SystemExit) as end:
        commands.main(["x"])
    assert end.value.code == 3
    assert done == ["no warnings", "hear", ["x"], "end at once"]


@pytest.mark.parametrize("word", ["~", "$HOME", "*"])
def test_words_are_taken_as_they_are_on_windows(word, tmp_path):
    """Where click expands them: it asks what the system is."""
    (tmp_path / "file").write_bytes(b"")
    code = "import os, sys; from pycharrnn.cli import commands; os.name = 'nt'; commands.main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code, word], cwd=tmp_path, env=environment, capture_output=True)
    assert result.stderr.decode().startswith(f"pycharrnn: there is no command {word!r}; ")


@pytest.mark.skipif(os.name == "nt", reason="file descriptors of POSIX")
@pytest.mark.parametrize("closed", [(1,), (1, 2)])
def test_a_closed_stdout_is_an_error(closed):
    """Nothing that is printed gets into a file that is opened in its place."""

    def close():
        for number in closed:
            os.close(number)

    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for args, status in ((["-version"], 1), (["sample", "nowhere.t7"], 1), (["samlpe"], 2)):
        command = [sys.executable, "-m", "pycharrnn", *args]
        assert subprocess.run(command, env=environment, preexec_fn=close).returncode == status


@pytest.mark.skipif(os.name == "nt", reason="file descriptors of POSIX")
@pytest.mark.parametrize(
    "args",
    [["score", LSTM, "-"], ["sample", LSTM, "-primefile", "-"], ["chat", LSTM], ["train", "-"]]
    + [["activations", LSTM, "-primefile", "-"]],
    ids=lambda args: args[0],
)
def test_a_closed_stdin_is_one_sentence(args, tmp_path):
    command = [sys.executable, "-m", "pycharrnn", *args]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        command, env=environment, cwd=tmp_path, preexec_fn=lambda: os.close(0), capture_output=True, text=True
    )
    said = "pycharrnn: standard input is closed: connect it to a file, a pipe or a terminal.\n"
    assert (result.returncode, result.stderr) == (1, said)


@pytest.mark.skipif(os.name == "nt", reason="file descriptors of POSIX")
def test_what_stderr_would_say_is_not_on_stdout_where_stderr_is_closed(tmp_path):
    shutil.copy(LSTM, tmp_path)
    command = [sys.executable, "-m", "pycharrnn", "sample", tmp_path, "-length", "20", "-verbose", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    plain = subprocess.run(command, env=environment, capture_output=True)
    assert plain.stderr.startswith(b"pycharrnn: ")  # the choice in the folder
    closed = subprocess.run(command, env=environment, preexec_fn=lambda: os.close(2), stdout=subprocess.PIPE)
    assert (closed.returncode, closed.stdout) == (0, plain.stdout)


@pytest.mark.parametrize(
    "encoding",
    [
        C_LOCALE,
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "cp1252"},
    ],
    ids=["C locale", "ascii", "cp1252"],
)
def test_names_that_stdout_and_stderr_lack(encoding, tmp_path):
    """A line of stdout with the name of a file, and an error with it on stderr."""
    name = os.path.join(os.fsencode(tmp_path), "g\u00e9\u043f.t7".encode())
    shutil.copy(LSTM, name)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **encoding}
    for args, status in ((["convert", name], 0), (["sample", name + b".t7"], 1)):
        result = subprocess.run([sys.executable, "-m", "pycharrnn", *args], env=environment, capture_output=True)
        assert result.returncode == status
        assert b"Traceback" not in result.stderr
        assert (result.stdout if status == 0 else result.stderr).count(b"\n") == 1


def test_characters_that_the_locale_lacks(tmp_path):
    """The vocabulary of a model of code points."""
    (tmp_path / "input.txt").write_text("\u043f\u00e9 " * 400, "utf-8")
    small = ["-rnn_size", "4", "-batch_size", "5", "-seq_length", "10", "-max_epochs", "0.1", "-encoding", "utf8"]
    run("train", "-data_dir", tmp_path, "-checkpoint_dir", tmp_path / "cv", "-gpuid", "-1", *small)
    (model,) = (tmp_path / "cv").glob("lm_lstm_epoch*")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **C_LOCALE}
    command = [sys.executable, "-m", "pycharrnn", "inspect", model]
    result = subprocess.run(command, env=environment, capture_output=True)
    assert rb"\u043f" in result.stdout, result.stderr


@pytest.mark.skipif(not hasattr(os, "eventfd"), reason="this system has no eventfd")
@pytest.mark.parametrize("words", [["-version"], ["completion", "bash"]], ids=["click's", "ours"])
def test_a_closed_pipe_of_windows(words):
    """Writing to it is EINVAL there, as it is for an eventfd here; it ends as quietly as for EPIPE."""
    code = (
        "import os, stat, sys; from pycharrnn.cli import commands\n"
        "os.name = 'nt'; stat.S_ISFIFO = lambda mode: True; commands.main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    unwritable = os.eventfd(0)
    try:
        command = [sys.executable, "-c", code, *words]
        result = subprocess.run(command, env=environment, stdout=unwritable, stderr=subprocess.PIPE)
    finally:
        os.close(unwritable)
    assert (result.returncode, result.stderr) == (1, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words",
    [["help"], ["help", "train"], ["sample", LSTM, "-length", "9"], ["score", LSTM, __file__], ["inspect", LSTM]],
    ids=lambda words: " ".join(map(str, words[:1])) + str(len(words)),
)
def test_a_full_disk_under_standard_output_is_named(words, unbuffered):
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "pycharrnn", *words],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
        )
    last = result.stderr.decode().splitlines()[-1]
    assert (result.returncode, last) == (1, f"pycharrnn: can't write standard output: {os.strerror(errno.ENOSPC)}.")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_under_the_last_lines_changes_no_status():
    """What is left in a buffer at the end can't be written."""
    code = "import sys; from pycharrnn.cli import commands; print('left'); commands._exit(3)"
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""},
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert (result.returncode, result.stderr) == (3, b"")
