"""The metadata of a checkpoint as JSON, for formats other than .t7: all but weights, run state and gradient.

A JSON text is untrusted: its memory is bounded by the size of its file, and each value is checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from compat import checkpoint_fields
from compat.cells import CELLS, MODELS
from compat.charrnn import Checkpoint
from compat.graph_expressions import CheckpointError, DamagedCheckpointError
from compat.graph_match import Network
from compat.nngraph import parameter_shapes
from compat.t7_element_types import element_dtype
from compat.vocabulary import characters_by_id, vocabulary_of
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError

if TYPE_CHECKING:
    from compat.t7_objects import Array

Shapes = dict[str, tuple[int, ...]]  # name -> shape of every weight and bias, in the order of parameter_shapes
MOST_LAYERS = 100_000  # each has several tensors, which are objects of Python
# sign in a JSON text -> most bytes of memory of the value after it
_JSON_MEMORY = {b"{": 240, b"[": 64, b",": 40, b":": 100}
_NOT_ASCII, _WIDE, _BACKSLASH = re.compile(rb"[\x80-\xff]+"), re.compile(rb"[\x80-\xff]|\\u"), ord("\\")
_MOST_ESCAPES, _MOST_WIDE = 1 << 20, 1 << 21  # backslashes, and bytes of strings beyond ASCII, in a JSON text
_JSON_SPARE = 128 << 20  # bytes that a JSON text may take beyond twice the size of its file


def text_of(checkpoint: Checkpoint, **more: object) -> str:
    """The metadata and the entries `more` as a JSON object; NaN and infinity are written as by Python's json module.

    Characters are lists of bytes, in the order of token ids.
    """
    network = checkpoint.network
    facts = {
        "model": network.model,
        "rnn_size": network.rnn_size,
        "num_layers": network.num_layers,
        "vocab_size": network.vocab_size,
        "dropout": network.dropout,
        "tensor_type": network.tensor_type,
        "vocab": [list(c) for c in characters_by_id(checkpoint.vocab)],
        "opt": checkpoint.opt,
        "train_losses": list(checkpoint.train_losses),
        "val_losses": sorted(checkpoint.val_losses.items()),
        "val_loss": checkpoint.val_loss,
        "i": checkpoint.i,
        "epoch": checkpoint.epoch,
        "program": checkpoint.program,
        "era": checkpoint.era,
        "text": checkpoint.text_fingerprint,
        **more,
    }
    return json.dumps(facts)


def from_text(text: bytes | str, size: int) -> tuple[Checkpoint, Shapes]:
    """A checkpoint without weights, and the shapes of its weights, from the text in a file of `size` bytes.

    Errors: CheckpointError.
    """
    try:
        facts = parse(text.encode() if isinstance(text, str) else text, size)
    except CheckpointError:  # a ValueError too
        raise
    except (ValueError, RecursionError) as e:
        raise _not_ours(e) from None
    return from_facts(facts, size)


def from_facts(facts: Any, size: int) -> tuple[Checkpoint, Shapes]:
    """As from_text, for parsed JSON."""
    try:
        return _from_facts(facts, size)
    except CheckpointError:  # a ValueError too
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise _not_ours(e) from None


def _not_ours(error: Exception) -> CheckpointError:
    return DamagedCheckpointError(f"its metadata are not pycharrnn's ({escape_line(repr(error), 80)})")


def with_weights(checkpoint: Checkpoint, shapes: Shapes, weights: Mapping[str, Array]) -> Checkpoint:
    """Add weights to a checkpoint of from_text. Errors: CheckpointError for wrong shapes or dtypes."""
    require_shapes(checkpoint, shapes, {name: w.shape for name, w in weights.items()})
    if any(w.dtype.kind != "f" for w in weights.values()):
        raise CheckpointError("its tensors are of whole numbers")
    checkpoint.network.weights.update((name, weights[name]) for name in shapes)
    return checkpoint


def require_shapes(checkpoint: Checkpoint, shapes: Shapes, claimed: Mapping[str, tuple[int, ...]]) -> None:
    """Errors: CheckpointError unless the file has exactly the model's tensors."""
    if claimed != shapes:
        n = checkpoint.network
        sizes = [n.vocab_size, n.rnn_size, n.num_layers]
        raise DamagedCheckpointError(f"its tensors are not those of {CELLS[n.model].in_words} of sizes {sizes}")


def in_recorded_type(checkpoint: Checkpoint, weights: Mapping[str, Array]) -> dict[str, Array]:
    """Weights in the precision of the checkpoint's tensor_type if it holds them exactly, else as they are."""
    recorded_type = element_dtype(checkpoint.network.tensor_type.encode())
    assert recorded_type is not None  # checked by from_text
    return {name: w.astype(recorded_type, copy=False) if fits(w, recorded_type) else w for name, w in weights.items()}


def require_range(network: Network, dtype: str, option: str) -> None:
    """Errors: UserError if finite weights would become infinity in `dtype`, which `option` asks for."""
    finite = [w[np.isfinite(w)] for w in network.weights.values()]
    extremes = [bound for w in finite if w.size for bound in (w.min(), w.max())]
    with np.errstate(over="ignore"):
        beyond = [x for x in extremes if not np.isfinite(x.astype(dtype))]
    if beyond:
        raise UserError(f"the weights have numbers beyond the range of {option}, such as {beyond[0]:g}: leave it out.")


def fits(weights: Array, dtype: np.dtype[Any]) -> bool:
    """Whether `dtype` can hold these weights exactly."""
    if weights.dtype.kind == "f" and np.can_cast(weights.dtype, dtype):  # any values
        return True
    with np.errstate(all="ignore"):
        return np.array_equal(weights.astype(dtype).astype(weights.dtype), weights, equal_nan=True)


def all_fit(weights: Mapping[str, Array], dtype: str) -> bool:
    """Whether `dtype` can hold all weights exactly."""
    return all(fits(w, np.dtype(dtype)) for w in weights.values())


def parse(text: bytes, size: int) -> Any:
    """Parse JSON, in memory proportional to `size`. Errors: CheckpointError, ValueError, RecursionError."""
    if text.count(b"\\") > _MOST_ESCAPES or _wide_bytes(text) > _MOST_WIDE:
        raise CheckpointError("its metadata have more text beyond ASCII than any checkpoint's")
    if not text.isascii():
        text = _NOT_ASCII.sub(lambda found: json.dumps(found[0].decode())[1:-1].encode(), text)
    if len(text) + sum(text.count(sign) * memory for sign, memory in _JSON_MEMORY.items()) > 2 * size + _JSON_SPARE:
        raise CheckpointError("its metadata unfold to far more than its size, as no checkpoint's do")
    return json.loads(text, object_pairs_hook=_distinct)


def _wide_bytes(text: bytes) -> int:
    """The total length of strings with characters beyond ASCII, each of which Python holds in up to 4 bytes."""
    total = at = 0
    if text.isascii() and b"\\u" not in text:  # a search for one pattern is faster than for two
        return 0
    while total <= _MOST_WIDE and (found := _WIDE.search(text, at)):
        if found[0] == b"\\u" and _is_escaped(text, found.start()):  # a backslash, and the letter u
            at = found.end()
            continue
        start, at = _opening_quote(text, found.start()), _closing_quote(text, found.end())
        total += at - start
    return total


def _opening_quote(text: bytes, at: int) -> int:
    """The start of the string around `at`; 0 outside of strings."""
    while (at := text.rfind(b'"', 0, at)) >= 0 and _is_escaped(text, at):
        pass
    return max(at, 0)


def _closing_quote(text: bytes, at: int) -> int:
    """The end of the string around `at`; the end of the text outside of strings."""
    while (at := text.find(b'"', at)) >= 0 and _is_escaped(text, at):
        at += 1
    return at if at >= 0 else len(text)


def _is_escaped(text: bytes, at: int) -> bool:
    first = at
    while first and text[first - 1] == _BACKSLASH:
        first -= 1
    return (at - first) % 2 == 1


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object without duplicate names, which readers resolve differently."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it says something twice")
    return found


def _from_facts(facts: dict[str, Any], size: int) -> tuple[Checkpoint, Shapes]:
    model, sizes = facts["model"], [facts[key] for key in ("vocab_size", "rnn_size", "num_layers")]
    # A layer has many weights, each at least a byte unless packed.
    most_layers = min(size, MOST_LAYERS)
    if model not in MODELS or not all(type(n) is int and 0 < n < 1 << 31 for n in sizes) or sizes[2] > most_layers:
        raise CheckpointError(f"its model is {escape_line(repr(model), 20)} of sizes {sizes!s:.80}")
    dropout = checkpoint_fields.number(facts["dropout"], "the dropout")
    if not 0 <= dropout < 1:
        raise CheckpointError(f"its dropout is {dropout:g}, which is not in [0, 1)")
    if element_dtype(checkpoint_fields.word(facts["tensor_type"], "tensor_type").encode()) is None:
        raise CheckpointError("its tensor_type is none of Torch7's")
    vocab = checkpoint_fields.vocabulary(vocabulary_of(map(_character, facts["vocab"])))
    if len(vocab) != sizes[0]:
        raise CheckpointError(f"its vocabulary has {len(vocab)} characters, its model {sizes[0]}")
    network = Network(model, sizes[1], sizes[2], sizes[0], float(dropout), {}, facts["tensor_type"])
    opt = checkpoint_fields.options(facts["opt"].items())
    for text in (x for entry in opt.items() for x in entry if isinstance(x, str)):
        text.encode("utf-8", "surrogateescape")
    program, era = (checkpoint_fields.word(facts[key], key) for key in ("program", "era"))
    checkpoint = Checkpoint(network, vocab, opt, program=program, era=era)
    checkpoint.train_losses = checkpoint_fields.losses(facts["train_losses"])
    checkpoint.val_losses = checkpoint_fields.losses_by_iteration((i, loss) for i, loss in facts["val_losses"])
    checkpoint.val_loss = None if facts["val_loss"] is None else checkpoint_fields.number(facts["val_loss"], "val_loss")
    checkpoint.i = checkpoint_fields.iteration(facts["i"])
    checkpoint.epoch = checkpoint_fields.number(facts["epoch"], "an epoch")
    checkpoint.text_fingerprint = _fact(facts.get("text"))
    return checkpoint, parameter_shapes(model, *sizes)


def _fact(value: object) -> str:
    """A string of the metadata, escaped for a terminal; "" for a value of another type."""
    return escape_line(value) if isinstance(value, str) else ""


def _character(numbers: object) -> bytes:
    if not isinstance(numbers, list):
        raise CheckpointError("its vocabulary holds something that is not a list of bytes")
    return bytes(numbers)
