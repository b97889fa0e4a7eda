"""The page to play on and the JSON API under it as an application, from FastAPI (the extra `serve`)."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute

from pycharrnn import __version__
from pycharrnn.sampling import tokenizer
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.server import served_models
from pycharrnn.server.scheduler import STOPPING, Desk, LineStream, Stopping, unavailable
from pycharrnn.server.schemas import (
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
from pycharrnn.server.security import Guard
from pycharrnn.server.served_models import ServedModel

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
        work, pieces = served_models.score(model, request.text.encode()), []
        with desk.place() as free:
            if not free:
                return unavailable()
            size = len(request.text).bit_length()
            async with scoring[model.id, size], contextlib.aclosing(desk.turns(work)) as turns:
                try:
                    async for items in turns:
                        pieces.append("".join(items))
                        if await connection.is_disconnected():
                            break
                except Stopping:
                    return unavailable(STOPPING)
        headers = {"Content-Length": str(sum(map(len, pieces)))}  # all ASCII
        return StreamingResponse(_each(pieces), headers=headers, media_type="application/json")

    schema = app.openapi()  # kept by the application
    # The schema of each line, as FastAPI writes it for its own streams; it took that one for the whole answer's.
    schema["paths"]["/api/sample"]["post"]["responses"]["200"]["content"][LineStream.media_type] = {
        "itemSchema": {"$ref": "#/components/schemas/SampleLine"}
    }
    if token:
        schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"token": []}]
    return app


async def _each(pieces: list[str]) -> AsyncIterator[str]:
    """One after the other, so that the next is copied into the connection's buffer when there is room again."""
    for piece in pieces:
        yield piece


def _file(content: bytes, kind: str) -> Callable[[], object]:
    async def answer() -> Response:
        return Response(content, media_type=kind)

    return answer


def _events(model: ServedModel, opt: SampleOptions, primetext: bytes, unit: tuple[int, int] | None, candidates: int):
    """served_models.events, after a look at the primetext."""
    unknown = next((at for at, character in tokenizer.tokenize(primetext, model.vocab) if character is None), None)
    if unknown is not None:
        raise HTTPException(422, f"primetext has {tokenizer.describe_unknown(primetext, unknown)}: leave it out.")
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
