"""The program `pycharrnn`: its commands, error messages and exit statuses."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, Protocol

import click

from pycharrnn._version import __version__
from pycharrnn.cli import left_over_words
from pycharrnn.cli.chat_command import chat_command
from pycharrnn.cli.command_group import Group
from pycharrnn.cli.console import note, say
from pycharrnn.cli.convert_command import convert_command
from pycharrnn.cli.copied_command import copied_command
from pycharrnn.cli.examining_commands import activations_command, inspect_command, plot_command
from pycharrnn.cli.flag_types import words_for
from pycharrnn.cli.flags import HELP, Command
from pycharrnn.cli.help_layout import MOST_COLUMNS
from pycharrnn.cli.making_commands import data_command, serve_command, studio_command, train_command
from pycharrnn.cli.sample_command import sample_command
from pycharrnn.cli.scoring_commands import eval_command, score_command, which_command
from pycharrnn.common import extras, interrupts, memory, near_paths, numpy_warnings, progress, standard_streams
from pycharrnn.common.cores import Meter
from pycharrnn.common.errors import UserError
from pycharrnn.common.interrupts import Interrupted

if TYPE_CHECKING:
    from pycharrnn.training.reports import Callbacks


class Tell(Protocol):
    """Tells the sentence of an error. `where`: the program, or its command, that has found it."""

    def __call__(self, sentence: str, where: str = "pycharrnn") -> None: ...


_EPILOG = """\b
First steps:
  pycharrnn train my_text.txt        train on a text; checkpoints go to cv/
  pycharrnn sample cv                print new text of the best checkpoint
  pycharrnn serve cv                 serve it as a page; prints the address
  pycharrnn convert cv my_page.html  write that page to a file, to send

pycharrnn help COMMAND or pycharrnn COMMAND -help prints the flags of a command."""


@click.group(
    cls=Group,
    invoke_without_command=True,
    context_settings={"help_option_names": list(HELP), "max_content_width": MOST_COLUMNS},
    epilog=_EPILOG,
)
@click.version_option(__version__, "-version", "--version", message=f"pycharrnn {__version__}")
@click.pass_context
def cli(context: click.Context) -> None:
    """char-rnn in Python: train a character-level lstm, gru or rnn on a text, and sample from it."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@click.command("doctor", cls=Command, short_help="Print facts for a bug report and run a self-test.")
def doctor_command() -> None:
    """Print versions, devices, threads and speeds, and run a self-test of training and sampling"""
    if not extras.has_pytorch():
        from pycharrnn.cli.machine_facts import machine_facts

        for line in machine_facts():
            say(line)
        say("self-test: left out, since it needs PyTorch")
        return
    extras.require_pytorch("the self-test")
    meter = Meter()  # now, while PyTorch is loaded
    from pycharrnn.cli import doctor

    doctor.examine(say, meter)


@click.command(
    "completion",
    cls=Command,
    arguments=[("shell", "bash, zsh or fish")],
    short_help="Print a completion script for bash, zsh or fish.",
)
@click.argument("shell", metavar="<shell>", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print a script that completes commands, flags, their values and files in the shell. For bash, add
    eval "$(pycharrnn completion bash)" to ~/.bashrc; for zsh, eval "$(pycharrnn completion zsh)" to ~/.zshrc, after
    compinit; for fish, pycharrnn completion fish | source to ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # click knows the three shells
    say(kind(cli, {}, "pycharrnn", "_PYCHARRNN_COMPLETE").source())


@click.command(
    "help",
    cls=Command,
    arguments=[("command", "name of a command. Default: list all commands")],
    short_help="Print the flags of a command.",
)
@click.argument(
    "name", metavar="<command>", required=False, shell_complete=lambda *typed: words_for(cli.commands, *typed)
)
@click.pass_context
def help_command(context: click.Context, name: str | None) -> None:
    """Print the flags of a command, as its -help does"""
    whole = context.parent
    assert whole is not None  # this is a command of cli
    if name is None:
        click.echo(whole.get_help())
        return
    with click.Context(cli.named(whole, name), info_name=name, parent=whole) as of_command:
        click.echo(of_command.get_help())


for command in (  # in the order in which docs/flags.md lists them
    train_command,
    sample_command,
    chat_command,
    eval_command,
    score_command,
    which_command,
    copied_command,
    inspect_command,
    convert_command,
    plot_command,
    activations_command,
    serve_command,
    studio_command,
    data_command,
    doctor_command,
    completion_command,
    help_command,
):
    cli.add_command(command)


def tell_error(sentence: str, where: str = "pycharrnn") -> None:
    """Print the sentence of an error; a line break in the name of a file would make two lines of it."""
    note(sentence.replace("\n", r"\n"), where)


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit with its status. `args`: as of `run`."""
    _exit(run(args))


def run(args: list[str] | None = None, tell: Tell = tell_error, callbacks: Callbacks | None = None) -> int:
    """Run the command line, with one sentence on stderr unless the status is 0.

    Args:
        args: the words after the program's name; None = those of the process.
        tell: prints that sentence. callbacks: of the command train.

    Returns: the exit status: 1 = error, 2 = invalid command line, 3 = training diverged, 128 + n = ended by signal n.
    """
    standard_streams.replace_closed()
    standard_streams.watch_output()
    numpy_warnings.ignore()
    try:
        try:
            interrupts.raise_on_signals()
            return _run(args, tell, callbacks)
        finally:
            interrupts.exit_silently_on_signals()
    except (KeyboardInterrupt, Interrupted) as e:  # it came while another message was being printed
        return interrupts.status_of(getattr(e, "number", signal.SIGINT))


def _run(args: list[str] | None, tell: Tell, callbacks: Callbacks | None) -> int:
    """Run the command line and tell its error, if any. Returns: the exit status."""
    try:
        # On Windows click would expand all arguments, also a -primetext of ~ and a -stop of *.
        cli.main(args, prog_name="pycharrnn", standalone_mode=False, windows_expand_args=False, obj=callbacks)
    except click.UsageError as e:
        where = e.ctx.command_path if e.ctx else "pycharrnn"
        tell(f"{e.format_message()} (see {where} -help)", where)
        return 2
    except UserError as e:
        if str(e):
            tell(str(e))
        return e.status
    except OSError as e:
        tell(memory.ran_out(e) or _sentence_on(e, sys.argv[1:] if args is None else args))
        return 1
    except click.exceptions.Abort:
        tell(interrupts.sentence(signal.SIGINT))
        progress.show_cursor()  # after the message: what is written right after ^C may be lost
        return interrupts.status_of(signal.SIGINT)
    except (MemoryError, RuntimeError, ImportError) as e:  # ImportError: a library that does not fit
        said = memory.ran_out(e)
        if said is None:
            raise
        tell(said)
        return 1
    except Interrupted as e:
        tell(interrupts.sentence(e.number))
        return interrupts.status_of(e.number)
    return 0


def _sentence_on(error: OSError, words: Sequence[str]) -> str:
    """What failed, and what to do. `words`: that were typed."""
    if error.filename == standard_streams.OUTPUT:
        return f"can't write standard output: {error.strerror}."
    what = f"{error.filename}: " if error.filename else ""
    if what and error.errno == errno.EROFS:
        return f"can't write {what}{error.strerror}; name a file in another folder."
    if what and isinstance(error, PermissionError):
        return f"{what}{error.strerror}; change its permissions, or name another file or folder."
    if what and isinstance(error, IsADirectoryError):
        return f"{error.filename} is a folder: name a file."
    if isinstance(error, FileNotFoundError):
        return _sentence_on_missing_file(error, words)
    return f"{what}{error.strerror or error}."


def _sentence_on_missing_file(error: FileNotFoundError, words: Sequence[str]) -> str:
    """What is missing: the current folder, the file's folder or the file; and what to do. `words`: that were typed."""
    try:
        extras.require_current_folder()  # whose absence names no file
    except UserError as gone:
        return str(gone)
    if not error.filename:
        # tempfile names all folders that it has tried.
        way_out = ": set TMPDIR to a folder in which you may write" if "temporary directory" in str(error) else ""
        return f"{error.strerror or error}{way_out}."
    path = os.fsdecode(error.filename)
    if near := near_paths.near(path):
        return f"can't read {path} ({error.strerror}); did you mean {near}?"
    if advice := left_over_words.on_divided_name(words, path):
        return f"can't read {path} ({error.strerror}); {advice}."
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        return f"there is no folder {folder} for {path}: create it, or name another."
    return f"can't read {path} ({error.strerror}): name a file that exists."


def _exit(status: int) -> NoReturn:
    """Exit with this status, even if stdout can't be flushed."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)
