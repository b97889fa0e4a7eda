"""The GPU that is pretended has a real one's rules, and a training on it gives the CPU's digits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import working_in
from pretended_device import PretendedTensor, pretended_gpu
from runs import masked, steps

from pycharrnn.checkpoints import checkpoint
from pycharrnn.cli.commands import cli

SIZES = ["-rnn_size", "8", "-batch_size", "5", "-seq_length", "8", "-max_epochs", "0.02", "-eval_val_every", "40"]


def test_its_tensors_are_its_own():
    with pretended_gpu() as gpu:
        a = torch.ones(2, 3, device="cuda:0")
        b = a[:, :2].mul_(2) + torch.tensor(1.0)
        assert isinstance(b, PretendedTensor) and b.device == gpu.device and b.is_cuda and b.shape == (2, 2)
        assert a.tolist() == [[2, 2, 1], [2, 2, 1]]
        assert torch.zeros(2).device.type == "cpu"
        on_cpu = a.cpu()
        a.zero_()
        assert type(on_cpu) is torch.Tensor and on_cpu.sum() == 10
        a.copy_(on_cpu)
        torch.mm(a, on_cpu.T.to("cuda:0"), out=b)
        assert b.tolist() == [[9, 9], [9, 9]]


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda a: a + torch.ones(3), "two devices"),
        (lambda a: torch.mm(a, a.T, out=torch.empty(2, 2)), "two devices"),
        (lambda a: a.numpy(), "to numpy"),
        (lambda a: np.asarray(a), "to numpy"),
        (lambda a: torch.rand(2, generator=torch.Generator(), device="cuda:0"), "generator"),
    ],
)
def test_what_a_gpu_refuses(wrong, words):
    with pretended_gpu(), pytest.raises((RuntimeError, TypeError), match=words):
        wrong(torch.ones(2, 3, device="cuda:0"))


@pytest.mark.parametrize(
    "wrong, words",
    [
        (lambda a: a.double(), "float64"),
        (lambda a: a.untyped_storage(), "taken apart"),
        (lambda a: a[:, :2].mul_(2), "not contiguous"),
        (lambda a: torch.tanh(a, out=a.T), "not contiguous"),
    ],
)
def test_what_mps_refuses(wrong, words):
    with pretended_gpu("mps"), pytest.raises((RuntimeError, TypeError), match=words):
        wrong(torch.ones(2, 3, device="mps"))


def test_a_graph_computes_when_it_is_replayed():
    with pretended_gpu():
        a, b = torch.ones(3, device="cuda:0"), torch.zeros(3, device="cuda:0")
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            b.add_(a * 2)
        assert b.tolist() == [0, 0, 0]
        graph.replay()
        a.mul_(10)
        graph.replay()
        assert b.tolist() == [22, 22, 22]
        with pytest.raises(RuntimeError, match="capturing"), torch.cuda.graph(graph):
            float(a.sum())


def train(folder, *args: str) -> list[str]:
    with working_in(folder):
        result = CliRunner().invoke(cli, ["train", "-data_dir", "corpus", *SIZES, *args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return steps(masked(result.stdout))


@pytest.mark.parametrize("exact", ["0", "1"])
@pytest.mark.parametrize("dropout", ["0", "0.3"])
def test_a_gru_learns_on_it_as_on_the_cpu(corpus, monkeypatch, exact, dropout):
    """The loop's digits, to the last, also as a graph; with -exact 0 the GPU draws dropout's masks itself."""
    monkeypatch.setenv("PYCHARRNN_KERNEL", "off")
    args = ["-model", "gru", "-dtype", "double", "-exact", exact, "-dropout", dropout]
    with pretended_gpu() as gpu:
        ours = train(corpus.parent, *args, "-gpuid", "0", "-savefile", "gpu")
    (graph,) = gpu.graphs
    assert graph.replays > 10
    theirs = train(corpus.parent, *args, "-gpuid", "-1", "-savefile", "cpu")
    assert len(ours) > 5
    if exact == "1" or dropout == "0":
        assert [line.replace("_gpu_", "_cpu_") for line in ours] == theirs
        a, b = (checkpoint.load(*corpus.parent.glob(f"cv/lm_{name}_epoch*.t7")) for name in ("gpu", "cpu"))
        for key, weight in a.network.weights.items():
            np.testing.assert_array_equal(weight, b.network.weights[key])
