"""Sentences of the commands in the words of the page, which has fields and buttons where they name flags."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pycharrnn.common.errors import for_command_line

# Flag -> the field of the page that sets it, and the words of its values.
FIELDS: dict[str, tuple[str, dict[str, str]]] = {
    "items": (
        "The text is",
        {
            "line": "a list: each line is an item",
            "blank": "a list: blank lines are between its items",
            "file": "a list: each file is an item",
        },
    ),
    "label": (
        "Label of an item",
        {
            "file": "the name of its file",
            "folder": "the name of its folder",
            "column": "what stands before its first tab",
        },
    ),
    "encoding": ("A character is", {"bytes": "bytes", "utf8": "code points"}),
    "text_encoding": ("Encoding of the files", {}),
    "init_from": ("Start from", {}),
    "minutes": ("Minutes", {}),
    "recipe": ("How long", {"quick": "Quick", "best": "Best"}),
    "savefile": ("Name", {}),
    "resume": ("Go on", {}),
}
_SENTENCES = (
    (r"it is a file of another program, not a \.t7 file: name.*", "it is none of char-rnn, torch-rnn or pycharrnn."),
    (r"it is a text; `pycharrnn train` makes a model of it", "it is a text: Learn makes a model of it"),
    (r"and name the (\.\w+ file) in it", r"and bring the \1 in it"),
    (r"name a checkpoint, cv/checkpoint_\*\.t7", "bring its checkpoint, such as checkpoint_1000.t7"),
    (
        r"name a text; pycharrnn train TEXT -init_from FILE trains the model further",
        'Bring takes it, and "Start from" then trains it further on a text',
    ),
    (r"pycharrnn train .* -items (line|blank) learns", r"-items \1 learns"),
    (r"train without -items(?! \w)", 'train with "The text is: one text"'),
    (
        r"go on with it by (.*), choose another -savefile or -checkpoint_dir, or give it up with -overwrite 1",
        r'choose another "Name", or go on with it by `\1`',
    ),
    (r"choose another -savefile or -checkpoint_dir(?:, or give it up with -overwrite 1)?", 'choose another "Name"'),
    (r", or wait; -lock 0 trains all the same", ", or wait until it has ended"),
    (r"(?:SIGTERM|Ctrl-Break): (finishing the step and saving); a second one stops at once", r"\1"),
    (r"stopped at once by a second signal, (?:SIGTERM|Ctrl-Break)", "stopped at once"),
    (r"stopped by (?:SIGTERM|Ctrl-Break)\b", "stopped"),
    (r"; go on with: pycharrnn train .*", "."),
    (r"-overwrite 1 gives up the log of another run, (.*)\.$", r"\1 begins anew."),
    (r"(?<!train )(-(?:init_from|resume)) (?:cv|models)/\S+?(?=[.,;:]?(?: |$))", r"\1"),
)
_REWORDED = tuple((re.compile(pattern), words) for pattern, words in _SENTENCES)
_ADVICE = re.compile(r"(?:sample from it|write a page that runs it) with: ")  # begins a line that names a command
_FLAG = re.compile(rf"(?<![\w-])(?<!pycharrnn train )-({'|'.join(FIELDS)})\b(?: (\w+))?")


def reword(sentence: str) -> str:
    """A sentence for the page.

    Example:
        >>> reword("-text_encoding overrules this."), reword("add -items line.")
        ('"Encoding of the files" overrules this.', 'add "The text is: a list: each line is an item".')
    """
    sentence = for_command_line(sentence)
    for pattern, words in _REWORDED:
        sentence = pattern.sub(words, sentence)
    return _FLAG.sub(_field, sentence)


def messages(lines: Iterable[str]) -> list[str]:
    """The messages of a training for the page, which has buttons for the commands that some lines name."""
    return [reword(line) for line in lines if not _ADVICE.match(line)]


def _field(found: re.Match[str]) -> str:
    field, values = FIELDS[found[1]]
    if found[2] in values:
        return f'"{field}: {values[found[2]]}"'
    return f'"{field}"' + (f" {found[2]}" if found[2] else "")
