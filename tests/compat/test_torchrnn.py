"""torch-rnn checkpoints, against the plain arithmetic of LanguageModel.lua."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
from torchrnn_tables import TOKENS, D, H, V, make, module

from compat import CheckpointError, Storage, Table, Tensor, load_t7, save_t7, torchrnn
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.errors import UserError
from pycharrnn.sampling import sampler
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.sampling.options import SampleOptions


def reference(table: Table, text: list[int]) -> np.ndarray:
    """Log-probabilities after each character, computed module by module as torch-rnn does when evaluating."""
    x = np.array(text)
    for m in table[b"model"][b"net"][b"modules"].as_list():
        field = lambda key, m=m: np.asarray(m[key])  # noqa: E731
        if m.typename == b"nn.LookupTable":
            x = field(b"weight")[x]
        elif m.typename in (b"nn.LSTM", b"nn.VanillaRNN"):
            h = c = np.zeros(H)
            out = []
            for row in x:
                a = field(b"bias") + np.concatenate([row, h]) @ field(b"weight")
                if m.typename == b"nn.LSTM":
                    i, f, o = (1 / (1 + np.exp(-a[k * H : (k + 1) * H])) for k in range(3))
                    c = f * c + i * np.tanh(a[3 * H :])
                    h = o * np.tanh(c)
                else:
                    h = np.tanh(a)
                out.append(h)
            x = np.array(out)
        elif m.typename == b"nn.BatchNormalization":
            inverse = field(b"running_std") if b"running_std" in m.fields else (field(b"running_var") + 1e-5) ** -0.5
            x = (x - field(b"running_mean")) * inverse * field(b"weight") + field(b"bias")
        elif m.typename == b"nn.Linear":
            x = x @ field(b"weight").T + field(b"bias")
    return x - np.log(np.exp(x).sum(1, keepdims=True))


@pytest.mark.parametrize("kind", ["LSTM", "VanillaRNN"])
@pytest.mark.parametrize("batchnorm", [None, "var", "std"])
def test_same_probabilities(kind, batchnorm):
    table = make(kind, batchnorm)
    text = [0, 1, 4, 3, 3, 2]
    predictor = NumpyPredictor(torchrnn.from_table(table).network)
    ours = np.stack([predictor.step(k) for k in text])
    np.testing.assert_allclose(ours, reference(table, text), atol=1e-12)


def test_normalisation_without_weights_of_its_own():
    """nn.BatchNormalization may have no weight and no bias, which is as if they were 1 and 0."""
    plain, ones = make("LSTM", "var"), make("LSTM", "var")
    for table, change in (
        (plain, lambda m: [m.fields.pop(key) for key in (b"weight", b"bias")]),
        (
            ones,
            lambda m: m.fields.update({b"weight": Tensor.of_array(np.ones(H)), b"bias": Tensor.of_array(np.zeros(H))}),
        ),
    ):
        for m in table[b"model"][b"net"][b"modules"].as_list():
            if m.typename == b"nn.BatchNormalization":
                change(m)
    found, want = (torchrnn.from_table(table).network.weights for table in (plain, ones))
    for name, weight in want.items():
        np.testing.assert_allclose(found[name], weight, rtol=1e-14)
    text = [0, 3, 1]
    predictor = NumpyPredictor(torchrnn.from_table(plain).network)
    np.testing.assert_allclose(np.stack([predictor.step(k) for k in text]), reference(ones, text), atol=1e-12)


def test_a_normalisation_is_folded_once():
    table = make("LSTM", "var")
    modules = table[b"model"][b"net"][b"modules"]
    last = max(k for k, m in modules.items() if m.typename == b"nn.BatchNormalization")
    modules[last] = module("View")
    predictor = NumpyPredictor(torchrnn.from_table(table).network)
    text = [0, 3, 1]
    np.testing.assert_allclose(np.stack([predictor.step(k) for k in text]), reference(table, text), atol=1e-12)


def test_weights_are_doubles():
    table = make("LSTM", None)
    for m in table[b"model"][b"net"][b"modules"].as_list():
        for key in (b"weight", b"bias"):
            if m.get(key) is not None:
                m.fields[key] = Tensor.of_array(m[key].numpy(), b"torch.Float")
    network = torchrnn.from_table(table).network
    assert network.tensor_type == "torch.FloatTensor"
    assert {w.dtype for w in network.weights.values()} == {np.dtype("f8")}
    assert not network.weights["h2h_1.bias"].any()


def test_losses_and_options():
    table = make("VanillaRNN", None)
    table[b"train_loss_history"] = Table.of_list([3.0, float("nan"), float("inf"), b"x", 2.0])
    table[b"val_loss_history"] = Table.of_list([2.5, float("nan"), 2.25, 2.0])
    table[b"val_loss_history_it"] = Table.of_list([100.5, 200, 300, float("nan")])
    found = torchrnn.from_table(table)
    assert str(found.train_losses.tolist()) == "[3.0, nan, inf, nan, 2.0]"
    assert str(found.val_losses) == "{100: 2.5, 200: nan, 300: 2.25}"
    assert found.val_loss == 2.0
    assert [type(i) for i in found.val_losses] == [int] * 3
    assert found.opt == {"dropout": 0.0, "model": "rnn", "rnn_size": H, "num_layers": 2}
    for key in (b"val_loss_history", b"i", b"opt"):
        del table[key]
    found = torchrnn.from_table(table)
    assert (found.val_loss, found.val_losses, found.i) == (None, {}, 0)


def test_characters_of_several_bytes(tmp_path):
    save_t7(tmp_path / "c.t7", make("LSTM", None, dropout=0.25))
    loaded = checkpoint.load(tmp_path / "c.t7")
    assert (loaded.program, loaded.i, loaded.train_losses, loaded.val_loss) == (
        "torch-rnn",
        2,
        array("d", [2.0, 1.5]),
        1.75,
    )
    assert loaded.network.dropout == 0.25
    opt = SampleOptions(length=40)
    predictor = NumpyPredictor(loaded.network)
    text = b"".join(d.character for d in sampler.sample(predictor, loaded.vocab, opt, "é水".encode())).decode()
    assert text.startswith("é水")
    assert len(text) == 42  # -length counts drawn characters
    assert set(text) <= set(TOKENS)
    with pytest.raises(UserError, match='U\\+00FC "ü"'):
        list(sampler.sample(predictor, loaded.vocab, opt, "aü".encode()))


def test_training_goes_on_from_it(tmp_path):
    """torch-rnn numbers characters as they occur, char-rnn by their bytes: the rows change places."""
    from pycharrnn.text.loader import CharSplitLMMinibatchLoader
    from pycharrnn.training.loop import train
    from pycharrnn.training.options import TrainOptions

    table = make("LSTM", "std")
    letters = "dabec"
    table[b"model"].fields[b"idx_to_token"] = Table((i, c.encode()) for i, c in enumerate(letters, 1))
    save_t7(tmp_path / "c.t7", table)
    text = "".join(np.random.default_rng(5).choice(list(letters), 4000))
    (tmp_path / "input.txt").write_text(text, encoding="utf-8")
    opt = TrainOptions(
        data_dir=str(tmp_path), init_from=str(tmp_path / "c.t7"), checkpoint_dir=str(tmp_path / "cv"), gpuid=-1,
        batch_size=2, seq_length=10, max_epochs=1 / 190, forget_bias=0,
    )  # fmt: skip
    lines: list[str] = []
    train(opt, say=lines.append)
    (line,) = (line for line in lines if "train_loss" in line)
    loader = CharSplitLMMinibatchLoader(tmp_path, 2, 10, (0.95, 0.05, 0), say=lambda line: None)
    rows = [
        "".join(sorted(letters)[k] for k in np.append(x, y[-1])) for x, y in zip(*loader.next_batch(1), strict=True)
    ]
    expected = 0.0
    for row in rows:
        numbers = [letters.index(c) for c in row]
        log_probs = reference(table, numbers[:-1])
        expected -= log_probs[np.arange(10), numbers[1:]].sum() / 10 / 2
    assert float(line.split("train_loss = ")[1].split(",")[0]) == pytest.approx(expected, abs=1e-8)


def test_it_can_be_saved_for_char_rnn(tmp_path):
    from compat import charrnn

    table = make("LSTM", "var")
    charrnn.save(tmp_path / "c.t7", torchrnn.from_table(table))
    again = checkpoint.load(tmp_path / "c.t7")
    predictor = NumpyPredictor(again.network)
    np.testing.assert_allclose(
        np.stack([predictor.step(k) for k in (1, 2, 3)]), reference(table, [1, 2, 3]), atol=1e-12
    )


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda net: net.update({2: module("GRU")}), "nn.GRU"),
        (lambda net: net.pop(1), "no layers|no module|LookupTable"),
        (lambda net: net[1].fields.update({b"weight": Tensor.of_array(np.zeros((V + 1, D)))}), "LookupTable"),
        (lambda net: net[2].fields.update({b"weight": Tensor.of_array(np.zeros((2, 2)))}), "LSTM"),
        (lambda net: net[3].fields.update({b"bias": Storage(b"torch.DoubleStorage", np.zeros(4))}), "bias"),
        (lambda net: net.update({3: module("VanillaRNN")}), "one kind"),
        (lambda net: net.update({3: 5}), "something that is not a module"),
        (lambda net: net.update({2: module("View"), 3: module("View")}), "no layers or no decoder"),
        (lambda net: net.update({5: module("View")}), "no layers or no decoder"),
        (lambda net: net.update({1: module("View")}), "no nn.LookupTable before its layers"),
        (
            lambda net: net.update({4: module("BatchNormalization", running_mean=np.zeros(H), running_var=np.ones(H))}),
            "no eps",
        ),
    ],
)
def test_other_networks_are_refused(tmp_path, change, words):
    table = make("LSTM", None)
    change(table[b"model"][b"net"][b"modules"])
    save_t7(tmp_path / "c.t7", table)
    with pytest.raises(CheckpointError, match=words):
        torchrnn.from_table(load_t7(tmp_path / "c.t7"))
