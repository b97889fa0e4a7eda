"""Which connection is closed when there are too many, and how many the system allows."""

from __future__ import annotations

import pytest

from pycharrnn.common.errors import UserError
from pycharrnn.server.connections import OpenConnections, TimeLimits, connections_allowed


class Fake:
    """A connection that remembers whether it was dropped."""

    def __init__(self):
        self.dropped = False

    def drop(self) -> None:
        self.dropped = True


def dropped(fakes: list[Fake]) -> list[int]:
    return [k for k, fake in enumerate(fakes) if fake.dropped]


@pytest.fixture
def full():
    """(connections, those three that it keeps and has room for)"""
    connections, fakes = OpenConnections(3), [Fake() for _ in range(3)]
    for fake in fakes:
        connections.add(fake)
    assert dropped(fakes) == []
    return connections, fakes


def test_the_one_that_has_been_waited_for_longest_goes(full):
    connections, fakes = full
    fakes.append(Fake())
    connections.add(fakes[-1])
    assert dropped(fakes) == [0]
    fakes.append(Fake())
    connections.add(fakes[-1])
    assert dropped(fakes) == [0, 1]


def test_waiting_begins_anew_with_each_request(full):
    connections, fakes = full
    connections.client_waits(fakes[0])
    connections.server_waits_for(fakes[0])
    connections.server_waits_for(fakes[1])
    connections.add(Fake())
    assert dropped(fakes) == [2]
    connections.add(Fake())
    assert dropped(fakes) == [0, 2]


def test_whoever_waits_for_the_server_stays(full):
    connections, fakes = full
    for fake in fakes[:2]:
        connections.client_waits(fake)
    connections.add(Fake())
    assert dropped(fakes) == [2]


def test_a_newcomer_goes_where_all_others_wait_for_the_server(full):
    connections, fakes = full
    for fake in fakes:
        connections.client_waits(fake)
    newcomer = Fake()
    connections.add(newcomer)
    assert newcomer.dropped
    assert dropped(fakes) == []


def test_who_has_left_makes_room(full):
    connections, fakes = full
    connections.remove(fakes[1])
    connections.server_waits_for(fakes[1])  # a last word of its protocol
    fakes.append(Fake())
    connections.add(fakes[-1])
    assert dropped(fakes) == []
    for _ in range(3):
        connections.add(Fake())
    assert dropped(fakes) == [0, 2, 3]


def test_a_server_that_stops_keeps_nobody_new(full):
    connections, fakes = full
    connections.remove(fakes[0])
    connections.stopping = True
    newcomer = Fake()
    connections.add(newcomer)
    assert newcomer.dropped
    assert dropped(fakes) == []


def test_limits_by_default():
    assert OpenConnections(3).limits == TimeLimits(request=15, upload=60, reading=60, answer=600)


INFINITE = -1  # as resource.RLIM_INFINITY is on Linux; put in its place below


@pytest.mark.parametrize(
    "limits, wanted, allowed, after",
    [
        ((256, 4096), 100, 100, 256),
        ((196, 4096), 100, 100, 196),
        ((195, 4096), 100, 100, 196),
        ((195, 195), 100, 99, 195),
        ((195, 190), 100, 94, 190),
        ((256, 300), 1000, 204, 300),
        ((256, INFINITE), 1000, 1000, 1096),
        ((INFINITE, INFINITE), 1000, 1000, INFINITE),
        ((160, 160), 1000, 64, 160),
        ((159, 159), 1000, None, 159),
        ((106, 106), 10, 10, 106),
        ((105, 105), 10, None, 105),
    ],
)
def test_connections_that_the_limit_of_open_files_allows(monkeypatch, limits, wanted, allowed, after):
    resource = pytest.importorskip("resource", reason="this system has no limit of open files")
    now = [resource.RLIM_INFINITY if limit == INFINITE else limit for limit in limits]
    hard = now[1]
    monkeypatch.setattr(resource, "getrlimit", lambda which: tuple(now))
    monkeypatch.setattr(resource, "setrlimit", lambda which, new: now.__setitem__(slice(2), new))
    if allowed is None:
        with pytest.raises(UserError, match=f"the limit of {limits[0]} open files is too low"):
            connections_allowed(wanted)
    else:
        assert connections_allowed(wanted) == allowed
    assert now == [resource.RLIM_INFINITY if after == INFINITE else after, hard]


def test_a_limit_that_cannot_be_raised(monkeypatch):
    resource = pytest.importorskip("resource", reason="this system has no limit of open files")

    def refuse(which, new):
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 4096))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert connections_allowed(1000) == 160
