"""Which device a run is on; the GPUs are pretended."""

from __future__ import annotations

import pytest
import torch

from pycharrnn.common.errors import UserError
from pycharrnn.engine import device


@pytest.fixture
def broken() -> set[str]:
    """GPUs that PyTorch finds, and has no kernels for."""
    return set()


@pytest.fixture
def two_gpus(monkeypatch, broken) -> list[int]:
    """A machine with two of CUDA's; what has been made the current one."""
    current: list[int] = []
    monkeypatch.setattr(device, "_might_have_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(device, "fault_of", lambda gpu: "no kernel image" if gpu in broken else None)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    return current


@pytest.mark.parametrize(
    "gpuid, local_rank, want", [(0, 0, "cuda:0"), (1, 0, "cuda:1"), (0, 1, "cuda:1"), (-1, 0, "cpu"), (-1, 1, "cpu")]
)
def test_each_process_takes_a_gpu_from_gpuid_on(two_gpus, gpuid, local_rank, want):
    said = [] if want == "cpu" else [f"using CUDA on GPU {want[-1]}..."]
    assert device.pick(gpuid, 0, device.find_gpus(), local_rank) == (want, gpuid, said)
    device.make_current(want)
    assert two_gpus == ([] if want == "cpu" else [int(want[-1])])


@pytest.mark.parametrize("gpuid, local_rank, words", [(2, 0, "-gpuid 2"), (1, 1, "start as many processes")])
def test_a_gpu_that_is_not_there(two_gpus, gpuid, local_rank, words):
    with pytest.raises(UserError, match=words):
        device.pick(gpuid, 0, device.find_gpus(), local_rank)


def test_a_gpu_that_pytorch_has_no_kernels_for_is_none(two_gpus, broken):
    broken.add("cuda:1")
    said: list[str] = []
    assert device.choose(0, 0, said.append) == "cuda:0"
    assert device.choose(1, 0, said.append) == "cpu"
    assert said[1:] == [
        "PyTorch finds GPU 1, but can't use it: no kernel image",
        "no GPU found that PyTorch can use; -gpuid -1 selects the CPU without this message.",
        "Falling back on CPU mode",
    ]


@pytest.mark.parametrize("opencl", [0, 1])
def test_opencl_is_said_to_be_missing(two_gpus, opencl):
    said: list[str] = []
    device.choose(0, opencl, said.append)
    assert ("PyTorch has no OpenCL: using the GPU through CUDA or MPS instead." in said) == bool(opencl)


@pytest.fixture
def mac(monkeypatch) -> None:
    """A machine for whose GPU PyTorch has MPS."""
    monkeypatch.setattr(device, "_might_have_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)


def test_the_gpu_of_a_mac(mac, monkeypatch):
    zeros = torch.zeros
    monkeypatch.setattr(torch, "zeros", lambda *shape, device: zeros(*shape))
    said: list[str] = []
    assert device.choose(1, 0, said.append) == "mps"
    assert said == ["using MPS on the GPU..."]


def test_the_gpu_of_a_virtual_mac_is_none(mac, monkeypatch):
    """PyTorch finds it, but no tensor can be on it."""

    def zeros(*shape, device):
        raise RuntimeError(f"{device.upper()} backend out of memory (max allowed: 0 bytes).\nUse another.")

    monkeypatch.setattr(torch, "zeros", zeros)
    said: list[str] = []
    assert device.choose(0, 0, said.append) == "cpu"
    assert said == [
        "PyTorch finds a GPU for MPS, but can't use it: MPS backend out of memory (max allowed: 0 bytes).",
        "no GPU found that PyTorch can use; -gpuid -1 selects the CPU without this message.",
        "Falling back on CPU mode",
    ]


@pytest.mark.parametrize("might_have", [False, True])
def test_no_gpu_is_the_cpu_and_is_said(monkeypatch, might_have):
    monkeypatch.setattr(device, "_might_have_gpu", lambda: might_have)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    said: list[str] = []
    assert device.choose(0, 0, said.append) == "cpu"
    assert said == [
        "no GPU found that PyTorch can use; -gpuid -1 selects the CPU without this message.",
        "Falling back on CPU mode",
    ]
    assert device.choose(-1, 0, said.append) == "cpu"
    assert len(said) == 2


@pytest.mark.parametrize(
    "platform, amd, driver", [("darwin", False, False), ("linux", True, False), ("linux", False, True)]
)
def test_a_machine_that_might_have_a_gpu(monkeypatch, platform, amd, driver):
    """A Mac, AMD's driver, or a library of NVIDIA's driver that can be loaded."""

    def load(name: str) -> None:
        if not driver:
            raise OSError(name)

    monkeypatch.setattr(device.sys, "platform", platform)
    monkeypatch.setattr(device.os.path, "exists", lambda path: amd and path == "/dev/kfd")
    monkeypatch.setattr(device.ctypes, "CDLL", load)
    assert device._might_have_gpu()


def test_a_machine_without_any_driver(monkeypatch):
    monkeypatch.setattr(device.sys, "platform", "linux")
    monkeypatch.setattr(device.os.path, "exists", lambda path: False)
    monkeypatch.setattr(device.ctypes, "CDLL", lambda name: (_ for _ in ()).throw(OSError(name)))
    assert not device._might_have_gpu()


def test_without_pytorch_the_log_says_so(monkeypatch):
    monkeypatch.setattr(device.extras, "has_pytorch", lambda: False)
    _, _, said = device.pick(0, 0, device.GPUs())
    assert said[0].startswith("a GPU needs PyTorch, which is not installed; -gpuid -1 selects the CPU")
