"""Turns of many clients: who is admitted, how long a turn is, and what becomes of turns that nobody takes."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time

import pytest

from pycharrnn.server import scheduler as module
from pycharrnn.server.scheduler import Scheduler, SchedulerClosed

PATIENCE = 300  # seconds after which a test gives up


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario, PATIENCE))


def test_as_many_clients_are_admitted_as_there_may_be():
    scheduler = Scheduler(2, threads=1)
    with scheduler.admit() as first, scheduler.admit() as second:
        assert first
        assert second
        with scheduler.admit() as third:
            assert not third
            assert scheduler.clients == 2
        assert scheduler.clients == 2
    assert scheduler.clients == 0
    scheduler.closed = True
    with scheduler.admit() as late:
        assert not late


@pytest.mark.parametrize("clients, seconds", [(0, 0.02), (1, 0.02), (5, 0.02), (10, 0.01), (20, 0.005), (500, 0.005)])
def test_turns_are_the_shorter_the_more_clients_there_are(monkeypatch, clients, seconds):
    given = []
    take = module._take
    monkeypatch.setattr(module, "_take", lambda iterator, time: given.append(time) or take(iterator, time))
    scheduler = Scheduler(1000, threads=1)
    scheduler.clients = clients

    async def scenario():
        assert [items async for items in scheduler.run(iter("ab"))] == [["a", "b"]]

    run(scenario())
    assert given == [pytest.approx(seconds)]


def test_a_turn_ends_with_its_time(monkeypatch):
    now = 0.0
    monkeypatch.setattr(module.time, "perf_counter", lambda: now)

    def work():
        nonlocal now
        for k in range(5):
            now += 1
            yield k

    iterator = work()
    assert module._take(iterator, 2) == ([0, 1], True)
    assert module._take(iterator, 2) == ([2, 3], True)
    assert module._take(iterator, 2) == ([4], False)
    assert module._take(iterator, 2) == ([], False)


def test_nothing_is_begun_once_the_scheduler_is_closed():
    scheduler = Scheduler(2, threads=1)
    scheduler.closed = True
    done = []

    async def scenario():
        with pytest.raises(SchedulerClosed):
            await scheduler.call(done.append, "never")

    run(scenario())
    assert done == []


def test_a_scheduler_that_is_closed_ends_what_runs(monkeypatch):
    monkeypatch.setattr(module, "_MAX_TURN", 0)  # one item a turn
    monkeypatch.setattr(module, "_MIN_TURN", 0)
    scheduler = Scheduler(2, threads=1)
    items = iter(range(100))

    async def scenario():
        got = []
        with pytest.raises(SchedulerClosed):
            async for some in scheduler.run(items):
                got += some
                scheduler.closed = len(got) == 3
        return got

    assert run(scenario()) == [0, 1, 2]
    assert next(items) == 3  # no turn has begun since


def test_what_a_call_returns_and_raises():
    scheduler = Scheduler(2, threads=1)

    async def scenario():
        assert await scheduler.call(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await scheduler.call(divmod, 7, 0)
        assert await scheduler.call(threading.get_ident) != threading.get_ident()

    run(scenario())


@pytest.fixture
def one_item_a_turn(monkeypatch):
    monkeypatch.setattr(module, "_MAX_TURN", 0)
    monkeypatch.setattr(module, "_MIN_TURN", 0)


async def in_second_turn(scheduler: Scheduler, function, *args):
    """What a function returns, called in a client's second turn."""
    _, (found,) = [items async for items in scheduler.run(f(*given) for f, given in ((int, ()), (function, args)))][:2]
    return found


def test_no_more_turns_run_than_there_are_threads_and_none_is_lost(one_item_a_turn):
    """Of each batch some are cancelled before their turn; then all later ones still run, two at a time."""
    scheduler = Scheduler(100, threads=2)
    both = threading.Barrier(2)

    async def scenario():
        for _ in range(10):
            tasks = [asyncio.create_task(in_second_turn(scheduler, int)) for _ in range(10)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(in_second_turn(scheduler, both.wait, PATIENCE) for _ in range(2)))
        await asyncio.sleep(0.01)
        assert (scheduler._free, scheduler._first_turns.unfinished) == (3, 0)
        assert scheduler._waiting == {}

    run(scenario())


def test_a_first_turn_does_not_wait_for_later_ones(one_item_a_turn):
    scheduler = Scheduler(100, threads=1)
    go_on = threading.Event()

    async def scenario():
        holding = [asyncio.create_task(in_second_turn(scheduler, go_on.wait, PATIENCE)) for _ in range(5)]
        while scheduler._free:
            await asyncio.sleep(0.001)
        assert await scheduler.call(lambda: "ran") == "ran"
        go_on.set()
        assert await asyncio.gather(*holding) == [True] * 5

    run(scenario())


def test_first_turns_that_take_long_do_not_hold_up_those_of_others():
    """As those of large models do: one at a time keeps the thread for first turns, and there are the others."""
    scheduler = Scheduler(100, threads=2)
    go_on = threading.Event()

    async def scenario():
        holding = [asyncio.create_task(scheduler.call(go_on.wait, PATIENCE)) for _ in range(2)]
        while scheduler._first_turns.unfinished < 2:
            await asyncio.sleep(0.001)
        assert await scheduler.call(lambda: "ran") == "ran"
        go_on.set()
        assert await asyncio.gather(*holding) == [True] * 2

    run(scenario())


def test_first_turns_need_no_event_loop_between_them():
    """The thread for them goes on to the next while the loop is held up; the newest and the oldest alternate."""
    scheduler = Scheduler(100, threads=1)
    both_begun, go_on, all_done = threading.Barrier(3), threading.Event(), threading.Event()
    order: list[int] = []

    def hold():
        both_begun.wait(PATIENCE)
        go_on.wait(PATIENCE)

    def work(name: int):
        order.append(name)
        if len(order) == 5:
            all_done.set()

    async def scenario():
        holding = [asyncio.create_task(scheduler.call(hold)) for _ in range(2)]  # one on each thread
        await asyncio.to_thread(both_begun.wait, PATIENCE)
        waiting = [asyncio.create_task(scheduler.call(work, k)) for k in range(6)]
        await asyncio.sleep(0.001)
        waiting[2].cancel()
        await asyncio.sleep(0.001)
        go_on.set()
        assert all_done.wait(PATIENCE)  # the event loop stands still meanwhile
        await asyncio.gather(*holding, *waiting[:2], *waiting[3:])

    run(scenario())
    assert order in ([5, 0, 4, 1, 3], [0, 5, 1, 4, 3])
    assert scheduler._first_turns.unfinished == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
def test_later_turns_have_less_priority_than_first_ones_and_the_event_loop(one_item_a_turn):
    scheduler = Scheduler(100, threads=1)

    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    async def scenario():
        return await scheduler.call(priority), await in_second_turn(scheduler, priority)

    before = priority()
    first, later = run(scenario())
    assert first == priority() == before
    assert later == min(before + 3, 19)


def test_a_turn_whose_client_has_just_left_goes_to_the_next(one_item_a_turn):
    """Clients are cancelled in the very moment in which a turn ends, with their own begun, or about to begin."""
    scheduler = Scheduler(100, threads=1)
    go_on = threading.Event()
    ran: list[int] = []

    async def scenario():
        holding = [asyncio.create_task(in_second_turn(scheduler, go_on.wait, PATIENCE)) for _ in range(2)]
        while scheduler._free:
            await asyncio.sleep(0.001)
        others = [asyncio.create_task(in_second_turn(scheduler, ran.append, k)) for k in range(5)]
        while len(scheduler._waiting) < 5:
            await asyncio.sleep(0.001)
        others[0].cancel()
        scheduler._waiting[3].result.cancel()  # clients are numbered as they came: the second of the others
        go_on.set()
        found = await asyncio.gather(*holding, *others, return_exceptions=True)
        assert [isinstance(one, asyncio.CancelledError) for one in found] == [False] * 2 + [True] * 2 + [False] * 3
        await asyncio.sleep(0.01)
        assert scheduler._free == 2

    run(scenario())
    assert sorted(ran) == [2, 3, 4]


# -- turns that are shared ---------------------------------------------------------------------------------------------


class Counting:
    """A batch whose members are names; each is done after as many turns as its name has letters."""

    def __init__(self, min_batch: int = 4, max_batch: int = 1000) -> None:
        self.min_batch, self.max_batch = min_batch, max_batch
        self.turns: list[list[str]] = []
        self.had: dict[str, int] = {}
        self.seconds: list[float] = []
        self.before_a_turn = lambda: None

    def advance(self, members, seconds):
        self.before_a_turn()
        self.turns.append(list(members))
        self.seconds.append(seconds)
        for member in members:
            self.had[member] = self.had.get(member, 0) + 1
        return [(member[self.had[member] - 1], self.had[member] < len(member)) for member in members]


async def member(scheduler: Scheduler, batch: Counting, name: str, pause: float = 0) -> str:
    found = ""
    with scheduler.admit():
        async for letter in scheduler.run_in_batch(batch, name):
            found += letter
            await asyncio.sleep(pause)
    return found


def test_those_who_wait_share_a_turn_and_leave_at_any():
    batch, scheduler = Counting(), Scheduler(100, threads=1)

    async def scenario():
        return await asyncio.gather(*(member(scheduler, batch, name) for name in ("abc", "d", "efgh")))

    assert run(scenario()) == ["abc", "d", "efgh"]
    assert [sorted(turn) for turn in batch.turns] == [["abc", "d", "efgh"], ["abc", "efgh"], ["abc", "efgh"], ["efgh"]]


def test_one_joins_at_any_turn_and_a_slow_one_holds_up_nobody():
    batch, scheduler = Counting(), Scheduler(100, threads=1)

    async def scenario():
        early = asyncio.create_task(member(scheduler, batch, "a" * 50, pause=0.001))
        slow = asyncio.create_task(member(scheduler, batch, "xy", pause=1000))
        while batch.had.get("a" * 50, 0) < 5:
            await asyncio.sleep(0.001)
        assert await member(scheduler, batch, "later") == "later"
        assert await early == "a" * 50
        slow.cancel()

    run(scenario())
    assert batch.had["xy"] == 1  # it has not taken the first result, so it gets no other


@pytest.mark.parametrize(
    "clients, min_batch, max_batch, sizes",
    [(9, 12, 1000, [9]), (9, 8, 1000, [8, 1]), (9, 2, 1000, [5, 4]), (9, 2, 3, [3, 3, 3]), (3, 1, 1, [1, 1, 1])],
)
def test_how_many_share_a_turn(clients, min_batch, max_batch, sizes):
    """As many as cost little more than one; of more, a part for each turn that is begun; no more than there may be."""
    batch, scheduler = Counting(min_batch, max_batch), Scheduler(100, threads=1)

    async def scenario():
        await asyncio.gather(*(member(scheduler, batch, str(k)) for k in range(clients)))

    run(scenario())
    assert sorted(map(len, batch.turns), reverse=True) == sizes


def test_a_turn_that_more_share_is_longer():
    batch, scheduler = Counting(min_batch=25), Scheduler(100, threads=1)

    async def scenario():
        scheduler.clients = 30
        await asyncio.gather(*(member(scheduler, batch, chr(97 + k)) for k in range(15)))
        scheduler.clients = 30
        await member(scheduler, batch, "x")

    run(scenario())
    assert batch.seconds == pytest.approx([0.02, 0.005])


def test_batches_and_others_take_turns(one_item_a_turn):
    """Neither keeps the other waiting, however many share a turn."""
    batch, scheduler = Counting(min_batch=50), Scheduler(100, threads=1)
    batch.before_a_turn = lambda: order.append("batch")
    order: list[str] = []

    async def alone():
        async for _ in scheduler.run(order.append("alone") or time.sleep(0.001) for _ in range(20)):
            pass

    async def scenario():
        await asyncio.gather(alone(), *(member(scheduler, batch, chr(97 + k) * 40) for k in range(20)))

    run(scenario())
    last = len(order) - order[::-1].index("alone")
    assert 10 <= order[:last].count("batch") <= 30


def test_who_leaves_a_shared_turn_costs_the_others_nothing():
    batch, scheduler = Counting(), Scheduler(100, threads=1)
    begun, go_on = threading.Event(), threading.Event()

    def hold():
        begun.set()
        go_on.wait(PATIENCE)

    async def scenario():
        batch.before_a_turn = hold
        staying, leaving = (asyncio.create_task(member(scheduler, batch, name)) for name in ("ab", "cd"))
        await asyncio.to_thread(begun.wait, PATIENCE)
        leaving.cancel()
        go_on.set()
        assert await staying == "ab"
        assert (await asyncio.gather(leaving, return_exceptions=True))[0].__class__ is asyncio.CancelledError

    run(scenario())
    assert batch.had == {"ab": 2, "cd": 1}


def test_what_goes_wrong_in_a_shared_turn_is_everyones():
    batch, scheduler = Counting(), Scheduler(100, threads=1)
    batch.before_a_turn = lambda: 1 / 0

    async def scenario():
        return await asyncio.gather(*(member(scheduler, batch, name) for name in "ab"), return_exceptions=True)

    assert [type(one) for one in run(scenario())] == [ZeroDivisionError] * 2
    batch.before_a_turn = lambda: None
    assert run(member(scheduler, batch, "c")) == "c"


def test_a_batch_ends_when_the_scheduler_is_closed():
    batch, scheduler = Counting(), Scheduler(100, threads=1)

    async def scenario():
        task = asyncio.create_task(member(scheduler, batch, "a" * 1000))
        while not batch.turns:
            await asyncio.sleep(0)
        scheduler.closed = True
        with pytest.raises(SchedulerClosed):
            await task

    run(scenario())


# -- fairness ----------------------------------------------------------------------------------------------------------


def test_a_newcomer_gets_every_second_turn():
    """Beside any number of clients, and whatever these asked for."""
    scheduler = Scheduler(60, threads=1)
    turns: list[str] = []

    def work(name: str, count: int):
        for _ in range(count):
            turns.append(name)
            time.sleep(0.021)  # as long as a turn may be, so that each is a turn
            yield

    async def client(name: str, count: int):
        with scheduler.admit():
            async for _ in scheduler.run(work(name, count)):
                pass

    async def scenario():
        old = [asyncio.create_task(client("old", 1000)) for _ in range(50)]
        await asyncio.sleep(0)
        while scheduler._first_turns.unfinished:
            await asyncio.sleep(0.01)
        await client("new", 10)
        for task in old:
            task.cancel()
        await asyncio.gather(*old, return_exceptions=True)

    asyncio.run(scenario())
    assert scheduler.clients == 0
    until_done = turns[turns.index("new") : len(turns) - turns[::-1].index("new")]
    assert until_done.count("new") == 10
    assert until_done.count("old") <= 15  # as many, and those that the pool had taken in before


def test_old_clients_get_half_of_an_equal_share(one_item_a_turn):
    """The other turns go to the newest."""
    scheduler = Scheduler(6, threads=1)
    counts = [0] * 6

    def work(k: int):
        while sum(counts) < 600:
            counts[k] += 1
            yield

    async def client(k: int):
        with scheduler.admit():
            async for _ in scheduler.run(work(k)):
                pass

    async def scenario():
        await asyncio.gather(*map(client, range(6)))

    run(scenario())
    assert min(counts) >= 30  # an equal share is 100; the threads' timing costs some


def test_clients_that_leave_while_they_wait_cost_nobody_a_turn():
    scheduler = Scheduler(100, threads=1)
    running = most = 0  # turns at once: one on the thread, one first turn beside it
    problems: list[dict] = []

    def work(count: int):
        nonlocal running, most
        for _ in range(count):
            running += 1
            most = max(most, running)
            time.sleep(0.001)
            running -= 1
            yield

    async def client(count: int):
        async for _ in scheduler.run(work(count)):
            await asyncio.sleep(0)

    async def scenario():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
        for seconds in (0.0, 0.01, 0.02, 0.03):
            leaving = [asyncio.create_task(client(1000)) for _ in range(20)]
            await asyncio.sleep(seconds)
            for task in leaving:
                task.cancel()
        await asyncio.wait_for(asyncio.gather(*(client(10) for _ in range(20))), 20)

    asyncio.run(scenario())
    assert problems == []
    assert 1 <= most <= 2


def test_turns_run_beside_the_event_loop():
    scheduler = Scheduler(4, threads=2)

    async def scenario():
        threads = set()

        def watched():
            for k in range(50):
                threads.add(threading.get_ident())
                yield k

        items = [item async for turn in scheduler.run(watched()) for item in turn]
        assert items == list(range(50))
        assert threading.get_ident() not in threads

    asyncio.run(scenario())
