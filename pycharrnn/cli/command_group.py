"""The group of all commands, which suggests one for a name that is none."""

from __future__ import annotations

import difflib
import os

import click

from pycharrnn.cli.flags import check_flags
from pycharrnn.common import shell_words
from pycharrnn.common.errors import UserError

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


class Group(click.Group):
    """A group of commands that suggests the nearest name for an unknown command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Errors: click.UsageError, also for an unknown flag before the command."""
        if not ctx.resilient_parsing:
            check_flags(self, ctx, args[:1])
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
    from pycharrnn.cli.input_files import is_checkpoint

    try:
        has_model = bool(folder_files.newest_first(path)) if os.path.isdir(path) else is_checkpoint(path)
    except UserError:
        has_model = False
    return shell_words.joined(["pycharrnn", "sample" if has_model else "train", path])
