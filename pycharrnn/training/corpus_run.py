"""Texts that a user names to train on, in the place of -data_dir: gathered, with a recipe and a name for the run."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Collection, Sequence

from pycharrnn.common.errors import UserError, flag
from pycharrnn.text import corpus
from pycharrnn.training.machine import process_from_environment
from pycharrnn.training.options import TrainOptions


def train_on(
    texts: Sequence[str] | bytes, opt: TrainOptions, given: Collection[str], note: Callable[[str], None]
) -> TrainOptions:
    """Options to train on texts, which are gathered in a folder of data/.

    Args:
        texts: files and folders, - for standard input; or a text itself.
        given: names of the options that the user gave.
        note: prints a line on stderr.

    Errors: UserError.
    """
    for name, why in (("data_dir", "names another text"), ("resume", "goes on with the text of its run")):
        if name in given:
            named = "the other one" if isinstance(texts, bytes) else " ".join(texts)
            raise UserError(f"{flag(name)} {why}, so leave that out, or {named}.")
    if process_from_environment().size > 1:
        raise UserError(f"several processes can't gather a text: train with {flag('data_dir')}.")
    if isinstance(texts, bytes):
        folder = corpus.gather_text(texts, note, opt.progress)
    else:
        folder = corpus.gather(texts, note, opt.progress)
    return dataclasses.replace(
        opt,
        data_dir=folder,
        recipe=opt.recipe if "recipe" in given else "quick",
        savefile=opt.savefile if "savefile" in given else os.path.basename(folder),
    )
