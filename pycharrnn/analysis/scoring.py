"""How well a model predicts: the loss of a split as in training, and the surprise of each character of a text."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from compat import old_exp
from compat.charrnn import Checkpoint
from pycharrnn.analysis.options import EvalOptions
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.errors import UserError
from pycharrnn.common.progress import bar
from pycharrnn.sampling import inference
from pycharrnn.sampling.sampler import cut, in_order
from pycharrnn.text.loader import TEST, TRAIN, VAL, CharSplitLMMinibatchLoader, shown
from pycharrnn.training import recorded_options
from pycharrnn.training.options import TrainOptions

_SPLITS = {"train": TRAIN, "val": VAL, "test": TEST}
_STEPS = 256  # characters of a text that the model reads at once
_NUMBERS = 1 << 24  # that a model holds at a time while it reads, roughly: 128 MiB
_LONG_HASH = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{56}\b")  # of which 8 digits are enough to tell texts apart
# How EvalOptions says "as in training".
_AS_IN_TRAINING = {"data_dir": "", "batch_size": 0, "seq_length": 0, "train_frac": -1, "val_frac": -1}


def split_loss(path: str, loaded: Checkpoint, opt: EvalOptions, where: str = "cpu") -> float:
    """Loss of a split in nats per character, as training prints it: from a state of zeros, carried from batch to batch.

    What `opt` leaves open is as in the checkpoint's training.

    Args:
        path, loaded: the checkpoint's file, for messages, and what checkpoint.load made of it.
        where: PyTorch's name of the device.

    Errors: UserError.
    """
    loader = _loader(path, loaded, opt)
    unknown = [c for c in in_order(loader.vocab_mapping) if c not in loaded.vocab]
    if unknown:
        raise UserError(
            f"the text of -data_dir has {len(unknown)} characters that {path} has never seen ({shown(unknown)}):"
            " pycharrnn score leaves such characters out."
        )
    T, B = loader.seq_length, loader.batch_size
    numbers = np.array([loaded.vocab[c] - 1 for c in in_order(loader.vocab_mapping)])
    in_a_step = _numbers_in_a_step(loaded, B)
    if in_a_step > 2 * _NUMBERS:
        raise UserError(
            f"{B} texts side by side would take {path} {8 * in_a_step / 1e9:.1f} GB of memory: give a smaller"
            " -batch_size."
        )
    steps = _steps_at_once(T, in_a_step)
    if opt.old_exp:
        model = inference.NumpyPredictor(loaded.network, B, steps, old_exp.log_softmax)
    else:
        model = inference.make_predictor(loaded, where, B, steps)
    split = _SPLITS[opt.split]
    loss = 0.0
    with bar(os.path.basename(path), loader.split_sizes[split]) as advance:
        for _ in range(loader.split_sizes[split]):
            x, y = (numbers[part.T] for part in loader.next_batch(split))
            for start in range(0, T, steps):
                log_probs = model.read(x[start : start + steps])
                targets = y[start : start + steps, :, None]
                loss += float(-np.take_along_axis(log_probs, targets, -1).sum() / B)
            advance(1)
    return loss / T / loader.split_sizes[split]


def _numbers_in_a_step(loaded: Checkpoint, B: int) -> int:
    """How many numbers a model holds for each step that it reads of B texts, roughly: gates and states, scores."""
    n = loaded.network
    return B * (8 * n.num_layers * n.rnn_size + 4 * n.vocab_size)


def _steps_at_once(T: int, numbers_in_a_step: int) -> int:
    """The most steps, a divisor of T, that take little memory together."""
    most = max(_NUMBERS // numbers_in_a_step, 1)
    return next(steps for steps in range(min(T, most), 0, -1) if T % steps == 0)


def _loader(path: str, loaded: Checkpoint, opt: EvalOptions) -> CharSplitLMMinibatchLoader:
    if not opt.data_dir and not loaded.opt.get("data_dir"):
        raise UserError(f"{path} does not say what it was trained on: give -data_dir.")
    given = {name for name, left_out in _AS_IN_TRAINING.items() if getattr(opt, name) != left_out}
    values = {
        name: getattr(opt, name) if name in given else recorded_options.require(path, loaded, name)
        for name in _AS_IN_TRAINING
    }
    asked = TrainOptions(**values)
    recorded_options.check(path, asked)
    fractions = (asked.train_frac, asked.val_frac, max(0.0, 1 - (asked.train_frac + asked.val_frac)))
    keep = recorded_options.find(loaded, "vocab") == "keep"
    loader = CharSplitLMMinibatchLoader(
        asked.data_dir,
        asked.batch_size,
        asked.seq_length,
        fractions,
        lambda line: None,
        progress=-1,
        encoding=checkpoint.encoding(loaded),
        known=loaded.vocab if keep else None,
        keep=keep,
    )
    if not loader.split_sizes[_SPLITS[opt.split]]:
        raise UserError(f"the {opt.split} split has no batch of the {loader.nbatches}: choose another -split.")
    return loader


@dataclass
class Score:
    """How a model takes one text.

    Attributes:
        characters: those that it knows, in order. bits: what each cost it, -log2 of its probability; the first one is
            taken as one of V alike, and the state goes on over what is unknown.
        unknown: byte that begins no character of the vocabulary -> how often.
    """

    characters: list[bytes]
    bits: np.ndarray
    unknown: Counter[bytes]

    @property
    def bits_per_character(self) -> float:
        """NaN for a text without a known character."""
        return float(self.bits.mean()) if len(self.bits) else math.nan


def score(loaded: Checkpoint, text: bytes, where: str = "cpu") -> Score:
    """The surprise of each character of `text`. `where`: PyTorch's name of the device."""
    characters, bits, unknown = [], [], Counter()
    steps = _steps_at_once(_STEPS, _numbers_in_a_step(loaded, 1))
    for character, cost in surprises(inference.make_predictor(loaded, where, 1, steps), steps, loaded.vocab, text):
        if cost is None:
            unknown[character] += 1
        else:
            characters.append(character)
            bits.append(cost)
    return Score(characters, np.array(bits), unknown)


def surprises(
    model: inference.Predictor, steps: int, vocab: dict[bytes, int], text: bytes
) -> Iterator[tuple[bytes, float | None]]:
    """(character, bits) along `text`, as in Score; (byte, None) where it begins no character of `vocab`.

    Args:
        model: with one stream and this many steps, its state zeros.
    """
    characters = [character for _, character in cut(text, vocab)]
    costs = _bits(model, steps, np.array([vocab[character] - 1 for character in characters if character], np.int64))
    position = 0
    for character in characters:
        yield (character, next(costs)) if character else (text[position : position + 1], None)
        position += len(character) if character else 1


def _bits(model: inference.Predictor, steps: int, indices: np.ndarray) -> Iterator[float]:
    """What each of the characters with these numbers, shape (n,), costs, read `steps` at a time."""
    yield math.log2(model.vocab_size)
    n = len(indices)
    padded = np.concatenate([indices, np.zeros(-n % steps, np.int64)])  # beyond the end, where it changes nothing
    for start in range(0, n - 1, steps):
        log_probs = model.read(padded[start : start + steps, None])[:, 0]
        following = indices[start + 1 : start + 1 + steps]
        yield from (-log_probs[np.arange(len(following)), following] / math.log(2)).tolist()


def as_lines(split: str, loss: float, stored: float | None) -> str:
    """What `pycharrnn eval` prints of one checkpoint."""
    kept = f" (val_loss in the checkpoint: {stored:.8f})" if stored is not None else ""
    return (
        f"loss over {split} split  {loss:.8f} nats per character{kept}\n"
        f"                     {loss / math.log(2):.8f} bits per character\n"
        f"perplexity           {_perplexity(loss):.8f}"
    )


def as_table(rows: list[tuple[str, float, float | None, str]]) -> str:
    """Rows of (file, loss, val_loss in the checkpoint, the text of its training) with headings."""
    cells = [("checkpoint", "nats/char", "bits/char", "perplexity", "val_loss in it", "trained on")]
    for path, loss, stored, text in rows:
        numbers = (loss, loss / math.log(2), _perplexity(loss), stored)
        cells.append((path, *("-" if x is None else f"{x:.6f}" for x in numbers), _LONG_HASH.sub(r"\1", text) or "-"))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:-1], widths[1:-1], strict=True)), row[-1]]
        )
        for row in cells
    )


def _perplexity(loss: float) -> float:
    return math.exp(min(loss, 700))


def facts(score: Score) -> str:
    """A score in words."""
    line = f"{score.bits_per_character:.6f} bits per character, {len(score.bits)} characters"
    if score.unknown:
        shown = " ".join(repr(byte)[1:] for byte, _ in score.unknown.most_common(20))
        line += f"; left out {sum(score.unknown.values())} bytes that the model has never seen: {shown}"
    return line
