"""pycharrnn.train: `pycharrnn train` as a function for programs and notebooks."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import reprlib
import signal
import sys
from typing import TYPE_CHECKING

from pycharrnn.common import extras
from pycharrnn.common.errors import UserError, for_program, in_words_of_a_program
from pycharrnn.common.interrupts import numbers, status_of
from pycharrnn.common.standard_streams import write_line
from pycharrnn.library.characters import utf8
from pycharrnn.library.keywords import options_of, switch
from pycharrnn.library.run import Run
from pycharrnn.library.train_keywords import Path, TrainKeywords
from pycharrnn.sampling import sample_hook
from pycharrnn.text.decode_text import RAW
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.pace import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from typing_extensions import Unpack

    from pycharrnn.training.reports import RunResult, TrainStep, Validation
    from pycharrnn.training.signals import RunStopped

_LINES_IN_A_TEXT = 'to train on lines or texts of a program, join them: train("\\n".join(lines))'
_LONGEST_PATH = 1000  # characters; a str of more is a text


def train(
    text: bytes | Path | Sequence[Path] | None = None,
    *,
    quiet: bool = False,
    on_print: Callable[[TrainStep], object] | None = None,
    on_validation: Callable[[Validation], object] | None = None,
    **options: Unpack[TrainKeywords],
) -> Run:
    """Train a model on a text, as `pycharrnn train FILES` does. Ctrl-C saves the run and returns it.

    Before the first iteration there is nothing to save: Ctrl-C raises KeyboardInterrupt. So does a second Ctrl-C, which
    ends the run at once.

    The log goes to stdout, other messages to stderr. A callback that raises KeyboardInterrupt stops the run as Ctrl-C
    does, in any thread. Any other exception of a callback ends the run without saving it.

    Args:
        text: a file or a folder of texts, or a list of them; or the text itself: bytes, or a str with a line break or
            more than 1,000 characters. None = the text of `data_dir`, or of the run to `resume`. The encoding of files
            and bytes is detected unless `text_encoding` names it.
        quiet: print nothing, except one line on Ctrl-C; `Run.notes` keeps the messages.
        on_print: called with a TrainStep for each training loss of the log.
        on_validation: called with a Validation after each one.
        options: the flags of `pycharrnn train`, which `pycharrnn help train` lists: rnn_size=256, max_epochs=10. With a
            text, `recipe` defaults to "quick" and `savefile` to the text's name.

    Errors: UserError for a text or a value that can't be used, or a loss that explodes; TypeError for an unknown option
        or a wrong type; OSError.

    Example:
        >>> run = pycharrnn.train("poems.txt", max_epochs=4, on_validation=lambda v: print(v.val_loss))
        >>> print(run.best.generate("The ", length=200, temperature=0.5))
    """
    watch = Stopwatch.start()
    for name, callback in (("on_print", on_print), ("on_validation", on_validation)):
        if callback is not None and not callable(callback):
            raise TypeError(f"{name} must be a function, not {reprlib.repr(callback)}")
    quiet = switch("quiet", quiet)
    printer = _LogPrinter(quiet)
    given: dict[str, object] = {**options}
    extras.require_pytorch("training")
    if given.get("resume") is None:  # Run.last_path of a run that saved nothing
        given.pop("resume", None)
    own = ("text", "quiet", "on_print", "on_validation")  # no option: for hints on misspelled names
    opt = options_of(TrainOptions, given, "train", [*own, *TrainKeywords.__annotations__])
    with in_words_of_a_program(), _settings_of_pytorch_kept(), contextlib.ExitStack() as until_trained:
        from pycharrnn.training import loop
        from pycharrnn.training.corpus_run import corpus_run
        from pycharrnn.training.reports import Callbacks
        from pycharrnn.training.signals import RunStopped

        opt = dataclasses.replace(opt, progress=0) if quiet else opt
        corpus = None
        if text is not None:
            texts = _texts(text)
            if opt.text_encoding not in ("", RAW) and isinstance(text, str) and isinstance(texts, bytes):
                raise UserError(
                    "text_encoding is for files and bytes, but text is a str: leave it out, or give 'bytes', which"
                    " takes markup and zero bytes as they are."
                )
            opt, corpus = until_trained.enter_context(corpus_run(texts, opt, given, printer.note))
        asked = {"on_print": on_print, "on_validation": on_validation}
        callbacks = Callbacks(**{name: callback for name, callback in asked.items() if callback})  # type: ignore[arg-type]
        draw = None if quiet else sample_hook.characters
        try:
            result = loop.train(
                opt,
                given,
                say=printer.say,
                note=printer.note,
                draw=draw,
                callbacks=callbacks,
                corpus=corpus,
                watch=watch,
            )
            return Run(result, printer.notes)
        except RunStopped as e:
            result = _result_at_interrupt(e)
        done, last = len(result.history.train_losses), result.last
        printer.note(f"stopped by an interrupt after iteration {done}; go on with: pycharrnn.train(resume={last!r})")
        return Run(result, printer.notes, stopped=True)


def _texts(text: object) -> list[str] | bytes:
    """Paths, or a text itself. Errors: TypeError; UserError for an empty str, an unpaired surrogate or a short text."""
    if isinstance(text, str) and not text:
        raise UserError("text is empty: give a text, or the path of a file or folder.")
    if isinstance(text, bytes):
        return text
    if isinstance(text, str) and ("\n" in text or len(text) > _LONGEST_PATH):
        return utf8(text, "text")
    named = text if isinstance(text, (list, tuple)) else [text]
    paths = [str(os.fsdecode(path)) for path in named if isinstance(path, (str, os.PathLike))]
    if any("\n" in path or len(path) > _LONGEST_PATH for path in paths):
        raise UserError(f"text is a list, and has a text in the place of a path: {_LINES_IN_A_TEXT}.")
    if not paths or len(paths) < len(named):
        raise TypeError(f"text must be a text, a path or a list of paths, not {reprlib.repr(text)}: {_LINES_IN_A_TEXT}")
    if len(paths) > 1 and not (any(map(os.path.lexists, paths)) or all(map(_looks_like_a_path, paths))):
        raise UserError(f"text is a list of {len(paths)} paths, and none of them is here: {_LINES_IN_A_TEXT}.")
    return paths


def _looks_like_a_path(path: str) -> bool:
    return os.path.splitext(path)[1] not in ("", ".") or os.path.basename(path) != path


def _result_at_interrupt(stopped: RunStopped) -> RunResult:
    """The result of a run that was interrupted after a checkpoint.

    Errors: KeyboardInterrupt for Ctrl-C before there is one, or twice; other signals are raised; RunStopped.
    """
    for number in numbers():
        if number != signal.SIGINT and stopped.status == status_of(number):
            signal.raise_signal(number)  # for whoever handled it before the run; that may end the process
    if stopped.status != status_of(signal.SIGINT):
        raise stopped
    if stopped.result and stopped.result.last:
        return stopped.result
    raise KeyboardInterrupt(for_program(stopped.message)) from stopped


class _LogPrinter:
    """Prints the log on sys.stdout and `notes` on sys.stderr, which a notebook redirects to the cell."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self.notes: list[str] = []

    def say(self, line: str) -> None:
        """Print a line of the log. Errors: OSError, ValueError for a closed stream."""
        if not self._quiet:
            write_line(line, sys.stdout)

    def note(self, line: str) -> None:
        """Keep a note, and print it."""
        line = for_program(line)
        self.notes.append(line)
        if not self._quiet:
            with contextlib.suppress(OSError, ValueError):  # a closed stderr is no error
                write_line(f"pycharrnn: {line}", sys.stderr)


@contextlib.contextmanager
def _settings_of_pytorch_kept() -> Iterator[None]:
    """Restore PyTorch's number of threads and its precision on GPUs at the end."""
    import torch

    from pycharrnn.engine import tf32

    threads = torch.get_num_threads()
    try:
        with tf32.kept():
            yield
    finally:
        torch.set_num_threads(threads)
