"""When calls are recorded as a CUDA graph; the GPU is pretended, and test_torch_nn_backend.py has a real one."""

from __future__ import annotations

import contextlib

import pytest
import torch
from click.testing import CliRunner
from conftest import working_in
from pretended_device import pretended_gpu

from pycharrnn.cli.commands import cli
from pycharrnn.engine.cuda_graph import CUDAGraphStep
from pycharrnn.training.distributed import Ranks


@pytest.fixture
def events(monkeypatch) -> list[str]:
    """What has been done with graphs, in order."""
    events: list[str] = []

    class Graph:
        def replay(self):
            events.append("replay")

    @contextlib.contextmanager
    def recording(graph: Graph, stream: torch.device, capture_error_mode: str):
        assert capture_error_mode == "thread_local" and stream.type == "cuda"
        events.append("record")
        try:
            yield
        except RuntimeError:  # then ending it fails as well, and PyTorch stays on the stream of the recording
            raise RuntimeError("capture_end")  # noqa: B904  # without a cause, as PyTorch does
        events.append("recorded")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: device)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: events.append("wait"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: "stream")
    monkeypatch.setattr(torch.cuda, "set_stream", events.append)
    return events


def test_after_three_calls_a_graph_is_recorded_once_and_replayed(events):
    call, wait = (lambda: events.append("call")), (lambda: events.append("wait"))
    replayed = CUDAGraphStep(call, torch.device("cuda"), events.append, wait)
    for _ in range(6):
        replayed()
    assert events == ["call"] * 3 + ["wait", "record", "call", "recorded"] + ["replay"] * 3


def test_what_cannot_be_recorded_is_called(events):
    def function():
        events.append("call")
        if events[-2:] == ["record", "call"]:
            raise RuntimeError("not while a graph is recorded\nCUDA kernel errors might be reported later")

    replayed = CUDAGraphStep(function, torch.device("cuda"), events.append)
    for _ in range(6):
        replayed()
    (said,) = (event for event in events if event not in ("call", "record", "stream", "wait"))
    assert said.endswith("recorded as a CUDA graph, so that each takes longer: not while a graph is recorded")
    assert events == ["call"] * 3 + ["record", "call", "stream", said, "wait", "call"] + ["call"] * 2


def test_a_training_says_once_why_nothing_is_recorded(corpus, monkeypatch):
    """On stderr, beside the log."""
    args = ["-model", "gru", "-rnn_size", "4", "-num_layers", "1", "-batch_size", "50", "-max_epochs", "0.4"]
    with pretended_gpu(), working_in(corpus.parent):
        monkeypatch.setattr(torch.cuda, "graph", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("out of graphs")))
        result = CliRunner().invoke(cli, ["train", "-data_dir", "corpus", "-gpuid", "0", *args])
    assert result.exit_code == 0, result.output
    assert result.stderr.count("pycharrnn: a step could not be recorded") == 1
    assert "out of graphs" in result.stderr and "out of graphs" not in result.stdout


def test_a_sum_of_several_gpus_is_waited_for_with_patience_before(corpus, monkeypatch):
    """Not by what records, which would wait without end for a process that has died."""
    events: list[str] = []
    args = ["-model", "gru", "-rnn_size", "4", "-num_layers", "1", "-batch_size", "50", "-max_epochs", "0.4"]
    with pretended_gpu(), working_in(corpus.parent):
        graph = torch.cuda.graph
        monkeypatch.setattr(torch.cuda, "graph", lambda *a, **k: events.append("record") or graph(*a, **k))
        monkeypatch.setattr(Ranks, "wait", lambda ranks: events.append("wait"))
        monkeypatch.setattr(Ranks, "begin_sum", lambda ranks, tensor: events.append("begin"))
        result = CliRunner().invoke(cli, ["train", "-data_dir", "corpus", "-gpuid", "0", "-print_every", "100", *args])
    assert result.exit_code == 0, result.output
    assert events.count("record") == 1 and events[events.index("record") - 1] == "wait"


def test_an_error_of_the_function_is_passed_on(events):
    def function():
        raise ValueError("a text that changed")

    with pytest.raises(ValueError, match="changed"):
        CUDAGraphStep(function, torch.device("cuda"), events.append)()


def test_off_a_gpu_nothing_is_recorded(events):
    replayed = CUDAGraphStep(lambda: events.append("call"), torch.device("cpu"), events.append)
    for _ in range(6):
        replayed()
    assert events == ["call"] * 6
