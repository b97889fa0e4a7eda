"""Sets the number of threads of a run, and notes slow computation and machine-dependent rounding."""

from __future__ import annotations

import torch

from pycharrnn.common.printing import PrintLine
from pycharrnn.engine import kernel_library
from pycharrnn.training.settings import MachineSettings


def set_num_threads(threads: int) -> None:
    """Set PyTorch's number of threads, which the kernel uses too, to -threads; 0 leaves it as it is."""
    if threads:
        torch.set_num_threads(threads)


def note_backend(machine: MachineSettings, reason: str, note: PrintLine) -> None:
    """Note that a run on the CPU could be faster, or that its last digits depend on the machine.

    `reason`: BPTT.reason, which names the backend and says why it was chosen.
    """
    if machine.device != "cpu" or machine.products == "float16":  # which the kernel lacks
        return
    level = kernel_library.name()
    if kernel_library.is_missing():
        note(f"this run uses {reason}, which takes two to four times as long as the C kernel.")
    elif level and not kernel_library.rounds_as_elsewhere():
        note(f"the C kernel's level {level!r} has no fused multiply-add: last digits are not those of other machines.")
