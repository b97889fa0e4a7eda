"""Text out of a file as one line that any terminal may show."""

from __future__ import annotations


def printable(text: bytes | str, most: int = 200) -> str:
    """`text` on one line, of at most `most` characters.

    Control characters, which a terminal would obey instead of showing them, and bytes that are no UTF-8 stand as
    escapes.

    Example:
        >>> printable(b"red\\n\\x1b[31m\\xff")
        'red\\\\n\\\\x1b[31m\\\\xff'
    """
    if isinstance(text, bytes):
        text = text[: 4 * most + 4].decode("utf-8", "surrogateescape")
    shown = "".join(c if c.isprintable() else _escape(c) for c in text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 3] + "..."


def _escape(character: str) -> str:
    """A character as Python writes it in a string: a newline as a backslash and an n."""
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python holds a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
