"""The paths of `pycharrnn studio` below /api/studio. What they take and answer is in run_schemas and text_schemas."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from pycharrnn.common.display import replace_surrogates
from pycharrnn.common.errors import UserError
from pycharrnn.page.page_files import page_files
from pycharrnn.server import etags
from pycharrnn.server.app import Site
from pycharrnn.server.schemas import ModelId, Problem
from pycharrnn.server.studio import model_files, page_words, receiving, run_command, studio_paths, trash
from pycharrnn.server.studio.run_schemas import (
    Brought,
    Command,
    Deleted,
    FilesToDelete,
    GoOn,
    ModelNamed,
    NewRun,
    Nothing,
    Queue,
    QueueOrder,
    Run,
    RunDetail,
    RunList,
    Stop,
    StudioFacts,
    Trash,
    Undone,
)
from pycharrnn.server.studio.studio import Studio
from pycharrnn.server.studio.studio_paths import Refusal
from pycharrnn.server.studio.text_schemas import (
    Estimates,
    FlagList,
    NewText,
    ReadText,
    TextFacts,
    TextId,
    Uploaded,
)

# How /openapi.json describes routes, as far as FastAPI can't derive it from the handlers.
_JSON: dict[str, Any] = {"responses": {}}
_LIST: dict[str, Any] = {"responses": etags.UNCHANGED}
_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_TAKES_BYTES: dict[str, Any] = {**_JSON, "openapi_extra": {"requestBody": {"required": True, "content": _BYTES}}}
_SENDS_BYTES: dict[str, Any] = {"response_class": FileResponse, "responses": {200: {"content": _BYTES}}}

# Method, path below _ROOT, handler, status of its response, and one of the kinds above.
_Route = tuple[str, str, Callable[..., Any], int, dict[str, Any]]
_ROOT = "/api/studio"

_STATUSES = (400, 401, 403, 404, 409, 413, 421, 422, 500, 503, 507)
_Name = Annotated[str, Query(max_length=1000, description="the client's name of the file; never a path here")]
_Model = Annotated[ModelId, Query()]


def site_of(studio: Studio) -> Site:
    """The page of a studio, and its paths of the API."""
    api = _Api(studio)
    routes: list[_Route] = [
        ("GET", "", api.facts, 200, _JSON),
        ("POST", "/texts", api.new_text, 201, _JSON),
        ("PUT", "/upload", api.upload, 200, _TAKES_BYTES),
        ("POST", "/texts/{text_id}/read", api.read, 200, _JSON),
        ("POST", "/texts/{text_id}/estimates", api.estimates, 200, _JSON),
        ("GET", "/flags", api.flags, 200, _JSON),
        ("POST", "/command", api.command, 200, _JSON),
        ("POST", "/runs", api.start, 201, _JSON),
        ("GET", "/runs", api.runs, 200, {**_LIST, "response_model": RunList}),
        ("GET", "/runs/{run_id}", api.run, 200, _JSON),
        ("POST", "/runs/{run_id}/stop", api.stop, 200, _JSON),
        ("POST", "/runs/{run_id}/go_on", api.go_on, 200, _JSON),
        ("PUT", "/queue", api.reorder, 200, _JSON),
        ("PUT", "/bring", api.bring, 201, _TAKES_BYTES),
        ("GET", "/send", api.send, 200, _SENDS_BYTES),
        ("GET", "/runs/{run_id}/files", api.files_of_run, 200, _JSON),
        ("POST", "/runs/{run_id}/delete", api.delete_run, 200, _JSON),
        ("GET", "/models/files", api.files_of_model, 200, _JSON),
        ("POST", "/models/delete", api.delete_model, 200, _JSON),
        ("GET", "/trash", api.trash, 200, {**_LIST, "response_model": Trash}),
        ("POST", "/trash/{trash_id}/undo", api.undo, 200, _JSON),
    ]
    uploads = frozenset(f"{_ROOT}{path}" for _, path, _, _, kind in routes if kind is _TAKES_BYTES)
    return Site(page_files(studio=True), partial(_add_paths, routes), uploads)


def _add_paths(routes: Sequence[_Route], app: FastAPI) -> None:
    problems: dict[int | str, dict[str, Any]] = {status: {"model": Problem} for status in _STATUSES}
    checks = [Depends(_of_this_site), Depends(_has_folder)]
    for method, path, handler, status, kind in routes:
        described = {**kind, "responses": {**problems, **kind["responses"]}}
        path = f"{_ROOT}{path}"
        app.add_api_route(path, handler, methods=[method], status_code=status, dependencies=checks, **described)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(UserError, _refused)
    app.add_exception_handler(OSError, _not_usable)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    said = error.message if isinstance(error, UserError) else str(error)
    detail = replace_surrogates(page_words.reword(said))
    return JSONResponse({"detail": detail}, error.status if isinstance(error, Refusal) else 422)


async def _not_usable(request: Request, error: Exception) -> JSONResponse:
    """The response where a file or a folder of the studio can't be used: one that the user has made unreadable."""
    assert isinstance(error, OSError)
    used = error.filename if isinstance(error.filename, str) else "the folder of this studio"
    return await _refused(request, studio_paths.refusal_of(error, f"can't use {used}"))


def _of_this_site(request: Request) -> None:
    """Errors: Refusal for a request that a page of another site makes."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
    own = request.headers.get("host", "").lower()
    if site not in ("none", "same-origin") or (origin is not None and _host_of(origin) != own):
        raise Refusal(403, "requests from other sites are refused.")


def _host_of(origin: str) -> str | None:
    """Host and port of an Origin header in lower case; None if it is not a valid address."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _has_folder() -> None:
    """Errors: Refusal if the folder of the studio was removed; a renamed one is still in use."""
    try:
        os.getcwd()
    except OSError:
        raise Refusal(
            500, "the folder of this studio was removed: end pycharrnn studio in its terminal, and start it again."
        ) from None


async def _received(request: Request, path: str, what: str) -> int:
    """Write the body of a request to a file. Returns: bytes. Errors: Refusal."""
    try:
        receiving.check_space(int(request.headers.get("content-length", 0)), what)
        return await receiving.receive(request.stream(), path)
    except ClientDisconnect:
        raise Refusal(400, "the upload was interrupted: nothing was kept.") from None
    except OSError as e:
        raise studio_paths.refusal_of(e, what) from e


def _require_bytes(request: Request) -> None:
    """Errors: Refusal unless the body is sent as bytes, which a form of another site can't do."""
    if request.headers.get("content-type", "").strip().lower() != "application/octet-stream":
        raise Refusal(422, "send the file as it is, with the header Content-Type: application/octet-stream.")


class _MadeFile(FileResponse):
    """A file that was made for this response, in a folder of its own, which is removed however the response ends.

    The next request makes another file, so a Range is ignored.
    """

    def __init__(self, path: str) -> None:
        no_ranges = {"Accept-Ranges": "none"}
        super().__init__(path, 200, no_ranges, "application/octet-stream", filename=os.path.basename(path))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        try:
            await super().__call__({**scope, "headers": headers}, receive, send)
        finally:
            await asyncio.to_thread(shutil.rmtree, os.path.dirname(self.path), ignore_errors=True)


class _Api:
    """The handlers. /openapi.json has their docstrings."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    async def facts(self) -> StudioFacts:
        """What this server is, and its limits."""
        return self._studio.facts()

    async def new_text(self, asked: NewText) -> TextId:
        """Begin a text, whose files are uploaded next."""
        try:
            return TextId(id=self._studio.texts.new(asked.name, asked.is_folder).id)
        except OSError as e:
            raise studio_paths.refusal_of(e, "can't keep the text") from e

    async def upload(self, request: Request, text: Annotated[str, Query(max_length=20)], name: _Name) -> Uploaded:
        """Receive a file of a text: the body is its bytes. An interrupted upload leaves nothing."""
        _require_bytes(request)
        kept = self._studio.texts.of(text)
        try:
            path = kept.path_for(name)
        except OSError as e:  # one file has the name of another one's folder
            raise Refusal(422, f"can't keep {name[:100]!r} ({e.strerror or e}).") from e
        try:
            size = await _received(request, path, f"can't keep {os.path.basename(path)}")
        except BaseException as e:  # the server may end meanwhile
            kept.give_up(path)
            if isinstance(e, Refusal):
                self._studio.texts.of(text)  # its own refusal, if it was deleted meanwhile
            raise
        return Uploaded(name=os.path.basename(path), bytes=size)

    async def read(self, text_id: str, asked: ReadText) -> TextFacts:
        """Read an uploaded text as `pycharrnn train` would, without writing anything."""
        return await self._studio.read(text_id, asked)

    async def estimates(self, text_id: str, asked: ReadText, connection: Request) -> Estimates:
        """How long trainings on a text would take on this machine."""
        return await self._studio.estimates(text_id, asked, connection.is_disconnected)

    async def flags(self) -> FlagList:
        """The flags of `pycharrnn train` that a run may have, and the values of those with fields of their own."""
        return run_command.flag_list()

    async def command(self, asked: NewRun) -> Command:
        """The command that a new run would be, which is checked, but not run."""
        return await self._studio.command(asked)

    async def start(self, asked: NewRun) -> Run:
        """Put a new run at the end of the queue. One run trains at a time."""
        return await self._studio.start(asked)

    async def runs(self, if_none_match: etags.IfNoneMatch = None) -> Response:
        """All runs, and the queue of those that wait."""
        found = await self._studio.runs()
        return etags.tagged(found.model_dump_json().encode(), if_none_match)

    async def run(self, run_id: str) -> RunDetail:
        """A run with its curve of losses and its samples."""
        return await self._studio.run(run_id)

    async def stop(self, run_id: str, asked: Stop) -> Run:
        """Save and end a training, or take a run out of the queue. A second stop ends a training at once."""
        return await self._studio.stop(run_id, asked.at_once)

    async def go_on(self, run_id: str, asked: GoOn) -> Run:
        """Put a run into the queue again; it goes on from its newest checkpoint. Start a queue that is held."""
        return await self._studio.go_on(run_id, asked.minutes)

    async def reorder(self, asked: Queue) -> QueueOrder:
        """Change the order of the waiting runs."""
        return QueueOrder(queue=await self._studio.reorder(asked.runs))

    async def bring(self, request: Request, name: _Name) -> Brought:
        """Receive a checkpoint, or a page that holds models: the body is its bytes."""
        _require_bytes(request)
        try:
            path = model_files.incoming_path(name)
        except OSError as e:
            raise studio_paths.refusal_of(e, "can't keep the file") from e
        try:
            await _received(request, path, f"can't keep {os.path.basename(path)}")
            return await self._studio.bring(path)
        except OSError as e:
            raise studio_paths.refusal_of(e, f"can't keep {os.path.basename(path)}") from e
        finally:
            await asyncio.to_thread(shutil.rmtree, os.path.dirname(path), ignore_errors=True)

    async def send(
        self,
        model: _Model,
        format: Annotated[str, Query(max_length=20)],
        title: Annotated[str, Query(max_length=200)] = "",
        about: Annotated[str, Query(max_length=2000)] = "",
    ) -> FileResponse:
        """A model as a file of another format; `title` and `about` are the heading of a page and the words below it."""
        path = await self._studio.send(model, format, title, about)
        return _MadeFile(path)

    async def files_of_run(self, run_id: str) -> FilesToDelete:
        """The files that deleting a run would move to the trash."""
        return await self._studio.files_of_run(run_id)

    async def delete_run(self, run_id: str, asked: Nothing) -> Deleted:
        """Move the files of a run to the trash."""
        return await self._studio.delete_run(run_id)

    async def files_of_model(self, model: _Model) -> FilesToDelete:
        """The files that deleting a model would move to the trash."""
        return await self._studio.files_of_model(model)

    async def delete_model(self, asked: ModelNamed) -> Deleted:
        """Move the file of a model to the trash."""
        return await self._studio.delete_model(asked.model)

    async def trash(self, if_none_match: etags.IfNoneMatch = None) -> Response:
        """What is in the trash."""
        found = Trash(trash=await asyncio.to_thread(trash.entries))
        return etags.tagged(found.model_dump_json().encode(), if_none_match)

    async def undo(self, trash_id: str, asked: Nothing) -> Undone:
        """Move files back from the trash."""
        return await self._studio.undo(trash_id)
