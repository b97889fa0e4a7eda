"""Commands whose flags are in the style of char-rnn, with one dash and values as separate words, for click."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from pycharrnn.cli import flag_types, help_layout, left_over_words, unknown_flags
from pycharrnn.common import shell_words, standard_streams

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from click.shell_completion import CompletionItem

HELP = ("-help", "--help", "-h")
FOLDER = "a folder means the best of the run that trained last"  # in the help of a checkpoint


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
            check_flags(self, ctx, args)
        typed = list(args)  # click removes the words from `args`
        try:
            left_over = super().parse_args(ctx, args)
        except click.UsageError as e:
            e.ctx = e.ctx or ctx  # so that the message names this command's -help
            if isinstance(e, click.MissingParameter) and isinstance(e.param, click.Argument):
                metavar = e.param.metavar or ""
                described = dict(self.arguments).get(help_layout.argument_name(e.param), "")
                from pycharrnn.cli.input_files import is_text  # here, since it is for an error only

                if is_text(text := ctx.params.get("model") or ""):
                    command = shell_words.joined(["pycharrnn", self.name or "", "cv", text])
                    raise click.UsageError(
                        f"{text} is a text: name the model before it, as in {command}.", ctx
                    ) from None
                raise click.UsageError(f"Missing argument '{metavar}': {described}.", ctx) from None
            options = [param for param in self.get_params(ctx) if isinstance(param, click.Option) and not param.is_flag]
            kinds = {flag: param.type for param in options for flag in param.opts}
            if isinstance(e, click.BadOptionUsage) and e.option_name in kinds:  # after -help, where check_flags ends
                raise click.UsageError(_lacks_value(e.option_name, kinds[e.option_name]), ctx) from None
            raise
        if left_over and not ctx.resilient_parsing:
            raise click.UsageError(self._on_left_over(typed, left_over, ctx), ctx)
        return left_over

    def _on_left_over(self, typed: Sequence[str], left_over: Sequence[str], ctx: click.Context) -> str:
        """The message about words that are too many in what was typed."""
        named = [param.metavar or "" for param in self.params if isinstance(param, click.Argument)]
        flags = {flag: param.type for param in self.get_params(ctx) for flag in param.opts}
        text_flags = {flag for flag, kind in flags.items() if not flag_types.is_number(kind)}
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


def _lacks_value(flag: str, kind: click.ParamType[Any]) -> str:
    """That a flag ends the command line without its value."""
    return f"{flag} needs {flag_types.described(kind)} after it."


def _flag(field: dataclasses.Field[Any], kind: object) -> click.Option:
    names = [f"-{field.name}", f"--{field.name}"]
    if field.metadata["short"]:
        names.append(f"-{field.metadata['short']}")
    choices = field.metadata["allowed"] and field.metadata["allowed"].choices
    return click.Option(
        [*names, field.name],
        shell_complete=functools.partial(flag_types.words_for, choices) if choices else None,
        type=flag_types.type_of(field, kind),
        default=field.default,
    )


_LONG_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2212"  # which word processors write in the place of -


def check_flags(command: click.Command, ctx: click.Context, args: list[str]) -> None:
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
            if value in by_flag and flag_types.is_number(kind):
                raise click.UsageError(f"{flag} needs {kind.name}, but {value} follows.", ctx)
        elif word[:1] in _LONG_DASHES and f"-{flag.lstrip(_LONG_DASHES)}" in by_flag:
            typed = f"-{flag.lstrip(_LONG_DASHES)}"
            raise click.UsageError(f"{flag} begins with a long dash instead of a hyphen: type {typed}", ctx)
        elif word.startswith("-") and word != "-":
            said = unknown_flags.instead(command, ctx, [word, *words], by_flag)
            raise click.UsageError(f"there is no flag {flag}{said}", ctx)
