"""`pycharrnn serve`: a page to play on and the JSON API under it, from FastAPI and uvicorn (the extra `serve`)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from pycharrnn import __version__, sampling, served_models
from pycharrnn.api_types import (
    MAX_CANDIDATES,
    MAX_LENGTH,
    MAX_PRIMETEXT,
    MAX_SCORED,
    Limits,
    ModelFacts,
    ModelList,
    Problem,
    SampledCharacter,
    SampleRequest,
    ScoreAnswer,
    ScoredCharacter,
    ScoreRequest,
)
from pycharrnn.guard import Guard
from pycharrnn.options import SampleOptions, ServeOptions, UserError
from pycharrnn.scoring import surprises
from pycharrnn.screen_text import ScreenText
from pycharrnn.served_models import ServedModel
from pycharrnn.streams import Desk, LineStream, busy

Scored = tuple[bytes, float | None]  # a character and its bits, as scoring.surprises gives them

_STEPS = 32  # characters of a text to score that are read at once: few, so that a turn stays short
STREAM_SECONDS = 600.0  # the longest that one sample may take, its reader's slowness included

_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_PROBLEMS = {404: {"model": Problem}, 422: {"model": Problem}, 503: {"model": Problem}}
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
    app = FastAPI(title="pycharrnn", version=__version__, docs_url=None, redoc_url=None)
    app.add_middleware(Guard, hosts=hosts, token=token, open_paths=frozenset(files))
    for path in files:
        app.add_api_route(path, _file(*files[path]), include_in_schema=False)

    @app.exception_handler(RequestValidationError)
    async def refuse(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        return JSONResponse({"detail": f"{where}: {first['msg']}." if where else f"{first['msg']}."}, 422)

    def chosen(name: str) -> ServedModel:
        if name not in models:
            raise HTTPException(404, "there is no such model here: /api/models lists them.")
        return models[name]

    @app.get("/api/models")
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

    @app.post(
        "/api/sample",
        status_code=200,
        response_class=LineStream,
        responses={200: {"model": SampledCharacter}, **{status: {"content": _PROBLEM} for status in _PROBLEMS}},
    )
    async def sample(request: SampleRequest) -> Response:
        """A sample as JSON lines, a SampledCharacter each, sent as they are drawn."""
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
        primetext = request.primetext.encode()
        unknown = next((at for at, character in sampling.cut(primetext, model.vocab) if character is None), None)
        if unknown is not None:
            raise HTTPException(422, f"primetext has {sampling.described(primetext, unknown)}: leave it out.")
        events = served_models.events(model, options, primetext, unit, request.candidates)
        return LineStream(desk, events, STREAM_SECONDS)

    @app.post("/api/score", response_class=JSONResponse, responses={200: {"model": ScoreAnswer}, **_PROBLEMS})
    async def score_text(request: ScoreRequest, connection: Request) -> Response:
        """How much each character of a text surprises a model."""
        model = chosen(request.model)
        scored: list[Scored] = []
        text = request.text.encode()
        with desk.place() as free:
            if not free:
                return busy()
            pieces = surprises(model.stepper.fresh(_STEPS), _STEPS, model.vocab, text)
            async with contextlib.aclosing(desk.turns(pieces)) as turns:
                async for items in turns:
                    scored += items
                    if await connection.is_disconnected():
                        break
            content = await asyncio.to_thread(_score_answer, scored)
        return Response(content, media_type="application/json")

    return app


def _file(content: bytes, kind: str) -> Callable[[], object]:
    async def answer() -> Response:
        return Response(content, media_type=kind)

    return answer


def _score_answer(scored: list[Scored]) -> str:
    """A ScoreAnswer as JSON."""
    known = [bits for _, bits in scored if bits is not None]
    answer = ScoreAnswer(
        bits_per_character=sum(known) / len(known) if known else None,
        known=len(known),
        unknown=len(scored) - len(known),
        characters=list(_on_screen(scored)),
    )
    return answer.model_dump_json()


def _on_screen(scored: list[Scored]) -> Iterator[ScoredCharacter]:
    """Characters that a screen can show; the bits of one of several bytes are the sum of theirs."""
    screen, position = ScreenText(), 0
    for shown in [*(screen.push(character) for character, _ in scored), screen.end()]:
        for text, taken in shown:
            bits = [cost for _, cost in scored[position : position + taken]]
            position += taken
            yield ScoredCharacter(text=text, bits=None if None in bits else sum(bits))


class _Server(uvicorn.Server):
    """Ends the streams at the first Ctrl-C instead of waiting for them."""

    def __init__(self, config: uvicorn.Config, desk: Desk):
        super().__init__(config)
        self._desk = desk

    def handle_exit(self, sig, frame) -> None:
        self._desk.closed = True
        super().handle_exit(sig, frame)


def serve(paths: list[str], opt: ServeOptions, say: Callable[[str], None]) -> None:
    """Offer the models until Ctrl-C.

    Errors: UserError for a checkpoint that can't be read, or an address that can't be had.
    """
    models = served_models.load_all(paths, say)
    listener = _listen(opt)
    token = secrets.token_urlsafe(24) if opt.token == "new" else opt.token
    desk = Desk(opt.streams, threads=min(4, os.cpu_count() or 1))
    hosts = frozenset({"localhost", "127.0.0.1", "::1", opt.host.lower()}) if opt.is_loopback() else None
    config = uvicorn.Config(
        create_app(models, desk, hosts, token),
        lifespan="off",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=2 * opt.streams + 64,
        timeout_graceful_shutdown=2,
    )
    host = f"[{opt.host}]" if ":" in opt.host else opt.host
    say(f"http://{host}:{listener.getsockname()[1]}/{f'#token={token}' if token else ''}")
    say("Ctrl-C ends it.")
    with listener:
        _Server(config, desk).run(sockets=[listener])


def _listen(opt: ServeOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in opt.host else socket.AF_INET
    try:
        return socket.create_server((opt.host, opt.port), family=family, backlog=256)
    except OSError as e:
        raise UserError(
            f"can't listen on {opt.host}, port {opt.port} ({e.strerror or e}): choose another -port or -host."
        ) from e
