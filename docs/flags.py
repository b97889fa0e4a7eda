"""Write flags.md, every flag of every command, from where they are declared: python docs/flags.py

Run it after a change to an options.py or to the help of a command; tests/test_docs.py tells when that was
forgotten.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from compat.atomic_write import atomic_write
from pycharrnn.cli import help_layout
from pycharrnn.cli.commands import cli
from pycharrnn.cli.flags import Command

PAGE = Path(__file__).with_name("flags.md")

INTRODUCTION = """\
# Every flag

Written by `python docs/flags.py` from the `options.py` of each room; `pycharrnn help COMMAND` and `pycharrnn COMMAND
-help` print the same, as wide as the terminal (at most 100 columns; 80 in a pipe, unless `COLUMNS` says otherwise).
Flags with a \\* are char-rnn's own, with its words and defaults; those without one default to what char-rnn does.

A flag and its value are two words, `-rnn_size 256`. Two dashes (`--rnn_size 256`, `--rnn_size=256`) work as well,
numbers may be written as Lua reads them (`50`, `5e1`), a switch is 1 or 0, and `-temperature` takes a ramp as well
(`0.3:1.2`). Text with blanks needs quotation marks: `-primetext "The "`. The names of char-rnn's and torch-rnn's flags
stand side by side in [old-checkpoints.md](old-checkpoints.md#which-flag-is-which).

Exit status: 0, or 1 for an error, which is one sentence on stderr, 2 for a wrong command line, 3 for a training that
went astray, 130 after Ctrl-C, 143 after SIGTERM.
"""


def page() -> str:
    """The text of flags.md."""
    return "\n".join([INTRODUCTION, *(_section(name, command) for name, command in cli.commands.items())])


def _section(name: str, command: Command) -> str:
    """The heading of a command, what it does and its flags."""
    lines = [f"## {name}", "", f"`{f'pycharrnn {name} {command.words()}'.rstrip()}`", ""]
    lines += [_sentence(" ".join(command.help.split())), ""]
    if command.arguments:
        lines += ["| argument | what it is |", "| --- | --- |"]
        lines += [*(f"| `<{argument}>` | {_escaped(text)} |" for argument, text in command.arguments), ""]
    for title, fields in help_layout.by_group(command.options):
        lines += [f"| {title} | default | what it is |", "| --- | --- | --- |"]
        lines += [*(_row(command.options, field) for field in fields), ""]
    if command.more_help:
        lines += ["```text", command.more_help(), "```", ""]
    return "\n".join(lines)


def _row(options: type, field: dataclasses.Field) -> str:
    """The line of an option in a table."""
    short = field.metadata["short"]
    value = help_layout.value_of(options, field).replace("|", "\\|")
    flag = f"`-{field.name}{' ' if value else ''}{value}`" + (f", `-{short}`" if short else "")
    mark = " \\*" if field.metadata["charrnn"] else ""
    return f"| {flag}{mark} | {_default_cell(field.default)} | {_escaped(field.metadata['help'].strip())} |"


def _default_cell(default: object) -> str:
    """A default for its cell of a table."""
    value = help_layout.default_as_text(default)
    if not value:
        return ""
    return f"`{value}`" if isinstance(default, str) else value


def _escaped(text: str) -> str:
    """Text as Markdown shows it in a cell of a table."""
    for special in "\\`*<|":
        text = text.replace(special, "\\" + special)
    return text


def _sentence(text: str) -> str:
    """Text for Markdown, with a full stop."""
    text = _escaped(text)
    return text if text.endswith(".") else text + "."


if __name__ == "__main__":
    with atomic_write(PAGE) as f:
        f.write(page().encode())
    print(f"saved {PAGE}")
