"""-threads, and what training takes where it is not given."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner
from conftest import GOLDEN, run, working_in
from runs import SMALL, folder_with_text, named, train

from pycharrnn.checkpoints import checkpoint
from pycharrnn.cli import making_commands
from pycharrnn.cli.commands import cli
from pycharrnn.engine import kernel, kernel_library
from pycharrnn.training import threads
from pycharrnn.training.options import TrainOptions

CHECKPOINT = str(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")
COMMANDS = {
    "sample": [CHECKPOINT, "-gpuid", "-1", "-length", "20"],
    "chat": [CHECKPOINT, "-gpuid", "-1", "-length", "20"],
    "eval": [CHECKPOINT, "-data_dir", "data"],
    "score": [CHECKPOINT, "data/input.txt"],
    "activations": [CHECKPOINT, "-primetext", "The night"],
}
needs_kernel = pytest.mark.skipif(kernel_library.name() is None, reason="no kernel was compiled here")


class Busy:
    """A meter of a machine whose other programs keep some cores busy."""

    def __init__(self, cores: float | None = None):
        self._cores = cores

    def others(self) -> float | None:
        return self._cores


@pytest.fixture(autouse=True)
def four_threads(monkeypatch):
    """PyTorch uses four threads on four cores, and the environment says nothing of it."""
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "usable", lambda: 4)
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def settled(meter: Busy | None, device: str = "cpu", **options) -> tuple[int, list[str]]:
    """How many threads PyTorch uses then, and what was said of that."""
    model = SimpleNamespace(flat=torch.zeros(4, dtype=torch.float64))
    said: list[str] = []
    threads.settle(SimpleNamespace(opt=TrainOptions(**options), device=device, model=model), meter, said.append)
    return torch.get_num_threads(), said


@pytest.mark.parametrize("meter", [None, Busy(), Busy(4.0)])
def test_as_many_as_are_asked_for(meter, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert settled(meter, threads=3) == (3, [])


@pytest.mark.parametrize("meter", [None, Busy(), Busy(0.4)])
def test_all_where_the_cores_are_free(meter):
    assert settled(meter) == (4, [])


@needs_kernel
def test_fewer_where_they_are_busy():
    assert settled(Busy(4.0)) == (
        1,
        [
            "other programs keep 4.0 of 4 processor cores busy: computing with 1 thread, which is faster then than 4"
            " (-threads 4 takes as many all the same)."
        ],
    )
    torch.set_num_threads(4)
    count, (said,) = settled(Busy(1.6))
    assert count == 2
    assert "computing with 2 threads," in said


def test_not_where_digits_would_depend_on_it_or_the_user_has_said_how_many(monkeypatch):
    assert settled(Busy(4.0), device="cuda:0") == (4, [])
    assert settled(Busy(4.0), dtype="bfloat16") == (4, [])
    with monkeypatch.context() as without:
        without.setattr(kernel, "usable", lambda parameters: False)
        assert settled(Busy(4.0)) == (4, [])
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert settled(Busy(4.0)) == (4, [])


@needs_kernel
def test_a_training_on_a_busy_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(making_commands, "Meter", lambda: Busy(3.0))
    with working_in(folder_with_text(tmp_path)):
        result = CliRunner().invoke(cli, ["train", *SMALL, "-max_epochs", "0.1"])
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("pycharrnn: other programs keep 3.0 of 4 processor cores busy: computing with 1")
    assert torch.get_num_threads() == 1


@needs_kernel
@pytest.mark.parametrize("model", ["lstm", "gru"])
def test_no_digit_depends_on_the_number(tmp_path, monkeypatch, model):
    """With the kernel and in double precision; nor does a bit of the weights."""
    monkeypatch.setattr(
        making_commands, "use_threads", lambda count: None
    )  # for programs that have yet to load PyTorch
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


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_computes_has_it(command, tmp_path):
    """It prints the same on two threads as on one."""
    folder = folder_with_text(tmp_path, (GOLDEN / "corpus" / "input.txt").read_bytes()[:9000])
    printed = set()
    for count in ("1", "2"):
        result = run(command, *COMMANDS[command], "-threads", count, cwd=folder, input=b"The night\n")
        assert result.returncode == 0, result.stderr.decode()
        printed.add(result.stdout)
    assert len(printed) == 1


@pytest.mark.parametrize("command", [*COMMANDS, "train", "serve"])
@pytest.mark.parametrize("count", ["-1", "1025"])
def test_what_can_be_no_number_of_threads_is_refused(command, count):
    args = {"train": [], "serve": [CHECKPOINT]} | COMMANDS
    refused = CliRunner().invoke(cli, [command, *args[command], "-threads", count])
    assert str(refused.exception) == f"-threads must be from 1 to 1024, or 0, not {count}."
