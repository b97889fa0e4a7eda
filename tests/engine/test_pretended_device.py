"""The GPU that is pretended has a real one's rules, and a training on it gives the CPU's digits."""

from __future__ import annotations

import functools
import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from conftest import working_in
from pretended_device import PretendedTensor, pretended_gpu
from runs import masked, named, steps

import pycharrnn
from pycharrnn.checkpoints import checkpoint
from pycharrnn.cli import doctor
from pycharrnn.cli.commands import cli
from pycharrnn.engine.model import CharRNN
from pycharrnn.training.options import TrainOptions

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
        (lambda a: a.to(torch.float64), "float64"),
        (lambda a: a.to("cpu", torch.float64), "float64"),
        (lambda a: a.copy_(torch.ones(2, 3, dtype=torch.float64)), "float64"),
        (lambda a: torch.ones(2, 3, device="mps", dtype=torch.float64), "float64"),
        (lambda a: a.untyped_storage(), "not there"),
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
        with torch.cuda.graph(graph, stream=torch.cuda.Stream("cuda:0"), capture_error_mode="thread_local"):
            b.add_(a * 2)
        assert b.tolist() == [0, 0, 0]
        graph.replay()
        a.mul_(10)
        graph.replay()
        assert b.tolist() == [22, 22, 22]
        with (
            pytest.raises(RuntimeError, match="capturing"),
            torch.cuda.graph(graph, stream=torch.cuda.Stream("cuda:0"), capture_error_mode="thread_local"),
        ):
            float(a.sum())


def train(folder, *args: str) -> list[str]:
    with working_in(folder):
        result = CliRunner().invoke(cli, ["train", "-data_dir", "corpus", *SIZES, *args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return steps(masked(result.stdout))


@pytest.mark.slow
@pytest.mark.parametrize("exact", ["0", "1"])
@pytest.mark.parametrize("dropout", ["0", "0.3"])
def test_a_gru_learns_on_it_as_on_the_cpu(corpus, without_kernel, exact, dropout):
    """The loop's digits, to the last printed, also as a graph; with -exact 0 the GPU draws dropout's masks itself."""
    args = ["-model", "gru", "-dtype", "float64", "-exact", exact, "-dropout", dropout]
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
            # Not bit by bit: where buffers happen to lie decides how MKL adds.
            np.testing.assert_allclose(weight, b.network.weights[key], rtol=0, atol=1e-13)


@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
def test_the_loops_compute_the_same_on_mps(without_kernel, model):
    """Where nothing is written to a part of a tensor but copies; only strides decide there how the CPU rounds."""
    T, B, V, H = 6, 3, 7, 5
    torch.manual_seed(1)
    weights = CharRNN(model, V, H, 2, 0.3).weights
    x, y, masks = torch.randint(V, (T, B)), torch.randint(V, (T, B)), (torch.rand(2, T, B, H) > 0.3) / 0.7
    first = [torch.randn(B, H) for _ in range(4 if model == "lstm" else 2)]
    found = []
    for where in ("cpu", "mps"):
        with pretended_gpu("mps"):
            network = CharRNN(model, V, H, 2, 0.3, device=where)
            network.load_weights(weights)
            bptt, gradient = network.bptt(T, B), torch.empty_like(network.flat.detach())
            for to, value in zip(bptt.states(0), first, strict=True):
                to.copy_(value)
            bptt.forward(x.to(where), masks.to(where))
            loss = bptt.nll(y.to(where))
            d_last = [torch.ones_like(state) for state in bptt.states(-1)]
            d_first = bptt.backward(bptt.d_nll(), network.views(gradient), d_last)
            found.append([t.cpu() for t in (loss, gradient, *bptt.states(-1), *d_first)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("kind, model", [("cuda", "lstm"), ("cuda", "gru"), ("mps", "gru")])
def test_every_use_of_a_gpu(corpus, tmp_path, kind, model):
    """Train, go on, sample, evaluate, score, load: nothing is on the wrong device, and samples are the CPU's."""
    (corpus / "input.txt").write_bytes((corpus / "input.txt").read_bytes()[:1500])
    sizes = ["-rnn_size", "6", "-batch_size", "5", "-seq_length", "8", "-eval_val_every", "3", "-exact", "0"]
    with working_in(tmp_path), pretended_gpu(kind) as gpu:
        args = [
            "-data_dir",
            "corpus",
            "-model",
            model,
            "-savefile",
            model,
            "-dropout",
            "0.2",
            "-weight_drop",
            "0.2",
            "-state_reset",
            "0.5",
        ]
        said("train", *args, *sizes, "-max_epochs", "0.1", "-show", "1")
        (first, *_) = tmp_path.glob(f"cv/lm_{model}_epoch*.t7")
        said("train", "-resume", str(first), "-max_epochs", "0.21", "-calibrate", "1")
        found = str([path for path in named(tmp_path) if path.name.startswith(f"lm_{model}_")][-1])
        samples = [said("sample", found, "-length", "40", "-gpuid", gpuid) for gpuid in ("0", "-1")]
        assert samples[0][-40:] == samples[1][-40:]
        said("sample", found, "-length", "10", "-beam", "3")
        (text := tmp_path / "text").write_text("the text", encoding="utf-8")
        for command in (["eval", found, "-data_dir", "corpus"], ["score", found, str(text)]):
            losses = [re.findall(r"\d+\.\d+", said(*command, "-gpuid", gpuid)) for gpuid in ("0", "-1")]
            assert [float(n) for n in losses[0]] == pytest.approx([float(n) for n in losses[1]], rel=1e-4)
        loaded = pycharrnn.load(found, device=str(gpu.device))
        on_cpu = pycharrnn.load(found)
        assert str(loaded.generate("the", length=20, seed=1)) == str(on_cpu.generate("the", length=20, seed=1))
        np.testing.assert_allclose(loaded.score("the").bits, on_cpu.score("the").bits, rtol=1e-5)
        log_probs, _ = loaded(torch.zeros(3, 2, dtype=torch.int64))
        assert isinstance(log_probs, PretendedTensor)
        with pytest.raises(IndexError):
            loaded(torch.full((3, 2), 10**6))


@pytest.mark.parametrize("kind, model", [("cuda", "lstm"), ("cuda", "rnn"), ("mps", "lstm")])
def test_a_list_on_a_gpu_has_the_losses_of_the_cpu(tmp_path, kind, model):
    (tmp_path / "names.txt").write_bytes(b"".join(b"name number %d\n" % (k * k) for k in range(80)))
    args = ["names.txt", "-items", "line", "-model", model, "-rnn_size", "5", "-batch_size", "3", "-seq_length", "8"]
    args += ["-max_epochs", "0.4", "-print_every", "1", "-exact", "0", "-lock", "0", "-recipe", "char-rnn"]
    with working_in(tmp_path):
        on_cpu = said("train", *args, "-gpuid", "-1", "-savefile", "cpu")
        with pretended_gpu(kind):
            on_gpu = said("train", *args, "-savefile", "gpu")
    losses = [[float(x) for x in re.findall(r"train_loss = (\S+),", log)] for log in (on_cpu, on_gpu)]
    assert len(losses[0]) > 5 and losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_weights_of_a_model_on_a_gpu_are_taken_over():
    with pretended_gpu():
        one, other = (CharRNN("gru", 5, 4, 1, device="cuda:0") for _ in range(2))
        one.load_weights(other.weights)
        assert torch.equal(one.flat, other.flat)
    on_cpu = CharRNN("gru", 5, 4, 1)
    on_cpu.load_weights({name: weight.double().numpy() for name, weight in on_cpu.weights.items()})


def said(*args: str) -> str:
    result = CliRunner().invoke(cli, args, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_doctor_tests_the_gpu(monkeypatch, kind):
    monkeypatch.setattr(doctor, "_SECONDS", 0)
    monkeypatch.setattr(doctor, "TrainOptions", functools.partial(TrainOptions, seq_length=4, rnn_size=8, batch_size=2))
    with pretended_gpu(kind) as gpu:
        assert {name: test() for name, test in doctor.self_tests() if name == "GPU"} == {"GPU": None}
        gpu.calls.clear()
        assert "step on" in list(doctor.speeds())[-1]
        assert "lstm" in gpu.calls  # it is what training computes on there
        assert any("GPU" in line and "none that" not in line for line in doctor.machine_facts())
