"""A run state as the table `pycharrnn` of a checkpoint; it has plain Lua types, so the Lua programs load it too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from compat.cells import CELLS
from compat.checkpoint_fields import is_number
from compat.escape import escape_line
from compat.graph_expressions import CheckpointError, describe
from compat.graph_match import Network
from compat.lua_random import STATE_WORDS
from compat.t7_element_types import contiguous_strides, torch_type
from compat.t7_objects import Table, Tensor
from compat.weights import WeightReader

if TYPE_CHECKING:
    import numpy.typing as npt

    from compat.t7_objects import Array

FORMAT = 1  # of the table; tables with another number are ignored


@dataclass
class RunState:
    """The values that -resume needs beside a char-rnn checkpoint. P parameters, B streams, H units.

    Attributes:
        mean_square: RMSprop's, (P,), float64 or float32. learning_rate: after decay.
        hidden_state: before the next batch, (B, H) each, as CharRNN.initial_state.
        batch_positions: split (1 train, 2 val, 3 test) -> batches taken in this pass.
        random_words, random_position: of the generator, as LuaRandom.get_state.
        norm_ratio: norm of the last clipped gradient divided by that of the parameters.
        versions: program -> version.
        item_positions: where each row is in a list; () for a text.
    """

    mean_square: Array
    learning_rate: float
    hidden_state: list[Array]
    batch_positions: dict[int, int]
    random_words: npt.NDArray[np.uint32]
    random_position: int
    norm_ratio: float
    versions: dict[str, str] | None = None
    item_positions: tuple[int, ...] = ()


def to_table(state: RunState, text_fingerprint: str = "") -> Table:
    """The table of a run state. `text_fingerprint`: of the checkpoint; the table records it."""
    of_items = {b"item_positions": Table.of_list(list(state.item_positions))} if state.item_positions else {}
    return Table(
        {
            b"format": FORMAT,
            b"mean_square": _tensor(state.mean_square),
            b"learning_rate": float(state.learning_rate),
            b"hidden_state": Table.of_list([_tensor(h) for h in state.hidden_state]),
            b"batch_positions": Table.of_list([state.batch_positions[split] for split in (1, 2, 3)]),
            # Doubles hold 32 bits exactly; 4-byte longs, which are signed, do not.
            b"random_words": Tensor.of_array(np.asarray(state.random_words, "<f8")),
            b"random_position": state.random_position,
            b"norm_ratio": float(state.norm_ratio),
            b"text": text_fingerprint.encode(),
            b"versions": Table((k.encode(), v.encode()) for k, v in (state.versions or {}).items()),
            **of_items,
        }
    )


def from_table(table: object, network: Network) -> RunState | None:
    """The state, checked against its network; None for None and for another format. Errors: CheckpointError."""
    if table is None:
        return None
    if not isinstance(table, Table):
        raise CheckpointError(f"its run state 'pycharrnn' is {describe(table)}, not a table")
    if table.get(b"format") != FORMAT:
        return None
    hidden, positions, versions = (_table(table, key) for key in (b"hidden_state", b"batch_positions", b"versions"))
    count = len(CELLS[network.model].states) * network.num_layers
    if len(hidden) != count:
        raise CheckpointError(f"its run state holds {len(hidden)} hidden states, its model has {count}")
    first = hidden.get(1)
    batch_size = first.shape[0] if isinstance(first, Tensor) and first.shape else 0
    reader = WeightReader()
    words = _array(reader, table.get(b"random_words"), "random_words", (STATE_WORDS,))
    if not np.all((words >= 0) & (words < 2.0**32) & (words == np.floor(words))):
        raise CheckpointError("its run state 'random_words' are not numbers of 32 bits")
    parameters = network.parameters
    items = _table(table, b"item_positions") if b"item_positions" in table else Table()
    return RunState(
        mean_square=_array(reader, table.get(b"mean_square"), "mean_square", (parameters,)),
        learning_rate=_number(table, b"learning_rate"),
        hidden_state=[
            _array(reader, hidden.get(k), "hidden_state", (batch_size, network.rnn_size)) for k in range(1, count + 1)
        ],
        batch_positions={split: _whole(positions, split, 1 << 53) for split in (1, 2, 3)},
        random_words=words.astype(np.uint32),
        random_position=_whole(table, b"random_position", STATE_WORDS),
        norm_ratio=_number(table, b"norm_ratio"),
        versions={fact(k): fact(v) for k, v in versions.items()},
        item_positions=tuple(_whole(items, k, 1 << 53) for k in range(1, len(items) + 1)),
    )


def _tensor(array: Array) -> Tensor:
    return Tensor.of_array(array, torch_type(array.dtype))


def _array(reader: WeightReader, value: object, name: str, shape: tuple[int, ...]) -> Array:
    """A copy of a contiguous float64 or float32 tensor of this shape. Errors: CheckpointError; T7Error."""
    if not isinstance(value, Tensor) or value.typename not in (b"torch.DoubleTensor", b"torch.FloatTensor"):
        raise CheckpointError(f"its run state has {describe(value)} where the tensor {name} belongs")
    if value.shape != shape or value.strides != contiguous_strides(shape) or value.storage is None:
        raise CheckpointError(f"its run state's {name} is {value.shape!s:.80}, expected {shape}")
    return np.array(reader.array(value))


def _table(table: Table, key: bytes) -> Table:
    value = table.get(key)
    if not isinstance(value, Table):
        raise CheckpointError(f"its run state has {describe(value)} where the table {escape_line(key)} belongs")
    return value


def _number(table: Table, key: bytes | int) -> float:
    value: object = table.get(key)
    if not is_number(value):
        what = escape_line(key) if isinstance(key, bytes) else key
        raise CheckpointError(f"its run state has {describe(value)} where the number {what} belongs")
    return value


def _whole(table: Table, key: bytes | int, most: int) -> int:
    value = _number(table, key)
    if not isinstance(value, int) or not 0 <= value <= most:
        raise CheckpointError(f"its run state has {value!r:.40} where a whole number from 0 to {most} belongs")
    return value


def fact(value: object) -> str:
    """A string of the table, escaped for a terminal; "" for a value of another type."""
    return escape_line(value) if isinstance(value, bytes) else ""
