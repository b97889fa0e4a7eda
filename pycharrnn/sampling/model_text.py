"""The training text of a model, or another text, as the index of passages that -max_copy needs.

An index of a text up to passages.MAX_EXACT characters is made anew for each call. The filter of a longer text is kept
in the folder of its cache, as passages_N_HASH.bin; .cache.json records its state and the text that it was made of.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import os
from typing import TYPE_CHECKING

import numpy as np

from compat import item_options
from compat.item_options import ITEM_KINDS
from compat.vocabulary import characters_by_id
from pycharrnn.checkpoints import checkpoint_facts
from pycharrnn.common import regular_files
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.printing import PrintLine, print_nothing
from pycharrnn.engine import passages
from pycharrnn.engine.passage_index import PassageFilter, PassageRules, Passages
from pycharrnn.text import cache_record, file_kinds, item_file, source_files
from pycharrnn.text.encodings import BYTES, UTF8, InvalidUtf8, invalid_utf8_at
from pycharrnn.text.file_pieces import file_pieces
from pycharrnn.text.joined_files import JoinedFiles
from pycharrnn.text.recorded_text import recorded_text
from pycharrnn.text.text_stats import text_stats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from compat.charrnn import Checkpoint

    _Bytes = Callable[[], Iterator[bytes]]


class ModelText:
    """The text of the model at `path`, as token ids; -1 for what ends an item, and for what the vocabulary lacks.

    It does not keep the weights. `text_encoding`: of a file other than the training text, as the user gives it, or "".
    Attributes: recorded: the training text. Errors: UserError for a text encoding that the model can't use.
    """

    def __init__(self, path: str, loaded: Checkpoint, text_encoding: str = "") -> None:
        self.recorded = recorded_text(path, loaded)
        self._vocab, self._opt, self._is_from_texts = loaded.vocab, loaded.opt, checkpoint_facts.is_from_texts(loaded)
        self._read_as = checkpoint_facts.text_encoding_for(loaded, text_encoding)
        self._characters = characters_by_id(loaded.vocab)
        self._encoding = UTF8 if checkpoint_facts.encoding(loaded) == "utf8" else BYTES
        end = loaded.network.end_id
        self._end_id = -1 if end is None else end

    def index(self, N: int, text: str = "", keep: bool = True, note: PrintLine = print_nothing) -> Passages | None:
        """Index the training text, or the file or folder `text`; None if it has no passage of N+1 characters.

        Args:
            keep: whether to write the filter of a long training text beside it.
            note: prints how the files of `text` are decoded, and which files of a folder are left out.

        Errors: OSError; UserError for a text that is missing, has changed, or is not in the model's encoding.
        """
        if not all(map(self._encoding.is_character, self._characters)):
            raise UserError(
                f"{flag('max_copy')} needs a model whose characters are bytes or code points: leave it out."
            )
        if text:
            if source_files.is_pipe(text):
                raise UserError(
                    f"{flag('max_copy')} can't take {flag('text')} from a pipe: save the text as a file, and name that."
                )
            read = self._reader_of(text, note)
            return self._index(read, text, None, self._rules(N, self._utf8_bytes(read)))
        return self._index_of_recorded(N, keep)

    def key(self, N: int, text: str = "") -> tuple[object, ...]:
        """Equal for equal indexes, while the text is unchanged. `text`: a file or folder. Errors: UserError."""
        path = text or (self.recorded.path if self.recorded.folder else "")
        return N, text, self._read_as, self.recorded, self._hash(), source_files.state(path) if path else None

    def _index(self, read: _Bytes, shown: str, length: int | None, rules: PassageRules) -> Passages | None:
        """Index a text, named so in messages, of `length` characters if that is known. Errors: OSError; UserError."""
        try:
            if length is None:
                length = sum(map(len, self._pieces(read)))
            if length <= rules.N:
                return None
            return passages.index(self._pieces(read), length, rules, passages.MAX_EXACT)
        except InvalidUtf8 as e:
            raise UserError(
                f"{shown} is not UTF-8 at offset {e.offset}, and the model's characters are code points: convert"
                " it to UTF-8."
            ) from None
        except ValueError:  # the text has another length by now
            raise _changed(shown) from None

    def _index_of_recorded(self, N: int, keep: bool) -> Passages | None:
        """Index the training text, or take the filter beside it; `keep`: write it there. Errors: OSError; UserError."""
        path, folder = self.recorded.checked_path(), self.recorded.folder
        stats = text_stats(folder, -1)
        read = functools.partial(file_pieces, path)
        rules = self._rules(N, self._utf8_bytes(read, stats.invalid_at is None))
        if self._encoding is UTF8 and stats.invalid_at is not None:
            length = None  # `index` says where it is invalid
        else:
            length = stats.length(self._encoding.name)
        if length is None or length <= max(N, passages.MAX_EXACT):
            return self._index(read, path, length, rules)
        name = f"passages_{N}_{self._hash()}.bin"
        shape = passages.filter_shape(length)
        if cache_record.load(folder).made_of(folder, name) == stats.fingerprint:
            with contextlib.suppress(OSError, ValueError):
                words = np.fromfile(os.path.join(folder, name), np.uint64).reshape(shape)
                return passages.from_filter(words, rules)
        state = cache_record.file_state(path)
        found = self._index(read, path, length, rules)
        if cache_record.file_state(path) != state:
            raise _changed(path)
        if keep and isinstance(found, PassageFilter):
            with contextlib.suppress(OSError):  # a folder that can't be written: it is made anew the next time
                with regular_files.atomic_write(os.path.join(folder, name)) as f:
                    found.words.tofile(f)
                cache_record.add(folder, stats.fingerprint, name)
        return found

    def _rules(self, N: int, utf8_bytes: npt.NDArray[np.uint8] | None) -> PassageRules:
        return PassageRules(N, len(self._characters), self._end_id, utf8_bytes)

    def _utf8_bytes(self, read: _Bytes, is_utf8: bool | None = None) -> npt.NDArray[np.uint8] | None:
        """The characters of a model of the bytes of UTF-8, else None. `is_utf8`: of the text, if known."""
        values = np.frombuffer(b"".join(self._characters), np.uint8)
        if self._encoding is UTF8 or (values < 0x80).all():
            return None
        if is_utf8 is None:
            is_utf8 = invalid_utf8_at(read()) is None
        return values if is_utf8 else None

    def _reader_of(self, path: str, note: PrintLine) -> _Bytes:
        """Reads the text of -text as training would. Errors, also of the reader: OSError; UserError."""
        if self._end_id >= 0:
            note_once = itertools.chain([note], itertools.repeat(print_nothing))  # the text is read several times
            return lambda: self._items_of_file(path, next(note_once))
        if not self._is_from_texts and os.path.isfile(path) and not file_kinds.has_checkpoint_ending(path):
            return lambda: file_pieces(path)  # an input.txt: its bytes as they are, as -data_dir takes them
        with contextlib.ExitStack() as until_found:  # a path that is not a pipe needs no copy
            return JoinedFiles(source_files.find_for_model(path, note, until_found, self._read_as)).pieces

    def _items_of_file(self, path: str, note: PrintLine) -> Iterator[bytes]:
        end = ITEM_KINDS[item_options.kind(self._vocab, self._opt)].end
        for item in item_file.items_for_model(path, self._vocab, self._opt, self._read_as, note):
            yield item + end

    def _pieces(self, read: _Bytes) -> Iterator[npt.NDArray[np.int32]]:
        """The token ids of a text. Errors: as `read`; InvalidUtf8."""
        V = len(self._characters)
        for stored in self._encoding.encode(read(), self._characters):
            ids = self._encoding.from_stored(stored).astype(np.int32)
            ids[(ids >= V) | (ids == self._end_id)] = -1
            yield ids

    def _hash(self) -> str:
        """Of what else the filter of a text depends on."""
        return hashlib.sha256(repr((self._characters, self._end_id)).encode()).hexdigest()[:12]


def _changed(path: str) -> UserError:
    return UserError(f"{path} changed while it was read; start again.")
