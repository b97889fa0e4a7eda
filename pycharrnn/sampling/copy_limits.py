"""-max_copy: the passages of a text that samples must not copy."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.common.errors import flag
from pycharrnn.common.lru import LRU
from pycharrnn.common.printing import PrintLine, print_nothing
from pycharrnn.engine.passage_index import CopyLimit, Passages
from pycharrnn.sampling.model_text import ModelText

if TYPE_CHECKING:
    from collections.abc import Collection

    from compat.charrnn import Checkpoint

_Key = tuple[object, ...]  # of ModelText.key


@dataclass(frozen=True)
class CopyLimits:
    """Limits copying: a sample repeats at most passages.rules.N consecutive characters of the text.

    Attributes:
        before: token ids that a stream has read before its primetext.
    """

    passages: Passages
    before: tuple[int, ...] = ()

    def limit(self, token_ids: list[int]) -> CopyLimit:
        """The limit of a stream that has read these characters of its primetext."""
        found = self.passages.limit()
        found.append(np.array([*self.before, *token_ids], np.int64))
        return found


def why_they_ended(seeds: Collection[int], max_copy: int) -> str:
    """A sentence about the samples of these seeds, which ended early."""
    which = f"the sample of {flag('seed', min(seeds))} ends"
    if len(seeds) > 1:
        which = f"{len(seeds)} samples, the first that of {flag('seed', min(seeds))}, end"
    return (
        f"{which} early: every character that could follow would copy more than {max_copy} characters of the text;"
        f" raise {flag('max_copy')}."
    )


def for_options(
    path: str,
    loaded: Checkpoint,
    max_copy: int,
    text: str = "",
    text_encoding: str = "",
    note: PrintLine = print_nothing,
) -> CopyLimits | None:
    """The limits of a model's samples; None without a limit, or if the text has no passage of so many characters.

    Args:
        path: of the checkpoint, for messages.
        max_copy: the value of -max_copy, 0 for no limit.
        text: the value of -text; "" for the training text, as the checkpoint records it.
        text_encoding: as for ModelText. note: as for ModelText.index.

    Errors: as ModelText and its index.
    """
    found = ModelText(path, loaded, text_encoding).index(max_copy, text, note=note) if max_copy else None
    return None if found is None else CopyLimits(found)


class KeptPassages:
    """The indexes that were used last, up to `max_bytes` in memory; at least the last one. For any thread.

    `writes`: whether the filter of a long text is written beside it.
    """

    def __init__(self, max_bytes: int, writes: bool = True) -> None:
        self._max_bytes, self._writes = max_bytes, writes
        self._kept: LRU[_Key, Passages | None] = LRU(max_bytes, lambda passages: passages.nbytes if passages else 0)
        self._lock, self._making = threading.Lock(), threading.Lock()  # of _kept; held while a text is indexed

    def __reduce__(self) -> tuple[type[KeptPassages], tuple[int, bool]]:
        return KeptPassages, (self._max_bytes, self._writes)  # a copy of a model indexes its text again

    def __contains__(self, key: object) -> bool:
        """Whether the index of a ModelText.key is kept."""
        return key in self._kept

    def limits(self, text: ModelText, max_copy: int, file: str = "") -> CopyLimits | None:
        """As `for_options`. A text that has changed is indexed again. Indexes are made one at a time."""
        if not max_copy:
            return None
        passages = self._index(text, max_copy, file)
        return None if passages is None else CopyLimits(passages)

    def _index(self, text: ModelText, max_copy: int, file: str) -> Passages | None:
        key = text.key(max_copy, file)
        with contextlib.suppress(KeyError):
            return self._found(key)
        with self._making:
            with contextlib.suppress(KeyError):
                return self._found(key)  # another thread has made it
            return self._keep(key, text.index(max_copy, file, self._writes))

    def _found(self, key: _Key) -> Passages | None:
        """Errors: KeyError for an index that is not kept."""
        with self._lock:
            return self._kept[key]

    def _keep(self, key: _Key, passages: Passages | None) -> Passages | None:
        with self._lock:
            self._kept[key] = passages
        return passages
