"""Training as a call: what `pycharrnn train` does, for a program and a notebook."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import reprlib
import signal
import sys
from typing import TYPE_CHECKING

from pycharrnn.common.interrupts import numbers, status_of
from pycharrnn.common.standard_streams import write_line
from pycharrnn.library.characters import utf8
from pycharrnn.library.keywords import in_words_of_a_program, options_of
from pycharrnn.library.run import Run
from pycharrnn.sampling import sample_hook
from pycharrnn.training.options import TrainOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pycharrnn.training.reports import RunResult, TrainStep, Validation
    from pycharrnn.training.signals import RunStopped

    Path = str | os.PathLike[str]

_LONGEST_PATH = 1000  # characters; a str of more is a text


def train(
    text: bytes | Path | Sequence[Path] | None = None,
    *,
    quiet: bool = False,
    on_print: Callable[[TrainStep], object] | None = None,
    on_validation: Callable[[Validation], object] | None = None,
    **options: float | Path,
) -> Run:
    """Train a model on a text, as `pycharrnn train FILES` does; the first Ctrl-C saves it, and returns what there is.

    The log's lines go to stdout, as char-rnn prints them, and what else there is to say to stderr.

    Args:
        text: a file or a folder of texts, or a list of them; or a text itself: bytes, or a str that has a line break or
            more than 1,000 characters. None = that of `data_dir`, or of the run that `resume` goes on with.
        quiet: print nothing; `Run.notes` has what was to be said. Only Ctrl-C is answered, on stderr.
        on_print: called with a TrainStep for each training loss that the log has, or would have.
        on_validation: called with a Validation after each of them.
        options: the flags of `pycharrnn train` by their names, docs/flags.md: rnn_size=256, max_epochs=10. With a text,
            `recipe` is "quick", and `savefile` is called after it.

    Errors: UserError for a text or a value that can't be used, or a loss that explodes; TypeError for an option that
        there is none of, or a value of another type; OSError.

    Example:
        >>> run = pycharrnn.train("poems.txt", max_epochs=4, on_validation=lambda v: print(v.val_loss))
        >>> print(run.best.generate("The ", length=200, temperature=0.5))
    """
    for name, callback in (("on_print", on_print), ("on_validation", on_validation)):
        if callback is not None and not callable(callback):
            raise TypeError(f"{name} must be a function, not {reprlib.repr(callback)}")
    speaker = _Speaker(quiet)
    opt = options_of(TrainOptions, options, "train")
    with in_words_of_a_program(), _settings_of_pytorch_kept(), contextlib.ExitStack() as until_trained:
        from pycharrnn.training import loop
        from pycharrnn.training.corpus_run import corpus_run
        from pycharrnn.training.reports import Callbacks
        from pycharrnn.training.signals import RunStopped

        opt = dataclasses.replace(opt, progress=0) if quiet else opt
        corpus = None
        if text is not None:
            opt, corpus = until_trained.enter_context(corpus_run(_texts(text), opt, options, speaker.note))
        asked = {"on_print": on_print, "on_validation": on_validation}
        callbacks = Callbacks(**{name: callback for name, callback in asked.items() if callback})  # type: ignore[arg-type]
        draw = None if quiet else sample_hook.characters
        try:
            return Run(loop.train(opt, speaker.say, options, speaker.note, draw, callbacks, corpus), speaker.notes)
        except RunStopped as e:
            outcome = _outcome_at_ctrl_c(e)
        done, last = len(outcome.history.train_losses), outcome.last
        speaker.note(f"stopped by Ctrl-C after iteration {done}; go on with: pycharrnn.train(resume={last!r})")
        return Run(outcome, speaker.notes, stopped=True)


def _texts(text: object) -> list[str] | bytes:
    """Paths, or a text itself. Errors: TypeError; UserError for half a character."""
    if isinstance(text, bytes):
        return text
    if isinstance(text, str) and ("\n" in text or len(text) > _LONGEST_PATH):
        return utf8(text, "text")
    named = text if isinstance(text, (list, tuple)) else [text]
    paths = [os.fspath(path) for path in named if isinstance(path, (str, os.PathLike))]
    if not paths or len(paths) < len(named):
        raise TypeError(f"text must be a text, a path or a list of paths, not {reprlib.repr(text)}")
    return paths


def _outcome_at_ctrl_c(stopped: RunStopped) -> RunResult:
    """What there is of a run that Ctrl-C has ended, and that is in a file; another signal is passed on.

    Errors: RunStopped for any other end.
    """
    for number in numbers():
        if number != signal.SIGINT and stopped.status == status_of(number):
            signal.raise_signal(number)  # for whoever handled it before the run; that may end the process
    if stopped.status == status_of(signal.SIGINT) and stopped.outcome and stopped.outcome.last:
        return stopped.outcome
    raise stopped


class _Speaker:
    """Prints lines of the log on stdout and others on stderr, as Python has them, which in a notebook is the cell.

    Attributes:
        notes: the others.
    """

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self.notes: list[str] = []

    def say(self, line: str) -> None:
        """Print a line of the log."""
        if not self._quiet:
            write_line(line, sys.stdout)

    def note(self, line: str) -> None:
        """Print a line on stderr, and keep it."""
        self.notes.append(line)
        if not self._quiet:
            with contextlib.suppress(OSError, ValueError):  # a closed stderr is no error
                write_line(f"pycharrnn: {line}", sys.stderr)


@contextlib.contextmanager
def _settings_of_pytorch_kept() -> Iterator[None]:
    """Put back, at the end, how many threads PyTorch computes with, and how exactly it multiplies on a GPU."""
    import torch

    from pycharrnn.engine import tf32

    threads = torch.get_num_threads()
    try:
        with tf32.kept():
            yield
    finally:
        torch.set_num_threads(threads)
