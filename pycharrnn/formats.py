"""Checkpoints in other files than .t7: safetensors (read and written) and JSON (written).

A .safetensors file holds the named weights of compat.nngraph.parameter_shapes, in the precision of the checkpoint; its
metadata is one JSON text under "pycharrnn" with the rest: model, vocabulary, options, losses. The state of the training
run (Checkpoint.state) is left out: a run goes on from its .t7 files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import numpy as np

from compat.charrnn import Checkpoint
from compat.graph_expressions import CheckpointError
from compat.graph_match import Network
from compat.nngraph import MODELS, parameter_shapes
from compat.whole_file import whole_file
from pycharrnn.options import UserError


def save_safetensors(path: str | os.PathLike, checkpoint: Checkpoint) -> None:
    """Errors: OSError; UserError where safetensors is not installed."""
    weights = {name: np.ascontiguousarray(w) for name, w in checkpoint.network.weights.items()}
    content = _safetensors().save(weights, metadata={"pycharrnn": json.dumps(_facts(checkpoint))})
    with whole_file(path) as f:
        f.write(content)


def load_safetensors(path: str | os.PathLike) -> Checkpoint:
    """Errors: OSError; CheckpointError; UserError where safetensors is not installed."""
    numpy_format = _safetensors()
    import safetensors

    with open(path, "rb"):  # for the operating system's own words where it can't be opened
        pass
    try:
        with safetensors.safe_open(path, framework="numpy") as f:
            facts = json.loads((f.metadata() or {}).get("pycharrnn", "null"))
        weights = numpy_format.load_file(path)
    except (safetensors.SafetensorError, ValueError) as e:
        raise CheckpointError(f"it is no safetensors file ({e})") from None
    try:
        return _from_facts(facts, weights)
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise CheckpointError(f"its metadata are not pycharrnn's ({e!r:.80})") from None


def save_json(
    path: str | os.PathLike, checkpoint: Checkpoint, written: Callable[[int], None] = lambda count: None
) -> None:
    """All of a checkpoint as one JSON object, weights as nested lists: "weights": {"decoder.bias": [...]}.

    Args:
        written: called with how many weights have just been written.

    Errors: OSError.
    """
    with whole_file(path) as f:
        f.write(json.dumps(_facts(checkpoint))[:-1].encode() + b', "weights": {')
        for k, (name, weights) in enumerate(checkpoint.network.weights.items()):
            f.write(f"{', ' if k else ''}{json.dumps(name)}: [".encode())
            for row, values in enumerate(weights):  # piece by piece: as Python's numbers they take much memory
                f.write((", " if row else "").encode() + json.dumps(values.tolist()).encode())
                written(values.size)
            f.write(b"]")
        f.write(b"}}")


def _safetensors():
    try:
        import safetensors.numpy
    except ImportError:
        raise UserError("a .safetensors file needs the extra: pip install 'pycharrnn[safetensors]'.") from None
    return safetensors.numpy


def _facts(checkpoint: Checkpoint) -> dict:
    """Everything but the weights, as JSON can hold it; characters are lists of bytes, in the order of their numbers."""
    network = checkpoint.network
    return {
        "model": network.model,
        "rnn_size": network.rnn_size,
        "num_layers": network.num_layers,
        "vocab_size": network.vocab_size,
        "dropout": network.dropout,
        "tensor_type": network.tensor_type,
        "vocab": [list(c) for c, _ in sorted(checkpoint.vocab.items(), key=lambda entry: entry[1])],
        "opt": checkpoint.opt,
        "train_losses": checkpoint.train_losses,
        "val_losses": sorted(checkpoint.val_losses.items()),
        "val_loss": checkpoint.val_loss,
        "i": checkpoint.i,
        "epoch": checkpoint.epoch,
        "program": checkpoint.program,
        "era": checkpoint.era,
    }


def _from_facts(facts: dict, weights: dict[str, np.ndarray]) -> Checkpoint:
    model, sizes = facts["model"], [facts[key] for key in ("vocab_size", "rnn_size", "num_layers")]
    if model not in MODELS or not all(isinstance(n, int) and 0 < n < 1 << 31 for n in sizes) or sizes[2] > len(weights):
        raise CheckpointError(f"its model is {model!r:.20} of sizes {sizes}")
    dropout = float(facts["dropout"])
    if not 0 <= dropout < 1:
        raise CheckpointError(f"its dropout is {dropout:g}, which is not in [0, 1)")
    shapes = parameter_shapes(model, *sizes)
    if {name: w.shape for name, w in weights.items()} != shapes:
        raise CheckpointError(f"its tensors are not those of an {model} of sizes {sizes}")
    vocab = {bytes(c): number for number, c in enumerate(facts["vocab"], 1)}
    if len(vocab) != sizes[0] or b"" in vocab:
        raise CheckpointError(f"its vocabulary has {len(vocab)} characters, its model {sizes[0]}")
    ordered = {name: weights[name] for name in shapes}
    network = Network(model, sizes[1], sizes[2], sizes[0], dropout, ordered, str(facts["tensor_type"]))
    return Checkpoint(
        network,
        vocab,
        dict(facts["opt"]),
        [float(x) for x in facts["train_losses"]],
        {i: float(x) for i, x in facts["val_losses"]},
        facts["val_loss"],
        facts["i"],
        facts["epoch"],
        program=str(facts["program"]),
        era=str(facts["era"]),
    )
