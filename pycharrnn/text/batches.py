"""What the two loaders, of a text and of a list, have in common: splits, and the batches that were taken of each."""

from __future__ import annotations

import reprlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import TYPE_CHECKING

from pycharrnn.common.errors import UserError, flag

if TYPE_CHECKING:
    from pycharrnn.text.encodings import TokenIds

TRAIN, VAL, TEST = 1, 2, 3
SPLIT_NAMES = {TRAIN: "train", VAL: "val", TEST: "test"}
SPLIT_INDICES = {name: index for index, name in SPLIT_NAMES.items()}


class Batches(ABC):
    """Batches of a text for the three splits: 1 train, 2 val, 3 test.

    Attributes:
        batch_size, seq_length: rows B and time steps T of a batch.
        vocab_mapping: character (one byte, or the bytes of a code point) -> token id from 1, in the order of the bytes.
        vocab_size: V.
        end_id: token id of the character that ends an item, before which the hidden state is zero; None for a text.
        label_counts: label -> number of its items in the training split; {} without labels.
        split_sizes: split -> number of batches. nbatches, ntrain, nval, ntest: of all splits, and of each.
        counted: number of targets of the last batch, in all of its rows, that are not IGNORED.
        batch_ix: split -> batches that next_batch has returned since the beginning of the split.
    """

    end_id: int | None = None

    def __init__(self, vocab: dict[bytes, int], batch_size: int, seq_length: int):
        self.label_counts: dict[bytes, int] = {}
        self.counted = batch_size * seq_length
        self.batch_size, self.seq_length = batch_size, seq_length
        self.vocab_mapping, self.vocab_size = vocab, len(vocab)

    def _set_sizes(self, ntrain: int, nval: int, ntest: int) -> None:
        self.ntrain, self.nval, self.ntest = ntrain, nval, ntest
        self.nbatches = ntrain + nval + ntest
        self.split_sizes = {TRAIN: ntrain, VAL: nval, TEST: ntest}
        self.batch_ix = dict.fromkeys(self.split_sizes, 0)

    @abstractmethod
    def next_batch(self, split_index: int) -> tuple[TokenIds, TokenIds]:
        """The next (x, y) of a split: two new (rows, T) arrays of token ids; in y some may be IGNORED, see ItemLoader.

        Errors: UserError for a split without batches; TextChanged, after which the same batch is still the next.
        """

    def texts(self, split_index: int) -> Iterator[Iterator[bytes]]:
        """The stretches of the text that a split consists of, for all rows, each as bytes in pieces; here none.

        Errors: TextChanged.
        """
        return iter(())

    def reset_batch_pointer(self, split_index: int, batch_index: int = 0) -> None:
        """Make batch `batch_index` (from 0) the next one of a split."""
        self.batch_ix[split_index] = batch_index

    def item_positions(self) -> tuple[int, ...]:
        """Where the rows of the training batches are in a list, beside batch_ix; () for a text."""
        return ()

    def restore_items(self, positions: Sequence[int]) -> None:  # noqa: B027, of a list
        """Go on with the training batches where item_positions() returned `positions`. Errors: UserError."""

    @abstractmethod
    def close(self) -> None:
        """Close the cache, which Windows can't replace or remove before."""


def check_sizes(batch_size: object, seq_length: object) -> None:
    """Errors: TypeError unless both are whole numbers; UserError for one below 1."""
    for name, size in (("batch_size", batch_size), ("seq_length", seq_length)):
        if not isinstance(size, Integral) or isinstance(size, bool):
            raise TypeError(f"{name} must be a whole number, not {reprlib.repr(size)}")
        if size < 1:
            raise UserError(f"{flag(name)} must be at least 1, not {size}.")


def check_fractions(train: float, val: float, test: float) -> None:
    """Errors: UserError for a fraction outside [0, 1]."""
    for name, fraction in (("train", train), ("val", val), ("test", test)):
        if not 0 <= fraction <= 1:
            raise UserError(f"bad split fraction {fraction:g} for {name}: it must lie between 0 and 1.")


def no_data(split_index: int) -> UserError:
    """The error for a split without a batch."""
    name = SPLIT_NAMES[split_index]
    rest = split_index == TEST  # what the others leave
    fraction = f"smaller {flag('train_frac')} or {flag('val_frac')}" if rest else f"larger {flag(f'{name}_frac')}"
    return UserError(
        f"the {name} split has no data: use a {fraction}, a smaller {flag('batch_size')} or a smaller"
        f" {flag('seq_length')}."
    )
