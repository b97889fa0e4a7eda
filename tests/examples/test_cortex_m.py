"""A model on an emulated microcontroller: it fits into 200 KB of flash and 8 KB of RAM, and writes the PC's text."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
from c_programs import compiled, output
from conftest import ROOT

from compat.charrnn import Checkpoint
from compat.graph_match import Network
from compat.nngraph import parameter_shapes
from pycharrnn.checkpoints import checkpoint

MACHINE = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]


@pytest.mark.slow
def test_an_lstm_of_160_units(tmp_path):
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if not shutil.which(tool):
            pytest.skip(f"needs {tool}")
    vocab = {bytes([b]): k for k, b in enumerate([10, *range(32, 96)], 1)}  # as many characters as tinyshakespeare
    random = np.random.default_rng(1)
    weights = {name: random.uniform(-1, 1, shape) for name, shape in parameter_shapes("lstm", 65, 160, 1).items()}
    model = Checkpoint(Network("lstm", 160, 1, 65, 0.0, weights), vocab, {"from_texts": 1})
    checkpoint.convert(model, tmp_path / "model.c", weights="int8")
    for name in ("cortex_m.c", "cortex_m.ld"):
        shutil.copy(ROOT / "examples" / name, tmp_path)
    build = ["arm-none-eabi-gcc", *MACHINE, "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-DMODEL_NO_MAIN"]
    subprocess.run(
        [*build, "model.c", "cortex_m.c", "-nostartfiles", "-T", "cortex_m.ld", "-o", "model.elf"],
        cwd=tmp_path,
        check=True,
    )
    emulator = ["qemu-system-arm", "-M", "mps2-an386", "-nographic", "-icount", "shift=0"]
    emulator += ["-semihosting-config", "enable=on,target=native", "-kernel", "model.elf"]
    ended = subprocess.run(emulator, cwd=tmp_path, capture_output=True, timeout=300)
    written = ended.stdout + ended.stderr  # semihosting may write to either
    text, ticks = re.fullmatch(rb"(.*)\nticks for each character: (\d+)\n", written, re.S).groups()
    assert int(ticks) > 0
    program = compiled(tmp_path / "model.c", ("gcc", "-std=c99", "-O2"))
    assert output(program, "-seed", "5", "-length", "200", "-temperature", "0.5") == text + b"\n"
