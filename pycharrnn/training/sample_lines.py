"""The lines of -show on stderr: a heading and the sample below it, as training prints them and a program reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from compat import lua_format

TEMPERATURE = 0.5  # shows the words that a young model has learnt
MARGIN = "    | "  # no log line starts like this
_HEADING = re.compile(r"(?:pycharrnn: )?a sample after iteration (\d{1,18}) \(epoch (\d+\.\d+)\), at temperature \S+:")


@dataclass(frozen=True)
class PrintedSample:
    """A sample after an iteration. `text`: as it was printed, wrapped."""

    iteration: int
    epoch: float
    text: str


def printed(iteration: int, epoch: float, lines: Sequence[str]) -> str:
    """The heading and the lines of a sample, for stderr."""
    shown = lua_format.fixed(epoch, 2)
    heading = f"a sample after iteration {iteration} (epoch {shown}), at temperature {TEMPERATURE:g}:"
    return "\n".join([heading, *((MARGIN + line).rstrip() for line in lines)])


def parse(lines: Sequence[str]) -> tuple[list[PrintedSample], list[str]]:
    """The samples among the lines of a stderr, in their order, and all other lines.

    Example:
        >>> parse(["pycharrnn: a note", "pycharrnn: " + printed(300, 1.5, ["to be,", "or"]).split("\\n")[0],
        ...        "    | to be,", "    | or", "pycharrnn: finished"])
        ([PrintedSample(iteration=300, epoch=1.5, text='to be,\\nor')], ['pycharrnn: a note', 'pycharrnn: finished'])
    """
    samples: list[PrintedSample] = []
    others: list[str] = []
    found: tuple[int, float, list[str]] | None = None
    for line in [*lines, ""]:
        if found and (line.startswith(MARGIN) or line == MARGIN.rstrip()):
            found[2].append(line[len(MARGIN) :])
            continue
        if found:
            samples.append(PrintedSample(found[0], found[1], "\n".join(found[2])))
        heading = _HEADING.fullmatch(line)
        found = (int(heading[1]), float(heading[2]), []) if heading else None
        if not heading and line:
            others.append(line)
    return samples, others
