"""Work of many clients at once on a few threads, in short turns, so that all get on and none blocks the server."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import os
import sys
import threading
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
_NICE = 3  # added to the nice value of threads for later turns: half the CPU weight of the event loop


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
        batch: whose turn it is; None for a turn of this client alone.
        work: for a turn alone, what to call; for one of a batch, the member.
        result: what comes of it.
    """

    batch: Batch[Any, Any] | None
    work: Any
    result: asyncio.Future[Any]


class _FirstTurns:
    """First turns, and a thread for them, which goes on from one to the next without waiting for the event loop.

    Attributes:
        unfinished: how many there are, those included that the thread has begun.
    """

    def __init__(self) -> None:
        self.unfinished = 0
        self._pool = ThreadPoolExecutor(1, "first-turn")
        self._waiting: collections.deque[_Turn] = collections.deque()  # in the order of asking
        self._newest_next = itertools.cycle((True, False))

    def add(self, turn: _Turn, run: Callable[[], None]) -> None:
        """Have one begun as soon as the thread is free, by `run`, which asks for the `next` one."""
        self.unfinished += 1
        self._waiting.append(turn)
        self._pool.submit(run)

    def next(self) -> _Turn | None:
        """Of the client that came last, or of the one that has waited longest, in turns; None if none waits."""
        with contextlib.suppress(IndexError):
            while True:
                turn = self._waiting.pop() if next(self._newest_next) else self._waiting.popleft()
                if not turn.result.done():  # else its client has left
                    return turn
        return None


class Scheduler:
    """Admits up to `max_clients` clients and gives them turns on `threads` threads.

    A turn runs an iterator for some milliseconds, or advances several members of a batch, those that wait just then, so
    that each of these joins and leaves at any turn. A client queues for its next turn only once it has taken the result
    of the last one: a slow client slows down nobody else, and the work for one that has left ends with its turn.

    Every second turn goes to the client that came last, and the other turns go round: a new client gets on beside any
    number of old ones, and none of these gets less than half of an equal share. A client's first turn does not wait for
    one of the threads, unless one is idle: there is one more for first turns alone.

    Attributes:
        max_clients: how many clients are admitted at once.
        clients: how many are admitted now.
        closed: set this to True to admit nobody any more, and to end the work of those who were.
    """

    def __init__(self, max_clients: int, threads: int) -> None:
        self.max_clients = max_clients
        self.clients = 0
        self.closed = False
        self._at_once = threads + 1  # later turns that are begun; one of them waits in the pool, so no thread is idle
        self._free = self._at_once  # how many may be begun now
        self._pool = ThreadPoolExecutor(threads, "turn", initializer=_lower_priority)
        self._first_turns = _FirstTurns()
        self._waiting: dict[int, _Turn] = {}  # client's number -> its next turn, in the order of asking
        self._newest_next = itertools.cycle((True, False))
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
        turn = _Turn(batch, work, loop.create_future())
        if is_first:
            self._first_turns.add(turn, partial(self._run_first, loop))
        else:
            self._waiting[number] = turn
        loop.call_soon(self._begin_turns)  # soon, not now: others may be about to ask, who can share it
        try:
            return await turn.result
        finally:
            self._waiting.pop(number, None)  # where this client leaves before its turn has come

    def _run_first(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run a first turn, if one waits, on the thread for them."""
        turn, done = self._first_turns.next(), Future[Any]()
        if turn:
            try:
                if self.closed:
                    raise SchedulerClosed
                done.set_result(turn.work())
            except BaseException as e:
                done.set_exception(e)
        _call_soon(loop, self._end_first, turn, done)

    def _end_first(self, turn: _Turn | None, done: Future[Any]) -> None:
        """Hand out what has come of a first turn."""
        self._first_turns.unfinished -= 1
        if turn:
            _hand_out([turn], done)

    def _begin_turns(self) -> None:
        """Give the turns that are free to those who are next."""
        while self._free > 1 and self._first_turns.unfinished > 1 and (turn := self._first_turns.next()):
            self._begin(turn)  # the thread for first turns is taken, another one is idle
        while self._free and self._waiting:
            numbers = list(self._waiting)
            self._begin(self._waiting.pop(max(numbers) if next(self._newest_next) else numbers[0]))

    def _begin(self, first: _Turn) -> None:
        """Begin the turn of a client, and of those who share it."""
        if self.closed and not first.result.done():
            first.result.set_exception(SchedulerClosed())
        if first.result.done():  # or its client has left a moment ago
            return
        turns, work = [first], first.work
        if first.batch:
            turns += self._companions(first.batch)
            work = partial(first.batch.advance, [turn.work for turn in turns], self._seconds(len(turns)))
        self._free -= 1
        done = partial(_call_soon, asyncio.get_running_loop(), self._end, turns)
        self._pool.submit(work).add_done_callback(done)

    def _companions(self, batch: Batch[Any, Any]) -> list[_Turn]:
        """The turns of others that are had along with one; they are taken from those that wait."""
        # Of many members, some can be drawn for while others are sent what has been drawn.
        most = min(max(batch.few, -(-self.clients // self._at_once)), batch.most)
        numbers = [number for number, turn in self._waiting.items() if turn.batch is batch and not turn.result.done()]
        return [self._waiting.pop(number) for number in numbers[: most - 1]]

    def _end(self, turns: list[_Turn], done: Future[Any]) -> None:
        """Hand out what has come of a turn, and go on to the next one."""
        _hand_out(turns, done)
        self._free += 1
        # soon, not now: the clients whose turn ends may ask for the next one first
        asyncio.get_running_loop().call_soon(self._begin_turns)

    def _seconds(self, clients: int) -> float:
        """How long a turn should be that so many clients share."""
        return min(max(_ROUND_SECONDS * clients / max(self.clients, 1), _SHORTEST_TURN), _LONGEST_TURN)


def _hand_out(turns: list[_Turn], done: Future[Any]) -> None:
    """Give each client what has come of the turn that it had, or shared."""
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


def _lower_priority() -> None:
    """Of the thread that calls it. Only Linux has priorities of threads; elsewhere nothing happens."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICE)


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *args: object) -> None:
    """Have an event loop call a function, from another thread; nothing if the loop has ended."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *args)


def _take(iterator: Iterator[T], seconds: float) -> tuple[list[T], bool]:
    """What `iterator` yields in this time, and whether there may be more."""
    end = time.perf_counter() + seconds
    items = []
    for item in iterator:
        items.append(item)
        if time.perf_counter() >= end:
            return items, True
    return items, False
