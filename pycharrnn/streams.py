"""Work of many clients at once on a few threads, in short turns, so that all get on and none blocks the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

from starlette.responses import JSONResponse, Response

from pycharrnn.options import UserError

_ROUND = 0.1  # seconds in which every client should get its turn
_TURN = (0.002, 0.02)  # a turn is no shorter and no longer: the shorter, the more of it is handing over


class Desk:
    """Takes in up to `places` clients and gives them turns on `threads` threads.

    A turn runs an iterator for some milliseconds. A client queues for the next turn only once it has taken the result
    of the last one: a slow client slows down nobody else, and the work of one that has left ends with its turn.
    """

    def __init__(self, places: int, threads: int):
        self.places = places
        self.taken = 0
        self.closed = False
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="turn")

    @contextlib.contextmanager
    def place(self) -> Iterator[bool]:
        """A place for one client, given back at the end; False where all are taken."""
        free = self.taken < self.places and not self.closed
        self.taken += free
        try:
            yield free
        finally:
            self.taken -= free

    async def turns(self, iterator: Iterator) -> AsyncIterator[list]:
        """What `iterator` yields, a turn at a time; ends early when the desk has closed."""
        loop = asyncio.get_running_loop()
        more = True
        while more and not self.closed:
            seconds = min(max(_ROUND / max(self.taken, 1), _TURN[0]), _TURN[1])
            items, more = await loop.run_in_executor(self._pool, _turn, iterator, seconds)
            yield items


def _turn(iterator: Iterator, seconds: float) -> tuple[list, bool]:
    end = time.monotonic() + seconds
    items = []
    for item in iterator:
        items.append(item)
        if time.monotonic() >= end:
            return items, True
    return items, False


def busy() -> Response:
    return JSONResponse({"detail": "all places are taken: try again in a moment."}, 503, {"Retry-After": "5"})


class LineStream(Response):
    """An iterator of JSON objects as lines (application/x-ndjson), sent as they come.

    Ends when the client leaves, or after `limit` seconds, however slowly it reads. An error that the user can mend
    becomes a last line {"error": ...}.
    """

    media_type = "application/x-ndjson"

    def __init__(self, desk: Desk, iterator: Iterator[dict], limit: float):
        super().__init__()
        del self.headers["content-length"]
        self._desk, self._iterator, self._limit = desk, _with_error(iterator), limit

    async def __call__(self, scope, receive, send) -> None:
        with self._desk.place() as free:
            if not free:
                await busy()(scope, receive, send)
                return
            tasks = {asyncio.create_task(self._send(send)), asyncio.create_task(_gone(receive))}
            try:
                done, _ = await asyncio.wait(tasks, timeout=self._limit, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            for task in done:
                task.result()

    async def _send(self, send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with contextlib.aclosing(self._desk.turns(self._iterator)) as turns:
            async for items in turns:
                await send({"type": "http.response.body", "body": _lines(items), "more_body": True})
        last = [{"error": "the server is stopping."}] if self._desk.closed else []
        await send({"type": "http.response.body", "body": _lines(last)})


def _with_error(iterator: Iterator[dict]) -> Iterator[dict]:
    try:
        yield from iterator
    except UserError as e:
        yield {"error": str(e)}


def _lines(items: list[dict]) -> bytes:
    return "".join(json.dumps(item, separators=(",", ":")) + "\n" for item in items).encode()


async def _gone(receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
