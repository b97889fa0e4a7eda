"""Checks the fields of a checkpoint beside its weights: losses, vocabulary, options; for .t7 tables and JSON."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from compat.escape import escape_line
from compat.graph_expressions import CheckpointError, describe

LONGEST_CHARACTER = 64  # bytes; the longest in use are names such as "[233]" and words
Option = int | float | bool | str
_EXACT = 1 << 53  # whole numbers up to here are exact in Lua
_LARGEST = int(sys.float_info.max)


def is_number(value: object) -> TypeGuard[float]:
    """Whether a double can hold `value`: a number, infinity or NaN, not a boolean."""
    return isinstance(value, float) or (type(value) is int and abs(value) <= _LARGEST)


def number(value: object, what: str = "a number") -> float:
    """Errors: CheckpointError unless is_number; `what` is the name of the field."""
    if not is_number(value):
        raise CheckpointError(f"it has {describe(value)} where {what} belongs")
    return value


def word(value: object, key: str) -> str:
    """A short ASCII text, as str or bytes. Errors: CheckpointError."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not isinstance(text, str) or not text.isascii() or escape_line(text) != text:
        raise CheckpointError(f"its {key} is not a short text")
    return text


def iteration(value: Any) -> int:
    """The iteration of a checkpoint: any number, since it is only shown. Errors: CheckpointError."""
    number(value, "an iteration")
    found: int = value
    return found


def losses(values: Iterable[object], unit: float = 1) -> array[float]:
    """Losses in nats; `unit` is the number of nats in one unit of the values. Errors: CheckpointError."""
    return array("d", (unit * float(number(x, "a loss")) for x in values))


def losses_by_iteration(items: Iterable[tuple[Any, object]], unit: float = 1) -> dict[int, float]:
    """iteration -> loss in nats, without entries of invalid iterations. Errors: CheckpointError."""
    found: dict[int, float] = {}
    for iteration, loss in items:
        if type(iteration) in (int, float) and 0 <= iteration <= _EXACT:
            found[iteration] = unit * float(number(loss, "a loss"))
    return found


def vocabulary(table: object) -> dict[bytes, int]:
    """A vocabulary, checked to map characters to the numbers 1 to n. Errors: CheckpointError."""
    if not isinstance(table, Mapping) or not table:
        raise CheckpointError("it has no vocabulary")
    taken = bytearray(len(table) + 1)
    for character, index in table.items():
        if not isinstance(character, bytes) or not character:
            shown = escape_line(character, 40) if isinstance(character, bytes) else describe(character)
            raise CheckpointError(f"its vocabulary holds {shown or 'an empty text'}, which is not a character")
        if len(character) > LONGEST_CHARACTER:
            shown = escape_line(character, 20)
            raise CheckpointError(
                f"its vocabulary holds {shown}, of {len(character)} bytes: no character has more than"
                f" {LONGEST_CHARACTER}"
            )
        if type(index) is not int or not 0 < index <= len(table) or taken[index]:
            raise CheckpointError("its vocabulary is not numbered 1 to n")
        taken[index] = True
    return dict(table)


def options(items: Iterable[tuple[object, object]]) -> dict[str, Option]:
    """name -> int, float, bool or str; entries of other types are ignored."""
    found: dict[str, Option] = {}
    for key, value in items:
        key, value = _text(key), _text(value)
        if isinstance(key, str) and (isinstance(value, str | bool) or is_number(value)):
            found[key] = value
    return found


def _text(value: object) -> object:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
