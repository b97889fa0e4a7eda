"""The surprise of each character of a text in memory; a model of items reads each item by itself."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

import numpy as np

from compat import item_options
from compat.item_options import END_CHARACTERS
from pycharrnn.analysis import adapted, scoring
from pycharrnn.analysis.line_scores import in_labels
from pycharrnn.analysis.scoring import Score
from pycharrnn.text import items

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from compat.charrnn import Checkpoint
    from pycharrnn.analysis.scoring import Given
    from pycharrnn.engine.adapt_options import Adaptation
    from pycharrnn.sampling.predictor import Predictor


def score(
    loaded: Checkpoint, text: bytes, predictor_of: Callable[[int], Predictor], how: Adaptation | None = None
) -> Score:
    """The surprise of each character of `text`; by a model of items, that of each item, read by itself, and of its end.

    The characters are those of `text`. The first one after an item, such as a line break, has the bits of the item's
    end; others between items have 0 bits, and are not counted. If nothing follows the last item, its end is added.

    Args:
        predictor_of: number of steps -> a predictor of one stream, hidden state zeros.
        how: to learn from the text while reading it; None for a model that stays as it is.

    Errors: UserError for an item of more than items.MAX_ITEM bytes; with `how`, without the C kernel and PyTorch.
    """

    def score_of(read: bytes, given: Given | None = None) -> Score:
        if how:
            return adapted.score(loaded, read, how, given=given)
        return scoring.score_by(predictor_of, loaded, read, given)

    kind, labels = item_options.kind(loaded.vocab, loaded.opt), item_options.labels(loaded.vocab, loaded.opt)
    if not kind:
        return score_of(text)
    end, found = END_CHARACTERS[kind], list(items.of_text(text, kind))
    given = functools.partial(in_labels, end=end, labels=labels) if labels else None
    return _along(text, found, score_of(items.between_ends(found, end), given), end)


def _along(text: bytes, found: Sequence[bytes], score: Score, end: bytes) -> Score:
    """The score of items between ends, along the text in which they were `found`."""
    characters, places, position = list[bytes](), list[int](), 0  # places: of each character in `score`; 0 for none
    ends = [k for k, character in enumerate(score.characters) if character == end]

    def add_between(content: bytes, end_place: int) -> None:
        """Add what is between two items: ends, or line breaks and blanks, which are a byte each."""
        characters.extend(bytes([byte]) for byte in content)
        places.extend([end_place, *[0] * (len(content) - 1)][: len(content)])

    for item, (before, after) in zip(found, itertools.pairwise(ends), strict=True):
        start = text.index(item, position)  # not before: an item has no end, and its first line is not blank
        add_between(text[position:start], before)
        characters += score.characters[before + 1 : after]
        places += range(before + 1, after)
        position = start + len(item)
    add_between(text[position:] or (end if found else b""), ends[-1])
    bits, known, counted = score.bits.copy(), score.known.copy(), score.counted.copy()
    bits[0], known[0], counted[0] = 0, True, False  # of the end before the first item, which nothing predicts
    chosen = np.array(places, np.int64)
    return Score(characters, bits[chosen], known[chosen], counted[chosen], score.code_points)
