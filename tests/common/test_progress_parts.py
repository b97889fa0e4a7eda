"""Progress without a program behind it: when it is shown, what is written, and the figures."""

from __future__ import annotations

import io
import os
import sys

import click
import pytest

from pycharrnn.common import progress

pty = pytest.importorskip("pty", reason="pseudo-terminals of POSIX")
termios = pytest.importorskip("termios", reason="pseudo-terminals of POSIX")


@pytest.fixture
def stream():
    """A function that opens a terminal, or a file that is none."""
    opened = []

    def open_stream(is_terminal: bool):
        descriptors = pty.openpty() if is_terminal else (os.open(os.devnull, os.O_WRONLY),)
        opened.extend(descriptors)
        return os.fdopen(descriptors[-1], "w", closefd=False)

    yield open_stream
    for descriptor in opened:
        os.close(descriptor)


@pytest.mark.parametrize(
    "choice, stdout, stderr, expected",
    [
        (-1, True, True, True),
        (-1, False, True, False),
        (-1, True, False, False),
        (0, True, True, False),
        (1, False, True, True),
        (1, True, False, False),
    ],
)
def test_when_progress_is_shown(monkeypatch, stream, choice, stdout, stderr, expected):
    monkeypatch.setattr(sys, "stdout", stream(stdout))
    monkeypatch.setattr(sys, "stderr", stream(stderr))
    monkeypatch.setenv("TERM", "xterm")
    assert progress.enabled(choice) == expected
    monkeypatch.setenv("TERM", "dumb")
    assert not progress.enabled(choice)


def test_no_progress_on_a_stream_without_a_descriptor(monkeypatch):
    """That of IDLE says that it is a terminal."""
    idle = io.StringIO()
    idle.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", idle)
    monkeypatch.setenv("TERM", "xterm")
    assert not progress.enabled(1)
    monkeypatch.setattr(sys, "stderr", None)
    assert not progress.enabled(1)


def test_no_progress_on_the_terminal_of_jupyter(monkeypatch, stream):
    """The descriptor of a notebook's stream is that of the server's terminal."""
    notebook = io.StringIO()
    notebook.fileno = stream(True).fileno
    monkeypatch.setattr(sys, "stderr", notebook)
    monkeypatch.setenv("TERM", "xterm")
    assert not progress.enabled(1)


class Screen:
    """A terminal of this process' own, and what has been written to it."""

    def __init__(self, monkeypatch, columns: int = 80):
        self._fd, slave = pty.openpty()
        attributes = termios.tcgetattr(slave)
        attributes[1] &= ~termios.OPOST  # no \r before \n
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((columns, 24)))
        self.file = os.fdopen(slave, "w")
        monkeypatch.setattr(sys, "stderr", self.file)
        monkeypatch.setattr(progress, "enabled", lambda choice: choice != 0)

    def written(self) -> bytes:
        """Since the last call."""
        os.write(self.file.fileno(), b"\0")
        found = b""
        while not found.endswith(b"\0"):
            found += os.read(self._fd, 1 << 16)
        return found[:-1]


def test_a_line_is_drawn_and_erased(monkeypatch):
    screen = Screen(monkeypatch)
    with progress.Live(1) as live:
        assert live.due()
        live.clear()
        assert screen.written() == b""  # there was none
        live.show(["one", "two"])
        assert screen.written() == b"\rone | two\x1b[K\r"
        live.clear()
        assert screen.written() == b"\r\x1b[K"
        live.interrupted()
        assert screen.written() == b"\r\x1b[K"  # the terminal may have dropped the first
        live.show(["three"])
        screen.written()
    assert screen.written() == b"\r\x1b[K"
    live.show(["four"])
    live.interrupted()
    assert screen.written() == b""
    assert not live.due()


def test_a_line_is_due_now_and_then(monkeypatch):
    Screen(monkeypatch)
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    live = progress.Live(1)
    live.show(["one"])
    now[0] += 0.09
    assert not live.due()
    now[0] += 0.02
    assert live.due()


def test_the_log_comes_above_the_line(monkeypatch):
    screen = Screen(monkeypatch)
    live = progress.Live(1)

    def log(line: str) -> None:
        os.write(screen.file.fileno(), line.encode())

    say = live.above(log)
    say("a")
    assert screen.written() == b"a"
    live.show(["one"])
    screen.written()
    say("b")
    assert screen.written() == b"\r\x1b[Kb\rone\x1b[K\r"
    live.clear()
    screen.written()
    say("c")
    assert screen.written() == b"c"
    assert progress.Live(0).above(log) is log


@pytest.mark.parametrize(
    "columns, expected",
    [
        (19, b"first | second | x"),
        (18, b"first | second"),
        (15, b"first | second"),
        (14, b"first"),
        (6, b"first"),
        (5, b"firs"),
        (0, b"first | second | x"),  # of unknown width
    ],
)
def test_what_does_not_fit_is_left_out(monkeypatch, columns, expected):
    """And the last column stays free."""
    screen = Screen(monkeypatch, columns)
    progress.Live(1).show(["first", "second", "x"])
    assert screen.written() == b"\r" + expected + b"\x1b[K\r"


def test_a_terminal_of_unknown_width_has_80_columns(monkeypatch):
    screen = Screen(monkeypatch, 0)
    progress.Live(1).show(["x" * 100])
    assert screen.written() == b"\r" + b"x" * 79 + b"\x1b[K\r"


def test_a_terminal_that_has_gone_is_left_alone(monkeypatch):
    screen = Screen(monkeypatch)
    live = progress.Live(1)
    monkeypatch.setattr(live, "_fd", 10**6)
    live.show(["one"])
    assert not live.due()
    assert screen.written() == b""


class Bar:
    """In the place of click's."""

    made: list[Bar] = []

    def __init__(self, **options):
        self.options, self.steps, self.start, self.open = options, [], None, False
        self.made.append(self)

    def __enter__(self):
        self.open = True
        return self

    def __exit__(self, *exception):
        self.open = False

    def update(self, steps: int) -> None:
        assert self.open
        self.steps.append(steps)


def test_a_bar_comes_late_and_counts_from_the_start(monkeypatch):
    monkeypatch.setattr(progress, "enabled", lambda choice: choice == 1)
    monkeypatch.setattr(click, "progressbar", Bar)
    now = [1000.0]
    monkeypatch.setattr(progress.time, "time", lambda: now[0])
    Bar.made.clear()
    with progress.bar("\x1b[31m" + "x" * 50, 5000, 1) as advance:
        advance(10)
        now[0] += 1
        advance(20)
        assert Bar.made == []
        now[0] += 0.5
        advance(30)
        advance(40)
    (bar,) = Bar.made
    assert bar.options["label"] == r"\x1b[31m" + "x" * 25 + "..."
    assert (bar.options["length"], bar.options["update_min_steps"]) == (5000, 5)
    assert bar.options["file"] is sys.stderr
    assert bar.steps == [60, 40]
    assert bar.start == 1000.0
    assert not bar.open
    with progress.bar("short", 10, 0) as advance:
        now[0] += 9
        advance(10)
    assert len(Bar.made) == 1


@pytest.mark.parametrize(
    "seconds, words",
    [
        (0, "0:00:00"),
        (0.6, "0:00:01"),
        (59.4, "0:00:59"),
        (3599.5, "1:00:00"),
        (86399, "23:59:59"),
        (86400, "1 d 00:00:00"),
        (90061, "1 d 01:01:01"),
    ],
)
def test_durations(seconds, words):
    assert progress.duration(seconds) == words
