"""The command copied. Imports within it keep -help fast."""

from __future__ import annotations

import contextlib
from typing import Any

import click

from pycharrnn.cli.console import note, saved, say
from pycharrnn.cli.flag_types import FILE
from pycharrnn.cli.flags import FOLDER, Command
from pycharrnn.cli.input_files import is_folder_of_texts, is_text, read, read_text
from pycharrnn.cli.outputs import Output
from pycharrnn.common.errors import UserError
from pycharrnn.common.shell_words import quoted
from pycharrnn.common.standard_streams import input_name


@click.command(
    "copied",
    cls=Command,
    options="pycharrnn.analysis.options.CopiedOptions",
    arguments=[
        ("sample", "file with a sample, or any other text. - = standard input"),
        ("model", f"checkpoint whose training text to compare with; {FOLDER}. Without it, -text names the text"),
    ],
    short_help="Print the passages of a sample that are in the training text.",
)
@click.argument("sample", metavar="<sample>", type=FILE)
@click.argument("model", metavar="<model>", type=FILE, required=False)
def copied_command(sample: str, model: str | None, **values: Any) -> None:
    """Print the longest passages of a sample that are in the training text, letter for letter"""
    from pycharrnn.analysis.options import CopiedOptions

    opt = CopiedOptions(**values)
    _check_operands(sample, model, opt.text)
    from compat import item_options
    from pycharrnn.analysis import copied, copied_report
    from pycharrnn.checkpoints import paths
    from pycharrnn.common import cores
    from pycharrnn.page import copied_page
    from pycharrnn.text.decode_text import RAW
    from pycharrnn.text.recorded_text import recorded_text

    out = Output(opt.html, "-html ", opt.overwrite, copied_page.COMMAND)
    out.check_folder()
    name = input_name(sample)
    checkpoint_file, loaded = paths.load_best(model, note) if model is not None else ("", None)
    out.check(*filter(None, (sample, opt.text, checkpoint_file)))
    # Bytes may also be of a binary file, which training refuses.
    is_raw = opt.text_encoding == RAW
    content = read(sample) if is_raw else read_text(sample, loaded, opt.text_encoding)
    if not content:
        raise UserError(f"{name}: empty, so there is nothing to compare.")
    curves, threads = None, opt.threads or cores.default_threads()
    with contextlib.ExitStack() as until_read:
        if opt.text or loaded is None:
            text = copied.text_of_file(opt.text, content, until_read, note, RAW if is_raw else "")
        else:
            recorded = recorded_text(checkpoint_file, loaded)
            if doubt := recorded.unverified:
                note(doubt)
            text = copied.text_of_record(recorded)
        if not opt.json:
            joined = (
                f": {text.files} files sorted by name; line numbers continue from file to file"
                if text.files > 1
                else ""
            )
            note(f"{name} is compared with {text.name}{joined}")
        known = loaded.labels if loaded else {}
        found = copied.compare(content, text, known, threads=threads)
        passages = copied.passages(found, text, opt.least)
        if opt.html:
            everywhere = copied.passages(found, text, opt.least, each_once=False)
            copied_page.write(opt.html, name, text.name, content, everywhere, opt.least)
        if opt.curve and (opt.text or loaded is None):
            is_of_lines = loaded is not None and item_options.is_one_line(loaded.items)
            shares = copied.curve_of_lines(content, text, known, threads) if is_of_lines else found.curve()
            curves = copied_report.Curves(shares, [])
    if opt.curve and loaded and not curves:
        curves = copied_report.curves_of(copied.novelty_of_model(checkpoint_file, loaded, content, threads))
    if opt.json:
        say(copied_report.as_json(name, text.name, passages, opt.least, opt.top, curves))
    else:
        say(copied_report.as_table(passages, opt.least, opt.top))
        if curves:
            say("\n" + copied_report.curve_table(curves))
    if opt.html:
        (note if opt.json else say)(saved(opt.html))


def _check_operands(sample: str, model: str | None, text: str) -> None:
    """Errors: click.UsageError, with the command that was probably meant."""
    if not text and model is None:
        raise click.UsageError(
            "name a checkpoint after the sample, or a text to compare with by -text FILE.", click.get_current_context()
        )
    if text == "-" and sample == "-":
        raise click.UsageError(
            "the sample and -text can't both be standard input: name a file.", click.get_current_context()
        )
    if model is not None and is_text(model):
        files = f"{quoted(sample)} -text {quoted(model)}" if is_text(sample) else f"{quoted(model)} {quoted(sample)}"
        raise click.UsageError(f"{model} is a text: use pycharrnn copied {files}.", click.get_current_context())
    if model is not None and is_folder_of_texts(model):
        use = f"pycharrnn copied {quoted(sample)} -text {quoted(model)}"
        raise click.UsageError(
            f"{model} has texts and no checkpoint: to compare with the texts, use {use}.", click.get_current_context()
        )
