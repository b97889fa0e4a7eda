"""Writes models as .c files, one C99 file each: the template c/model.c, with constants, vocabulary and weights.

Text of a checkpoint reaches the file only as escaped strings.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from compat import item_options
from compat.atomic_write import atomic_write
from compat.cells import CELLS, MODELS
from compat.graph_expressions import CheckpointError
from compat.t7_content import file_content
from compat.vocabulary import characters_by_id
from pycharrnn.checkpoints import c_template, c_weights, checkpoint_facts, formats
from pycharrnn.common.display import series
from pycharrnn.common.errors import UserError, flag, on_page

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint
    from compat.graph_match import Network

_REAL_BYTES = {"double": 8, "float": 4, "int8": 4}  # of a state's numbers
_WEIGHT_BYTES = {"double": 8, "float": 4, "int8": 1}
_DEFAULT_BYTES = 4 << 20  # of weights
_MOST_BYTES = 8 << 20  # of weights: what compilers take seconds for
_MOST_UNITS = 4096  # so that the sum of an int8 product fits 32 bits
_RANDOM_WORDS = 625  # of the Mersenne Twister, with its position; 4 bytes each


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Errors: OSError; CheckpointError, always."""
    file_content(path)  # its errors come first; it does not wait for a pipe
    raise CheckpointError(f"it is C source; {on_page('bring', elsewhere='name')} the checkpoint that it was made from")


def save(path: str | os.PathLike[str], checkpoint: Checkpoint, options: formats.WriteOptions) -> None:
    """Write a model. Errors: OSError; UserError for a model that a C file can't hold."""
    content = source_of(checkpoint, options.weights or default_weights(checkpoint))
    with atomic_write(path) as f:
        f.write(content.encode("ascii"))


def default_weights(checkpoint: Checkpoint) -> str:
    """The most precise type whose weights take at most 4 MB, or "int8" if none does."""
    parameters = checkpoint.network.parameters
    return next((name for name in formats.WEIGHTS if parameters * _WEIGHT_BYTES[name] <= _DEFAULT_BYTES), "int8")


def weight_bytes(checkpoint: Checkpoint, weights: str) -> int:
    """The size of model_weights in memory."""
    return c_weights.size(checkpoint.network, weights)


def _holds(weights: str, network: Network) -> bool:
    """Whether a file with this type of weights can hold a network."""
    return network.parameters * _WEIGHT_BYTES[weights] <= _MOST_BYTES and network.rnn_size <= _MOST_UNITS


def source_of(checkpoint: Checkpoint, weights: str) -> str:
    """The C source. weights: "double", "float" or "int8". Errors: UserError for a model that a C file can't hold."""
    network = checkpoint.network
    if not network.is_finite():
        raise UserError("the weights have NaN or infinity, which a .c file can't hold: use an earlier checkpoint.")
    if not _holds(weights, network):
        most = f"{_MOST_BYTES // _WEIGHT_BYTES[weights]:,} parameters and {_MOST_UNITS:,} units"
        others = [flag("weights", name) for name in formats.WEIGHTS if _holds(name, network)]
        way_out = f"; use {series(others, 'or')}" if others else ""
        raise UserError(
            f"a model of {network.parameters:,} parameters with {network.rnn_size:,} units in a layer is too large for"
            f" a .c file: with {flag('weights', weights)} it may have at most {most}{way_out}."
        )
    if not c_weights.are_finite(network, weights):
        raise UserError(
            f"the weights have numbers beyond the range of {flag('weights', weights)}: use an earlier checkpoint."
        )
    characters = characters_by_id(checkpoint.vocab)
    labels = list(checkpoint.labels)
    constants = _constants(checkpoint, characters, labels)
    between = item_options.ITEM_KINDS[checkpoint.items].between if checkpoint.items else b""
    conditions = {
        "DOUBLE": weights == "double",
        "INT8": weights == "int8",
        **{model.upper(): network.model == model for model in MODELS},
        "GATED": len(CELLS[network.model].gates) > 1,
        "DEEP": network.num_layers > 1,
        "ITEMS": network.end_id is not None,
        "SPACED": bool(between),
        "LABELS": bool(labels),
        "LINES": "MODEL_NEWLINE" in constants,
        "WHOLE": network.end_id is None and checkpoint_facts.is_from_texts(checkpoint),
    }
    inserted = {
        "constants": _enum(constants),
        "size bytes": f"{_state_bytes(network.model, constants, weights)} bytes",
        "about": _about(checkpoint, labels),
        "lines between items": c_template.string(between),
        "vocabulary": _vocabulary(characters),
        "weights": c_weights.source_of(network, weights),
    }
    return c_template.filled(conditions, inserted)


def _constants(checkpoint: Checkpoint, characters: list[bytes], labels: list[bytes]) -> dict[str, tuple[int, str]]:
    """Name -> (value, comment)."""
    network = checkpoint.network
    found = {
        "MODEL_CHARACTERS": (len(characters), "in the vocabulary"),
        "MODEL_UNITS": (network.rnn_size, "of a layer"),
        "MODEL_LAYERS": (network.num_layers, ""),
        "MODEL_GATES": (len(CELLS[network.model].gates), "sums of weighted inputs for each unit"),
        "MODEL_LONGEST": (max(map(len, characters)), "character, in bytes"),
    }
    if network.end_id is not None:
        found["MODEL_END"] = network.end_id, "id of the character that ends an item, and begins the next"
    elif checkpoint_facts.is_from_texts(checkpoint) and b"\n" in checkpoint.vocab:
        found["MODEL_NEWLINE"] = checkpoint.vocab[b"\n"] - 1, "its id"
    if labels:
        found["MODEL_LABELS"] = len(labels), "with which an item begins, each with a tab after it"
    return found


def _enum(constants: dict[str, tuple[int, str]]) -> str:
    lines = [
        f"  {name} = {value},{f' /* {comment} */' if comment else ''}" for name, (value, comment) in constants.items()
    ]
    return "\n".join(["enum {", *lines, "};"])


def _state_bytes(model: str, constants: dict[str, tuple[int, str]], weights: str) -> int:
    """sizeof(struct model_state)."""
    V, H, L, n = (constants[f"MODEL_{name}"][0] for name in ("CHARACTERS", "UNITS", "LAYERS", "GATES"))
    numbers = len(CELLS[model].states) * L * H + n * H + 2 * V
    size = numbers * _REAL_BYTES[weights] + 4 * _RANDOM_WORDS + (2 * H if weights == "int8" else 0)
    alignment = _REAL_BYTES[weights]
    return -(-size // alignment) * alignment


def _about(checkpoint: Checkpoint, labels: list[bytes]) -> str:
    n = checkpoint.network
    facts = [f"{n.model}, {n.num_layers} x {n.rnn_size}, {n.vocab_size} characters"]
    if text := checkpoint_facts.trained_on(checkpoint):
        facts.append(f"trained on {text}")
    if (loss := checkpoint_facts.validation_loss(checkpoint)) is not None and math.isfinite(loss):
        facts.append(f"validation loss {loss:.4f}")
    about = "; ".join(facts).encode("utf-8", "surrogateescape")
    lines = [f"static const char about[] =\n    {c_template.string(about)};"]
    if labels:
        lines += ["static const char *const labels[MODEL_LABELS] = {"]
        lines += [f"    {c_template.string(label)}," for label in labels]
        lines += ["};"]
    return "\n".join(lines)


def _vocabulary(characters: list[bytes]) -> str:
    entries = [f"{{{len(character)}, {c_template.string(character)}}}," for character in characters]
    lines = c_template.wrapped(entries, "    ")
    return "\n".join(["const struct model_character model_vocabulary[MODEL_CHARACTERS] = {", *lines, "};"])
