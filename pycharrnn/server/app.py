"""The FastAPI application: the page to play on and the JSON API."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from pycharrnn._version import __version__
from pycharrnn.page.page_files import MEDIA_TYPES, page_files
from pycharrnn.server import api
from pycharrnn.server.json_route import JsonRoute
from pycharrnn.server.line_stream import LineStream
from pycharrnn.server.registry import Registry
from pycharrnn.server.scheduler import Scheduler
from pycharrnn.server.security import Guard


@dataclass(frozen=True)
class Site:
    """The page of a server, and the paths that it adds to the API of models. The default is that of `pycharrnn serve`.

    Attributes:
        files: name -> content of each file of the page.
        add_paths: adds paths to the API. upload_paths: those of them that take files.
    """

    files: Mapping[str, bytes] = field(default_factory=page_files)
    add_paths: Callable[[FastAPI], None] = lambda app: None
    upload_paths: frozenset[str] = frozenset()


def create_app(
    models: Registry, scheduler: Scheduler, hosts: frozenset[str] | None, token: str, site: Site | None = None
) -> FastAPI:
    """Create the ASGI application. `hosts`, `token`: as for security.Guard."""
    site = site or Site()
    files = {"/" if name == "index.html" else f"/{name}": (name, content) for name, content in site.files.items()}
    app = FastAPI(title="pycharrnn", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.scheduler, app.router.route_class = scheduler, JsonRoute
    app.add_middleware(
        Guard,
        hosts=hosts,
        token=token,
        open_paths=frozenset(files),
        max_body=api.MAX_BODY,
        upload_paths=site.upload_paths,
    )
    app.exception_handler(RequestValidationError)(_refuse)
    api.add_api(app, models, scheduler)  # before the files: routes are matched in order
    site.add_paths(app)
    for path, (name, content) in files.items():
        handler = _answer_with(content, MEDIA_TYPES[os.path.splitext(name)[1]])
        app.add_api_route(path, handler, include_in_schema=False)
    _complete_schema(app.openapi(), token)  # the application caches it
    for route in app.routes:  # after the schema, which would list each path twice
        if isinstance(route, APIRoute) and route.methods and "GET" in route.methods:
            route.methods.add("HEAD")
    return app


def _answer_with(content: bytes, media_type: str) -> Callable[[], Awaitable[Response]]:
    async def answer() -> Response:
        return Response(content, media_type=media_type)

    return answer


async def _refuse(request: Request, error: RequestValidationError) -> Response:
    """The response to a request that does not match its schema: the first error, as a sentence."""
    first = error.errors()[0]
    if first["loc"] == ("body",) and not _is_json(request):
        return JSONResponse({"detail": "the body must be JSON, with the header Content-Type: application/json."}, 422)
    if first["type"] == "json_invalid":
        why = first["ctx"]["error"].removesuffix(" at")  # "Invalid control character at"
        at = " at" if why != first["ctx"]["error"] else ", at"
        return JSONResponse({"detail": f"the body is not JSON: {why}{at} {first['loc'][-1]}."}, 422)
    if first["loc"] == ("body",) and first["type"] == "string_unicode":
        return JSONResponse({"detail": "the body has a field whose name is not valid Unicode."}, 422)
    if first["loc"] == ("body",):
        return JSONResponse({"detail": "the body must be a JSON object."}, 422)
    where = ".".join(map(str, _field(first, error.body)))
    return JSONResponse({"detail": f"{where}: {first['msg']}." if where else f"{first['msg']}."}, 422)


def _field(error: Mapping[str, Any], body: Any) -> list[Any]:
    """The path of the field that an error is about, without the types that pydantic names for a field of several."""
    source: str = error["loc"][0]
    path: list[Any] = list(error["loc"][1:])
    if source != "body" or error["type"] == "missing":
        return path
    for depth, part in enumerate(path):
        held = body if isinstance(body, dict) else range(len(body)) if isinstance(body, list) else ()
        if part not in held:
            return path[:depth]
        body = body[part]
    return path


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _complete_schema(schema: dict[str, Any], token: str) -> None:
    """Complete /openapi.json: some paths stream lines, and a token is required."""
    # FastAPI describes the whole response, as a string. OpenAPI 3.1 has no keyword for lines (3.2: itemSchema), and
    # generators take `schema` for that of one.
    answers = [operation["responses"] for path in schema["paths"].values() for operation in path.values()]
    for answer in answers:
        if described := answer.get("200", {}).get("content", {}).get(LineStream.media_type):
            del described["schema"]["type"]
    score = schema["paths"]["/api/score"]["post"]["responses"]["200"]
    score["description"] = "a ScoreAnswer; with `progress` lines of JSON, each a ScoreLine"
    for media_type, name in ((LineStream.media_type, "ScoreLine"), ("application/json", "ScoreAnswer")):
        score["content"][media_type] = {"schema": {"$ref": f"#/components/schemas/{name}"}}
    if token:
        schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"token": []}]
