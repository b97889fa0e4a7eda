"""Facts about the machine, and about this process among those of torchrun, for settle().

Does not import PyTorch, so that invalid options are refused at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from pycharrnn.common.display import escape_line
from pycharrnn.common.errors import UserError
from pycharrnn.engine.device import GPUs

_MOST_DIGITS = 9  # of a number of processes


@dataclass(frozen=True)
class Process:
    """This process: number `rank` of the `size` of the run, number `local_rank` of those on this machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0


def _always(model: str, rnn_size: int, precision: str, device: str) -> bool:
    return True


@dataclass(frozen=True)
class Machine:
    """The machine and the process.

    Attributes:
        gpus: those that PyTorch can use. pytorch: its version, for messages.
        computes: (model, rnn_size, "bfloat16" or "float16", device) -> whether it can train in this precision.
        has_kernel: whether the C kernel computes on the CPU, with the bits that it has on every machine.
    """

    process: Process = Process()
    gpus: GPUs = GPUs()
    computes: Callable[[str, int, str, str], bool] = _always
    pytorch: str = ""
    has_safetensors: bool = True
    has_kernel: bool = False


def process_from_environment() -> Process:
    """Read the variables that torchrun sets; empty ones count as unset. Errors: UserError for invalid values."""
    process = Process(_number("RANK", 0), _number("WORLD_SIZE", 1), _number("LOCAL_RANK", 0))
    if process.rank >= process.size:
        raise UserError(
            f"the environment variable RANK is {process.rank}, which must be less than WORLD_SIZE, {process.size}:"
            " unset both, or start training by torchrun."
        )
    return process


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise UserError(
            f"the environment variable {name} is {escape_line(text)}, which torchrun never sets: unset it, or start"
            " training by torchrun."
        )
    return int(text)
