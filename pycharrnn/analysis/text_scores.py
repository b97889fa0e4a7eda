"""The surprise of each character of a text in memory; a model of items reads each item by itself.

For a model of items, the characters of a score are those of the text. The first one after an item, such as a line
break, has the bits of the item's end; others between items, as those of a label without an item, have 0 bits, and are
not counted. If nothing follows the last item, its end is added. A label is read before its item and has 0 bits.
"""

from __future__ import annotations

import functools
import itertools
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from compat.item_options import ITEM_KINDS
from pycharrnn.analysis import adapted, scoring
from pycharrnn.analysis.scoring import Score
from pycharrnn.sampling import model_labels
from pycharrnn.text import items

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from compat.charrnn import Checkpoint
    from pycharrnn.analysis.scoring import GivenMask
    from pycharrnn.engine.adapt_options import Adaptation
    from pycharrnn.sampling.predictor import Predictor

GIVE_LABELS = "give each item after a label and a tab"  # advice on items without labels


def scores(
    loaded: Checkpoint, texts: Iterable[bytes], names: Sequence[str], device: str = "cpu", threads: int = 1
) -> Iterator[Score]:
    """As scoring.scores, for a model without labels. Errors: also UserError for an item that is too long."""
    waiting = deque[ItemizedText]()

    def read() -> Iterator[bytes]:
        for text in texts:
            waiting.append(ItemizedText(loaded, text))
            yield waiting[-1].content

    for score in scoring.scores(loaded, read(), names, device, threads):
        yield waiting.popleft().along_text(score)


def score_by(predictor_of: Callable[[int], Predictor], loaded: Checkpoint, text: bytes) -> Score:
    """As scoring.score_by. Errors: UserError for an item that is too long, or that lacks its label."""
    itemized = ItemizedText(loaded, text)
    return itemized.along_text(scoring.score_by(predictor_of, loaded, itemized.content, itemized.given_mask))


def adapted_score(loaded: Checkpoint, text: bytes, how: Adaptation, threads: int = 1, name: str = "") -> Score:
    """As adapted.score. Errors: also UserError for an item that is too long, or that lacks its label."""
    itemized = ItemizedText(loaded, text)
    return itemized.along_text(adapted.score(loaded, itemized.content, how, threads, name, itemized.given_mask))


class ItemizedText:
    """A text as a model reads it: a model of items reads items, with their ends between them.

    Attributes:
        content: the items between ends; the text itself for a model of a text.
        given_mask: for scoring.score_by: the labels are given. None for a model without labels.

    Errors: UserError for an item that is too long, or that lacks its label.
    """

    def __init__(self, loaded: Checkpoint, text: bytes) -> None:
        kind, labels = loaded.items, loaded.labels
        self._loaded, self._text, self._end, self.content = loaded, text, ITEM_KINDS[kind].end if kind else None, text
        self.given_mask: GivenMask | None = None
        if self._end is not None:
            self._items = list(items.of_text(text, kind, labels))
            self.content = items.between_ends(self._items, self._end)
            model_labels.require_before(self._items, labels, "this", GIVE_LABELS)
            if labels:
                self.given_mask = functools.partial(model_labels.in_labels, end=self._end, known=labels)

    def along_text(self, score: Score) -> Score:
        """The score of `content`, along the characters of the text."""
        return score if self._end is None else _along(self._loaded, self._text, self._items, score, self._end)


def _along(loaded: Checkpoint, text: bytes, found: Sequence[bytes], score: Score, end: bytes) -> Score:
    """The score of items between ends, along the text in which they were `found`."""
    characters, places, position = list[bytes](), list[int](), 0  # places: of each character in `score`; 0 for none
    ends = [k for k, character in enumerate(score.characters) if character == end]

    def add_between(content: bytes, end_place: int) -> None:
        """Add what is between two items: ends, line breaks, blanks, and labels without an item."""
        between = scoring.encode(loaded, content).characters
        characters.extend(between)
        places.extend([end_place, *[0] * (len(between) - 1)][: len(between)])

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
