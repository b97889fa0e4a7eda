"""The text of -stop, at which sampling ends."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.common.errors import UserError, flag
from pycharrnn.sampling.tokenizer import tokenize
from pycharrnn.sampling.unknown_characters import describe_unknown

if TYPE_CHECKING:
    import numpy.typing as npt

    from pycharrnn.sampling.options import SampleOptions


class StopText:
    """Finds the text of -stop in sampled characters. "": no text."""

    def __init__(self, text: bytes | str) -> None:
        self._text = os.fsencode(text)
        self._last_bytes = b""

    @property
    def is_complete(self) -> bool:
        """Whether the text ends where the last sampled bytes end."""
        return bool(self._text) and self._last_bytes == self._text

    def completed_by(self, sampled: bytes) -> bool:
        """Whether the text ends where `sampled`, the next bytes, ends."""
        if not self._text:
            return False
        self._last_bytes = (self._last_bytes + sampled)[-len(self._text) :]
        return self.is_complete

    def can_occur(self, characters: list[bytes]) -> bool:
        """Whether a sequence of these characters can end with the text."""
        text, ends = self._text, {0}  # positions at which a character may end
        for k in range(len(text)):
            if any(c.endswith(text[: k + 1]) for c in characters):
                ends.add(k + 1)
            if k in ends:
                ends |= {k + len(c) for c in characters if text.startswith(c, k)}
        return len(text) in ends

    def may_be_completed_by(self, characters: list[bytes]) -> npt.NDArray[np.bool_] | None:
        """Which characters may complete the text: the text ends with them or they end with it, bool; None without."""
        if not self._text:
            return None
        return np.array([c.endswith(self._text) or self._text.endswith(c) for c in characters])


def require_possible_stop(opt: SampleOptions, vocab: dict[bytes, int]) -> None:
    """Errors: UserError for a -stop that the characters of the vocabulary can't form."""
    stop = os.fsencode(opt.stop)
    if not StopText(stop).can_occur(list(vocab)):
        position = next(position for position, character in tokenize(stop, vocab) if character is None)
        unknown = describe_unknown(stop, position, vocab)
        raise UserError(f"{flag('stop')} never occurs: it has {unknown}; choose another {flag('stop')}.")
