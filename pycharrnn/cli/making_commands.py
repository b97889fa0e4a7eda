"""The commands train, sample, chat, serve, studio and data. Imports within commands keep -help fast."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pycharrnn.cli.console import (
    ask_for_text,
    explain_seed,
    note,
    read_primetext,
    say,
    say_beside,
    unescape,
    use_threads,
    wait_briefly,
)
from pycharrnn.cli.flags import FILE, FOLDER, Command, Files
from pycharrnn.cli.outputs import Output
from pycharrnn.common import extras, interrupts
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.standard_streams import do_without_output, standard_input

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint
    from pycharrnn.sampling.chat import Chat
    from pycharrnn.sampling.copy_limits import CopyLimits
    from pycharrnn.sampling.options import ChatOptions, SampleOptions


def _recipes() -> str:
    from pycharrnn.training import recipes

    return recipes.described()


@click.command(
    "train",
    cls=Command,
    needs_output=False,
    options="pycharrnn.training.options.TrainOptions",
    arguments=[("texts", "files and folders to train on, instead of -data_dir. - = standard input")],
    short_help="Train a model on texts, or on DATA_DIR/input.txt.",
    more_help=_recipes,
)
@click.argument("texts", metavar="<texts>", cls=Files)
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
        until_trained.enter_context(interrupts.adding_to_sentence(" before the training began: nothing was saved"))
        corpus = None
        if texts:
            from pycharrnn.training.corpus_run import corpus_run

            if "-" in texts:
                ask_for_text()
            opt, corpus = until_trained.enter_context(corpus_run(texts, opt, given, note))
        if opt.threads:
            use_threads(opt.threads)
        from pycharrnn.engine import kernel_library

        if kernel_library.library():  # else PyTorch does all of the work
            wait_briefly()
        from pycharrnn.sampling import sample_hook
        from pycharrnn.training.loop import train

        train(opt, say, given, note, sample_hook.characters, corpus=corpus, watch=watch)


@click.command(
    "sample",
    cls=Command,
    options="pycharrnn.sampling.options.SampleOptions",
    arguments=[("model", f"model checkpoint to use for sampling; {FOLDER}")],
    short_help="Sample text from a checkpoint.",
    more_help=lambda: "-temperature 0.5:1 goes linearly from 0.5 at the first character to 1 at the last",
)
@click.argument("model", metavar="<model>", type=FILE)
def sample_command(model: str, **values: Any) -> None:
    """Sample from a character-level language model"""
    from pycharrnn.sampling.options import SampleOptions

    opt = SampleOptions(**{**values, "stop": unescape(values["stop"])})
    if opt.o:
        do_without_output()
    use_threads(opt.threads if opt.samples == 1 else 0)
    from pycharrnn.checkpoints import checkpoint, paths
    from pycharrnn.cli import item_printing
    from pycharrnn.engine import device
    from pycharrnn.sampling import batch_to_files, beam, learning, model_labels, stream, tokenizer

    explain_seed(opt.seed)

    checkpoint_file, loaded = paths.load_best(model, note)
    # As in char-rnn on stdout; a checkpoint of `train FILE` has the text alone there.
    end = loaded.network.end_id
    opt = item_printing.options_for(checkpoint_file, opt, end is not None)
    labels = model_labels.choice(checkpoint_file, loaded, opt.label)
    tell: Callable[[str], None] = say_beside if checkpoint.is_from_texts(loaded) or end is not None else say
    if not opt.verbose:
        tell = lambda line: None  # noqa: E731
    primetext = read_primetext(opt.primetext, opt.primefile, loaded, opt.text_encoding)
    left_out = ""
    missing = "missing seed text, using uniform probability over first character"
    if opt.ignore_bad_primetext:
        primetext, left_out = tokenizer.without_unknown(primetext, loaded.vocab)
    # Now, so that a character that the model lacks is refused before anything is printed.
    prime = tokenizer.primetext_characters(primetext, loaded.vocab, "primefile" if opt.primefile else "primetext")
    source = f"the text of {opt.primefile}" if opt.primefile and primetext else os.fsdecode(primetext)
    if end is not None:
        missing = f"drawing {opt.items} items"
    elif not prime and (prime := tokenizer.line_start(loaded)):
        opt, primetext = dataclasses.replace(opt, hide_prime=1), b"".join(prime)
        missing = "missing seed text, starting at the beginning of a line"
    stream.require_possible_stop(opt, loaded.vocab)
    if opt.adapt:
        before = tokenizer.line_start(loaded) if end is not None else []
        loaded = learning.learnt(loaded, [*before, *prime], opt.adaptation, opt.threads or 1)
    beam.check_memory(loaded.network, opt.beam)
    if opt.o:
        if os.path.isfile(opt.o) or (opt.o.endswith(".txt") and not os.path.isdir(opt.o)):
            raise UserError(f"{flag('o')} names a folder, not a file: for one file, end the line with > poem.txt.")
        os.makedirs(opt.o, exist_ok=True)
        batch_to_files.refuse_to_overwrite(opt, checkpoint_file, opt.primefile)
    copies = _copy_limits(checkpoint_file, loaded, opt)
    where = device.choose(opt.gpuid, opt.opencl, tell)
    tell(f"creating an {loaded.network.model}...")
    if left_out:
        tell(f"left out of the primetext: {left_out}")
    tell(f"seeding with {source}" if source else missing)
    tell("--------------------------")
    if end is not None:
        item_printing.print_items(checkpoint_file, loaded, opt, prime, labels, where, tell, copies)
    elif opt.samples > 1:
        _draw_many(loaded, opt, prime, where, tell, copies)
    else:
        _draw_one(loaded, opt, primetext, where, tell, copies)
    _explain_early_ends(copies)


def _copy_limits(path: str, loaded: Checkpoint, opt: SampleOptions | ChatOptions) -> CopyLimits | None:
    """What -max_copy forbids. Errors: OSError; UserError."""
    if not opt.max_copy:
        return None
    from pycharrnn.sampling import copy_limits

    return copy_limits.for_options(path, loaded, opt.max_copy, opt.text)


def _explain_early_ends(copies: CopyLimits | None) -> None:
    """Say which samples ended early by -max_copy, once."""
    if copies and copies.ended:
        note(copies.why_they_ended())
        copies.ended.clear()


def _draw_one(
    loaded: Checkpoint,
    opt: SampleOptions,
    primetext: bytes,
    where: str,
    tell: Callable[[str], None],
    copies: CopyLimits | None,
) -> None:
    """Sample one text, or search for it with beams, and print it while sampling; -o writes it to a file instead."""
    from compat.atomic_write import atomic_write
    from pycharrnn.checkpoints import checkpoint
    from pycharrnn.sampling import batch_to_files, beam, inference, sampler

    path = batch_to_files.sample_file(opt.o, opt.seed)
    with atomic_write(path) if opt.o else contextlib.nullcontext(sys.stdout.buffer) as out:
        draw = beam.search if opt.beam else sampler.sample
        model = inference.make_predictor(loaded, where, opt.beam or 1)
        characters = draw(model, loaded.vocab, opt, primetext, copies=copies)
        whole_end = checkpoint.is_from_texts(loaded)  # an editor takes a file that is not UTF-8 for another encoding
        batch_to_files.write_sample(out, opt, characters, live=not opt.o, whole_end=whole_end)
    if opt.o:
        tell(f"saved {path}")


def _draw_many(
    loaded: Checkpoint,
    opt: SampleOptions,
    prime: list[bytes],
    where: str,
    tell: Callable[[str], None],
    copies: CopyLimits | None,
) -> None:
    """Sample the texts of -samples in batches and print them one after the other; -o keeps them in files."""
    from pycharrnn.sampling import batch_to_files

    with contextlib.nullcontext(opt.o) if opt.o else tempfile.TemporaryDirectory() as folder:
        batch_to_files.write_samples(loaded, opt, prime, folder, where, copies)
        for seed in range(opt.seed, opt.seed + opt.samples):
            path = batch_to_files.sample_file(folder, seed)
            if opt.o:
                tell(f"saved {path}")
                continue
            tell(f"-------- -seed {seed}")
            with open(path, "rb") as f:
                shutil.copyfileobj(f, sys.stdout.buffer)


@click.command(
    "chat",
    cls=Command,
    options="pycharrnn.sampling.options.ChatOptions",
    arguments=[("model", f"checkpoint; {FOLDER}")],
    short_help="Chat with a model, line by line.",
)
@click.argument("model", metavar="<model>", type=FILE)
def chat_command(model: str, **values: Any) -> None:
    """Type a line, and the model continues it; it remembers earlier lines. Ctrl-D ends the chat"""
    from pycharrnn.sampling.options import ChatOptions

    opt = ChatOptions(**{**values, "stop": unescape(values["stop"])})
    use_threads(opt.threads)
    from pycharrnn.checkpoints import checkpoint, paths
    from pycharrnn.engine import device
    from pycharrnn.sampling import inference
    from pycharrnn.sampling.chat import Chat, LearningChat

    explain_seed(opt.seed)

    kept = Output(opt.o, "-o ", opt.overwrite)
    kept.check_folder()
    checkpoint_file, loaded = paths.load_best(model, note)
    copies = _copy_limits(checkpoint_file, loaded, opt)
    if not opt.learn:
        where = device.choose(opt.gpuid, opt.opencl, lambda line: None)
        _converse(Chat(inference.make_predictor(loaded, where), loaded.vocab, opt, copies), opt, copies)
        return
    kept.check(checkpoint_file)
    chat = LearningChat(loaded, opt, copies)
    try:
        _converse(chat, opt, copies)
    finally:
        if opt.o:
            checkpoint.convert(chat.checkpoint(), opt.o)
            note(f"saved {opt.o}")


def _converse(chat: Chat, opt: ChatOptions, copies: CopyLimits | None) -> None:
    """Answer the lines of standard input until it ends."""
    from pycharrnn.sampling import batch_to_files

    out, is_explained = sys.stdout.buffer, False
    lines = standard_input()
    while True:
        if lines.isatty():
            out.write(b"> ")
            out.flush()
        line = lines.readline()
        if not line:
            return
        line, left_out = chat.without_unknown(line)
        if left_out:
            note(f"left out: {left_out}")
        batch_to_files.write_sample(out, opt.sampling(), chat.answer(line), live=True)
        _explain_early_ends(copies)
        if chat.is_empty and not is_explained:
            note(r'the answer is an empty line; with -stop "\n\n" an answer ends at an empty line.')
            is_explained = True


@click.command(
    "serve",
    cls=Command,
    needs_output=False,
    options="pycharrnn.server.options.ServeOptions",
    arguments=[
        (
            "checkpoints",
            "checkpoint, or several; a folder means all of its checkpoints, the run that trained last first",
        )
    ],
    short_help="Serve models as a page in the browser.",
)
@click.argument("paths", metavar="<checkpoints>", cls=Files, required=True)
def serve_command(paths: tuple[str, ...], **values: Any) -> None:
    """Serve models as a web page and a JSON API"""
    from pycharrnn.server.options import ServeOptions

    opt = ServeOptions(**values)
    use_threads(opt.threads)
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
    arguments=[("folder", "where texts, trainings and models are; made if missing. Default: the current one")],
    short_help="Train, play and send models in the browser.",
)
@click.argument("folder", metavar="<folder>", type=FILE, required=False, default=".")
def studio_command(folder: str, **values: Any) -> None:
    """Open a page in the browser on which texts are trained on, and models played with, sent and deleted"""
    from pycharrnn.server.options import StudioOptions

    opt = StudioOptions(**values)
    environment = dict(os.environ)
    use_threads(opt.threads)
    with _requiring_extra_serve():
        from pycharrnn.server.studio import open_studio
    open_studio.open_studio(folder, opt, environment, say, note)


@click.command(
    "data",
    cls=Command,
    needs_output=False,
    arguments=[("name", "pydoc, tinyshakespeare or ulysses")],
    short_help="Make data/NAME/input.txt: pydoc, tinyshakespeare or ulysses.",
)
@click.argument("name", metavar="<name>")
def data_command(name: str) -> None:
    """Make data/NAME/input.txt: pydoc (the Python manual on this machine), tinyshakespeare or ulysses (downloads)"""
    from pycharrnn.text import datasets

    datasets.write(name, say=say)
