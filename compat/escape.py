"""Escapes untrusted text for messages."""

from __future__ import annotations


def escape_line(text: bytes | str, max_length: int | None = 200) -> str:
    """`text` on one line, with control characters and bytes of invalid UTF-8 as backslash escapes.

    A line longer than `max_length` (None: any length) is cut and ends with "...".

    Example:
        >>> escape_line(b"red\\n\\x1b[31m\\xff")
        'red\\\\n\\\\x1b[31m\\\\xff'
    """
    if max_length is None:
        max_length = 10 * len(text) + 3  # the longest escape, \\U0001f600, has ten characters
    if isinstance(text, bytes):
        text = text[: 4 * max_length + 4].decode("utf-8", "surrogateescape")
    line = "".join(c if c.isprintable() else _escape(c) for c in text[: max_length + 1])
    return line if len(line) <= max_length else line[: max_length - 3] + "..."


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of invalid UTF-8, decoded with surrogateescape
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
