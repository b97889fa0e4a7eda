"""How many threads a training computes with, and whether its digits are those of every machine."""

from __future__ import annotations

from collections.abc import Callable

import torch

from pycharrnn.engine import kernel, kernel_library
from pycharrnn.training.session import Session


def settle(session: Session) -> None:
    """Set PyTorch's number of threads, which is the kernel's too, to -threads; without it it stays as it is."""
    if session.opt.threads:
        torch.set_num_threads(session.opt.threads)


def say_how_it_rounds(session: Session, note: Callable[[str], None]) -> None:
    """Note that a run's digits are those of this machine alone, where the kernel can't compute as it does elsewhere."""
    if _is_by_kernel(session) and not kernel_library.rounds_as_elsewhere():
        level = kernel_library.name()
        note(f"the C kernel's level {level!r} has no fused multiply-add: last digits are not those of other machines.")


def _is_by_kernel(session: Session) -> bool:
    """Whether the C kernel does the forward and backward passes."""
    return session.device == "cpu" and not session.opt.dtype.endswith("16") and kernel.usable(session.model.flat)
