"""The command chat. Imports within commands keep -help fast."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from pycharrnn.cli import max_copy
from pycharrnn.cli.console import explain_seed, note, saved
from pycharrnn.cli.flag_types import FILE
from pycharrnn.cli.flags import FOLDER, Command
from pycharrnn.cli.input_files import end_of_input, unescape
from pycharrnn.cli.outputs import Output
from pycharrnn.common import cores, numbered_names
from pycharrnn.common.errors import UserError
from pycharrnn.common.interrupts import Interrupted
from pycharrnn.common.printing import print_nothing
from pycharrnn.common.standard_streams import standard_input

if TYPE_CHECKING:
    from pycharrnn.sampling.chat import Chat
    from pycharrnn.sampling.options import ChatOptions


@click.command(
    "chat",
    cls=Command,
    options="pycharrnn.sampling.options.ChatOptions",
    arguments=[("model", f"checkpoint; {FOLDER}")],
    short_help="Chat with a model, line by line.",
)
@click.argument("model", metavar="<model>", type=FILE)
def chat_command(model: str, **values: Any) -> None:
    """Type a line, and the model continues it, with earlier lines as its context. Ctrl-D ends the chat"""
    from pycharrnn.sampling.options import ChatOptions

    opt = ChatOptions(**{**values, "stop": unescape(values["stop"])})
    cores.use_threads(opt.threads or 1)
    from compat import item_options
    from pycharrnn.checkpoints import checkpoint, checkpoint_facts, formats, paths
    from pycharrnn.engine import device
    from pycharrnn.sampling import inference, model_labels
    from pycharrnn.sampling.chat import Chat, LearningChat
    from pycharrnn.sampling.primetext import item_start

    explain_seed(opt.seed)

    kept = Output(opt.o, "-o ", opt.overwrite)
    kept.check_folder()
    if as_saved := formats.of(opt.o):
        # Now, not when the chat ends and what was learned would be lost; a signal amid an import ends the process.
        as_saved.require_package()
        as_saved.functions()
    checkpoint_file, loaded = paths.load_best(model, note)
    labels = loaded.labels  # an answer would begin an item, and have none
    instead = "draw items with pycharrnn sample -as LABEL, or find the label of one with pycharrnn which"
    model_labels.require_before([b""], labels, checkpoint_file, instead)
    if item_options.is_one_line(loaded.items):
        note(f"{checkpoint_file} is a model of items: an answer is another item, which doesn't continue your line.")
    if opt.max_copy and not opt.text:
        max_copy.note_unverified_text(checkpoint_file, loaded)
    copies = max_copy.limits(checkpoint_file, loaded, opt, note)
    if not opt.learn:
        where = device.choose(opt.gpuid, opt.opencl, print_nothing)
        start = b"".join(item_start(loaded))
        chat = Chat(inference.make_predictor(loaded, where), loaded.vocab, opt, copies, start)
        _converse(chat, opt, checkpoint_facts.is_from_texts(loaded))
        return
    kept.check(opt.text)  # the model's file may be replaced: it has been read
    is_new = not os.path.exists(opt.o)
    learning = LearningChat(loaded, opt, copies)
    path, saves = opt.o, bool(opt.o)

    def save() -> None:
        checkpoint.convert(learning.checkpoint(), path)
        note(saved(path))

    try:
        try:
            _converse(learning, opt, checkpoint_facts.is_from_texts(loaded))
        except UserError:  # such as a -stop that never occurs
            saves = saves and learning.has_learned
            raise
        finally:
            if saves:
                path = _free_path(path) if is_new and not opt.overwrite else path
                save()
                saves = False
    except (KeyboardInterrupt, Interrupted):
        if saves:  # a terminal that closes ends the input, and its signal breaks off the saving
            save()
        raise


def _free_path(path: str) -> str:
    """The path, or one with a number if a file has appeared there during the chat."""
    if not os.path.exists(path):
        return path
    free = next(name for name in numbered_names.numbered(*os.path.splitext(path)) if not os.path.exists(name))
    note(f"{path} appeared during the chat and is not replaced: the model goes to {free}.")
    return free


def _converse(chat: Chat, opt: ChatOptions, whole_end: bool) -> None:
    """Answer the lines of standard input until it ends. `whole_end`: as for SampleWriter."""
    from pycharrnn.sampling import sample_files

    out, is_explained = sys.stdout.buffer, False
    lines = standard_input()
    if lines.isatty():
        note(f"type a line, and the model answers; {end_of_input()} ends the chat.")
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
        seed = chat.seed
        sample_files.write_sample(out, opt.sampling(), chat.answer(line), live=True, whole_end=whole_end)
        max_copy.explain_early_ends([seed] if chat.ended_early else [], opt)
        if chat.is_empty and not is_explained:
            note(r'the answer is an empty line; with -stop "\n\n" an answer ends at an empty line.')
            is_explained = True
