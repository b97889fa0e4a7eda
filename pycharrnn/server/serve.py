"""Runs the application of `pycharrnn serve` on a port with uvicorn until a signal arrives."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
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

from pycharrnn.common import cores, interrupts
from pycharrnn.common.errors import UserError
from pycharrnn.common.printing import PrintLine
from pycharrnn.server import connections
from pycharrnn.server.addresses import reachable_hosts
from pycharrnn.server.app import Site, create_app
from pycharrnn.server.connections import Connection, OpenConnections
from pycharrnn.server.options import NetworkOptions, ServeOptions
from pycharrnn.server.registry import Registry
from pycharrnn.server.scheduler import Scheduler

_MORE_CONNECTIONS = 512  # beside -streams: for the page's files, refusals, and idle connections
_BACKLOG = 1024  # connections that wait to be accepted
_MAX_THREADS = 4  # by default
# Seconds that a thread may hold the GIL while others wait. With Python's default of 5 ms, the 99th percentile of the
# time to the first character was half as long again: the event loop and the turns often wait for each other.
_SWITCH_SECONDS = 0.0005


class Server(uvicorn.Server):
    """uvicorn with limited connections, and `beside` beside it. The first signal ends the server and its streams."""

    def __init__(
        self,
        app: FastAPI,
        scheduler: Scheduler,
        open_connections: OpenConnections,
        beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
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
        self._beside = beside
        self._running_beside: asyncio.Task[None] | None = None

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal arrives.

        uvicorn handles signals only once the event loop runs. Before that, an exception of a handler would interrupt
        asyncio while it creates the loop, and the destructor of the incomplete loop would print a traceback.
        """
        with self.capture_signals():
            super().run(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_BACKLOG)  # uvicorn's `backlog` is also the number that asyncio accepts at once
        if self._beside:
            self._running_beside = asyncio.create_task(self._beside())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._open_connections.stopping = True
        if self._running_beside:
            self._running_beside.cancel()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """As uvicorn's, for all signals that end a program. Signals that are ignored stay ignored, as under nohup."""
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
        """Begin to stop: all requests end within two seconds; what a thread does, as indexing a text, ends first."""
        if not self.should_exit:  # at a second signal, uvicorn would skip its cleanup
            self._scheduler.closed = True
            super().handle_exit(sig, frame)


def serve(paths: list[str], opt: ServeOptions, say: PrintLine, note: PrintLine) -> None:
    """Serve models until a signal arrives.

    Args:
        paths: checkpoints and folders of checkpoints.
        say: prints a line on stdout. note: prints one on stderr.

    Errors: UserError if a checkpoint can't be read, the address can't be listened on, or stdout can't be written.
    """
    prepare_process()
    say = partial(say_or_fail, say)
    models = Registry(paths, say, note, bool(opt.follow))
    for lost in models.lost_texts():
        note(f"{lost}: requests with new are refused; start in the folder of the training.")
    listen(models, opt, say, models.follow_folders if opt.follow else None)


def listen(
    models: Registry,
    opt: NetworkOptions,
    say: PrintLine,
    beside: Callable[[], Coroutine[Any, Any, None]] | None,
    site: Site | None = None,
    began: Callable[[str], None] = lambda url: None,
) -> None:
    """Answer requests until a signal arrives.

    Args:
        say: prints a line on stdout. beside: runs beside the server.
        site: its page and paths; None for those of `pycharrnn serve`.
        began: called with the first address once the port is open.

    Errors: UserError if the address can't be listened on, or stdout can't be written.
    """
    token = secrets.token_urlsafe(24) if opt.token == "new" else opt.token
    hosts = frozenset({"localhost", "127.0.0.1", "::1", opt.host.lower()}) if opt.is_loopback() else None
    max_connections = connections.connections_allowed(opt.streams + _MORE_CONNECTIONS)
    threads = opt.threads or min(_MAX_THREADS, cores.default_threads())
    scheduler = Scheduler(min(opt.streams, max(1, max_connections // 2)), threads)
    site = site or Site()
    app = create_app(models, scheduler, hosts, token, site)
    server = Server(app, scheduler, OpenConnections(max_connections, upload_paths=site.upload_paths), beside)
    with _listen(opt) as listener:
        end = f":{listener.getsockname()[1]}/{f'#token={token}' if token else ''}"
        lines = [f"http://{host}{end}" for host in reachable_hosts(opt.host)]
        say("\n".join([*lines, "Press Ctrl-C to stop."]))  # at once: the reader of the first line may close the pipe
        began(lines[0])
        server.run(sockets=[listener])


def prepare_process() -> None:
    """Set limits that hold for the whole process; to be called before models are read."""
    _limit_heaps()
    sys.setswitchinterval(_SWITCH_SECONDS)


def _limit_heaps() -> None:
    """Limit glibc's heap fragmentation, by which memory would grow with many clients.

    By default each thread gets a heap, and once a large block has been freed, blocks up to its size come from a heap.
    With these settings there is one heap, and blocks of 128 KiB or more are mapped, and unmapped when freed.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library has no mallopt
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(-8, 1)  # M_ARENA_MAX
        mallopt(-3, 1 << 17)  # M_MMAP_THRESHOLD


def say_or_fail(say: PrintLine, line: str) -> None:
    """Print a line with the server's address. Errors: UserError if stdout can't be written to."""
    try:
        say(line)
    except OSError as e:
        raise UserError(
            f"can't print the server's address ({e.strerror or e}): redirect stdout to a terminal or file."
        ) from e


def _listen(opt: NetworkOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in opt.host else socket.AF_INET
    try:
        return socket.create_server((opt.host, opt.port), family=family, backlog=_BACKLOG)
    except (OSError, TypeError) as e:  # TypeError: a name that can't be encoded
        reason = str(getattr(e, "strerror", None) or e).split(" (while ")[0]  # Python repeats the address there
        raise UserError(
            f"can't listen on {opt.host}, port {opt.port} ({reason}): choose another -host or -port; -port 0 takes a"
            " free one."
        ) from e
