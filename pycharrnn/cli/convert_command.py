"""The command convert. Imports within it keep -help fast."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from pycharrnn.checkpoints import formats
from pycharrnn.cli.console import note, saved, say
from pycharrnn.cli.flag_types import Files
from pycharrnn.cli.flags import FOLDER, Command
from pycharrnn.cli.left_over_words import on_quotes
from pycharrnn.cli.outputs import Output
from pycharrnn.common.display import plural, series
from pycharrnn.common.errors import UserError, flag

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint
    from compat.t7_objects import T7Encoding
    from pycharrnn.checkpoints.options import ConvertOptions

_ENDINGS = series(formats.ALL_ENDINGS, "or")


@click.command(
    "convert",
    cls=Command,
    needs_output=False,
    options="pycharrnn.checkpoints.options.ConvertOptions",
    arguments=[
        (
            "in",
            f"checkpoint of train, char-rnn or torch-rnn, or a file that convert wrote; {FOLDER}. A page takes several,"
            " and of a folder the best checkpoint of each run. Or data.t7, beside its vocab.t7",
        ),
        (
            "out",
            f"file to write, in the format of its ending: {_ENDINGS}. .html is a"
            " page that runs the model, .c a C program, .txt the text of data.t7. Default: <in>_cpu.t7",
        ),
    ],
    short_help=f"Write a checkpoint as {_ENDINGS}.",
)
@click.argument("files", metavar="<in>... [<out>]", cls=Files, required=True)
def convert_command(files: tuple[str, ...], **values: Any) -> None:
    """Write a checkpoint in another format, a page that runs models, or a C program"""
    from pycharrnn.checkpoints.options import ConvertOptions

    opt = ConvertOptions(**values)
    _refuse_words(files, opt)
    *sources, target = files if len(files) > 1 else (*files, "")
    Output(target, "", opt.overwrite).check_folder()
    encoding: T7Encoding = "ascii" if opt.ascii else "binary"
    options = formats.WriteOptions(opt.type, encoding, opt.longs, opt.weights, bool(opt.half), opt.title, opt.about)
    formats.check_options(target, options)
    if opt.ascii and opt.longs != ConvertOptions.longs:
        raise UserError(
            f"{flag('longs', opt.longs)} is for a binary file, and {flag('ascii', 1)} for text: leave one out."
        )
    if formats.HTML.is_of(target):
        _write_page(sources, target, opt)
        return
    if len(sources) > 1:
        raise click.UsageError(
            "only a page holds several checkpoints: name <out>.html last.", click.get_current_context()
        )
    if target.lower().endswith(".txt"):
        _write_text(sources[0], target, opt, is_plain=options == formats.DEFAULT)
        return
    from pycharrnn.checkpoints import checkpoint, checkpoint_facts, folder_files, paths

    if formats.page_and_model(target)[1]:
        raise UserError(f"{target} stands for a model in a page, not for a file to write: choose another name.")
    source, loaded = paths.load_best(sources[0], note)
    page, of_page = formats.page_and_model(source)
    target = target or (f"{page}_{of_page.replace('/', '_')}" if of_page else source) + folder_files.COPY
    Output(target, "", opt.overwrite).check(source)
    checkpoint.convert(loaded, target, options)
    say(saved(target))
    if checkpoint_facts.is_rounded(loaded):
        _note_rounding(source)
    if formats.C.is_of(target):
        _describe_c_file(source, loaded, opt.weights)


def _refuse_words(files: tuple[str, ...], opt: ConvertOptions) -> None:
    """Errors: UserError for words of a title or a description that stand among the files, since quotes are missing."""
    words = [file for file in files if not formats.of(file) and not os.path.exists(file)]
    if words == [files[-1]] and not any(map(formats.HTML.is_of, files)):
        return  # the page's name, without its ending
    if words and (opt.title or opt.about):
        option = flag("title" if opt.title else "about")
        if said := on_quotes(str(option), opt.title or opt.about, words):
            raise UserError(f"{said}.")
        raise UserError(f'there is no file {", ".join(words)}; put several words in quotes, as in {option} "My poems".')


def _write_text(source: str, target: str, opt: ConvertOptions, is_plain: bool) -> None:
    """Write the text of a data.t7. `is_plain`: whether no option of a format is given. Errors: OSError; UserError."""
    from pycharrnn.text import cached_text

    encoding = cached_text.encoding_of_data_file(source)
    if not encoding:
        raise UserError(f"only data.t7, char-rnn's cache of a text, becomes a .txt file: for a model use {_ENDINGS}.")
    if not is_plain:
        raise UserError("a text is written as it is: of the options, only -overwrite is for it.")
    Output(target, "", opt.overwrite).check(source)
    cached_text.write(source, encoding, target)
    say(saved(target))


def _describe_c_file(source: str, loaded: Checkpoint, weights: str) -> None:
    """Print the type and size of the weights, and the validation loss with them, if they are rounded."""
    from pycharrnn.analysis import rounding
    from pycharrnn.checkpoints import c_file

    weights = weights or c_file.default_weights(loaded)
    note(f"weights: {weights}, {c_file.weight_bytes(loaded, weights)} bytes")
    if weights == "double":
        return
    try:
        losses = rounding.losses(source, loaded, weights)
    except UserError as e:
        note(f"the validation loss with these weights is unknown, since {e}")
    else:
        on = f"; both on {losses.text} as it is now" if losses.text else ""
        note(f"validation loss: {losses.rounded:.4f}; of the checkpoint: {losses.exact:.4f}{on}")


def _write_page(sources: list[str], target: str, opt: ConvertOptions) -> None:
    """Write a page that holds models. Errors: OSError; UserError."""
    from pycharrnn.page import gallery, single_file

    half = bool(opt.half)
    models = gallery.collect(sources, half, note)
    Output(target, "", opt.overwrite).check(*(formats.page_and_model(path)[0] for path, _ in models))
    size = single_file.write(target, models, half, opt.title, opt.about)
    say(saved(target))
    note(f"{len(models)} {plural(len(models), 'model')} in {size / 1e6:.1f} MB")
    if not half:
        for path, model in models:
            if single_file.has_short_weights(model):
                _note_rounding(path)


def _note_rounding(path: str) -> None:
    rounded = f"the weights of {path} are rounded to float16, as by {flag('half', 1)}"
    note(f"{rounded}: its texts differ from those of the trained model, whose losses it records.")
