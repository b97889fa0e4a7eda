"""The loss of a split, as in training, for `eval`."""

from __future__ import annotations

import dataclasses
import math
import os
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from compat import legacy_logsoftmax
from compat.vocabulary import characters_by_id, ids_of
from pycharrnn.analysis import likelihood
from pycharrnn.analysis.options import EvalOptions
from pycharrnn.checkpoints import checkpoint_facts, recorded_split
from pycharrnn.common import losses
from pycharrnn.common.display import escape_line, quote_characters
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.printing import print_nothing
from pycharrnn.common.progress import bar
from pycharrnn.common.targets import IGNORED
from pycharrnn.sampling import inference
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.text import cached_text, loaders
from pycharrnn.text.batches import SPLIT_INDICES, Batches
from pycharrnn.text.data_settings import DataSettings
from pycharrnn.text.fingerprint import with_short_hash
from pycharrnn.training import recorded_options
from pycharrnn.training.settings import group

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy.typing as npt

    from compat.charrnn import Checkpoint
    from pycharrnn.sampling.predictor import Predictor

_MAX_EXPONENT = 700  # exp() overflows above 709
_OPTIONS = frozenset(field.name for field in dataclasses.fields(EvalOptions))
_OTHER_TEXT = f"name another text with {flag('data_dir')}, or give this one to pycharrnn score"


class EvaluatedCheckpoint(NamedTuple):
    """The losses of the checkpoint at `path` on a split, in nats per character.

    Attributes:
        stored: the val_loss that it records, if any. trained_on: see checkpoint_facts.trained_on.
        adapted: the loss with -adapt 1; None without.
    """

    path: str
    loss: float
    stored: float | None
    trained_on: str
    adapted: float | None = None


def split_loss(path: str, loaded: Checkpoint, opt: EvalOptions, device: str = "cpu") -> float:
    """The loss of a split in nats per character, as training prints it.

    The hidden state is zeros before the first batch, and carries over from batch to batch.

    Args:
        path: of the checkpoint, for messages.
        device: as PyTorch names it.

    Errors: UserError for a text that is missing, too short for the split, or has characters that the vocabulary lacks;
        and for sizes that do not fit into memory.
    """
    with closing(open_split(path, loaded, opt)) as loader:
        return _loss_of(loader, path, loaded, opt, device)


def model_ids_of(loader: Batches, path: str, loaded: Checkpoint) -> npt.NDArray[np.int64]:
    """The model's token id for each of the text's, (V,). Errors: UserError for characters that the model lacks."""
    characters = characters_by_id(loader.vocab_mapping)
    unknown = [c for c in characters if c not in loaded.vocab]
    if unknown:
        raise UserError(
            f"the text of {flag('data_dir')} has characters that {path} has never seen"
            f" ({quote_characters(unknown)}): pycharrnn score leaves such characters out."
        )
    return np.array(ids_of(characters, loaded.vocab))


def _loss_of(loader: Batches, path: str, loaded: Checkpoint, opt: EvalOptions, device: str) -> float:
    model_ids = model_ids_of(loader, path, loaded)
    T, B = loader.seq_length, loader.batch_size
    doubles = likelihood.doubles_per_step(loaded.network, B)
    if doubles > 2 * likelihood.MAX_DOUBLES:
        raise UserError(
            f"{B} texts side by side would take {path} {8 * doubles / 1e9:.1f} GB of memory: give a smaller"
            f" {flag('batch_size')}."
        )
    steps = likelihood.block_size(T, doubles)
    predictor: Predictor
    if opt.old_exp:
        predictor = NumpyPredictor(loaded.network, B, steps, legacy_logsoftmax.log_softmax)
    else:
        predictor = inference.make_predictor(loaded, device, B, steps)
    split = SPLIT_INDICES[opt.split]
    loss, counted = 0.0, 0
    with bar(os.path.basename(path), loader.split_sizes[split]) as advance:
        for _ in range(loader.split_sizes[split]):
            x, y = (part.T for part in loader.next_batch(split))
            ignored, counted = y == IGNORED, counted + loader.counted
            x, y = model_ids[x], model_ids[np.where(ignored, 0, y)]
            for start in range(0, T, steps):
                block = slice(start, start + steps)
                nats = -likelihood.log_likelihoods(predictor, x[block], y[block], opt.threads or 1)
                nats[ignored[block]] = 0
                loss += float(nats.sum() / B)
            advance(1)
    return loss / T / (counted / (B * T))


def why_not_val_loss(path: str, loaded: Checkpoint, opt: EvalOptions, loss: float) -> str:
    """A sentence on why `loss`, in nats, is not the recorded val_loss, if an older rule may be the reason; else ""."""
    missed = _missed(loaded, opt, loss)
    if loaded.opt.get("gpuid") == -1 and 1e-6 < missed < 1e-3:
        return f"{path}: if its Torch7 was older than 27 April 2016, {flag('old_exp', 1)} gives its val_loss."
    if recorded_options.find(loaded, "old_exp") and not opt.old_exp:
        return f"{path} was trained with {flag('old_exp', 1)}: add it for the losses of that training."
    if missed >= 1e-3 and (val_frac := _old_val_frac(loaded)):
        when = "" if loaded.era.startswith("May") else "if its char-rnn is of early June 2015 or older, "
        return f"{path}: {when}{flag('val_frac', val_frac)} gives its val_loss: validation lacked a batch then."
    return ""


def _old_val_frac(loaded: Checkpoint) -> float:
    """The -val_frac for the split of char-rnn until early June 2015; 0 for a split that is the same today.

    If the fractions of training and validation made 1, the rounding left a batch for testing, which validation has
    had since then. A slightly smaller fraction leaves it again.
    """
    if not loaded.era.startswith(("May", "June")):
        return 0
    train, val = (recorded_options.find(loaded, name) or 0.0 for name in ("train_frac", "val_frac"))
    return val * (1 - 1e-4) if train + val >= 1 else 0


def _missed(loaded: Checkpoint, opt: EvalOptions, loss: float) -> float:
    """How far `loss` is from the val_loss of a Lua run whose validation `opt` repeats; 0 for any other loss."""
    same_sizes = not any(map(opt.is_given, recorded_split.OF_TEXTS))
    of_lua = loaded.program == "char-rnn" and loaded.state is None
    if loaded.val_loss is None or not of_lua or not same_sizes or opt.old_exp or opt.split != "val":
        return 0
    return abs(loss - loaded.val_loss)


def open_split(path: str, loaded: Checkpoint, opt: EvalOptions) -> Batches:
    """As open_batches. Errors: UserError, also for a split without batches."""
    loader = open_batches(path, loaded, opt)
    if not loader.split_sizes[SPLIT_INDICES[opt.split]]:
        loader.close()
        raise UserError(
            f"the {opt.split} split has none of the {loader.nbatches} batches: choose another {flag('split')}, or give"
            f" smaller fractions by {flag('train_frac')} and {flag('val_frac')}."
        )
    return loader


def open_batches(
    path: str, loaded: Checkpoint, opt: EvalOptions, can_give: Collection[str] = _OPTIONS, or_else: str = _OTHER_TEXT
) -> Batches:
    """The batches of a text, divided as in the checkpoint's training unless `opt` says otherwise.

    `can_give`: options that the user can give. `or_else`: what to do where only others would help. Errors: UserError.
    """
    if not opt.data_dir and not loaded.opt.get("data_dir"):  # an invalid one is refused below
        if file := escape_line(loaded.torch_rnn_file):
            raise UserError(
                f"{path} was trained on {file}, which torch-rnn's preprocess.py made: name a folder that has that text"
                f" as input.txt, with {flag('data_dir')}."
            )
        raise UserError(f"{path} does not say what it was trained on: give {flag('data_dir')}.")
    given = set(filter(opt.is_given, ("data_dir", *recorded_split.OF_TEXTS)))
    recorded = [name for name in ("data_dir", *recorded_split.OPTIONS) if name not in given]
    options = recorded_options.options_of(path, loaded, recorded, can_give)
    options = dataclasses.replace(options, **{name: getattr(opt, name) for name in given})
    options.check_fractions()
    keeps = recorded_options.find(loaded, "vocab") == "keep"
    data = group(
        DataSettings, options, encoding=checkpoint_facts.encoding(loaded), vocab="keep" if keeps else options.vocab
    )
    if "data_dir" not in given:
        recorded_options.require_text(path, data.data_dir)
    elif not os.path.isfile(data.input_file):
        advice = "name the folder of the text, or give a file to pycharrnn score"
        raise UserError(
            f"{flag('data_dir', data.data_dir)} is not a folder that has an input.txt:"
            f" {cached_text.remedy(data.data_dir) or advice}."
        )
    try:
        return loaders.open_batches(
            data, say=print_nothing, progress=-1, model_characters=loaded.vocab if keeps else None, in_order=True
        )
    except UserError as e:
        if e.options.issubset(can_give):
            raise
        raise UserError(e.fault, or_else) from e


def as_lines(split: str, found: EvaluatedCheckpoint) -> str:
    """The output of `eval` for one checkpoint."""
    in_checkpoint = f" (val_loss in the checkpoint: {found.stored:.8f})" if found.stored is not None else ""
    lines = _in_all_units(f"loss over {split} split", found.loss, in_checkpoint)
    return lines if found.adapted is None else f"{lines}\n{_in_all_units('loss with -adapt 1', found.adapted)}"


def _in_all_units(name: str, loss: float, note: str = "") -> str:
    return (
        f"{name:19}  {loss:.8f} nats per character{note}\n"
        f"                     {loss / math.log(2):.8f} bits per character\n"
        f"perplexity           {_perplexity(loss):.8f}"
    )


def as_table(rows: Sequence[EvaluatedCheckpoint]) -> str:
    """The output of `eval -compare 1`, sorted by loss, NaN last; with one more column for losses with -adapt 1."""
    has_adapted = any(row.adapted is not None for row in rows)
    more = ["with -adapt 1"] if has_adapted else []
    cells: list[tuple[str, ...]] = [
        ("checkpoint", "nats/char", "bits/char", "perplexity", "val_loss in it", *more, "trained on")
    ]
    for row in sorted(rows, key=lambda row: losses.sort_key(row.loss)):
        numbers = [row.loss, row.loss / math.log(2), _perplexity(row.loss), row.stored]
        numbers += [row.adapted] if has_adapted else []
        name, learned = escape_line(row.path, None), with_short_hash(row.trained_on) or "-"
        cells.append((name, *("-" if x is None else f"{x:.6f}" for x in numbers), learned))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join([first.ljust(widths[0]), *map(str.rjust, figures, widths[1:]), last])
        for first, *figures, last in cells
    )


def _perplexity(loss: float) -> float:
    """exp(loss), finite also for a model whose training failed."""
    return math.exp(min(loss, _MAX_EXPONENT))
