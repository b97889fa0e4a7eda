"""Checkpoints that strangers trained in 2015 to 2017, with what the Lua programs made of them.

They are not part of this project. These tests are collected only where the folder THIRD_PARTY of conftest.py is there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import THIRD_PARTY, sampled

from pycharrnn.analysis import scoring
from pycharrnn.analysis.options import EvalOptions
from pycharrnn.checkpoints import checkpoint

REAL = THIRD_PARTY / "real"


def test_checkpoints_that_strangers_trained():
    manifest = json.loads((REAL / "manifest.json").read_text())
    assert len(manifest) == 9
    for name in manifest:
        for sample in manifest[name]["samples"]:
            want = (REAL / sample["stdout"]).read_bytes()
            assert sampled(REAL / f"{name}.t7", sample["args"]) == want, name


@pytest.mark.parametrize(
    "name, words",
    [
        ("bare_sequential", "nn.Sequential"),
        ("decoder_not_vocab", "48 characters but its decoder predicts 5 classes"),
        ("modified_graph", "protos|nn.gModule"),
        ("not_a_t7", "at byte 0"),
    ],
)
def test_files_that_are_no_character_model(name, words):
    command = [sys.executable, "-m", "pycharrnn", "sample", os.fspath(REAL / "refuse" / f"{name}.t7")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert re.search(words, result.stderr), result.stderr
    assert result.stderr.count("\n") == 1


def test_a_loss_of_2015_to_the_last_digit(tmp_path):
    shutil.copy(THIRD_PARTY / "corpora" / "tinyshakespeare" / "input.txt", tmp_path)
    path = REAL / "double_lstm_tinyshakespeare.t7"
    loaded = checkpoint.load(path)
    loss = scoring.split_loss(str(path), loaded, EvalOptions(data_dir=str(tmp_path), old_exp=1))
    assert loss == pytest.approx(loaded.val_loss, abs=1e-12)
