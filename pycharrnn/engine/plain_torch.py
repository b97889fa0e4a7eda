"""A model as a plain PyTorch module of nn.LSTM or nn.RNN and nn.Linear."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import nn

from pycharrnn.checkpoints import torch_names

MODULES: dict[str, type[nn.LSTM] | type[nn.RNN]] = {"lstm": nn.LSTM, "rnn": nn.RNN}  # those of torch.nn
State: TypeAlias = "torch.Tensor | tuple[torch.Tensor, torch.Tensor]"


class PlainModel(nn.Module):
    """An lstm or rnn of torch.nn that predicts the next character, with char-rnn's dropout in training mode.

    header: a checkpoint's metadata, the "_extra_state" of the state_dict. Errors: ValueError for gru.
    """

    def __init__(self, model: str, vocab_size: int, rnn_size: int, num_layers: int, dropout: float, header: str):
        super().__init__()
        if model not in torch_names.IN_TORCH_NN:
            raise ValueError(
                f"torch.nn has no {model} as char-rnn's: the reset gate of nn.GRU acts after the product with the"
                " recurrent weights, char-rnn's before it. CharRNN itself is a torch.nn.Module too"
            )
        between = dropout if num_layers > 1 else 0.0  # nn.LSTM warns of dropout in a single layer
        self.rnn = MODULES[model](vocab_size, rnn_size, num_layers, dropout=between)
        self.dropout = nn.Dropout(dropout)
        self.decoder = nn.Linear(rnn_size, vocab_size)
        self._header = header

    def forward(self, x: torch.Tensor, state: State | None = None) -> tuple[torch.Tensor, State]:
        """Log-probabilities (T, B, V) of the next characters in nats, and the state after them.

        Args:
            x: token ids from 0, (T, B), or one-hot, (T, B, V), of the parameters' type.
            state: (h, c) of nn.LSTM or h of nn.RNN, (L, B, H) each; by default zeros.
        """
        if not x.is_floating_point():
            x = nn.functional.one_hot(x.long(), self.decoder.out_features).to(self.decoder.weight.dtype)
        hidden, last = self.rnn(x, state)
        return torch.log_softmax(self.decoder(self.dropout(hidden)), -1), last

    def get_extra_state(self) -> str:
        return self._header

    def set_extra_state(self, state: str) -> None:
        self._header = state
