"""Measures `pycharrnn serve` with many clients at once, on loopback: errors, characters per second, memory.

    python benchmarks/serve_clients.py [CHECKPOINT] [-clients 50] [-seconds 30] [-candidates 0,8]

Without a checkpoint, the model has char-rnn's default size and random weights. For comparison, one process generates
samples of the same lengths one after the other, with `generate`.

Each client requests one sample after another, of random length; every fifth disconnects within the text. The clients
share the processor with the server, so they count lines and do not parse them. The exit status is 1 if a sample was
incomplete, or if the server's memory grew by more than a tenth and 8 MB after the first third of the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import arguments
import sampling

import pycharrnn
from compat import charrnn

ROOT = Path(__file__).parents[1]
_OF_A_LINE = b'"given"'  # once in each, and in no text, where a quotation mark is escaped
_STATUS_ENDS = len(b"HTTP/1.1 200")
_END = b'{"done":true}\n\r\n0\r\n\r\n'  # the last line, the end of its chunk, and the chunk that ends the answer


@dataclass
class Tally:
    samples: int = 0
    left: int = 0
    characters: int = 0
    errors: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)  # seconds until the first character
    memory: list[float] = field(default_factory=list)  # MB, now and then
    seconds: float = 0.0  # until the last sample was whole
    own_seconds: float = 0.0  # that the clients took of a processor

    def wait(self, share: float) -> float:
        """Of this share of the samples the first character came sooner."""
        waits = sorted(self.waits)
        return waits[min(int(share * len(waits)), len(waits) - 1)] if waits else float("nan")


class Client(asyncio.Protocol):
    """One connection: counts the characters of one answer after the other, without a look at them."""

    def __init__(self) -> None:
        self.change = asyncio.Event()
        self.count, self.whole, self.first = 0, False, 0.0
        self.closed = False
        self._head = self._last = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def ask(self, request: bytes) -> None:
        self.count, self.whole, self.first = 0, False, 0.0
        self._head = self._last = b""
        self.transport.write(request)

    @property
    def status(self) -> bytes:
        return self._head[9:]

    def data_received(self, data: bytes) -> None:
        if len(self._head) < _STATUS_ENDS:
            self._head += data[: _STATUS_ENDS - len(self._head)]
        self.count += (self._last[1 - len(_OF_A_LINE) :] + data).count(_OF_A_LINE)
        if self.count and not self.first:
            self.first = time.monotonic()
        self._last = (self._last + data[-len(_END) :])[-len(_END) :]
        self.whole = self._last == _END
        self.change.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.change.set()


async def ask_on(address: tuple[str, int], model: str, candidates: int, seed: int, end: float, tally: Tally) -> None:
    """Ask for samples until the time is over; from some moment in the first second on, as clients come."""
    choose, client = random.Random(seed), None
    await asyncio.sleep(choose.random())
    while time.monotonic() < end:
        length = choose.randint(100, 1000)
        leave_at = choose.randint(1, length) if choose.random() < 0.2 else None
        body = {"model": model, "length": length, "seed": choose.randrange(1 << 32), "candidates": candidates}
        content = json.dumps(body).encode()
        head = f"POST /api/sample HTTP/1.1\r\nHost: {address[0]}\r\nContent-Type: application/json\r\n"
        try:
            if client is None or client.closed:
                _, client = await asyncio.get_running_loop().create_connection(Client, *address)
            start = time.monotonic()
            client.ask(head.encode() + b"Content-Length: %d\r\n\r\n" % len(content) + content)
            await answered(client, leave_at)
        except (OSError, ValueError, asyncio.TimeoutError) as e:  # up to Python 3.10 the last is no OSError
            tally.errors.append(repr(e))
            continue
        tally.characters += client.count
        tally.waits.append(client.first - start)
        tally.samples += client.whole
        if not client.whole:
            tally.left += 1
            client.transport.abort()
            client = None
    if client:
        client.transport.abort()


async def answered(client: Client, leave_at: int | None) -> None:
    """Wait until an answer is whole, or until so many characters have come. Errors: ValueError."""
    while not client.whole and (leave_at is None or client.count < leave_at):
        client.change.clear()
        await asyncio.wait_for(client.change.wait(), 60)
        if not b"200".startswith(client.status) or client.closed:
            raise ValueError(f"status {client.status!r}, {client.count} characters: {client._last!r}")


def memory(pid: int) -> float:
    """Resident megabytes of a process, from /proc; 0 where there is no /proc."""
    try:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


async def load(url: str, pid: int, clients: int, seconds: float, candidates: int) -> Tally:
    """What becomes of so many clients in so many seconds."""
    tally, host = Tally(), urlsplit(url)
    address = host.hostname, host.port
    connection = http.client.HTTPConnection(*address)
    connection.request("GET", "/api/models")
    model = json.load(connection.getresponse())["models"][0]["id"]
    own, start = time.process_time(), time.monotonic()
    end = start + seconds
    work = asyncio.gather(*(ask_on(address, model, candidates, k, end, tally) for k in range(clients)))
    for _ in range(9):
        await asyncio.sleep(seconds / 9)
        tally.memory.append(memory(pid))
    await work
    tally.seconds, tally.own_seconds = time.monotonic() - start, time.process_time() - own
    return tally


@contextlib.contextmanager
def server(checkpoint: str) -> Iterator[tuple[str, int]]:
    """The address and the process of `pycharrnn serve`."""
    command = [sys.executable, "-m", "pycharrnn", "serve", os.path.abspath(checkpoint), "-port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    try:
        yield next(line for line in process.stdout if line.startswith("http")).strip(), process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


def plain_loop(checkpoint: str, seconds: float) -> float:
    """Characters a second of `generate`, one sample after the other."""
    model, choose = pycharrnn.load(checkpoint), random.Random(0)
    characters, start = 0, time.monotonic()
    while time.monotonic() < start + seconds:
        length = choose.randint(100, 1000)
        model.generate(length=length, seed=choose.randrange(1 << 31), as_bytes=True)
        characters += length
    return characters / (time.monotonic() - start)


def measure(checkpoint: str, clients: int, seconds: float, candidates: int) -> tuple[dict[str, object], Tally]:
    """A row of figures, and what it comes from; the plain loop has a third of the time in all, before and after."""
    loops = [plain_loop(checkpoint, seconds / 6)]
    with server(checkpoint) as (url, pid):
        tally = asyncio.run(load(url, pid, clients, seconds, candidates))
    loops.append(plain_loop(checkpoint, seconds / 6))
    served, loop = tally.characters / tally.seconds, sum(loops) / 2
    row = {
        "what": f"serve, {clients} clients, {candidates} candidates",
        "characters/s": round(served),
        "plain loop": round(loop),
        "ratio": served / loop,
        "first character, median ms": 1000 * tally.wait(0.5),
        "99 % within ms": 1000 * tally.wait(0.99),
        "memory MB": tally.memory[-1],
    }
    return row, tally


def figures(seconds: float = 10) -> list[dict[str, object]]:
    """All rows, of the model of default size."""
    with tempfile.TemporaryDirectory() as folder:
        path = default_model(folder)
        return [
            measure(path, clients, seconds, candidates)[0] for clients, candidates in ((1, 0), (1, 8), (50, 0), (50, 8))
        ]


def default_model(folder: str) -> str:
    path = os.path.join(folder, "lstm.t7")
    charrnn.save(path, sampling.model())
    return path


def main() -> int:
    parser = arguments.parser(__doc__)
    parser.add_argument("checkpoint", nargs="?", type=arguments.existing)
    parser.add_argument("-clients", type=arguments.count, default=50)
    parser.add_argument("-seconds", type=arguments.seconds, default=30)
    parser.add_argument(
        "-candidates",
        type=arguments.listed(int),
        default="8",
        help="with each character; several numbers, after one another: 0,8",
    )
    args = parser.parse_args()
    wrong = False
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = args.checkpoint or default_model(folder)
        for candidates in args.candidates:
            row, tally = measure(checkpoint, args.clients, args.seconds, candidates)
            print(
                f"{row['what']}, {args.seconds:g} s: {tally.samples} samples, {tally.left} left early,"
                f" {len(tally.errors)} errors"
            )
            print(
                f"{row['characters/s']} characters a second in all, {row['ratio']:.2f} of the {row['plain loop']} of a"
                " plain loop"
            )
            print(
                f"first character after {tally.wait(0.5):.3f} s (median), {tally.wait(0.99):.3f} s (99 %),"
                f" {tally.wait(1):.3f} s (longest)"
            )
            print(f"the clients took {tally.own_seconds / tally.seconds:.0%} of a processor")
            print("server's memory in MB: " + " ".join(f"{size:.1f}" for size in tally.memory))
            for error in sorted(set(tally.errors))[:5]:
                print(error)
            grown = tally.memory[-1] > tally.memory[2] * 1.1 + 8
            wrong = wrong or bool(tally.errors) or not tally.samples or grown
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
