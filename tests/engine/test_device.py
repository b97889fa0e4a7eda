"""Which device a run is on; the GPUs are pretended."""

from __future__ import annotations

import pytest
import torch

from pycharrnn.common.errors import UserError
from pycharrnn.engine import device


@pytest.fixture
def two_gpus(monkeypatch) -> list[int]:
    """A machine with two of CUDA's; what has been made the current one."""
    current: list[int] = []
    monkeypatch.setattr(device, "_might_have_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    return current


@pytest.mark.parametrize(
    "gpuid, local_rank, want", [(0, 0, "cuda:0"), (1, 0, "cuda:1"), (0, 1, "cuda:1"), (-1, 0, "cpu"), (-1, 1, "cpu")]
)
def test_each_process_takes_a_gpu_from_gpuid_on(two_gpus, gpuid, local_rank, want):
    said: list[str] = []
    assert device.choose(gpuid, 0, said.append, local_rank) == (want, gpuid)
    assert two_gpus == ([] if want == "cpu" else [int(want[-1])])
    assert said == ([] if want == "cpu" else [f"using CUDA on GPU {want[-1]}..."])


@pytest.mark.parametrize("gpuid, local_rank, words", [(2, 0, "-gpuid 2"), (1, 1, "start as many processes")])
def test_a_gpu_that_is_not_there(two_gpus, gpuid, local_rank, words):
    with pytest.raises(UserError, match=words):
        device.choose(gpuid, 0, lambda line: None, local_rank)
    assert two_gpus == []
