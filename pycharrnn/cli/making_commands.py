"""The commands train, serve, studio and data. Imports within commands keep -help fast."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pycharrnn.cli.console import note, say
from pycharrnn.cli.flag_types import FILE, Files, words_for
from pycharrnn.cli.flags import Command
from pycharrnn.cli.input_files import ask_for_text
from pycharrnn.common import cores, extras, interrupts

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def _more_on_training() -> str:
    from pycharrnn.training import recipes

    # Not with the flag, whose help is char-rnn's.
    return f"-init_from DIR takes the best checkpoint of the run that trained last.\n\n{recipes.described()}"


@click.command(
    "train",
    cls=Command,
    needs_output=False,
    options="pycharrnn.training.options.TrainOptions",
    arguments=[("text", "files and folders to train on instead of -data_dir, by -recipe quick. - = standard input")],
    short_help="Train a model on texts, or on DATA_DIR/input.txt.",
    more_help=_more_on_training,
)
@click.argument("texts", metavar="<text>", cls=Files)
def train_command(texts: tuple[str, ...], **values: Any) -> None:
    """Train a character-level language model"""
    from pycharrnn.training.pace import Stopwatch

    watch = Stopwatch.start()
    context = click.get_current_context()
    given = {name for name in values if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    from pycharrnn.training.options import TrainOptions

    extras.require_pytorch("training")
    opt = TrainOptions(**values)
    with contextlib.ExitStack() as until_trained:
        until_trained.enter_context(interrupts.describing_progress(" before the training began: nothing was saved"))
        corpus = None
        if texts:
            from pycharrnn.text import source_files
            from pycharrnn.training.corpus_run import corpus_run

            if "-" in texts:
                ask_for_text()
            if any(map(source_files.is_pipe, texts)):
                # A signal during an import ends the process at once, and would leave the copy of the pipe's text.
                import pycharrnn.sampling.sample_hook
                import pycharrnn.training.loop  # noqa: F401
            opt, corpus = until_trained.enter_context(corpus_run(texts, opt, given, note))
        if opt.threads:
            cores.use_threads(opt.threads)
        from pycharrnn.engine import kernel_library

        if kernel_library.library():  # else PyTorch does all of the work
            cores.limit_spinning()
        from pycharrnn.sampling import sample_hook
        from pycharrnn.training.loop import train
        from pycharrnn.training.reports import Callbacks

        callbacks = context.obj or Callbacks()
        draw = sample_hook.characters
        train(opt, given, say=say, note=note, draw=draw, callbacks=callbacks, corpus=corpus, watch=watch)


@click.command(
    "serve",
    cls=Command,
    needs_output=False,
    options="pycharrnn.server.options.ServeOptions",
    arguments=[
        (
            "model",
            "checkpoint, or several; a folder means all of its checkpoints, the run that trained last first",
        )
    ],
    short_help="Serve models as a page in the browser.",
)
@click.argument("paths", metavar="<model>", cls=Files, required=True)
def serve_command(paths: tuple[str, ...], **values: Any) -> None:
    """Serve models as a web page and a JSON API"""
    from pycharrnn.server.options import ServeOptions

    opt = ServeOptions(**values)
    cores.use_threads(0)  # in each of its own threads
    with _requiring_extra_serve():
        from pycharrnn.server import serve
    serve.serve(list(paths), opt, say, note)


@contextlib.contextmanager
def _requiring_extra_serve() -> Iterator[None]:
    """Errors: UserError if a package of the extra `serve` is missing."""
    try:
        yield
    except ImportError as e:
        if (e.name or "").partition(".")[0] not in ("fastapi", "h11", "pydantic", "starlette", "uvicorn"):
            raise
        raise extras.missing("the page", "serve") from None


@click.command(
    "studio",
    cls=Command,
    needs_output=False,
    options="pycharrnn.server.options.StudioOptions",
    arguments=[("folder", "folder for texts, trainings and models; created if missing. Default: the current folder")],
    short_help="Train, play and send models in the browser.",
)
@click.argument("folder", metavar="<folder>", type=FILE, required=False, default=".")
def studio_command(folder: str, **values: Any) -> None:
    """Open a page in the browser to train on texts, and to play with, send and delete models"""
    from pycharrnn.server.options import StudioOptions

    opt = StudioOptions(**values)
    environment = dict(os.environ)
    cores.use_threads(0)  # in each of its own threads
    with _requiring_extra_serve():
        from pycharrnn.server.studio import open_studio
    open_studio.open_studio(folder, opt, environment, say, note)


def _datasets(*typed: Any) -> list[CompletionItem]:
    from pycharrnn.text import datasets

    return words_for(datasets.DATASETS, *typed)


@click.command(
    "data",
    cls=Command,
    needs_output=False,
    arguments=[("name", "pydoc, tinyshakespeare or ulysses")],
    short_help="Make data/NAME/input.txt: pydoc, tinyshakespeare or ulysses.",
)
@click.argument("name", metavar="<name>", shell_complete=_datasets)
def data_command(name: str) -> None:
    """Make data/NAME/input.txt: pydoc (the Python manual on this machine), tinyshakespeare or ulysses (downloads)"""
    from pycharrnn.text import datasets

    datasets.write(name, say=say)
