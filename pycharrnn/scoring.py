"""How well a model predicts a text: the surprise of each character, in bits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pycharrnn.sampling import Stepper


@dataclass(frozen=True, slots=True)
class Scored:
    """A character of a text and how much it surprised the model.

    Attributes:
        character: its bytes; of one that the vocabulary lacks, one byte.
        bits: -log2 of the probability the model gave it; None where the vocabulary lacks it. Before the model has read
            anything all characters are alike.
    """

    character: bytes
    bits: float | None


def score(stepper: Stepper, vocab: dict[bytes, int], text: bytes) -> Iterator[Scored]:
    """The characters of `text`, the longest that fits first; what the vocabulary lacks is passed over.

    Args:
        vocab: character (one byte, or several) -> number from 1.
    """
    longest = max(map(len, vocab))
    scores, position = None, 0
    while position < len(text):
        for length in range(longest, 0, -1):
            character = text[position : position + length]
            if character in vocab:
                break
        else:
            character = text[position : position + 1]
        position += len(character)
        if character not in vocab:
            yield Scored(character, None)
            continue
        index = vocab[character] - 1
        yield Scored(character, math.log2(len(vocab)) if scores is None else -float(scores[index]) / math.log(2))
        scores = stepper.step(index)
