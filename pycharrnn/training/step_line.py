"""Formats and parses the line that training prints for a step. Source: train.lua."""

from __future__ import annotations

import re
from typing import NamedTuple

from compat import lua_format

LONGEST = 1 << 8  # bytes of such a line
_PRINTED = re.compile(
    r"(\d{1,18})/(\d{1,18}) \(epoch (\S+)\), train_loss = +(\S+), grad/param norm = +(\S+), time/batch = \S+s"
)


class StepLine(NamedTuple):
    """The fields of a line, without the time; epoch, loss and norm are strings, as printed."""

    i: int
    iterations: int
    epoch: str
    train_loss: str
    norm_ratio: str


def printed(i: int, iterations: int, epoch: float, train_loss: float, norm_ratio: float, seconds: float) -> str:
    """The line of iteration `i`; `train_loss` in nats per character, `seconds` of the iteration."""
    # train.lua's %6.8f and %6.4e pad to six characters, which only nan and inf need.
    loss, norm = f"{lua_format.fixed(train_loss, 8):>6}", f"{lua_format.scientific(norm_ratio, 4):>6}"
    return (
        f"{i}/{iterations} (epoch {lua_format.fixed(epoch, 3)}), train_loss = {loss}, grad/param norm = {norm},"
        f" time/batch = {seconds:.4f}s"
    )


def parse(line: str) -> StepLine | None:
    """The parts of a line; None for another line.

    Example:
        >>> parse(printed(7, 40, 0.149, 3.25, 0.5, 0.01))
        StepLine(i=7, iterations=40, epoch='0.149', train_loss='3.25000000', norm_ratio='5.0000e-01')
    """
    found = _PRINTED.fullmatch(line)
    return StepLine(int(found[1]), int(found[2]), *found.groups()[2:]) if found else None
