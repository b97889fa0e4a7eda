"""A response of JSON lines that are sent as the scheduler's turns produce them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from pycharrnn.server.scheduler import Scheduler, SchedulerClosed

STOPPING = "the server is stopping."
RETRY = {"Retry-After": "5"}  # seconds


def unavailable(detail: str = "all places are taken: try again in a moment.") -> JSONResponse:
    """The response to a client that the scheduler does not admit."""
    return JSONResponse({"detail": detail}, 503, RETRY)


class LineStream(Response):
    """Streams the JSON lines of `turns` until the client disconnects. An HTTPException before them is the response."""

    media_type = "application/x-ndjson"

    def __init__(self, scheduler: Scheduler, turns: AsyncGenerator[str, None]) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._scheduler, self._turns = scheduler, turns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._scheduler.admit() as admitted:
            if not admitted:
                await unavailable()(scope, receive, send)
                return
            tasks = {
                asyncio.create_task(self._respond(scope, receive, send)),
                asyncio.create_task(_disconnected(receive)),
            }
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            for task in done:
                task.result()

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with contextlib.aclosing(self._turns) as turns:
            try:
                first = await anext(turns)
            except SchedulerClosed:
                await unavailable(STOPPING)(scope, receive, send)
                return
            except HTTPException as e:
                await JSONResponse({"detail": e.detail}, e.status_code)(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": first.encode(), "more_body": True})
            last = ""
            try:
                async for lines in turns:
                    if lines:
                        await send({"type": "http.response.body", "body": lines.encode(), "more_body": True})
            except SchedulerClosed:
                last = json.dumps({"error": STOPPING}, separators=(",", ":")) + "\n"
        await send({"type": "http.response.body", "body": last.encode()})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
