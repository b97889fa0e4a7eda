"""-show: a sample of the model after each validation, and its lines on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch

from compat import lua_format
from compat.charrnn import Checkpoint
from pycharrnn.common.display import column_width, escape_for_terminal
from pycharrnn.common.errors import UserError
from pycharrnn.common.printing import PrintLine
from pycharrnn.common.screen_text import ScreenText
from pycharrnn.training.reports import Sample
from pycharrnn.training.signals import RunStopped

if TYPE_CHECKING:
    from pycharrnn.engine.model import CharRNN

# Samples: (checkpoint, its model, length, seed, temperature) -> characters. Changes neither the model nor the random
# generators of training. Errors: UserError for a model that predicts NaN.
Draw = Callable[[Checkpoint, "CharRNN", int, int, float], Iterator[bytes]]

MARGIN = "    | "  # no log line starts like this
_TEMPERATURE = 0.5  # shows the words that a young model has learnt
_TAB = 4
_TRIES = 3


def shown_sample(
    draw: Draw, model: CharRNN, checkpoint: Checkpoint, length: int, seed: int, note: PrintLine
) -> tuple[Sample, bytes] | None:
    """The sample, and its bytes; None if the model predicts NaN, or memory ran out.

    Its seed is the run's `seed` plus the iteration, so the same run shows the same samples. If the sample has few
    letters, the next seed is tried. A requested stop waits for it, since the checkpoint records what it copied.

    Args:
        length: in characters. note: prints a line on stderr.
    """
    texts: list[tuple[str, bytes]] = []
    try:
        for tried in range(seed + checkpoint.i, seed + checkpoint.i + _TRIES):
            texts.append(_text(draw(checkpoint, model, length, tried, _TEMPERATURE)))
            if _letters(texts[-1][0]) >= len(texts[-1][0]) / 4:
                break
    except RunStopped:  # by a second signal
        raise
    except UserError:  # CheckpointKeeper reports the fault
        return None
    except (MemoryError, torch.cuda.OutOfMemoryError):
        note(f"there is no memory for a sample after iteration {checkpoint.i}.")
        return None
    text, drawn = max(texts, key=lambda found: _letters(found[0]))
    return Sample(checkpoint.i, checkpoint.epoch, text.strip("\n")), drawn


def printed(sample: Sample, columns: int) -> str:
    """The heading and the lines of a sample, for a stderr of so many columns."""
    shown = lua_format.fixed(sample.epoch, 2)
    heading = f"a sample after iteration {sample.iteration} (epoch {shown}), at temperature {_TEMPERATURE:g}:"
    lines = wrapped(sample.text, max(columns - 1 - len(MARGIN), 1))
    return "\n".join([heading, *((MARGIN + line).rstrip() for line in lines)])


def _text(characters: Iterator[bytes]) -> tuple[str, bytes]:
    """Sampled characters as text that is safe for a terminal, and as they are."""
    screen = ScreenText()
    text, drawn = "", b""
    for character in characters:
        drawn += character
        text += "".join(shown for shown, _ in screen.push(character))
    return escape_for_terminal(text), drawn  # `screen` may hold a last, incomplete character


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def wrapped(text: str, width: int) -> list[str]:
    """Wrap the lines of a text at `width` columns, after a space, or within a long word.

    Example:
        >>> wrapped("one two three\\n\\nf\u304cur", 8)
        ['one two', 'three', '', 'f\u304cur']
    """
    return [line.rstrip() for whole in text.expandtabs(_TAB).split("\n") for line in _broken(whole, width)]


def _broken(line: str, width: int) -> Iterator[str]:
    start = after_space = used = 0
    for k, character in enumerate(line):
        columns = column_width(character)
        if used + columns > width and character != " ":
            end = after_space if after_space > start else k
            if end > start:
                yield line[start:end]
                start, used = end, sum(map(column_width, line[end:k]))
        used += columns
        if character == " ":
            after_space = k + 1
    yield line[start:]
