"""Training on torch.nn's modules is training on our own passes; a GPU's part runs where there is one."""

from __future__ import annotations

import contextlib
import itertools
import math

import pytest
import torch
from click.testing import CliRunner
from conftest import GOLDEN, train_as_recorded, working_in
from pretended_device import pretended_gpu
from runs import assert_close_digits, log_lines
from torch.utils._pytree import tree_flatten

from pycharrnn.checkpoints import checkpoint
from pycharrnn.cli.commands import cli
from pycharrnn.common.errors import UserError
from pycharrnn.engine import kernel_library
from pycharrnn.engine.bptt import BPTT
from pycharrnn.engine.cuda_graph import CUDAGraphStep
from pycharrnn.engine.model import CharRNN
from pycharrnn.engine.precision import can_train
from pycharrnn.engine.torch_nn_backend import TorchNNBackend

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that CUDA can use")
T, B, V, H = 7, 5, 11, 6


def of_torch_nn(network: CharRNN, batch_size: int, precision: torch.dtype | None = None) -> BPTT:
    return BPTT(TorchNNBackend(network, T, B, precision), batch_size)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("model", ["lstm", "rnn"])
def test_loss_and_gradients_are_those_of_our_passes(model, layers, dropout):
    torch.manual_seed(1)
    network = CharRNN(model, V, H, layers, dropout, dtype=torch.float64)
    x, y = (torch.randint(V, (T, B)) for _ in range(2))
    masks = (torch.rand(layers, T, B, H, dtype=torch.float64) > dropout) / (1 - dropout) if dropout else None
    own = network.bptt(T, B, 2 * B)
    first = [torch.randn_like(state) for state in own.states(0)]
    found = []
    for passes in (own, of_torch_nn(network, 2 * B)):
        for to, value in zip(passes.states(0), first, strict=True):
            to.copy_(value)
        passes.forward(x, masks)
        loss = passes.nll(y)
        for before, after in zip(passes.states(0), passes.states(-1), strict=True):
            before.copy_(after)  # the original's habit: backward sees it
        gradient = torch.empty_like(network.flat.detach())
        passes.backward(passes.d_nll(), passes.views(gradient))
        found.append([loss, passes.canonical(gradient), *passes.states(-1)])
        assert torch.equal(passes.canonical(passes.flat), network.flat)
        assert torch.equal(passes.from_canonical(passes.canonical(gradient)), gradient)
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", [pytest.param("lstm3_dropout", marks=pytest.mark.slow), "rnn2_dropout"])
def test_the_recorded_digits(name, tmp_path):
    """The habits, dropout's draws and the checkpoints, on torch.nn in double precision, as on a GPU."""
    with pretended_gpu() as gpu:
        out, folder = train_as_recorded(name, tmp_path, "-gpuid", "0", "-dtype", "float64")
    assert {"lstm", "rnn_tanh"} & gpu.calls
    assert_close_digits(log_lines(out), log_lines((GOLDEN / name / "train.log").read_text(encoding="utf-8")))
    recorded = sorted((GOLDEN / name).glob("*.t7"))
    assert recorded
    for path in recorded:
        ours, theirs = checkpoint.load(folder / path.name), checkpoint.load(path)
        for key, weight in theirs.network.weights.items():
            assert abs(ours.network.weights[key] - weight).max() < 1e-9


def of_a_batch(passes, x, y, first, masks=None, habit=True) -> torch.Tensor:
    """The gradient of a batch, where backward sees the state after it, or without this habit the one before."""
    for to, value in zip(passes.states(0), first, strict=True):
        to.copy_(value)
    passes.forward(x, masks)
    passes.nll(y)
    if habit:
        for before, after in zip(passes.states(0), passes.states(-1), strict=True):
            before.copy_(after)
    gradient = torch.empty_like(passes.flat)
    passes.backward(passes.d_nll(), passes.views(gradient))
    return passes.canonical(gradient)


@pytest.mark.parametrize("where", ["cpu", "cuda:0", "mps"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("model, dropout", [("lstm", 0.0), ("lstm", 0.3), ("rnn", 0.3)])
def test_mixed_precision_is_the_one_asked_for(where, dtype, model, dropout, without_kernel):
    """Inside each call: inputs, states, weights and outputs. The first habit stays; gradients are the master's."""
    if not can_train(model, H, dtype, "cpu"):
        pytest.skip(f"PyTorch {torch.__version__} has no {dtype} on the CPU")
    seen: set[torch.dtype] = set()

    def note(module, given, found):
        seen.update(t.dtype for t in tree_flatten((given, found, list(module.parameters())))[0])

    with contextlib.nullcontext() if where == "cpu" else pretended_gpu(where.partition(":")[0]):
        torch.manual_seed(1)
        network = CharRNN(model, V, H, 2, dropout, device=where)
        with torch.no_grad():
            network.flat.mul_(8)  # so that the state matters
        x, y = (torch.randint(V, (T, B)).to(where) for _ in range(2))
        masks = ((torch.rand(2, T, B, H) > dropout) / (1 - dropout)).to(where) if dropout else None
        passes, own = of_torch_nn(network, B, dtype), network.bptt(T, B)
        for module in (*passes.backend._modules, passes.backend._decoder):
            module.register_forward_hook(note)
        first = [torch.randn(B, H).to(where) for _ in own.states(0)]
        found = of_a_batch(passes, x, y, first, masks)
        assert seen == {dtype}
        assert found.dtype == torch.float32 and all(state.dtype == torch.float32 for state in passes.states(-1))
        found, expected = found.cpu(), of_a_batch(own, x, y, first, masks).cpu()
        without = of_a_batch(own, x, y, first, masks, habit=False).cpu()
    error = (found - expected).norm() / expected.norm()
    assert error < {torch.bfloat16: 0.03, torch.float16: 0.004}[dtype]
    assert (without - expected).norm() / expected.norm() > 3 * error


def train(folder, *args: str):
    with working_in(folder):
        return CliRunner().invoke(cli, ["train", "-data_dir", "corpus", "-gpuid", "-1", "-print_every", "50", *args])


def validation_loss(folder, *args: str) -> float:
    result = train(folder, "-max_epochs", "0.5", "-rnn_size", "32", "-savefile", "x", *args)
    assert result.exit_code == 0, result.output
    (path,) = folder.glob("cv/lm_x_epoch0.50_*.t7")
    loaded = checkpoint.load(path)
    path.unlink()
    return loaded.val_losses[loaded.i]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["lstm", "rnn"])
def test_bfloat16_learns_as_well(corpus, model, without_kernel):
    """On torch.nn, which trains in bfloat16 where there is no kernel."""
    size = ("-batch_size", "10", "-seq_length", "25", "-model", model, "-learning_rate", "0.001")
    exact = validation_loss(corpus.parent, *size)
    mixed = validation_loss(corpus.parent, *size, "-exact", "0", "-dtype", "bfloat16")
    assert math.isclose(mixed, exact, rel_tol=0.005)
    assert mixed != exact


@pytest.mark.parametrize(
    "args,words",
    [
        (("-dtype", "float32"), "-dtype float32 does not give char-rnn's digits: add -exact 0."),
        (
            ("-dtype", "float16", "-exact", "0", "-model", "gru"),
            "-dtype float16 is for lstm and rnn: train a gru with -dtype float32.",
        ),
        (("-dtype", "half"), "-dtype must be float64, float32, bfloat16 or float16, not half."),
    ],
)
def test_precisions_that_do_not_fit(corpus, args, words):
    result = train(corpus.parent, *args)
    assert words in str(result.exception)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["CPU", "GPU"])
def test_every_precision_computes_or_is_one_sentence(corpus, where):
    """Of every model, with the habits or with dropout, on the CPU and on a GPU that is pretended."""
    dtypes = ["", "float64", "float32", "bfloat16", "float16"]
    asked = itertools.product(["lstm", "gru", "rnn"], dtypes, [("0", "0.3"), ("1", "0")])
    refused = []
    (corpus / "input.txt").write_bytes(b"tiny texts, tiny networks; " * 8)
    size = ("-rnn_size", "4", "-batch_size", "2", "-seq_length", "4", "-max_epochs", "0.1")
    with pretended_gpu() if where == "GPU" else contextlib.nullcontext():
        for model, dtype, (exact, dropout) in asked:
            args = ("-model", model, "-dtype", dtype, "-exact", exact, "-dropout", dropout, "-overwrite", "1")
            result = train(corpus.parent, *size, *args, "-gpuid", "0" if where == "GPU" else "-1")
            if result.exit_code:
                assert isinstance(result.exception, UserError), (args, result.exception)
                refused.append((model, dtype, exact))
    digits = {(m, d, "1") for m in ("lstm", "gru", "rnn") for d in ("float32", "bfloat16", "float16")}
    lacks = ["float16"] if where == "CPU" and kernel_library.name() else ["bfloat16", "float16"]
    of_gru = {("gru", d, e) for d in lacks for e in ("0", "1")}
    # What the CPU lacks, a pretended GPU lacks as well.
    halves = [m for m in ("lstm", "rnn") if can_train(m, 4, torch.float16, "cpu")]
    lacking = {(m, "float16", e) for m in ("lstm", "rnn") if m not in halves for e in ("0", "1")}
    assert set(refused) == (digits if where == "CPU" else set()) | of_gru | lacking


@pytest.mark.parametrize("model", ["lstm", "rnn"])
def test_a_precision_that_this_pytorch_lacks(corpus, monkeypatch, model):
    def forward(*args):
        raise RuntimeError("\"sigmoid\" not implemented for 'Half'")

    monkeypatch.setattr(torch.nn.LSTM if model == "lstm" else torch.nn.RNN, "forward", forward)
    result = train(corpus.parent, "-model", model, "-exact", "0", "-dtype", "float16")
    assert isinstance(result.exception, UserError)
    assert f"can't train an {model} in it on the CPU; use -dtype float32." in str(result.exception)


def test_a_gru_is_none_of_torch_nns():
    with pytest.raises(ValueError, match="torch.nn has no gru as char-rnn's"):
        of_torch_nn(CharRNN("gru", V, H, 1), B)


@pytest.mark.parametrize("dropout, calls", [(0.0, 1), (0.3, 3)])
def test_all_layers_are_one_call_where_nothing_is_dropped(dropout, calls):
    assert len(of_torch_nn(CharRNN("lstm", V, H, 3, dropout), B).backend._modules) == calls


def test_float16_keeps_small_gradients_and_drops_what_overflows():
    """Below 6e-8 float16 has nothing but 0; the gradients are scaled by 256 while they are in it."""
    if not can_train("rnn", H, torch.float16, "cpu"):
        pytest.skip(f"PyTorch {torch.__version__} has no float16 on the CPU")
    torch.manual_seed(1)
    network = CharRNN("rnn", V, H, 1)
    passes = of_torch_nn(network, B, torch.float16)
    x, y = (torch.randint(V, (T, B)) for _ in range(2))
    passes.forward(x)
    passes.nll(y)
    gradient = torch.empty_like(network.flat.detach())
    passes.backward(passes.d_nll(), passes.views(gradient))
    exact = network.bptt(T, B)
    for state in exact.states(0):
        state.zero_()
    exact.forward(x)
    exact.nll(y)
    expected = torch.empty_like(gradient)
    exact.backward(exact.d_nll(), network.views(expected))
    torch.testing.assert_close(passes.canonical(gradient), expected, rtol=0.05, atol=1e-3)
    bias = list(passes.views(gradient).values())[-1]
    for value in (2e-8, float("nan")):
        passes.forward(x)
        passes.backward(torch.full((T * B, V), value), passes.views(gradient))
        assert gradient.isfinite().all()
        assert (bias > 0).all() == (value == 2e-8)


@needs_gpu
@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
def test_a_gpu_learns_as_the_cpu_does(corpus, model):
    size = ("-batch_size", "10", "-seq_length", "25", "-model", model, "-exact", "0")
    cpu = validation_loss(corpus.parent, *size)
    for dtype in ("float32",) if model == "gru" else ("float32", "bfloat16", "float16"):
        gpu = validation_loss(corpus.parent, *size, "-gpuid", "0", "-dtype", dtype)
        assert math.isclose(gpu, cpu, rel_tol=0.005)


@needs_gpu
def test_a_recorded_graph_computes_what_the_calls_did():
    torch.manual_seed(1)
    network = CharRNN("gru", V, H, 2, device="cuda")
    passes = network.bptt(T, B)
    x, y = (torch.randint(V, (T, B), device="cuda") for _ in range(2))
    gradient = torch.zeros_like(network.flat.detach())

    def step():
        for state in passes.states(0):
            state.zero_()
        passes.forward(x)
        passes.nll(y)
        passes.backward(passes.d_nll(), network.views(gradient))

    replayed = CUDAGraphStep(step, torch.device("cuda"), print)
    replayed()
    expected = gradient.clone()
    for _ in range(5):
        gradient.zero_()
        replayed()
    assert replayed._graph is not None
    torch.testing.assert_close(gradient, expected)
