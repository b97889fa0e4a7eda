"""A model on an emulated microcontroller: it fits into 200 KB of flash and 8 KB of RAM, and writes the PC's text."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import item_models
import numpy as np
import pytest
from c_programs import compiled, output, text_of
from conftest import ROOT

from compat.charrnn import Checkpoint
from compat.graph_match import Network
from compat.nngraph import parameter_shapes
from pycharrnn.checkpoints import checkpoint, formats

MACHINE = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]


EMULATOR = ("qemu-system-arm", "-M", "mps2-an386", "-nographic", "-icount", "shift=0")


def random_lstm(units: int) -> Checkpoint:
    vocab = {bytes([b]): k for k, b in enumerate([10, *range(32, 96)], 1)}  # as many characters as tinyshakespeare
    random = np.random.default_rng(1)
    weights = {name: random.uniform(-1, 1, shape) for name, shape in parameter_shapes("lstm", 65, units, 1).items()}
    return Checkpoint(Network("lstm", units, 1, 65, 0.0, weights), vocab, {"from_texts": 1})


def text_on_the_board(folder: Path) -> bytes:
    """What examples/cortex_m.c writes with the model.c of a folder."""
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if not shutil.which(tool):
            pytest.skip(f"needs {tool}")
    for name in ("cortex_m.c", "cortex_m.ld"):
        shutil.copy(ROOT / "examples" / name, folder)
    build = ["arm-none-eabi-gcc", *MACHINE, "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-DMODEL_NO_MAIN"]
    subprocess.run(
        [*build, "model.c", "cortex_m.c", "-nostartfiles", "-T", "cortex_m.ld", "-o", "model.elf"],
        cwd=folder,
        check=True,
    )
    emulator = [*EMULATOR, "-semihosting-config", "enable=on,target=native", "-kernel", "model.elf"]
    ended = subprocess.run(emulator, cwd=folder, capture_output=True, timeout=300)
    written = ended.stdout + ended.stderr  # semihosting may write to either
    text, ticks = re.fullmatch(rb"(.*)\nticks for each character: (\d+)\n", written, re.S).groups()
    assert int(ticks) > 0
    return text


@pytest.mark.slow
def test_an_lstm_of_160_units(tmp_path):
    checkpoint.convert(random_lstm(160), tmp_path / "model.c", formats.WriteOptions(weights="int8"))
    text = text_on_the_board(tmp_path)
    program = compiled(tmp_path / "model.c", ("gcc", "-std=c99", "-O2"))
    assert output(program, "-seed", "5", "-length", "200", "-temperature", "0.5") == text + b"\n"


@pytest.mark.slow
def test_items_end_with_their_lines(tmp_path):
    checkpoint.convert(
        item_models.made("blank", letters="abcdefgh"), tmp_path / "model.c", formats.WriteOptions(weights="int8")
    )
    first, *others = text_on_the_board(tmp_path).split(b"\n")
    program = compiled(tmp_path / "model.c", ("gcc", "-std=c99", "-O2"))
    assert output(program, "-seed", "5", "-items", "1", "-temperature", "0.5") == first + b"\n"
    assert first and any(others)


@pytest.mark.slow
def test_double_weights_give_the_text_of_sample(tmp_path):
    """The board computes doubles in software, and its C library's fma rounds twice."""
    model = random_lstm(20)
    checkpoint.convert(model, tmp_path / "model.c", formats.WriteOptions(weights="double"))
    assert text_on_the_board(tmp_path) + b"\n" == text_of(model, 5, 200, 0.5)
