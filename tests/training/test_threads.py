"""-threads, and what training takes where it is not given."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner
from conftest import GOLDEN, ROOT, run_alone
from runs import COMMAND, ENVIRONMENT, folder_with_text, named, train

from pycharrnn.checkpoints import checkpoint
from pycharrnn.cli.commands import cli
from pycharrnn.common import cores
from pycharrnn.engine import kernel_library
from pycharrnn.training import threads
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.settings import MachineSettings, group

CHECKPOINT = str(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")
COMMANDS = {
    "sample": [CHECKPOINT, "-gpuid", "-1", "-length", "20"],
    "chat": [CHECKPOINT, "-gpuid", "-1", "-length", "20"],
    "eval": [CHECKPOINT, "-data_dir", "data"],
    "score": [CHECKPOINT, "data/input.txt"],
    "activations": [CHECKPOINT, "-primetext", "The night"],
}
needs_kernel = pytest.mark.skipif(kernel_library.name() is None, reason="no kernel was compiled here")


@pytest.fixture(autouse=True)
def four_threads():
    """PyTorch uses four threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def settled(**options) -> int:
    """How many threads PyTorch uses then."""
    threads.set_num_threads(TrainOptions(**options).threads)
    return torch.get_num_threads()


def test_as_many_as_are_asked_for(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert settled(threads=3) == 3


def test_else_as_many_as_pytorch_takes():
    assert settled() == 4


@pytest.mark.parametrize("products, notes", [("", 1), ("bfloat16", 1), ("float16", 0)])
def test_a_missing_kernel_is_noted_where_it_would_compute(monkeypatch, products, notes):
    monkeypatch.setattr(kernel_library, "is_missing", lambda: True)
    noted: list[str] = []
    machine = group(MachineSettings, TrainOptions(), device="cpu", parameters="float32", products=products)
    threads.note_backend(machine, "PyTorch", noted.append)
    assert len(noted) == notes


@needs_kernel
@pytest.mark.parametrize("model", ["lstm", "gru"])
def test_no_digit_depends_on_the_number(tmp_path, monkeypatch, model):
    """With the kernel and in double precision; nor does a bit of the weights."""
    monkeypatch.setattr(cores, "use_threads", lambda count: None)  # for programs that have yet to load PyTorch
    found = []
    for count in ("1", "2", "3"):
        folder = folder_with_text(tmp_path / count)
        lines = train(
            folder, "-model", model, "-dropout", "0.3", "-rnn_size", "40", "-max_epochs", "0.1", "-threads", count
        )
        assert torch.get_num_threads() == int(count)
        (path,) = named(folder)
        weights = checkpoint.load(path).network.weights
        bits = hashlib.sha256(b"".join(weights[name].tobytes() for name in sorted(weights))).hexdigest()
        found.append((lines, bits))
    assert found[0] == found[1] == found[2]


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_computes_has_it(command, tmp_path):
    """It prints the same on two threads as on one."""
    folder = folder_with_text(tmp_path, (GOLDEN / "corpus" / "input.txt").read_bytes()[:9000])
    printed = set()
    for count in ("1", "2"):
        result = run_alone(command, *COMMANDS[command], "-threads", count, cwd=folder, input=b"The night\n")
        assert result.returncode == 0, result.stderr.decode()
        printed.add(result.stdout)
    assert len(printed) == 1


@pytest.mark.parametrize("command", [*COMMANDS, "train", "serve"])
@pytest.mark.parametrize("count", ["-1", "1025"])
def test_what_can_be_no_number_of_threads_is_refused(command, count):
    args = {"train": [], "serve": [CHECKPOINT]} | COMMANDS
    refused = CliRunner().invoke(cli, [command, *args[command], "-threads", count])
    assert str(refused.exception) == f"-threads must be from 1 to 1024, or 0, not {count}."


@pytest.mark.slow
def test_training_says_that_no_kernel_was_compiled(tmp_path):
    """Once, unless the kernel is switched off, with the reason that doctor prints."""
    home = folder_with_text(tmp_path / "home")
    for package in ("compat", "pycharrnn"):
        shutil.copytree(ROOT / package, home / package, ignore=shutil.ignore_patterns("__pycache__", "_kernel_*"))
    (home / "pycharrnn" / "_kernel_any.left_out").write_text("cc: No such file or directory\n", encoding="utf-8")
    environment = {**ENVIRONMENT, "PYTHONPATH": str(home)}
    environment.pop("PYCHARRNN_KERNEL", None)
    reason = "it was not compiled (cc: No such file or directory)"
    said = f"this run uses PyTorch (no C kernel: {reason}), which takes two to four times as long as the C kernel.\n"
    args = [*COMMAND, "-max_epochs", "0.02", "-overwrite", "1"]
    for setting, times in ({"PYCHARRNN_KERNEL": "off"}, 0), ({}, 1):
        ended = subprocess.run(args, cwd=home, env=environment | setting, capture_output=True, text=True)
        assert ended.returncode == 0 and ended.stderr.count(said) == times, ended.stderr
    code = "from pycharrnn.cli import machine_facts; print(*machine_facts.machine_facts(), sep='\\n')"
    facts = subprocess.run([sys.executable, "-c", code], cwd=home, env=environment, capture_output=True, text=True)
    assert f"times as long; {reason}\n" in facts.stdout, facts.stderr
