"""Converts char-rnn checkpoints between Lua tables and `Checkpoint`. Source: `checkpoint` at the end of train.lua."""

from __future__ import annotations

import math
import os
import re
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from compat import checkpoint_fields, item_options, nngraph, run_state
from compat.cells import CELLS
from compat.graph_expressions import CheckpointError, DamagedCheckpointError, describe
from compat.graph_match import Network, follow
from compat.run_state import RunState
from compat.t7_element_types import torch_type
from compat.t7_objects import Table, TorchObject
from compat.t7_writer import save_t7
from compat.vocabulary import characters_by_id

if TYPE_CHECKING:
    from compat.checkpoint_fields import Option
    from compat.t7_objects import Array, T7Encoding

CHAR_RNN = "char-rnn"
PYCHARRNN = "pycharrnn"  # the program, and the key of its part of a checkpoint
_VERSION = re.compile(rb"[\w.+-]{1,40}")
# Eras of char-rnn. LSTM.lua names its nodes since 20 September; the graphs of a gru and an rnn did not change.
_FIRST = "May 2015, first version: its files and their names have losses in bits"
_APART = "May to June 2015: embedding and softmax apart"
_NARROW = "June to July 2015: gates cut by nn.Narrow"
_UNNAMED = "August to September 2015: gates without names"
_NAMED = "since 20 September 2015"
_SINCE_JULY = "since the end of July 2015"
_LIKE_UNNAMED = "gates without names, as before 20 September 2015"  # of pycharrnn, see era_of_ours


@dataclass
class Checkpoint:
    """The contents of a char-rnn checkpoint.

    Attributes:
        network: its end_id follows from the vocabulary and the options.
        vocab: character (one byte, or several in programs that read UTF-8) -> number from 1.
        train_losses: nats per character of iterations 1, 2, ...
        val_losses: iteration -> nats per character. val_loss: at this checkpoint; None if not recorded.
        i, epoch: iteration, and passes through the training split.
        program: "char-rnn", "torch-rnn", or "pycharrnn" with its version, "pycharrnn 1.0.0". era: when that version of
            char-rnn was in use; "" for torch-rnn; era_of_ours for pycharrnn.
        text_fingerprint: size and hash of the training text; "" if not recorded, as by the Lua programs.
        gradients: float64, (P,), the last clipped gradient; None is written as zeros.
    """

    network: Network
    vocab: dict[bytes, int]
    opt: dict[str, Option] = field(default_factory=dict)
    train_losses: array[float] = field(default_factory=lambda: array("d"))
    val_losses: dict[int, float] = field(default_factory=dict)
    val_loss: float | None = None
    i: int = 0
    epoch: float = 0.0
    gradients: Array | None = None
    program: str = CHAR_RNN
    era: str = ""
    state: RunState | None = None
    text_fingerprint: str = ""

    def __post_init__(self) -> None:
        self.network = replace(self.network, end_id=item_options.end_id(self.vocab, self.opt))

    @property
    def items(self) -> str:
        """What an item is: "line", "blank" or "file"; "" for a model of a text. See item_options.kind."""
        return item_options.kind(self.vocab, self.opt)

    @property
    def labels(self) -> dict[bytes, int]:
        """Label -> number of items in training; {} for a model without labels. See item_options.labels."""
        return item_options.labels(self.vocab, self.opt)

    @property
    def data_dir(self) -> str:
        """The folder of the training text; "" if not recorded."""
        return self._recorded_path("data_dir")

    @property
    def torch_rnn_file(self) -> str:
        """The file of the training text that torch-rnn's preprocess.py made; "" if not recorded."""
        return self._recorded_path("input_h5")

    @property
    def names_gates(self) -> bool:
        """Whether train.lua finds the forget gates of an lstm: -init_from sets their biases to 1."""
        return self.era not in (_FIRST, _APART, _NARROW, _UNNAMED, _LIKE_UNNAMED)

    def _recorded_path(self, name: str) -> str:
        path = self.opt.get(name)  # of any type in a file of another program
        return path if isinstance(path, str) else ""


def save(
    path: str | os.PathLike[str],
    checkpoint: Checkpoint,
    dtype: str = "float64",
    encoding: T7Encoding = "binary",
    long_size: int = 8,
    written: Callable[[int], None] = lambda count: None,
) -> None:
    """Write a checkpoint that the Lua programs load. Errors: OSError.

    Args:
        dtype: of the tensors: "float64", which the Lua programs need on a CPU, or "float32".
        encoding, long_size, written: as for save_t7.
    """
    table = to_table(checkpoint, dtype)
    try:
        save_t7(path, table, encoding, long_size, written)
    finally:
        dismantle(table)


def dismantle(value: object) -> None:
    """Empty a value of load_t7: its reference cycles would keep weights in memory until a full garbage collection."""
    parts: list[object] = [value]
    while parts:
        part = parts.pop()
        if isinstance(part, TorchObject):
            part.fields, part = None, part.fields
        if isinstance(part, Table):
            parts += [p for entry in part.items() for p in entry if isinstance(p, (Table, TorchObject))]
            part.clear()


def from_table(table: object) -> Checkpoint:
    """The Checkpoint in a table of load_t7. Errors: CheckpointError."""
    if table is None:
        raise DamagedCheckpointError("it begins with zeros, which Torch7 reads as nil")
    protos = table.get(b"protos") if isinstance(table, Table) else None
    if not isinstance(table, Table) or not isinstance(protos, Table):
        raise CheckpointError(f"it holds {describe(table)}, not a char-rnn checkpoint with its 'protos'")
    if b"rnn" not in protos:
        raise CheckpointError(f"its 'protos' is {describe(protos)}, without char-rnn's 'rnn'")
    network = follow(protos)
    vocab = checkpoint_fields.vocabulary(table.get(b"vocab"))
    if len(vocab) != network.vocab_size:
        raise CheckpointError(
            f"its vocabulary has {len(vocab)} characters but its decoder predicts {network.vocab_size} classes"
        )
    _check_shapes(network)
    opt = table.get(b"opt")
    checkpoint = Checkpoint(network, vocab, checkpoint_fields.options(opt.items()) if isinstance(opt, Table) else {})
    # The first version, of 21 May 2015, counted bits: val_bpc, train_bpcs. Later ones count nats.
    unit, nats = ("bpc", math.log(2)) if b"val_bpc" in table else ("loss", 1)
    plural = "s" if unit == "bpc" else "es"
    train_losses, val_losses = (table.get(f"{split}_{unit}{plural}".encode()) for split in ("train", "val"))
    val_loss = table.get(f"val_{unit}".encode())
    if isinstance(train_losses, Table):
        checkpoint.train_losses = checkpoint_fields.losses(train_losses.as_list(), nats)
    if isinstance(val_losses, Table):
        checkpoint.val_losses = checkpoint_fields.losses_by_iteration(val_losses.items(), nats)
    if checkpoint_fields.is_number(val_loss):
        checkpoint.val_loss = nats * val_loss
    checkpoint.i = checkpoint_fields.iteration(table.get(b"i", 0))
    checkpoint.epoch = checkpoint_fields.number(table.get(b"epoch", 0.0), "an epoch")
    checkpoint.state = run_state.from_table(table.get(b"pycharrnn"), network)
    ours = table.get(b"pycharrnn")
    if isinstance(ours, Table):
        checkpoint.text_fingerprint = run_state.fact(ours.get(b"text"))
    if isinstance(ours, Table) and isinstance(origin := ours.get(b"origin"), Table):
        checkpoint.program, checkpoint.era = (
            checkpoint_fields.word(origin.get(key), key.decode()) for key in (b"program", b"era")
        )
    elif b"pycharrnn" in table or "save_state" in checkpoint.opt:
        checkpoint.program = _pycharrnn(ours)
        checkpoint.era = era_of_ours(network.model, any(map(_is_input_to_gates, _nodes(protos))))
    else:
        checkpoint.era = _era(table, network.model)
    return checkpoint


def _pycharrnn(table: object) -> str:
    """The program of a checkpoint of pycharrnn, with the version in its table `pycharrnn` if it has one."""
    versions = table.get(b"versions") if isinstance(table, Table) else None
    version = versions.get(b"pycharrnn") if isinstance(versions, Table) else None
    if isinstance(version, bytes) and _VERSION.fullmatch(version):
        return f"{PYCHARRNN} {version.decode('ascii')}"
    return PYCHARRNN


def _nodes(protos: Table) -> list[Table]:
    """The data of each node in the graph of the rnn, in the order of the forward pass."""
    nodes = protos[b"rnn"].get(b"forwardnodes")
    found = nodes.as_list() if isinstance(nodes, Table) else []
    all_data = (node.get(b"data") for node in found if isinstance(node, TorchObject))
    return [data for data in all_data if isinstance(data, Table)]


def _is_input_to_gates(data: Table) -> bool:
    """Whether a node's name is i2h_1, i2h_2, ...: train.lua looks for the forget gates of each layer by it."""
    annotations = data.get(b"annotations")
    name = annotations.get(b"name") if isinstance(annotations, Table) else None
    return isinstance(name, bytes) and name.startswith(b"i2h_")


def _has_forget_gates(model: str) -> bool:
    """Whether train.lua looks for nodes of this model by their names."""
    return "forget" in CELLS[model].gates


def _era(table: Table, model: str) -> str:
    """When the version of char-rnn that wrote the table was in use."""
    if b"val_bpc" in table:
        return _FIRST
    protos = table[b"protos"]
    if b"embed" in protos:
        return _APART
    nodes = _nodes(protos)
    modules = (data.get(b"module") for data in nodes)
    if any(isinstance(module, TorchObject) and module.typename == b"nn.Narrow" for module in modules):
        return _NARROW
    return _era_of_graph(model, any(map(_is_input_to_gates, nodes)))


def _era_of_graph(model: str, names_gates: bool) -> str:
    """The era of a graph as nngraph.build makes it."""
    return _SINCE_JULY if not _has_forget_gates(model) else _NAMED if names_gates else _UNNAMED


def era_of_ours(model: str, names_gates: bool) -> str:
    """The era of a checkpoint of pycharrnn: "" unless its graph is without names, as that from which its run began.

    train.lua saves the graph that it has loaded, so names that are missing stay missing.
    """
    return _LIKE_UNNAMED if _has_forget_gates(model) and not names_gates else ""


def to_table(checkpoint: Checkpoint, dtype: str = "float64") -> Table:
    """The table that train.lua saves. Only "float64" keeps the run state: rounded weights can't continue it exactly."""
    network, kind = checkpoint.network, torch_type(np.dtype(dtype))
    assert kind is not None
    flat = np.concatenate([np.asarray(w, "<f8").reshape(-1) for w in network.weights.values()])
    gradients = np.zeros_like(flat) if checkpoint.gradients is None else checkpoint.gradients
    rnn = nngraph.build(
        network.model,
        network.vocab_size,
        network.rnn_size,
        network.num_layers,
        network.dropout,
        flat,
        gradients,
        kind,
        checkpoint.names_gates,
    )
    opt = Table((_lua_value(key), _lua_value(value)) for key, value in checkpoint.opt.items())
    fields: dict[bytes, object] = {
        b"protos": Table({b"rnn": rnn, b"criterion": nngraph.criterion(kind)}),
        b"opt": opt,
        b"train_losses": checkpoint.train_losses,
        b"val_losses": Table(sorted(checkpoint.val_losses.items())),
        b"i": checkpoint.i,
        b"epoch": checkpoint.epoch,
        b"vocab": Table((c, checkpoint.vocab[c]) for c in characters_by_id(checkpoint.vocab)),
    }
    if checkpoint.val_loss is not None:
        fields[b"val_loss"] = checkpoint.val_loss
    program, _, version = checkpoint.program.partition(" ")
    if checkpoint.state is not None and dtype == "float64":
        fields[b"pycharrnn"] = run_state.to_table(checkpoint.state, checkpoint.text_fingerprint)
    elif program == PYCHARRNN and checkpoint.opt.get("save_state") != 0:
        versions = Table({b"pycharrnn": version.encode()})
        fields[b"pycharrnn"] = Table({b"text": checkpoint.text_fingerprint.encode(), b"versions": versions})
    elif program != PYCHARRNN and _needs_origin(checkpoint):
        origin = {b"program": checkpoint.program.encode(), b"era": checkpoint.era.encode()}
        fields[b"pycharrnn"] = Table({b"origin": Table(origin)})
    return Table(fields)


def _needs_origin(checkpoint: Checkpoint) -> bool:
    """Whether the graph that to_table builds would be read as one of another program or era."""
    era = _era_of_graph(checkpoint.network.model, checkpoint.names_gates)
    return checkpoint.program != CHAR_RNN or checkpoint.era not in ("", era)


def _check_shapes(network: Network) -> None:
    expected = nngraph.parameter_shapes(network.model, network.vocab_size, network.rnn_size, network.num_layers)
    for name, shape in expected.items():
        if network.weights[name].shape != shape:
            raise CheckpointError(f"its {name} is {network.weights[name].shape}, expected {shape}")


def _lua_value(value: Option) -> int | float | bytes:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
