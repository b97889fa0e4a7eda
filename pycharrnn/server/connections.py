"""The connections of `pycharrnn serve`: how many it keeps, and how long each may keep it waiting.

uvicorn limits neither, but for the silence between two requests. So some hundred clients that say nothing, or a byte
now and then, or read no answer, would have the server to themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from dataclasses import dataclass

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from pycharrnn.common.errors import UserError

BATCH = 8  # connections that are accepted at once, before any of them is looked at
MAX_HEAD = 1 << 14  # bytes of a request's first line and headers; of twice as many, some are refused, of more, all

_FILES = 32 + 8 * BATCH  # open files that Room does not count: of the process, of those just accepted or just closed
_FEWEST = 64  # connections below which there is no use in a server
_UNREAD = 1 << 16  # bytes that may wait for a reader here, and again in the system, which takes megabytes by itself
_LAST_SECONDS = 1.0  # for answers that are under way when the server stops


@dataclass(frozen=True)
class Patience:
    """Seconds that things may take.

    Attributes:
        request: a request's head to come, counted from the last answer or the beginning; then its body.
        reading: a client to take what waits for it.
        answer: a whole answer, its reader's slowness included.
    """

    request: float = 15.0
    reading: float = 60.0
    answer: float = 600.0


class Room:
    """Keeps up to `most` connections. One more costs that one which has kept the server waiting longest its place.

    Whoever asks and reads at once is never that one, so a client gets in beside any number of silent ones.
    """

    def __init__(self, most: int, patience: Patience = Patience()):
        self.patience = patience
        self.closed = False  # to those who were being accepted when the server stopped
        self._most = most
        self._all: set[Connection] = set()
        self._waited_for: dict[Connection, None] = {}  # in the order in which that began

    def enter(self, connection: Connection) -> None:
        self._all.add(connection)
        self.wait_for(connection)
        if self.closed:
            connection.drop()
        elif len(self._all) > self._most:
            longest = next(iter(self._waited_for))
            self.leave(longest)
            longest.drop()

    def leave(self, connection: Connection) -> None:
        self._all.discard(connection)
        self._waited_for.pop(connection, None)

    def wait_for(self, connection: Connection) -> None:
        """The server begins to wait for this client, be it for a request or until it has read."""
        self._waited_for.pop(connection, None)
        if connection in self._all:
            self._waited_for[connection] = None

    def work_for(self, connection: Connection) -> None:
        """This client begins to wait for the server."""
        self._waited_for.pop(connection, None)


class Connection(H11Protocol):
    """uvicorn's connection with a limit to everything that its client can delay.

    It relies on the attributes `conn`, `cycle`, `flow`, `loop` and `transport` of H11Protocol, and that it calls the
    methods below.
    """

    def __init__(self, room: Room, **keywords):
        super().__init__(**keywords)
        self.conn = _WithoutChunks(h11.SERVER, MAX_HEAD)
        self._room = room
        self._state: tuple[str, object] = "", None  # which limit is in force, and for which request
        self._timer: asyncio.TimerHandle | None = None
        self._answer_ends = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=_UNREAD, low=0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNREAD)
        self._room.enter(self)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._room.leave(self)
        self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), MAX_HEAD):  # h11 takes a head of any size that comes at once
            if not self.transport.is_closing():
                super().data_received(data[start : start + MAX_HEAD])

    def handle_events(self) -> None:
        super().handle_events()
        self._look()

    def on_response_complete(self) -> None:
        if self.conn.trailing_data[0]:  # requests that do not wait for the last answer would take others' turns
            self.transport.close()
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._look()

    def send_400_response(self, msg: str) -> None:
        body = json.dumps({"detail": self.conn.refusal or msg}).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event))
        self.transport.close()

    def shutdown(self) -> None:
        super().shutdown()
        self.loop.call_later(_LAST_SECONDS, self.drop)

    def drop(self) -> None:
        """End the connection at once."""
        if self.transport.get_write_buffer_size():  # the system too would wait for a reader, and for long
            with contextlib.suppress(OSError):
                s = self.transport.get_extra_info("socket")
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _look(self) -> None:
        """See who waits for whom now, and set a limit to it."""
        cycle = self.cycle
        asked = cycle is not None and not cycle.response_complete and not cycle.more_body
        state = "reading" if self.flow.write_paused else "answer" if asked else "request", cycle
        if state == self._state:
            return
        now, patience = self.loop.time(), self._room.patience
        if cycle is not self._state[1]:
            self._answer_ends = now + patience.answer
        self._state = state
        if state[0] == "answer":
            self._room.work_for(self)
            ends = self._answer_ends  # however often its reader paused
        else:
            self._room.wait_for(self)
            ends = now + getattr(patience, state[0])
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_at(ends, self.drop)


class _WithoutChunks(h11.Connection):
    """Refuses a body in chunks: it can be cut into more of them than there is time for, and hides its length.

    Attributes:
        refusal: why the last request was refused, or "".
    """

    refusal = ""

    def next_event(self):
        event = super().next_event()
        if isinstance(event, h11.Request) and any(name == b"transfer-encoding" for name, _ in event.headers):
            self.refusal = "send the body in one piece, with its Content-Length, not in chunks."
            raise h11.RemoteProtocolError(self.refusal)
        return event


def files_allow(wanted: int) -> int:
    """How many of `wanted` connections the limit of open files has room for; raises that limit as far as it may.

    Errors: UserError for next to none.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted + _FILES:
        more = wanted + _FILES if hard == resource.RLIM_INFINITY else min(wanted + _FILES, hard)
        with contextlib.suppress(OSError, ValueError):  # macOS allows less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            soft = more
    allowed = wanted if soft == resource.RLIM_INFINITY else min(wanted, soft - _FILES)
    if allowed < min(wanted, _FEWEST):
        raise UserError(f"the limit of {soft} open files is too low for a server: raise it with ulimit -n 1024.")
    return allowed
