"""The commands, and for a program the calls, that a run recommends at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pycharrnn.common import shell_words
from pycharrnn.common.errors import on_page, wordings


@dataclass(frozen=True)
class NextCommands:
    """What to do with the checkpoints of a run. Each method words the command for the checkpoint at `path`.

    The page of the studio has buttons in their place, and nothing is printed for it.

    Attributes:
        savefile: the name of the run. items: the value of -items.
        resume_flags: flags for -resume that checkpoints don't record: ["-show", "200"].
        sample_flags: flags for `pycharrnn sample`: -gpuid -1 after a run on the CPU by that flag.
    """

    savefile: str
    items: str = ""
    resume_flags: Sequence[str] = ()
    sample_flags: Sequence[str] = ()

    def resume(self, path: str) -> str:
        """The end of a sentence that tells where the run has stopped."""
        command = shell_words.joined(["pycharrnn", "train", "-resume", path, *self.resume_flags])
        return on_page(".", elsewhere=f"; go on with: {wordings(command, f'pycharrnn.train(resume={path!r})')}")

    def sample(self, path: str) -> str:
        command = shell_words.joined(["pycharrnn", "sample", shell_words.operand(path), *self.sample_flags])
        loaded = f"pycharrnn.load({path!r})"
        program = f"list({loaded}.items())" if self.items else f"{loaded}.generate()"
        return on_page("", elsewhere=f"sample from it with: {wordings(command, program)}")

    def page(self, path: str) -> str:
        page = f"{self.savefile or 'model'}.html"
        command = shell_words.joined(["pycharrnn", "convert", *map(shell_words.operand, (path, page))])
        words = wordings(command, f"pycharrnn.load({path!r}).save({page!r})")
        return on_page("", elsewhere=f"write a page that runs it with: {words}")
