"""What the checks compute on: the GPU, or in its place one that is pretended, for which the CPU computes."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import torch

from pycharrnn.engine import device
from tests.pretended_device import pretended_gpu

NEEDS = ("", "a GPU", "CUDA", "two GPUs")


@dataclass(frozen=True)
class Place:
    """Where a check computes.

    Attributes:
        device: PyTorch's name of it.
        is_real: whether it is there; else it is pretended.
        gpus: how many there are of CUDA's, really.
    """

    device: str
    is_real: bool
    gpus: int

    @classmethod
    def find(cls) -> Place:
        """The first GPU; a pretended one of CUDA's where there is none."""
        name = device.choose(0, 0, lambda line: None)
        if name == "cpu":
            return cls("cuda:0", False, 0)
        return cls(name, True, torch.cuda.device_count() if name.startswith("cuda") else 0)

    @property
    def name(self) -> str:
        """For the table."""
        return self.device if self.is_real else f"CPU for {self.device}"

    def has(self, needs: str) -> bool:
        """Whether a check that needs this, one of NEEDS, can be done here."""
        return [True, self.is_real, self.gpus > 0, self.gpus > 1][NEEDS.index(needs)]

    def computing(self) -> contextlib.AbstractContextManager[object]:
        """A context in which the device is there."""
        return contextlib.nullcontext() if self.is_real else pretended_gpu()

    def synchronize(self) -> None:
        """Wait until it has computed what it was asked for."""
        if self.gpus:
            torch.cuda.synchronize()
        elif self.is_real:
            torch.mps.synchronize()


def facts() -> dict[str, object]:
    """PyTorch, and the devices that it has."""
    place = Place.find()
    found: dict[str, object] = {"torch": str(torch.__version__), "cuda": torch.version.cuda, "device": place.name}
    if place.gpus:
        properties = torch.cuda.get_device_properties(0)
        found |= {
            "gpu": torch.cuda.get_device_name(0),
            "gpus": place.gpus,
            "memory GiB": round(properties.total_memory / 2**30, 1),
            "capability": f"{properties.major}.{properties.minor}",
            "cudnn": torch.backends.cudnn.version(),
        }
    return found
