"""What the samples of -show have copied from the training text: recorded in checkpoints, and a line at the end."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from compat import item_options
from pycharrnn.checkpoints.recorded_copies import LENGTH, RecordedCopies
from pycharrnn.common.display import escape_line, plural
from pycharrnn.common.errors import UserError
from pycharrnn.text.batches import VAL
from pycharrnn.text.recorded_text import MAX_UNASKED
from pycharrnn.text.text_folder import input_file
from pycharrnn.training import novelty
from pycharrnn.training.shown_sample import MARGIN
from pycharrnn.training.signals import RunStopped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pycharrnn.engine.copies import Comparison, Copy
    from pycharrnn.text.batches import Batches

_MAX_PASSAGE = 70  # characters of a message


class ShownCopies:
    """Compares the samples of a run with its training split, if the text is small enough to be read unasked.

    `items`: the value of -items. Errors are no reason to end a training: they end the comparison.
    """

    def __init__(self, loader: Batches, data_dir: str, items: str) -> None:
        self._loader, self._items = loader, items
        self._samples: list[bytes] = []
        self._validation: Comparison | None = None
        try:
            self._is_on = os.path.getsize(input_file(data_dir)) <= MAX_UNASKED
        except OSError:
            self._is_on = False

    def add(self, sample: bytes) -> RecordedCopies | None:
        """Compare a sample; None if it can't be compared."""
        if not self._is_on:
            return None
        self._samples.append(sample)
        self._is_on = False
        with _errors_suppressed():
            if self._validation is None:
                self._validation = novelty.compare(novelty.beginning(self._loader.texts(VAL)), self._loader)
            found = self._compared([sample])
            self._is_on = True
            share, val_share = found.share(LENGTH), self._validation.share(LENGTH)
            longest = int(found.lengths.max(initial=0))
            return RecordedCopies(longest, -1 if share is None else share, -1 if val_share is None else val_share)
        return None

    def summary(self) -> str:
        """A line on all samples, and the passage; "" if there were none, or none that could be compared."""
        if not self._is_on or not self._samples or self._validation is None:
            return ""
        with _errors_suppressed():
            found = self._compared(self._samples)
            copies = found.copies(1)
            if not copies:
                return "the samples copy no character from the training split."
            share, val_share = found.share(LENGTH), self._validation.share(LENGTH)
            longest = f"{copies[0].length} {plural(copies[0].length, 'character')}"
            line = f"the samples copy up to {longest} in a row from the training split"
            if share is not None and val_share is not None:
                line += f", which has {100 * share:.1f} % of their {LENGTH}-character sequences"
                line += f" and {100 * val_share:.1f} % of the validation split's"
            return f"{line}; {shown_longest(copies)}"
        return ""

    def _compared(self, samples: list[bytes]) -> Comparison:
        known = self._loader.label_counts
        of_lines = item_options.is_one_line(self._items)
        pieces = [piece for sample in samples for piece in novelty.pieces_of_sample(sample, of_lines, known)]
        return novelty.compare(pieces, self._loader)


@contextlib.contextmanager
def _errors_suppressed() -> Iterator[None]:
    """Suppress what can go wrong in a comparison, but not the RunStopped of a second signal."""
    try:
        yield
    except RunStopped:
        raise
    except (OSError, UserError, MemoryError):
        pass


def shown_longest(copies: Sequence[Copy]) -> str:
    """The longest passage, with what it is: the longest that is not blank, if there is one."""
    shown = next((copy for copy in copies if copy.passage.strip()), copies[0])
    which = "the longest" if shown is copies[0] else "the longest that is not blank"
    return f"{which}:\n{MARGIN}{shown_passage(shown.passage)}"


def shown_passage(passage: bytes) -> str:
    """A passage in a line, or "(blanks only)"."""
    return escape_line(passage, _MAX_PASSAGE) if passage.strip() else "(blanks only)"
