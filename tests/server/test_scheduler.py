"""Turns of many clients: who is admitted, how long a turn is, and what becomes of turns that nobody takes."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from pycharrnn.server import scheduler as module
from pycharrnn.server.scheduler import Scheduler, SchedulerClosed

PATIENCE = 20  # seconds after which a test gives up


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
    monkeypatch.setattr(module.time, "monotonic", lambda: now)

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
    monkeypatch.setattr(module, "_LONGEST_TURN", 0)  # one item a turn
    monkeypatch.setattr(module, "_SHORTEST_TURN", 0)
    scheduler = Scheduler(2, threads=1)

    async def scenario():
        got = []
        with pytest.raises(SchedulerClosed):
            async for items in scheduler.run(iter(range(100))):
                got += items
                scheduler.closed = len(got) == 3
        return got

    assert run(scenario()) == [0, 1, 2]


def test_what_a_call_returns_and_raises():
    scheduler = Scheduler(2, threads=1)

    async def scenario():
        assert await scheduler.call(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await scheduler.call(divmod, 7, 0)
        assert await scheduler.call(threading.get_ident) != threading.get_ident()

    run(scenario())


def test_no_more_turns_run_than_there_are_threads_and_none_is_lost():
    """Of each batch some are cancelled before their turn; then all later ones still run, two at a time."""
    scheduler = Scheduler(100, threads=2)
    both = threading.Barrier(2)

    async def scenario():
        for _ in range(10):
            tasks = [asyncio.create_task(scheduler.call(lambda: None)) for _ in range(10)]
            await asyncio.sleep(0)  # three have their turn, seven wait
            for task in tasks[::2]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0.01)
        await asyncio.gather(*(scheduler.call(both.wait, PATIENCE) for _ in range(2)))
        assert scheduler._free_turns <= 3
        await asyncio.sleep(0.01)
        assert scheduler._free_turns == 3
        assert scheduler._waiting == {}

    run(scenario())


def test_a_turn_whose_client_has_just_left_goes_to_the_next():
    """The client is cancelled in the very moment in which the turn has been given to it."""
    scheduler = Scheduler(100, threads=1)
    started, go_on = threading.Event(), threading.Event()

    def hold():
        started.set()
        go_on.wait(PATIENCE)

    async def scenario():
        holding = [asyncio.create_task(scheduler.call(hold)) for _ in range(2)]  # both turns
        await asyncio.sleep(0)
        leaving = asyncio.create_task(scheduler.call(lambda: "left"))
        await asyncio.sleep(0)
        (turn,) = scheduler._waiting.values()
        turn.add_done_callback(lambda _: leaving.cancel())
        go_on.set()
        await asyncio.gather(*holding)
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert await asyncio.gather(*(scheduler.call(lambda: "ran") for _ in range(5))) == ["ran"] * 5
        await asyncio.sleep(0.01)
        assert scheduler._free_turns == 2

    run(scenario())


def test_a_turn_that_ends_while_a_client_leaves_goes_to_another():
    """The client that is next has been cancelled, but has not heard of it."""
    scheduler = Scheduler(100, threads=1)
    go_on = threading.Event()

    async def scenario():
        holding = [asyncio.create_task(scheduler.call(go_on.wait, PATIENCE)) for _ in range(2)]  # both turns
        staying = asyncio.create_task(scheduler.call(lambda: "ran"))
        leaving = asyncio.create_task(scheduler.call(lambda: "left"))
        await asyncio.sleep(0)
        leaving.cancel()
        scheduler._pass_on()
        go_on.set()
        assert await staying == "ran"
        await asyncio.gather(*holding, leaving, return_exceptions=True)
        assert leaving.cancelled()

    run(scenario())


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
        await asyncio.sleep(0.05)
        await client("new", 10)
        for task in old:
            task.cancel()
        await asyncio.gather(*old, return_exceptions=True)

    asyncio.run(scenario())
    assert scheduler.clients == 0
    until_done = turns[turns.index("new") : len(turns) - turns[::-1].index("new")]
    assert until_done.count("new") == 10
    assert until_done.count("old") <= 15  # as many, and those that the pool had taken in before


def test_clients_that_leave_while_they_wait_cost_nobody_a_turn():
    scheduler = Scheduler(100, threads=1)
    running = most = 0
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
    assert most == 1


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
