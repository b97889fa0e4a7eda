"""Checkpoints of every kind: of char-rnn, torch-rnn and pycharrnn, each model, with and without dropout."""

from __future__ import annotations

import functools
from pathlib import Path

from conftest import GOLDEN
from torchrnn_tables import make

from compat import torchrnn
from compat.charrnn import Checkpoint
from compat.lua_random import LuaRandom
from pycharrnn.checkpoints import checkpoint
from pycharrnn.engine.model import CharRNN

ORIGINALS = {
    "lstm": "lstm2/lm_lstm2_epoch3.00_2.8734.t7",
    "lstm dropout": "lstm3_dropout/lm_lstm3d_epoch1.00_3.2518.t7",
    "gru": "gru2/lm_gru2_epoch1.00_2.9340.t7",
    "gru dropout": "gru1_dropout/lm_gru1d_epoch1.00_3.1027.t7",
    "rnn": "rnn3/lm_rnn3_epoch1.00_3.0075.t7",
    "rnn dropout": "rnn2_dropout/lm_rnn2d_epoch1.00_3.0401.t7",
    "bits": "legacy_2015-05-21_lstm/lm_old_epoch1.00_4.7298.t7",
    "float": "variants/float.t7",
    "cuda": "variants/cuda.t7",
    "half": "",
    "utf8": "",
}
OTHERS = [f"{program} {kind}" for program in ("torch-rnn", "pycharrnn") for kind in ("lstm", "lstm dropout", "rnn")]
OTHERS += ["pycharrnn gru", "pycharrnn gru dropout"]


def path_of(kind: str) -> Path:
    return GOLDEN / ORIGINALS[kind]


@functools.cache
def loaded(kind: str) -> Checkpoint:
    """A checkpoint, which nobody may change."""
    if ORIGINALS.get(kind):
        return checkpoint.load(path_of(kind))
    dropout = 0.5 if kind.endswith("dropout") else 0.0
    if kind.startswith("torch-rnn"):
        return torchrnn.from_table(make("LSTM" if "lstm" in kind else "VanillaRNN", "var", dropout))
    if kind == "half":
        found = loaded("float")
        weights = {name: w.astype("<f2") for name, w in found.network.weights.items()}
        return _replaced(found, weights=weights, tensor_type="torch.CudaHalfTensor")
    return _made(kind.split()[1] if " " in kind else "gru", dropout, "aé水 \n" if kind == "utf8" else "abcd \n")


def _replaced(found: Checkpoint, **changes) -> Checkpoint:
    from dataclasses import replace

    return replace(found, network=replace(found.network, **changes))


def _made(model: str, dropout: float, characters: str) -> Checkpoint:
    import torch

    made = CharRNN(model, len(characters), 8, 2, dropout, dtype=torch.float64)
    made.reset_parameters(LuaRandom(5))
    vocab = {c.encode(): k for k, c in enumerate(sorted(characters), 1)}
    return made.as_checkpoint(vocab, {"rnn_size": 8, "data_dir": "data/é\udcff"}, val_loss=float("nan"), i=3, epoch=0.5)
