"""kill -9 at random moments: all files are whole, and a resumed run ends with the digits of an uninterrupted one."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from pathlib import Path

import pytest
from runs import TEXT, folder_with_text, masked, named

from pycharrnn.checkpoints import checkpoint

pytestmark = pytest.mark.slow

MOMENTS = 6
SIZES = {"rnn_size": 5, "num_layers": 1, "batch_size": 5, "seq_length": 8, "dropout": 0.2, "gpuid": -1}
COURSE = {"max_epochs": 1, "eval_val_every": 3, "save_every_minutes": 1e-9}  # a save at every step of 30


def child(folder: str, log: str, options: dict) -> None:
    """One training in a process of its own, its log in a file."""
    import torch

    from pycharrnn.common.printing import print_nothing
    from pycharrnn.training.loop import train
    from pycharrnn.training.options import TrainOptions

    torch.set_num_threads(1)
    os.chdir(folder)
    given = set(options)
    with open(log, "w", buffering=1, encoding="utf-8") as out:
        opt = TrainOptions(data_dir="data", **options)
        train(opt, given, say=lambda line: print(line, file=out), note=print_nothing)


@pytest.fixture(scope="module")
def processes():
    """Children are forked from a server that has imported PyTorch once, and nothing else has run in."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        pytest.skip("needs fork")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pycharrnn.training.loop"])
    return context


def run(processes, folder: Path, log: str, **options) -> None:
    process = processes.Process(target=child, args=(str(folder), log, options))
    process.start()
    process.join(300)
    assert process.exitcode == 0


def last_line(log: Path) -> str:
    return masked(log.read_text(encoding="utf-8"))[-1]


def test_killed_at_random_moments(processes, tmp_path):
    text = TEXT[: len(TEXT) // 2]
    whole = folder_with_text(tmp_path / "whole", text)
    run(processes, whole, "log", **SIZES, **COURSE)
    assert last_line(whole / "log").startswith("30/30")
    final = named(whole)[-1]
    rng, reached = random.Random(0), []
    for k in range(MOMENTS):
        folder = folder_with_text(tmp_path / f"killed{k}", text)
        process = processes.Process(target=child, args=(str(folder), "log", {**SIZES, **COURSE}))
        (folder / "log").touch()
        process.start()
        # After a random step, the first at least, which is saved before the next begins; then somewhere in the next.
        at = rng.randrange(2, 30)
        while process.is_alive() and f"\n{at}/30 (" not in (folder / "log").read_text(encoding="utf-8"):
            time.sleep(0.0005)
        time.sleep(rng.random() * 0.02)
        process.kill()
        process.join(60)
        listed = list(folder.glob("cv/*.t7"))
        assert listed
        for path in listed:
            assert checkpoint.load(path).state is not None
        reached.append(max(checkpoint.load(path).i for path in listed))
        run(processes, folder, "log2", resume="cv")
        assert named(folder)[-1].name == final.name
        assert named(folder)[-1].read_bytes() == final.read_bytes()
        assert last_line(folder / "log2") == last_line(whole / "log")
        assert not [name for name in os.listdir(folder / "cv") if name.startswith(".")]
    print("killed after the saves of iterations", sorted(reached))
