"""A model as nn.LSTM or nn.RNN with nn.Linear, and as the state_dict that PyTorch saves."""

from __future__ import annotations

import json

import pytest
import torch
from conftest import GOLDEN
from torch import nn

import pycharrnn
from compat.lua_random import LuaRandom
from pycharrnn.checkpoints import checkpoint, torch_names
from pycharrnn.engine.model import CharRNN

V, H, T, B = 7, 6, 5, 3
LSTM = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"


def made(model: str, layers: int, dropout: float = 0.0) -> CharRNN:
    found = CharRNN(model, V, H, layers, dropout, dtype=torch.float64)
    found.reset_parameters(LuaRandom(3))
    with torch.no_grad():
        found.flat.mul_(10)
    found.vocab = {bytes([97 + k]): k + 1 for k in range(V)}
    return found


def text(seed: int = 0) -> torch.Tensor:
    return torch.randint(V, (T, B), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("model", ["lstm", "rnn"])
def test_equal_log_probabilities_states_and_gradients(model, layers):
    ours = made(model, layers)
    plain = ours.to_torch()
    assert [type(m) for m in (plain.rnn, plain.decoder)] == [nn.LSTM if model == "lstm" else nn.RNN, nn.Linear]
    state = [torch.randn(B, H, dtype=torch.float64) for _ in ours.initial_state(B)]
    h, c = torch.stack(state[-1::-2][::-1] if model == "lstm" else state), torch.stack(state[::2])
    x, y = text(), text(1)
    log_probs, last = ours(x, state)
    theirs, after = plain(x, (h, c) if model == "lstm" else h)
    torch.testing.assert_close(theirs, log_probs, rtol=0, atol=1e-12)
    both = [s[layer] for layer in range(layers) for s in (after[::-1] if model == "lstm" else (after,))]
    torch.testing.assert_close(both, list(last), rtol=0, atol=1e-12)
    for each in (log_probs, theirs):
        nn.functional.nll_loss(each.flatten(0, 1), y.flatten()).backward()
    gradients = {name: g.numpy() for name, g in ours.views(ours.flat.grad).items()}
    for name, gradient in torch_names.to_torch(model, gradients).items():
        torch.testing.assert_close(plain.get_parameter(name).grad.numpy(), gradient, rtol=0, atol=1e-12)
    one_hot = nn.functional.one_hot(x, V).double()
    torch.testing.assert_close(plain(one_hot)[0], ours(x)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("model", ["lstm", "rnn"])
def test_dropout_where_char_rnn_has_it(model):
    """With almost everything dropped, layer 2 reads zeros and the decoder, too; layer 1 doesn't notice."""
    ours = made(model, 2, dropout=1 - 1e-12)
    plain = ours.to_torch()
    assert plain.training
    log_probs, last = ours(text())
    theirs, after = plain(text())
    torch.testing.assert_close(theirs, log_probs, rtol=0, atol=1e-12)
    torch.testing.assert_close(theirs, torch.log_softmax(plain.decoder.bias, 0).expand(T, B, V))
    hidden = after[0] if model == "lstm" else after
    torch.testing.assert_close(hidden, torch.stack(last[1::2] if model == "lstm" else last), rtol=0, atol=1e-12)
    ours.eval()
    torch.testing.assert_close(ours.to_torch()(text())[0], ours(text())[0], rtol=0, atol=1e-12)
    assert not torch.allclose(ours(text())[0], log_probs)


def test_one_layer_drops_before_the_decoder_alone(recwarn):
    plain = made("lstm", 1, dropout=0.5).to_torch()
    torch.manual_seed(1)
    log_probs, _ = plain(text())
    torch.manual_seed(1)
    hidden = plain.dropout(plain.rnn(nn.functional.one_hot(text(), V).double())[0])
    assert torch.equal(log_probs, torch.log_softmax(plain.decoder(hidden), -1))
    assert not recwarn.list


def test_a_gru_has_no_cell_in_torch(tmp_path):
    with pytest.raises(ValueError, match=r"torch.nn has no gru as char-rnn's: the reset gate of nn.GRU acts after"):
        made("gru", 1).to_torch()
    made("gru", 1).save(tmp_path / "gru.pt")
    assert "reset_h2h_1.weight" in torch.load(tmp_path / "gru.pt", weights_only=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pytorch_loads_what_convert_writes(tmp_path, dtype):
    model = CharRNN.from_checkpoint(checkpoint.load(LSTM), dtype=dtype)
    model.save(tmp_path / "m.pt")
    state = torch.load(tmp_path / "m.pt", weights_only=True)
    facts = json.loads(state["_extra_state"])
    assert (facts["model"], facts["rnn_size"], facts["vocab"][0]) == ("lstm", 16, [9])
    plain = made("lstm", 2).to_torch()
    with pytest.raises(RuntimeError, match="size mismatch"):
        plain.load_state_dict(state)
    plain = CharRNN.from_checkpoint(checkpoint.load(LSTM), dtype=dtype).to_torch()
    before = {name: p.clone() for name, p in plain.named_parameters()}
    nn.init.zeros_(plain.decoder.weight)
    plain.load_state_dict(state)
    assert all(torch.equal(p, before[name]) and p.dtype == dtype for name, p in plain.named_parameters())


@pytest.mark.parametrize("shared", [False, True])
def test_what_plain_pytorch_trains_comes_back(tmp_path, shared):
    """Also with all tensors in one storage, as cuDNN keeps them."""
    plain = pycharrnn.load(LSTM).module.train().to_torch()
    optimizer = torch.optim.SGD(plain.parameters(), 0.1)
    nn.functional.nll_loss(plain(text())[0].flatten(0, 1), text(1).flatten()).backward()
    optimizer.step()
    state = plain.state_dict()
    if shared:
        tensors = {name: t for name, t in state.items() if name != "_extra_state"}
        parts = torch.cat([t.flatten() for t in tensors.values()]).split([t.numel() for t in tensors.values()])
        state |= {name: part.view_as(t) for (name, t), part in zip(tensors.items(), parts, strict=True)}
    torch.save(state, tmp_path / "tuned.pt")
    checkpoint.convert(checkpoint.load(tmp_path / "tuned.pt"), tmp_path / "tuned.t7")
    again = pycharrnn.load(tmp_path / "tuned.t7")
    torch.testing.assert_close(again(text())[0], plain.eval()(text())[0], rtol=0, atol=1e-6)
    assert not torch.equal(again.module.flat, pycharrnn.load(LSTM).module.flat)
    assert again.vocab == pycharrnn.load(LSTM).vocab
