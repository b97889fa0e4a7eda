"""Writes drawn items to a stream, or each to a file."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from compat.atomic_write import atomic_write
from compat.item_options import ITEM_KINDS, TAB
from pycharrnn.sampling.sample_files import sample_file
from pycharrnn.sampling.sample_writer import FLUSH_SECONDS, SampleWriter

if TYPE_CHECKING:
    from pycharrnn.sampling.item_selection import SelectedItem
    from pycharrnn.sampling.options import SampleOptions


class ItemWriter:
    """Writes items to `out`, each from a new line on, with ItemKind.between after all but the last.

    Without -as, an item of a model with labels has its label and a tab before it.
    """

    def __init__(
        self, out: BinaryIO, characters: list[bytes], prime: list[bytes], opt: SampleOptions, kind: str
    ) -> None:
        self._out, self._characters, self._prime, self._opt = out, characters, prime, opt
        self._prime_probs = np.ones(len(prime))
        self._between = ITEM_KINDS[kind].between
        self._count, self._flushed, self._live = 0, time.monotonic(), out.isatty()

    def put(self, selected: SelectedItem) -> None:
        """Write an item."""
        if self._count:
            self._out.write(self._between)
        self._count += 1
        self._write(self._out, selected)
        self._flush()

    def put_json(self, selected: SelectedItem) -> None:
        """Write an item as a JSON object on a line, with its label in a model with labels."""
        label = {"label": selected.label.decode("utf-8", "replace")} if selected.label else {}
        self._out.write(json.dumps(label | selected.facts).encode() + b"\n")
        self._flush()

    def _flush(self) -> None:
        if self._live or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._out.flush()
            self._flushed = time.monotonic()

    def put_file(self, folder: str, selected: SelectedItem) -> str:
        """Write an item to a file of its own, atomically. Returns: its path. Errors: OSError."""
        path = sample_file(folder, selected.item.seed)
        with atomic_write(path) as f:
            self._write(f, selected)
        return path

    def _write(self, out: BinaryIO, selected: SelectedItem) -> None:
        if selected.label and not self._opt.label:
            out.write(selected.label + TAB)
        writer = SampleWriter(out, self._opt)
        writer.put_all(self._prime, self._prime_probs, True)
        item = selected.item
        characters = [self._characters[k] for k in item.token_ids.tolist()]
        writer.put_all(characters, item.token_probs[: len(characters)], False)
        writer.end()
