"""What the values of flags and arguments may be, as click's types: numbers as Lua reads them, ramps, paths."""

from __future__ import annotations

import dataclasses
import glob
import math
import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from pycharrnn.common.option_fields import SWITCH, Ramp

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    _FlagType = click.ParamType[Any]
else:
    _FlagType = click.ParamType  # not generic in older versions of click

_SHELL_FINDS_FILES = os.name != "nt"  # which *.txt stands for; Windows' shells leave that to the program


class _Number(_FlagType):
    """A number as Lua reads it: 50, 50.0, 5e1, 0x32."""

    def __init__(self, whole: bool) -> None:
        self.whole = whole
        self.name = "a whole number" if whole else "a number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Errors: click.UsageError."""
        try:
            number = _lua_number(value)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isnan(number) or (self.whole and not number.is_integer()):
            flag = param.opts[0] if param else ""
            with_point = re.fullmatch(r"(-?\d+),(\d+)", value) if isinstance(value, str) and not self.whole else None
            hint = f": write {with_point[1]}.{with_point[2]}" if with_point else ""
            raise click.UsageError(f"{flag} needs {self.name}, not {value!r}{hint}.", ctx)
        return int(number) if self.whole else number


def _lua_number(value: Any) -> float:
    """Errors: ValueError; OverflowError."""
    if isinstance(value, str):
        if "_" in value or not value.isascii():  # which Python reads, and Lua does not
            raise ValueError
        if re.match(r"\s*[+-]?0x", value, re.IGNORECASE):
            return float(int(value, 16))
    return float(value)


class _Switch(_Number):
    """0 or 1."""

    def __init__(self) -> None:
        super().__init__(whole=True)
        self.name = "0 or 1"


class _RampType(_FlagType):
    """A number, or A:B for a ramp from A to B."""

    name = "a number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Ramp:
        """Errors: click.UsageError."""
        if isinstance(value, str) and value.count(":") == 1:
            first, last = value.split(":")
            return _NUMBER.convert(first, param, ctx), _NUMBER.convert(last, param, ctx)
        return _NUMBER.convert(value, param, ctx)


_NUMBER = _Number(whole=False)
_TYPES: dict[object, click.ParamType[Any]] = {
    int: _Number(whole=True),
    float: _NUMBER,
    Ramp: _RampType(),
    str: click.STRING,
}
_SWITCH = _Switch()


class _Path(click.Path):
    """A path that the shell completes; it may not exist."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | os.PathLike[str]:
        """The path unchanged. Errors: click.UsageError for an argument that is empty."""
        if value == "" and isinstance(param, click.Argument):
            raise click.UsageError("the name of a file or folder is empty: is a variable of the shell not set?", ctx)
        return value


FILE = _Path()
_FOLDER = _Path(file_okay=False)
_PATHS = {"": None, "file": FILE, "dir": _FOLDER, "any": FILE}


def type_of(field: dataclasses.Field[Any], kind: object) -> click.ParamType[Any]:
    """The type of a flag's values. `field`: declared with option_fields.option; `kind`: its type annotation."""
    is_switch = field.metadata["allowed"] is SWITCH
    return _PATHS[field.metadata["path"]] or (_SWITCH if is_switch else _TYPES[kind])


def is_number(kind: click.ParamType[Any]) -> bool:
    """Whether the values of a type are numbers, or ramps from one to another."""
    return isinstance(kind, (_Number, _RampType))


def described(kind: click.ParamType[Any]) -> str:
    """The values of a type in words."""
    if is_number(kind):
        return kind.name
    return "a file" if kind is FILE else "a folder" if kind is _FOLDER else "its value"


def words_for(
    words: Iterable[int | str], _ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Completions of the word `incomplete` to one of `words`: a shell_complete of click."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(word) for word in map(str, words) if word.startswith(incomplete)]


class Files(click.Argument):
    """An argument of any number of paths. Patterns like cv/*.t7 work in every shell."""

    def __init__(self, *of_click: Any, **more_of_click: Any) -> None:
        super().__init__(*of_click, nargs=-1, type=FILE, **more_of_click)

    def type_cast_value(self, ctx: click.Context, value: Any) -> tuple[str, ...]:
        """The paths; a pattern without matches stays as it is."""
        given: tuple[str, ...] = super().type_cast_value(ctx, value)
        if _SHELL_FINDS_FILES:
            return given
        # On Windows, [ is legal in file names; * and ? are not.
        return tuple(path for word in given for path in sorted(glob.glob(word.replace("[", "[[]"))) or [word])
