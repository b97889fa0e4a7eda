"""Writes the characters of a sample to a terminal or a file: flushed in time, as complete UTF-8, in colors."""

from __future__ import annotations

import codecs
import math
import time
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pycharrnn.sampling.options import SampleOptions

FLUSH_SECONDS = 0.02  # often enough to watch; flushing each character would cost as much as sampling it
_PLAIN = "0"
# (least bits of surprise, color code): colors that color-blind people can tell apart; the last is bold.
_COLORS = ((7, "1;31"), (5, "35"), (3, "34"), (1, "36"), (0, _PLAIN))


class SampleWriter:
    """Writes the characters of one sample to a binary file.

    `live`: flush as they come. `whole_end`: leave out an incomplete UTF-8 character at the end.
    """

    def __init__(self, out: BinaryIO, opt: SampleOptions, live: bool = False, whole_end: bool = False) -> None:
        self._out, self._live = out, live
        self._whole_end, self._held = whole_end, b""  # the first bytes of a character
        self._hide_prime, self._color = opt.hide_prime, opt.color
        self._decoder: codecs.BufferedIncrementalDecoder | None = None
        if opt.unicode or opt.color:
            self._decoder = codecs.getincrementaldecoder("utf-8")("ignore" if opt.unicode else "surrogateescape")
        self._probability = 1.0  # of the bytes since the last complete character
        self._color_code = _PLAIN
        self._flushed = time.monotonic()

    def put(self, character: bytes, probability: float, given: bool) -> None:
        """Write the next character. `given`: whether it stands in the primetext."""
        if given and self._hide_prime:
            return
        if self._decoder:
            self._probability *= probability
            self._put_text(self._decoder, self._decoder.decode(character))
        else:
            self._write(character)
        if self._live and time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._out.flush()
            self._flushed = time.monotonic()

    def put_all(self, characters: list[bytes], probabilities: npt.NDArray[np.float64], given: bool) -> None:
        """Write the next characters; see `put`."""
        if self._decoder or self._live:
            for character, probability in zip(characters, probabilities.tolist(), strict=True):
                self.put(character, probability, given)
        elif not (given and self._hide_prime):
            self._write(b"".join(characters))

    def _write(self, content: bytes) -> None:
        if self._whole_end:
            content = self._held + content
            complete = len(content) - _incomplete_at_end(content)
            content, self._held = content[:complete], content[complete:]
        self._out.write(content)

    def _put_text(self, decoder: codecs.BufferedIncrementalDecoder, text: str) -> None:
        """Write the decoder's output, which is empty in the middle of a character."""
        if text and self._color:
            bits = -math.log2(self._probability) if self._probability > 0 else math.inf
            color_code = next(code for from_bits, code in _COLORS if bits >= from_bits)
            if color_code != self._color_code:
                self._out.write(f"\x1b[0;{color_code}m".encode() if color_code != _PLAIN else b"\x1b[0m")
                self._color_code = color_code
        self._out.write(text.encode("utf-8", "surrogateescape"))
        if not decoder.getstate()[0]:
            self._probability = 1.0

    def end(self) -> None:
        """Write the rest of an incomplete character, unless `whole_end`, and the newline after the sample."""
        if self._decoder and not self._whole_end:
            self._put_text(self._decoder, self._decoder.decode(b"", final=True))
        self._out.write(b"\x1b[0m\n" if self._color_code != _PLAIN else b"\n")
        if self._live:
            self._out.flush()


def _incomplete_at_end(content: bytes) -> int:
    """How many bytes at the end are the beginning of a UTF-8 character.

    Example:
        >>> _incomplete_at_end(b"a\\xe2\\x80"), _incomplete_at_end(b"a\\xe2\\x80\\x99"), _incomplete_at_end(b"\\x80")
        (2, 0, 0)
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(content[-3:])
    return len(decoder.getstate()[0])
