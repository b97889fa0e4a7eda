"""How well a model predicts: the loss of a split as in training, and the surprise of each character of a text."""

from __future__ import annotations

import math
import os
import re
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from compat import legacy_logsoftmax
from compat.vocabulary import characters_by_id
from pycharrnn.analysis import likelihood, surprise
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common import losses
from pycharrnn.common.display import quote_character, quote_characters
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.progress import bar
from pycharrnn.sampling import inference
from pycharrnn.sampling.kernel_predictor import KernelPredictor
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.text.loader import TEST, TRAIN, VAL, CharSplitLMMinibatchLoader
from pycharrnn.training import recorded_options
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.settings import DataSettings, group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt

    from compat.charrnn import Checkpoint
    from pycharrnn.analysis.options import EvalOptions
    from pycharrnn.sampling.predictor import Predictor

_SPLITS = {"train": TRAIN, "val": VAL, "test": TEST}
_LONG_HASH = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{56}\b")  # 8 digits are enough to tell texts apart
_MAX_EXPONENT = 700  # exp() of little more is more than a float holds
# How EvalOptions says "as in training".
_AS_IN_TRAINING = {"data_dir": "", "batch_size": 0, "seq_length": 0, "train_frac": -1, "val_frac": -1}


def split_loss(path: str, loaded: Checkpoint, opt: EvalOptions, device: str = "cpu") -> float:
    """Loss of a split in nats per character, as training prints it.

    The hidden state is zeros before the first batch, and is carried from batch to batch. What `opt` leaves out is as in
    the checkpoint's training.

    Args:
        path: the checkpoint's file, for messages.
        loaded: what checkpoint.load made of it.
        device: PyTorch's name of it.

    Errors: UserError for a text that can't be used: it is not there, has characters that the vocabulary lacks, or is
        too short for the split; and for sizes that memory does not hold.
    """
    loader = _loader(path, loaded, opt)
    unknown = [c for c in characters_by_id(loader.vocab_mapping) if c not in loaded.vocab]
    if unknown:
        raise UserError(
            f"the text of {flag('data_dir')} has {len(unknown)} characters that {path} has never seen"
            f" ({quote_characters(unknown)}): pycharrnn score leaves such characters out."
        )
    T, B = loader.seq_length, loader.batch_size
    numbers = np.array([loaded.vocab[c] - 1 for c in characters_by_id(loader.vocab_mapping)])
    in_a_step = likelihood.numbers_in_a_step(loaded.network, B)
    if in_a_step > 2 * likelihood.MAX_NUMBERS:
        raise UserError(
            f"{B} texts side by side would take {path} {8 * in_a_step / 1e9:.1f} GB of memory: give a smaller"
            f" {flag('batch_size')}."
        )
    steps = likelihood.steps_at_once(T, in_a_step)
    predictor: Predictor
    if opt.old_exp:
        predictor = NumpyPredictor(loaded.network, B, steps, legacy_logsoftmax.log_softmax)
    else:
        predictor = inference.make_predictor(loaded, device, B, steps)
    split = _SPLITS[opt.split]
    loss = 0.0
    with bar(os.path.basename(path), loader.split_sizes[split]) as advance:
        for _ in range(loader.split_sizes[split]):
            x, y = (numbers[part.T] for part in loader.next_batch(split))
            for start in range(0, T, steps):
                block = slice(start, start + steps)
                loss += float(-likelihood.log_likelihoods(predictor, x[block], y[block], opt.threads or 1).sum() / B)
            advance(1)
    return loss / T / loader.split_sizes[split]


def _loader(path: str, loaded: Checkpoint, opt: EvalOptions) -> CharSplitLMMinibatchLoader:
    """The batches of a text as the checkpoint's training divided it, but for what `opt` says. Errors: UserError."""
    if not opt.data_dir and not loaded.opt.get("data_dir"):
        raise UserError(f"{path} does not say what it was trained on: give {flag('data_dir')}.")
    given = {name for name, left_out in _AS_IN_TRAINING.items() if getattr(opt, name) != left_out}
    values = {
        name: getattr(opt, name) if name in given else recorded_options.require(path, loaded, name)
        for name in _AS_IN_TRAINING
    }
    data = group(DataSettings, recorded_options.replace(path, TrainOptions(), **values))
    keep = recorded_options.find(loaded, "vocab") == "keep"
    loader = CharSplitLMMinibatchLoader(
        data.data_dir,
        data.batch_size,
        data.seq_length,
        data.split_fractions,
        say=lambda line: None,
        progress=-1,
        encoding=checkpoint.encoding(loaded),
        model_characters=loaded.vocab if keep else None,
        leave_out_others=keep,
    )
    if not loader.split_sizes[_SPLITS[opt.split]]:
        raise UserError(f"the {opt.split} split has no batch of the {loader.nbatches}: choose another -split.")
    return loader


@dataclass(frozen=True)
class Score:
    """How much one text surprises a model.

    Attributes:
        characters: the text, N of them. What the vocabulary lacks is a byte, or with code points a UTF-8 character.
        bits: the surprise of each, (N,). The first character counts as one of V equally likely ones. The hidden state
            carries on over what the vocabulary lacks as if it were not there.
        known: whether the vocabulary has it, bool, (N,). The bits of others are 0.
        code_points: whether the model's characters are code points, not bytes.
    """

    characters: list[bytes]
    bits: npt.NDArray[np.float64]
    known: npt.NDArray[np.bool_]
    code_points: bool = False

    @property
    def bits_per_character(self) -> float:
        """The mean surprise; NaN for a text without a character of the vocabulary."""
        return float(self.bits[self.known].mean()) if self.known.any() else math.nan

    @property
    def unknown(self) -> Counter[bytes]:
        """What the vocabulary lacks -> how often it came."""
        return Counter(self.characters[k] for k in np.flatnonzero(~self.known))


def score(loaded: Checkpoint, text: bytes, device: str = "cpu") -> Score:
    """The surprise of each character of `text`.

    Args:
        device: PyTorch's name of it.
    """
    return next(scores(loaded, [text], 1, device))


def scores(
    loaded: Checkpoint, texts: Iterable[bytes], count: int, device: str = "cpu", threads: int = 1
) -> Iterator[Score]:
    """The surprise of each character of texts, in their order; the kernel reads many of them side by side.

    What `texts` raises comes after the scores of those before.

    Args:
        count: how many texts there are.
        device: PyTorch's name of it.
        threads: how many of the kernel share the texts.
    """
    predictor = inference.on_cpu(loaded.network) if device == "cpu" else None
    if not isinstance(predictor, KernelPredictor):
        for text in texts:
            yield score_by(lambda steps: inference.make_predictor(loaded, device, 1, steps), loaded, text)
        return
    streams = max(1, min(count, threads * predictor.rows_per_step))
    waiting = deque[surprise.TokenizedText]()

    def numbers() -> Iterator[npt.NDArray[np.int64]]:
        for text in texts:
            waiting.append(_numbered(loaded, text))
            yield waiting[-1].numbers[waiting[-1].known]

    for bits in surprise.bits_of_texts(predictor.fresh(1, streams), streams, numbers(), threads):
        yield _score(loaded, waiting.popleft(), bits)


def score_by(predictor_of: Callable[[int], Predictor], loaded: Checkpoint, text: bytes) -> Score:
    """As `score`, with a predictor that somebody else makes.

    Args:
        predictor_of: gives, for a number of steps, a predictor of one stream with a hidden state of zeros.
        loaded: the checkpoint of its model.
    """
    steps = likelihood.steps_at_once(surprise.STEPS, likelihood.numbers_in_a_step(loaded.network, 1))
    whole = _numbered(loaded, text)
    return _score(loaded, whole, surprise.bits(predictor_of(steps), steps, whole.numbers[whole.known]))


def _numbered(loaded: Checkpoint, text: bytes) -> surprise.TokenizedText:
    """A text as characters of a model."""
    return surprise.numbered(text, loaded.vocab, checkpoint.encoding(loaded) == "utf8")


def _score(loaded: Checkpoint, text: surprise.TokenizedText, bits_of_known: npt.NDArray[np.float64]) -> Score:
    """What a text's known characters cost, with those that are unknown between them."""
    bits = np.zeros(len(text.numbers))
    bits[text.known] = bits_of_known
    return Score(text.characters, bits, text.known, checkpoint.encoding(loaded) == "utf8")


def as_lines(split: str, loss: float, stored: float | None) -> str:
    """What `pycharrnn eval` prints of one checkpoint.

    Args:
        loss: in nats per character.
        stored: the checkpoint's own validation loss; None where it has none.
    """
    in_checkpoint = f" (val_loss in the checkpoint: {stored:.8f})" if stored is not None else ""
    return (
        f"loss over {split} split  {loss:.8f} nats per character{in_checkpoint}\n"
        f"                     {loss / math.log(2):.8f} bits per character\n"
        f"perplexity           {_perplexity(loss):.8f}"
    )


def as_table(rows: list[tuple[str, float, float | None, str]]) -> str:
    """Rows of (file, loss, val_loss in the checkpoint, the text of its training) as columns with headings.

    Sorted by loss; NaN last.
    """
    cells: list[tuple[str, ...]] = [
        ("checkpoint", "nats/char", "bits/char", "perplexity", "val_loss in it", "trained on")
    ]
    for path, loss, stored, text in sorted(rows, key=lambda row: losses.sort_key(row[1])):
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
    """exp(loss), with a limit for a model whose training failed."""
    return math.exp(min(loss, _MAX_EXPONENT))


def as_sentence(score: Score) -> str:
    """What `pycharrnn score` prints of one text."""
    known, unknown = int(score.known.sum()), score.unknown
    line = f"{score.bits_per_character:.6f} bits per character, {known} characters" if known else "no score"
    if unknown:
        kind = ("character" if score.code_points else "byte") + ("s" if unknown.total() > 1 else "")
        most_common = " ".join(quote_character(character) for character, _ in unknown.most_common(20))
        line += f"; left out {unknown.total()} {kind} that the model has never seen: {most_common}"
    return line
