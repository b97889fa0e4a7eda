"""The commands inspect, plot and activations. Imports within commands keep -help fast."""

from __future__ import annotations

import os
from typing import Any

import click

from pycharrnn.cli.console import note, saved, say
from pycharrnn.cli.flag_types import FILE, Files
from pycharrnn.cli.flags import FOLDER, Command
from pycharrnn.cli.input_files import is_plain_text, read_primetext
from pycharrnn.cli.outputs import Output
from pycharrnn.common import cores, shell_words
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError, flag


@click.command(
    "inspect",
    cls=Command,
    options="pycharrnn.checkpoints.options.InspectOptions",
    arguments=[("file", f"checkpoints or any .t7 files; {FOLDER}")],
    short_help="Print what checkpoints or any .t7 files contain.",
)
@click.argument("files", metavar="<file>", cls=Files, required=True)
def inspect_command(files: tuple[str, ...], **values: Any) -> None:
    """Print the program, model, size, options and losses of checkpoints, or the tree of another .t7 file"""
    from pycharrnn.checkpoints.options import InspectOptions

    opt = InspectOptions(**values)
    if len(files) == 1:
        _inspect(files[0], opt.json)
        return
    refused = 0
    for k, file in enumerate(files):
        if not opt.json:
            say(("\n" if k else "") + escape_line(file, None))
        try:
            _inspect(file, opt.json)
        except UserError as e:  # the other files follow
            note(str(e))
            refused += 1
    if refused:
        raise UserError(f"{refused} of {len(files)} files could not be described.")


def _inspect(file: str, as_json: int) -> None:
    """Describe a file, or the best checkpoint of a folder. Errors: UserError."""
    from pycharrnn.checkpoints import inspection, paths

    if os.path.isdir(file):
        file, _ = paths.load_best(file, note)
    found = inspection.look(file)
    if found.facts is None:
        if as_json:
            raise UserError(found.fault)
        say(found.tree)
        note(found.fault)
    elif as_json:
        import json

        say(json.dumps({"file": file, **inspection.for_json(found.facts)}))
    else:
        say(inspection.as_table(found.facts))


@click.command(
    "plot",
    cls=Command,
    needs_output=False,
    options="pycharrnn.analysis.options.PlotOptions",
    arguments=[
        (
            "run",
            "checkpoints or -log files; a folder means the newest checkpoint of each run. Or .json files of pycharrnn"
            " copied -curve 1 -json 1",
        )
    ],
    short_help="Plot the losses of runs, or novelty curves.",
)
@click.argument("paths", metavar="<run>", cls=Files, required=True)
def plot_command(paths: tuple[str, ...], **values: Any) -> None:
    """Plot the training and validation losses of runs, also while they are training; or novelty curves of samples"""
    from pycharrnn.analysis.options import PlotOptions

    opt = PlotOptions(**values)
    from pycharrnn.analysis import novelty_plot, plotted_runs, plotting, split_options
    from pycharrnn.training.log_rows import is_log

    out = Output(opt.o, "-o ", opt.overwrite, "plot")
    out.check_folder()
    if of_samples := [path for path in paths if novelty_plot.is_curve(path)]:
        if others := [path for path in paths if path not in of_samples]:
            raise UserError(f"{of_samples[0]} has a novelty curve and {others[0]} losses: plot them one by one.")
        out.check(*paths)
        novelty_plot.save_picture(opt.o, novelty_plot.read(paths))
        say(saved(opt.o))
        return
    if pictures := list(filter(_is_picture, paths)):
        others = [path for path in paths if path not in pictures] or ["cv"]
        command = shell_words.joined(["pycharrnn", "plot", *others, "-o", pictures[0]])
        raise UserError(f"{pictures[0]} is a picture, not a run: give the one to write by -o, as in {command}.")
    if texts := [path for path in paths if not is_log(path) and is_plain_text(path)]:
        raise UserError(
            f"{texts[0]} is a text: plot draws checkpoints, folders of them, the .csv and .jsonl files of train -log,"
            " and the files of copied -json 1."
        )
    runs = plotted_runs.find(paths, note)
    out.check(*(run.path for run in runs))
    curves = plotted_runs.curves(runs)
    plotting.save_picture(opt.o, curves)
    for curve in curves:
        say(curve.label)
    say(saved(opt.o))
    models = [(run.path, split_options.character_of(run.checkpoint)) for run in runs if run.checkpoint]
    if said := split_options.different_characters(models):
        note(said)


def _is_picture(path: str) -> bool:
    """Whether a path is that of a picture that plot wrote, or, without a file, has the ending of one."""
    if not path.lower().endswith((".png", ".svg")):
        return False
    if not os.path.isfile(path):
        return not os.path.exists(path)
    with open(path, "rb") as f:
        return f.read(5).startswith((b"\x89PNG", b"<?xml"))


@click.command(
    "activations",
    cls=Command,
    needs_output=False,
    options="pycharrnn.analysis.options.ActivationsOptions",
    arguments=[("model", f"checkpoint; {FOLDER}")],
    short_help="Write a page of hidden units along a text.",
)
@click.argument("path", metavar="<model>", type=FILE)
def activations_command(path: str, **values: Any) -> None:
    """Write a page that shows activations of hidden units along a text: tanh(c) of an lstm, h of a gru or rnn"""
    from pycharrnn.analysis.options import ActivationsOptions

    opt = ActivationsOptions(**values)
    cores.use_threads(opt.threads or 1)
    from pycharrnn.analysis import activations
    from pycharrnn.checkpoints.names import short_names
    from pycharrnn.checkpoints.paths import load_best
    from pycharrnn.page import activation_page
    from pycharrnn.sampling.primetext import without_unknown

    out = Output(opt.o, "-o ", opt.overwrite, activation_page.COMMAND)
    out.check_folder()
    file, loaded = load_best(path, note)
    if not opt.primetext and not opt.primefile:
        raise UserError(f"give a text to read: either {flag('primetext')} TEXT or {flag('primefile')} FILE.")
    out.check(file, opt.primefile)
    text = read_primetext(opt.primetext, opt.primefile, loaded, opt.text_encoding)
    if opt.ignore_bad_primetext:
        text, left_out = without_unknown(text, loaded.vocab)
        if left_out:
            say(f"left out of the text: {left_out}")
    recorded = activations.record(
        loaded, text, activations.MAX_CHARACTERS, say, "primefile" if opt.primefile else "primetext"
    )
    units = activations.choose_units(recorded.values, opt.layer, opt.units, opt.count)
    (name,) = short_names([file])
    activation_page.write(opt.o, name, loaded.network, recorded, units)
    say(saved(opt.o))
