"""Messages in the words of the page, which has fields and buttons where commands have flags."""

from __future__ import annotations

from compat import file_magic
from pycharrnn.common.errors import for_page

# Option -> the field of the page that sets it, and the words for its values.
FIELDS: dict[str, tuple[str, dict[str, str]]] = {
    "items": (
        "The text is",
        {
            "": "one text",
            "line": "a list: each line is an item",
            "blank": "a list: blank lines are between its items",
            "file": "a list: each file is an item",
        },
    ),
    "label": (
        "Label of an item",
        {
            "": "none",
            "file": "the name of its file",
            "folder": "the name of its folder",
            "column": "what stands before its first tab",
        },
    ),
    "encoding": ("A character is", {"": "as the text has it", "bytes": "bytes", "utf8": "code points"}),
    "text_encoding": ("Encoding of the files", {}),
    "minutes": ("Minutes", {}),
    "recipe": ("How long", {"quick": "Quick", "best": "Best"}),
    "savefile": ("Name", {}),
}
# Options whose field offers their values, by the words above.
_OFFERED = ("items", "label", "encoding")
# Options whose value is left out: the path of a checkpoint, which the page names elsewhere.
_OF_CHECKPOINTS = {"init_from": "Start from", "resume": "Go on"}
# Advice of compat, which does not know the page.
_OF_COMPAT = {
    file_magic.OTHER_PROGRAM: "none of char-rnn, torch-rnn or pycharrnn",
    file_magic.TEXT: "a text: Learn makes a model of it",
    file_magic.UNPACK: "unpack it, and bring",
    file_magic.NAME_CHECKPOINT_OF_TORCH_RNN: "bring its checkpoint, such as checkpoint_1000.t7",
}


def field_values() -> dict[str, dict[str, str]]:
    """Option -> its values, and the words for each, for the fields of the page that offer them."""
    return {option: FIELDS[option][1] for option in _OFFERED}


def reword(message: str) -> str:
    """A message, as of `UserError.message`, for the page.

    Example:
        >>> from pycharrnn.common.errors import flag
        >>> reword(f"{flag('text_encoding')} overrules this."), reword(f"add {flag('items', 'line')}.")
        ('"Encoding of the files" overrules this.', 'add "The text is: a list: each line is an item".')
    """
    for words, on_page in _OF_COMPAT.items():
        message = message.replace(words, on_page)
    return for_page(message, _field)


def _field(option: str, value: str | None) -> str | None:
    if option in _OF_CHECKPOINTS:
        return f'"{_OF_CHECKPOINTS[option]}"'
    if option not in FIELDS:
        return None
    field, values = FIELDS[option]
    if value in values:
        return f'"{field}: {values[value]}"'
    return f'"{field}"' + (f" {value}" if value else "")
