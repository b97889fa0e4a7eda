"""The exception for faults that the user can correct, whose message names options as the caller gives them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pycharrnn.common.shell_words import quoted

# Unicode reserves these noncharacters for use inside a program. They enclose the two wordings of a part of a message.
_START, _OR, _END = "\ufdd0", "\ufdd1", "\ufdd2"
_WORDINGS = re.compile(f"{_START}([^{_OR}]*){_OR}([^{_END}]*){_END}")


class UserError(Exception):
    """A fault that the user can correct; the message says what, which value, and what to do.

    str() names options as flags. Parts made by `flag` or `wordings` have another wording for programs.
    """

    status = 1  # the exit status

    def __str__(self) -> str:
        return _WORDINGS.sub(r"\1", super().__str__())

    def reword_for_program(self, renamed: Mapping[str, str]) -> None:
        """Name options as keyword arguments, topk=5 for -topk 5; `renamed`: option -> the caller's name."""

        def program_wording(match: re.Match[str]) -> str:
            name, equals, value = match[2].partition("=")
            return renamed.get(name, name) + equals + value

        self.args = (_WORDINGS.sub(program_wording, super().__str__()), *self.args[1:])


def flag(name: str, value: float | str | None = None) -> str:
    """An option in the message of a UserError: -topk 5 on the command line, topk=5 in a program."""
    if value is None:
        return wordings(f"-{name}", name)
    if isinstance(value, str):
        return wordings(f"-{name} {quoted(value)}", f"{name}={value!r}")
    return wordings(f"-{name} {value:.10g}", f"{name}={value:.10g}")


def wordings(command_line: str, program: str) -> str:
    """A part of the message of a UserError that differs between the command line and a program."""
    return f"{_START}{command_line}{_OR}{program}{_END}"
