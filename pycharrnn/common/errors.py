"""The exception for faults that the user can correct, whose message names options as the caller gives them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from pycharrnn.common.shell_words import quoted

# Unicode reserves these noncharacters for use inside a program. They enclose the two wordings of a part of a message.
_START, _OR, _END = "\ufdd0", "\ufdd1", "\ufdd2"
_WHOLE = 10**20  # smaller ints, such as seeds, are quoted with all their digits
_WORDINGS = re.compile(f"{_START}([^{_OR}]*){_OR}([^{_END}]*){_END}")


class UserError(Exception):
    """An error that the user can correct; str() is a sentence that says what, which value, and what to do.

    Attributes:
        status: the exit status of the command.
    """

    # The message may have parts made by `flag` or `wordings`, in which str() names options as flags.

    status = 1

    def __str__(self) -> str:
        return for_command_line(super().__str__())

    def reword_for_program(self, renamed: Mapping[str, str]) -> None:
        """Name options as keyword arguments, topk=5 for -topk 5; `renamed`: option -> the caller's name."""
        self.args = (for_program(super().__str__(), renamed),)


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
    return _WORDINGS.sub(r"\1", message)


def for_program(message: str, renamed: Mapping[str, str] = MappingProxyType({})) -> str:
    """A message with the wording for programs; `renamed`: option -> the caller's name."""

    def wording(match: re.Match[str]) -> str:
        name, equals, value = match[2].partition("=")
        return renamed.get(name, name) + equals + value

    return _WORDINGS.sub(wording, message)


def flag(name: str, value: float | str | None = None) -> str:
    """An option in the message of a UserError: -topk 5 on the command line, topk=5 in a program."""
    if value is None:
        return wordings(f"-{name}", name)
    if isinstance(value, str):
        return wordings(f"-{name} {quoted(value)}", f"{name}={value!r}")
    digits = str(value) if isinstance(value, int) and abs(value) < _WHOLE else f"{value:.10g}"
    return wordings(f"-{name} {digits}", f"{name}={digits}")


def wordings(command_line: str, program: str) -> str:
    """A part of a UserError's message, or of a note, that differs between the command line and a program."""
    return f"{_START}{command_line}{_OR}{program}{_END}"
