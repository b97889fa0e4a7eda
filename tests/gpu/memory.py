"""What training takes of the GPU's memory, and that it takes no more as it goes on."""

from __future__ import annotations

import gc
from functools import partial

import torch

from pycharrnn.training import session
from pycharrnn.training.machine import Process
from pycharrnn.training.trainer import Trainer
from tests.gpu import runs
from tests.gpu.checking import Check, Finding
from tests.gpu.place import Place

_WORKSPACES = 256 << 20
_PEAK = (
    "Float32: nine vectors of the parameters (they, the model's, torch.nn's, its order in 64 bits, gradient, mean"
    " square, its root, one that autograd makes), for each layer, step and text 24 vectors of H (gates, states, masks,"
    " their gradients, and what cuDNN reserves), and 12 of V numbers of the decoder (one-hot input, logits,"
    " log-probabilities, gradients); 256 MiB for the workspaces of cuDNN and cuBLAS."
)
_GROWTH = "The buffers are allocated once, and losses are fetched: nothing may be kept from one iteration to the next."


def checks(place: Place) -> list[Check]:
    models = ("lstm", "gru", "rnn")
    return [
        *(
            Check(
                f"{model} grows",
                "tensors, or bytes of the GPU, more after 200 iterations",
                partial(_grown, place, model),
            )
            for model in models
        ),
        *(
            Check(f"{model} 3x512, batch 100 at its peak", "bytes", partial(_peak, place, model), needs="CUDA")
            for model in models
        ),
    ]


def _trainer(place: Place, folder, **options) -> Trainer:
    opt = runs.options_of(folder, 300, {"gpuid": 0, "exact": 0, **options})
    made = session.prepare(opt, None, Process(), lambda line: None, lambda line: None)
    return made.make_trainer(lambda line: None)


def _held(place: Place) -> int:
    """Bytes of the GPU that tensors take; tensors, where that is pretended."""
    gc.collect()
    place.synchronize()
    if place.gpus:
        return torch.cuda.memory_allocated()
    if place.is_real:
        return torch.mps.current_allocated_memory()
    return sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects())


def _grown(place: Place, model: str) -> Finding:
    with runs.Folder() as folder, place.computing():
        trainer = _trainer(place, folder, model=model, dropout=0.2, batch_size=4)
        held = []
        for steps in (20, 200 if place.is_real else 40):
            for _ in range(steps):
                trainer.step()
            trainer.new_losses()
            held.append(_held(place))
    return Finding(held[1] - held[0], 0, _GROWTH, f"{held[1]} held")


def _peak(place: Place, model: str) -> Finding:
    H, L, B, T = 512, 3, 100, 50
    with runs.Folder() as folder:
        gc.collect()  # a trainer of the check before may be in a cycle
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        sizes = {"rnn_size": H, "num_layers": L, "batch_size": B, "seq_length": T, "train_frac": 0.5, "val_frac": 0.5}
        trainer = _trainer(place, folder, model=model, dropout=0.2, **sizes)
        for _ in range(8):
            trainer.step()
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated() - before
    numbers = 9 * trainer.model.flat.numel() + T * B * (24 * L * H + 12 * trainer.model.vocab_size)
    return Finding(peak, 4 * numbers + _WORKSPACES, _PEAK, f"{peak / 2**20:.0f} MiB")
