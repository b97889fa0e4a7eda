"""Training on torch.nn's modules is training on our own passes; a GPU's part runs where there is one."""

from __future__ import annotations

import math

import pytest
import torch
from click.testing import CliRunner
from conftest import GOLDEN, train_as_recorded, working_in
from runs import assert_close_digits, log_lines

from pycharrnn.checkpoints import checkpoint
from pycharrnn.cli.commands import cli
from pycharrnn.engine.bptt import BPTT
from pycharrnn.engine.cuda_graph import Replayed
from pycharrnn.engine.model import CharRNN
from pycharrnn.engine.torch_modules import ModuleBPTT
from pycharrnn.training import trainer

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that CUDA can use")
T, B, V, H = 7, 5, 11, 6


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
    for passes in (own, ModuleBPTT(network, T, B, 2 * B)):
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


@pytest.mark.parametrize("name", ["lstm2", "lstm3_dropout", "rnn2_dropout"])
def test_the_recorded_digits(name, tmp_path, monkeypatch):
    """The habits, dropout's draws and the checkpoints, on torch.nn in double precision."""
    monkeypatch.setattr(
        trainer, "_passes", lambda opt, model, rows: ModuleBPTT(model, opt.seq_length, rows, opt.batch_size)
    )
    out, folder = train_as_recorded(name, tmp_path)
    assert_close_digits(log_lines(out), log_lines((GOLDEN / name / "train.log").read_text()))
    recorded = sorted((GOLDEN / name).glob("*.t7"))
    assert recorded
    for path in recorded:
        ours, theirs = checkpoint.load(folder / path.name), checkpoint.load(path)
        for key, weight in theirs.network.weights.items():
            assert abs(ours.network.weights[key] - weight).max() < 1e-9


def train(folder, *args: str):
    with working_in(folder):
        return CliRunner().invoke(cli, ["train", "-data_dir", "corpus", "-gpuid", "-1", "-print_every", "50", *args])


def validation_loss(folder, *args: str) -> float:
    result = train(folder, "-max_epochs", "1", "-rnn_size", "64", "-savefile", "x", *args)
    assert result.exit_code == 0, result.output
    (path,) = folder.glob("cv/lm_x_epoch1.00_*.t7")
    loaded = checkpoint.load(path)
    path.unlink()
    return loaded.val_losses[loaded.i]


@pytest.mark.parametrize("model", ["lstm", "rnn"])
def test_bfloat16_learns_as_well(corpus, model):
    size = ("-batch_size", "10", "-seq_length", "25", "-model", model, "-learning_rate", "0.001")
    exact = validation_loss(corpus.parent, *size)
    mixed = validation_loss(corpus.parent, *size, "-exact", "0", "-dtype", "bfloat16")
    assert math.isclose(mixed, exact, rel_tol=0.005)
    assert mixed != exact


@pytest.mark.parametrize(
    "args,words",
    [
        (("-dtype", "float32"), "-dtype float32 does not give char-rnn's digits: add -exact 0."),
        (("-dtype", "bfloat16", "-exact", "0", "-model", "gru"), "train a gru with -dtype float32"),
        (("-dtype", "half"), "-dtype must be one of double, float32, bfloat16, float16, not half."),
    ],
)
def test_precisions_that_do_not_fit(corpus, args, words):
    result = train(corpus.parent, *args)
    assert words in str(result.exception)


def test_double_without_the_habits(corpus):
    result = train(corpus.parent, "-exact", "0", "-dtype", "double", "-max_epochs", "0.2")
    assert result.exit_code == 0, result.output


def test_a_gru_is_none_of_torch_nns():
    with pytest.raises(ValueError, match="torch.nn has no gru as char-rnn's"):
        ModuleBPTT(CharRNN("gru", V, H, 1), T, B, B)


@pytest.mark.parametrize("dropout, calls", [(0.0, 1), (0.3, 3)])
def test_all_layers_are_one_call_where_nothing_is_dropped(dropout, calls):
    assert len(ModuleBPTT(CharRNN("lstm", V, H, 3, dropout), T, B, B)._modules) == calls


def test_float16_keeps_small_gradients_and_drops_what_overflows():
    """Below 6e-8 float16 has nothing but 0; the gradients are scaled by 256 while they are in it."""
    torch.manual_seed(1)
    network = CharRNN("rnn", V, H, 1)
    passes = ModuleBPTT(network, T, B, B, torch.float16)
    x, y = (torch.randint(V, (T, B)) for _ in range(2))
    try:
        passes.forward(x)
    except RuntimeError as e:
        pytest.skip(f"this PyTorch has no float16 here: {e}")
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
    bias = passes.views(gradient)[-1]
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
    assert isinstance(passes, BPTT)
    x, y = (torch.randint(V, (T, B), device="cuda") for _ in range(2))
    gradient = torch.zeros_like(network.flat.detach())

    def step():
        for state in passes.states(0):
            state.zero_()
        passes.forward(x)
        passes.nll(y)
        passes.backward(passes.d_nll(), network.views(gradient))

    replayed = Replayed(step, torch.device("cuda"))
    replayed()
    expected = gradient.clone()
    for _ in range(5):
        gradient.zero_()
        replayed()
    assert replayed._graph is not None
    torch.testing.assert_close(gradient, expected)
