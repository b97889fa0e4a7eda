"""The weights of a loaded model, which may be trained further in PyTorch."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.checkpoints import derived_checkpoints
from pycharrnn.common import extras
from pycharrnn.library.lazy import lazy_property
from pycharrnn.sampling.inference import TorchPredictor, on_cpu

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    from compat.charrnn import Checkpoint
    from pycharrnn.engine.model import CharRNN
    from pycharrnn.sampling.predictor import LocalPredictor, Predictor


class CurrentWeights:
    """A checkpoint, the module made from it on demand, and predictors with the current weights.

    Attributes:
        dtype: of the module's parameters at first; None for float32.
    """

    def __init__(self, loaded: Checkpoint, dtype: torch.dtype | None, device: torch.device | str | None) -> None:
        self._loaded, self.dtype, self._device = loaded, dtype, device

    @lazy_property
    def module(self) -> CharRNN:
        """The model in PyTorch, in evaluation mode."""
        extras.require_pytorch("a model's module", extras.MissingAttribute)
        import torch

        from pycharrnn.engine.model import CharRNN  # which takes a second to load, with PyTorch

        where = "cpu" if self._device is None else self._device  # not torch.get_default_device()
        with torch.inference_mode(False):  # the first use may be in that mode, whose parameters can't be trained
            return CharRNN.from_checkpoint(self._loaded, dtype=self._first_dtype(), device=where).eval()

    @lazy_property
    def _loaded_predictor(self) -> LocalPredictor:
        return on_cpu(self._loaded.network)

    @property
    def _made_module(self) -> CharRNN | None:
        return self.__dict__.get("module")

    def __getstate__(self) -> dict[str, object]:
        """For pickle and copy: a predictor holds addresses, so leave it out."""
        return {name: value for name, value in self.__dict__.items() if name != "_loaded_predictor"}

    @property
    def device(self) -> str:
        """The device that computes, as PyTorch names it."""
        where = self._device if self._made_module is None else self._made_module.flat.device
        return "cpu" if where is None else str(where)

    def predictor(self, streams: int = 1, steps: int = 1) -> Predictor:
        """A predictor with the current weights and hidden states of zeros; float64 on the CPU."""
        if self.device.partition(":")[0] != "cpu":
            return TorchPredictor(self.module, streams, steps)
        now = self.checkpoint()
        if now is not self._loaded:
            return on_cpu(now.network, streams, steps)
        return self._loaded_predictor.fresh(streams=streams, steps=steps)

    def checkpoint(self) -> Checkpoint:
        """The loaded checkpoint; after training, one with the module's weights and without losses."""
        module = self._made_module
        if module is None or self._is_as_loaded(module):
            return self._loaded
        weights = {name: _in_numpy(view).astype(np.float64) for name, view in module.weights.items()}
        network = dataclasses.replace(self._loaded.network, weights=weights, tensor_type="torch.DoubleTensor")
        return derived_checkpoints.with_network(self._loaded, network)

    def _is_as_loaded(self, module: CharRNN) -> bool:
        """Whether the module's weights equal the checkpoint's, rounded to its dtype."""

        def as_loaded(name: str, dtype: torch.dtype) -> npt.NDArray[np.floating]:
            return _rounded(_rounded(np.asarray(self._loaded.network.weights[name]), self._first_dtype()), dtype)

        pairs = ((as_loaded(name, view.dtype), _in_numpy(view)) for name, view in module.weights.items())
        # NaN differs from itself, so that the weights of a failed training are not equal to themselves. To allow for it
        # takes several times as long.
        return all(np.array_equal(a, b) or np.array_equal(a, b, equal_nan=True) for a, b in pairs)

    def _first_dtype(self) -> torch.dtype:
        import torch

        return torch.float32 if self.dtype is None else self.dtype


# By NumPy where it has the dtype: in a forked process PyTorch may wait for threads that only the parent has.


def _rounded(weight: npt.NDArray[np.floating], dtype: torch.dtype) -> npt.NDArray[np.floating]:
    """A weight rounded to a dtype; in float32 for a shorter one."""
    import torch

    if dtype == torch.float64:
        return weight
    if dtype == torch.float32:
        with np.errstate(over="ignore"):
            return weight.astype(np.float32, copy=False)
    rounded: npt.NDArray[np.floating] = torch.from_numpy(weight).to(dtype).float().numpy()
    return rounded


def _in_numpy(weight: torch.Tensor) -> npt.NDArray[np.floating]:
    """A weight in NumPy; in float32 if its dtype is shorter, since NumPy has no bfloat16."""
    import torch

    if weight.dtype not in (torch.float64, torch.float32):
        weight = weight.float()
    found: npt.NDArray[np.floating] = weight.cpu().numpy()
    return found
