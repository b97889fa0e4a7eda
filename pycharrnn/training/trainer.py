"""One iteration, one validation, and all the state that goes from one to the next."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch

from compat.lua_random import LuaRandom
from compat.run_state import RunState
from pycharrnn._version import __version__
from pycharrnn.engine.cuda_graph import CUDAGraphStep
from pycharrnn.engine.model import CharRNN
from pycharrnn.engine.rmsprop import RMSprop
from pycharrnn.engine.weight_drop import WeightDrop
from pycharrnn.text.loader import TRAIN, CharSplitLMMinibatchLoader, TextChanged
from pycharrnn.training.distributed import Ranks
from pycharrnn.training.settings import OptimisationSettings

if TYPE_CHECKING:
    import numpy.typing as npt


class Trainer:
    """A model with its optimiser, buffers and hidden state.

    Args:
        random: Torch7's generator, which dropout draws from.
        optimisation: how weights are learnt.
        exact: the hidden state behaves as in the original, which keeps it by reference to buffers that are overwritten
            later: see `step` and `evaluate`.
        products: precision of mixed-precision products; None for that of the parameters.
        note: prints a line on stderr.
    """

    def __init__(
        self,
        model: CharRNN,
        loader: CharSplitLMMinibatchLoader,
        random: LuaRandom,
        ranks: Ranks,
        optimisation: OptimisationSettings,
        exact: bool = True,
        products: torch.dtype | None = None,
        note: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
    ):
        self.model, self.loader, self.random, self.ranks, self._exact = model, loader, random, ranks, exact
        self._grad_clip = optimisation.grad_clip
        self._rows = ranks.rows(loader.batch_size)
        shape = loader.seq_length, self._rows.stop - self._rows.start
        self.bptt = model.bptt(*shape, loader.batch_size, training_only=True, precision=products)
        flat = self.bptt.flat
        self._summed = flat.new_zeros(flat.numel() + 1)  # over ranks: the gradient, and the loss
        self.gradient, self._loss = self._summed[:-1], self._summed[-1]
        self._gradients = self.bptt.views(self.gradient)
        self.optimizer = RMSprop(flat, optimisation.learning_rate, optimisation.decay_rate)
        self._x, self._y = (torch.empty(shape, dtype=torch.int64, device=flat.device) for _ in range(2))
        self._generator = torch.Generator(flat.device)
        self._masks: torch.Tensor | None = None
        if model.dropout:
            self._masks = flat.new_empty(model.num_layers, *shape, model.rnn_size)
        self._weight_drop: WeightDrop | None = None
        if optimisation.weight_drop:
            self._weight_drop = WeightDrop(flat, model.views, self.bptt.from_canonical, optimisation.weight_drop)
        self._replayed: CUDAGraphStep | None = None
        if self.bptt.backend.can_be_recorded:
            self._replayed = CUDAGraphStep(self._forward_backward, flat.device, note, ranks.finish)
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
        batch_size = self.loader.batch_size
        return RunState(
            mean_square=self.bptt.canonical(self.optimizer.mean_square).cpu().numpy(),
            learning_rate=self.optimizer.learning_rate,
            hidden_state=[self.ranks.whole_batch(h, batch_size).cpu().numpy() for h in self.bptt.states(-1)],
            batch_positions=dict(self.loader.batch_ix),
            random_words=words,
            random_position=position,
            norm_ratio=self.norm_ratio(),
            text=text,
            versions=self.versions(),
        )

    def restore(self, state: RunState) -> None:
        """Optimiser and hidden state as they were. A state is taken after a batch, so the next is not the first."""
        flat = self.bptt.flat
        mean_square = torch.from_numpy(state.mean_square).to(flat.dtype).to(flat.device)  # on the CPU first, for MPS
        self.optimizer.mean_square.copy_(self.bptt.from_canonical(mean_square))
        hidden = [torch.from_numpy(h[self._rows]).to(flat.dtype) for h in state.hidden_state]
        if hidden[0].shape == self.bptt.states(-1)[0].shape:
            self._set_states(hidden)
            self._first_batch = False

    def versions(self) -> dict[str, str]:
        """What the digits of the run depend on, beside the machine: program -> version.

        PyTorch is one of them unless the C kernel computes everything, the same bits on every machine.
        """
        portable = self.bptt.backend.is_portable and self._weight_drop is None
        of_torch = {} if portable else {"torch": str(torch.__version__)}
        return {"pycharrnn": __version__, **of_torch}

    def forget_place(self) -> None:
        """Go on from a hidden state of zeros, which no batch has left behind."""
        self._set_states(self._zeros())
        self._first_batch = True

    def _carry(self) -> None:
        """Copy the state after the batch to where the next one starts."""
        for first, last in zip(self.bptt.states(0), self.bptt.states(-1), strict=True):
            first.copy_(last)

    def _read_batch(self, split: int) -> None:
        """Fill x and y with this process's rows of the next batch, each (T, B)."""
        cuda = self._x.device.type == "cuda"
        for to, part in zip((self._x, self._y), self.loader.next_batch(split), strict=True):
            rows = torch.from_numpy(np.ascontiguousarray(part.T))
            # From pinned memory the copy goes on while Python does; in small numbers, since a GPU is far away.
            to.copy_(rows.pin_memory().to(to.device, non_blocking=True) if cuda else rows)

    def _draw_masks(self, masks: torch.Tensor) -> None:
        """Fill the dropout masks, (L, T, B, H); all ranks draw those of the whole batch, and take their rows.

        With -exact 1 from Torch7's generator, time step by time step, inside one step layer 2, 3, ..., decoder. Else
        from a quicker one, whose seed is one number of that generator: NumPy's, which draws the same whatever its
        version, or that of the device, where drawing costs less than the step itself.
        """
        keep, B = 1 - self.model.dropout, self.loader.batch_size
        L, T, _, H = masks.shape
        drawn: npt.NDArray[np.float64] | npt.NDArray[np.bool_]
        if self._exact:
            drawn = self.random.bernoulli(keep, T * L * B * H).reshape(T, L, B, H).swapaxes(0, 1)
        elif self._x.device.type == "cpu":
            words = np.random.PCG64(self._seed()).random_raw(-(-L * T * B * H // 2)).view("<u4")
            drawn = (words < keep * 2**32)[: L * T * B * H].reshape(L, T, B, H)
        else:
            of_device = torch.rand(L, T, B, H, generator=self._seeded(), device=self._x.device) < keep
            masks.copy_(of_device[:, :, self._rows]).div_(keep)
            return
        if masks.device.type == "cpu":  # on this thread: others would be no faster
            np.multiply(drawn[:, :, self._rows], 1 / keep, out=masks.numpy(), casting="same_kind")
        else:
            masks.copy_(torch.from_numpy(drawn)[:, :, self._rows].to(masks.dtype)).div_(keep)

    def _seed(self) -> int:
        """The seed of another generator: one number of Torch7's."""
        return int(self.random.random(1)[0] * 2**32)

    def _seeded(self) -> torch.Generator:
        """A generator of the device, all of whose numbers follow from one of Torch7's generator."""
        return self._generator.manual_seed(self._seed())

    def _forward_backward(self) -> None:
        """Loss and gradient of the batch in x and y."""
        self._carry()
        self.bptt.forward(self._x, self._masks)
        self._loss.copy_(self.bptt.nll(self._y))
        if self._exact and not self._first_batch:
            # The original's first state is by now the final one: they share memory. Backward sees the wrong one.
            self._carry()
        self.bptt.backward(self.bptt.d_nll(), self._gradients)

    def step(self) -> None:
        """One iteration: forward, backward, clip, update. Errors: TextChanged, before anything is changed."""
        self._read_batch(TRAIN)
        if self._masks is not None:
            self._draw_masks(self._masks)
        with self._weight_drop.left_out(self.gradient, self._seeded()) if self._weight_drop else nullcontext():
            (self._forward_backward if self._first_batch or self._replayed is None else self._replayed)()
        self._first_batch = False
        self.ranks.begin_sum(self._summed)
        self.optimizer.step(self.gradient, self._grad_clip)
        self._new_losses.append(self._loss / self.loader.seq_length)

    def norm_ratio(self) -> float:
        """The norm of the clipped gradient by that of the parameters, as the log shows it."""
        return self.optimizer.norm_ratio(self.gradient)

    def canonical_gradient(self) -> torch.Tensor:
        """The clipped gradient in the order of the model's parameters, (P,)."""
        return self.bptt.canonical(self.gradient)

    def store(self) -> None:
        """Write what has been trained into the model's parameters."""
        if self.bptt.flat.data_ptr() != self.model.flat.data_ptr():
            self.model.flat.detach().copy_(self.bptt.canonical(self.bptt.flat))

    def new_losses(self) -> list[float]:
        """The losses, in nats per character, of the iterations since the last call."""
        self.ranks.finish()
        losses, self._new_losses = self._new_losses, []
        return torch.stack(losses).tolist() if losses else []

    @torch.no_grad()
    def evaluate(self, split: int, batch_done: Callable[[int], None] = lambda i: None) -> float:
        """Loss of a whole split in nats per character, from a state of zeros, without dropout.

        Args:
            batch_done: called with the number of batches done after each.

        Errors: TextChanged, with the hidden state as it was before.
        """
        n = self.loader.split_sizes[split]
        self.loader.reset_batch_pointer(split)
        before = [state.clone() for state in self.bptt.states(-1)]
        self._set_states(self._zeros())
        loss = 0.0
        try:
            for i in range(1, n + 1):
                self._read_batch(split)
                self._carry()
                self.bptt.forward(self._x)
                loss += float(self.bptt.nll(self._y))
                batch_done(i)
        except TextChanged:
            self._set_states(before)  # what is left to do is to save the run as it was
            raise
        loss = float(self.ranks.sum(self._loss.new_tensor(loss)))
        if not self._exact:
            self._set_states(before)
        # else: the original's training state lies in the buffers that validation just used, and goes on from there.
        return loss / self.loader.seq_length / n
