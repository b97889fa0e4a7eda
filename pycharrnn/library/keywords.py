"""Options as keyword arguments, with messages that name them as such."""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import reprlib
import typing
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pycharrnn.common import path_argument
from pycharrnn.common.errors import UserError, in_words_of_a_program
from pycharrnn.common.option_fields import SWITCH, Ramp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from _typeshed import DataclassInstance

_Drawn = TypeVar("_Drawn")
_AnyOptions = TypeVar("_AnyOptions", bound="DataclassInstance")


def options_of(
    kind: type[_AnyOptions], values: Mapping[str, object], caller: str, names: Iterable[str] | None = None
) -> _AnyOptions:
    """Make an options object from arguments of `caller`, which accepts the options `names` (None = all).

    Errors: TypeError for an unknown option or a wrong type; UserError for a value that is not allowed.
    """
    every = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    hints = {field.name: bool if field.metadata["allowed"] is SWITCH else every[field.name] for field in fields}
    known = list(hints if names is None else names)
    for name in values:
        if name not in known:
            close = [other for other in known if other.startswith(name)] or difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}."
            raise TypeError(f"{caller}() has no option {name!r}; {hint}")
    # Defaults such as 0 as well, since checkpoints in JSON tell 0 from 0.0.
    numbers = {field.name: field.default for field in fields if hints[field.name] is float}
    converted = {name: _converted(name, value, hints[name]) for name, value in {**numbers, **values}.items()}
    with in_words_of_a_program():
        return kind(**converted)


def _converted(name: str, value: object, kind: object) -> Any:
    convert, what = _CONVERSIONS[kind]
    try:
        found = convert(value)
    except OverflowError:
        raise UserError(f"{name} is too large: {reprlib.repr(value)}.") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be {what}, not {reprlib.repr(value)}") from None
    if isinstance(found, str) and name != "stop":
        path_argument.check(name, found)  # all options of type str except `stop` are paths or words
    return found


def switch(name: str, value: object) -> bool:
    """The argument `name` of type bool. Errors: TypeError unless it is True, False, 1 or 0."""
    return bool(_converted(name, value, bool))


def _number(value: object) -> float:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError
    found = float(value)
    if math.isnan(found):
        raise ValueError
    return found


def _whole(value: object) -> int:
    number = _number(int(value) if isinstance(value, bool) else value)  # True for 1
    if not number.is_integer():
        raise ValueError
    return int(value)  # type: ignore[call-overload, no-any-return]  # a number


def _switch(value: object) -> int:
    number = _whole(bool(value) if isinstance(value, np.bool_) else value)
    if number not in (0, 1):
        raise ValueError
    return number


def _ramp(value: object) -> Ramp:
    if isinstance(value, str) and ":" in value:
        value = tuple(map(float, value.split(":")))
    if isinstance(value, (tuple, list)):
        first, last = map(_number, value)
        return first, last
    return _number(value)


def _text(value: object) -> str:
    return str(os.fsdecode(value))  # type: ignore[arg-type]  # which raises TypeError for what is none


_CONVERSIONS: dict[object, tuple[Callable[[object], Any], str]] = {
    bool: (_switch, "True or False"),  # of a program; 1 or 0 on the command line
    int: (_whole, "a whole number"),
    float: (_number, "a number"),
    Ramp: (_ramp, "a number, or two: (A, B)"),
    str: (_text, "a str"),
}


def for_a_program(drawn: Iterator[_Drawn]) -> Iterator[_Drawn]:
    """What a sampler yields; its UserErrors name keyword arguments, and NumPy does not warn of infinity and NaN."""
    with in_words_of_a_program():
        while True:
            with np.errstate(all="ignore"):  # the sampler finds them itself; the caller keeps its own setting
                one = next(drawn, None)
            if one is None:
                return
            yield one
