"""Sets the number of threads of a run, and notes slow computation and machine-dependent rounding."""

from __future__ import annotations

from collections.abc import Callable

import torch

from pycharrnn.engine import kernel, kernel_library
from pycharrnn.training.settings import MachineSettings


def set_num_threads(threads: int) -> None:
    """Set PyTorch's number of threads, which the kernel uses too, to -threads; 0 leaves it as it is."""
    if threads:
        torch.set_num_threads(threads)


def note_backend(machine: MachineSettings, flat: torch.Tensor, note: Callable[[str], None]) -> None:
    """Note that a run on the CPU could be faster, or that its last digits depend on the machine; `flat`: (P,)."""
    if machine.device != "cpu" or machine.products:
        return
    if not kernel.usable(flat):
        if kernel_library.is_missing():
            note(f"no C kernel was compiled, {kernel_library.SLOWER}: `pycharrnn doctor` says why.")
    elif not kernel_library.rounds_as_elsewhere():
        level = kernel_library.name()
        note(f"the C kernel's level {level!r} has no fused multiply-add: last digits are not those of other machines.")
