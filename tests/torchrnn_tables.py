"""Checkpoints as torch-rnn lays them out."""

from __future__ import annotations

import numpy as np

from compat import Table, Tensor, TorchObject

TOKENS = ["a", "é", "b", "水", " "]
V, D, H = len(TOKENS), 3, 4


def module(name: str, **fields) -> TorchObject:
    wrapped = {k.encode(): Tensor.of_array(v) if isinstance(v, np.ndarray) else v for k, v in fields.items()}
    return TorchObject(b"nn." + name.encode(), Table(wrapped))


def make(kind: str, batchnorm: str | None, dropout: float = 0.0) -> Table:
    """A checkpoint of two layers as torch-rnn lays it out; batchnorm: "var" or "std", as nn keeps its statistics."""
    rng = np.random.default_rng(4)
    n = 4 if kind == "LSTM" else 1
    modules = [module("LookupTable", weight=rng.normal(size=(V, D)))]
    for inputs in (D, H):
        modules.append(module(kind, weight=rng.normal(size=(inputs + H, n * H)), bias=rng.normal(size=n * H)))
        if batchnorm:
            spread = rng.uniform(0.5, 2, H)
            statistics = {"running_var": spread} if batchnorm == "var" else {"running_std": spread}
            affine = {"weight": rng.normal(size=H), "bias": rng.normal(size=H)}
            modules.append(module("View"))
            modules.append(
                module("BatchNormalization", running_mean=rng.normal(size=H), eps=1e-5, **statistics, **affine)
            )
            modules.append(module("View"))
        if dropout:
            modules.append(module("Dropout", p=dropout, v2=True))
    modules += [
        module("View"),
        module("Linear", weight=rng.normal(size=(V, H)), bias=rng.normal(size=V)),
        module("View"),
    ]
    net = TorchObject(b"nn.Sequential", Table({b"modules": Table.of_list(modules)}))
    tokens = Table((i, t.encode()) for i, t in enumerate(TOKENS, 1))
    model = module("LanguageModel", net=net, idx_to_token=tokens)
    history = {b"train_loss_history": Table.of_list([2.0, 1.5]), b"val_loss_history": Table.of_list([1.75])}
    return Table({b"model": model, b"i": 2, b"opt": Table({b"dropout": dropout}), **history})
