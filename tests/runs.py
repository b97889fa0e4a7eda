"""Short training runs for the tests of long ones."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from click.testing import CliRunner
from conftest import GOLDEN, working_in

from pycharrnn.cli.commands import cli

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


def folder_with_text(folder: Path, text: bytes = TEXT) -> Path:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "input.txt").write_bytes(text)
    return folder


def train(folder: Path, *args: str, small=SMALL) -> list[str]:
    """Run `pycharrnn train` in `folder`: the lines of its log, timings masked. An error is raised."""
    with working_in(folder):
        result = CliRunner().invoke(cli, ["train", *small, *args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return masked(result.stdout)


def masked(log: str) -> list[str]:
    return [re.sub(r"time/batch = \S+", "time/batch", line) for line in log.splitlines()]


def steps(lines: list[str]) -> list[str]:
    """The lines from the first step on: training's own."""
    own = [k for k, line in enumerate(lines) if re.match(r"\d+/\d+ \(epoch|evaluating|decayed", line)]
    return lines[own[0] :] if own else []


def named(folder: Path) -> list[Path]:
    """Named checkpoints in the order of epochs."""
    return sorted(folder.glob("cv/lm_*_epoch*.t7"), key=lambda p: float(p.name.split("epoch")[1].split("_")[0]))


def copied(folder: Path, to: Path, *checkpoints: Path) -> Path:
    """A second folder with the same text, and only these checkpoints."""
    shutil.copytree(folder / "data", to / "data")
    (to / "cv").mkdir()
    for path in checkpoints:
        shutil.copy2(path, to / "cv")
    return to
