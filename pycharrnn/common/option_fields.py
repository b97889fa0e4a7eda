"""How an option is declared: once, with its default, its help and what it may be."""

from __future__ import annotations

import dataclasses

from pycharrnn.common.errors import UserError

MOST = 10**12  # of what may be as many as one likes: more takes longer than anybody waits

Ramp = float | tuple[float, float]  # a number, or the two that it goes from and to


def option(default, help: str, short: str | None = None, path: str = ""):
    """A field with the text that -help prints.

    Args:
        short: a second, shorter flag. path: what the shell completes, "file" or "dir"; "" for neither.
    """
    return dataclasses.field(default=default, metadata={"help": help, "short": short, "path": path})


def require(options, name: str, holds: bool, what: str) -> None:
    if not holds:
        value = getattr(options, name)
        shown = f"{value:.10g}" if isinstance(value, (int, float)) else value
        raise UserError(f"-{name} must be {what}, not {shown}.")


def require_switches(options, *names: str) -> None:
    for name in names:
        require(options, name, getattr(options, name) in (0, 1), "0 or 1")
