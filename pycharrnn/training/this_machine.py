"""Describes this machine for settle()."""

from __future__ import annotations

import torch

from pycharrnn.checkpoints import safetensors_file
from pycharrnn.engine import device, kernel_library, precision
from pycharrnn.training.machine import Machine, Process
from pycharrnn.training.options import TrainOptions


def machine_of(options: TrainOptions, process: Process) -> Machine:
    """This machine, with the GPUs that PyTorch can use if -gpuid asks for one."""

    def computes(model: str, rnn_size: int, dtype: str, where: str) -> bool:
        return precision.can_train(model, rnn_size, precision.DTYPES[dtype], where)

    gpus = device.find_gpus(options.gpuid + process.local_rank) if options.gpuid >= 0 else device.GPUs()
    has_kernel = kernel_library.rounds_as_elsewhere()
    return Machine(process, gpus, computes, str(torch.__version__), safetensors_file.is_installed(), has_kernel)
