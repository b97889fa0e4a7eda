"""The surprise of each character of a text, for `score`."""

from __future__ import annotations

import functools
import math
import os
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.analysis import likelihood, surprise
from pycharrnn.checkpoints import checkpoint_facts
from pycharrnn.common.display import plural
from pycharrnn.common.progress import bar
from pycharrnn.sampling import inference, tokenizer
from pycharrnn.sampling.code_points import code_points_with, unknown_code_points
from pycharrnn.sampling.kernel_predictor import KernelPredictor
from pycharrnn.sampling.tokenizer import TokenizedText
from pycharrnn.sampling.unknown_characters import quote_most_common

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy.typing as npt

    from compat.charrnn import Checkpoint
    from pycharrnn.sampling.predictor import Predictor

    GivenMask = Callable[[Sequence[bytes]], npt.NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)  # arrays have no truth value to compare by
class Score:
    """The surprise of a text of N characters.

    Attributes:
        characters: of the vocabulary; what it lacks is a byte, or with code points a UTF-8 character.
        bits: the surprise of each, (N,); log2 V for the first. Unknown characters, which are not read, and labels have
            0 bits.
        known: whether the vocabulary has each, bool, (N,).
        counted: whether each is in the mean, as the known ones are unless they belong to a label, bool, (N,).
        code_points: whether the model's characters are code points, not bytes.
    """

    characters: list[bytes]
    bits: npt.NDArray[np.float64]
    known: npt.NDArray[np.bool_]
    counted: npt.NDArray[np.bool_]
    code_points: bool = False

    @functools.cached_property
    def counted_code_points(self) -> int:
        """The number of code points to which the counted characters belong: fewer than these, if these are bytes."""
        return len(code_points_with(self.characters, self.counted))

    @property
    def bits_per_character(self) -> float:
        """The surprise of the counted characters in bits, divided by counted_code_points; NaN without any.

        So a model of bytes can be compared with one of code points.
        """
        return float(self.bits[self.counted].sum() / self.counted_code_points) if self.counted.any() else math.nan

    @property
    def bits_per_token(self) -> float:
        """The mean surprise of the counted characters, in bits: per byte for a model of bytes; NaN without any."""
        return float(self.bits[self.counted].mean()) if self.counted.any() else math.nan

    @property
    def unknown(self) -> Counter[bytes]:
        """Unknown character -> count."""
        return Counter(self.characters[k] for k in np.flatnonzero(~self.known))

    def __repr__(self) -> str:
        facts = f"characters {self.counted_code_points}, unknown {self.unknown.total()}"
        return f"<Score bits per character {self.bits_per_character:.4f}, {facts}>"


def score(loaded: Checkpoint, text: bytes, device: str = "cpu", name: str = "") -> Score:
    """The surprise of each character of `text`, computed on a device of PyTorch's name. `name`: see score_by."""
    return score_by(lambda steps: inference.make_predictor(loaded, device, 1, steps), loaded, text, name=name)


def scores(
    loaded: Checkpoint, texts: Iterable[bytes], names: Sequence[str], device: str = "cpu", threads: int = 1
) -> Iterator[Score]:
    """The scores of the texts of these names, in their order. The C kernel reads many of them side by side.

    An exception of `texts` is raised after the scores of the texts before it.
    """
    predictor = inference.on_cpu(loaded.network) if device == "cpu" and len(names) > 1 else None
    if not isinstance(predictor, KernelPredictor):
        for name, text in zip(names, texts, strict=True):
            yield score(loaded, text, device, name)
        return
    streams = max(1, min(len(names), threads * predictor.rows_per_step))
    waiting = deque[TokenizedText]()

    def known_ids() -> Iterator[npt.NDArray[np.int64]]:
        for text in texts:
            waiting.append(encode(loaded, text))
            yield waiting[-1].token_ids[waiting[-1].known]

    for bits in surprise.bits_of_texts(predictor.fresh(streams=streams), known_ids(), threads):
        yield score_of(loaded, waiting.popleft(), bits)


def score_by(
    predictor_of: Callable[[int], Predictor],
    loaded: Checkpoint,
    text: bytes,
    given_mask: GivenMask | None = None,
    name: str = "",
) -> Score:
    """As `score`.

    Args:
        predictor_of: number of steps -> a predictor of one stream, hidden state zeros.
        given_mask: the N characters -> which of them the model only reads, (N,); these have 0 bits. None: none.
        name: of the text, for a progress bar; "" for none.
    """
    steps = likelihood.steps_at_once(loaded.network)
    encoded = encode(loaded, text)
    ids = encoded.token_ids[encoded.known]
    with bar(os.path.basename(name), len(ids), -1 if name else 0) as advance:
        bits = surprise.bits(predictor_of(steps), steps, ids, advance)
    return score_of(loaded, encoded, bits, given_mask(encoded.characters) if given_mask else None)


def encode(loaded: Checkpoint, text: bytes) -> TokenizedText:
    """The characters of a text and their token ids."""
    return tokenizer.encode(text, loaded.vocab, checkpoint_facts.encoding(loaded) == "utf8")


def score_of(
    loaded: Checkpoint,
    text: TokenizedText,
    bits_of_known: npt.NDArray[np.float64],
    given: npt.NDArray[np.bool_] | None = None,
) -> Score:
    """The score of bits that are known.

    Args:
        bits_of_known: the surprise of each character that the vocabulary has.
        given: which of the N characters the model only reads, (N,).
    """
    bits, counted = np.zeros(len(text.token_ids)), text.known
    bits[text.known] = bits_of_known
    if given is not None:
        bits[given], counted = 0, counted & ~given
    return Score(text.characters, bits, text.known, counted, checkpoint_facts.encoding(loaded) == "utf8")


def as_sentence(score: Score) -> str:
    """The output of `score` for one text."""
    counted, code_points, unknown = int(score.counted.sum()), score.counted_code_points, score.unknown
    line = (
        f"{score.bits_per_character:.6f} bits per character, {code_points} {plural(code_points, 'character')}"
        if counted
        else "no score"
    )
    if code_points < counted:
        line += f" ({score.bits_per_token:.6f} bits per byte, {counted} {plural(counted, 'byte')})"
    if unknown:
        kind = plural(unknown.total(), "character" if score.code_points else "byte")
        counts = unknown_code_points(score.characters, score.known)
        line += f"; left out {unknown.total()} {kind} that the model has never seen: {quote_most_common(counts)}"
    return line
