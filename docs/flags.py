"""Write flags.md, every flag of every command, from where they are declared: python docs/flags.py

Run it after a change to an options.py or to the help of a command; tests/test_docs.py tells when that was
forgotten.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from compat.whole_file import whole_file
from pycharrnn.cli.commands import cli
from pycharrnn.cli.flags import Command, default_as_text

PAGE = Path(__file__).with_name("flags.md")

INTRODUCTION = """\
# Every flag

Written by `python docs/flags.py` from the `options.py` of each room; `pycharrnn COMMAND -help` prints the same.

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
    names = "".join(f" <{argument}>" for argument, _ in command.arguments)
    fields = dataclasses.fields(command.options) if command.options else ()
    own = getattr(command.options, "not_in_char_rnn", ())
    lines = [f"## {name}", "", f"`pycharrnn {name}{' [options]' if fields else ''}{names}`", ""]
    lines += [_sentence(" ".join(command.help.split())), ""]
    rows = [(f"`<{argument}>`", text, None) for argument, text in command.arguments]
    rows += [_row(field) for field in fields if field.name not in own]
    lines += _table(rows)
    if own:
        lines += ["Flags that char-rnn lacks:", "", *_table([_row(field) for field in fields if field.name in own])]
    if command.epilog:
        lines += ["```text", command.epilog, "```", ""]
    return "\n".join(lines)


def _row(field: dataclasses.Field) -> tuple[str, str, object]:
    """(flag, help, default) of an option."""
    short = field.metadata["short"]
    flag = f"`-{field.name}`" + (f", `-{short}`" if short else "")
    return flag, field.metadata["help"].strip(), field.default


def _table(rows: list[tuple[str, str, object]]) -> list[str]:
    """Rows of (flag, help, default) as the lines of a table."""
    if not rows:
        return []
    lines = ["| flag | default | what it is |", "| --- | --- | --- |"]
    for flag, text, default in rows:
        lines.append(f"| {flag} | {_default_cell(default)} | {_escaped(text)} |")
    return [*lines, ""]


def _default_cell(default: object) -> str:
    """A default for its cell of a table."""
    value = default_as_text(default)
    if value is None:
        return ""
    if not value:
        return "empty"
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
    with whole_file(PAGE) as f:
        f.write(page().encode())
    print(f"saved {PAGE}")
