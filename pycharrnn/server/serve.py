"""`pycharrnn serve`: the application on a port, by uvicorn, until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn
from fastapi import FastAPI

from pycharrnn.common import interrupts
from pycharrnn.common.errors import UserError
from pycharrnn.server import connections
from pycharrnn.server.addresses import reachable_hosts
from pycharrnn.server.app import create_app
from pycharrnn.server.connections import Connection, OpenConnections
from pycharrnn.server.options import ServeOptions
from pycharrnn.server.registry import Print, Registry
from pycharrnn.server.scheduler import Scheduler

_MORE_CONNECTIONS = 512  # besides those of -streams: for pages and refusals, and those that wait for the next request
_QUEUE = 1024  # connections that may wait to be accepted
_MAX_THREADS = 4  # on which models run
# How long a thread that runs Python may keep the others from it, in seconds: with Python's own 5 ms, one in a hundred
# first characters came half as late again, since the event loop and the turns often wait for each other.
_SWITCH_SECONDS = 0.0005


class Server(uvicorn.Server):
    """uvicorn with limits to what its connections may delay; the first signal ends it and its streams.

    Args:
        scheduler: gives turns to the work of the application.
        open_connections: keeps the server's connections.
        follow: what runs beside the server as long as it does, if anything.
    """

    def __init__(
        self,
        app: FastAPI,
        scheduler: Scheduler,
        open_connections: OpenConnections,
        follow: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        config = uvicorn.Config(
            app,
            http=cast("type[asyncio.Protocol]", partial(Connection, open_connections)),  # uvicorn only calls it
            loop="asyncio",
            lifespan="off",
            ws="none",
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=connections.ACCEPTED_AT_ONCE,
            timeout_graceful_shutdown=2,
        )
        super().__init__(config)
        self._scheduler, self._open_connections = scheduler, open_connections
        self._follow = follow
        self._following: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, with a longer queue of connections that wait to be accepted."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_QUEUE)  # `backlog` says how many asyncio accepts at once, and also how many may wait
        if self._follow:
            self._following = asyncio.create_task(self._follow())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's; a connection that is being accepted is closed."""
        self._open_connections.stopping = True
        if self._following:
            self._following.cancel()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """As uvicorn's, and SIGHUP too; signals that the caller ignores stay ignored."""
        before = {number: signal.getsignal(number) for number in interrupts.numbers()}
        with super().capture_signals():
            for number, handler in before.items():
                signal.signal(number, handler if handler is signal.SIG_IGN else self.handle_exit)
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal's handler: begin to stop, which takes two seconds at most."""
        if not self.should_exit:  # another signal would only make uvicorn leave things undone
            self._scheduler.closed = True
            super().handle_exit(sig, frame)


def serve(paths: list[str], opt: ServeOptions, say: Print, note: Print) -> None:
    """Offer models on a page until a signal comes.

    Args:
        paths: checkpoints, and folders that stand for all checkpoints in them.
        say: prints a line on stdout. note: prints one on stderr.

    Errors: UserError for a checkpoint that can't be read, an address to which the server can't listen, or an address
        that can't be printed.
    """
    _limit_heaps()
    sys.setswitchinterval(_SWITCH_SECONDS)
    say = partial(_say_or_fail, say)
    models = Registry(paths, say, note, bool(opt.follow))
    token = secrets.token_urlsafe(24) if opt.token == "new" else opt.token
    hosts = frozenset({"localhost", "127.0.0.1", "::1", opt.host.lower()}) if opt.is_loopback() else None
    most = connections.connections_allowed(opt.streams + _MORE_CONNECTIONS)
    scheduler = Scheduler(min(opt.streams, max(1, most // 2)), threads=min(_MAX_THREADS, os.cpu_count() or 1))
    app = create_app(models, scheduler, hosts, token)
    server = Server(app, scheduler, OpenConnections(most), models.follow_folders if opt.follow else None)
    with _listen(opt) as listener:
        end = f":{listener.getsockname()[1]}/{f'#token={token}' if token else ''}"
        lines = [f"http://{host}{end}" for host in reachable_hosts(opt.host)]
        say("\n".join([*lines, "Ctrl-C ends it."]))  # in one piece: who reads the first line may then stop reading
        server.run(sockets=[listener])


def _limit_heaps() -> None:
    """Keep memory from growing by gaps between the blocks of memory that served many clients.

    glibc gives each thread a heap of its own; and once it has freed a large block, it takes blocks of up to that size
    from the heap. Here it is asked for a single heap, and to take every block of 128 KiB or more from the system, to
    which such a block goes back.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library has no mallopt
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-8, 1)  # M_ARENA_MAX
        mallopt(-3, 1 << 17)  # M_MMAP_THRESHOLD


def _say_or_fail(say: Print, line: str) -> None:
    """Errors: UserError where the line can't be printed."""
    try:
        say(line)
    except OSError as e:
        raise UserError(
            f"can't print the server's address ({e.strerror or e}): let stdout go where it can be read."
        ) from e


def _listen(opt: ServeOptions) -> socket.socket:
    """A socket on -host and -port. Errors: UserError."""
    family = socket.AF_INET6 if ":" in opt.host else socket.AF_INET
    try:
        return socket.create_server((opt.host, opt.port), family=family, backlog=_QUEUE)
    except (OSError, TypeError) as e:  # TypeError: for a name that the system's encoding does not take
        reason = getattr(e, "strerror", None) or e
        raise UserError(
            f"can't listen on {opt.host}, port {opt.port} ({reason}): choose another -port or -host."
        ) from e
