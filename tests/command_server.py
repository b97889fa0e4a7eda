"""A process whose forks are the commands that tests run, so that each need not load PyTorch again, which takes seconds.

A command has its own arguments, folder, environment, standard streams and status, as one that a user starts; only what
it would have loaded is there already. What goes by how a process starts or ends is tested in one of its own: see
conftest.run_alone.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
import weakref
from pathlib import Path
from typing import NoReturn

from child_signals import default_signals

ROOT = Path(__file__).parents[1]


class ForkedCommand(subprocess.Popen):
    """A command under way, as of subprocess.Popen; on Linux. Its signals are those of a process that a shell starts.

    What Popen would do by fork and exec, the server does; a second fork waits for the command and reports its status.
    """

    def __init__(self, server: CommandServer, args: list[str], **keywords) -> None:
        self._server = server
        super().__init__(args, **keywords)

    def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *more) -> None:
        _, _, _, *pipes = more[:9]
        streams = [own if theirs == -1 else theirs for own, theirs in enumerate((pipes[0], pipes[3], pipes[5]))]
        self._report, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._server.start(args, cwd, env, [*streams, theirs.fileno()])
        self.pid = int(self._report.recv(100))
        self._child_created = True
        self._close_pipe_fds(*pipes)

    def _try_wait(self, wait_flags) -> tuple[int, int]:
        try:
            status = self._report.recv(100, socket.MSG_DONTWAIT if wait_flags & os.WNOHANG else 0)
        except BlockingIOError:
            return 0, 0
        self._report.close()
        return self.pid, int(status or 1 << 8)  # nothing from a process that was killed

    def _internal_poll(self, *default, **functions) -> int | None:
        if self.returncode is None:
            pid, status = self._try_wait(os.WNOHANG)
            if pid:
                self._handle_exitstatus(status)
        return self.returncode


class CommandServer:
    """The end that the tests hold. It starts with the first command."""

    def __init__(self) -> None:
        self._ours: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._coverage: dict[str, str] = {}

    def be_measured(self) -> None:
        """Measure the coverage of this server's commands, but of no other process.

        It would take half as long again to load PyTorch; and what measures runs functions of Python at odd places,
        where an exception of a signal's handler is dropped.
        """
        self._coverage = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("COVERAGE_")}

    def run(self, args: list[str], cwd: Path | str | None, given: bytes) -> subprocess.CompletedProcess[bytes]:
        """What a command ends with, of these arguments, in this folder, with this on stdin."""
        with contextlib.ExitStack() as stack:
            streams = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
            streams[0].write(given)
            streams[0].seek(0)
            answer = self.start(args, cwd, None, [stream.fileno() for stream in streams]).recv(100)
            assert answer, "the process that runs the tests' commands has ended"
            printed, said = (_content(stream) for stream in streams[1:])
        return subprocess.CompletedProcess(args, int(answer), printed, said)

    def start(self, args, cwd, environment, streams: list[int]) -> socket.socket:
        """Ask for a command, whose end the server awaits before the next; or, with a fourth stream, reports on that.

        Returns: where it says with what status a command has ended that it awaits.
        """
        control = self._ours or self._start()
        request = {"args": args, "cwd": os.fspath(cwd or os.getcwd()), "environment": dict(environment or os.environ)}
        socket.send_fds(control, [json.dumps(request).encode()], streams)
        return control

    def _start(self) -> socket.socket:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, __file__, str(theirs.fileno())]
            environment = {**os.environ, **self._coverage, "PYTHONPATH": str(ROOT)}
            self._process = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()])
        return self._ours

    def stop(self) -> None:
        """End the process, if there is one, and wait for it."""
        if self._ours and self._process:
            self._ours.close()
            self._process.wait()
        self._ours = self._process = None


def _content(stream) -> bytes:
    stream.seek(0)
    return stream.read()


def _serve(control: socket.socket) -> NoReturn:
    """Run what is asked for: one after the other, and beside them those that report their status themselves."""
    while True:
        message, streams, _, _ = socket.recv_fds(control, 1 << 20, 4)
        if not message:
            sys.exit()
        request = json.loads(message)
        _load_for(*request["args"][:1])
        report = streams.pop() if len(streams) == 4 else None
        process = os.fork()
        if not process:
            control.close()
            if report is not None:
                _report_end_of(request, streams, socket.socket(fileno=report))
            _become(request, streams)
        for stream in (*streams, *([] if report is None else [report])):
            os.close(stream)
        if report is None:
            _, status = os.waitpid(process, 0)
            control.send(str(os.waitstatus_to_exitcode(status)).encode())
        else:
            reporting.add(process)
        reporting.difference_update([process for process in reporting if os.waitpid(process, os.WNOHANG)[0]])


reporting: set[int] = set()


def _load_for(command: str = "") -> None:
    """Import, once for all commands of a kind, packages that not all tests need and that take a second."""
    if command in ("serve", "studio"):
        import pycharrnn.server.serve  # noqa: F401
    elif command == "plot":
        with contextlib.suppress(ImportError):
            import matplotlib.backends.backend_agg
            import matplotlib.backends.backend_svg
            import matplotlib.figure  # noqa: F401


def _report_end_of(request: dict, streams: list[int], report: socket.socket) -> NoReturn:
    """In a fork: start a command in another, send its process' number, and its status when it has ended."""
    process = os.fork()
    if not process:
        report.close()
        os.setsid()
        if os.isatty(streams[0]):
            import fcntl  # Windows, where this module is imported as well, has neither
            import termios

            fcntl.ioctl(streams[0], termios.TIOCSCTTY, 0)  # what makes Ctrl-C a signal
        default_signals()
        _become(request, streams)
    for number in (0, 1, *streams):
        os.close(number)
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal's, which are for the command
        signal.signal(number, signal.SIG_IGN)
    report.send(str(process).encode())
    _, status = os.waitpid(process, 0)
    with contextlib.suppress(OSError):
        report.send(str(status).encode())
    os._exit(0)


def _become(request: dict, streams: list[int]) -> NoReturn:
    """Be a command, or a program after `-c`, in a fork, to its end."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdout.reconfigure(line_buffering=os.isatty(1))
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    status: object = 1
    try:
        if request["args"][:1] == ["-c"]:
            sys.argv = ["-c", *request["args"][2:]]
            signal.signal(signal.SIGINT, signal.default_int_handler)  # as Python starts
            exec(request["args"][1], {"__name__": "__main__"})
            status = 0
        else:
            main(request["args"])
    except SystemExit as e:
        status = e.code
    except BaseException:
        traceback.print_exc()
    atexit._run_exitfuncs()  # the one of coverage among them
    sys.stdout.flush()
    sys.stderr.flush()
    # Without taking Python's modules apart, which would touch each page of memory that is shared so far.
    os._exit(status if isinstance(status, int) else 1)


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is loaded, as a command sets it
    for package in ("analysis", "checkpoints", "cli", "common", "engine", "sampling", "text", "training"):
        for module in pkgutil.iter_modules([str(ROOT / "pycharrnn" / package)], f"pycharrnn.{package}."):
            importlib.import_module(module.name)
    from pycharrnn.cli.commands import main

    gc.freeze()  # so that collecting garbage touches none of these pages either
    for loaded in list(weakref.finalize._registry):
        loaded.atexit = False  # PyTorch would take its operators apart, one by one, at the end of each command
    _serve(socket.socket(fileno=int(sys.argv[1])))
