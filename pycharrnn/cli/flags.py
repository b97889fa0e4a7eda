"""How flags are read and shown: char-rnn's, one dash, values as separate words; -help that looks like char-rnn's."""

from __future__ import annotations

import dataclasses
import difflib
import typing

import click

from pycharrnn.common.option_fields import Ramp

HELP = ("-help", "--help", "-h")


class _Number(click.ParamType):
    """A number as Lua reads one: 50, 50.0, 5e1."""

    def __init__(self, whole: bool):
        self.whole = whole
        self.name = "whole number" if whole else "number"

    def convert(self, value, param, ctx):
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if number != number or (self.whole and not number.is_integer()):
            raise click.UsageError(f"{param.opts[0]} needs a {self.name}, not {value!r}.", ctx)
        return int(number) if self.whole else number


class _Ramp(_Number):
    """A number, or A:B, from A to B."""

    def __init__(self):
        super().__init__(whole=False)

    def convert(self, value, param, ctx):
        if isinstance(value, str) and value.count(":") == 1:
            return tuple(super(_Ramp, self).convert(end, param, ctx) for end in value.split(":"))
        return super().convert(value, param, ctx)


_TYPES = {int: _Number(whole=True), float: _Number(whole=False), Ramp: _Ramp(), str: click.STRING, bool: click.BOOL}


class _Path(click.Path):
    """A path that the shell completes; whoever opens it checks it."""

    def convert(self, value, param, ctx):
        return value


FILE = _Path()
_PATHS = {"": None, "file": FILE, "dir": _Path(file_okay=False)}


class Command(click.Command):
    """A command whose flags have one dash, and whose -help looks like char-rnn's."""

    def __init__(self, *args, options=None, arguments=(), **kwargs):
        super().__init__(*args, **kwargs)
        self.options = options
        self.arguments = arguments  # (name, help)
        if options:
            hints = typing.get_type_hints(options)
            for field in dataclasses.fields(options):
                flags = [f"-{field.name}", f"--{field.name}"]
                if field.metadata["short"]:
                    flags.append(f"-{field.metadata['short']}")
                kind = hints[field.name]
                self.params.append(
                    click.Option(
                        [*flags, field.name],
                        type=_PATHS[field.metadata["path"]] or _TYPES[kind],
                        is_flag=kind is bool,
                        default=field.default,
                    )
                )

    def parse_args(self, ctx, args):
        if not ctx.resilient_parsing:  # as in completion, where a word may be half
            self._check_flags(ctx, args)
        return super().parse_args(ctx, args)

    def _check_flags(self, ctx, args: list[str]) -> None:
        """Name an unknown flag whole: click would take -tmperature for -t with the value mperature."""
        options = [param for param in self.params if isinstance(param, click.Option)]
        known = {flag: param for param in options for flag in param.opts}
        rest = iter(args)
        for word in rest:
            flag = word.split("=", 1)[0]
            if word in HELP or word == "--":
                return
            if flag in known:
                if flag == word and not known[flag].is_flag:
                    next(rest, None)  # its value
            elif word.startswith("-") and word != "-":
                close = difflib.get_close_matches(flag.lstrip("-"), [k.lstrip("-") for k in known], 1, 0.7)
                hint = f"; did you mean -{close[0]}?" if close else "."
                raise click.UsageError(f"there is no flag {flag}{hint}", ctx)

    def shell_complete(self, ctx, incomplete):
        """Each flag once, with one dash unless two have been typed."""
        found = super().shell_complete(ctx, incomplete)
        two = incomplete.startswith("--")
        return [item for item in found if item.value.startswith("--") == two or not item.value.startswith("-")]

    def format_help(self, ctx, formatter):
        fields = dataclasses.fields(self.options) if self.options else ()
        own = getattr(self.options, "not_in_char_rnn", ())
        rows = [(f"<{name}>", text, None) for name, text in self.arguments]
        rows += [(f"-{f.name}", f.metadata["help"], f.default) for f in fields if f.name not in own]
        own_rows = [(f"-{f.name}", f.metadata["help"], f.default) for f in fields if f.name in own]
        names = "".join(f" <{name}>" for name, _ in self.arguments)
        options = " [options]" if fields else ""
        lines = [f"Usage: {ctx.command_path}{options}{names}", "", self.help, "", "Options"]
        lines += _help_lines(rows)
        if own_rows:
            lines += ["", "Options that char-rnn lacks", *_help_lines(own_rows)]
        formatter.write("\n".join(lines) + "\n")


def _help_lines(rows: list[tuple]) -> list[str]:
    """Rows of (flag, help, default) as lines."""
    width = max((len(flag) for flag, _, _ in rows), default=0)
    lines = []
    for flag, text, default in rows:
        if default is None or isinstance(default, bool):
            shown = ""
        else:
            shown = f" [{default:.14g}]" if isinstance(default, (int, float)) else f" [{default}]"
        lines.append(f"  {flag:{width}} {text}{shown}")
    return lines


class Group(click.Group):
    def resolve_command(self, ctx, args):
        if args and args[0] not in self.commands:
            names = ", ".join(self.commands)
            raise click.UsageError(f"there is no command {args[0]!r}; there are {names}.", ctx)
        return super().resolve_command(ctx, args)
