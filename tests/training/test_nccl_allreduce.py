"""A run on the GPUs of two processes, which are pretended: it is the run of one, and ends if one of them does."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from runs import ENVIRONMENT, TEXT, folder_with_text, train

SIZES = ["-data_dir", "data", "-gpuid", "0", "-rnn_size", "6", "-batch_size", "5", "-seq_length", "8"]
LOSS = re.compile(r"^(\d+)/\d+ .* train_loss = (\S+),", re.MULTILINE)


def on_two_gpus(folder: Path, dies: str, *args: str) -> tuple[list[int], list[str], list[str]]:
    """Exit status, stdout and stderr of both processes; `dies`: when the second does, see pretended_nccl.py."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {**ENVIRONMENT, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    command = [sys.executable, str(ROOT / "tests" / "pretended_nccl.py")]
    both = [
        subprocess.Popen(
            [*command, dies if rank or dies == "never" else "-", "train", *SIZES, *args],
            cwd=folder,
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        printed = [process.communicate(timeout=300) for process in both]
    finally:
        for process in both:
            process.kill()
    return [process.returncode for process in both], *([p[k] for p in printed] for k in (0, 1))


@pytest.mark.slow
def test_two_gpus_compute_what_one_does(tmp_path):
    """Also in validation, with sums that are not there at once, and the state that the first saves for all."""
    args = ("-max_epochs", "0.4", "-eval_val_every", "10", "-print_every", "4", "-exact", "0", "-dtype", "float64")
    status, out, err = on_two_gpus(folder_with_text(tmp_path / "two", TEXT), "never", *args)
    assert status == [0, 0], err
    alone = train(
        folder_with_text(tmp_path / "one", TEXT),
        *args,
        "-num_layers",
        "2",
        small=[*SIZES[:2], "-gpuid", "-1", *SIZES[4:]],
    )
    ours, theirs = ([(i, float(loss)) for i, loss in LOSS.findall(lines)] for lines in (out[0], "\n".join(alone)))
    assert len(ours) == len(theirs) > 4
    for (i, loss), (k, expected) in zip(ours, theirs, strict=True):
        assert i == k and loss == pytest.approx(expected, abs=1.01e-8)
    saved = [sorted(path.name for path in (tmp_path / name / "cv").glob("*_epoch*")) for name in ("two", "one")]
    assert saved[0] == saved[1] != []


@pytest.mark.slow
@pytest.mark.parametrize("dies", [pytest.param("cpu 21", marks=pytest.mark.slow), "gpu 8"])
def test_a_process_that_dies_ends_the_others_with_a_sentence(tmp_path, dies):
    """Before a sum the CPUs notice it; within one the GPU would wait for it, and so would the end of the process."""
    status, _, err = on_two_gpus(folder_with_text(tmp_path), dies, "-print_every", "100", "-eval_val_every", "1000")
    assert status == [1, 9]
    assert "pycharrnn: process 0 of 2 stops, since another one ended" in err[0]
    assert "Traceback" not in err[0]
