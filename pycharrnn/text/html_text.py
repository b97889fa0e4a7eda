"""Reads HTML as its text: without tags, scripts and styles, with a line for each block."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser

MAX_BYTES = 1 << 24  # of a file; the parser needs memory for all of it
_SKIPPED = ("script", "style", "template", "title")
_LINES = (
    "br dd dt div li tr section article header footer nav aside main figure figcaption address option legend hr"
    " center details summary hgroup dialog"
)
_PARAGRAPHS = "p h1 h2 h3 h4 h5 h6 ul ol dl menu dir blockquote pre table form fieldset body"
_BREAKS = dict.fromkeys(_LINES.split(), 1) | dict.fromkeys(_PARAGRAPHS.split(), 2)
_SPACE = re.compile(r"[ \t\n\r\f]+")
_TAG = re.compile(r"<([^ \t\n\r\f/>]+)")
# In a tag: its end, an attribute's unquoted value, or the opening quote of a quoted one.
_END_OR_VALUE = re.compile(r"""(?P<end>/?>)|=[ \t\n\r\f]*(?:(?P<quote>["'])|[^ \t\n\r\f"'>][^ \t\n\r\f>]*)""")
# A reference to a character by a number beyond Unicode. Python raises ValueError for numbers of thousands of digits.
_BEYOND_UNICODE = re.compile(r"&#[0-9]{100,};?")


def text_of(pieces: Iterable[str]) -> Iterator[str]:
    """The text of a page, which the parser needs as a whole."""
    page = _BEYOND_UNICODE.sub("\N{REPLACEMENT CHARACTER}", _with_closed_comments("".join(pieces)))
    end = page.rfind(">") + 1  # the parser takes quadratic time where many tags are not closed
    reader = _Reader()
    reader.feed(page[:end])
    reader.close()
    reader.handle_data(html.unescape(page[end:]))
    text = "".join(reader.parts).strip("\ufeff\n")
    yield text + "\n" if text else ""


def _with_closed_comments(page: str) -> str:
    """The page with comments that do not end as text; the parser would search for the end of each of them."""
    end = page.rfind("-->") + 1
    return page[:end] + page[end:].replace("<!--", "&lt;!--")


class _Reader(HTMLParser):
    """Collects the text in `parts`: blank space is collapsed as in a browser, except within <pre>."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._skipped = ""  # the tag whose content is left out
        self._pre = 0
        self._newlines = 2  # at the end of `parts`
        self._space = False  # whether a blank comes before the next word

    def parse_html_declaration(self, i: int) -> int:
        """Skip <![...]> up to its first >, as browsers do; the parser would search the whole page for another end."""
        if self.rawdata.startswith("<![", i):
            return self.parse_bogus_comment(i)
        return super().parse_html_declaration(i)

    def parse_starttag(self, i: int) -> int:
        """Read a tag without its attributes, for which the parser takes hundreds of times their size in memory."""
        page = self.rawdata
        name, at = _TAG.match(page, i), i
        while (found := _END_OR_VALUE.search(page, at)) and not found["end"]:
            at = found.end()
            if found["quote"]:
                at = max(page.find(found["quote"], at) + 1, at)  # a quote that is never closed has no effect
        assert name and found  # text_of cuts the page after its last >
        tag = name[1].lower()
        if found["end"] == "/>":
            self.handle_startendtag(tag, [])
        else:
            self.handle_starttag(tag, [])
            if tag in self.CDATA_CONTENT_ELEMENTS:
                self.set_cdata_mode(tag)
        return found.end()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a line, or skip the element."""
        if tag in _SKIPPED and not self._skipped:
            self._skipped = tag
        elif tag == "body":
            self._skipped = ""  # a <title> without an end
        self._break(tag)
        if tag in ("td", "th"):  # their end tags may be left out
            self._space = True
        self._pre += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        """End a line, or what is skipped."""
        if tag == self._skipped:
            self._skipped = ""
        if tag != "br":
            self._break(tag)
        if tag == "pre":
            self._pre = max(self._pre - 1, 0)

    def handle_data(self, data: str) -> None:
        """Append text."""
        if self._skipped:
            return
        if self._pre:
            self._append(data)
            return
        words = _SPACE.sub(" ", data)
        if words.startswith(" "):
            self._space = True
        if word := words.strip(" "):
            self._append(" " + word if self._space and not self._newlines else word)
            self._space = False
        if words.endswith(" "):
            self._space = True

    def _append(self, text: str) -> None:
        self.parts.append(text)
        self._newlines = len(text) - len(text.rstrip("\n"))

    def _break(self, tag: str) -> None:
        """End the line at a block's tag, with an empty line around paragraphs; <br> always ends one."""
        if self._skipped or tag not in _BREAKS:
            return
        count = 1 if tag == "br" else max(_BREAKS[tag] - self._newlines, 0)
        self.parts.append("\n" * count)
        self._newlines += count
        self._space = False
