"""An answer of JSON lines that are sent while they are made, in the scheduler's turns."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from pycharrnn.common.errors import UserError
from pycharrnn.server.scheduler import Scheduler, SchedulerClosed

STOPPING = "the server is stopping."
RETRY = {"Retry-After": "5"}  # seconds


def unavailable(detail: str = "all places are taken: try again in a moment.") -> JSONResponse:
    """The answer to a client that the scheduler does not serve now."""
    return JSONResponse({"detail": detail}, 503, RETRY)


class LineStream(Response):
    """JSON objects as lines (application/x-ndjson), sent as they come.

    Ends when the client leaves. A UserError becomes a last line {"error": ...}.

    Args:
        start: makes the iterator over the objects, and None where a turn may end. It runs in a turn, and an
            HTTPException that it raises becomes the answer.
    """

    media_type = "application/x-ndjson"

    def __init__(self, scheduler: Scheduler, start: Callable[[], Iterator[dict[str, object] | None]]) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._scheduler, self._start = scheduler, start

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, as ASGI has it."""
        with self._scheduler.admit() as admitted:
            if not admitted:
                await unavailable()(scope, receive, send)
                return
            tasks = {
                asyncio.create_task(self._answer(scope, receive, send)),
                asyncio.create_task(_client_has_left(receive)),
            }
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            for task in done:
                task.result()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with contextlib.aclosing(self._scheduler.run(self._objects())) as turns:
            try:
                first = await anext(turns)
            except SchedulerClosed:
                await unavailable(STOPPING)(scope, receive, send)
                return
            except HTTPException as e:
                await JSONResponse({"detail": e.detail}, e.status_code)(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": _as_lines(first), "more_body": True})
            last: list[dict[str, object] | None] = []
            try:
                async for objects in turns:
                    await send({"type": "http.response.body", "body": _as_lines(objects), "more_body": True})
            except SchedulerClosed:
                last = [{"error": STOPPING}]
        await send({"type": "http.response.body", "body": _as_lines(last)})

    def _objects(self) -> Iterator[dict[str, object] | None]:
        try:
            yield from self._start()
        except UserError as e:
            yield {"error": str(e)}


def _as_lines(objects: list[dict[str, object] | None]) -> bytes:
    return "".join(json.dumps(one, separators=(",", ":")) + "\n" for one in objects if one is not None).encode()


async def _client_has_left(receive: Receive) -> None:
    """Return when the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
