"""A training run between two log lines: one iteration, one validation, and all state that they need."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from compat.lua_random import LuaRandom
from compat.run_state import RunState
from pycharrnn import resume
from pycharrnn.bptt import BPTT
from pycharrnn.distributed import Ranks
from pycharrnn.loader import TRAIN, CharSplitLMMinibatchLoader
from pycharrnn.model import CharRNN
from pycharrnn.options import TrainOptions
from pycharrnn.rmsprop import RMSprop

_ALONE = Ranks()


class Run:
    """A model with its optimiser, buffers and hidden state on their way through the text.

    With -exact 1 the hidden state behaves as in the original, which keeps it by reference to buffers that are
    overwritten later: see `step` and `evaluate`.
    """

    def __init__(
        self,
        opt: TrainOptions,
        model: CharRNN,
        loader: CharSplitLMMinibatchLoader,
        random: LuaRandom,
        ranks: Ranks = _ALONE,
    ):
        self.opt, self.model, self.loader, self.random, self.ranks = opt, model, loader, random, ranks
        self._rows = ranks.rows(opt.batch_size)
        self._summed = model.flat.detach().new_zeros(model.flat.numel() + 1)  # over ranks: the gradient, and the loss
        self.gradient, self._loss = self._summed[:-1], self._summed[-1]
        self._gradients = model.views(self.gradient)
        self.optimizer = RMSprop(model.flat.detach(), opt.learning_rate, opt.decay_rate)
        self.bptt: BPTT = model.bptt(opt.seq_length, self._rows.stop - self._rows.start, opt.batch_size)
        self._set_states(self._zeros())
        self._first_batch = True
        self._new_losses: list[torch.Tensor] = []

    def _zeros(self) -> list[torch.Tensor]:
        return [torch.zeros_like(state) for state in self.bptt.states(-1)]

    def _set_states(self, states: list[torch.Tensor]) -> None:
        """What this process's rows of the next batch start from: the last state of a batch, where `_carry` gets it."""
        for last, state in zip(self.bptt.states(-1), states, strict=True):
            last.copy_(state)

    def state(self, text: str) -> RunState:
        """What a run that goes on from here needs beside the weights. `text`: the fingerprint of input.txt."""
        words, position = self.random.get_state()
        return RunState(
            mean_square=self.optimizer.mean_square.cpu().numpy(),
            learning_rate=self.optimizer.learning_rate,
            hidden_state=[self.ranks.whole_batch(h, self.opt.batch_size).cpu().numpy() for h in self.bptt.states(-1)],
            batch_positions=dict(self.loader.batch_ix),
            random_words=words,
            random_position=position,
            norm_ratio=self.optimizer.norm_ratio(self.gradient),
            text=text,
            versions=resume.versions(),
        )

    def restore(self, state: RunState) -> None:
        """Optimiser and hidden state as they were. A state is taken after a batch, so the next is not the first."""
        flat = self.model.flat
        self.optimizer.mean_square.copy_(torch.from_numpy(state.mean_square).to(flat.dtype))  # on the CPU, for MPS
        hidden = [torch.from_numpy(h[self._rows]).to(flat.dtype) for h in state.hidden_state]
        if hidden[0].shape == self.bptt.states(-1)[0].shape:
            self._set_states(hidden)
            self._first_batch = False

    def forget_place(self) -> None:
        """Go on from a hidden state of zeros, which no batch has left behind."""
        self._set_states(self._zeros())
        self._first_batch = True

    def _carry(self) -> None:
        """Copy the state after the batch to where the next one starts."""
        for first, last in zip(self.bptt.states(0), self.bptt.states(-1), strict=True):
            first.copy_(last)

    def _batch(self, split: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(x, y) of this process's rows, each (T, B), int64, on the model's device."""
        return tuple(
            torch.from_numpy(np.ascontiguousarray(part.T)).to(self.model.flat.device).long()
            for part in self.loader.next_batch(split)
        )

    def _dropout_masks(self) -> torch.Tensor | None:
        """(layers, T, B, H); drawn time step by time step, inside one step layer 2, 3, ..., decoder."""
        p, flat = self.model.dropout, self.model.flat
        if not p:
            return None
        shape = (self.opt.seq_length, self.model.num_layers, self.opt.batch_size, self.model.rnn_size)
        keep = self.random.bernoulli(1 - p, int(np.prod(shape))).reshape(shape) / (1 - p)
        ours = keep[:, :, self._rows].swapaxes(0, 1)
        return torch.from_numpy(np.ascontiguousarray(ours)).to(flat.device, flat.dtype)

    def step(self) -> None:
        """One iteration: forward, backward, clip, update."""
        opt = self.opt
        x, y = self._batch(TRAIN)
        self._carry()
        self.bptt.forward(x, self._dropout_masks())
        self._loss.copy_(self.bptt.nll(y))
        if opt.exact and not self._first_batch:
            # The original's first state is by now the final one: they share memory. Backward sees the wrong one.
            self._carry()
        self._first_batch = False
        self.bptt.backward(self.bptt.d_nll(), self._gradients)
        self.ranks.sum(self._summed)
        self.optimizer.step(self.gradient, opt.grad_clip)
        self._new_losses.append(self._loss / opt.seq_length)

    def new_losses(self) -> list[float]:
        """The losses, in nats per character, of the iterations since the last call."""
        losses, self._new_losses = self._new_losses, []
        return torch.stack(losses).tolist() if losses else []

    def evaluate(self, split: int, say: Callable[[str], None]) -> float:
        """Loss of a whole split in nats per character, from a state of zeros, without dropout."""
        say(f"evaluating loss over split index {split}")
        n = self.loader.split_sizes[split]
        self.loader.reset_batch_pointer(split)
        before = [state.clone() for state in self.bptt.states(-1)]
        self._set_states(self._zeros())
        loss = 0.0
        for i in range(1, n + 1):
            x, y = self._batch(split)
            self._carry()
            self.bptt.forward(x)
            loss += float(self.bptt.nll(y))
            say(f"{i}/{n}...")
        loss = float(self.ranks.sum(self._loss.new_tensor(loss)))
        if not self.opt.exact:
            self._set_states(before)
        # else: the original's training state lies in the buffers that validation just used, and goes on from there.
        return loss / self.opt.seq_length / n
