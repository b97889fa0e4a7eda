"""Declares an option once, as a field of a frozen dataclass: default, help, allowed values. For every options.py.

Constructing the dataclass checks its values, so an options object is valid wherever it appears.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pycharrnn.common.cores import MAX_THREADS
from pycharrnn.common.display import escape_line, series
from pycharrnn.common.errors import UserError, flag

MAX_COUNT = 10**12  # a run with more iterations, samples, ... would never end

Ramp = float | tuple[float, float]  # one number for the whole sample, or the first and the last one of a ramp

GROUPS = {  # group of a flag -> its heading in -help, in the order of -help
    "text": "Text",
    "model": "Model",
    "sampling": "Sampling",
    "items": "Items",
    "learning": "Learning",
    "checkpoints": "Checkpoints",
    "machine": "Machine",
    "network": "Network",
    "output": "Output",
    "display": "Display",
}

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Allowed:
    """The values that an option accepts beside its default.

    `holds` tests a value, `text` describes the values in messages ("at least 0"), `choices` lists them if they are few.
    `way_out` is what a message on another value says after it, "" for nothing.
    """

    holds: Callable[[Any], bool]
    text: str
    choices: tuple[int | str, ...] = ()
    way_out: Callable[[Any], str] = lambda value: ""


def _short(number: float) -> str:
    """A limit as 1e12, not 1e+12."""
    return f"{number:.10g}".replace("e+", "e")


def one_of(*choices: int | str) -> Allowed:
    """Only these values; in messages: "train, val or test"."""
    return Allowed(lambda value: value in choices, series(list(map(str, choices)), "or"), choices)


def number(
    low: float = -math.inf, high: float = math.inf, *, above: float = -math.inf, below: float = math.inf
) -> Allowed:
    """Numbers from `low` to `high`, greater than `above` and less than `below`."""
    if math.isfinite(low) and math.isfinite(high):
        text = f"from {_short(low)} to {_short(high)}"
    else:
        limits = (("at least", low), ("greater than", above), ("at most", high), ("less than", below))
        text = " and ".join(f"{words} {_short(limit)}" for words, limit in limits if math.isfinite(limit))
    return Allowed(lambda value: low <= value <= high and above < value < below, text)


def file_ending(*endings: str) -> Allowed:
    """File names with one of these endings, in upper or lower case."""
    return Allowed(lambda value: value.lower().endswith(endings), f"a file that ends in {series(endings, 'or')}")


SWITCH = one_of(0, 1)
THREADS = number(1, MAX_THREADS)
DEFAULT_THREADS = "OMP_NUM_THREADS, or one for each core"  # see cores.default_threads


def option(
    default: _Value,
    help: str,
    *,
    group: str,
    allowed: Allowed | None = None,
    value: str = "",
    short: str | None = None,
    path: str = "",
    charrnn: bool = False,
    record: bool = True,
) -> _Value:
    """Declare an option: a field of an options dataclass.

    Args:
        help: the text in -help. group: a key of GROUPS.
        allowed: the values that it accepts beside `default`; None for all of its type.
        value: placeholder of the value in -help. "": the choices of `allowed`, or N, X, TEXT, FILE, DIR by the type.
        short: a second, shorter flag. path: "file", "dir" or "any" if the shell completes paths; else "".
        charrnn: char-rnn has this flag, with this default and help.
        record: for training: a property of the run, recorded in checkpoints and restored by -resume. False for how the
            run is started or displayed.

    Returns: a dataclasses.Field, typed as its value like that of dataclasses.field.
    """
    if allowed and allowed.choices and not value:
        value = "|".join(map(str, allowed.choices))
    metadata = {
        "help": help,
        "group": group,
        "allowed": allowed,
        "value": value,
        "short": short,
        "path": path,
        "charrnn": charrnn,
        "record": record,
    }
    field: _Value = dataclasses.field(default=default, metadata=metadata)
    return field


def as_words(name: str, value: float | str) -> list[str]:
    """The words that set an option on the command line, a number to its last digit.

    Example:
        >>> as_words("minutes", 5.0)
        ['-minutes', '5']
    """
    return [f"-{name}", value if isinstance(value, str) else repr(value).removesuffix(".0")]


def check(options: Any) -> None:
    """Check all values of an options dataclass; for its __post_init__. Errors: UserError for the first invalid one."""
    for field in dataclasses.fields(options):
        allowed, value = field.metadata["allowed"], getattr(options, field.name)
        if allowed and value != field.default and not allowed.holds(value):
            special = field.default not in ("", None) and not allowed.holds(field.default)
            # A checkpoint may record a value of any length.
            text = f"{value:.10g}" if isinstance(value, (int, float)) else escape_line(value) or "''"
            default = f", or {field.default}" if special else ""
            way_out = allowed.way_out(value)
            more = f": {way_out}" if way_out else ""
            raise UserError(f"{flag(field.name)} must be {allowed.text}{default}, not {text}{more}.")
