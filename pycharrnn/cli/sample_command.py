"""The command sample. Imports within commands keep -help fast."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import sys
import tempfile
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from pycharrnn.cli import max_copy
from pycharrnn.cli.console import explain_seed, note, print_on_stderr, saved, say
from pycharrnn.cli.flag_types import FILE
from pycharrnn.cli.flags import FOLDER, Command
from pycharrnn.cli.input_files import read_primetext, unescape
from pycharrnn.common import cores, output_folder
from pycharrnn.common.display import escape_line, plural
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.printing import PrintLine, print_nothing
from pycharrnn.common.shell_words import quoted
from pycharrnn.common.standard_streams import do_without_output, input_name

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint
    from pycharrnn.sampling.copy_limits import CopyLimits
    from pycharrnn.sampling.model_labels import LabelChoice
    from pycharrnn.sampling.options import SampleOptions


@click.command(
    "sample",
    cls=Command,
    options="pycharrnn.sampling.options.SampleOptions",
    arguments=[("model", f"model checkpoint to use for sampling; {FOLDER}")],
    short_help="Sample text from a checkpoint.",
    more_help=lambda: (
        r"-temperature 0.5:1 goes linearly from 0.5 at the first character to 1 at the last. In -primetext, \n, \r, \t"
        r" and \\ mean the same as in -stop if the model has no backslash, or if the text is nothing but \n, \r and \t"
    ),
)
@click.argument("model", metavar="<model>", type=FILE)
def sample_command(model: str, **values: Any) -> None:
    """Sample from a character-level language model"""
    from pycharrnn.sampling.options import SampleOptions

    opt = SampleOptions(**{**values, "stop": unescape(values["stop"])})
    if opt.o:
        do_without_output()
    cores.use_threads(opt.threads if opt.samples == 1 else 0)
    from compat.vocabulary import characters_by_id
    from pycharrnn.checkpoints import checkpoint_facts, paths
    from pycharrnn.cli import item_printing
    from pycharrnn.engine import device
    from pycharrnn.sampling import beam, item_selection, known_items, model_labels, stop_text

    explain_seed(opt.seed)

    checkpoint_file, loaded = paths.load_best(model, note)
    # As in char-rnn on stdout; a checkpoint of `train FILE` has the text alone there.
    end = loaded.network.end_id
    opt = item_printing.options_for(checkpoint_file, opt, end is not None)
    labels = model_labels.for_drawing(checkpoint_file, loaded, opt.label)
    is_text_alone = checkpoint_facts.is_from_texts(loaded) or end is not None or opt.json
    tell: PrintLine = print_on_stderr if is_text_alone else say
    if not opt.verbose:
        tell = print_nothing
    # Now, so that a character that the model lacks is refused before anything is printed.
    prompt = _prompt(loaded, opt)
    if prompt.is_line_start:
        opt = dataclasses.replace(opt, hide_prime=1)
    stop_text.require_possible_stop(opt, loaded.vocab)
    if end is not None:
        item_selection.require_possible_items(opt, prompt.characters, characters_by_id(loaded.vocab)[end])
    if not opt.sample:
        _explain_greedy(opt)
    if (opt.max_copy or opt.new) and not opt.text:
        max_copy.note_unverified_text(checkpoint_file, loaded)
    if opt.o:
        _refuse_file_as_folder(opt, checkpoint_file)
    if opt.adapt:
        loaded = _learnt(checkpoint_file, loaded, opt, prompt, labels)
    beam.check_memory(loaded.network, opt.beam)
    known = None if end is None else known_items.for_options(checkpoint_file, loaded, opt, note)
    if opt.o:
        _make_folder(opt, checkpoint_file)
    # Of items, the notes on the files of -text have been printed.
    copies = max_copy.limits(checkpoint_file, loaded, opt, note if known is None else print_nothing)
    where = device.choose(opt.gpuid, opt.opencl, tell)
    tell(f"creating an {loaded.network.model}...")
    if prompt.left_out:
        tell(f"left out of the primetext: {prompt.left_out}")
    tell(prompt.said)
    tell("--------------------------")
    if end is not None:
        item_printing.print_items(loaded, opt, prompt.characters, labels, known, where, tell, copies)
    elif opt.samples > 1 or opt.json:
        max_copy.explain_early_ends(_draw_many(loaded, opt, prompt.characters, where, tell, copies), opt)
    else:
        max_copy.explain_early_ends(_draw_one(loaded, opt, b"".join(prompt.characters), where, tell, copies), opt)


def _explain_greedy(opt: SampleOptions) -> None:
    """Name the options that have no effect with -sample 0; char-rnn's -temperature has none either."""
    from pycharrnn.sampling.options import OF_DISTRIBUTION

    given = [name for name in OF_DISTRIBUTION if getattr(opt, name) != getattr(type(opt), name)]
    unused = [f"-{name}" for name in given if name != "temperature"]
    if unused:
        have = "has" if len(unused) == 1 else "have"
        note(f"-sample 0 takes the most probable character: {' and '.join(unused)} {have} no effect.")
    if opt.samples > 1:
        note("-sample 0 takes the most probable character: all samples are equal.")


class _Prompt(NamedTuple):
    """What a sample begins with.

    Attributes:
        characters: that the model reads first. said: the line that tells the user about them.
        left_out: the unknown characters that -ignore_bad_primetext leaves out, in words.
        is_line_start: whether the user gave none, and the characters stand for the beginning of a line.
    """

    characters: list[bytes]
    said: str
    left_out: str = ""
    is_line_start: bool = False


def _prompt(loaded: Checkpoint, opt: SampleOptions) -> _Prompt:
    """The prompt of -primetext or -primefile. Errors: UserError for a character that the model lacks, or a label."""
    from compat import item_options
    from pycharrnn.sampling import model_labels
    from pycharrnn.sampling.primetext import line_start, primetext_characters, without_unknown

    text = read_primetext(opt.primetext, opt.primefile, loaded, opt.text_encoding)
    if opt.primefile and not text:
        note(f"{input_name(opt.primefile)} is empty: the sample has no prompt.")
    if opt.primefile and item_options.is_one_line(loaded.items):
        # With which editors end a file; it would end the item that the file begins.
        text = text.removesuffix(b"\n").removesuffix(b"\r")
    model_labels.refuse_in_primetext(text, loaded.labels, opt.prime_option)
    left_out = ""
    if opt.ignore_bad_primetext:
        text, left_out = without_unknown(text, loaded.vocab)
    characters = primetext_characters(text, loaded.vocab, opt.prime_option)
    if characters:
        file = "standard input" if opt.primefile == "-" else f"the text of {escape_line(opt.primefile, None)}"
        return _Prompt(characters, f"seeding with {file if opt.primefile else os.fsdecode(text)}", left_out)
    if loaded.network.end_id is not None:
        return _Prompt([], f"drawing {opt.items} {plural(opt.items, 'item')}", left_out)
    if start := line_start(loaded):
        return _Prompt(start, "missing seed text, starting at the beginning of a line", left_out, True)
    return _Prompt([], "missing seed text, using uniform probability over first character", left_out)


def _learnt(
    path: str, loaded: Checkpoint, opt: SampleOptions, prompt: _Prompt, labels: LabelChoice | None
) -> Checkpoint:
    """The model at `path` once it has learnt from the prompt; a label is read before that, but not learnt.

    Errors: UserError for a model with labels without -as, or without the C kernel and PyTorch.
    """
    from pycharrnn.sampling import learning, model_labels
    from pycharrnn.sampling.primetext import item_start

    read, given = [*item_start(loaded), *prompt.characters], None
    if labels:
        if not opt.label:
            model_labels.require_before([b""], labels.labels, path, "give that of the prompt by -as LABEL")
        read[1:1] = labels.beginnings[0]
        given = model_labels.in_labels(read, read[0], labels.labels)
    network = learning.learnt(loaded, read, opt.adaptation, opt.threads or 1, given).network
    return dataclasses.replace(loaded, network=network)  # with the hash of the training text, for -new and -max_copy


def _refuse_file_as_folder(opt: SampleOptions, checkpoint_file: str) -> None:
    """Errors: UserError if -o names a file, or a folder that does not exist and has the name of one."""
    from pycharrnn.checkpoints import formats

    if not os.path.isdir(opt.o) and (os.path.exists(opt.o) or opt.o.endswith(".txt")):
        raise UserError(f"{flag('o')} names a folder, not a file: for one file, end the line with > poem.txt.")
    if formats.of(opt.o) and not os.path.isdir(opt.o):
        chat = f"pycharrnn chat {quoted(checkpoint_file)} -learn 1 -o mine.t7"
        raise UserError(f"{flag('o')} is a folder for samples, not a model; {chat} saves a model that has learned.")


def _make_folder(opt: SampleOptions, checkpoint_file: str) -> None:
    """Make the folder of -o. Errors: OSError; UserError without permission, or if samples would be replaced."""
    from pycharrnn.sampling import sample_files

    place = opt.o if os.path.isdir(opt.o) else os.path.dirname(os.path.abspath(opt.o))
    output_folder.require_permission(place, f"{flag('o')} {opt.o}")
    os.makedirs(opt.o, exist_ok=True)
    sample_files.refuse_to_overwrite(opt, checkpoint_file, opt.primefile)
    if sample_files.has_other_texts(opt.o):
        note(f"{opt.o} has other texts: a training on this folder would read the samples, too.")


def _draw_one(
    loaded: Checkpoint,
    opt: SampleOptions,
    primetext: bytes,
    where: str,
    tell: PrintLine,
    copies: CopyLimits | None,
) -> list[int]:
    """Sample one text, or search for it with beams, and print it while sampling; -o writes it to a file instead.

    Returns: its seed if it ended early.
    """
    from compat.atomic_write import atomic_write
    from pycharrnn.checkpoints import checkpoint_facts
    from pycharrnn.sampling import beam, inference, sample_files, sampler

    path = sample_files.sample_file(opt.o, opt.seed)
    with atomic_write(path) if opt.o else contextlib.nullcontext(sys.stdout.buffer) as out:
        draw = beam.search if opt.beam else sampler.sample
        model = inference.make_predictor(loaded, where, opt.beam or 1)
        characters = draw(model, loaded.vocab, opt, primetext, copies=copies)
        # An editor takes a file that is not UTF-8 for another encoding.
        whole_end = checkpoint_facts.is_from_texts(loaded)
        sample_files.write_sample(out, opt, characters, live=not opt.o, whole_end=whole_end)
    if opt.o:
        tell(saved(path))
    return [opt.seed] if characters.ended_early else []


def _draw_many(
    loaded: Checkpoint,
    opt: SampleOptions,
    prime: list[bytes],
    where: str,
    tell: PrintLine,
    copies: CopyLimits | None,
) -> list[int]:
    """Sample the texts of -samples in batches and print them one after the other; -o keeps them in files.

    Returns: the seeds of those that ended early.
    """
    from pycharrnn.sampling import sample_files

    with contextlib.nullcontext(opt.o) if opt.o else tempfile.TemporaryDirectory() as folder:
        try:
            ended_early = sample_files.write_samples(loaded, opt, prime, folder, where, copies)
        except OSError as e:
            if opt.o or not output_folder.is_disk_full(e):
                raise
            elsewhere = "" if opt.json else ", or keep the samples elsewhere by -o FOLDER"
            raise UserError(f"{os.path.dirname(folder)} is full: make room there{elsewhere}.") from e
        for seed in range(opt.seed, opt.seed + opt.samples):
            path = sample_files.sample_file(folder, seed)
            if opt.o:
                tell(saved(path))
                continue
            if opt.json:
                _print_json(path, seed, {"early": seed in ended_early} if copies else {})
                continue
            tell(f"-------- -seed {seed}")
            with open(path, "rb") as f:
                shutil.copyfileobj(f, sys.stdout.buffer)
    sys.stdout.buffer.flush()  # so that a closed or full stdout is an error here
    return ended_early


def _print_json(path: str, seed: int, more: dict[str, bool]) -> None:
    """Print the sample in a file as a JSON object on a line, with U+FFFD for what is not UTF-8. Errors: OSError."""
    with open(path, "rb") as f:
        text = f.read().removesuffix(b"\n").decode("utf-8", "replace")
    sys.stdout.buffer.write(json.dumps({"text": text, "seed": seed, **more}).encode() + b"\n")
