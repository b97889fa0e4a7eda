"""How much of a sample is in the training split of a text, beside the same for the validation split.

People wrote the validation split, so its share is the measure of novelty (McCoy et al. 2023, RAVEN).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pycharrnn.engine import copies
from pycharrnn.text import labels
from pycharrnn.text.batches import TRAIN, VAL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from pycharrnn.engine.copies import Comparison
    from pycharrnn.text.batches import Batches

MAX_VALIDATION = 1 << 18  # bytes of the validation split that are compared, the first ones; enough for any share


class Novelty(NamedTuple):
    """A sample, and the beginning of the validation split, beside the training split."""

    sample: Comparison
    validation: Comparison


def novelty(sample: Sequence[bytes], loader: Batches, threads: int) -> Novelty:
    """Compare a sample of one or more pieces with the training split of a text. Errors: UserError; TextChanged."""
    return Novelty(*(compare(pieces, loader, threads) for pieces in (sample, beginning(loader.texts(VAL)))))


def compare(sample: Sequence[bytes], loader: Batches, threads: int = 1) -> Comparison:
    """Compare a sample of one or more pieces with the training split. Errors: UserError; TextChanged."""
    return copies.compare(sample, loader.texts(TRAIN), threads)


def beginning(texts: Iterable[Iterable[bytes]]) -> list[bytes]:
    """The first MAX_VALIDATION bytes of texts, a piece for each."""
    found: list[bytes] = []
    left = MAX_VALIDATION
    for text in texts:
        whole = b""
        for piece in text:
            whole += piece[: left - len(whole)]
            if len(whole) == left:
                break
        found.append(whole)
        left -= len(whole)
        if not left:
            break
    return found


def pieces_of_sample(sample: bytes, of_lines: bool, known_labels: Collection[bytes]) -> list[bytes]:
    """A sample as pieces to compare.

    Labels are left out: the network is given them. `of_lines`: the pieces are lines, for a model whose items are lines,
    since its batches have no passage of two items. `known_labels`: of the model.
    """
    alone = labels.cut(sample, known_labels)[::2]
    return [line for piece in alone for line in piece.splitlines(keepends=True)] if of_lines else alone
