"""Short training runs for the tests of long ones."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from conftest import GOLDEN, ROOT, start, with_slashes, working_in

from compat.lua_random import LuaRandom
from pycharrnn.cli.commands import cli
from pycharrnn.common.errors import UserError
from pycharrnn.engine.model import CharRNN
from pycharrnn.text.loader import CharSplitLMMinibatchLoader
from pycharrnn.training.distributed import Ranks
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.settings import MachineSettings, OptimisationSettings, group
from pycharrnn.training.trainer import Trainer

SMALL = [
    "-gpuid",
    "-1",
    "-data_dir",
    "data",
    "-rnn_size",
    "6",
    "-batch_size",
    "5",
    "-seq_length",
    "8",
    "-num_layers",
    "2",
]
TEXT = (GOLDEN / "corpus" / "input.txt").read_bytes()[:2560]  # 64 batches of SMALL, 60 of them to train on

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
COMMAND = [sys.executable, "-m", "pycharrnn", "train", *SMALL]
LONG = ["-max_epochs", "100000", "-print_every", "20"]


def folder_with_text(folder: Path, text: bytes = TEXT) -> Path:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "input.txt").write_bytes(text)
    return folder


def train(folder: Path, *args: str, small=SMALL) -> list[str]:
    """Run `pycharrnn train` in `folder`: the lines of its log, timings masked. An error is raised."""
    with working_in(folder):
        result = CliRunner().invoke(cli, ["train", *small, *args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return masked(with_slashes(result.stdout))


def masked(log: str) -> list[str]:
    return [re.sub(r"time/batch = \S+", "time/batch", line) for line in log.splitlines()]


def steps(lines: list[str]) -> list[str]:
    """The lines from the first step on: training's own."""
    own = [k for k, line in enumerate(lines) if re.match(r"\d+/\d+ \(epoch|evaluating|decayed", line)]
    return lines[own[0] :] if own else []


def named(folder: Path) -> list[Path]:
    """Named checkpoints in the order of epochs."""
    return sorted(folder.glob("cv/lm_*_epoch*.t7"), key=lambda p: float(p.name.split("epoch")[1].split("_")[0]))


def leavings(folder: Path) -> list[str]:
    """Hidden files in the checkpoint directory: a lock, or what is half written."""
    return [p.name for p in folder.glob("cv/.*")]


def copied(folder: Path, to: Path, *checkpoints: Path) -> Path:
    """A second folder with the same text, and only these checkpoints."""
    shutil.copytree(folder / "data", to / "data")
    (to / "cv").mkdir()
    for path in checkpoints:
        shutil.copy2(path, to / "cv")
    return to


def result_of(folder: Path, *args: str, small=SMALL):
    """(exception or None, stdout masked, stderr) of a training in this process; paths with slashes."""
    with working_in(folder):
        result = CliRunner().invoke(cli, ["train", *small, *args])
    error = result.exception
    assert error is None or isinstance(error, UserError), repr(error)
    if error:
        error.args = (with_slashes(error.message),)
    return error, masked(with_slashes(result.stdout)), with_slashes(result.stderr)


def started(folder: Path, *args: str, lines: int = 3, **keywords) -> subprocess.Popen:
    """A training under way, once it has printed some lines of steps."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = start("train", *SMALL, *args, cwd=folder, text=True, **{"env": ENVIRONMENT, **pipes, **keywords})
    while lines:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        lines -= "train_loss" in line
    return process


def in_two_processes(folder: Path, *args: str) -> tuple[str, str]:
    """(stdout, stderr) of `pycharrnn ARGS` in two processes that are told of each other as by torchrun."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    # Without libuv, which PyTorch is built without for Windows.
    told = {**ENVIRONMENT, "USE_LIBUV": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    second = start(*args, cwd=folder, env={**told, "RANK": "1", "LOCAL_RANK": "1"}, **pipes)
    pipes["stderr"] = subprocess.PIPE
    first = start(*args, cwd=folder, env={**told, "RANK": "0", "LOCAL_RANK": "0"}, **pipes)
    printed, said = first.communicate(timeout=240)
    more, _ = second.communicate(timeout=240)
    assert (first.returncode, second.returncode) == (0, 0), said + more
    return printed, said + more


def a_trainer(folder: Path, **options) -> Trainer:
    """A trainer of a small network with the options of SMALL, before its first step."""
    opt = TrainOptions(rnn_size=6, num_layers=2, batch_size=5, seq_length=8, gpuid=-1, **options)
    loader = CharSplitLMMinibatchLoader(folder / "data", 5, 8, (0.9, 0.1, 0), say=lambda line: None)
    parameters = "float32" if opt.dtype else "float64"
    model = CharRNN(opt.model, loader.vocab_size, 6, 2, opt.dropout, dtype=getattr(torch, parameters))
    model.reset_parameters(LuaRandom(1))
    machine = group(MachineSettings, opt, device="cpu", parameters=parameters, products=opt.dtype)
    return Trainer(
        model, loader, LuaRandom(opt.seed), Ranks(), group(OptimisationSettings, opt), machine, lambda line: None
    )


# -- the recorded runs -------------------------------------------------------------------------------------------------

STEP = re.compile(r"(\d+)/(\d+) \(epoch (\S+)\), train_loss = (\S+), grad/param norm = (\S+), time/batch = \d+\.\d{4}s")
# Which of the two is cloned first depends on where Lua keeps the keys of a table; preprocessing runs once a folder.
NOT_OURS = ("cloning rnn", "cloning criterion")


def log_lines(log: str) -> list[str]:
    """From the first line that every run prints."""
    return [line for line in log[log.index("loading data files...") :].splitlines() if line not in NOT_OURS]


def assert_same_digits(ours: list[str], theirs: list[str]) -> None:
    """The same lines, to the last digit, but for the time that a step took; and steps have the form of steps."""
    assert masked("\n".join(ours)) == masked("\n".join(theirs))
    for our, their in zip(ours, theirs, strict=True):
        assert bool(STEP.fullmatch(our)) == bool(STEP.fullmatch(their)), our


def assert_close_digits(ours: list[str], theirs: list[str]) -> None:
    """The same lines, but for one unit of a step's last printed digits.

    For what adds in another order than the original: torch.nn's modules, and gradients summed over processes.
    """
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        our_step, their_step = STEP.fullmatch(our), STEP.fullmatch(their)
        if not their_step:
            assert our == their
            continue
        assert our_step, our
        assert our_step.groups()[:3] == their_step.groups()[:3]
        assert float(our_step[4]) == pytest.approx(float(their_step[4]), abs=1.01e-8)
        assert float(our_step[5]) == pytest.approx(float(their_step[5]), rel=1.01e-4)
