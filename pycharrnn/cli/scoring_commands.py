"""The commands eval, score and which. Imports within commands keep -help fast."""

from __future__ import annotations

import os
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

import click

from pycharrnn.cli.console import note, saved, say
from pycharrnn.cli.flag_types import FILE, Files
from pycharrnn.cli.flags import FOLDER, Command
from pycharrnn.cli.input_files import is_checkpoint, is_folder_of_texts, is_text, read_text
from pycharrnn.cli.outputs import Output
from pycharrnn.common import cores, near_paths, shell_words
from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.shell_words import quoted
from pycharrnn.common.standard_streams import input_name
from pycharrnn.text.text_folder import input_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from compat.charrnn import Checkpoint
    from pycharrnn.analysis.options import EvalOptions, ScoreOptions
    from pycharrnn.sampling.predictor import Predictor


@click.command(
    "eval",
    cls=Command,
    options="pycharrnn.analysis.options.EvalOptions",
    arguments=[("model", f"checkpoint, or several; {FOLDER}; with -compare 1 all")],
    short_help="Print the loss of checkpoints on a split of a text.",
)
@click.argument("models", metavar="<model>", cls=Files, required=True)
def eval_command(models: tuple[str, ...], **values: Any) -> None:
    """Print the loss on a split of a text, computed as in training; options default to those of that training"""
    from pycharrnn.analysis.options import EvalOptions

    opt = EvalOptions(**values)
    _check_models(models, opt)
    cores.use_threads(opt.threads or 1)
    from pycharrnn.analysis import adapted, evaluation, split_options
    from pycharrnn.checkpoints import checkpoint_facts, paths
    from pycharrnn.checkpoints.checkpoint_reader import passed_over
    from pycharrnn.engine import device

    where = device.choose(opt.gpuid, 0, note)
    rows: list[evaluation.EvaluatedCheckpoint] = []
    splits: list[split_options.EvaluatedSplit] = []
    failed: list[tuple[str, UserError]] = []
    for path, loaded in paths.load_every(models, note) if opt.compare else [paths.load_best(models[0], note)]:
        try:
            loss = evaluation.split_loss(path, loaded, opt, where)
        except UserError as e:
            failed.append((path, e))
            continue
        if said := evaluation.why_not_val_loss(path, loaded, opt, loss):
            note(said)
        if opt.split != "train" and (said := split_options.other_split(path, loaded, opt)):
            note(said)
        splits.append(split_options.of(path, loaded, opt))
        with_adapt = adapted.split_loss(path, loaded, opt) if opt.adapt else None
        trained_on = checkpoint_facts.trained_on(loaded)
        rows.append(evaluation.EvaluatedCheckpoint(path, loss, loaded.val_loss, trained_on, with_adapt))
    if not rows:
        raise failed[0][1]
    for path, error in failed:
        note(passed_over(path, error))
    for said in split_options.other_texts((split.text for split in splits), opt.data_dir):
        note(said)
    if opt.compare:
        say(evaluation.as_table(rows))
        if said := split_options.not_comparable(splits, opt):
            note(said)
    else:
        say(evaluation.as_lines(opt.split, rows[0]))
    if opt.adapt:
        note(f"{adapted.EXPLANATION}.")


def _check_models(models: tuple[str, ...], opt: EvalOptions) -> None:
    """Errors: click.UsageError, with the command that was probably meant."""
    for folder in models[1:]:
        if is_text(input_file(folder)) and is_folder_of_texts(folder):
            compare = ["-compare", "1"] if opt.compare else []
            others = [path for path in models if path != folder]
            use = shell_words.joined(["pycharrnn", "eval", *others, "-data_dir", folder, *compare])
            raise click.UsageError(
                f"{folder} has a text and no checkpoint: to evaluate on the text, use {use}.",
                click.get_current_context(),
            )
    if len(models) > 1 and not opt.compare:
        if texts := [path for path in models[1:] if is_text(path)]:
            advice = f"use pycharrnn score {quoted(models[0])} {quoted(texts[0])}, or eval with -data_dir FOLDER."
            raise click.UsageError(f"{texts[0]} is a text: {advice}", click.get_current_context())
        raise click.UsageError(
            "several checkpoints need -compare 1: add it, or name one checkpoint.", click.get_current_context()
        )


@click.command(
    "score",
    cls=Command,
    options="pycharrnn.analysis.options.ScoreOptions",
    arguments=[("model", f"checkpoint; {FOLDER}"), ("file", "text, or several. - = standard input")],
    short_help="Print how well a checkpoint predicts texts.",
)
@click.argument("model", metavar="<model>", type=FILE)
@click.argument("files", metavar="<file>", cls=Files, required=True)
def score_command(model: str, files: tuple[str, ...], **values: Any) -> None:
    """Print how well a model predicts texts, in bits per character"""
    from pycharrnn.analysis.options import ScoreOptions

    opt = ScoreOptions(**values)
    cores.use_threads(opt.threads or 1)
    from pycharrnn.analysis import adapted, scoring, text_scores
    from pycharrnn.checkpoints import paths
    from pycharrnn.engine import device
    from pycharrnn.page import surprise_page

    _refuse_swapped("score", model, files)
    out = Output(opt.html, "-html ", opt.overwrite, surprise_page.COMMAND)
    out.check_folder()
    where = device.choose(opt.gpuid, 0, note)
    checkpoint_file, loaded = paths.load_best(model, note)
    _refuse_second_model("score", files)
    out.check(checkpoint_file, *files)
    if opt.lines:
        _print_lines(loaded, files, opt, where)
        return
    if loaded.labels:
        instead = f", and leave {flag('html')} out" if opt.html else ""
        raise UserError(
            f"{checkpoint_file} is a model with labels, whose items are scored one by one: add -lines 1{instead}."
        )
    scores, empty = [], []
    texts = deque[bytes]()  # that have been read, but not scored

    def read_next(file: str) -> bytes:
        texts.append(read_text(file, loaded, opt.text_encoding))
        return texts[-1]

    found = text_scores.scores(loaded, map(read_next, files), files, where, opt.threads or 1)
    for file, score in zip(files, found, strict=True):
        text = texts.popleft()
        if not score.characters:
            empty.append(file)
            continue
        scores.append((file, score))
        say(f"{escape_line(file, None)}: {scoring.as_sentence(score)}")
        if opt.adapt:
            with_adapt = text_scores.adapted_score(loaded, text, opt.adaptation, opt.threads or 1, file)
            name = f"{file}, with -adapt 1"
            scores.append((name, with_adapt))
            say(f"{escape_line(name, None)}: {scoring.as_sentence(with_adapt)}")
    if opt.adapt and scores:
        note(f"{adapted.EXPLANATION}.")
    if opt.html and scores:
        surprise_page.write(opt.html, checkpoint_file, scores)
        say(saved(opt.html))
    if empty:
        raise _nothing_to("score", empty)


def _nothing_to(verb: str, files: Sequence[str]) -> UserError:
    named = ", ".join(map(input_name, files))
    return UserError(f"{named}: empty, so there is nothing to {verb}.")


def _refuse_swapped(command: str, model: str, files: tuple[str, ...]) -> None:
    """Refuse a text in the place of the model before a model in that of the first text. Errors: click.UsageError."""
    is_model = is_checkpoint(files[0]) or (os.path.isdir(files[0]) and not is_folder_of_texts(files[0]))
    if is_model and not os.path.exists(model) and is_text(near := near_paths.near(model)):
        advice = f"the model comes first, as in pycharrnn {command} {quoted(files[0])} {quoted(near)}"
        raise click.UsageError(f"{model} does not exist; {advice}.", click.get_current_context())
    if is_text(model) and not is_text(files[0]):
        advice = f"use pycharrnn {command} {quoted(files[0])} {quoted(model)}"
        raise click.UsageError(f"{model} is a text: {advice}.", click.get_current_context())


def _refuse_second_model(command: str, files: tuple[str, ...]) -> None:
    """Errors: UserError for a checkpoint among the texts."""
    for file in files:
        if is_checkpoint(file):
            raise UserError(f"{file} is a checkpoint: {command} takes one model, then the files that it reads.")


def _print_lines(loaded: Checkpoint, files: tuple[str, ...], opt: ScoreOptions, where: str) -> None:
    """Print the lines of -lines. Errors: OSError; UserError for files without a line."""
    from pycharrnn.analysis import adapted, line_scores

    how = opt.adaptation if opt.adapt else None

    def lines() -> Iterator[line_scores.Line]:
        for file in files:
            yield from line_scores.of_file(
                loaded, file, read_of_model, where, opt.threads or 1, how, opt.text_encoding, note
            )

    def read_of_model(file: str) -> bytes:
        return read_text(file, loaded, opt.text_encoding)

    has_one_line, found, with_unknown = line_scores.has_one_line(loaded), False, []
    for line in sorted(lines(), key=lambda line: line.bits) if opt.sort else lines():
        sys.stdout.buffer.write(line_scores.as_row(line, has_one_line))
        found = True
        if line.unknown:
            with_unknown.append(line)
    sys.stdout.buffer.flush()
    if with_unknown:
        note(line_scores.unknown_in([line.unknown for line in with_unknown]))
    if not found:
        raise _nothing_to("score", files)
    if opt.adapt:
        note(f"{adapted.EXPLANATION}.")


@click.command(
    "which",
    cls=Command,
    options="pycharrnn.analysis.options.WhichOptions",
    arguments=[
        ("model", f"checkpoint of a model with labels; {FOLDER}"),
        ("file", "file with items, or several. - = standard input"),
    ],
    short_help="Print the most probable labels of items.",
)
@click.argument("model", metavar="<model>", type=FILE)
@click.argument("files", metavar="<file>", cls=Files, required=True)
def which_command(model: str, files: tuple[str, ...], **values: Any) -> None:
    """Print the labels of items with their probabilities, by Bayes' rule: the item, a label, its probability, ..."""
    from pycharrnn.analysis.options import WhichOptions

    opt = WhichOptions(**values)
    cores.use_threads(opt.threads)
    from pycharrnn.analysis import classify, line_scores
    from pycharrnn.checkpoints import checkpoint_facts, paths
    from pycharrnn.sampling import inference
    from pycharrnn.text import labels
    from pycharrnn.text.item_file import items_of_file

    _refuse_swapped("which", model, files)
    checkpoint_file, loaded = paths.load_best(model, note)
    _refuse_second_model("which", files)

    def predictor_of(streams: int, steps: int) -> Predictor:
        return inference.on_cpu(loaded.network, streams, steps)

    threads = opt.threads or cores.default_threads()
    classifier = classify.Classifier(checkpoint_file, loaded, predictor_of, opt.prior, threads)
    kind, read_as = loaded.items, checkpoint_facts.text_encoding_for(loaded, opt.text_encoding)
    labelled = 0

    def items() -> Iterator[bytes]:
        nonlocal labelled
        for file in files:
            for item in items_of_file(file, kind, read_as, note):
                label, without = labels.split_known(item, classifier.labels)
                if without:  # else a label alone, which training drops, too
                    labelled += label != b""
                    yield without

    write, unknown = classify.as_json if opt.json else classify.as_row, []
    found = False
    for item in classifier.classify(items()):
        found = True
        sys.stdout.buffer.write(write(item, opt.top or len(item.labels)))
        if item.unknown:
            unknown.append(item.unknown)
    sys.stdout.buffer.flush()
    if unknown:
        note(line_scores.unknown_in(unknown))
    if labelled:
        items_have = "1 item begins" if labelled == 1 else f"{labelled:,} items begin"
        note(f"{items_have} with a label of the model and a tab, which were left out.")
    if not found:
        raise _nothing_to("classify", files)
