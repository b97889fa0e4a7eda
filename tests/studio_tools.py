"""A studio in a folder of a test: its API without a network, and trainings that are not real."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
from serving_tools import LOOPBACK

from pycharrnn.server.app import create_app
from pycharrnn.server.registry import Registry
from pycharrnn.server.scheduler import Scheduler
from pycharrnn.server.studio import run_events, run_process, studio_paths
from pycharrnn.server.studio.run_events import Event
from pycharrnn.server.studio.run_queue import RunQueue
from pycharrnn.server.studio.run_record import RunRecord
from pycharrnn.server.studio.studio import Studio
from pycharrnn.server.studio.studio_api import site_of

BYTES = {"content-type": "application/octet-stream"}
PROSE = b"".join(b"The old sailor number %d told us of the sea, and went home again.\n\n" % k for k in range(60))

# Replaces `pycharrnn train`: the file `behavior` names what it does. Its lock and its events are those of a real run.
FAKE = """
import os, signal, sys, time
from pycharrnn.cli import commands
from pycharrnn.cli.studio_training import main

def run(words, tell, callbacks):
    behavior = open("behavior").read()
    name = words[words.index("-log") + 1].removesuffix(".csv").removeprefix("cv/")
    signals = []
    signal.signal(signal.SIGTERM, lambda *signal: signals.append(signal))
    open(f"cv/{name}.csv", "a").close()
    print("pycharrnn: a note", file=sys.stderr, flush=True)
    open("began", "w").close()
    while behavior in ("wait", "save nothing"):
        if signals and behavior == "save nothing":
            callbacks.on_save("nothing has been trained")
            tell("stopped after iteration 3; that could not be saved (nothing has been trained).")
            return 143
        if signals:
            open(f"cv/lm_{name}_latest.t7", "w").close()
            tell("stopped after iteration 3")
            return 143
        time.sleep(0.01)
    if behavior == "lose patience":
        callbacks.on_patience(4)
    if behavior == "fail":
        tell("there is no text in it: name another.")
        return 1
    return 0

commands.run = run
main()
"""


class StudioApp:
    """The API of a studio in the current folder. Its trainings are begun and noticed by `watch` only."""

    def __init__(self, token: str = "") -> None:
        self.notes: list[str] = []
        self.studio = self._new_studio()
        self.site = site_of(self.studio)
        self.app = create_app(self.models, Scheduler(8, threads=1), LOOPBACK, token, self.site)

    def _new_studio(self) -> Studio:
        studio_paths.make_folders()
        self.models = Registry(["cv", "models"], lambda line: None, self.notes.append, follow=True)
        return Studio(self.models, self.notes.append, os.environ)

    def begin_anew(self) -> None:
        """What a new server in the current folder knows, behind the same paths, which take long to describe."""
        self.studio.__dict__.update(vars(self._new_studio()))

    def ask(self, method: str, path: str, **keywords) -> httpx.Response:
        async def request():
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.request(method, f"/api/studio{path}", **keywords)

        return asyncio.run(request())

    def get(self, path: str, **keywords) -> httpx.Response:
        return self.ask("GET", path, **keywords)

    def post(self, path: str, **fields) -> httpx.Response:
        return self.ask("POST", path, json=fields)

    def upload(self, text_id: str, name: str, content: bytes = PROSE, **keywords) -> httpx.Response:
        return self.ask("PUT", "/upload", params={"text": text_id, "name": name}, content=content, headers=BYTES)

    def text(self, name: str = "poems.txt", content: bytes = PROSE) -> str:
        """The id of an uploaded text."""
        text_id = self.post("/texts").json()["id"]
        assert self.upload(text_id, name, content).status_code == 200
        return text_id

    def start(self, name: str = "poems", **fields) -> str:
        """The id of a new run."""
        answer = self.post("/runs", text=self.text(), name=name, choice="quick", **fields)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def scan(self) -> None:
        """Notice new checkpoints."""
        asyncio.run(self.models.scan_again())

    def watch(self) -> None:
        self.queue.watch()

    @property
    def queue(self) -> RunQueue:
        return self.studio._queue

    def record(self, run_id: str) -> RunRecord:
        return self.queue.records[run_id]

    def tell(self, run_id: str, **event: object) -> None:
        """Let the process of a run tell an event."""
        run_events.append(self.record(run_id).events, Event.model_validate(event))

    def processes(self) -> dict[str, subprocess.Popen[bytes]]:
        """The processes of trainings that this server has begun, by run id; not those that it found."""
        return self.queue._processes._begun

    def is_alive(self, run_id: str) -> bool:
        """Whether the process of a run is there."""
        return self.queue._processes.is_alive(self.record(run_id))

    def ask_to_stop(self, run_id: str) -> bool:
        """Send the process of a run the signal to stop. False if it is there, but its number is not known."""
        return self.queue._processes.ask_to_stop(self.record(run_id))

    def kill(self, run_id: str) -> None:
        """End the process of a run, whichever server began it, by a signal that no process can handle."""
        os.kill(self.queue._processes._pid(self.record(run_id)), signal.SIGKILL)

    def end_runs(self) -> None:
        """End the trainings that are under way."""
        for run_id in self.queue.records:
            while self.is_alive(run_id):
                self.ask_to_stop(run_id)

    def run(self, run_id: str) -> dict:
        return self.get(f"/runs/{run_id}").json()

    def until(self, run_id: str, is_so: Callable[[dict], bool], seconds: float = 300) -> dict:
        """The run once something is so of it."""
        ends = time.monotonic() + seconds
        while not is_so(found := self.run(run_id)):
            assert time.monotonic() < ends, found
            self.watch()
            time.sleep(0.02)
        return found


def use_fake_training(monkeypatch, behavior: str) -> None:
    """Trainings of the current folder do this: wait (until SIGTERM), fail, lose patience or finish."""
    monkeypatch.setattr(run_process, "_PROGRAM", FAKE)
    Path("behavior").write_text(behavior, encoding="utf-8")


def files_below(folder: str) -> list[str]:
    return sorted(path.as_posix() for path in Path(folder).rglob("*") if path.is_file())
