"""Which items are in which split, and in which order an epoch reads them: by -seed, the same on every machine.

Neither takes memory for each item. The split follows from an item's hash, so equal items are in the same one. The order
is that of a Feistel network, which permutes the numbers below 4^h. Numbers that are not of an item are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.splitmix64 import low_64_bits, mix_bits
from pycharrnn.text.batches import TEST, TRAIN, VAL
from pycharrnn.text.item_index import BLOCK, Index

if TYPE_CHECKING:
    import numpy.typing as npt

    Numbers = npt.NDArray[np.int64]

_BINS = 1 << 20  # of hashes; a split begins at a bin
_ROUNDS = 6
_MIN_BITS = 4  # of half a number; fewer give few orders
_POSITIONS = 1 << 12  # of an order that are computed at a time


class SplitSize(NamedTuple):
    """The number of items of a split, and of their characters with one end for each."""

    items: int
    characters: int


class Splits:
    """The split of each item, drawn by its hash and a seed.

    Args:
        fractions: (train, val, test) of the items; they are met to within an item and its copies.

    Attributes:
        sizes: split (1 train, 2 val, 3 test) -> SplitSize.

    Errors: UserError for fractions that leave no item to train on.
    """

    def __init__(self, index: Index, fractions: tuple[float, float, float], seed: int):
        self._index, self._seed = index, mix_bits(np.array([low_64_bits(seed)], np.uint64))
        counts = np.zeros(_BINS, np.int64)
        for bins in map(self._bins, _ranges(len(index))):
            counts += np.bincount(bins, minlength=_BINS)
        up_to = np.cumsum(counts)
        _, val, test = fractions
        self._val_end = _bound(up_to, val)
        self._test_end = max(_bound(up_to, val + test), self._val_end) if test else self._val_end
        items, characters = np.zeros(TEST + 1, np.int64), np.zeros(TEST + 1, np.int64)
        for numbers in _ranges(len(index)):
            splits = self.of(numbers)
            items += np.bincount(splits, minlength=TEST + 1)
            characters += np.bincount(splits, index["length"][numbers] + 1, TEST + 1).astype(np.int64)
        self.sizes = {split: SplitSize(int(items[split]), int(characters[split])) for split in (TRAIN, VAL, TEST)}
        if not self.sizes[TRAIN].items:
            advice = f"use a larger {flag('train_frac')}"
            raise UserError("no item is left to train on", advice, ["train_frac"])

    def of(self, numbers: Numbers) -> npt.NDArray[np.int64]:
        """The splits of the items of these numbers."""
        bins = self._bins(numbers)
        return np.where(bins < self._val_end, VAL, np.where(bins < self._test_end, TEST, TRAIN))

    def counts_by_label(self, split: int, labels: Sequence[bytes]) -> dict[bytes, int]:
        """Label -> number of its items in a split, in the order of the labels. `labels`: by number."""
        counts = np.zeros(len(labels), np.int64)
        for numbers in _ranges(len(self._index)):
            counts += np.bincount(self._index["label"][numbers[self.of(numbers) == split]], minlength=len(labels))
        return dict(sorted((label, count) for label, count in zip(labels, counts.tolist(), strict=True) if count))

    def _bins(self, numbers: Numbers) -> npt.NDArray[np.int64]:
        return (mix_bits(self._index["hash"][numbers] ^ self._seed) >> np.uint64(44)).astype(np.int64)


def _ranges(count: int) -> Iterator[Numbers]:
    for first in range(0, count, BLOCK):
        yield np.arange(first, min(first + BLOCK, count))


def _bound(up_to: Numbers, fraction: float) -> int:
    """The number of bins whose items are nearest to this fraction of all, and at least one unless it is 0.

    `up_to`: bin -> the number of items up to it.
    """
    if not fraction:
        return 0
    wanted = min(max(fraction * up_to[-1], 1), up_to[-1])
    above = int(np.searchsorted(up_to, wanted)) + 1
    less = int(up_to[above - 2]) if above > 1 else 0
    return above - 1 if less and wanted - less < up_to[above - 1] - wanted else above


# Its position in the order, its number in the list, its start in the text, and its length.
Item: TypeAlias = tuple[int, int, int, int]


class Order:
    """The items of a split in the order of a pass, from a position on; passes follow each other without end.

    Args:
        seed: of the order; None for the order of the list, one pass only.
        passes, position: passes done, and where the next item is in this one.
    """

    def __init__(self, index: Index, splits: Splits, split: int, seed: int | None, passes: int = 0, position: int = 0):
        self._index, self._splits, self._split, self._seed = index, splits, split, seed
        self._half = max(_MIN_BITS, -(-(len(index) - 1).bit_length() // 2))
        self._positions = len(index) if seed is None else 1 << 2 * self._half
        self.passes = passes
        self._next_block = position
        self._block: Iterator[Item] = iter(())
        self._last = (position - 1, 0, 0, 0)

    @property
    def position(self) -> int:
        """The index of the next item in its pass."""
        return self._last[0] + 1

    def __iter__(self) -> Order:
        return self

    def __next__(self) -> Item:
        while True:
            if item := next(self._block, None):
                self._last = item
                return item
            if self._next_block >= self._positions:
                if self._seed is None:
                    raise StopIteration
                self.passes, self._next_block, self._last = self.passes + 1, 0, (-1, 0, 0, 0)
            self._block = self._read_block()

    def _read_block(self) -> Iterator[Item]:
        positions = np.arange(self._next_block, min(self._next_block + _POSITIONS, self._positions))
        self._next_block += len(positions)
        numbers = positions if self._seed is None else shuffled(positions, self._half, self._seed, self.passes)
        is_item = numbers < len(self._index)
        positions, numbers = positions[is_item], numbers[is_item]
        is_ours = self._splits.of(numbers) == self._split
        positions, numbers = positions[is_ours], numbers[is_ours]
        found = self._index[numbers]
        columns = positions.tolist(), numbers.tolist(), found["start"].tolist(), found["length"].tolist()
        return zip(*columns, strict=True)


def shuffled(positions: Numbers, half: int, seed: int, passes: int) -> Numbers:
    """A bijection of the numbers below 4^half: another one for each seed and pass.

    Example:
        >>> sorted(shuffled(np.arange(256), 4, seed=1, passes=0).tolist()) == list(range(256))
        True
    """
    mask = np.uint64((1 << half) - 1)
    left, right = positions.astype(np.uint64) >> np.uint64(half), positions.astype(np.uint64) & mask
    key = mix_bits(np.array([low_64_bits(seed)], np.uint64)) + np.uint64(passes)
    for _ in range(_ROUNDS):
        key = mix_bits(key)
        left, right = right, left ^ (mix_bits(right ^ key) & mask)
    return (left << np.uint64(half) | right).astype(np.int64)
