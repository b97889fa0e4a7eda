"""Flags in the style of char-rnn, with one dash and values as separate words, for click."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import glob
import math
import os
import re
import typing
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from pycharrnn.cli import help_layout, left_over_words, unknown_flags
from pycharrnn.common import shell_words, standard_streams
from pycharrnn.common.errors import UserError
from pycharrnn.common.option_fields import SWITCH, Ramp

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from click.shell_completion import CompletionItem

    _FlagType = click.ParamType[Any]
else:
    _FlagType = click.ParamType  # not generic in older versions of click

HELP = ("-help", "--help", "-h")
FOLDER = "a folder means the best of the run that trained last"  # in the help of a checkpoint
_SCRIPTS = {  # of char-rnn, and the commands in their place
    "train.lua": "train",
    "sample.lua": "sample",
    "inspect_checkpoint.lua": "inspect",
    "convert_gpu_cpu_checkpoint.lua": "convert",
}
_OTHER_NAMES = {  # what people call a command -> what to type
    "adapt": "score -adapt 1",
    "classify": "which",
    "draw": "sample",
    "export": "convert",
    "finetune": "train -init_from",
    "fine-tune": "train -init_from",
    "generate": "sample",
    "gui": "studio",
    "info": "inspect",
    "learn": "train",
    "perplexity": "score",
    "predict": "sample",
    "resume": "train -resume",
    "show": "inspect",
    "test": "eval",
    "validate": "eval",
    "web": "serve",
}
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


class Command(click.Command):
    """A command whose flags have one dash, and whose -help looks like char-rnn's.

    Args:
        options: "package.module.Class" of the dataclass that declares the flags with option_fields.option; "" = none.
            It is imported when the flags are needed.
        arguments: (name, help) of each positional argument.
        more_help: returns text below the flags in -help.
        needs_output: whether a closed standard output is an error; not where the result goes elsewhere.
    """

    allow_extra_args = True  # for a better message than click's

    def __init__(
        self,
        *of_click: Any,
        options: str = "",
        arguments: Sequence[tuple[str, str]] = (),
        more_help: Callable[[], str] | None = None,
        needs_output: bool = True,
        **more_of_click: Any,
    ) -> None:
        super().__init__(*of_click, **more_of_click)
        # click keeps the names that held when a command was first used, which may have been without its group.
        self.context_settings.setdefault("help_option_names", list(HELP))
        self._home_of_options, self._lacks_flags = options, True
        self.arguments = arguments
        self.more_help, self._needs_output = more_help, needs_output

    def invoke(self, ctx: click.Context) -> Any:
        if not self._needs_output:
            standard_streams.do_without_output()
        return super().invoke(ctx)

    @functools.cached_property
    def options(self) -> type[DataclassInstance] | None:
        """The dataclass that declares the flags, or None."""
        module, _, name = self._home_of_options.rpartition(".")
        options: type[DataclassInstance] | None = getattr(import_module(module), name) if module else None
        return options

    @property
    def params(self) -> list[click.Parameter]:
        """The arguments, then the flags; click appends to this list."""
        if self._lacks_flags:
            self._lacks_flags = False
            if self.options:
                kinds = typing.get_type_hints(self.options)
                self._params += [_flag(field, kinds[field.name]) for field in dataclasses.fields(self.options)]
        return self._params

    @params.setter
    def params(self, params: list[click.Parameter]) -> None:
        self._params = params

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Errors: click.UsageError, also for an unknown flag."""
        if not ctx.resilient_parsing:  # which holds in completion, where only half a word may have been typed
            _check_flags(self, ctx, args)
        typed = list(args)  # click removes the words from `args`
        try:
            left_over = super().parse_args(ctx, args)
        except click.UsageError as e:
            e.ctx = e.ctx or ctx  # so that the message names this command's -help
            if isinstance(e, click.MissingParameter) and isinstance(e.param, click.Argument):
                metavar = e.param.metavar or ""
                described = dict(self.arguments).get(help_layout.argument_name(e.param), "")
                from pycharrnn.cli.console import is_text  # here, since it is for an error only

                if is_text(text := ctx.params.get("model") or ""):
                    command = shell_words.joined(["pycharrnn", self.name or "", "cv", text])
                    raise click.UsageError(
                        f"{text} is a text: name the model before it, as in {command}.", ctx
                    ) from None
                raise click.UsageError(f"Missing argument '{metavar}': {described}.", ctx) from None
            options = [param for param in self.get_params(ctx) if isinstance(param, click.Option) and not param.is_flag]
            kinds = {flag: param.type for param in options for flag in param.opts}
            if isinstance(e, click.BadOptionUsage) and e.option_name in kinds:  # after -help, where _check_flags ends
                raise click.UsageError(_lacks_value(e.option_name, kinds[e.option_name]), ctx) from None
            raise
        if left_over and not ctx.resilient_parsing:
            raise click.UsageError(self._on_left_over(typed, left_over, ctx), ctx)
        return left_over

    def _on_left_over(self, typed: Sequence[str], left_over: Sequence[str], ctx: click.Context) -> str:
        """The message about words that are too many in what was typed."""
        named = [param.metavar or "" for param in self.params if isinstance(param, click.Argument)]
        flags = {flag: param.type for param in self.get_params(ctx) for flag in param.opts}
        text_flags = {flag for flag, kind in flags.items() if not isinstance(kind, (_Number, _RampType))}
        return left_over_words.sentence(self.name or "", named, typed, flags, text_flags, " ".join(left_over))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Completions of a word. Flags have one dash unless two were typed."""
        found = super().shell_complete(ctx, incomplete)
        two_dashes = incomplete.startswith("--")
        return [item for item in found if item.value.startswith("--") == two_dashes or not item.value.startswith("-")]

    def words(self) -> str:
        """Usage after the command's name: [options] <model> <file>..."""
        words = ["[options]"] if self.options else []
        for param in self.params:
            if isinstance(param, click.Argument):
                metavar = param.metavar or ""
                word = f"{metavar}..." if param.nargs == -1 and "..." not in metavar else metavar
                words.append(word if param.required else f"[{word}]")
        return " ".join(words)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        usage = f"{ctx.command_path} {self.words()}".rstrip()
        more = self.more_help() if self.more_help else ""
        formatter.write(help_layout.page(usage, self.help or "", self.arguments, self.options, more))


def _lacks_value(flag: str, kind: object) -> str:
    """That a flag ends the command line without its value."""
    what = "a file" if kind is FILE else "a folder" if kind is _FOLDER else "its value"
    return f"{flag} needs {kind.name if isinstance(kind, (_Number, _RampType)) else what} after it."


def _flag(field: dataclasses.Field[Any], kind: object) -> click.Option:
    names = [f"-{field.name}", f"--{field.name}"]
    if field.metadata["short"]:
        names.append(f"-{field.metadata['short']}")
    allowed = field.metadata["allowed"]
    return click.Option(
        [*names, field.name],
        shell_complete=functools.partial(words_for, allowed.choices) if allowed and allowed.choices else None,
        type=_PATHS[field.metadata["path"]] or (_SWITCH if allowed is SWITCH else _TYPES[kind]),
        default=field.default,
    )


class Group(click.Group):
    """A group of commands that suggests the nearest name for an unknown command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Errors: click.UsageError, also for an unknown flag before the command."""
        if not ctx.resilient_parsing:
            _check_flags(self, ctx, args[:1])
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Errors: click.UsageError."""
        if args and not ctx.resilient_parsing:  # an error in completion would be printed into the typed line
            self.named(ctx, args[0])
        return super().resolve_command(ctx, args)

    def named(self, ctx: click.Context, name: str) -> click.Command:
        """The command of this name. Errors: click.UsageError."""
        if name in self.commands:
            return self.commands[name]
        script = f"{name}.lua" if f"{name}.lua" in _SCRIPTS else os.path.basename(name)
        if ours := _SCRIPTS.get(script):
            raise click.UsageError(f"char-rnn's {script} is pycharrnn {ours} here.", ctx)
        if name == "th":
            raise click.UsageError("pycharrnn runs without th: type pycharrnn train in place of th train.lua.", ctx)
        if os.path.basename(name) == "preprocess.py":
            raise click.UsageError(
                "torch-rnn's preprocess.py is not needed: pycharrnn train reads the text itself.", ctx
            )
        if os.path.exists(name):
            raise click.UsageError(f"{name!r} is not a command; did you mean {_command_for(name)}?", ctx)
        close = difflib.get_close_matches(name.lower(), self.commands, 1)
        if (other := _OTHER_NAMES.get(name.lower(), "")).split(" ")[0] in self.commands:
            close = [other]
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(self.commands)}."
        raise click.UsageError(f"there is no command {name!r}; {hint}", ctx)


def _command_for(path: str) -> str:
    """The command that a file or folder without a command is probably for."""
    from pycharrnn.checkpoints import folder_files  # here, since they are for an error only
    from pycharrnn.cli.console import is_checkpoint

    try:
        has_model = bool(folder_files.newest_first(path)) if os.path.isdir(path) else is_checkpoint(path)
    except UserError:
        has_model = False
    return shell_words.joined(["pycharrnn", "sample" if has_model else "train", path])


_LONG_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2212"  # which word processors write in the place of -


def _check_flags(command: click.Command, ctx: click.Context, args: list[str]) -> None:
    """Errors: click.UsageError for an unknown flag; click would read -tmperature as -t with the value mperature."""
    options = [param for param in command.get_params(ctx) if isinstance(param, click.Option)]
    by_flag = {flag: param for param in options for flag in param.opts}
    words = iter(args)
    for word in words:
        flag = word.split("=", 1)[0]
        if word in HELP or word == "--":
            return
        if flag in by_flag:
            if flag != word and len(flag) == 2:  # click would take the = for a part of the value
                raise click.UsageError(f"type {flag} {word[3:]}, with a space in place of the =", ctx)
            kind, value = by_flag[flag].type, next(words, None) if flag == word else ""
            if value is None and not by_flag[flag].is_flag:
                raise click.UsageError(_lacks_value(flag, kind), ctx)
            if value in by_flag and isinstance(kind, (_Number, _RampType)):
                raise click.UsageError(f"{flag} needs {kind.name}, but {value} follows.", ctx)
        elif word[:1] in _LONG_DASHES and f"-{flag.lstrip(_LONG_DASHES)}" in by_flag:
            typed = f"-{flag.lstrip(_LONG_DASHES)}"
            raise click.UsageError(f"{flag} begins with a long dash instead of a hyphen: type {typed}", ctx)
        elif word.startswith("-") and word != "-":
            said = unknown_flags.instead(command, ctx, [word, *words], by_flag)
            raise click.UsageError(f"there is no flag {flag}{said}", ctx)
