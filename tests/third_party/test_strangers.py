"""Checkpoints that strangers trained in 2015 to 2017, with what the Lua programs made of them.

They are not part of this project. These tests are collected only where the folder THIRD_PARTY of conftest.py is there.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import THIRD_PARTY, sampled
from runs import folder_with_text, named, train

from pycharrnn.analysis import evaluation, scoring
from pycharrnn.analysis.options import EvalOptions
from pycharrnn.checkpoints import checkpoint, formats

REAL = THIRD_PARTY / "real"


def test_checkpoints_that_strangers_trained():
    manifest = json.loads((REAL / "manifest.json").read_text(encoding="utf-8"))
    assert len(manifest) == 9
    for name in manifest:
        for sample in manifest[name]["samples"]:
            want = (REAL / sample["stdout"]).read_bytes()
            assert sampled(REAL / f"{name}.t7", sample["args"]) == want, name


@pytest.mark.slow
@pytest.mark.parametrize("name", json.loads((REAL / "manifest.json").read_text(encoding="utf-8")))
def test_every_format_and_back(tmp_path, name):
    loaded = checkpoint.load(REAL / f"{name}.t7")
    for path in (tmp_path / f"a{ending}" for ending in formats.ENDINGS):
        checkpoint.convert(loaded, path)
        checkpoint.convert(checkpoint.load(path), tmp_path / "b.t7")
        assert (tmp_path / "b.t7").read_bytes() == (tmp_path / "a.t7").read_bytes(), path.suffix


@pytest.mark.parametrize("name", json.loads((REAL / "manifest.json").read_text(encoding="utf-8")))
def test_onnxruntime_scores_what_the_model_has_written(tmp_path, name):
    onnxruntime = pytest.importorskip("onnxruntime")
    loaded = checkpoint.load(REAL / f"{name}.t7")
    score = scoring.score(loaded, (REAL / f"{name}.sample0.txt").read_bytes()[-250:])
    checkpoint.convert(loaded, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    shapes = {i.name: (i.shape[0], 1, i.shape[2]) for i in session.get_inputs() if i.name != "indices"}
    x = np.array([[loaded.vocab[c] - 1] for c in score.characters if c in loaded.vocab])
    states = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    log_probs, *_ = session.run(None, {"indices": x, **states})
    bits = -np.take_along_axis(log_probs[:-1, 0], x[1:], 1) / math.log(2)
    assert bits.mean() == pytest.approx(score.bits[score.known][1:].mean(), abs=1e-5)


@pytest.mark.parametrize(
    "name, words",
    [
        ("bare_sequential", "nn.Sequential"),
        ("decoder_not_vocab", "48 characters but its decoder predicts 5 classes"),
        ("modified_graph", "protos|nn.gModule"),
        ("not_a_t7", "it is a text"),
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
    loss = evaluation.split_loss(str(path), loaded, EvalOptions(data_dir=str(tmp_path), old_exp=1))
    assert loss == pytest.approx(loaded.val_loss, abs=1e-12)


@pytest.mark.slow
def test_the_losses_of_a_training_of_2015(tmp_path):
    recorded = checkpoint.load(REAL / "double_lstm_tinyshakespeare.t7").train_losses
    folder = folder_with_text(tmp_path, (THIRD_PARTY / "corpora" / "tinyshakespeare" / "input.txt").read_bytes())
    train(folder, "-old_exp", "1", "-max_epochs", "0.142", small=["-data_dir", "data", "-gpuid", "-1"])
    losses = checkpoint.load(named(folder)[-1]).train_losses
    assert len(losses) == 60
    assert list(losses) == pytest.approx(list(recorded[:60]), abs=1e-11)
