"""Work of many clients at once on a few threads, in short turns, so that all get on and none blocks the server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from pycharrnn.common.errors import UserError

STOPPING = "the server is stopping."
_ROUND = 0.1  # seconds in which every client should get its turn
_TURN = (0.005, 0.02)  # a turn is no shorter and no longer: the shorter, the more of it is handing over


class Stopping(Exception):
    """The desk closes before the work is done."""


class Desk:
    """Takes in up to `places` clients and gives them turns on `threads` threads.

    A turn runs an iterator for some milliseconds. A client queues for the next turn only once it has taken the result
    of the last one: a slow client slows down nobody else, and the work of one that has left ends with its turn.

    Every second turn goes to the client that came last, the others go round: a new client gets on beside any number of
    old ones, and none of these gets less than half of an equal share.
    """

    def __init__(self, places: int, threads: int):
        self.places = places
        self.taken = 0
        self.closed = False
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="turn")
        self._free = threads + 1  # turns that may be handed to the pool; one queues there, so that no thread rests
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future] = {}  # number of a client -> its next turn, in the order of asking
        self._last_first = False

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
        """What `iterator` yields, a turn at a time.

        Errors: Stopping.
        """
        number, more = next(self._numbers), True
        while more:
            seconds = min(max(_ROUND / max(self.taken, 1), _TURN[0]), _TURN[1])
            items, more = await self._run(number, _take, iterator, seconds)
            yield items

    async def one_turn(self, function: Callable, *args):
        """What the function returns, for what takes less than a turn.

        Errors: Stopping, and those of the function.
        """
        return await self._run(next(self._numbers), function, *args)

    async def _run(self, number: int, function: Callable, *args):
        async with self._turn(number):
            if self.closed:
                raise Stopping
            return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    @contextlib.asynccontextmanager
    async def _turn(self, number: int) -> AsyncIterator[None]:
        if self._free:
            self._free -= 1
        else:
            mine = self._waiting[number] = asyncio.get_running_loop().create_future()
            try:
                await mine
            except asyncio.CancelledError:
                self._waiting.pop(number, None)
                if not mine.cancelled():
                    self._hand_on()
                raise
        try:
            yield
        finally:  # soon, not now: a client whose turn this was may want the next one too
            asyncio.get_running_loop().call_soon(self._hand_on)

    def _hand_on(self) -> None:
        """Give a turn that has ended to whoever is next."""
        while self._waiting:
            self._last_first = not self._last_first
            number = max(self._waiting) if self._last_first else next(iter(self._waiting))
            following = self._waiting.pop(number)
            if not following.cancelled():
                following.set_result(None)
                return
        self._free += 1


def _take(iterator: Iterator, seconds: float) -> tuple[list, bool]:
    """What `iterator` yields in this time, and whether there may be more."""
    end = time.monotonic() + seconds
    items = []
    for item in iterator:
        items.append(item)
        if time.monotonic() >= end:
            return items, True
    return items, False


def unavailable(detail: str = "all places are taken: try again in a moment.") -> Response:
    return JSONResponse({"detail": detail}, 503, {"Retry-After": "5"})


class LineStream(Response):
    """JSON objects as lines (application/x-ndjson), sent as they come.

    Ends when the client leaves. An error that the user can mend becomes a last line {"error": ...}.

    Args:
        begin: makes the iterator over the objects. It runs in a turn, and what it raises as an HTTPException becomes
            the answer.
    """

    media_type = "application/x-ndjson"

    def __init__(self, desk: Desk, begin: Callable[[], Iterator[dict]]):
        super().__init__()
        del self.headers["content-length"]
        self._desk, self._begin = desk, begin

    async def __call__(self, scope, receive, send) -> None:
        with self._desk.place() as free:
            if not free:
                await unavailable()(scope, receive, send)
                return
            tasks = {asyncio.create_task(self._answer(scope, receive, send)), asyncio.create_task(_gone(receive))}
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            for task in done:
                task.result()

    async def _answer(self, scope, receive, send) -> None:
        async with contextlib.aclosing(self._desk.turns(self._events())) as turns:
            try:
                first = await anext(turns)
            except Stopping:
                await unavailable(STOPPING)(scope, receive, send)
                return
            except HTTPException as e:
                await JSONResponse({"detail": e.detail}, e.status_code)(scope, receive, send)
                return
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": _lines(first), "more_body": True})
            last = []
            try:
                async for items in turns:
                    await send({"type": "http.response.body", "body": _lines(items), "more_body": True})
            except Stopping:
                last = [{"error": STOPPING}]
        await send({"type": "http.response.body", "body": _lines(last)})

    def _events(self) -> Iterator[dict]:
        try:
            yield from self._begin()
        except UserError as e:
            yield {"error": str(e)}


def _lines(items: list[dict]) -> bytes:
    return "".join(json.dumps(item, separators=(",", ":")) + "\n" for item in items).encode()


async def _gone(receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
