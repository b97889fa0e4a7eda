"""The command lines of trainings: choices of a client as words of `pycharrnn train`, which its options check."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pycharrnn.common import shell_words
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.option_fields import GROUPS, SWITCH, as_words
from pycharrnn.server.studio import page_words
from pycharrnn.server.studio.run_schemas import NewRun
from pycharrnn.server.studio.studio_paths import CHECKPOINTS, Refusal
from pycharrnn.server.studio.text_schemas import FlagFacts, FlagList
from pycharrnn.training import time_plan
from pycharrnn.training.options import TrainOptions

LOG_ENDING = ".csv"
_LOG_SECONDS = 2  # between rows of the log, from which the page shows how far a run is
# Flags that a request has fields for, and those that this server sets: a client names no path on its machine.
_FIELDS = {"recipe", "minutes", "items", "label", "encoding", "text_encoding", "init_from"}
_PATHS = {field.name for field in dataclasses.fields(TrainOptions) if field.metadata["path"]}
_OWN = {"from_texts", "savefile", "log_every_seconds", "overwrite", "lock", "progress"} | (_PATHS - _FIELDS)
_KINDS: dict[object, Literal["integer", "number", "text"]] = {int: "integer", float: "number", str: "text"}


def flag_list() -> FlagList:
    """The flags of `train` that a client may give, and the words for the values of those with fields of their own."""
    return FlagList(flags=_flag_facts(), choices=page_words.field_values())


def _flag_facts() -> list[FlagFacts]:
    """With their help, in the order of -help."""
    types = typing.get_type_hints(TrainOptions)
    fields = [f for f in dataclasses.fields(TrainOptions) if f.name not in _OWN | _FIELDS]
    fields.sort(key=lambda f: list(GROUPS).index(f.metadata["group"]))
    found = []
    for field in fields:
        allowed = field.metadata["allowed"]
        choices = list(allowed.choices) if allowed else []
        kind = "switch" if allowed is SWITCH else "choice" if choices else _KINDS[types[field.name]]
        found.append(
            FlagFacts(
                name=field.name,
                default=field.default,  # type: ignore[arg-type]  # every option has one
                help=field.metadata["help"].strip(),
                group=GROUPS[field.metadata["group"]],
                kind=kind,
                allowed=allowed.text if allowed else "",
                choices=choices,
            )
        )
    return found


def start_words(paths: Sequence[str], name: str, asked: NewRun, init_from: str) -> list[str]:
    """The words of a new training. `init_from`: path of a checkpoint, or "". Errors: UserError; Refusal."""
    values: dict[str, Any] = {"minutes": asked.minutes} if asked.choice == "minutes" else {"recipe": asked.choice}
    if asked.choice == "minutes" and asked.minutes is None:
        raise Refusal(422, "minutes: say for how many minutes to train.")
    typed = {"items": asked.items, "label": asked.label, "encoding": asked.encoding}
    values |= {option: value for option, value in typed.items() if value}
    values |= {"text_encoding": asked.text_encoding} if asked.text_encoding else {}
    values |= {"init_from": init_from} if init_from else {}
    values |= _checked_flags(asked.flags)
    values |= {"savefile": name, "log": log_of(name), "log_every_seconds": _LOG_SECONDS}
    options = TrainOptions(**values)
    if {"train_frac", "val_frac"} <= values.keys():
        options.check_fractions()
    time_plan.check(options, values, 1)
    return ["train", *paths, *_words(values)]


def resume_words(name: str, flags: Sequence[str], minutes: float | None) -> list[str]:
    """The words that go on with a run from its last state, which `train` finds. `flags`: as `resume_flags` has them."""
    values = {"resume": CHECKPOINTS, "savefile": name, "log": log_of(name), "log_every_seconds": _LOG_SECONDS}
    return ["train", *_words(values), *flags, *_words({} if minutes is None else {"minutes": minutes})]


def again_words(words: Sequence[str]) -> list[str]:
    """The words that begin a training anew which has written its log, but no checkpoint."""
    return [*words, "-overwrite", "1"]


def resume_flags(asked: NewRun) -> list[str]:
    """The words of a new training that it needs again to go on: ["-show", "200"]. Errors: UserError; Refusal."""
    return TrainOptions(**{"show": time_plan.SHOWN, **_checked_flags(asked.flags)}).resume_flags()


def are_resume_flags(words: Sequence[str]) -> bool:
    """Whether `resume_flags` could have made these words, whatever their values are."""
    return set(words[::2]) <= {f"-{name}" for name in TrainOptions.unrecorded() - _OWN}


def log_of(name: str) -> str:
    return f"{CHECKPOINTS}/{name}{LOG_ENDING}"


def as_typed(words: Sequence[str]) -> str:
    """A command as it is typed in a shell."""
    return shell_words.joined(["pycharrnn", *words])


def _checked_flags(flags: Mapping[str, int | float | str]) -> dict[str, Any]:
    """The values of flags, of the types of their options. Errors: UserError; Refusal."""
    types = typing.get_type_hints(TrainOptions)
    values: dict[str, Any] = {}
    for name, value in flags.items():
        if name in _OWN:
            raise Refusal(422, f"flags: {name} is chosen by the studio: leave it out.")
        if name in _FIELDS:
            raise Refusal(422, f"flags: {name} has a field of its own: {name}.")
        if name not in types:
            raise Refusal(422, f"flags: there is no flag {escape_line('-' + name, 50)}.")
        values[name] = _converted(name, value, types[name])
    return values


def _converted(name: str, value: int | float | str, kind: object) -> int | float | str:
    """Errors: UserError for a value of another type than the option's."""
    if kind is str:
        return str(value)
    try:
        number = float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if math.isnan(number) or (kind is int and not number.is_integer()):
        what = "a whole number" if kind is int else "a number"
        raise UserError(f"{flag(name)} needs {what}, not {value!r}.")
    if kind is int and isinstance(value, int):
        return value  # a double may be another number
    return int(number) if kind is int else number


def _words(values: Mapping[str, Any]) -> list[str]:
    """{"rnn_size": 128, "minutes": 5.0} -> ["-rnn_size", "128", "-minutes", "5"]"""
    return [word for name, value in values.items() for word in as_words(name, value)]
