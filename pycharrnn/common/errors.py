"""The exception for faults that the user can correct, whose message names options as the reader gives them.

A message may have parts with several wordings: for the command line, for a program and for the page of the studio.
`flag`, `wordings` and `on_page` make such parts; `for_command_line`, `for_program` and `for_page` choose a wording.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from pycharrnn.common.shell_words import quoted

# Unicode reserves these noncharacters for use inside a program. They enclose the wordings of a part of a message: for
# the command line, for a program, and as name=value if the part is an option, which may be a field of the page.
_START, _OR, _END = "\ufdd0", "\ufdd1", "\ufdd2"
_WORDINGS = re.compile(f"{_START}([^{_OR}]*){_OR}([^{_OR}]*){_OR}([^{_END}]*){_END}")
# A part that the page words otherwise: the words elsewhere and those on the page, both perhaps with parts as above.
_START_PAGE, _OR_PAGE, _END_PAGE = "\ufdd3", "\ufdd4", "\ufdd5"
_ON_PAGE = re.compile(f"{_START_PAGE}([^{_OR_PAGE}]*){_OR_PAGE}([^{_END_PAGE}]*){_END_PAGE}")
_WHOLE = 10**20  # smaller ints, such as seeds, are quoted with all their digits


class UserError(Exception):
    """An error that the user can correct; str() is a sentence that says what, which value, and what to do.

    Args:
        message: the sentence; or with `advice`, the clause before it, which says what is wrong.
        advice: what to do, as a clause. options: those that it asks for, which another command may lack.

    Attributes:
        status: the exit status of the command. fault: the argument `message`. options: the argument.
    """

    status = 1

    def __init__(self, message: str = "", advice: str = "", options: Iterable[str] = ()) -> None:
        super().__init__(f"{message}: {advice}." if advice else message)
        self.fault, self.options = message, frozenset(options)

    def __str__(self) -> str:
        return worded(self.message)

    @property
    def message(self) -> str:
        """The sentence with all wordings of its parts, for another UserError or `for_page`."""
        return super().__str__()

    def reword_for_program(self, renamed: Mapping[str, str]) -> None:
        """Name options as keyword arguments, topk=5 for -topk 5; `renamed`: option -> the caller's name."""
        self.args = (for_program(self.message, renamed),)


@contextlib.contextmanager
def in_words_of_a_program(**called: str) -> Iterator[None]:
    """Name options in UserErrors as keyword arguments: temperature=0.5, not -temperature 0.5.

    `called` renames them: primetext="text" if the caller has it as `text`.
    """
    try:
        yield
    except UserError as e:
        e.reword_for_program(called)
        raise


def for_command_line(message: str) -> str:
    """A message with the wording of the command line."""
    return _WORDINGS.sub(r"\1", _ON_PAGE.sub(r"\1", message))


def for_program(message: str, renamed: Mapping[str, str] = MappingProxyType({})) -> str:
    """A message with the wording for programs; `renamed`: option -> the caller's name."""

    def wording(match: re.Match[str]) -> str:
        name, equals, value = match[2].partition("=")
        return renamed.get(name, name) + equals + value

    return _WORDINGS.sub(wording, _ON_PAGE.sub(r"\1", message))


def for_page(message: str, field: Callable[[str, str | None], str | None]) -> str:
    """A message with the wording for the page of the studio.

    `field(option, value)` returns the page's words for an option, or None to keep the flag. `value` is None where the
    message names the option alone.
    """

    def wording(match: re.Match[str]) -> str:
        name, equals, value = match[3].partition("=")
        shown = field(name, value if equals else None) if name else None
        return match[1] if shown is None else shown

    return _WORDINGS.sub(wording, _ON_PAGE.sub(r"\2", message))


def worded(message: str) -> str:
    """A message with the wording of this process: that of the command line unless `use_wording` has set another."""
    return _wording(message)


def use_wording(wording: Callable[[str], str]) -> None:
    """Print the messages of this process, also str() of a UserError, as `wording` words them."""
    global _wording
    _wording = wording


_wording: Callable[[str], str] = for_command_line


def flag(name: str, value: float | str | None = None) -> str:
    """An option in a message: -topk 5 on the command line, topk=5 in a program, a field on the page."""
    if value is None:
        return _part(f"-{name}", name, name)
    if isinstance(value, str):
        return _part(f"-{name} {quoted(value)}", f"{name}={value!r}", f"{name}={value}")
    digits = str(value) if isinstance(value, int) and abs(value) < _WHOLE else f"{value:.10g}"
    return _part(f"-{name} {digits}", f"{name}={digits}", f"{name}={digits}")


def wordings(command_line: str, program: str) -> str:
    """A part of a message that differs between the command line and a program. The page has the first wording."""
    return _part(command_line, program, "")


def on_page(words: str, *, elsewhere: str) -> str:
    """A part of a message that is `words` on the page of the studio, which has fields and buttons for commands.

    Both may have parts made by `flag` and `wordings`.
    """
    return f"{_START_PAGE}{elsewhere}{_OR_PAGE}{words}{_END_PAGE}"


def _part(command_line: str, program: str, option: str) -> str:
    return f"{_START}{command_line}{_OR}{program}{_OR}{option}{_END}"
