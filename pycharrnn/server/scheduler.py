"""Work of many clients at once on a few threads, in short turns, so that all get on and none blocks the server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_ROUND_SECONDS = 0.1  # in which every client should get its turn
_SHORTEST_TURN = 0.005  # seconds; in shorter ones, too large a part would be the change from one client to the next
_LONGEST_TURN = 0.02


class SchedulerClosed(Exception):
    """The server stops before the work is done."""


class Scheduler:
    """Admits up to `max_clients` clients and gives them turns on `threads` threads.

    A turn runs an iterator for some milliseconds. A client queues for its next turn only once it has taken the result
    of the last one: a slow client slows down nobody else, and the work for one that has left ends with its turn.

    Every second turn goes to the client that came last, and the other turns go round: a new client gets on beside any
    number of old ones, and none of these gets less than half of an equal share.

    Attributes:
        max_clients: how many clients are admitted at once.
        clients: how many are admitted now.
        closed: set this to True to admit nobody any more, and to end the work of those who were.
    """

    def __init__(self, max_clients: int, threads: int) -> None:
        self.max_clients = max_clients
        self.clients = 0
        self.closed = False
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="turn")
        self._free_turns = threads + 1  # turns that may start now; one of them waits in the pool, so no thread is idle
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[None]] = {}  # client's number -> its next turn, in the order of asking
        self._newest_first = False

    @contextlib.contextmanager
    def admit(self) -> Iterator[bool]:
        """Admit one client until the end of the `with` block; False where there are as many as there may be."""
        admitted = self.clients < self.max_clients and not self.closed
        self.clients += admitted
        try:
            yield admitted
        finally:
            self.clients -= admitted

    async def run(self, iterator: Iterator[T]) -> AsyncGenerator[list[T], None]:
        """What `iterator` yields, a list for each turn, which may be empty.

        Errors: SchedulerClosed, and those of the iterator.
        """
        number, more = next(self._numbers), True
        while more:
            seconds = min(max(_ROUND_SECONDS / max(self.clients, 1), _SHORTEST_TURN), _LONGEST_TURN)
            items, more = await self._run_in_turn(number, _take, iterator, seconds)
            yield items

    async def call(self, function: Callable[..., T], *args: object) -> T:
        """What `function(*args)` returns, run in one turn; it must take no longer than a turn does.

        Errors: SchedulerClosed, and those of the function.
        """
        return await self._run_in_turn(next(self._numbers), function, *args)

    async def _run_in_turn(self, number: int, function: Callable[..., T], *args: object) -> T:
        async with self._turn(number):
            if self.closed:
                raise SchedulerClosed
            return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

    @contextlib.asynccontextmanager
    async def _turn(self, number: int) -> AsyncIterator[None]:
        """Wait until it is this client's turn; the end of the block is the end of the turn."""
        if self._free_turns:
            self._free_turns -= 1
        else:
            mine = self._waiting[number] = asyncio.get_running_loop().create_future()
            try:
                await mine
            except asyncio.CancelledError:
                self._waiting.pop(number, None)
                if not mine.cancelled():  # the turn had been given to this client, which does not take it
                    self._pass_on()
                raise
        try:
            yield
        finally:  # soon, not now: the client whose turn ends may ask for the next one first
            asyncio.get_running_loop().call_soon(self._pass_on)

    def _pass_on(self) -> None:
        """Give a turn that has ended to whoever is next."""
        while self._waiting:
            self._newest_first = not self._newest_first
            number = max(self._waiting) if self._newest_first else next(iter(self._waiting))
            turn = self._waiting.pop(number)
            if not turn.cancelled():
                turn.set_result(None)
                return
        self._free_turns += 1


def _take(iterator: Iterator[T], seconds: float) -> tuple[list[T], bool]:
    """What `iterator` yields in this time, and whether there may be more."""
    end = time.monotonic() + seconds
    items = []
    for item in iterator:
        items.append(item)
        if time.monotonic() >= end:
            return items, True
    return items, False
