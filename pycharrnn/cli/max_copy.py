"""-max_copy of sample and chat: the limits, and what is said about them. Imports within functions keep -help fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pycharrnn.cli.console import note
from pycharrnn.common.printing import PrintLine

if TYPE_CHECKING:
    from compat.charrnn import Checkpoint
    from pycharrnn.sampling.copy_limits import CopyLimits
    from pycharrnn.sampling.options import ChatOptions, SampleOptions


def limits(path: str, loaded: Checkpoint, opt: SampleOptions | ChatOptions, say_how: PrintLine) -> CopyLimits | None:
    """What -max_copy forbids. `say_how`: prints which files of -text are read, and how. Errors: OSError; UserError."""
    if not opt.max_copy:
        return None
    from pycharrnn.sampling import copy_limits

    return copy_limits.for_options(path, loaded, opt.max_copy, opt.text, opt.text_encoding, say_how)


def note_unverified_text(path: str, loaded: Checkpoint) -> None:
    """Say that the recorded text may have changed, if no hash tells."""
    from pycharrnn.text.recorded_text import recorded_text

    if doubt := recorded_text(path, loaded).unverified:
        note(doubt)


def explain_early_ends(seeds: list[int], opt: SampleOptions | ChatOptions) -> None:
    """Say that the samples of these seeds ended early by -max_copy, if there are any."""
    if seeds:
        from pycharrnn.sampling import copy_limits

        note(copy_limits.why_they_ended(seeds, opt.max_copy))
