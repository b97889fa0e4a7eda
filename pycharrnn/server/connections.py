"""The connections of `pycharrnn serve`: how many are kept, and how long each client may let the server wait.

uvicorn itself limits only the silence between two requests. Without other limits, some hundred clients that say
nothing, or send a byte now and then, or do not read their answers, would keep everybody else out.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from dataclasses import dataclass
from typing import Any, Literal, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from pycharrnn.common.errors import UserError

ACCEPTED_AT_ONCE = 8  # connections that are accepted before any of them is looked at
MAX_HEAD = 1 << 14  # bytes of a request's first line and headers; of twice as many, some are refused, of more, all

# Open files besides the connections that are kept: those of the process, of connections just accepted or just closed.
_OTHER_FILES = 32 + 8 * ACCEPTED_AT_ONCE
_FEWEST = 64  # connections below which there is no use in a server
_MAX_UNREAD = 1 << 16  # bytes that may wait for a reader here, and as many in the system, which would take megabytes
_LAST_SECONDS = 1.0  # for answers that are under way when the server stops


_Limit = Literal["", "request", "reading", "answer"]  # as in TimeLimits; none at first


@dataclass(frozen=True)
class TimeLimits:
    """Seconds after which a connection is closed.

    Attributes:
        request: for the head of a request to come, counted from the last answer or the beginning; then for its body.
        reading: for a client to take the part of its answer that waits for it.
        answer: for a whole answer, however slowly it is read.
    """

    request: float = 15.0
    reading: float = 60.0
    answer: float = 600.0


class OpenConnections:
    """Keeps up to `most` connections. When one more comes, the one that the server has waited for longest is closed.

    That is never one whose client sends and reads at once, so a client gets in beside any number of silent ones.

    Attributes:
        stopping: set this to True when the server stops: connections that are being accepted are then closed.
    """

    def __init__(self, most: int, limits: TimeLimits = TimeLimits()) -> None:
        self.limits = limits
        self.stopping = False
        self._most = most
        self._all: set[Connection] = set()
        self._waited_for: dict[Connection, None] = {}  # in the order in which the server began to wait for them

    def add(self, connection: Connection) -> None:
        """Keep a new connection."""
        self._all.add(connection)
        self.server_waits_for(connection)
        if self.stopping:
            connection.drop()
        elif len(self._all) > self._most:
            longest = next(iter(self._waited_for))
            self.remove(longest)
            longest.drop()

    def remove(self, connection: Connection) -> None:
        """Forget a connection that ends."""
        self._all.discard(connection)
        self._waited_for.pop(connection, None)

    def server_waits_for(self, connection: Connection) -> None:
        """From now on the server waits for this client to send a request, or to read."""
        self._waited_for.pop(connection, None)
        if connection in self._all:
            self._waited_for[connection] = None

    def client_waits(self, connection: Connection) -> None:
        """From now on this client waits for the server."""
        self._waited_for.pop(connection, None)


class Connection(H11Protocol):
    """uvicorn's connection with a limit to everything that its client can delay.

    It relies on the attributes `conn`, `cycle`, `flow`, `loop` and `transport` of H11Protocol, and on uvicorn calling
    the public methods below, all but `drop`.
    """

    def __init__(self, connections: OpenConnections, **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self.conn = self._parser = _WholeBodies(h11.SERVER, MAX_HEAD)
        self._open_connections = connections
        self._limited: tuple[_Limit, RequestResponseCycle | None] = (
            "",
            None,
        )  # the limit in force, and for which request
        self._timer: asyncio.TimerHandle | None = None
        self._answer_ends = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected: keep the connection, and let only a little of an answer wait for its reader."""
        transport = cast("asyncio.Transport", transport)
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=_MAX_UNREAD, low=0)
        accepted = transport.get_extra_info("socket")
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MAX_UNREAD)
        # Else the first characters would wait, some 40 ms, until the client's system acknowledges the answer's head.
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open_connections.add(self)
        self._set_limit()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        super().connection_lost(exc)
        self._open_connections.remove(self)
        if self._timer:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Bytes have come from the client."""
        for start in range(0, len(data), MAX_HEAD):  # h11 would take a head of any size that comes at once
            if not self.transport.is_closing():
                super().data_received(data[start : start + MAX_HEAD])

    def handle_events(self) -> None:
        """Go on with those parts of requests that have come whole."""
        super().handle_events()
        self._set_limit()

    def on_response_complete(self) -> None:
        """An answer has been handed over to the connection."""
        if self.conn.trailing_data[0]:  # requests sent before the last answer came would take the turns of others
            self.transport.close()
        super().on_response_complete()
        self._set_limit()

    def pause_writing(self) -> None:
        """More waits for the client to read than may wait."""
        super().pause_writing()
        self._set_limit()

    def resume_writing(self) -> None:
        """The client has read what waited for it."""
        super().resume_writing()
        self._set_limit()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no good request, and close the connection."""
        body = json.dumps({"detail": self._parser.refusal or msg}).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def shutdown(self) -> None:
        """The server stops: end with the answer that is under way, or soon."""
        super().shutdown()
        self.loop.call_later(_LAST_SECONDS, self.drop)

    def drop(self) -> None:
        """End the connection at once."""
        if self.transport.get_write_buffer_size():  # closed as usual, the system would wait long for the reader
            with contextlib.suppress(OSError):
                s = self.transport.get_extra_info("socket")
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _set_limit(self) -> None:
        """Find out who waits for whom now, and limit the time of that."""
        cycle = self.cycle
        answering = cycle is not None and not cycle.response_complete and not cycle.more_body
        limit: _Limit = "reading" if self.flow.write_paused else "answer" if answering else "request"
        if (limit, cycle) == self._limited:
            return
        now, limits = self.loop.time(), self._open_connections.limits
        if cycle is not self._limited[1]:
            self._answer_ends = now + limits.answer
        self._limited = limit, cycle
        if limit == "answer":
            self._open_connections.client_waits(self)
            ends = self._answer_ends  # however often its reader paused
        else:
            self._open_connections.server_waits_for(self)
            ends = now + (limits.reading if limit == "reading" else limits.request)
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_at(ends, self.drop)


class _WholeBodies(h11.Connection):
    """Refuses a body that is sent in chunks (Transfer-Encoding).

    Such a body does not tell its length, and can be divided into more chunks than there is time for.

    Attributes:
        refusal: why the last request was refused, or "".
    """

    refusal = ""

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """As h11's. Errors: h11.RemoteProtocolError."""
        event = super().next_event()
        if isinstance(event, h11.Request) and any(name == b"transfer-encoding" for name, _ in event.headers):
            self.refusal = "send the body in one piece, with its Content-Length, not in chunks."
            raise h11.RemoteProtocolError(self.refusal)
        return event


def connections_allowed(wanted: int) -> int:
    """How many of `wanted` connections the limit of open files has room for; raises that limit as far as it may.

    Errors: UserError where that is next to none.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted + _OTHER_FILES:
        more = wanted + _OTHER_FILES if hard == resource.RLIM_INFINITY else min(wanted + _OTHER_FILES, hard)
        with contextlib.suppress(OSError, ValueError):  # macOS allows less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            soft = more
    allowed = wanted if soft == resource.RLIM_INFINITY else min(wanted, soft - _OTHER_FILES)
    if allowed < min(wanted, _FEWEST):
        raise UserError(f"the limit of {soft} open files is too low for a server: raise it with ulimit -n 1024.")
    return allowed
