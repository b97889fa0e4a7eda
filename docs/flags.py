"""Generate flags.md, the reference of all flags, from the options.py files: python docs/flags.py

Run it after a change to an options.py or to a command's help; tests/test_docs.py fails if flags.md is out of date.
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

`python docs/flags.py` writes this page from the `options.py` of each package. `pycharrnn help COMMAND` and `pycharrnn
COMMAND -help` print the same. Flags with a \\* are char-rnn's own, with its texts and defaults. With the defaults of
all others, a training has char-rnn's log lines, digits and checkpoint names.
[Old checkpoints](old-checkpoints.md#which-flag-is-which) lists them beside the flags of char-rnn and torch-rnn.

A flag and its value are two words: `-rnn_size 256`. `--rnn_size 256` and `--rnn_size=256` work too. Numbers may be
written as in Lua (`50`, `5e1`), and switches are 1 or 0. Quote text with spaces: `-primetext "The "`. In `-stop`,
`\\n` is a newline, `\\r` a carriage return, `\\t` a tab and `\\\\` a backslash; in `-primetext` too if the model has no
backslash, or if the text is nothing but `\\n`, `\\r` and `\\t`. Otherwise `-primetext` is taken as it is, as in
char-rnn.

| exit status | meaning |
| --- | --- |
| 0 | success |
| 1 | an error, with one sentence on stderr, also for a value that is not allowed, flags that exclude each other, or a \
file that does not exist; or stdout was closed (`\\| head`), which only `train` reports |
| 2 | an unknown command or flag; a value that is not a number; a missing argument, one too many, or two in the wrong \
order |
| 3 | a training that diverged |
| 130, 143, 129, 149 | Ctrl-C, SIGTERM, SIGHUP, Ctrl-Break on Windows |
"""


def page() -> str:
    return "\n".join([INTRODUCTION, *(_section(name, command) for name, command in cli.commands.items())])


def _section(name: str, command: Command) -> str:
    lines = [f"## {name}", "", f"`{f'pycharrnn {name} {command.words()}'.rstrip()}`", ""]
    lines += [_sentence(" ".join(command.help.split())), ""]
    rows = [f"| `<{argument}>` | | {_escaped(text)} |" for argument, text in command.arguments]
    for title, fields in help_layout.by_group(command.options):
        rows += [f"| **{title}** | | |", *(_row(command.options, field) for field in fields)]
    if rows:
        lines += ["| argument or flag | default | description |", "| --- | --- | --- |", *rows, ""]
    if command.more_help:
        lines += ["```text", command.more_help(), "```", ""]
    return "\n".join(lines)


def _row(options: type, field: dataclasses.Field) -> str:
    short = field.metadata["short"]
    value = help_layout.value_of(options, field).replace("|", "\\|")
    flag = f"`-{field.name}{' ' if value else ''}{value}`" + (f", `-{short}`" if short else "")
    mark = " \\*" if field.metadata["charrnn"] else ""
    return f"| {flag}{mark} | {_default_cell(field.default)} | {_escaped(field.metadata['help'].strip())} |"


def _default_cell(default: object) -> str:
    value = help_layout.default_as_text(default)
    if not value:
        return ""
    return f"`{value}`" if isinstance(default, str) else value


def _escaped(text: str) -> str:
    """Escape text for a cell of a Markdown table."""
    for special in "\\`*<|":
        text = text.replace(special, "\\" + special)
    return text


def _sentence(text: str) -> str:
    text = _escaped(text)
    return text if text.endswith(".") else text + "."


if __name__ == "__main__":
    with atomic_write(PAGE) as f:
        f.write(page().encode())
    print(f"saved {PAGE}")
