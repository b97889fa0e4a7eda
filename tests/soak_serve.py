"""Clients of all kinds ask `pycharrnn serve` for long, and its memory and open files are watched. To be run by hand:

    python tests/soak_serve.py [-minutes 60] [-clients 20] [-pause 1]

Linux only. Fails unless every good request gets its whole answer and every bad one a refusal, memory in the last minute
is within 2 % of what it was in the third, and no file is left open when the clients are gone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import signal
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

from serving_tools import LSTM, ROOT, server
from soak import memory_and_files

EVERY = 5  # seconds, between two looks
TEXT = (ROOT / "tests" / "golden" / "corpus" / "input.txt").read_text(encoding="utf-8")
BAD = [
    b"{",
    b"[" * 100_000,
    json.dumps({"model": "another"}).encode(),
    json.dumps({"model": LSTM.stem, "length": 0}).encode(),
    json.dumps({"model": LSTM.stem, "primetext": "\u4e2d"}).encode(),
    json.dumps({"model": LSTM.stem, "primetext": "x" * 200_000}).encode(),
    json.dumps({str(k): k for k in range(10_000)}).encode(),
    b" " * 300_000,
]


def request(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class Client:
    """One that does one thing after the other, and counts what it did and what went wrong."""

    def __init__(self, port: int, seed: int, done: Counter, wrong: Counter):
        self._port, self._choose, self._done, self._wrong = port, random.Random(seed), done, wrong

    async def run(self, end: float, pause: float) -> None:
        kinds = [self.sample, self.sample, self.score, self.page, self.vanish, self.bad, self.slow, self.silent]
        while time.monotonic() < end:
            kind = self._choose.choice(kinds)
            try:
                await asyncio.wait_for(kind(), 60)
            except (OSError, asyncio.TimeoutError, AssertionError) as e:
                self._wrong[f"{kind.__name__}: {e!r}"[:200]] += 1
            self._done[kind.__name__] += 1
            await asyncio.sleep(self._choose.uniform(0, 2 * pause))

    @contextlib.asynccontextmanager
    async def _sent(self, content: bytes):
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(content)
            yield reader, writer
        finally:
            writer.transport.abort()

    async def _answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        async with self._sent(request(path, body)) as (reader, _):
            head, _, rest = (await reader.read(-1)).partition(b"\r\n\r\n")
        return int(head.split()[1]), rest

    def _sample(self, most: int) -> bytes:
        length, candidates = self._choose.randint(1, most), self._choose.choice([0, 5, 20])
        body = {"model": LSTM.stem, "length": length, "candidates": candidates, "seed": self._choose.randrange(1 << 32)}
        return json.dumps(body).encode()

    def _text(self, most: int) -> bytes:
        start = self._choose.randrange(len(TEXT) - most)
        return json.dumps({"model": LSTM.stem, "text": TEXT[start : start + self._choose.randint(1, most)]}).encode()

    async def sample(self) -> None:
        status, body = await self._answer("/api/sample", self._sample(500))
        assert status == 200
        assert b'{"done":true}' in body

    async def score(self) -> None:
        status, body = await self._answer("/api/score", self._text(self._choose.choice([100, 20_000])))
        assert status == 200
        assert json.loads(body)["known"]

    async def page(self) -> None:
        async with self._sent(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n") as (reader, _):
            assert (await reader.read(-1)).startswith(b"HTTP/1.1 200")

    async def vanish(self) -> None:
        content = request("/api/sample", self._sample(10_000))
        async with self._sent(content[: self._choose.choice([50, len(content)])]):
            await asyncio.sleep(self._choose.choice([0, 0.05, 0.5]))

    async def bad(self) -> None:
        try:
            status, _ = await self._answer("/api/sample", self._choose.choice(BAD))
        except ConnectionResetError:
            return  # a large body that is refused unread may cost the answer
        assert 400 <= status < 500

    async def slow(self) -> None:
        async with self._sent(request("/api/sample", self._sample(300))) as (reader, _):
            while await reader.read(5000):
                await asyncio.sleep(0.05)

    async def silent(self) -> None:
        async with self._sent(self._choose.choice([b"", b"GET / HT", request("/api/score", b"{}")[:-1]])):
            await asyncio.sleep(self._choose.choice([1, 20]))


async def watch(pid: int, seconds: float) -> list[int]:
    """KiB of memory, time and again."""
    looks, start = [], time.monotonic()
    while time.monotonic() - start < seconds:
        await asyncio.sleep(EVERY)
        looks.append(memory_and_files(pid)[0])
        if len(looks) % (60 // EVERY) == 0:
            print(f"{len(looks) * EVERY // 60} min: {looks[-1] / 1024:.2f} MiB", flush=True)
    return looks


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def soak(port: int, pid: int, args: argparse.Namespace) -> bool:
    done, wrong = Counter(), Counter()
    await Client(port, 0, done, wrong).sample()
    files = memory_and_files(pid)[1]
    end = time.monotonic() + 60 * args.minutes
    clients = [Client(port, seed, done, wrong).run(end, args.pause) for seed in range(1, args.clients + 1)]
    looks, *_ = await asyncio.gather(watch(pid, 60 * args.minutes), *clients)
    await asyncio.sleep(1)
    files_left = memory_and_files(pid)[1]
    print(f"{args.minutes:g} minutes, {args.clients} clients, {sum(done.values())} things done, {wrong.total()} wrong:")
    print("  " + ", ".join(f"{count} {kind}" for kind, count in sorted(done.items())))
    for what, count in wrong.most_common(5):
        print(f"  {count} times {what}")
    minute = 60 // EVERY
    before, after = (statistics.median(part) for part in (looks[2 * minute : 3 * minute], looks[-minute:]))
    growth = after / before - 1
    print(f"memory {before / 1024:.2f} MiB in the third minute, {after / 1024:.2f} in the last ({growth:+.2%})")
    print(f"open files {files} before, {files_left} after; {cpu_seconds(pid):.0f} s of processor time")
    return not wrong and abs(growth) <= 0.02 and files_left <= files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-minutes", type=float, default=60)
    parser.add_argument("-clients", type=int, default=20)
    parser.add_argument("-pause", type=float, default=1, help="seconds between two requests of a client, on average")
    args = parser.parse_args()
    with server(LSTM) as running:
        held = asyncio.run(soak(int(re.search(r":(\d+)/", running.url)[1]), running.process.pid, args))
        running.process.send_signal(signal.SIGINT)
        _, error = running.process.communicate(timeout=20)
    held = held and error.strip() == "pycharrnn: stopped by Ctrl-C."
    print("held" if held else f"did not hold; the server said: {error}")
    sys.exit(not held)


if __name__ == "__main__":
    main()
