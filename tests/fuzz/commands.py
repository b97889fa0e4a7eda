"""Give a file to every command that reads one, in a forked child, and say what went wrong. Linux only."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import resource
import select
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

SECONDS = 10  # of a processor that a command may take
SILENCE = 60  # seconds after which a command hangs, on a machine that has other things to do
MEMORY = 300 << 20  # bytes that a case may take beside three times its file
_SPACE = 4 << 30  # bytes of address space more than at the start
_NOTE_ON_WEIGHTS = b" has weights that are NaN or infinite, so "  # before an error of the command
_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Outcome:
    """How a command took a file.

    Attributes:
        fault: what is wrong with how it ended, in words; empty for nothing. status: the exit status.
    """

    command: str
    fault: str
    status: int = 0
    seconds: float = 0.0


def prepare() -> None:
    """Load what commands load late, so that children need not."""
    import matplotlib.backends.backend_svg
    import matplotlib.figure  # noqa: F401
    import safetensors.numpy  # noqa: F401
    import torch

    from pycharrnn.training import loop  # noqa: F401

    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()  # a collection in a child need not look at all that is loaded


def draw_only_new_losses(files: list[Path]) -> None:
    """Let `plot` draw nothing where the losses are those of one of these files: drawing takes as long as all else."""
    from pycharrnn.analysis import loss_curves, plotting
    from pycharrnn.checkpoints import checkpoint

    def picture(curve: loss_curves.Curve) -> tuple:
        return (
            curve.label,
            curve.epochs_per_iteration,
            *(x.tobytes() for part in (curve.train, curve.val) for x in part),
        )

    save_picture = plotting.save_picture
    known = {picture(loss_curves.loss_curve(checkpoint.load(file), file.stem)) for file in files}
    plotting.save_picture = lambda path, curves: {picture(c) for c in curves} <= known or save_picture(path, curves)


def run_all(folder: Path, size: int, lines: list[list[str]], otherwise: list[list[str]]) -> tuple[list[Outcome], int]:
    """Run command lines in `folder`, one after another in one child: (outcomes, bytes of memory that they took at the
    peak).

    Args:
        size: bytes of the file that they read.
        otherwise: what to run after the first line where that fails, since the rest would fail alike.
    """
    read_end, write_end = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        os.close(read_end)
        _child(folder, write_end, lines, otherwise)
    os.close(write_end)
    *told, late = _listen(read_end, child)
    os.close(read_end)
    _, status = os.waitpid(child, 0)
    memory = told.pop() if told and isinstance(told[-1], int) else 0
    outcomes = [Outcome(*words) for words in told]
    if os.WIFSIGNALED(status):
        ran = lines[:1] + otherwise if outcomes and outcomes[0].status else lines
        fault = f"not done after {SILENCE} s" if late else f"killed by signal {os.WTERMSIG(status)}"
        outcomes.append(Outcome(" ".join(ran[min(len(outcomes), len(ran) - 1)]), fault, -os.WTERMSIG(status)))
    elif memory > 3 * size + MEMORY:
        outcomes.append(Outcome("all", f"{memory >> 20} MB of memory"))
    return outcomes, memory


def _listen(pipe: int, child: int) -> list:
    """What the child tells; last, whether it had to be killed for taking too long."""
    text = b""
    while select.select([pipe], [], [], SILENCE)[0]:
        piece = os.read(pipe, 1 << 16)
        if not piece:
            return [*map(json.loads, text.splitlines()), False]
        text += piece
    os.kill(child, signal.SIGKILL)
    return [*map(json.loads, text.splitlines()), True]


# -- the child ---------------------------------------------------------------------------------------------------------


def _child(folder: Path, report: int, lines: list[list[str]], otherwise: list[list[str]]) -> None:
    status = 1
    try:
        os.chdir(folder)
        os.fsync = lambda fd: None  # a disk's time is not what is asked about
        space = (_memory()["VmSize"] << 10) + _SPACE
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        out, err = (os.memfd_create(name) for name in ("out", "err"))
        os.dup2(out, 1)
        os.dup2(err, 2)
        as_python = {"encoding": "utf-8", "closefd": False}
        sys.stdin, sys.stdout = (open(n, mode, **as_python) for n, mode in enumerate("rw"))  # noqa: SIM115
        sys.stderr = open(2, "w", errors="backslashreplace", **as_python)  # noqa: SIM115
        before = _memory()
        first = _tell(report, _run(lines[0], out, err))
        for args in otherwise if first.status else lines[1:]:
            _tell(report, _run(args, out, err))
        after = _memory()
        # Files that are mapped, such as PyTorch's code, come in as they are used, and cost nothing.
        _write(report, (after["VmHWM"] - after["RssFile"] - before["VmRSS"] + before["RssFile"]) << 10)
        status = 0
    finally:
        os._exit(status)


def _memory() -> dict[str, int]:
    """Of this process, in KiB: VmRSS resident, RssFile the part of it that files back, VmHWM the most."""
    lines = (line.split() for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in lines if words[-1] == "kB"}


def _tell(report: int, outcome: Outcome) -> Outcome:
    _write(report, [outcome.command, outcome.fault, outcome.status, outcome.seconds])
    gc.collect()
    return outcome


def _write(report: int, value) -> None:
    os.write(report, json.dumps(value).encode() + b"\n")


def _run(args: list[str], out: int, err: int) -> Outcome:
    """Run the program in this process, as its command line does."""
    from pycharrnn.cli.commands import main

    for fd in (out, err):
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
    status, start = 0, time.process_time()
    try:
        main(args)
    except SystemExit as e:
        status = e.code if isinstance(e.code, int) else int(e.code is not None)
    except BaseException:
        status = 99
        traceback.print_exc()
    seconds = time.process_time() - start
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    said, complaint = (os.pread(fd, 1 << 20, 0) for fd in (out, err))
    fault = _fault(args[0], status, said, complaint, seconds)
    return Outcome(" ".join(args) if fault else args[0], fault, status, seconds)


def _fault(command: str, status: int, said: bytes, complaint: bytes, seconds: float) -> str:
    last = complaint.strip().rpartition(b"\n")[2].decode("utf-8", "backslashreplace")[:200]
    if status not in (0, 1, 3):
        return f"exit status {status}: {last}"
    if b"Traceback" in complaint or b"Warning" in complaint:
        return f"more than a sentence: {last}"
    lines = complaint.splitlines()
    if not all(line.startswith(b"pycharrnn: ") for line in lines):
        return f"a line that is none of ours: {last}"
    errors = [line for line in lines if _NOTE_ON_WEIGHTS not in line]
    if status == 1 and len(errors) != 1 and command != "train":  # training may say more on its way
        return f"no single line: {last}"
    if seconds > SECONDS:
        return f"{seconds:.0f} s"
    if command != "sample" and _CONTROL.search(said + complaint):
        return "control characters on the screen"
    return ""
