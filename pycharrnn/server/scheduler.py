"""Runs the work of many clients on a few threads, in short turns, so that no client waits long for another."""

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

_ROUND_SECONDS = 0.1  # in which every client should get a turn
_MIN_TURN = 0.005  # seconds; the overhead of a turn would weigh too much in shorter ones
_MAX_TURN = 0.02
_NICE = 3  # added to the nice value of threads for later turns: half the CPU weight of the event loop


class SchedulerClosed(Exception):
    """The server stopped before the work was complete."""


class Batch(Protocol[M, R]):
    """Work that several members share at less cost than one after the other."""

    min_batch: int  # number of members that cost little more than one
    max_batch: int  # largest number of members in a turn

    def advance(self, members: Sequence[M], seconds: float) -> Sequence[tuple[R, bool]]:
        """Work for about this time. Returns (result, whether there may be more) of each member."""


@dataclass(eq=False)
class _Turn:
    """A turn that a client waits for."""

    batch: Batch[Any, Any] | None  # of a shared turn; None for a turn of this client alone
    work: Any  # the function to call; for a shared turn, the member of the batch
    result: asyncio.Future[Any]


class _FirstTurns:
    """The queue of first turns and its thread, which takes one after the other without waiting for the event loop."""

    def __init__(self) -> None:
        self.unfinished = 0  # number of turns, including the running one
        self._pool = ThreadPoolExecutor(1, "first-turn")
        self._waiting: collections.deque[_Turn] = collections.deque()  # the oldest first
        self._newest_next = itertools.cycle((True, False))

    def add(self, turn: _Turn, run: Callable[[], None]) -> None:
        """Queue a turn; the thread will call `run`, which takes the `next` turn."""
        self.unfinished += 1
        self._waiting.append(turn)
        self._pool.submit(run)

    def next(self) -> _Turn | None:
        """Alternately the newest and the oldest waiting turn; None if none waits."""
        with contextlib.suppress(IndexError):
            while True:
                turn = self._waiting.pop() if next(self._newest_next) else self._waiting.popleft()
                if not turn.result.done():  # else its client has disconnected
                    return turn
        return None


class Scheduler:
    """Admits up to `max_clients` clients and gives them turns on `threads` threads.

    A turn runs an iterator for some milliseconds, or advances the waiting members of a batch. A client queues for its
    next turn when it has consumed the last result. So a slow client delays nobody. The work for a disconnected client
    ends with its turn.

    Every second turn goes to the newest client, the others go round robin: a new client progresses beside any number of
    old ones, and each of these gets at least half of an equal share. First turns have a thread of their own and use
    idle threads too.
    """

    def __init__(self, max_clients: int, threads: int) -> None:
        self.max_clients = max_clients
        self.clients = 0  # admitted now
        self.closed = False  # set to True to refuse new clients and end the work of the others
        self._at_once = threads + 1  # submitted later turns; one of them waits in the pool, so that no thread is idle
        self._free = self._at_once  # number of turns that may be submitted now
        self._pool = ThreadPoolExecutor(threads, "turn", initializer=_lower_priority)
        self._first_turns = _FirstTurns()
        self._waiting: dict[int, _Turn] = {}  # client's number -> its next turn, the oldest first
        self._newest_next = itertools.cycle((True, False))
        self._numbers = itertools.count()

    @contextlib.contextmanager
    def admit(self) -> Iterator[bool]:
        """Admit one client for the duration of the `with` block; False if max_clients are admitted."""
        admitted = self.clients < self.max_clients and not self.closed
        self.clients += admitted
        try:
            yield admitted
        finally:
            self.clients -= admitted

    async def run(self, iterator: Iterator[T]) -> AsyncGenerator[list[T], None]:
        """Run an iterator. Yields a list of items for each turn. Errors: SchedulerClosed, those of the iterator."""
        number, more, is_first = next(self._numbers), True, True
        while more:
            items, more = await self._in_turn(number, None, lambda: _take(iterator, self._seconds(1)), is_first)
            is_first = False
            yield items

    async def run_in_batch(self, batch: Batch[M, R], member: M) -> AsyncGenerator[R, None]:
        """Advance a member of a batch. Yields a result for each turn. Errors: SchedulerClosed, those of the batch."""
        number, more = next(self._numbers), True
        while more:
            result, more = await self._in_turn(number, batch, member)
            yield result

    async def call(self, function: Callable[..., T], *args: object) -> T:
        """Call a short function in one turn. Errors: SchedulerClosed, those of the function."""
        result: T = await self._in_turn(next(self._numbers), None, partial(function, *args), is_first=True)
        return result

    async def _in_turn(self, number: int, batch: Batch[Any, Any] | None, work: object, is_first: bool = False) -> Any:
        loop = asyncio.get_running_loop()
        turn = _Turn(batch, work, loop.create_future())
        if is_first:
            self._first_turns.add(turn, partial(self._run_first, loop))
        else:
            self._waiting[number] = turn
        loop.call_soon(self._begin_turns)  # soon, not now: clients that can share the turn may be about to queue
        try:
            return await turn.result
        finally:
            self._waiting.pop(number, None)  # if the client disconnects before its turn
            del turn, work  # an error's traceback has this frame, which would keep the error and the client's model

    def _run_first(self, loop: asyncio.AbstractEventLoop) -> None:
        turn, done = self._first_turns.next(), Future[Any]()
        if turn:
            try:
                if self.closed:
                    raise SchedulerClosed
                done.set_result(turn.work())
            except BaseException as e:
                done.set_exception(e)
        _call_soon(loop, self._end_first, turn, done)
        del turn, done  # as in _in_turn

    def _end_first(self, turn: _Turn | None, done: Future[Any]) -> None:
        self._first_turns.unfinished -= 1
        if turn:
            _deliver([turn], done)

    def _begin_turns(self) -> None:
        """Submit as many waiting turns as may run."""
        while self._free > 1 and self._first_turns.unfinished > 1 and (turn := self._first_turns.next()):
            self._begin(turn)  # the thread for first turns is busy, another one is idle
        while self._free and self._waiting:
            numbers = list(self._waiting)
            self._begin(self._waiting.pop(max(numbers) if next(self._newest_next) else numbers[0]))

    def _begin(self, first: _Turn) -> None:
        """Submit the turn of a client and of those that share it."""
        if self.closed and not first.result.done():
            first.result.set_exception(SchedulerClosed())
        if first.result.done():  # closed, or its client has disconnected
            return
        turns, work = [first], first.work
        if first.batch:
            turns += self._sharing(first.batch)
            work = partial(first.batch.advance, [turn.work for turn in turns], self._seconds(len(turns)))
        self._free -= 1
        done = partial(_call_soon, asyncio.get_running_loop(), self._end, turns)
        self._pool.submit(work).add_done_callback(done)

    def _sharing(self, batch: Batch[Any, Any]) -> list[_Turn]:
        """Remove from the waiting turns those that share a turn of this batch."""
        # Not all of many members: while some are sampled, the results of others are sent.
        size = min(max(batch.min_batch, -(-self.clients // self._at_once)), batch.max_batch)
        numbers = [number for number, turn in self._waiting.items() if turn.batch is batch and not turn.result.done()]
        return [self._waiting.pop(number) for number in numbers[: size - 1]]

    def _end(self, turns: list[_Turn], done: Future[Any]) -> None:
        _deliver(turns, done)
        self._free += 1
        # soon, not now: the clients of this turn may queue for the next one first
        asyncio.get_running_loop().call_soon(self._begin_turns)

    def _seconds(self, clients: int) -> float:
        """The length of a turn that this number of clients share."""
        return min(max(_ROUND_SECONDS * clients / max(self.clients, 1), _MIN_TURN), _MAX_TURN)


def _deliver(turns: list[_Turn], done: Future[Any]) -> None:
    error = done.exception()
    if error is None:
        results = done.result() if turns[0].batch else [done.result()]
    for k, turn in enumerate(turns):
        if turn.result.done():  # its client has disconnected
            continue
        if error is None:
            turn.result.set_result(results[k])
        else:
            turn.result.set_exception(error)


def _lower_priority() -> None:
    """Lower the priority of the calling thread; only Linux has priorities of threads."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICE)


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *args: object) -> None:
    """Schedule a call on an event loop from another thread, unless the loop is closed."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *args)


def _take(iterator: Iterator[T], seconds: float) -> tuple[list[T], bool]:
    """(items that the iterator yields in this time, whether there may be more)."""
    end = time.perf_counter() + seconds
    items = []
    for item in iterator:
        items.append(item)
        if time.perf_counter() >= end:
            return items, True
    return items, False
