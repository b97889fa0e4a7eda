"""When calls are recorded as a CUDA graph; the GPU is pretended, and test_torch_modules.py has a real one."""

from __future__ import annotations

import contextlib

import pytest
import torch

from pycharrnn.engine.cuda_graph import Replayed


@pytest.fixture
def events(monkeypatch) -> list[str]:
    """What has been done with graphs, in order."""
    events: list[str] = []

    class Graph:
        def replay(self):
            events.append("replay")

    @contextlib.contextmanager
    def recording(graph: Graph):
        events.append("record")
        yield
        events.append("recorded")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: events.append("wait"))
    return events


def test_after_three_calls_a_graph_is_recorded_once_and_replayed(events):
    replayed = Replayed(lambda: events.append("call"), torch.device("cuda"))
    for _ in range(6):
        replayed()
    assert events == ["call"] * 3 + ["record", "call", "recorded"] + ["replay"] * 3


def test_what_cannot_be_recorded_is_called(events):
    def function():
        events.append("call")
        if events[-2:] == ["record", "call"]:
            raise RuntimeError("not while a graph is recorded")

    replayed = Replayed(function, torch.device("cuda"))
    for _ in range(6):
        replayed()
    assert events == ["call"] * 3 + ["record", "call", "wait", "call"] + ["call"] * 2


def test_an_error_of_the_function_is_passed_on(events):
    def function():
        raise ValueError("a text that changed")

    with pytest.raises(ValueError, match="changed"):
        Replayed(function, torch.device("cuda"))()


def test_off_a_gpu_nothing_is_recorded(events):
    replayed = Replayed(lambda: events.append("call"), torch.device("cpu"))
    for _ in range(6):
        replayed()
    assert events == ["call"] * 6
