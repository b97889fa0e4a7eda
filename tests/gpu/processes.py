"""Runs on several processes: NCCL's sums on one GPU, and what the others do when one dies."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from tests.gpu import runs
from tests.gpu.checking import Check, Finding
from tests.gpu.place import Place

_ITERATIONS = 60
_PATIENCE = 60.0  # seconds in which the others must have noticed
_SUMMED = "A sum over one process changes nothing: the losses are as far from the CPU's as rounding brings them."
_ENDED = "docs/scale.md promises that the others end; a minute is what their user waits for."
_SENTENCE = "stops, since another one ended"


def checks(place: Place) -> list[Check]:
    asked = "s until the other process ended with its sentence"
    return [
        Check("torchrun, one process", "losses, nats from the CPU's", partial(_torchrun, place)),
        Check(
            f"{'NCCL' if place.gpus else 'gloo for NCCL'}, sums of one process",
            "losses, nats from the CPU's",
            partial(_sums, place),
        ),
        Check("gloo, a peer dies", asked, partial(_death, "-1")),
        Check("NCCL, a peer dies", asked, partial(_death, "0"), needs="two GPUs"),
    ]


def _compared(place: Place, command: list[str]) -> Finding:
    """A run of this command beside the CPU's."""
    options = {"model": "lstm", "exact": 1}
    with runs.Folder() as folder:
        truth = runs.on_cpu(folder, _ITERATIONS, place, **options)
        part = runs.rounding(place, 1) if place.is_real else 2.0**-24  # the log has eight digits
        allowed = runs.bounds(truth, folder, place, part, **options)
    with runs.Folder() as folder:
        arguments = [*command, "train", *_flags(folder), "-gpuid", "0" if place.is_real else "-1"]
        arguments += ["-max_epochs", str((_ITERATIONS + 0.5) / runs.batches({}))]
        done = subprocess.run(arguments, capture_output=True, text=True, env=_environment())
    if done.returncode:
        raise RuntimeError(f"exit status {done.returncode}: {done.stderr[-500:]}")
    found = [float(loss) for loss in re.findall(r"train_loss = (\S+),", done.stdout)]
    figure, bound, when = runs.worst(found, truth[:-1], [bound + 1e-8 for bound in allowed[:-1]])
    return Finding(figure, bound, _SUMMED, when)


def _torchrun(place: Place) -> Finding:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1"]
    return _compared(place, [*launcher, "-m", "pycharrnn"])


def _sums(place: Place) -> Finding:
    """With one process nothing would be summed, so one_process.py sums all the same."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1"]
    return _compared(place, [*launcher, str(Path(__file__).with_name("one_process.py"))])


def _flags(folder: Path) -> list[str]:
    named = {**runs.SIZES, "data_dir": folder, "checkpoint_dir": folder, "eval_val_every": 10**6}
    return [word for name, value in named.items() for word in (f"-{name}", str(value))]


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


def _death(gpuid: str) -> Finding:
    """Two processes, started without torchrun, which would end the other one by itself."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with runs.Folder() as folder:
        arguments = [
            sys.executable,
            "-m",
            "pycharrnn",
            "train",
            *_flags(folder),
            "-gpuid",
            gpuid,
            "-max_epochs",
            "10000",
        ]
        processes = [
            subprocess.Popen(
                arguments,
                env=_environment(
                    RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port
                ),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(2)
        ]
        try:
            return _killed(*processes)
        finally:
            for process in processes:
                process.kill()
                process.wait()


def _killed(first: subprocess.Popen, second: subprocess.Popen) -> Finding:
    """Kill the second, once they train, and wait for the first."""
    for line in first.stdout:
        if line.startswith("20/"):
            break
    os.kill(second.pid, signal.SIGKILL)
    start = time.monotonic()
    try:
        _, error = first.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        return Finding(float("inf"), _PATIENCE, _ENDED, "it still ran")
    seconds = time.monotonic() - start
    if _SENTENCE not in error or first.returncode == 0:
        raise RuntimeError(f"exit status {first.returncode} after {seconds:.0f} s, and it said: {error[-500:]!r}")
    return Finding(seconds, _PATIENCE, _ENDED, f"exit status {first.returncode}")
