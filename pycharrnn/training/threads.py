"""How many threads a training computes with."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch

from pycharrnn.common.cores import Meter, left_over, usable
from pycharrnn.engine import kernel
from pycharrnn.training.session import Session


def settle(session: Session, meter: Meter | None, note: Callable[[str], None]) -> None:
    """Set PyTorch's number of threads, which is the kernel's too: -threads, else as many as have a core of their own.

    Without -threads it stays as it is where OMP_NUM_THREADS says how many, and where not the kernel computes: there the
    last digits of a run depend on it.

    Args:
        meter: of what other programs take; None: all cores are free.
        note: is told of fewer threads than PyTorch would take.
    """
    threads = torch.get_num_threads()
    if session.opt.threads:
        torch.set_num_threads(session.opt.threads)
    elif meter is not None and "OMP_NUM_THREADS" not in os.environ and _is_by_kernel(session):
        busy = meter.others() or 0.0
        fewer = left_over(threads, busy, usable())
        if fewer < threads:
            torch.set_num_threads(fewer)
            note(
                f"other programs keep {busy:.1f} of {usable()} processor cores busy: computing with {fewer}"
                f" thread{'s' if fewer > 1 else ''}, which is faster then than {threads} (-threads {threads} takes as"
                " many all the same)."
            )


def _is_by_kernel(session: Session) -> bool:
    """Whether the C kernel does the forward and backward passes."""
    return session.device == "cpu" and not session.opt.dtype.endswith("16") and kernel.usable(session.model.flat)
