"""The command line: one function a command, each only parses, calls, prints.

Flags are char-rnn's, `-data_dir data/ulysses`; two dashes work as well.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile

import click
from click.core import ParameterSource

from pycharrnn import __version__
from pycharrnn.analysis.options import ActivationsOptions, EvalOptions, PlotOptions, ScoreOptions
from pycharrnn.checkpoints.options import ConvertOptions, InspectOptions
from pycharrnn.cli.flags import FILE, HELP, Command, Group
from pycharrnn.common import interrupts, memory, numpy_warnings
from pycharrnn.common.errors import UserError
from pycharrnn.common.interrupts import Interrupted
from pycharrnn.sampling.options import ChatOptions, SampleOptions
from pycharrnn.server.options import ServeOptions
from pycharrnn.training.options import TrainOptions


@click.group(
    cls=Group,
    invoke_without_command=True,
    context_settings={"help_option_names": list(HELP)},
    help="char-rnn in Python: train a character-level lstm, gru or rnn on a text, and sample from it.",
    epilog="pycharrnn COMMAND -help lists the flags of a command.",
)
@click.version_option(__version__, "-version", "--version", message=f"pycharrnn {__version__}")
@click.pass_context
def cli(context: click.Context) -> None:
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command(
    "train",
    cls=Command,
    options=TrainOptions,
    help="Train a character-level language model",
    short_help="Train a model on DATA_DIR/input.txt.",
)
def train_command(**values) -> None:
    opt = TrainOptions(**values)
    opt.check()
    from pycharrnn.training.loop import train

    context = click.get_current_context()
    given = {name for name in values if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    train(opt, _say, given, _note)


@cli.command(
    "sample",
    cls=Command,
    options=SampleOptions,
    arguments=[("model", "model checkpoint to use for sampling")],
    help="Sample from a character-level language model",
    short_help="Print text that a checkpoint makes up.",
)
@click.argument("checkpoint_file", metavar="<model>", type=FILE)
def sample_command(checkpoint_file: str, **values) -> None:
    opt = SampleOptions(**values)
    opt.check()
    _use_one_thread()
    from compat.whole_file import whole_file
    from pycharrnn.checkpoints import checkpoint
    from pycharrnn.engine import device
    from pycharrnn.sampling import beam, inference, many, sampler, tokenizer

    say = _say if opt.verbose else lambda line: None
    loaded = checkpoint.load(checkpoint_file)
    primetext = _read(opt.primefile) if opt.primefile else os.fsencode(opt.primetext)
    bad = 0
    if opt.ignore_bad_primetext:
        primetext, bad = tokenizer.without_unknown(primetext, loaded.vocab)
    prime = tokenizer.primetext_characters(primetext, loaded.vocab)  # before anything is printed
    beam.check_memory(loaded.network, opt.beam)
    if opt.o:
        os.makedirs(opt.o, exist_ok=True)
        many.refuse_to_overwrite(opt, checkpoint_file, opt.primefile)
    where, _ = device.choose(opt.gpuid, opt.opencl, say)
    say(f"creating an {loaded.network.model}...")
    if bad:
        say(f"left out of the primetext: {bad} bytes that the model has never seen")
    source = f"the text of {opt.primefile}" if opt.primefile else os.fsdecode(primetext)
    say(f"seeding with {source}" if primetext else "missing seed text, using uniform probability over first character")
    say("--------------------------")
    if opt.samples > 1:
        with contextlib.nullcontext(opt.o) if opt.o else tempfile.TemporaryDirectory() as folder:
            many.write_samples(checkpoint_file, loaded, opt, prime, folder, where)
            for seed in range(opt.seed, opt.seed + opt.samples):
                path = many.sample_file(folder, seed)
                if opt.o:
                    say(f"saved {path}")
                    continue
                say(f"-------- -seed {seed}")
                with open(path, "rb") as f:
                    shutil.copyfileobj(f, sys.stdout.buffer)
        return
    path = many.sample_file(opt.o, opt.seed)
    with whole_file(path) if opt.o else contextlib.nullcontext(sys.stdout.buffer) as out:
        draw = beam.search if opt.beam else sampler.draw
        model = inference.make_predictor(loaded, where, opt.beam or 1)
        many.write_sample(out, opt, draw(model, loaded.vocab, opt, primetext), live=not opt.o)
    if opt.o:
        say(f"saved {path}")


def _use_one_thread() -> None:
    """In NumPy's products, before it is loaded: with the few rows of a step, more threads cost more than they bring."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _refuse_to_overwrite(flag: str, out: str, *inputs: str) -> None:
    """Errors: UserError where what is to be written is one of the files that are read."""
    for file in inputs:
        with contextlib.suppress(OSError, ValueError):  # what is not there will be noticed where it is opened
            if os.path.samefile(file, out):
                raise UserError(f"{flag}{out} would overwrite {file}, which it is made of: choose another name.")


def _read(file: str) -> bytes:
    """The bytes of a file; - is standard input."""
    if file == "-":
        return sys.stdin.buffer.read()
    with open(file, "rb") as f:
        return f.read()


@cli.command(
    "chat",
    cls=Command,
    options=ChatOptions,
    arguments=[("model", "model checkpoint to talk to")],
    help="Type a line, and the model goes on from it; it remembers what went before. Ctrl-D ends it",
    short_help="Talk to a model, line by line.",
)
@click.argument("checkpoint_file", metavar="<model>", type=FILE)
def chat_command(checkpoint_file: str, **values) -> None:
    opt = ChatOptions(**values)
    opt.check()
    _use_one_thread()
    from pycharrnn.checkpoints import checkpoint
    from pycharrnn.engine import device
    from pycharrnn.sampling import inference, many
    from pycharrnn.sampling.chat import Chat

    loaded = checkpoint.load(checkpoint_file)
    where, _ = device.choose(opt.gpuid, opt.opencl, lambda line: None)
    chat = Chat(inference.make_predictor(loaded, where), loaded.vocab, opt)
    out = sys.stdout.buffer
    while True:
        if sys.stdin.isatty():
            out.write(b"> ")
            out.flush()
        line = sys.stdin.buffer.readline()
        if not line:
            return
        line, bad = chat.without_unknown(line)
        if bad:
            print(f"left out: {bad} bytes that the model has never seen", file=sys.stderr)
        many.write_sample(out, opt.sampling(), chat.answer(line), live=True)


@cli.command(
    "eval",
    cls=Command,
    options=EvalOptions,
    arguments=[("model", "model checkpoint, one or more")],
    help="Loss of a split of a text, as training would print it; what is not given is as in the checkpoint's training",
    short_help="Print the loss of checkpoints on a split of a text.",
)
@click.argument("checkpoint_files", metavar="<model>", nargs=-1, required=True, type=FILE)
def eval_command(checkpoint_files: tuple[str, ...], **values) -> None:
    opt = EvalOptions(**values)
    opt.check()
    if len(checkpoint_files) > 1 and not opt.compare:
        raise click.UsageError("several checkpoints need -compare.", click.get_current_context())
    _use_one_thread()
    from pycharrnn.analysis import scoring
    from pycharrnn.checkpoints import checkpoint
    from pycharrnn.engine import device

    where, _ = device.choose(opt.gpuid, 0, lambda line: None)
    rows = []
    for path in checkpoint_files:
        loaded = checkpoint.load(path)
        loss = scoring.split_loss(path, loaded, opt, where)
        rows.append((path, loss, loaded.val_loss, checkpoint.trained_on(loaded)))
    _say(scoring.as_table(rows) if opt.compare else scoring.as_lines(opt.split, *rows[0][1:3]))


@cli.command(
    "score",
    cls=Command,
    options=ScoreOptions,
    arguments=[("model", "model checkpoint"), ("file", "text, one or more. - = standard input")],
    help="How well a model predicts texts: bits per character of each",
    short_help="Print how much texts surprise a checkpoint.",
)
@click.argument("checkpoint_file", metavar="<model>", type=FILE)
@click.argument("files", metavar="<file>", nargs=-1, required=True, type=FILE)
def score_command(checkpoint_file: str, files: tuple[str, ...], **values) -> None:
    opt = ScoreOptions(**values)
    opt.check()
    _use_one_thread()
    from pycharrnn.analysis import scoring, surprise_page
    from pycharrnn.checkpoints import checkpoint
    from pycharrnn.engine import device

    _refuse_to_overwrite("-html ", opt.html, checkpoint_file, *files)
    where, _ = device.choose(opt.gpuid, 0, lambda line: None)
    loaded = checkpoint.load(checkpoint_file)
    scores = []
    for file in files:
        scores.append((file, scoring.score(loaded, _read(file), where)))
        _say(f"{file}: {scoring.as_sentence(scores[-1][1])}")
    if opt.html:
        surprise_page.write(opt.html, checkpoint_file, scores)
        _say(f"saved {opt.html}")


@cli.command(
    "inspect",
    cls=Command,
    options=InspectOptions,
    arguments=[("file", "a checkpoint, or any .t7 file")],
    help="Say what a file is: program, model, size, options and losses of a checkpoint; the tree of another .t7 file",
    short_help="Say what a checkpoint, or any .t7 file, holds.",
)
@click.argument("file", metavar="<file>")
def inspect_command(file: str, **values) -> None:
    opt = InspectOptions(**values)
    opt.check()
    from pycharrnn.checkpoints import inspection

    found = inspection.look(file)
    if found.facts is None:
        if not opt.json:
            _say(found.tree)
        raise UserError(f"{file} is no checkpoint of a character model: {found.fault}.")
    if opt.json:
        import json

        _say(json.dumps(inspection.for_json(found.facts)))
    else:
        _say(inspection.as_table(found.facts))


@cli.command(
    "convert",
    cls=Command,
    options=ConvertOptions,
    arguments=[
        ("in", "a checkpoint: .t7 of char-rnn or torch-rnn, or .safetensors"),
        ("out", "what to write, by its ending: .t7, .safetensors or .json; left out: <in>_cpu.t7"),
    ],
    help="Write a checkpoint in another format",
    short_help="Write a checkpoint as .t7 for the CPU, .safetensors or .json.",
)
@click.argument("source", metavar="<in>")
@click.argument("target", metavar="<out>", required=False)
def convert_command(source: str, target: str | None, **values) -> None:
    opt = ConvertOptions(**values)
    opt.check()
    from pycharrnn.checkpoints import checkpoint

    target = target or f"{source}_cpu.t7"
    _refuse_to_overwrite("", target, source)
    encoding = "ascii" if opt.ascii else "binary"
    checkpoint.convert(checkpoint.load(source), target, opt.type, encoding, opt.longs)
    _say(f"saved {target}")


@cli.command(
    "plot",
    cls=Command,
    options=PlotOptions,
    arguments=[("checkpoints", "one or several; of a folder the newest checkpoint")],
    help="Draw the training and validation losses of one or several runs, from their checkpoints",
    short_help="Draw the losses of one or several runs.",
)
@click.argument("paths", metavar="<checkpoints>", nargs=-1, required=True, type=FILE)
def plot_command(paths: tuple[str, ...], **values) -> None:
    opt = PlotOptions(**values)
    opt.check()
    from pycharrnn.analysis import plotting
    from pycharrnn.checkpoints import checkpoint
    from pycharrnn.checkpoints.paths import newest, short_names

    files = [newest(path) for path in paths]
    _refuse_to_overwrite("-o ", opt.o, *files)
    names = short_names(files)
    curves = [plotting.loss_curve(checkpoint.load(file), name) for file, name in zip(files, names, strict=True)]
    plotting.save_picture(opt.o, curves)
    for curve in curves:
        _say(curve.label)
    _say(f"saved {opt.o}")


@cli.command(
    "activations",
    cls=Command,
    options=ActivationsOptions,
    arguments=[("checkpoint", "the model; of a folder the newest checkpoint")],
    help="Write a page that shows what hidden units do along a text: tanh(c) of an lstm, h of a gru or rnn",
    short_help="Show what hidden units do along a text, as a page.",
)
@click.argument("path", metavar="<checkpoint>", type=FILE)
def activations_command(path: str, **values) -> None:
    opt = ActivationsOptions(**values)
    opt.check()
    from compat.whole_file import whole_file
    from pycharrnn.analysis import activation_page, activations
    from pycharrnn.checkpoints import checkpoint
    from pycharrnn.checkpoints.paths import newest, short_names

    file = newest(path)
    _refuse_to_overwrite("-o ", opt.o, file, opt.primefile)
    loaded = checkpoint.load(file)
    text = _read(opt.primefile) if opt.primefile else os.fsencode(opt.primetext)
    read = activations.record(loaded, text, _say)
    units = activations.choose_units(read.values, opt.layer, opt.units, opt.count)
    (name,) = short_names([file])
    with whole_file(opt.o) as f:
        f.write(activation_page.page(name, loaded.network, read, units).encode())
    _say(f"saved {opt.o}")


@cli.command(
    "serve",
    cls=Command,
    options=ServeOptions,
    arguments=[("checkpoints", "one or several; of a folder the newest checkpoint")],
    help="Offer models on a page to play on, and as a JSON API",
    short_help="Offer models on a page in the browser.",
)
@click.argument("paths", metavar="<checkpoints>", nargs=-1, required=True, type=FILE)
def serve_command(paths: tuple[str, ...], **values) -> None:
    opt = ServeOptions(**values)
    opt.check()
    _use_one_thread()
    try:
        from pycharrnn.server import serve
    except ImportError as e:
        if (e.name or "").partition(".")[0] not in ("fastapi", "h11", "pydantic", "starlette", "uvicorn"):
            raise
        raise UserError("the page needs the extra: pip install 'pycharrnn[serve]'.") from None
    serve.serve(list(paths), opt, _say)


@cli.command(
    "data",
    cls=Command,
    arguments=[("name", "pydoc, tinyshakespeare or ulysses")],
    help="Make data/NAME/input.txt: pydoc (the manual that comes with Python, needs no network),\n"
    "tinyshakespeare or ulysses (downloaded)",
    short_help="Make data/NAME/input.txt: pydoc, tinyshakespeare or ulysses.",
)
@click.argument("name", metavar="<name>")
def data_command(name: str) -> None:
    from pycharrnn.text import datasets

    datasets.write(name, say=_say)


@cli.command(
    "doctor",
    cls=Command,
    help="Print versions, devices, threads and speeds, and test whether this machine computes what it should",
    short_help="Print the facts for a bug report, and test this machine.",
)
def doctor_command() -> None:
    from pycharrnn.cli import doctor

    doctor.examine(_say)


@cli.command(
    "completion",
    cls=Command,
    arguments=[("shell", "bash, zsh or fish")],
    help="Print a script with which the shell completes commands, flags and files;\n"
    'for bash: eval "$(pycharrnn completion bash)" in ~/.bashrc',
    short_help="Print a script for completion in bash, zsh or fish.",
)
@click.argument("shell", metavar="<shell>", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    from click.shell_completion import get_completion_class

    _say(get_completion_class(shell)(cli, {}, "pycharrnn", "_PYCHARRNN_COMPLETE").source())


def _say(line: str) -> None:
    """A line on stdout, at once; whatever bytes the command line held come out as they went in."""
    sys.stdout.buffer.write(os.fsencode(line + "\n"))
    sys.stdout.buffer.flush()


def _note(line: str, speaker: str = "pycharrnn") -> None:
    """A line on stderr, if anybody listens there."""
    with contextlib.suppress(OSError, ValueError):
        print(f"{speaker}: {line}", file=sys.stderr, flush=True)


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit: 0, 1 for an error (one sentence on stderr), 2 for usage, 3 for a training that
    went astray, 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
    if sys.stdout is None:  # started with a closed stdout, whose number the next file would get
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    numpy_warnings.be_silent()
    try:
        try:
            interrupts.raise_on_signals()
            status = _run(args)
        finally:
            interrupts.exit_silently_on_signals()
    except (KeyboardInterrupt, Interrupted) as e:  # it came while another end was being said
        interrupts.exit_silently_on_signals()
        status = interrupts.status_of(getattr(e, "number", signal.SIGINT))
    _exit(status)


def _run(args: list[str] | None) -> int:
    """Run the command line; the exit status, with what went wrong said on stderr."""
    try:
        cli.main(args, prog_name="pycharrnn", standalone_mode=False)
    except click.UsageError as e:
        where = e.ctx.command_path if e.ctx else "pycharrnn"
        _note(f"{e.format_message()} ({where} -help lists what there is)", where)
        return 2
    except UserError as e:
        if str(e):
            _note(str(e))
        return e.status
    except OSError as e:
        what = f"{e.filename}: " if getattr(e, "filename", None) else ""
        _note(f"{what}{e.strerror or e}.")
        return 1
    except click.exceptions.Abort:
        _note(interrupts.sentence(signal.SIGINT))
        return interrupts.status_of(signal.SIGINT)
    except (MemoryError, RuntimeError) as e:
        said = memory.ran_out(e)
        if said is None:
            raise
        _note(said)
        return 1
    except Interrupted as e:
        _note(interrupts.sentence(e.number))
        return interrupts.status_of(e.number)
    return 0


def _exit(status: int) -> None:
    """Exit; what is left to print of a log that nobody reads any more must not change the status."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)
