"""Limits the connections of `pycharrnn serve`: their number, and the time that each client may make the server wait.

uvicorn limits only the idle time between two requests. A few hundred clients that send nothing, send a byte now and
then, or do not read their responses would otherwise lock out everybody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from pycharrnn.common.errors import UserError

ACCEPTED_AT_ONCE = 8  # connections that asyncio accepts before it handles any of them
# Bytes of a request line and headers; up to twice as many may pass, since data arrives in pieces. The longest line is
# that of /api/studio/send: a model's id, a title and the words below it, of up to nine bytes for a character.
MAX_HEAD = 1 << 15

# Open files beside the connections: those of the process, and of connections just accepted or just closed.
_OTHER_FILES = 32 + 8 * ACCEPTED_AT_ONCE
_MIN_CONNECTIONS = 64  # fewer are an error
_MAX_UNREAD = 1 << 16  # bytes of a response in the buffer here, and in the socket's, which would be megabytes
_LAST_SECONDS = 1.0  # for responses that are incomplete when the server stops


_Limit = Literal["", "request", "upload", "reading", "answer"]  # as in TimeLimits; "" before the first


@dataclass(frozen=True)
class TimeLimits:
    """Seconds after which a connection is closed."""

    request: float = 15.0  # for the head of a request, since the last response; then for its body
    upload: float = 60.0  # for the next part of a file
    reading: float = 60.0  # for the client to read the buffered part of its response
    answer: float = 600.0  # for the response to be complete, however slowly it is read


class OpenConnections:
    """Keeps up to `max_connections`. One more closes the connection whose client has kept the server waiting longest.

    Clients that send and read promptly are never closed, so they can connect beside any number of silent ones.
    """

    def __init__(
        self, max_connections: int, limits: TimeLimits = TimeLimits(), upload_paths: Collection[str] = ()
    ) -> None:
        self.limits, self.upload_paths = limits, upload_paths
        self.stopping = False  # set to True to close new connections at once
        self._max = max_connections
        self._all: set[Connection] = set()
        self._waited_for: dict[Connection, None] = {}  # those that the server waits for, the longest first

    def add(self, connection: Connection) -> None:
        """Keep a connection; beyond the limit, or while the server stops, one is closed."""
        self._all.add(connection)
        self.server_waits_for(connection)
        if self.stopping:
            connection.drop()
        elif len(self._all) > self._max:
            longest = next(iter(self._waited_for))
            self.remove(longest)
            longest.drop()

    def remove(self, connection: Connection) -> None:
        """Forget a connection, which may have been removed before."""
        self._all.discard(connection)
        self._waited_for.pop(connection, None)

    def server_waits_for(self, connection: Connection) -> None:
        """Mark a connection whose client is to send or read."""
        self._waited_for.pop(connection, None)
        if connection in self._all:
            self._waited_for[connection] = None

    def client_waits(self, connection: Connection) -> None:
        """Mark a connection whose client waits for the server."""
        self._waited_for.pop(connection, None)


class Connection(H11Protocol):
    """uvicorn's connection, with time limits on everything that its client can delay.

    Depends on the attributes `conn`, `cycle`, `flow`, `loop` and `transport` of H11Protocol. uvicorn calls the public
    methods, except `drop`.
    """

    def __init__(self, connections: OpenConnections, **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self.conn = self._parser = _UnchunkedConnection(h11.SERVER, MAX_HEAD)
        self._open_connections = connections
        self._limited: tuple[_Limit, RequestResponseCycle | None] = ("", None)  # (current limit, request)
        self._timer: asyncio.TimerHandle | None = None
        self._answer_ends = 0.0
        self._upload_continued = 0.0  # about when the last part of a file arrived

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=_MAX_UNREAD, low=0)
        accepted = transport.get_extra_info("socket")
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MAX_UNREAD)
        # Otherwise the first characters would wait some 40 ms until the client acknowledges the response's head.
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open_connections.add(self)
        self._set_limit()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._open_connections.remove(self)
        if self._timer:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Pass bytes to h11, in pieces: it would accept a head of any size that arrives at once."""
        for start in range(0, len(data), MAX_HEAD):
            if not self.transport.is_closing():
                super().data_received(data[start : start + MAX_HEAD])

    def handle_events(self) -> None:
        super().handle_events()
        self._set_limit()

    def on_response_complete(self) -> None:
        """Close the connection of a client that pipelines requests, which would take the turns of others."""
        if self.conn.trailing_data[0]:
            self.transport.close()
        super().on_response_complete()
        self._set_limit()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._set_limit()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._set_limit()

    def send_400_response(self, msg: str) -> None:
        """Refuse a malformed request and close the connection."""
        body = json.dumps({"detail": self._parser.refusal or msg}).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def shutdown(self) -> None:
        super().shutdown()
        self.loop.call_later(_LAST_SECONDS, self.drop)

    def drop(self) -> None:
        """Close the connection at once."""
        if self.transport.get_write_buffer_size():  # a normal close would wait long for the client to read
            with contextlib.suppress(OSError):
                s = self.transport.get_extra_info("socket")
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _set_limit(self) -> None:
        cycle = self.cycle
        answering = cycle is not None and not cycle.response_complete and not cycle.more_body
        limit: _Limit = "reading" if self.flow.write_paused else "answer" if answering else "request"
        if limit == "request" and self._is_upload():
            limit = "upload"
        now, limits = self.loop.time(), self._open_connections.limits
        continues = limit == "upload" and now >= self._upload_continued + limits.upload / 20
        if (limit, cycle) == self._limited and not continues:
            return
        if limit == "upload":
            self._upload_continued = now
        if cycle is not self._limited[1]:
            self._answer_ends = now + limits.answer
        self._limited = limit, cycle
        if limit == "answer":
            self._open_connections.client_waits(self)
            ends = self._answer_ends  # reading pauses do not extend it
        else:
            self._open_connections.server_waits_for(self)
            ends = now + {"reading": limits.reading, "upload": limits.upload}.get(limit, limits.request)
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_at(ends, self.drop)

    def _is_upload(self) -> bool:
        """Whether a part of a file has still to arrive."""
        cycle = self.cycle
        is_open = cycle is not None and not cycle.response_complete and cycle.more_body
        return is_open and cycle.scope["path"] in self._open_connections.upload_paths


class _UnchunkedConnection(h11.Connection):
    """Refuses chunked bodies (Transfer-Encoding): their length is unknown, and parsing many small chunks takes long."""

    refusal = ""  # the reason for refusing the last request

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        event = super().next_event()
        if isinstance(event, h11.Request) and any(name == b"transfer-encoding" for name, _ in event.headers):
            self.refusal = "send the body in one piece, with its Content-Length, not in chunks."
            raise h11.RemoteProtocolError(self.refusal)
        return event


def connections_allowed(wanted: int) -> int:
    """How many connections the limit of open files allows. Raises it if possible. Errors: UserError if too few."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted + _OTHER_FILES:
        more = wanted + _OTHER_FILES if hard == resource.RLIM_INFINITY else min(wanted + _OTHER_FILES, hard)
        with contextlib.suppress(OSError, ValueError):  # macOS allows less than the hard limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            soft = more
    allowed = wanted if soft == resource.RLIM_INFINITY else min(wanted, soft - _OTHER_FILES)
    if allowed < min(wanted, _MIN_CONNECTIONS):
        raise UserError(f"the limit of {soft} open files is too low for a server: raise it with ulimit -n 1024.")
    return allowed
