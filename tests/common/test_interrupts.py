"""Signals that end a command, in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from child_signals import default_signals
from conftest import ROOT

from pycharrnn.common import interrupts
from pycharrnn.common.interrupts import Interrupted

if os.name == "nt":
    pytest.skip("signals of POSIX", allow_module_level=True)
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def python(code: str, ignored: signal.Signals | None = None, folder: Path = ROOT) -> subprocess.CompletedProcess:
    """Run lines that may use os, signal and interrupts, with usual signals but for one that is ignored."""

    def prepare() -> None:
        default_signals()
        if ignored is not None:
            signal.signal(ignored, signal.SIG_IGN)

    head = "import os, signal\nfrom pycharrnn.common import interrupts\n"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}
    return subprocess.run(
        [sys.executable, "-c", head + code],
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=prepare,
    )


def end_of(number: int) -> str:
    return f"os.kill(os.getpid(), {int(number)})\n"


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_ends_the_process_while_the_first_is_handled(number):
    code = (
        "interrupts.raise_on_signals()\n"
        f"try:\n    {end_of(signal.SIGINT)}"
        f"except KeyboardInterrupt:\n    print('handled', flush=True)\n    {end_of(number)}    print('went on')\n"
    )
    result = python(code)
    assert (result.stdout, result.stderr, result.returncode) == ("handled\n", "", 128 + number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_an_exception(number):
    code = (
        "interrupts.raise_on_signals()\n"
        f"try:\n    {end_of(number)}    print('went on')\n"
        "except KeyboardInterrupt:\n    print('KeyboardInterrupt')\n"
        "except interrupts.Interrupted as e:\n    print('Interrupted', e.number)\n"
    )
    expected = "KeyboardInterrupt" if number == signal.SIGINT else f"Interrupted {int(number)}"
    result = python(code)
    assert (result.stdout, result.returncode) == (expected + "\n", 0), result.stderr


@pytest.mark.parametrize("number", SIGNALS)
def test_while_a_module_is_imported_a_signal_ends_the_process(tmp_path, number):
    """Whatever the import catches; also from a function that the module calls."""
    (tmp_path / "slow_module.py").write_text(f"import os\ndef work():\n    {end_of(number)}work()\n", encoding="utf-8")
    code = (
        "interrupts.raise_on_signals()\n"
        "try:\n    import slow_module\nexcept BaseException:\n    pass\n"
        "print('went on')\n"
    )
    result = python(code, folder=tmp_path)
    name = "Ctrl-C" if number == signal.SIGINT else number.name
    assert result.returncode == 128 + number
    assert (result.stdout, result.stderr) == ("", f"pycharrnn: stopped by {name}.\n")


def test_while_a_module_is_imported_a_signal_ends_a_process_with_a_closed_stderr(tmp_path):
    (tmp_path / "slow_module.py").write_text(f"import os\n{end_of(signal.SIGHUP)}", encoding="utf-8")
    code = (
        "interrupts.raise_on_signals()\nos.close(2)\n"
        "try:\n    import slow_module\nexcept BaseException:\n    pass\n"
        "print('went on')\n"
    )
    result = python(code, folder=tmp_path)
    assert (result.returncode, result.stdout) == (128 + signal.SIGHUP, "")


@pytest.mark.parametrize("number", SIGNALS)
def test_at_the_end_of_a_command_a_signal_says_nothing(number):
    code = f"interrupts.raise_on_signals()\ninterrupts.exit_silently_on_signals()\n{end_of(number)}print('went on')\n"
    result = python(code)
    assert (result.returncode, result.stdout, result.stderr) == (128 + number, "", "")


@pytest.mark.parametrize("number", SIGNALS)
def test_what_is_ignored_stays_ignored(number):
    """As under nohup, or in a shell's background."""
    code = (
        f"interrupts.raise_on_signals()\n{end_of(number)}"
        f"interrupts.exit_silently_on_signals()\n{end_of(number)}print('went on')\n"
    )
    result = python(code, ignored=number)
    assert (result.returncode, result.stdout) == (0, "went on\n"), result.stderr


def test_ctrl_break_of_windows_is_heard():
    """As SIGBREAK; here another signal has its name."""
    code = (
        "signal.SIGBREAK = signal.SIGUSR1\n"
        "interrupts.raise_on_signals()\n"
        f"try:\n    {end_of(signal.SIGUSR1)}except interrupts.Interrupted as e:\n    print(e.number)\n"
        f"interrupts.exit_silently_on_signals()\n{end_of(signal.SIGUSR1)}"
    )
    result = python(code)
    assert (result.stdout, result.returncode) == (f"{int(signal.SIGUSR1)}\n", 128 + signal.SIGUSR1), result.stderr


def test_a_caller_s_own_handler_stays():
    code = (
        "signal.signal(signal.SIGTERM, lambda number, frame: print('mine'))\n"
        f"interrupts.raise_on_signals()\ninterrupts.exit_silently_on_signals()\n{end_of(signal.SIGTERM)}"
    )
    result = python(code)
    assert (result.returncode, result.stdout) == (0, "mine\n"), result.stderr


def test_in_another_thread_nothing_is_changed():
    before = [signal.getsignal(number) for number in SIGNALS]
    errors: list[BaseException] = []

    def work() -> None:
        try:
            interrupts.raise_on_signals()
            interrupts.exit_silently_on_signals()
        except BaseException as e:
            errors.append(e)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert errors == []
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_ctrl_c_while_the_program_loads_is_no_traceback(tmp_path):
    """As a user types it who thinks better of a command in its first tenth of a second."""
    (tmp_path / "click.py").write_text(f"import os\n{end_of(signal.SIGINT)}print('went on')\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    for ignored, status, printed in ((False, -signal.SIGINT, b""), (True, 1, b"went on\n")):
        result = subprocess.run(
            [sys.executable, "-m", "pycharrnn", "-help"],
            env=environment,
            capture_output=True,
            preexec_fn=(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if ignored else default_signals,
        )
        assert (result.returncode, result.stdout) == (status, printed)
        assert ignored or result.stderr == b""


def test_statuses_and_sentences():
    assert [interrupts.status_of(number) for number in SIGNALS] == [130, 143, 129]
    assert interrupts.sentence(signal.SIGINT) == "stopped by Ctrl-C."
    assert interrupts.sentence(signal.SIGHUP) == "stopped by SIGHUP."
    assert Interrupted(15).number == 15


@pytest.mark.parametrize("error, stays", [(ValueError(), False), (KeyboardInterrupt(), True), (Interrupted(15), True)])
def test_a_sentence_tells_the_progress_of_the_block_that_a_signal_ended(monkeypatch, error, stays):
    monkeypatch.setattr(interrupts, "_state", "")  # and restored
    with interrupts.describing_progress(" before anything was saved"):
        during = interrupts.sentence(signal.SIGINT)
    assert during == "stopped by Ctrl-C before anything was saved."
    assert interrupts.sentence(signal.SIGINT) == "stopped by Ctrl-C."
    with pytest.raises(type(error)), interrupts.describing_progress(" before anything was saved"):
        raise error
    assert interrupts.sentence(signal.SIGINT) == (during if stays else "stopped by Ctrl-C.")
