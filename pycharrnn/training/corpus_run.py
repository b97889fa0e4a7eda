"""Trains on texts that the user names, instead of -data_dir."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Collection, Iterator, Sequence

from compat import file_magic
from pycharrnn.checkpoints import run_names
from pycharrnn.common.errors import UserError, flag
from pycharrnn.common.printing import PrintLine
from pycharrnn.text import corpus
from pycharrnn.text.corpus import Corpus
from pycharrnn.text.text_folder import input_file
from pycharrnn.training import log_rows
from pycharrnn.training.machine import process_from_environment
from pycharrnn.training.options import TrainOptions


@contextlib.contextmanager
def corpus_run(
    texts: Sequence[str] | bytes, opt: TrainOptions, given: Collection[str], note: PrintLine
) -> Iterator[tuple[TrainOptions, Corpus]]:
    """The options and the corpus of a training on `texts`; loop.train writes the corpus once all checks have passed.

    `texts`: files, folders, - for standard input; or the text itself. Errors: UserError.
    """
    named = "the text itself" if isinstance(texts, bytes) else " ".join(texts)
    if "data_dir" in given:
        raise UserError(f"{flag('data_dir')} names a text, too: leave out {flag('data_dir')} or {named}.")
    if "resume" in given:
        raise UserError(
            f"{flag('resume')} goes on with the text of its run, in the folder of {flag('data_dir')}: leave out"
            f" {named}, or train on it with {flag('init_from', opt.resume)} in place of {flag('resume')}."
        )
    if process_from_environment().size > 1:
        raise UserError(
            f"a training on several processes needs the folder of a text, not files: give {flag('data_dir')} data/NAME,"
            " which a training on the files in one process creates."
        )
    how = {name: getattr(opt, name) for name in ("text_encoding", "items", "label")}
    how["encoding"] = opt.encoding if "encoding" in given else ""
    with corpus.gather(texts, note, opt.progress, is_product, **how) as gathered:
        recipe = opt.recipe if "recipe" in given or opt.minutes else "quick"
        savefile = opt.savefile if "savefile" in given else os.path.basename(gathered.folder)
        from_texts = opt.from_texts if "from_texts" in given else 1
        opt = dataclasses.replace(opt, data_dir=gathered.folder, recipe=recipe, savefile=savefile)
        yield dataclasses.replace(opt, from_texts=from_texts), gathered


def is_product(path: str) -> bool:
    """Whether the file is a log, a checkpoint, or part of the cache of an input.txt in its folder."""
    folder, name = os.path.split(path)
    if file_magic.CACHE_NAME.fullmatch(name):
        return os.path.isfile(input_file(folder))
    return run_names.has_name_of_run(path) or log_rows.is_log_file(path)
