"""The layout of -help: flags in groups, as wide as the terminal."""

from __future__ import annotations

import dataclasses
import inspect
import re
import shutil
import textwrap
import typing
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pycharrnn.common.option_fields import GROUPS, Ramp

if TYPE_CHECKING:
    import click
    from _typeshed import DataclassInstance

    _Field = dataclasses.Field[Any]

MOST_COLUMNS = 100  # longer lines are hard to read
_LEAST_COLUMNS = 40  # in a terminal that is narrower, lines run over
_WITHOUT_TERMINAL = (80, 24)  # in a pipe, unless COLUMNS says otherwise
_WIDEST_FLAG = 26  # a longer one has a line of its own
_LEAST_BESIDE = 30  # columns of text beside the flags; with fewer, it stands below them
ORIGINAL = "* = a flag of char-rnn, with its text and its default"
_VALUES = {int: "N", float: "X", Ramp: "X|A:B", str: "TEXT"}
_PATHS = {"file": "FILE", "dir": "DIR", "any": "FILE|DIR"}


def columns() -> int:
    """The width of -help: that of the terminal or COLUMNS, from 40 to 100; 80 in a pipe."""
    return max(_LEAST_COLUMNS, min(shutil.get_terminal_size(_WITHOUT_TERMINAL).columns, MOST_COLUMNS))


def by_group(options: type[DataclassInstance] | None) -> list[tuple[str, list[_Field]]]:
    """(heading, fields) in the order of option_fields.GROUPS; in each, those that a class inherits come last."""
    own = inspect.get_annotations(options) if options else {}
    fields = sorted(dataclasses.fields(options) if options else (), key=lambda field: field.name not in own)
    groups = ((title, [f for f in fields if f.metadata["group"] == name]) for name, title in GROUPS.items())
    return [(title, members) for title, members in groups if members]


def value_of(options: type[DataclassInstance], field: _Field) -> str:
    """The placeholder of a flag's value: N, FILE, 0|1."""
    value: str = field.metadata["value"] or _PATHS.get(field.metadata["path"], "")
    return value or _VALUES[typing.get_type_hints(options)[field.name]]


def default_as_text(default: object) -> str | None:
    """A default as it would be typed; None for no default."""
    if default is None:
        return None
    return f"{default:.14g}" if isinstance(default, (int, float)) else f"{default}"


def argument_name(argument: click.Argument) -> str:
    """The name of an argument in the usage line: "text" for [<text>...], "in" for <in>... [<out>]."""
    found = re.search(r"<(\w+)>", argument.metavar or "")
    return found[1] if found else ""


def page(
    usage: str, purpose: str, arguments: Sequence[tuple[str, str]], options: type[DataclassInstance] | None, more: str
) -> str:
    """The text of -help: usage, purpose, (name, help) of each argument, flags, and `more` below them."""
    width = columns()
    lines = [*textwrap.wrap(f"Usage: {usage}", width, subsequent_indent=" " * 7), ""]
    lines += textwrap.wrap(" ".join(purpose.split()), width)
    sections = [("", [(f"<{name}>", text, False) for name, text in arguments])] if arguments else []
    for title, fields in by_group(options):
        sections.append((title, [_row(options, field) for field in fields]))
    column = min(_WIDEST_FLAG, max((len(flag) for _, rows in sections for flag, _, _ in rows), default=0))
    for title, rows in sections:
        lines += ["", *([title] if title else [])]
        lines += [line for row in rows for line in _row_lines(*row, column, width)]
    if any(original for _, rows in sections for *_, original in rows):
        lines += ["", *textwrap.wrap(ORIGINAL, width)]
    if more:
        lines += ["", *(part for line in more.split("\n") for part in _wrapped(line, width))]
    return "\n".join(lines) + "\n"


def _row(options: type[DataclassInstance] | None, field: _Field) -> tuple[str, str, bool]:
    """(flag with placeholder, help with default, whether char-rnn has it)."""
    assert options is not None  # there is a field of it
    short = field.metadata["short"]
    flag = f"-{field.name}" + (f", -{short}" if short else "")
    default = default_as_text(field.default)
    text = field.metadata["help"].strip() + (f" [{default}]" if default else "")
    return f"{flag} {value_of(options, field)}".rstrip(), text, field.metadata["charrnn"]


def _row_lines(flag: str, text: str, original: bool, column: int, width: int) -> list[str]:
    """A flag and its help, beside it or, in a narrow terminal, below it."""
    start = f"{'*' if original else ' '} {flag}"
    indent = column + 4
    if width - indent < _LEAST_BESIDE:
        return [start, *textwrap.wrap(text, width, initial_indent=" " * 6, subsequent_indent=" " * 6)]
    lines = textwrap.wrap(text, width - indent, break_on_hyphens=False)
    if len(flag) > column:
        return [start, *(" " * indent + line for line in lines)]
    return [f"{start:{indent}}{lines[0]}", *(" " * indent + line for line in lines[1:])]


def _wrapped(line: str, width: int) -> list[str]:
    """Wrap a line; continuation lines of an indented one are indented further."""
    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.wrap(line.strip(), width, initial_indent=indent, subsequent_indent=indent * 3) or [""]
