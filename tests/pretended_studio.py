"""A server with the API of `pycharrnn studio` that learns nothing: a test sets the runs that its page shows."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pycharrnn.page.page_files import MEDIA_TYPES, page_files

HOSTILE = "<img src=x onerror=document.title='hit'>"
SAMPLE = "The night was long,\nand the wind came over the hill.\n" * 4
COMMAND = "pycharrnn train studio/texts/t1/poems.txt -recipe quick -savefile poems -log cv/poems.jsonl -gpuid -1"


class Refused(Exception):
    """The answer (status, sentence) to a request."""


def model(name: str, **facts: object) -> dict[str, Any]:
    """As /api/models lists one."""
    known = {"text": "poems", "model": "lstm", "num_layers": 1, "rnn_size": 128, "vocab_size": 71, "val_loss": 1.4012}
    more = {
        "saved": 1763000000.0,
        "program": "pycharrnn",
        "newline": True,
        "multibyte": False,
        "code_points": False,
        "items": "",
        "labels": [],
    }
    return {"id": name, **known, **more, **facts}


def run(name: str, state: str, **fields: object) -> dict[str, Any]:
    """As /api/studio/runs/ID answers."""
    can = {
        "waiting": ["stop", "delete"],
        "running": ["stop"],
        "stopping": ["stop"],
        "stopped": ["go_on", "delete"],
        "finished": ["go_on", "delete"],
        "failed": ["delete"],
    }
    sentence = {
        "waiting": "waiting: the next one in the queue.",
        "running": "learning: iteration 420 of 3,600, about a minute left.",
        "stopping": "stopping: it finishes its step and saves.",
        "stopped": "stopped after iteration 420 of 3,600, and saved.",
        "finished": "finished after 3,600 iterations.",
        "failed": "failed.",
    }
    begun = state != "waiting"
    if error := fields.get("error"):
        sentence[state] = f"{error} Go on begins it anew."
    figures = {
        "iteration": (3600 if state == "finished" else 420) if begun else None,
        "iterations": 3600 if begun else None,
        "epoch": 1.4 if begun else None,
        "epochs": 12.0 if begun else None,
        "train_loss": 1.8 if begun else None,
        "val_loss": 1.75 if begun else None,
        "best_val_loss": 1.75 if begun else None,
        "characters_per_second": 210000.0 if state == "running" else None,
        "seconds": 31.0 if begun else None,
        "seconds_left": 55.0 if state == "running" else None,
    }
    curve = [*range(30, 421, 30)] if begun else []
    detail = {
        "train": {"iterations": curve, "losses": [4 / (1 + k / 10) + 1.2 for k in range(len(curve))]},
        "val": {"iterations": curve[4::5], "losses": [2.4, 1.9][: len(curve[4::5])]},
        "samples": [{"iteration": k, "epoch": k / 300, "text": SAMPLE} for k in ((180, 330) if begun else ())],
        "notes": ["-recipe quick: 192 units, 1 layer"] if begun else [],
    }
    models = [f"lm_{name}_best"] if begun else []
    return {
        **{"id": f"r-{name}", "name": name, "state": state, "created": 1763000000.0, "began": None, "ended": None},
        **{
            "choice": "quick",
            "text_name": "poems.txt",
            "bytes": 120345,
            "command": COMMAND,
            "folder": "/home/ada/voices",
        },
        **figures,
        **{"sentence": sentence[state], "error": "", "can": can[state], "place": None},
        **{"models": models, "best_model": models[0] if models else None},
        **detail,
        **fields,
    }


FACTS = {
    **{"id": "t1", "name": "poems", "bytes": 120345, "characters": 118200, "code_points": 118200, "distinct": 71},
    **{
        "encoding": "bytes",
        "kind": "text",
        "advice": "",
        "encoding_advice": "",
        "too_short": "",
        "suggested_items": "",
        "headers": [],
        "file_count": 2,
    },
    "files": [
        {"name": "spring.txt", "bytes": 120246, "encoding": "UTF-8"},
        {"name": "old.txt", "bytes": 99, "encoding": "cp1252"},
    ],
    "facts": ["old.txt: read as cp1252; -text_encoding overrules this."],
    "left_out": ["left out, since they are not plain text: scan.pdf (a PDF file); save them as plain text."],
}
ESTIMATES = {
    "choices": [
        {"choice": "quick", "seconds": 74.0, "iterations": 3600, "rnn_size": 160, "flags": {"rnn_size": 160}},
        {
            "choice": "best",
            "seconds": 810.0,
            "iterations": 8000,
            "rnn_size": 512,
            "flags": {"rnn_size": 512, "dropout": 0.2},
        },
    ],
    "how": "estimated: 0.3 seconds of training with each size were timed on this machine.",
}
FLAGS = [
    ("rnn_size", 128, "size of LSTM internal state", "Model", "integer", "at least 1", []),
    ("model", "lstm", "lstm,gru or rnn", "Model", "choice", "", ["lstm", "gru", "rnn"]),
    (
        "dropout",
        0,
        "dropout for regularization, used after each RNN hidden layer. 0 = no dropout",
        "Learning",
        "number",
        "",
        [],
    ),
    ("exact", 1, "1 = the digits of char-rnn", "Machine", "switch", "", []),
]


class Studio:
    """What the pretended server knows and was asked. `requests`: (method, path, body) of all that changes something."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []
        self.queue: list[str] = []
        self.models: list[dict[str, Any]] = []
        self.trash: list[dict[str, Any]] = []
        self.facts: dict[str, Any] = FACTS
        self.refusals: dict[str, tuple[int, str]] = {}  # beginning of a path -> the refusal of its requests
        self.requests: list[tuple[str, str, Any]] = []
        self.held = threading.Event()  # cleared: requests under /api/studio/texts and uploads wait
        self.held.set()
        self.token = ""

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Any:
        """Errors: Refused."""
        for start, refusal in self.refusals.items():
            if path.startswith(start):
                raise Refused(*refusal)
        if method != "GET":
            self.requests.append((method, path, body))
        if "/texts" in path or "upload" in path or "bring" in path:
            self.held.wait(300)
        for pattern, handle in self._paths(query, body):
            if found := re.fullmatch(pattern, f"{method} {path}"):
                return handle(*found.groups())
        raise Refused(404, f"there is no {path}.")

    def _paths(self, query: dict[str, list[str]], body: Any) -> list[tuple[str, Callable[..., Any]]]:
        studio = "/api/studio"
        return [
            (f"GET {studio}", lambda: ABOUT),
            (f"GET {studio}/flags", lambda: {"flags": [dict(zip(_FLAG, flag, strict=True)) for flag in FLAGS]}),
            (f"POST {studio}/texts", lambda: {"id": "t1"}),
            (f"PUT {studio}/upload", lambda: {"name": query["name"][0], "bytes": len(body)}),
            (f"POST {studio}/texts/t1/read", lambda: self.facts),
            (f"POST {studio}/texts/t1/estimates", lambda: ESTIMATES),
            (f"POST {studio}/command", lambda: {"command": COMMAND, "folder": "/home/ada/voices"}),
            (f"POST {studio}/runs", lambda: self._start(body)),
            (f"GET {studio}/runs", lambda: {"runs": self.runs, "queue": self.queue}),
            (f"GET {studio}/runs/([^/]+)", self._run),
            (f"GET {studio}/(?:runs|models)/.*files", lambda: {"files": ["cv/lm_poems_best.t7"], "bytes": 1234567}),
            (f"POST {studio}/runs/([^/]+)/stop", lambda name: self._become(name, "stopped")),
            (f"POST {studio}/runs/([^/]+)/go_on", lambda name: self._become(name, "running")),
            (f"POST {studio}/runs/([^/]+)/delete", self._delete),
            (f"POST {studio}/trash/d1/undo", self._undo),
            (f"GET {studio}/trash", lambda: {"trash": self.trash}),
            (f"PUT {studio}/queue", lambda: self._order(body["runs"])),
            (f"PUT {studio}/bring", lambda: self._bring(query["name"][0])),
            ("GET /api/models", lambda: {"models": self.models, "follow": True, "limits": LIMITS}),
            ("GET /api/losses", lambda: {"train": _NONE, "val": _FALLING, "epochs_per_iteration": 0, "window": 1}),
        ]

    def _start(self, body: dict[str, Any]) -> Any:
        state = "waiting" if any(one["state"] == "running" for one in self.runs) else "running"
        self.runs.insert(0, run(body["name"], state))
        if state == "waiting":
            self.queue.append(self.runs[0]["id"])
        return self.runs[0]

    def _run(self, name: str) -> Any:
        found = [one for one in self.runs if one["id"] == unquote(name)]
        if not found:
            raise Refused(404, "this run is gone: it was deleted.")
        return found[0]

    def _become(self, name: str, state: str) -> Any:
        old = self._run(name)
        new = run(old["name"], state)
        self.runs[self.runs.index(old)] = new
        return new

    def _delete(self, name: str) -> Any:
        self.deleted = self._run(name)
        self.runs.remove(self.deleted)
        files = ["cv/lm_poems_best.t7"]
        entry = {"trash": "d1", "what": self.deleted["name"], "kind": "run", "deleted": 1763000000.0, "files": files}
        self.trash.insert(0, {**entry, "bytes": 1234567})
        return {"trash": "d1", "files": files, "sentence": "moved 1 file to trash/d1: Undo brings it back."}

    def _undo(self) -> Any:
        self.runs.insert(0, self.deleted)
        self.trash.clear()
        return {"files": ["cv/lm_poems_best.t7"], "run": self.deleted["id"]}

    def _order(self, queue: list[str]) -> Any:
        self.queue = queue
        return {"queue": queue}

    def _bring(self, name: str) -> Any:
        self.models.append(model(name.rpartition(".")[0]))
        return {"models": [self.models[-1]["id"]], "sentence": f"one model is here to play with: models/{name}."}


_FLAG = ("name", "default", "help", "group", "kind", "allowed", "choices")
_NONE: dict[str, list[float]] = {"iterations": [], "losses": []}
_FALLING: dict[str, list[float]] = {"iterations": [100, 200], "losses": [2.4, 1.9]}
LIMITS = {"length": 10000, "primetext": 2000, "score": 20000, "items": 500}
ABOUT = {
    **{"folder": "/home/ada/voices", "version": "0.9.0", "can_train": True, "why_not": "", "free_bytes": 10**11},
    "limits": {"file_bytes": 1 << 32, "files": 5000, "name": 200, "model_bytes": 1 << 32},
    "learn_endings": [".txt", ".html"],
    "bring_endings": [".t7", ".safetensors", ".json", ".pt", ".onnx", ".html"],
    "send_formats": [
        {"format": "html", "what": "a page that runs the model in a browser"},
        {"format": "t7", "what": "a checkpoint for the Lua programs and pycharrnn"},
        {"format": "c", "what": "a C program"},
    ],
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        url = urlsplit(self.path)
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not url.path.startswith("/api/"):
            name = url.path[1:] or "index.html"
            content = self.server.files.get(name)
            self._send(
                200 if content else 404, content or b"", MEDIA_TYPES.get(f".{name.rpartition('.')[2]}", "text/plain")
            )
            return
        studio = self.server.studio
        if studio.token and self.headers.get("Authorization") != f"Bearer {studio.token}":
            self._send(401, b'{"detail": "this server needs a token."}')
            return
        if url.path == "/api/sample":
            lines = [{"text": letter, "given": False, "probability": 0.5, "candidates": []} for letter in SAMPLE]
            self._send(200, b"".join(json.dumps(line).encode() + b"\n" for line in [*lines, {"done": True}]))
            return
        if url.path == "/api/studio/send":
            self._send(200, b"a model", "application/octet-stream")
            return
        body = json.loads(sent) if self.headers.get("Content-Type") == "application/json" and sent else sent
        try:
            answer = json.dumps(studio.answer(self.command, url.path, parse_qs(url.query), body)).encode()
        except Refused as refused:
            status, detail = refused.args
            self._send(status, json.dumps({"detail": detail}).encode())
            return
        etag = f'"{hash(answer)}"'
        if self.command == "GET" and self.headers.get("If-None-Match") == etag:
            self._send(304, b"", etag=etag)
            return
        self._send(200, answer, etag=etag if self.command == "GET" else "")

    do_GET = do_POST = do_PUT = _handle

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
def pretended_studio() -> Iterator[tuple[str, Studio]]:
    """Its address, and what it knows."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.files, server.studio = page_files(studio=True), Studio()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", server.studio
    finally:
        server.studio.held.set()
        server.shutdown()
        thread.join()
        server.server_close()
