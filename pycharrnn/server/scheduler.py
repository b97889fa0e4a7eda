"""Work of many clients at once on a few threads, in short turns, so that all get on and none blocks the server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
M = TypeVar("M", contravariant=True)
R = TypeVar("R", covariant=True)

_ROUND_SECONDS = 0.1  # in which every client should get its turn
_SHORTEST_TURN = 0.005  # seconds; in shorter ones, too large a part would be the change from one client to the next
_LONGEST_TURN = 0.02


class SchedulerClosed(Exception):
    """The server stops before the work is done."""


class Batch(Protocol[M, R]):
    """Work for several members that is done side by side, in less time than one after the other.

    Attributes:
        few: members that take little longer together than one of them.
        most: members that may share a turn.
    """

    few: int
    most: int

    def advance(self, members: Sequence[M], seconds: float) -> Sequence[tuple[R, bool]]:
        """Work for about so long: for each member, what has come of it, and whether there may be more."""


@dataclass(eq=False)
class _Turn:
    """A turn that a client waits for.

    Attributes:
        is_first: of this client.
        batch: whose turn it is; None for a turn of this client alone.
        work: for a turn alone, what to call; for one of a batch, the member.
        result: what comes of it.
    """

    is_first: bool
    batch: Batch[Any, Any] | None
    work: Any
    result: asyncio.Future[Any]


class _Lane:
    """Threads for turns.

    Attributes:
        free: how many turns may be begun on them now.
        newest_first: who is next: the client that came last, or the one that has waited longest. It alternates.
    """

    def __init__(self, threads: int, at_once: int, name: str) -> None:
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self.free = at_once
        self.newest_first = False

    def next(self, numbers: list[int]) -> int:
        """Which of the clients that wait, by their numbers in the order of asking, has the next turn."""
        self.newest_first = not self.newest_first
        return max(numbers) if self.newest_first else numbers[0]


class Scheduler:
    """Admits up to `max_clients` clients and gives them turns on `threads` threads.

    A turn runs an iterator for some milliseconds, or advances several members of a batch, those that wait just then, so
    that each of these joins and leaves at any turn. A client queues for its next turn only once it has taken the result
    of the last one: a slow client slows down nobody else, and the work for one that has left ends with its turn.

    Every second turn goes to the client that came last, and the other turns go round: a new client gets on beside any
    number of old ones, and none of these gets less than half of an equal share. A client's first turn need not wait for
    one of the threads: there is one more for first turns alone.

    Attributes:
        max_clients: how many clients are admitted at once.
        clients: how many are admitted now.
        closed: set this to True to admit nobody any more, and to end the work of those who were.
    """

    def __init__(self, max_clients: int, threads: int) -> None:
        self.max_clients = max_clients
        self.clients = 0
        self.closed = False
        self._at_once = threads + 1  # turns that are begun; one of them waits in the pool, so no thread is idle
        self._lane, self._lane_of_first = _Lane(threads, self._at_once, "turn"), _Lane(1, 1, "first-turn")
        self._waiting: dict[int, _Turn] = {}  # client's number -> its next turn, in the order of asking
        self._numbers = itertools.count()

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
        number, more, is_first = next(self._numbers), True, True
        while more:
            items, more = await self._in_turn(number, None, lambda: _take(iterator, self._seconds(1)), is_first)
            is_first = False
            yield items

    async def run_in_batch(self, batch: Batch[M, R], member: M) -> AsyncGenerator[R, None]:
        """What comes of a member's work, one result for each turn; none is alone where others of its batch wait too.

        Errors: SchedulerClosed, and those of the batch.
        """
        number, more = next(self._numbers), True
        while more:
            result, more = await self._in_turn(number, batch, member)
            yield result

    async def call(self, function: Callable[..., T], *args: object) -> T:
        """What `function(*args)` returns, run in one turn; it must take no longer than a turn does.

        Errors: SchedulerClosed, and those of the function.
        """
        found: T = await self._in_turn(next(self._numbers), None, partial(function, *args), is_first=True)
        return found

    async def _in_turn(self, number: int, batch: Batch[Any, Any] | None, work: object, is_first: bool = False) -> Any:
        """What comes of the next turn of a client."""
        loop = asyncio.get_running_loop()
        turn = self._waiting[number] = _Turn(is_first, batch, work, loop.create_future())
        loop.call_soon(self._begin_turns)  # soon, not now: others may be about to ask, who can share it
        try:
            return await turn.result
        finally:
            self._waiting.pop(number, None)  # where this client leaves before its turn has come

    def _begin_turns(self) -> None:
        """Give the turns that are free to those who are next."""
        lane = self._lane_of_first
        while lane.free and (numbers := [number for number, turn in self._waiting.items() if turn.is_first]):
            self._begin(lane, lane.next(numbers))
        lane = self._lane
        while lane.free and self._waiting:
            self._begin(lane, lane.next(list(self._waiting)))

    def _begin(self, lane: _Lane, number: int) -> None:
        """Begin the turn of a client, and of those who share it."""
        first = self._waiting.pop(number)
        if self.closed and not first.result.done():
            first.result.set_exception(SchedulerClosed())
        if first.result.done():  # or its client has left a moment ago
            return
        turns, work = [first], first.work
        if first.batch:
            turns += self._companions(first.batch)
            work = partial(first.batch.advance, [turn.work for turn in turns], self._seconds(len(turns)))
        lane.free -= 1
        done = partial(_call_soon, asyncio.get_running_loop(), self._end, lane, turns)
        lane.pool.submit(work).add_done_callback(done)

    def _companions(self, batch: Batch[Any, Any]) -> list[_Turn]:
        """The turns of others that are had along with one; they are taken from those that wait."""
        # Of many members, some can be drawn for while others are sent what has been drawn.
        most = min(max(batch.few, -(-self.clients // self._at_once)), batch.most)
        numbers = [number for number, turn in self._waiting.items() if turn.batch is batch and not turn.result.done()]
        return [self._waiting.pop(number) for number in numbers[: most - 1]]

    def _end(self, lane: _Lane, turns: list[_Turn], done: Future[Any]) -> None:
        """Hand out what has come of a turn, and go on to the next one."""
        error = done.exception()
        if error is None:
            results = done.result() if turns[0].batch else [done.result()]
        for k, turn in enumerate(turns):
            if turn.result.done():  # this client has left
                continue
            if error is None:
                turn.result.set_result(results[k])
            else:
                turn.result.set_exception(error)
        lane.free += 1
        # soon, not now: the clients whose turn ends may ask for the next one first
        asyncio.get_running_loop().call_soon(self._begin_turns)

    def _seconds(self, clients: int) -> float:
        """How long a turn should be that so many clients share."""
        return min(max(_ROUND_SECONDS * clients / max(self.clients, 1), _SHORTEST_TURN), _LONGEST_TURN)


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *args: object) -> None:
    """Have an event loop call a function, from another thread; nothing if the loop has ended."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *args)


def _take(iterator: Iterator[T], seconds: float) -> tuple[list[T], bool]:
    """What `iterator` yields in this time, and whether there may be more."""
    end = time.monotonic() + seconds
    items = []
    for item in iterator:
        items.append(item)
        if time.monotonic() >= end:
            return items, True
    return items, False
