"""Reads the JSON of requests, within limits of memory and of time on the event loop."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

from pycharrnn.server.line_stream import STOPPING
from pycharrnn.server.scheduler import SchedulerClosed

_SMALL_BODY = 1 << 12  # bytes; parsed on the event loop
_MAX_FIELDS = 100  # of an object: more than any request has, so few that they take little memory


class JsonRoute(APIRoute):
    """A route whose handler takes a body of JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_request(request: Request) -> Response:
            return await handle(_Request(request.scope, request.receive))

        return handle_request


class _Request(Request):
    """Parses large bodies in a turn of the scheduler, so that they do not block the event loop."""

    async def json(self) -> Any:
        """The parsed body. Errors: ValueError; HTTPException for too many fields, or when the server is stopping."""
        body = await self.body()
        if len(body) <= _SMALL_BODY:
            return _parse_json(body)
        try:
            return await self.app.state.scheduler.call(_parse_json, body)
        except SchedulerClosed:
            raise HTTPException(503, STOPPING) from None


def _parse_json(body: bytes) -> Any:
    """Errors: json.JSONDecodeError; HTTPException for what FastAPI would not name."""
    try:
        return json.loads(body, object_pairs_hook=_json_object)
    except json.JSONDecodeError:
        raise
    except UnicodeDecodeError as e:
        raise HTTPException(422, f"the body is not JSON: invalid UTF-8, at {e.start}.") from None
    except RecursionError:
        raise HTTPException(422, "a body of so many nested lists or objects is not part of any request.") from None
    except ValueError:  # sys.get_int_max_str_digits
        raise HTTPException(422, "a number of so many digits is not part of any request.") from None


def _json_object(fields: list[tuple[str, object]]) -> dict[str, object]:
    """Errors: HTTPException for more fields than any request has."""
    if len(fields) > _MAX_FIELDS:
        raise HTTPException(422, f"an object of {len(fields)} fields is not part of any request.")
    return dict(fields)
