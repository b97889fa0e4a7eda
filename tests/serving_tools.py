"""Servers for tests of `pycharrnn serve`: in a process of its own, as a user starts it, or in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from child_signals import default_signals
from conftest import GOLDEN, start

from compat.charrnn import Checkpoint
from pycharrnn.page import facts
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.server import serve
from pycharrnn.server.connections import OpenConnections
from pycharrnn.server.registry import Registry
from pycharrnn.server.samples import RequestedSample, Sample
from pycharrnn.server.scheduler import Scheduler
from pycharrnn.server.schemas import ModelFacts
from pycharrnn.server.served_models import ServedModel, served_by

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
ROOT = Path(__file__).parents[1]
LSTM = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"
GRU = GOLDEN / "gru2" / "lm_gru2_epoch1.00_2.9340.t7"


def until(is_so: Callable[[], object], seconds: float = 300) -> None:
    """Wait until something is so. Errors: AssertionError after so many seconds."""
    ends = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.01)


def client_of(url: str = "") -> httpx.Client:
    """A client that waits long for a busy machine, and asks no proxy."""
    return httpx.Client(base_url=url, timeout=300, trust_env=False)


def get(url: str, headers: dict[str, str] | None = None) -> httpx.Response:
    with client_of() as client:
        return client.get(url, headers=headers)


def post(url: str, body: dict) -> httpx.Response:
    with client_of() as client:
        return client.post(url, json=body)


def model_of(models: Registry, path: Path) -> ServedModel:
    """The model of a file, as a request gets it."""
    return asyncio.run(models.model(path.stem))


def facts_of(models: Registry, model_id: str) -> ModelFacts:
    """The facts of a model that the page gets."""
    (found,) = (facts for facts in models.all_facts() if facts.id == model_id)
    return found


def on_numpy(loaded: Checkpoint) -> ServedModel:
    """A model as it is served without the C kernel."""
    return served_by(NumpyPredictor(loaded.network), loaded, facts.facts_of(loaded, "x", 0))


def lines_of(model: ServedModel, requested: RequestedSample, turn: float = 0.001) -> list[str]:
    """All lines of a sample without others, in turns of this many seconds."""
    sample = Sample(model, requested)
    lines = "".join(sample.start())
    while sample.batch:
        ((more, _),) = sample.batch.advance([sample], turn)
        lines += more
    return lines.splitlines()


@dataclass
class Server:
    process: subprocess.Popen
    url: str  # http://127.0.0.1:PORT/, with #token=... where it has one


@contextlib.contextmanager
def server_in_thread(app, scheduler: Scheduler, open_connections: OpenConnections) -> Iterator[int]:
    """The port of a server with limits of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = serve.Server(app, scheduler, open_connections)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            scheduler.closed = running.should_exit = True
            thread.join()


@contextlib.contextmanager
def server(
    *args: str, env: dict[str, str] | None = None, preexec_fn=None, command: str = "serve", port: int = 0
) -> Iterator[Server]:
    """`pycharrnn serve` with default signal handlers, whatever the tests' own process ignores.

    Ctrl-C stops it, except on Windows, where none can be sent. preexec_fn: as for subprocess.Popen, called in a
    process of its own when its signals have been set. command: serve or studio. port: 0 = a free one.
    """

    def prepare():
        default_signals()
        if preexec_fn:
            preexec_fn()

    words = [command, *map(str, args), "-port", str(port)]
    keywords = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    if preexec_fn or env:
        program = [sys.executable, "-m", "pycharrnn", *words]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
        keywords |= {"start_new_session": True, "preexec_fn": prepare if os.name != "nt" else None}
        process = subprocess.Popen(program, env=environment, **keywords)
    else:
        process = start(*words, **keywords)
    try:
        for line in process.stdout:
            if found := re.match(r"http://\S+", line):
                break
        else:
            raise AssertionError(process.stderr.read())
        yield Server(process, found[0])
    finally:
        if process.poll() is None:
            process.terminate() if os.name == "nt" else process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
