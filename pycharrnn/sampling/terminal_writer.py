"""How characters reach a terminal or a file: at once, by whole UTF-8 characters, in colours."""

from __future__ import annotations

import codecs
import math
import time
from typing import BinaryIO

from pycharrnn.sampling.options import SampleOptions

_FLUSH_SECONDS = 0.02  # often enough to watch; a write a character would cost as much as drawing it
# (least bits of surprise, the code of a terminal): colours that differ for the colour-blind too, the deepest bold.
_COLORS = ((7, "1;31"), (5, "35"), (3, "34"), (1, "36"), (0, "0"))


class Writer:
    """Writes the characters of one sample to a binary file.

    Args:
        live: someone may be watching: let no character wait long.
    """

    def __init__(self, out: BinaryIO, opt: SampleOptions, live: bool = False):
        self._out, self._live = out, live
        self._hide_prime, self._color = opt.hide_prime, opt.color
        self._decoder = None
        if opt.unicode or opt.color:
            self._decoder = codecs.getincrementaldecoder("utf-8")("ignore" if opt.unicode else "surrogateescape")
        self._probability = 1.0  # of the bytes that wait in the decoder
        self._code = "0"
        self._flushed = time.monotonic()

    def put(self, character: bytes, probability: float, given: bool) -> None:
        """A character and its probability; `given`: it stands in the primetext."""
        if given and self._hide_prime:
            return
        if self._decoder:
            self._probability *= probability
            self._put_text(self._decoder.decode(character))
        else:
            self._out.write(character)
        if self._live and time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._out.flush()
            self._flushed = time.monotonic()

    def _put_text(self, text: str) -> None:
        if text and self._color:
            bits = -math.log2(self._probability) if self._probability > 0 else math.inf
            code = next(code for least, code in _COLORS if bits >= least)
            if code != self._code:
                self._out.write(f"\x1b[0;{code}m".encode() if code != "0" else b"\x1b[0m")
                self._code = code
        self._out.write(text.encode("utf-8", "surrogateescape"))
        if not self._decoder.getstate()[0]:
            self._probability = 1.0

    def end(self) -> None:
        """The newline after the sample."""
        if self._decoder:
            self._put_text(self._decoder.decode(b"", final=True))
        self._out.write(b"\x1b[0m\n" if self._code != "0" else b"\n")
        if self._live:
            self._out.flush()
