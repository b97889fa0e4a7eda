"""The run state of a checkpoint as named tensors and a JSON object, and back; for .safetensors files."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from compat import run_state
from compat.cells import CELLS
from compat.charrnn import Checkpoint
from compat.graph_expressions import CheckpointError
from compat.graph_match import Network
from compat.lua_random import STATE_WORDS
from compat.run_state import RunState
from compat.t7_element_types import torch_type
from compat.t7_objects import Table, Tensor

if TYPE_CHECKING:
    from compat.t7_objects import Array
    from pycharrnn.checkpoints.metadata import Shapes

PREFIX = "run_state."  # of the tensors' names
_LOSSES, _MEAN_SQUARE, _RANDOM = f"{PREFIX}train_losses", f"{PREFIX}mean_square", f"{PREFIX}random_words"


def encode(state: RunState, train_losses: array[float]) -> tuple[dict[str, Array], dict[str, Any]]:
    """The tensors and the JSON object of a run state and the losses of its run."""
    tensors: dict[str, Array] = {
        _LOSSES: np.array(train_losses, "<f8"),
        _MEAN_SQUARE: state.mean_square,
        _RANDOM: np.asarray(state.random_words, "<f8"),
        **{_hidden(k): h for k, h in enumerate(state.hidden_state, 1)},
    }
    facts: dict[str, Any] = {
        "format": run_state.FORMAT,
        "learning_rate": float(state.learning_rate),
        "batch_positions": [state.batch_positions[split] for split in (1, 2, 3)],
        "random_position": state.random_position,
        "norm_ratio": float(state.norm_ratio),
        "versions": state.versions or {},
    }
    if state.item_positions:
        facts["item_positions"] = list(state.item_positions)
    return tensors, facts


def shapes(network: Network, parameters: int, claimed: Shapes) -> Shapes:
    """Name -> shape of a run state's tensors; `claimed` gives batch size and loss count. Errors: CheckpointError."""
    sizes = {name: claimed.get(name, ()) for name in (_LOSSES, _hidden(1))}
    if not all(sizes.values()):
        raise CheckpointError("its run state has no losses, or no hidden state")
    count = len(CELLS[network.model].states) * network.num_layers
    hidden = (sizes[_hidden(1)][0], network.rnn_size)
    return {
        _LOSSES: (sizes[_LOSSES][0],),
        _MEAN_SQUARE: (parameters,),
        _RANDOM: (STATE_WORDS,),
        **{_hidden(k): hidden for k in range(1, count + 1)},
    }


def decode(checkpoint: Checkpoint, facts: object, tensors: Mapping[str, Array]) -> None:
    """Set run state and losses from those of `encode`, checked as those of a .t7 file. Errors: CheckpointError."""
    if not isinstance(facts, dict) or tensors[_LOSSES].dtype != np.dtype("<f8"):
        raise CheckpointError("its run state is not as pycharrnn writes it")
    try:
        state: dict[bytes, Any] = {key.encode("utf-8", "replace"): _for_table(value) for key, value in facts.items()}
    except RecursionError:
        raise CheckpointError("its run state is not as pycharrnn writes it") from None
    state[b"hidden_state"] = Table.of_list([_tensor(tensors[name]) for name in tensors if name.startswith(_hidden(""))])
    state[b"mean_square"], state[b"random_words"] = _tensor(tensors[_MEAN_SQUARE]), _tensor(tensors[_RANDOM])
    checkpoint.state = run_state.from_table(Table(state), checkpoint.network)
    if not checkpoint.text_fingerprint:  # earlier files have it here
        checkpoint.text_fingerprint = run_state.fact(state.get(b"text"))
    checkpoint.train_losses = array("d", tensors[_LOSSES].tobytes())


def _hidden(k: int | str) -> str:
    return f"{PREFIX}hidden_state.{k}"


def _for_table(value: Any) -> Any:
    """A JSON value as compat.load_t7 would return it."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    if isinstance(value, list):
        return Table.of_list([_for_table(part) for part in value])
    if isinstance(value, dict):
        return Table({_for_table(key): _for_table(part) for key, part in value.items()})
    return value


def _tensor(array_: Array) -> object:
    """A tensor for compat.run_state, which refuses None: an array of a dtype that Torch7 lacks."""
    kind = torch_type(array_.dtype)
    return None if kind is None else Tensor.of_array(array_, kind)
