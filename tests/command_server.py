"""A process whose forks are the commands that tests run, so that each need not load PyTorch again, which takes seconds.

A command has its own arguments, folder, environment, standard streams and status, as one that a user starts; only what
it would have loaded is there already. What goes by how a process starts or ends is tested in one of its own: see
conftest.run_alone.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[1]


class CommandServer:
    """The end that the tests hold. It starts with the first command."""

    def __init__(self) -> None:
        self._ours: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, args: list[str], cwd: Path | str | None, given: bytes) -> subprocess.CompletedProcess[bytes]:
        """What a command ends with, of these arguments, in this folder, with this on stdin."""
        control = self._ours or self._start()
        request = {"args": args, "cwd": os.fspath(cwd or os.getcwd()), "environment": dict(os.environ)}
        with contextlib.ExitStack() as stack:
            streams = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
            streams[0].write(given)
            streams[0].seek(0)
            socket.send_fds(control, [json.dumps(request).encode()], [stream.fileno() for stream in streams])
            answer = control.recv(100)
            assert answer, "the process that runs the tests' commands has ended"
            printed, said = (_content(stream) for stream in streams[1:])
        return subprocess.CompletedProcess(args, int(answer), printed, said)

    def _start(self) -> socket.socket:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, __file__, str(theirs.fileno())]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
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
    """Run what is asked for, one after the other."""
    while True:
        request, streams, _, _ = socket.recv_fds(control, 1 << 20, 3)
        if not request:
            sys.exit()
        process = os.fork()
        if not process:
            control.close()
            _become(json.loads(request), streams)
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(process, 0)
        control.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(request: dict, streams: list[int]) -> NoReturn:
    """Be a command, in a fork, to its end."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    status: object = 1
    try:
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
    import pycharrnn.analysis.scoring
    import pycharrnn.sampling.batch_to_files
    import pycharrnn.training.loop  # noqa: F401
    from pycharrnn.cli.commands import main

    gc.freeze()  # so that collecting garbage touches none of these pages either
    _serve(socket.socket(fileno=int(sys.argv[1])))
