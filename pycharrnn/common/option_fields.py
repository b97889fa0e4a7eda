"""How an option is declared: once, as a field of a dataclass, with its default, its help and the values allowed."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from pycharrnn.common.errors import UserError

MAX_COUNT = 10**12  # of anything that a user may ask for many of: more takes longer than anybody waits

Ramp = float | tuple[float, float]  # one number for the whole sample, or the first and the last one of a ramp

GROUPS = {  # what a flag is about -> its heading in -help, in the order in which they stand there
    "text": "Text",
    "model": "Model",
    "learning": "Learning",
    "drawing": "Drawing",
    "checkpoints": "Checkpoints",
    "machine": "Machine",
    "network": "Network",
    "output": "Output",
    "display": "Display",
}

_Value = TypeVar("_Value")


def option(
    default: _Value, help: str, *, group: str, value: str = "", short: str | None = None, path: str = ""
) -> _Value:
    """A field of an options dataclass.

    Args:
        help: the text that -help prints.
        group: what the flag is about, a key of GROUPS.
        value: what stands for its value in -help: "0|1". "" for what the type says: N, X, TEXT, FILE or DIR.
        short: a second, shorter flag.
        path: what the shell completes, "file" or "dir"; "" for neither.

    Returns: the dataclass' field, which type checkers take for its value, as that of dataclasses.field.
    """
    metadata = {"help": help, "group": group, "value": value, "short": short, "path": path}
    field: _Value = dataclasses.field(default=default, metadata=metadata)
    return field


def require(options: Any, name: str, holds: bool, what: str) -> None:
    """Refuse an option's value unless `holds`.

    Args:
        options: an options dataclass.
        name: the option's, without its dash.
        what: what the value must be, for the message: "at least 0".

    Errors: UserError.
    """
    if not holds:
        value = getattr(options, name)
        text = f"{value:.10g}" if isinstance(value, (int, float)) else value
        raise UserError(f"-{name} must be {what}, not {text}.")


def require_switches(options: Any, *names: str) -> None:
    """Refuse a value other than 0 and 1 of any of these options. Errors: UserError."""
    for name in names:
        require(options, name, getattr(options, name) in (0, 1), "0 or 1")
