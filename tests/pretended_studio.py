"""A server with the API of `pycharrnn studio` that learns nothing: a test sets the runs that its page shows.

Its answers are made by the product's own functions and models, so that no test of the page rests on words or fields
that the studio does not have.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pydantic_core

from pycharrnn.common.errors import UserError
from pycharrnn.page.facts import Losses, LossSeries, ModelFacts
from pycharrnn.page.page_files import MEDIA_TYPES, page_files
from pycharrnn.server import schemas
from pycharrnn.server.json_lines import DONE
from pycharrnn.server.options import StudioOptions
from pycharrnn.server.studio import page_words, run_command, run_schemas, run_views, studio_paths, text_schemas, trash
from pycharrnn.server.studio.run_progress import Progress
from pycharrnn.server.studio.run_record import RunRecord
from pycharrnn.server.studio.run_schemas import Brought, Figures, NewRun, RunDetail, RunList, ShownSample
from pycharrnn.server.studio.studio import Studio as RealStudio
from pycharrnn.server.studio.studio_paths import Refusal
from pycharrnn.server.studio.text_schemas import ChoiceEstimate, Estimates, TextFacts
from pycharrnn.text.corpus import safe_name

HOSTILE = "<img src=x onerror=document.title='hit'>"
SAMPLE = "The night was long,\nand the wind came over the hill.\n" * 4
_SAVED = 1763000000.0
_LIMITS = schemas.Limits(streams=StudioOptions.streams)


def model(name: str, **changes: Any) -> ModelFacts:
    known = {
        **{"id": name, "text": "poems", "model": "lstm", "num_layers": 1, "rnn_size": 128, "vocab_size": 71},
        **{"items": "", "labels": [], "newline": True, "code_points": False, "multibyte": False},
        **{"epoch": 1.4, "val_loss": 1.4012, "best_val_loss": 1.4012},
        **{"program": "pycharrnn", "saved": _SAVED, "has_text": False},
    }
    return ModelFacts(**{**known, **changes})


def text_facts(**changes: Any) -> TextFacts:
    known = {
        **{"id": "t1", "name": "poems", "bytes": 120345, "code_points": 118200, "characters": 120345, "distinct": 71},
        **{"encoding": "bytes", "kind": "text", "file_count": 2, "suggested_items": "", "headers": []},
        **{"renamed": "", "encoding_advice": "", "too_short": ""},
        "files": [
            text_schemas.FileFacts(name="spring.txt", bytes=120246, encoding="utf-8"),
            text_schemas.FileFacts(name="old.txt", bytes=99, encoding="cp1252"),
        ],
        "facts": ["spring.txt (120,246 bytes), old.txt (99 bytes)", "old.txt: read as cp1252."],
        "left_out": ["left out, since they are not plain text: scan.pdf (a PDF file); save them as plain text."],
    }
    return TextFacts(**{**known, **changes})


QUICK = ChoiceEstimate(choice="quick", seconds=74.0, iterations=3600, rnn_size=160, flags={"rnn_size": 160})
BEST = ChoiceEstimate(
    choice="best", seconds=810.0, iterations=8000, rnn_size=512, flags={"rnn_size": 512, "dropout": 0.2}
)


def estimates(*choices: ChoiceEstimate, problem: str = "") -> Estimates:
    how = "" if problem else "estimated from a few timed steps of each network on this machine."
    return Estimates(choices=choices, how=how, problem=problem)


def words_of(asked: NewRun) -> list[str]:
    """The words of a new run. Errors: UserError; Refusal."""
    init_from = asked.init_from and f"cv/{asked.init_from}.t7"
    return run_command.start_words(["studio/texts/t1/poems.txt"], safe_name(asked.name), asked, init_from)


@dataclass(frozen=True)
class PretendedRun:
    record: RunRecord
    figures: Figures
    samples: Sequence[ShownSample]
    notes: Sequence[str]


def run(
    name: str,
    state: str,
    samples: Sequence[ShownSample] | None = None,
    notes: Sequence[str] = ("-recipe quick: 192 units, 1 layer",),
    seconds: float = 31.0,
    **changes: Any,
) -> PretendedRun:
    """seconds: since the run began. changes: of its record."""
    known = {
        **{"id": f"r-{name}", "name": name, "text": "t1", "text_name": "poems.txt", "bytes": 120345},
        **{"choice": "quick", "created": _SAVED, "state": state, "attempts": 1},
        "words": words_of(NewRun(text="t1", name=name, choice="quick")),
    }
    record = RunRecord(**{**known, **changes})
    if state == "waiting":
        return PretendedRun(dataclasses.replace(record, attempts=0), Figures(), (), ())
    figures = Figures(
        **{"iteration": 3600, "epoch": 12.0} if state == "finished" else {"iteration": 420, "epoch": 1.4},
        iterations=3600,
        epochs=12.0,
        train_loss=1.8,
        val_loss=1.9,
        best_val_loss=1.9,
        characters_per_second=210000.0,
        seconds=seconds,
        seconds_left=55.0 if record.is_active else None,
    )
    if samples is None:
        samples = [ShownSample(iteration=k, epoch=k / 300, text=SAMPLE) for k in (180, 330)]
    return PretendedRun(record, figures, samples, notes)


class Studio:
    """What the pretended server knows and was asked. Deleted files lie in the current folder.

    Attributes:
        address: of its page. token: that it asks for.
        runs, queue: the newest first; ids of those that wait. is_held: whether the queue waits for the user.
        models: those of cv/. about, facts, estimates: its answers.
        refusals: beginning of a path -> the refusal of its requests.
        requests: (method, path, body) of all that changes something.
        open: while it is cleared, requests about texts, uploads and brought models wait.
    """

    def __init__(self, address: str) -> None:
        self.address, self.token = address, ""
        self.runs: list[PretendedRun] = []
        self.queue: list[str] = []
        self.is_held = False
        self.models: list[ModelFacts] = []
        self.about = RealStudio.facts(SimpleNamespace(_folder=os.getcwd()))
        self.facts, self.estimates = text_facts(), estimates(QUICK, BEST)
        self.refusals: dict[str, Refusal] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.open = threading.Event()
        self.open.set()
        self._deleted: dict[str, PretendedRun] = {}
        studio_paths.make_folders()

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Any:
        """Errors: Refusal; UserError."""
        for start, refusal in self.refusals.items():
            if path.startswith(start):
                raise refusal
        if method != "GET":
            self.requests.append((method, path, body))
        if "/texts" in path or "upload" in path or "bring" in path:
            self.open.wait(300)
        for pattern, handle in self._paths(query, body):
            if found := re.fullmatch(pattern, f"{method} {path}"):
                return handle(*map(unquote, found.groups()))
        raise Refusal(404, f"there is no {path}.")

    def _paths(self, query: dict[str, list[str]], body: Any) -> list[tuple[str, Callable[..., Any]]]:
        studio = "/api/studio"
        one = f"{studio}/runs/([^/]+)"
        return [
            (f"GET {studio}", lambda: self.about),
            (f"GET {studio}/flags", run_command.flag_list),
            (f"POST {studio}/texts", lambda: text_schemas.TextId(id="t1")),
            (f"PUT {studio}/upload", lambda: text_schemas.Uploaded(name=query["name"][0], bytes=len(body))),
            (f"POST {studio}/texts/t1/read", lambda: self.facts),
            (f"POST {studio}/texts/t1/estimates", lambda: self.estimates),
            (f"POST {studio}/command", lambda: _command_of(NewRun(**body))),
            (f"POST {studio}/runs", lambda: self._start(NewRun(**body))),
            (f"GET {studio}/runs", lambda: RunList(runs=list(map(self._view, self.runs)), queue=self.queue)),
            (f"GET {one}", lambda run_id: self._view(self._run(run_id))),
            (f"POST {one}/stop", lambda run_id: self._view(self._become(run_id, "stopped"))),
            (f"POST {one}/go_on", lambda run_id: self._view(self._become(run_id, "running"))),
            (f"GET {one}/files", lambda run_id: trash.facts_of(_files_of(self._run(run_id)))),
            (f"POST {one}/delete", self.delete),
            (f"POST {studio}/trash/([^/]+)/undo", self.undo),
            (f"GET {studio}/trash", lambda: run_schemas.Trash(trash=trash.entries())),
            (f"PUT {studio}/queue", lambda: self._order(run_schemas.Queue(**body))),
            (f"PUT {studio}/bring", lambda: self._bring(query["name"][0])),
            ("GET /api/models", lambda: schemas.ModelList(models=self.models, follow=True, limits=_LIMITS)),
            ("GET /api/losses", lambda: Losses(LossSeries([], []), LossSeries([100, 200], [2.4, 1.9]), 0, 1)),
        ]

    def _view(self, shown: PretendedRun) -> RunDetail:
        record = shown.record
        checkpoints = run_views.Checkpoints({facts.id: f"cv/{facts.id}.t7" for facts in self.models})
        checkpoints.saved.update(checkpoints.models)  # though their files are not there
        place = self.queue.index(record.id) + 1 if record.id in self.queue else None
        progress = Progress(shown.figures, has_begun=True, not_saved="")
        found = run_views.view(record, progress, place, self.is_held and place is not None, checkpoints)
        iterations = list(range(30, 421, 30)) if record.attempts else []
        train = LossSeries(iterations, [4 / (1 + k / 10) + 1.2 for k in range(len(iterations))])
        val = LossSeries(iterations[4::5], [2.4, 1.9][: len(iterations)])
        return RunDetail(**found.model_dump(), train=train, val=val, samples=shown.samples, notes=shown.notes)

    def _run(self, run_id: str) -> PretendedRun:
        for found in self.runs:
            if found.record.id == run_id:
                return found
        raise Refusal(404, "there is no such run any more.")

    def _start(self, asked: NewRun) -> RunDetail:
        state = "waiting" if self.queue or any(one.record.is_active for one in self.runs) else "running"
        self.runs.insert(0, run(asked.name, state, words=words_of(asked), choice=asked.choice))
        if state == "waiting":
            self.queue.append(self.runs[0].record.id)
        return self._view(self.runs[0])

    def _become(self, run_id: str, state: str) -> PretendedRun:
        old = self._run(run_id)
        new = run(old.record.name, state)
        self.runs[self.runs.index(old)] = new
        self.queue = [other for other in self.queue if other != run_id]
        return new

    def delete(self, run_id: str) -> run_schemas.Deleted:
        old = self._deleted[run_id] = self._run(run_id)
        self.runs.remove(old)
        return trash.delete(_files_of(old), old.record.name, "run", run_id)

    def undo(self, trash_id: str) -> run_schemas.Undone:
        files, run_id = trash.undo(trash_id)
        self.runs.insert(0, self._deleted[run_id])
        return run_schemas.Undone(files=files, run=run_id)

    def _order(self, asked: run_schemas.Queue) -> run_schemas.QueueOrder:
        self.queue = asked.runs
        return run_schemas.QueueOrder(queue=self.queue)

    def _bring(self, name: str) -> Brought:
        self.models.append(model(name.rpartition(".")[0]))
        return Brought(models=[self.models[-1].id], sentence=f"one model is here to play with: models/{name}.")


def _command_of(asked: NewRun) -> run_schemas.Command:
    return run_schemas.Command(command=run_command.as_typed(words_of(asked)), folder=os.getcwd())


def _files_of(shown: PretendedRun) -> list[str]:
    """The path of its checkpoint, which is written here, since it has not been trained."""
    path = f"cv/lm_{shown.record.name}_best.t7"
    Path(path).write_bytes(bytes(1234567))
    return [path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        url = urlsplit(self.path)
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not url.path.startswith("/api/"):
            name = url.path[1:] or "index.html"
            content = self.server.files.get(name)
            kind = MEDIA_TYPES.get(os.path.splitext(name)[1], "text/plain")
            self._send(200 if content else 404, content or b"", kind)
            return
        studio = self.server.studio
        if studio.token and self.headers.get("Authorization") != f"Bearer {studio.token}":
            self._refuse(401, "this server needs a token.")
            return
        if url.path == "/api/sample":
            letters = [schemas.SampledCharacter(text=letter, given=False, probability=0.5) for letter in SAMPLE]
            lines = [letter.model_dump_json(exclude_none=True) + "\n" for letter in letters]
            self._send(200, "".join([*lines, DONE]).encode())
            return
        if url.path == "/api/studio/send":
            self._send(200, b"a model", "application/octet-stream")
            return
        body = pydantic_core.from_json(sent) if self.headers.get("Content-Type") == "application/json" else sent
        try:
            answer = pydantic_core.to_json(studio.answer(self.command, url.path, parse_qs(url.query), body))
        except Refusal as refusal:
            self._refuse(refusal.status, str(refusal))
            return
        except UserError as error:
            self._refuse(422, error.message)
            return
        etag = f'"{hash(answer)}"'
        if self.command == "GET" and self.headers.get("If-None-Match") == etag:
            self._send(304, b"", etag=etag)
            return
        self._send(200, answer, etag=etag if self.command == "GET" else "")

    do_GET = do_POST = do_PUT = _handle

    def _refuse(self, status: int, said: str) -> None:
        self._send(status, schemas.Problem(detail=page_words.reword(said)).model_dump_json().encode())

    def _send(self, status: int, content: bytes, kind: str = "application/json", etag: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'none'")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if etag:
            self.send_header("ETag", etag)
        self.end_headers()
        if status != 304:
            self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def pretended_server() -> Iterator[ThreadingHTTPServer]:
    """It needs a `studio`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.files = page_files(studio=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
