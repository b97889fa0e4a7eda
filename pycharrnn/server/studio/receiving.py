"""Files on their way from a client to the disk."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from compat.atomic_write import atomic_write
from pycharrnn.server.studio import studio_paths

_PIECE = 1 << 20  # bytes in memory

_Result = TypeVar("_Result")


async def receive(stream: AsyncIterator[bytes], path: str) -> int:
    """Write a request's body to a file, which appears whole or not at all. Returns: bytes. Errors: OSError.

    Whatever `stream` raises, such as a disconnected client, is raised.
    """
    size, waiting = 0, bytearray()
    with contextlib.ExitStack() as files:
        f = await _in_thread(files.enter_context, atomic_write(path))
        async for piece in stream:
            waiting += piece
            size += len(piece)
            if len(waiting) >= _PIECE:
                await _in_thread(f.write, bytes(waiting))
                waiting.clear()
        await _in_thread(f.write, bytes(waiting))
        await _in_thread(files.close)  # which waits for the disk
    return size


async def _in_thread(function: Callable[..., _Result], *arguments: Any) -> _Result:
    """As asyncio.to_thread; when it is cancelled, it ends after the function: a thread may still use the open file."""
    running = asyncio.get_running_loop().run_in_executor(None, function, *arguments)
    try:
        return await asyncio.shield(running)
    finally:
        while not running.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([running])


def check_space(size: int, what: str) -> None:
    """Errors: Refusal if the disk has no room for a file of `size` bytes."""
    if size > shutil.disk_usage(".").free:
        raise studio_paths.full_disk(what)
