"""ItemRows lays out items in the rows of batches, one after the other: a row that becomes free takes the next item."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import TypeAlias

from pycharrnn.text.item_order import Order

# Row, column, start, length, number: the end character of item `number` of the list is in this column of the row, its
# characters, of which the text has `length` from `start` on, are in the next ones. Columns count from the beginning of
# the batch; that of an item that began in an earlier batch is negative.
Piece: TypeAlias = tuple[int, int, int, int, int]


class ItemRows:
    """The layout of the items of an `order` in rows.

    Example:
        >>> rows = ItemRows(order, 2)           # of items of 3, 1 and 4 characters
        >>> rows.pieces(6)                      # with their end characters, of 4, 2 and 5
        [(0, 0, 0, 3, 0), (1, 0, 4, 1, 1), (1, 2, 6, 4, 2)]
    """

    def __init__(self, order: Order, rows: int):
        self._order = order
        self._free = [(0, row) for row in range(rows)]  # a heap: the column after the items of a row, and the row
        self._last: list[Piece | None] = [None] * rows  # of each row

    def pieces(self, columns: int) -> list[Piece]:
        """All items in the next `columns` columns, those that began before included."""
        found = [piece for piece in self._last if piece and piece[1] + piece[3] >= 0]
        free, last = self._free, self._last
        while free[0][0] < columns and (item := next(self._order, None)):
            column, row = free[0]
            _, number, start, length = item
            last[row] = piece = row, column, start, length, number
            found.append(piece)
            heapq.heapreplace(free, (column + length + 1, row))
        return found

    def advance(self, columns: int) -> None:
        """Go on to the column after the next `columns`, whose items `pieces` has placed."""
        self._free = [(column - columns, row) for column, row in self._free]  # still a heap
        self._last = [piece and (piece[0], piece[1] - columns, *piece[2:]) for piece in self._last]

    def columns(self) -> int:
        """The number of columns that the items of one pass fill; consumes its order."""
        for _, _, _, length in self._order:
            column, row = self._free[0]
            heapq.heapreplace(self._free, (column + length + 1, row))
        return max(column for column, _ in self._free)

    def state(self) -> tuple[int, ...]:
        """Passes and position of the order, then for each row the number of its last item, and how much of it is read.

        That counts the end character before the item. Before the first batch: ().
        """
        state = [self._order.passes, self._order.position]
        for piece in self._last:
            if piece is None:
                return ()
            state += piece[4], min(-piece[1], piece[3] + 1)
        return tuple(state)

    def restore(
        self, numbers: Sequence[int], read: Sequence[int], starts: Sequence[int], lengths: Sequence[int]
    ) -> None:
        """Go on in items of which some characters were read, see `state`; the order is at its position."""
        rows = list(zip(range(len(read)), read, starts, lengths, numbers, strict=True))
        self._last = [(row, -done, start, length, number) for row, done, start, length, number in rows]
        self._free = [(length + 1 - done, row) for row, done, _, length, _ in rows]
        heapq.heapify(self._free)
