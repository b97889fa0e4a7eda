"""`pycharrnn serve`: a page to play on and the JSON API under it, from FastAPI and uvicorn (the extra `serve`)."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from pycharrnn import __version__, connections, sampling, served_models
from pycharrnn.api_types import (
    MAX_CANDIDATES,
    MAX_FIELDS,
    MAX_LENGTH,
    MAX_PRIMETEXT,
    MAX_SCORED,
    Limits,
    ModelFacts,
    ModelList,
    Problem,
    SampleLine,
    SampleRequest,
    ScoreAnswer,
    ScoreRequest,
)
from pycharrnn.connections import Connection, Room
from pycharrnn.guard import Guard
from pycharrnn.options import SampleOptions, ServeOptions, UserError
from pycharrnn.served_models import ServedModel
from pycharrnn.streams import STOPPING, Desk, LineStream, Stopping, unavailable

_BESIDE = 512  # connections beside those of -streams: for pages, for refusals, and that wait for the next request
_QUEUE = 1024  # connections that may wait to be accepted
_SMALL_BODY = 1 << 12  # bytes

_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_ANYWHERE = (401, 421)  # what Guard answers to a request of any kind
_PROBLEM = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def page_files() -> dict[str, tuple[bytes, str]]:
    """Path -> (content, type) of the page, all in memory."""
    folder = Path(__file__).with_name("page")
    files = {f"/{p.name}": (p.read_bytes(), _KINDS[p.suffix]) for p in folder.iterdir() if p.suffix in _KINDS}
    files["/"] = files.pop("/index.html")
    return files


def create_app(models: dict[str, ServedModel], desk: Desk, hosts: frozenset[str] | None, token: str) -> FastAPI:
    """The page and the API as an ASGI application.

    Args:
        hosts, token: as for Guard.
    """
    files = page_files()
    app = FastAPI(title="pycharrnn", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.desk, app.router.route_class = desk, _Route
    app.add_middleware(Guard, hosts=hosts, token=token, open_paths=frozenset(files))
    for path in files:
        app.add_api_route(path, _file(*files[path]), methods=["GET", "HEAD"], include_in_schema=False)
    # An answer that comes whole gains nothing by getting on beside its like, and each takes megabytes while it does.
    scoring: dict[tuple[str, int], asyncio.Lock] = collections.defaultdict(asyncio.Lock)

    @app.exception_handler(RequestValidationError)
    async def refuse(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        return JSONResponse({"detail": f"{where}: {first['msg']}." if where else f"{first['msg']}."}, 422)

    def chosen(name: str) -> ServedModel:
        if name not in models:
            raise HTTPException(404, "there is no such model here: /api/models lists them.")
        return models[name]

    @app.get("/api/models", responses={status: {"model": Problem} for status in _ANYWHERE})
    async def list_models() -> ModelList:
        """The models to choose from, and the limits of a request."""
        return ModelList(
            models=[ModelFacts(**model.facts) for model in models.values()],
            limits=Limits(
                length=MAX_LENGTH,
                primetext=MAX_PRIMETEXT,
                score=MAX_SCORED,
                candidates=MAX_CANDIDATES,
                streams=desk.places,
            ),
        )

    problems = {status: {"content": _PROBLEM} for status in (400, 404, 413, 422, 503, *_ANYWHERE)}

    @app.post(
        "/api/sample", status_code=200, response_class=LineStream, responses={200: {"model": SampleLine}, **problems}
    )
    async def sample(request: SampleRequest) -> Response:
        """A sample as JSON lines, one for each character, sent as they are drawn, and one at the end."""
        model = chosen(request.model)
        options = SampleOptions(
            seed=request.seed,
            length=request.length,
            temperature=request.temperature,
            topk=request.topk,
            topp=request.topp,
        )
        unit = (request.unit.layer, request.unit.unit) if request.unit else None
        layers, size = model.facts["num_layers"], model.facts["rnn_size"]
        if unit and (unit[0] > layers or unit[1] > size):
            raise HTTPException(422, f"unit: the model has {layers} layers of {size} units.")
        begin = partial(_events, model, options, request.primetext.encode(), unit, request.candidates)
        return LineStream(desk, begin)

    @app.post("/api/score", response_class=JSONResponse, responses={200: {"model": ScoreAnswer}, **problems})
    async def score_text(request: ScoreRequest, connection: Request) -> Response:
        """How much each character of a text surprises a model."""
        model = chosen(request.model)
        work, content = served_models.score(model, request.text.encode()), None
        with desk.place() as free:
            if not free:
                return unavailable()
            size = len(request.text).bit_length()
            async with scoring[model.id, size], contextlib.aclosing(desk.turns(work)) as turns:
                try:
                    async for items in turns:
                        content = items[-1] if items else content
                        if await connection.is_disconnected():
                            break
                except Stopping:
                    return unavailable(STOPPING)
        return Response(content, media_type="application/json")

    schema = app.openapi()  # kept by the application
    # The schema of each line, as FastAPI writes it for its own streams; it took that one for the whole answer's.
    schema["paths"]["/api/sample"]["post"]["responses"]["200"]["content"][LineStream.media_type] = {
        "itemSchema": {"$ref": "#/components/schemas/SampleLine"}
    }
    if token:
        schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"token": []}]
    return app


def _file(content: bytes, kind: str) -> Callable[[], object]:
    async def answer() -> Response:
        return Response(content, media_type=kind)

    return answer


def _events(model: ServedModel, opt: SampleOptions, primetext: bytes, unit: tuple[int, int] | None, candidates: int):
    """served_models.events, after a look at the primetext."""
    unknown = next((at for at, character in sampling.cut(primetext, model.vocab) if character is None), None)
    if unknown is not None:
        raise HTTPException(422, f"primetext has {sampling.described(primetext, unknown)}: leave it out.")
    return served_models.events(model, opt, primetext, unit, candidates)


class _Route(APIRoute):
    def get_route_handler(self):
        handle = super().get_route_handler()

        async def handle_request(request: Request) -> Response:
            return await handle(_Request(request.scope, request.receive))

        return handle_request


class _Request(Request):
    """Understands a large body in a turn at the desk: it takes milliseconds, and the event loop serves everybody."""

    async def json(self):
        body = await self.body()
        if len(body) <= _SMALL_BODY:
            return _parsed(body)
        try:
            return await self.app.state.desk.one_turn(_parsed, body)
        except Stopping:
            raise HTTPException(503, STOPPING) from None


def _parsed(body: bytes):
    return json.loads(body, object_pairs_hook=_object)


def _object(fields: list[tuple[str, object]]) -> dict[str, object]:
    if len(fields) > MAX_FIELDS:
        raise HTTPException(422, f"an object of {len(fields)} fields is no part of a request.")
    return dict(fields)


class Server(uvicorn.Server):
    """uvicorn with limits to what its connections may hold up; the first signal ends it and its streams."""

    def __init__(self, app: FastAPI, desk: Desk, room: Room):
        config = uvicorn.Config(
            app,
            http=partial(Connection, room),
            loop="asyncio",
            lifespan="off",
            ws="none",
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=connections.BATCH,
            timeout_graceful_shutdown=2,
        )
        super().__init__(config)
        self._desk, self._room = desk, room

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_QUEUE)  # asyncio accepts a batch at a time, and lets no more than that wait

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._room.closed = True
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's, and SIGHUP; and signals that the caller ignores stay ignored."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)}
        before = {number: signal.getsignal(number) for number in numbers}
        with super().capture_signals():
            for number, handler in before.items():
                signal.signal(number, handler if handler is signal.SIG_IGN else self.handle_exit)
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    def handle_exit(self, sig, frame) -> None:
        if not self.should_exit:  # it takes two seconds at most: another signal could only leave things undone
            self._desk.closed = True
            super().handle_exit(sig, frame)


def serve(paths: list[str], opt: ServeOptions, say: Callable[[str], None]) -> None:
    """Offer the models until Ctrl-C.

    Errors: UserError for a checkpoint that can't be read, an address that can't be had, or one that nobody is told.
    """
    say = partial(_tell, say)
    models = served_models.load_all(paths, say)
    token = secrets.token_urlsafe(24) if opt.token == "new" else opt.token
    hosts = frozenset({"localhost", "127.0.0.1", "::1", opt.host.lower()}) if opt.is_loopback() else None
    most = connections.files_allow(opt.streams + _BESIDE)
    desk = Desk(min(opt.streams, max(1, most // 2)), threads=min(4, os.cpu_count() or 1))
    server = Server(create_app(models, desk, hosts, token), desk, Room(most))
    with _listen(opt) as listener:
        host = f"[{opt.host}]" if ":" in opt.host else opt.host
        address = f"http://{host}:{listener.getsockname()[1]}/{f'#token={token}' if token else ''}"
        say(f"{address}\nCtrl-C ends it.")  # at once: who reads the first line may read no more
        server.run(sockets=[listener])


def _tell(say: Callable[[str], None], line: str) -> None:
    try:
        say(line)
    except OSError as e:
        raise UserError(
            f"can't print the server's address ({e.strerror or e}): let stdout go where it can be read."
        ) from e


def _listen(opt: ServeOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in opt.host else socket.AF_INET
    try:
        return socket.create_server((opt.host, opt.port), family=family, backlog=_QUEUE)
    except (OSError, TypeError) as e:  # TypeError: for a name that the system's encoding does not take
        reason = getattr(e, "strerror", None) or e
        raise UserError(
            f"can't listen on {opt.host}, port {opt.port} ({reason}): choose another -port or -host."
        ) from e
