"""SampledText: what a function that samples one text returns, piece by piece."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

_Piece = TypeVar("_Piece")
_Args = ParamSpec("_Args")


class SampledText(Generic[_Piece]):
    """The pieces of one text, each sampled when it is asked for; to be iterated over once.

    Attributes:
        ended_early: after the last piece, whether the text ends there because -max_copy left no character.
    """

    def __init__(self, pieces: Generator[_Piece, None, bool]) -> None:
        self._pieces = pieces
        self.ended_early = False

    def __iter__(self) -> Iterator[_Piece]:
        self.ended_early = yield from self._pieces


def sampled_text(
    function: Callable[_Args, Generator[_Piece, None, bool]],
) -> Callable[_Args, SampledText[_Piece]]:
    """Make a generator that returns whether the text ended early return a SampledText."""

    @functools.wraps(function)
    def returned(*args: _Args.args, **keywords: _Args.kwargs) -> SampledText[_Piece]:
        return SampledText(function(*args, **keywords))

    return returned
