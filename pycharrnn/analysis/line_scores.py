"""The surprise of each line of a text, or of each item for a model of items, for `score -lines 1`."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from compat import item_options
from compat.item_options import ITEM_KINDS, TAB
from pycharrnn.analysis import adapted, scoring, surprise
from pycharrnn.checkpoints.checkpoint_facts import text_encoding_for
from pycharrnn.common.display import escape_separators
from pycharrnn.common.printing import PrintLine
from pycharrnn.sampling import inference, model_labels
from pycharrnn.sampling.code_points import code_points_with, unknown_code_points
from pycharrnn.sampling.kernel_predictor import KernelPredictor
from pycharrnn.sampling.unknown_characters import quote_most_common
from pycharrnn.text.item_file import items_for_model
from pycharrnn.text.items import between_ends

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from compat.charrnn import Checkpoint
    from pycharrnn.analysis.scoring import Score
    from pycharrnn.engine.adapt_options import Adaptation

_NEWLINE = b"\n"
_BLOCK = 1 << 13  # items in memory at a time


class Line(NamedTuple):
    """A line or an item with its end, if it has one.

    Attributes:
        bits: the surprise of its known characters and of the end.
        characters: how many these are, each of several bytes counted as one.
        text: without the end. unknown: the UTF-8 characters with bytes that the model has never seen.
        label: which was read before it, without bits of its own.
    """

    bits: float
    characters: int
    text: bytes
    unknown: Counter[bytes]
    label: bytes = b""

    @property
    def bits_per_character(self) -> float:
        """NaN without known characters."""
        return self.bits / self.characters if self.characters else math.nan


def of_file(
    loaded: Checkpoint,
    path: str,
    read: Callable[[str], bytes],
    device: str,
    threads: int,
    how: Adaptation | None,
    text_encoding: str,
    note: PrintLine,
) -> Iterator[Line]:
    """The lines of a text, read one after the other as `score` reads it; for a model of items, the items, each alone.

    Args:
        read: path -> the text.
        how: to learn from the lines or items while reading them; None for a model that stays as it is.
        text_encoding: of the file of items, "" to detect it.
        note: prints how that is decoded, and which files of a folder are left out.

    Errors: OSError; UserError.
    """
    kind = loaded.items
    if not kind:
        text = read(path)
        score = adapted.score(loaded, text, how, threads, path) if how else scoring.score(loaded, text, device, path)
        yield from split(score, _NEWLINE)
        return
    end = ITEM_KINDS[kind].end
    labels = loaded.labels
    read_as = text_encoding_for(loaded, text_encoding)
    items = items_for_model(path, loaded.vocab, loaded.opt, read_as, note)
    if how:  # the items are one text, in which the state is zero before each end
        text = between_ends(items, end)
        given = functools.partial(model_labels.in_labels, end=end, known=labels) if labels else None
        yield from _items_in(adapted.score(loaded, text, how, threads, path, given), end, bool(labels))
        return
    predictor = inference.on_cpu(loaded.network) if device == "cpu" else None
    while block := list(itertools.islice(items, _BLOCK)):
        text = between_ends(block, end)
        if isinstance(predictor, KernelPredictor):
            yield from _items_in(_side_by_side(loaded, predictor, text, threads), end, bool(labels))
        else:  # one after the other: the state is zero before each end
            yield from _items_in(scoring.score(loaded, text, device), end, bool(labels))


def _side_by_side(loaded: Checkpoint, predictor: KernelPredictor, text: bytes, threads: int) -> Score:
    """The same as scoring.score for items between ends, in less time."""
    encoded = scoring.encode(loaded, text)
    ends = np.flatnonzero(encoded.token_ids == loaded.network.end_id)
    spans = [slice(first, last + 1) for first, last in itertools.pairwise(ends.tolist())]
    spans.sort(key=lambda span: span.stop - span.start)  # streams that end together take few calls of the kernel
    known, bits = encoded.known, np.zeros(len(encoded.token_ids))
    readable = [encoded.token_ids[span][known[span]] for span in spans]
    streams = predictor.fresh(streams=max(1, min(len(spans), threads * predictor.rows_per_step)))
    for span, found in zip(spans, surprise.bits_of_texts(streams, readable, threads), strict=True):
        bits[span.start + 1 : span.stop][known[span][1:]] = found[1:]
    return scoring.score_of(loaded, encoded, bits[known])


def _items_in(score: Score, end: bytes, has_labels: bool) -> Iterator[Line]:
    """The items of a text that begins with an end."""
    without = dataclasses.replace(
        score, characters=score.characters[1:], bits=score.bits[1:], known=score.known[1:], counted=score.counted[1:]
    )
    return split(without, end, has_labels)


def split(score: Score, end: bytes, has_labels: bool = False) -> Iterator[Line]:
    """The lines of a text; each ends with `end`, except perhaps the last. `has_labels`: each begins with one, a tab."""
    starts = [0, *(k for k, character in enumerate(score.characters, 1) if character == end)]
    for start, stop in zip(starts, [*starts[1:], len(score.characters)], strict=True):
        if start == stop:
            continue
        label = b""
        if has_labels:
            after = score.characters.index(TAB, start, stop) + 1
            label, start = b"".join(score.characters[start : after - 1]), after
        characters, known = score.characters[start:stop], score.known[start:stop]
        text = b"".join(characters).removesuffix(end)
        unknown = unknown_code_points(characters, known)
        count = int(known.sum()) if text.isascii() else len(code_points_with(characters, known))
        yield Line(math.fsum(score.bits[start:stop].tolist()), count, text, unknown, label)


def as_row(line: Line, has_one_line: bool) -> bytes:
    """Bits, bits per character, the label, if any, and the text, with tabs between.

    Of a longer text, newlines and tabs are escaped.
    """
    text = line.text if has_one_line else escape_separators(line.text)
    label = escape_separators(line.label) + b"\t" if line.label else b""
    return f"{line.bits:.6f}\t{line.bits_per_character:.6f}\t".encode() + label + text + b"\n"


def has_one_line(loaded: Checkpoint) -> bool:
    """Whether the model's items, or the lines of a text, are without newlines."""
    return not loaded.items or item_options.is_one_line(loaded.items)


def unknown_in(unknown: Collection[Counter[bytes]]) -> str:
    """A sentence about the characters that were left out of lines, from those of each line."""
    counts = Counter[bytes]()
    for of_line in unknown:
        counts.update(of_line)
    lines = "1 line has" if len(unknown) == 1 else f"{len(unknown):,} lines have"
    return f"{lines} characters that the model has never seen, which were left out: {quote_most_common(counts)}"
