"""Checks a run against its text, from the text's statistics: before anything is preprocessed or written."""

from __future__ import annotations

import math
from collections.abc import Collection

import torch

from compat.nngraph import parameter_shapes
from pycharrnn.common import memory, shell_words
from pycharrnn.common.display import escape_line, quote_characters
from pycharrnn.common.errors import UserError, flag, wordings
from pycharrnn.engine import precision
from pycharrnn.text import loader
from pycharrnn.text.data_settings import DataSettings
from pycharrnn.text.text_stats import TextStats
from pycharrnn.training.initial_checkpoint import InitialCheckpoint, ResumedRun
from pycharrnn.training.settings import ModelSettings, RunSettings

_BYTE_ORDER_MARK = "\ufeff".encode()
_OF_WINDOWS = {b"\r", _BYTE_ORDER_MARK, *(bytes([byte]) for byte in _BYTE_ORDER_MARK)}


def check(settings: RunSettings, text: TextStats) -> None:
    """Errors: UserError for a text without batches, a network beyond memory, or other characters than a checkpoint's.

    A text that is not in its -encoding has no characters here; preprocessing refuses it.
    """
    data, start = settings.data, settings.start
    characters = text.characters(data.encoding)
    if not characters:
        return
    if not data.keeps_vocab and not data.items:  # the loader counts what is left of the text, and the items
        _check_batches(data, text.length(data.encoding))
    if start is None:
        dtype = precision.DTYPES[settings.machine.parameters]
        _check_memory(settings.model, data, len(characters), settings.machine.device, dtype)
    elif data.vocab == "strict":
        _check_same_vocabulary(data, start, characters)
    elif isinstance(start, ResumedRun) and data.vocab == "extend":  # the run may have characters that the text lacks
        _check_same_vocabulary(data, start, {*characters, *start.checkpoint.vocab})


def advice_on_bytes(data: DataSettings, text: TextStats) -> str:
    """A sentence for an input.txt in another encoding, which -data_dir keeps as char-rnn does; "" for UTF-8."""
    if data.encoding != "bytes" or text.invalid_at is None:
        return ""
    file = data.input_file
    command = shell_words.joined(["pycharrnn", "train", shell_words.operand(file)])
    train = wordings(command, f"pycharrnn.train({file!r})")
    return (
        f"{escape_line(file)} is not UTF-8 at offset {text.invalid_at}, and its bytes are kept as they are: if it is a"
        f" text in another encoding, {train} converts it."
    )


def check_splits(data: DataSettings, ntrain: int, nval: int, nbatches: int, length: int = 0) -> None:
    """Errors: UserError if training or validation has none of the batches of a text. `length`: characters, if known."""
    splits = ("train", "val", ntrain, data.train_frac), ("val", "train", nval, data.val_frac)
    for name, other, count, fraction in splits:
        if count:
            continue
        sizes = loader.largest_sizes(length, data.batch_size, data.seq_length, data.split_fractions) if fraction else ""
        ways_out = [f"at most {sizes}"] if sizes else []
        if fraction and nbatches == 1 and not length:
            ways_out.append(f"a smaller {flag('batch_size')} or {flag('seq_length')}")
        if nbatches > 1 or not ways_out:
            smaller = f" and a smaller {flag(f'{other}_frac')}" if data.train_frac + data.val_frac >= 1 else ""
            ways_out.append(f"a larger {flag(f'{name}_frac')}{smaller}")
        batches = "only one batch" if nbatches == 1 else f"{nbatches} batches"
        size = f"{flag('batch_size', data.batch_size)} x {flag('seq_length', data.seq_length)} characters"
        raise UserError(
            f"the text makes {batches} of {size}, and the {name} split gets none: use {', or '.join(ways_out)}."
        )


def _check_batches(data: DataSettings, length: int) -> None:
    nbatches = length // (data.batch_size * data.seq_length)
    if not nbatches:
        raise loader.too_short(length, data.batch_size, data.seq_length, data.split_fractions)
    ntrain, nval, _ = loader.split(nbatches, data.split_fractions)
    check_splits(data, ntrain, nval, nbatches, length)


def _check_memory(model: ModelSettings, data: DataSettings, vocab_size: int, where: str, dtype: torch.dtype) -> None:
    """Errors: UserError if the largest tensors of a new network don't fit into memory."""

    def parameters(layers: int) -> int:
        shapes = parameter_shapes(model.model, vocab_size, model.rnn_size, layers).values()
        return sum(math.prod(shape) for shape in shapes)

    weights = parameters(1) + (model.num_layers - 1) * (parameters(2) - parameters(1))
    states = model.rnn_size * model.num_layers * data.seq_length * data.batch_size
    need = dtype.itemsize * (3 * weights + 2 * states)  # weights, gradient and mean square; gates and hidden state
    gpu = torch.cuda.get_device_properties(where).total_memory if where.startswith("cuda") else None
    memory.check(need, f"{flag('rnn_size', model.rnn_size)} with {flag('num_layers', model.num_layers)}", gpu)


def _check_same_vocabulary(data: DataSettings, start: InitialCheckpoint, ours: Collection[bytes]) -> None:
    """Errors: UserError unless the text has exactly the checkpoint's characters."""
    theirs = start.checkpoint.vocab
    only_theirs, only_ours = set(theirs) - set(ours), set(ours) - set(theirs)
    differences = [
        f"{side} {quote_characters(characters)}"
        for side, characters in (("only the checkpoint has", only_theirs), ("only the text has", only_ours))
        if characters
    ]
    if not differences:
        return
    way_out = (
        f"{flag('init_from', start.path)} with {flag('vocab', 'extend')} adds the new ones to the model,"
        f" {flag('vocab', 'keep')} leaves them out of the text"
    )
    if isinstance(start, ResumedRun) and not only_theirs and only_ours <= _OF_WINDOWS:
        way_out = "Windows has added line ends or a byte order mark: take the file as it was, or run dos2unix -r on it"
    raise UserError(
        f"the characters of {data.input_file} ({len(ours)}) are not those of {start.path} ({len(theirs)}):"
        f" {'; '.join(differences)}; {way_out}."
    )
