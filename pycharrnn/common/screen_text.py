"""Bytes that come piece by piece, as the characters that a screen can show."""

from __future__ import annotations

import codecs


class ScreenText:
    """Decodes UTF-8 as it comes; a model of bytes takes several pieces for one character.

    Example:
        >>> text = ScreenText()
        >>> [text.push(piece) for piece in (b"a", b"\\xc3", b"\\xa9", b"\\xe2", b"b")]
        [[('a', 1)], [], [('\u00e9', 2)], [], [('\ufffd', 1), ('b', 1)]]
        >>> text.end()
        []
    """

    def __init__(self):
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._waiting = 0

    def push(self, piece: bytes) -> list[tuple[str, int]]:
        """What is complete now: (shown text, number of pieces that it took). What is no UTF-8 is shown as U+FFFD."""
        shown = self._decoder.decode(piece)
        if not shown:
            self._waiting += 1
            return []
        waiting, self._waiting = self._waiting, 0
        if self._decoder.getstate()[0]:  # what waited was no character, and now this piece waits
            self._waiting = 1
            return [(shown, waiting)]
        if waiting and len(shown) > 1:  # what waited was no character, but this piece is one
            return [(shown[:-1], waiting), (shown[-1], 1)]
        return [(shown, waiting + 1)]

    def end(self) -> list[tuple[str, int]]:
        """What was still waiting for its end."""
        waiting, self._waiting = self._waiting, 0
        shown = self._decoder.decode(b"", final=True)
        return [(shown, waiting)] if waiting else []


def visible(text: str) -> str:
    """Control characters but tab and newline as their pictures, which HTML may hold.

    Example:
        >>> visible("a\\x00\\r\\n")
        'a\u2400\u240d\\n'
    """
    return text.translate(_PICTURES)


_PICTURES = {code: 0x2400 + code for code in range(32) if code not in (9, 10)} | {127: 0x2421}
_PICTURES |= dict.fromkeys(range(128, 160), 65533)
