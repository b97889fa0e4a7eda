"""`pycharrnn serve`: the application on a port, by uvicorn, until a signal ends it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial

import uvicorn
from fastapi import FastAPI

from pycharrnn.common.errors import UserError
from pycharrnn.server import connections, served_models
from pycharrnn.server.app import create_app
from pycharrnn.server.connections import Connection, Room
from pycharrnn.server.options import ServeOptions
from pycharrnn.server.scheduler import Desk

_BESIDE = 512  # connections beside those of -streams: for pages, for refusals, and that wait for the next request
_QUEUE = 1024  # connections that may wait to be accepted


class Server(uvicorn.Server):
    """uvicorn with limits to what its connections may hold up; the first signal ends it and its streams."""

    def __init__(self, app: FastAPI, desk: Desk, room: Room):
        config = uvicorn.Config(
            app,
            http=partial(Connection, room),
            loop="asyncio",
            lifespan="off",
            ws="none",
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=connections.BATCH,
            timeout_graceful_shutdown=2,
        )
        super().__init__(config)
        self._desk, self._room = desk, room

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_QUEUE)  # asyncio accepts a batch at a time, and lets no more than that wait

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._room.closed = True
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's, and SIGHUP; and signals that the caller ignores stay ignored."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)}
        before = {number: signal.getsignal(number) for number in numbers}
        with super().capture_signals():
            for number, handler in before.items():
                signal.signal(number, handler if handler is signal.SIG_IGN else self.handle_exit)
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    def handle_exit(self, sig, frame) -> None:
        if not self.should_exit:  # it takes two seconds at most: another signal could only leave things undone
            self._desk.closed = True
            super().handle_exit(sig, frame)


def serve(paths: list[str], opt: ServeOptions, say: Callable[[str], None]) -> None:
    """Offer the models until Ctrl-C.

    Errors: UserError for a checkpoint that can't be read, an address that can't be had, or one that nobody is told.
    """
    _keep_one_heap()
    say = partial(_tell, say)
    models = served_models.load_all(paths, say)
    token = secrets.token_urlsafe(24) if opt.token == "new" else opt.token
    hosts = frozenset({"localhost", "127.0.0.1", "::1", opt.host.lower()}) if opt.is_loopback() else None
    most = connections.files_allow(opt.streams + _BESIDE)
    desk = Desk(min(opt.streams, max(1, most // 2)), threads=min(4, os.cpu_count() or 1))
    server = Server(create_app(models, desk, hosts, token), desk, Room(most))
    with _listen(opt) as listener:
        host = f"[{opt.host}]" if ":" in opt.host else opt.host
        address = f"http://{host}:{listener.getsockname()[1]}/{f'#token={token}' if token else ''}"
        say(f"{address}\nCtrl-C ends it.")  # at once: who reads the first line may read no more
        server.run(sockets=[listener])


def _keep_one_heap() -> None:
    """Keep memory from growing by what is left over between the blocks of many clients.

    glibc gives each thread a heap of its own, and takes blocks from there of which it has once freed one as large. It
    is asked for one heap, and for blocks of 128 KiB or more straight from the system, to which they go back.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library has no mallopt
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-8, 1)  # M_ARENA_MAX
        mallopt(-3, 1 << 17)  # M_MMAP_THRESHOLD


def _tell(say: Callable[[str], None], line: str) -> None:
    try:
        say(line)
    except OSError as e:
        raise UserError(
            f"can't print the server's address ({e.strerror or e}): let stdout go where it can be read."
        ) from e


def _listen(opt: ServeOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in opt.host else socket.AF_INET
    try:
        return socket.create_server((opt.host, opt.port), family=family, backlog=_QUEUE)
    except (OSError, TypeError) as e:  # TypeError: for a name that the system's encoding does not take
        reason = getattr(e, "strerror", None) or e
        raise UserError(
            f"can't listen on {opt.host}, port {opt.port} ({reason}): choose another -port or -host."
        ) from e
