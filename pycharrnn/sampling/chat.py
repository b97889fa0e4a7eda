"""A conversation with a model: its hidden state carries over from line to line."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from pycharrnn.sampling import sampler, tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pycharrnn.sampling.options import ChatOptions
    from pycharrnn.sampling.predictor import Predictor


class Chat:
    """Answers lines; the model remembers all lines and answers before.

    Args:
        predictor: with one stream, one step at a time, its hidden state zeros.
        vocab: character (one byte, or several) -> number from 1.
    """

    def __init__(self, predictor: Predictor, vocab: dict[bytes, int], opt: ChatOptions) -> None:
        self._predictor, self._vocab, self._opt = predictor, vocab, opt.sampling()
        self._unread = b""  # the last character of an answer, which the model has drawn but not read

    def without_unknown(self, line: bytes) -> tuple[bytes, int]:
        """`line` without the bytes that the model has never seen, and how many those are."""
        return tokenizer.without_unknown(line, self._vocab)

    def answer(self, line: bytes) -> Iterator[sampler.SampledCharacter]:
        """What the model draws after reading `line`, up to and with the text of -stop, or -length characters.

        Errors: UserError for a character of `line` that the vocabulary lacks, or a model that predicts NaN.
        """
        for drawn in sampler.sample(self._predictor, self._vocab, self._opt, self._unread + line):
            if not drawn.given:
                self._unread = drawn.character
                yield drawn
        self._opt = dataclasses.replace(self._opt, seed=self._opt.seed + 1)
