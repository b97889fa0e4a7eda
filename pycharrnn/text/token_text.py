"""TokenText: the token ids of input.txt on the disk, with the ids of a model's vocabulary."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from compat import T7Error
from compat.vocabulary import characters_by_id, vocabulary_of
from pycharrnn.common.display import quote_characters
from pycharrnn.common.errors import UserError
from pycharrnn.common.printing import PrintLine
from pycharrnn.text import encodings, preprocessing

if TYPE_CHECKING:
    import numpy.typing as npt

    from pycharrnn.text.encodings import TokenIds
    from pycharrnn.text.text_stats import TextStats

_BLOCK = 1 << 20  # characters in memory at a time


class TextChanged(UserError):
    """Another program changed the cache of the text while it was in use."""


class TokenText:
    """The text of a folder as token ids, read from its cache.

    Args:
        data_dir, say, progress, encoding: as for CharSplitLMMinibatchLoader.
        model_characters: characters that the vocabulary has besides those of the text.
        leave_out_others: leave all characters but `model_characters` out of the text.
        stats: text_stats(data_dir), if the caller has it.

    Attributes:
        vocab: character -> token id from 1, in the order of their bytes. path: of the file with the ids.
        dtype: of the ids: uint8, or int32 if the vocabulary may be too large for it.
        left_out: characters of input.txt that are left out.

    Errors: UserError.
    """

    def __init__(
        self,
        data_dir: str,
        *,
        say: PrintLine,
        progress: int,
        encoding: str,
        model_characters: Collection[bytes] | None = None,
        leave_out_others: bool = False,
        stats: TextStats | None = None,
    ):
        vocab, text = preprocessing.cached(data_dir, say, progress, encodings.ENCODINGS[encoding], stats)
        self.vocab, self._cached_vocab = vocab, vocab
        self.left_out: list[bytes] = []
        if model_characters is not None:
            new = sorted(set(vocab) - set(model_characters))
            if new and leave_out_others:
                length, self.left_out = len(text), new
                with closing(text) as whole:
                    text = preprocessing.without_characters(data_dir, whole, vocab, new, progress)
                say(f"characters left out of the text ({length - len(text)} of {length}): {quote_characters(new)}")
            elif new:
                say(f"characters added to the vocabulary ({len(new)}): {quote_characters(new)}")
            characters = sorted(model_characters if leave_out_others else {*model_characters, *new})
            self.vocab = vocabulary_of(characters)
        self._remap = None if self.vocab == vocab else _id_map(vocab, self.vocab)
        self._text, self.path = text, text.path
        self.dtype = text.dtype if self._remap is None else self._remap.dtype

    def __len__(self) -> int:
        return len(self._text)

    def read(self, first: int, last: int) -> TokenIds:
        """The ids, from 0, of characters `first` to `last` - 1. Errors: TextChanged."""
        found = self._stored_ids(first, last)
        return found if self._remap is None else self._remap[found]

    def pieces(self) -> Iterator[bytes]:
        """The text as bytes, in pieces. Errors: TextChanged."""
        return self.pieces_of(0, len(self))

    def pieces_of(self, first: int, last: int) -> Iterator[bytes]:
        """Characters `first` to `last` - 1 as bytes, in pieces. Errors: TextChanged."""
        characters = characters_by_id(self._cached_vocab)
        encoding = encodings.encoding_of_dtype(self._text.dtype)
        for start in range(first, last, _BLOCK):
            yield encoding.decode(self._stored_ids(start, min(start + _BLOCK, last)), characters)

    def close(self) -> None:
        """Close the cache, which Windows can't replace or remove before."""
        self._text.close()

    def _stored_ids(self, first: int, last: int) -> TokenIds:
        """Ids of the cached vocabulary, from 0."""
        try:
            return encodings.token_ids(self._text.read(first, last), len(self._cached_vocab))
        except OSError as e:
            fault = e if isinstance(e, T7Error) else e.strerror or e
            raise TextChanged(
                f"{self.path} can't be read any more ({fault}): remove it, and it is made anew from input.txt."
            ) from e


def _id_map(vocab: dict[bytes, int], to: dict[bytes, int]) -> npt.NDArray[np.uint8] | npt.NDArray[np.int32]:
    """Token id in one vocabulary -> id in another; 0 for characters that the other lacks."""
    ids = np.array([to.get(c, 1) - 1 for c in characters_by_id(vocab)])
    return ids.astype(np.uint8) if len(to) <= 256 else ids.astype(np.int32)
