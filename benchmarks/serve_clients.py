"""Many clients of `pycharrnn serve` at once, on loopback: errors, characters a second, the server's memory.

    python benchmarks/serve_clients.py CHECKPOINT [-clients 50] [-seconds 30]

Each client asks for one sample after another, of random length; every fifth leaves amid the text. Exits with 1 where a
sample was not whole, or where the server's memory grew by more than a tenth and 8 MB after the first third of the time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx


@dataclass
class Tally:
    samples: int = 0
    left: int = 0
    characters: int = 0
    errors: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)  # seconds until the first character


async def client(http: httpx.AsyncClient, model: str, seed: int, end: float, tally: Tally) -> None:
    choose = random.Random(seed)
    while time.monotonic() < end:
        length = choose.randint(100, 1000)
        leave_at = choose.randint(1, length) if choose.random() < 0.2 else None
        body = {"model": model, "length": length, "seed": choose.randrange(1 << 32), "candidates": 5}
        try:
            await one_sample(http, body, leave_at, tally)
        except (httpx.HTTPError, ValueError) as e:
            tally.errors.append(repr(e))


async def one_sample(http: httpx.AsyncClient, body: dict, leave_at: int | None, tally: Tally) -> None:
    start, count, done = time.monotonic(), 0, False
    async with http.stream("POST", "/api/sample", json=body) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            item = json.loads(line)
            if count == 0:
                tally.waits.append(time.monotonic() - start)
            count += "text" in item
            done = done or item.get("done", False)
            if leave_at is not None and count >= leave_at:
                tally.left += 1
                tally.characters += count
                return
    if not done:
        raise ValueError(f"a sample of {body['length']} ended after {count} characters")
    tally.samples += 1
    tally.characters += count


def memory(pid: int) -> float:
    """Resident megabytes of a process, from /proc; 0 where there is no /proc."""
    try:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


async def load(url: str, pid: int, clients: int, seconds: float) -> tuple[Tally, list[float]]:
    tally, sizes = Tally(), []
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as http:
        model = (await http.get("/api/models")).json()["models"][0]["id"]
        end = time.monotonic() + seconds
        work = asyncio.gather(*(client(http, model, k, end, tally) for k in range(clients)))
        for _ in range(9):
            await asyncio.sleep(seconds / 9)
            sizes.append(memory(pid))
        await work
    return tally, sizes


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("-clients", type=int, default=50)
    parser.add_argument("-seconds", type=float, default=30)
    args = parser.parse_args()
    command = [sys.executable, "-m", "pycharrnn", "serve", args.checkpoint, "-port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        url = next(line for line in server.stdout if line.startswith("http")).strip()
        tally, sizes = asyncio.run(load(url, server.pid, args.clients, args.seconds))
    finally:
        server.terminate()
        server.wait(timeout=30)
    waits = sorted(tally.waits)
    print(
        f"{args.clients} clients, {args.seconds:g} s: {tally.samples} samples, {tally.left} left early,"
        f" {len(tally.errors)} errors"
    )
    print(f"{tally.characters / args.seconds:.0f} characters a second in all")
    if waits:
        print(f"first character after {waits[len(waits) // 2]:.3f} s (median), {waits[-1]:.3f} s (longest)")
    print("server's memory in MB: " + " ".join(f"{size:.1f}" for size in sizes))
    for error in sorted(set(tally.errors))[:5]:
        print(error)
    grown = sizes[-1] > sizes[2] * 1.1 + 8
    return 1 if tally.errors or not tally.samples or grown else 0


if __name__ == "__main__":
    sys.exit(main())
