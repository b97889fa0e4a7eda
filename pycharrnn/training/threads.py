"""How many threads a training computes with, whether the C kernel does, and whether its digits are those of others."""

from __future__ import annotations

from collections.abc import Callable

import torch

from pycharrnn.engine import kernel, kernel_library
from pycharrnn.training.session import Session


def settle(session: Session) -> None:
    """Set PyTorch's number of threads, which is the kernel's too, to -threads; without it it stays as it is."""
    if session.opt.threads:
        torch.set_num_threads(session.opt.threads)


def say_what_computes(session: Session, note: Callable[[str], None]) -> None:
    """Note that a run on the CPU could be faster, or that its digits are those of this machine alone, if so."""
    if session.device != "cpu" or session.opt.dtype.endswith("16"):
        return
    if not kernel.usable(session.model.flat):
        if kernel_library.is_missing():
            note(f"no C kernel was compiled, {kernel_library.SLOWER}: `pycharrnn doctor` says why.")
    elif not kernel_library.rounds_as_elsewhere():
        level = kernel_library.name()
        note(f"the C kernel's level {level!r} has no fused multiply-add: last digits are not those of other machines.")
