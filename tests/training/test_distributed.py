"""A run divided among processes is the run of one process."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import conftest
import numpy as np
import pytest
import torch
from conftest import GOLDEN, HEEDS_SIGNALS, spec
from runs import STEP, assert_close_digits, in_two_processes, log_lines, named

from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.errors import UserError
from pycharrnn.training.distributed import Ranks

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "pycharrnn"]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("batch_size", [7, 8, 50])
def test_each_row_is_one_processs(size, batch_size):
    """Also where they can't all have as many."""
    rows = [range(batch_size)[Ranks(rank, size).rows(batch_size)] for rank in range(size)]
    assert [row for some in rows for row in some] == list(range(batch_size))
    assert max(map(len, rows)) - min(map(len, rows)) <= 1


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_whole_batch_has_the_rows_of_all_processes(monkeypatch, size):
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: None)
    batch = torch.arange(1.0, 15).view(7, 2)
    parts = [ranks.whole_batch(batch[ranks.rows(7)], 7) for ranks in (Ranks(rank, size) for rank in range(size))]
    assert torch.equal(sum(parts), batch)


@pytest.mark.parametrize(
    "error, raised, words",
    [
        (RuntimeError("Connection closed by peer [127.0.0.1]:4711"), UserError, "process 1 of 2 stops, since another"),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), RuntimeError, "out of memory"),
        (RuntimeError("CUDA error: device-side assert triggered"), RuntimeError, "device-side assert"),
    ],
    ids=["another process ended", "out of memory", "CUDA error"],
)
def test_only_an_end_of_another_process_is_called_so(monkeypatch, error, raised, words):
    def fail(tensor):
        raise error

    monkeypatch.setattr(torch.distributed, "all_reduce", fail)
    with pytest.raises(raised, match=words):
        Ranks(1, 2).sum(torch.zeros(3))


def start(folder: Path, *args: str) -> subprocess.Popen:
    """A training in two processes that torchrun starts."""
    return subprocess.Popen(
        [*TORCHRUN, "train", *args],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
        **HEEDS_SIGNALS,
    )


def alone(folder: Path, *args: str) -> str:
    ended = conftest.run("train", *args, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.decode()


def in_two(folder: Path, *args: str) -> str:
    return in_two_processes(folder, "train", *args)[0]


def with_text(folder: Path, data_dir: str) -> Path:
    (folder / data_dir).mkdir(parents=True)
    shutil.copy(GOLDEN / "corpus" / "input.txt", folder / data_dir)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm2", "gru1_dropout", "rnn3"])
def test_two_processes_print_the_recorded_digits(name, tmp_path):
    args = spec(name)["train"]
    flags = dict(zip(args[::2], args[1::2], strict=True))
    out = in_two(with_text(tmp_path, flags["-data_dir"]), *args)
    assert_close_digits(log_lines(out), log_lines((GOLDEN / name / "train.log").read_text(encoding="utf-8")))
    written = sorted(p.name for p in (tmp_path / flags["-checkpoint_dir"]).glob("*_epoch*.t7"))
    assert written == sorted(spec(name)["checkpoints_written"])


SMALL = [
    *("-data_dir", "text", "-gpuid", "-1", "-rnn_size", "12", "-num_layers", "2", "-dropout", "0.2"),
    *("-weight_drop", "0.2", "-old_exp", "1", "-state_reset", "0.3"),
    *("-batch_size", "7", "-seq_length", "9", "-eval_val_every", "20"),
]


def newest(folder: Path) -> Path:
    return named(folder)[-1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, str]:
    """A run of one process that never stopped: its folder, and what it printed."""
    folder = with_text(tmp_path_factory.mktemp("whole"), "text")
    return folder, alone(folder, *SMALL, "-max_epochs", "0.3", "-calibrate", "1")


@pytest.mark.slow
def test_a_run_goes_on_with_more_or_fewer_processes(tmp_path, whole):
    """Rows that don't divide evenly, dropout, hidden state, from two processes to one and back."""
    never_stopped, expected = whole
    for first, second in ((in_two, alone), (alone, in_two)):
        folder = with_text(tmp_path / f"then {second.__name__}", "text")
        first(folder, *SMALL, "-max_epochs", "0.1425")  # iteration 100 of 703, which both validate
        out = second(folder, "-resume", "cv", "-max_epochs", "0.3", "-calibrate", "1")
        ours = [line for line in log_lines(out) if STEP.fullmatch(line)]
        theirs = [line for line in log_lines(expected) if STEP.fullmatch(line)][-len(ours) :]
        assert len(ours) > 10
        assert_close_digits(ours, theirs)
        assert newest(folder).name == newest(never_stopped).name
        a, b = (checkpoint.load(newest(f)) for f in (folder, never_stopped))
        np.testing.assert_allclose(a.state.mean_square, b.state.mean_square, rtol=1e-9)
        np.testing.assert_allclose(a.state.hidden_state[-1], b.state.hidden_state[-1], rtol=0, atol=1e-9)


def is_worker(entry: Path, of: int) -> bool:
    try:
        parent = re.search(r"^PPid:\s+(\d+)", (entry / "status").read_text(encoding="utf-8"), re.MULTILINE)
        return int(parent[1]) == of and b"pycharrnn" in (entry / "cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return False


def workers(of: int) -> list[int]:
    """Process ids of the training processes that torchrun has started."""
    return sorted(int(entry.name) for entry in Path("/proc").glob("[0-9]*") if is_worker(entry, of))


def start_long(folder: Path) -> subprocess.Popen:
    """Two processes that train until something ends them; they are past iteration 30 and a checkpoint at 20."""
    process = start(with_text(folder, "text"), *SMALL, "-max_epochs", "10000")
    for line in process.stdout:
        if line.startswith("30/") and "train_loss" in line:
            break
    return process


def assert_goes_on_as_if_nothing_had_happened(folder: Path, expected: str) -> None:
    """With one process and with two: the digits of a run that never stopped."""
    for train in (alone, in_two):
        copy = folder / f"copy {train.__name__}"
        shutil.copytree(folder / "cv", copy / "cv")
        shutil.copytree(folder / "text", copy / "text")
        out = train(copy, "-resume", "cv", "-max_epochs", "0.3")
        ours = [line for line in log_lines(out) if STEP.fullmatch(line)]
        assert len(ours) > 10
        assert_close_digits(ours, [line for line in log_lines(expected) if STEP.fullmatch(line)][-len(ours) :])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks for processes in /proc")
def test_a_process_that_dies_ends_the_others_with_a_sentence(tmp_path, whole):
    process = start_long(tmp_path)
    try:
        ours = workers(process.pid)
        assert len(ours) == 2
        os.kill(ours[1], signal.SIGKILL)
        _, err = process.communicate(timeout=300)  # without a sentence, it would wait for hours
    finally:
        process.kill()
    assert process.returncode != 0
    assert "pycharrnn: process 0 of 2 stops, since another one ended" in err
    own = err[: err.index("torch/distributed")] if "torch/distributed" in err else err
    assert "Traceback" not in own
    assert_goes_on_as_if_nothing_had_happened(tmp_path, whole[1])


@pytest.mark.slow
def test_sigterm_saves_the_run_of_all(tmp_path):
    process = start_long(tmp_path)
    try:
        process.send_signal(signal.SIGTERM)  # torchrun passes it on
        _, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode != 0
    assert err.count("pycharrnn: stopped by SIGTERM after iteration") == 1
    saved = re.search(r"go on with: pycharrnn train -resume (cv/lm_lstm_\S+\.t7)", err)[1]
    assert checkpoint.load(tmp_path / saved).i >= 20


@pytest.mark.slow
def test_more_processes_than_rows(tmp_path):
    process = start(with_text(tmp_path, "text"), *SMALL, "-batch_size", "1")
    _, err = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "-batch_size 1 can't be divided among 2 processes" in err
