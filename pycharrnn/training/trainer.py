"""Trainer: one iteration, one validation, and the state between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch

from compat import legacy_logsoftmax
from compat.lua_random import LuaRandom
from compat.run_state import RunState
from pycharrnn._version import __version__
from pycharrnn.common.printing import PrintLine
from pycharrnn.common.splitmix64 import draws_of_32_bits
from pycharrnn.engine.cuda_graph import CUDAGraphStep
from pycharrnn.engine.model import CharRNN
from pycharrnn.engine.precision import DTYPES
from pycharrnn.engine.rmsprop import RMSprop
from pycharrnn.engine.weight_drop import WeightDrop
from pycharrnn.text.batches import TRAIN, VAL, Batches
from pycharrnn.text.token_text import TextChanged
from pycharrnn.training import learning_rate
from pycharrnn.training.calibration import TEMPERATURES, Calibration, best_temperature
from pycharrnn.training.distributed import Ranks
from pycharrnn.training.settings import MachineSettings, OptimisationSettings

if TYPE_CHECKING:
    import numpy.typing as npt

# Ends of parameters' names.
_EMBEDDINGS = ("i2h_1.weight", "decoder.weight")  # those with a row or column per character
_DECODER = ("decoder.weight", "decoder.bias")


class Trainer:
    """A model with its optimizer, buffers and hidden state.

    Args:
        random: Torch7's generator, for dropout. note: prints a line on stderr.
        machine: with `exact`, the hidden state behaves as in the original, which keeps it by reference to buffers that
            are overwritten later: see `_forward_backward` and `_losses`. Not for lists, whose items each start from
            zeros. With `old_exp`, LogSoftMax is that of Torch7 before 27 April 2016.
    """

    def __init__(
        self,
        model: CharRNN,
        loader: Batches,
        random: LuaRandom,
        ranks: Ranks,
        optimisation: OptimisationSettings,
        machine: MachineSettings,
        note: PrintLine,
    ):
        self.model, self.loader, self.random, self.ranks = model, loader, random, ranks
        self._exact, self._old_exp, self._grad_clip = bool(machine.exact), bool(machine.old_exp), optimisation.grad_clip
        self._has_habits = self._exact and loader.end_id is None
        self._rows = ranks.rows(loader.batch_size)
        shape = loader.seq_length, self._rows.stop - self._rows.start
        products = DTYPES[machine.products] if machine.products else None
        self.bptt = model.bptt(*shape, loader.batch_size, training_only=True, precision=products)
        flat = self.bptt.flat
        self._summed = flat.new_zeros(flat.numel() + 1)  # over ranks: the gradient, and the loss
        self.gradient, self._loss = self._summed[:-1], self._summed[-1]
        self._gradients = self.bptt.views(self.gradient)
        self.optimizer = RMSprop(
            flat,
            learning_rate.first(optimisation),
            optimisation.decay_rate,
            self._multiples(optimisation.embedding_rate),
            optimisation.initial_mean,
        )
        self._x, self._y = (torch.empty(shape, dtype=torch.int64, device=flat.device) for _ in range(2))
        self._generator = torch.Generator(flat.device)
        self._masks: torch.Tensor | None = None
        if model.dropout:
            self._masks = flat.new_empty(model.num_layers, *shape, model.rnn_size)
        self._weight_drop: WeightDrop | None = None
        if optimisation.weight_drop:
            self._weight_drop = WeightDrop(flat, model.views, self.bptt.from_canonical, optimisation.weight_drop)
        self._state_reset = optimisation.state_reset  # the probability of a row
        self._replayed: CUDAGraphStep | None = None
        if self.bptt.backend.can_be_recorded:
            self._replayed = CUDAGraphStep(self._forward_backward, flat.device, note, ranks.wait)
        self._set_states(self._zeros())
        self._first_batch = True
        self._kept_norm_ratio: float | None = None  # of the step before a resume or a calibration
        self._new_losses: list[torch.Tensor] = []

    def _multiples(self, of_embeddings: float) -> torch.Tensor | None:
        """The learning rate's multiples for RMSprop, (P,): `of_embeddings` for input and output embeddings, else 1."""
        return None if of_embeddings == 1 else self._ones_but(_EMBEDDINGS, of_embeddings)

    def _ones_but(self, endings: tuple[str, ...], value: float) -> torch.Tensor:
        """A vector like the parameters, (P,), with `value` for those whose names end so, and ones for all others."""
        vector = torch.ones_like(self.model.flat.detach())
        for name, part in self.model.views(vector).items():
            if name.endswith(endings):
                part.fill_(value)
        return self.bptt.from_canonical(vector)

    def _zeros(self) -> list[torch.Tensor]:
        return [torch.zeros_like(state) for state in self.bptt.states(-1)]

    def _set_states(self, states: list[torch.Tensor]) -> None:
        """Set the state that the next batch starts from."""
        for last, state in zip(self.bptt.states(-1), states, strict=True):
            last.copy_(state)

    def state(self) -> RunState:
        """The state that -resume needs beside the weights."""
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
            versions=self.versions(),
            item_positions=self.loader.item_positions(),
        )

    def restore(self, state: RunState) -> None:
        """Restore optimizer and hidden state. The state follows a batch, so the next batch is not the first."""
        flat = self.bptt.flat
        mean_square = torch.from_numpy(state.mean_square).to(flat.dtype).to(flat.device)  # on the CPU first, for MPS
        self.optimizer.mean_square.copy_(self.bptt.from_canonical(mean_square))
        self._kept_norm_ratio = state.norm_ratio
        hidden = [torch.from_numpy(h[self._rows]).to(flat.dtype) for h in state.hidden_state]
        if hidden[0].shape == self.bptt.states(-1)[0].shape:
            self._set_states(hidden)
            self._first_batch = False

    def versions(self) -> dict[str, str]:
        """Program -> version, for all programs that the last digits of the run depend on."""
        of_torch = {} if self.bptt.backend.is_portable else {"torch": str(torch.__version__)}
        of_numpy = {"numpy": np.__version__} if self._old_exp else {}  # its log
        return {"pycharrnn": __version__, **of_torch, **of_numpy}

    def reset_hidden_state(self) -> None:
        """Make the next batch the first: its hidden state starts from zeros."""
        self._set_states(self._zeros())
        self._first_batch = True

    def _zero_random_states(self) -> None:
        """Zero the hidden states of random rows before the next batch (-state_reset). Every rank draws for all rows.

        Source: Melis, Dyer & Blunsom 2018, "On the state of the art of evaluation in neural language models".
        """
        draws = draws_of_32_bits(self._seed(), self.loader.batch_size)[self._rows]
        is_reset = draws < self._state_reset * 2**32
        if is_reset.any():
            mask = torch.from_numpy(is_reset)[:, None].to(self._x.device)
            for state in self.bptt.states(-1):
                state.masked_fill_(mask, 0)

    def _copy_last_to_first(self) -> None:
        """Start the next batch from the state after the last one."""
        for first, last in zip(self.bptt.states(0), self.bptt.states(-1), strict=True):
            first.copy_(last)

    def _read_batch(self, split: int) -> None:
        """Fill x and y with this process's rows of the next batch, each (T, B)."""
        cuda = self._x.device.type == "cuda"
        for to, part in zip((self._x, self._y), self.loader.next_batch(split), strict=True):
            rows = torch.from_numpy(np.ascontiguousarray(part.T))
            # From pinned memory the copy is asynchronous; uint8 or int32 make it small.
            to.copy_(rows.pin_memory().to(to.device, non_blocking=True) if cuda else rows)

    def _draw_masks(self, masks: torch.Tensor) -> None:
        """Fill the dropout masks, (L, T, B, H). Every rank draws those of the whole batch and uses its rows.

        With -exact 1, Torch7's generator draws by time step, then layer 2, 3, ..., decoder. Otherwise it seeds a faster
        one: NumPy's PCG64, stable across versions, or the GPU's.
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
        if masks.device.type == "cpu":  # threads would not be faster
            np.multiply(drawn[:, :, self._rows], 1 / keep, out=masks.numpy(), casting="same_kind")
        else:
            masks.copy_(torch.from_numpy(drawn)[:, :, self._rows].to(masks.dtype)).div_(keep)

    def _seed(self) -> int:
        """A seed from one number of Torch7's generator."""
        return int(self.random.random(1)[0] * 2**32)

    def _seeded(self) -> torch.Generator:
        return self._generator.manual_seed(self._seed())

    def _forward(self, masks: torch.Tensor | None = None) -> None:
        """Log-probabilities of the batch in x, from the state after the last one."""
        self._copy_last_to_first()
        log_probs = self.bptt.forward(self._x, masks)
        if self._old_exp:
            # They are logits up to a constant, which LogSoftMax subtracts. Its backward pass had the usual exp.
            log_probs.copy_(torch.from_numpy(legacy_logsoftmax.log_softmax(log_probs.numpy())))

    def _forward_backward(self) -> None:
        """Loss and gradient of the batch in x and y."""
        self._forward(self._masks)
        self._loss.copy_(self.bptt.nll(self._y))
        if self._has_habits and not self._first_batch:
            # In the original the first state shares memory with the last, so backward sees the last.
            self._copy_last_to_first()
        self.bptt.backward(self.bptt.d_nll(), self._gradients)

    def step(self) -> None:
        """Run one iteration: forward, backward, clip, update. Errors: TextChanged, with nothing changed."""
        self._read_batch(TRAIN)
        if self._state_reset:
            self._zero_random_states()
        if self._masks is not None:
            self._draw_masks(self._masks)
        with self._weight_drop.left_out(self.gradient, self._seed()) if self._weight_drop else nullcontext():
            (self._forward_backward if self._first_batch or self._replayed is None else self._replayed)()
        self._first_batch = False
        self._kept_norm_ratio = None
        self.ranks.begin_sum(self._summed)
        self.optimizer.step(self.gradient, self._grad_clip)
        # Divided by T, if all T*B targets of the batch have a loss.
        self._new_losses.append(self._loss / (max(self.loader.counted, 1) / self.loader.batch_size))

    def norm_ratio(self) -> float:
        """The norm of the clipped gradient divided by that of the parameters."""
        kept = self._kept_norm_ratio
        return self.optimizer.norm_ratio(self.gradient) if kept is None else kept

    def canonical_gradient(self) -> torch.Tensor:
        """The clipped gradient in the order of the model's parameters, (P,)."""
        return self.bptt.canonical(self.gradient)

    def store(self) -> None:
        """Copy the trained parameters into the model."""
        if self.bptt.flat.data_ptr() != self.model.flat.data_ptr():
            self.model.flat.detach().copy_(self.bptt.canonical(self.bptt.flat))

    def new_losses(self) -> list[float]:
        """The losses, in nats per character, of the iterations since the last call."""
        self.ranks.wait()
        losses, self._new_losses = self._new_losses, []
        return torch.stack(losses).tolist() if losses else []

    @torch.no_grad()
    def evaluate(self, batch_done: Callable[[int], None] = lambda i: None) -> float:
        """The loss of the validation split in nats per character, from a state of zeros, without dropout.

        Training goes on from the state before, but with -exact 1 from the last state of the split.

        `batch_done` is called with the number of batches done. Errors: TextChanged, with the hidden state restored.
        """
        return self._losses((1.0,), batch_done, restores=not self._has_habits)[0]

    @torch.no_grad()
    def calibrate(self, batch_done: Callable[[int], None] = lambda i: None) -> Calibration | None:
        """Divide the decoder by the temperature with the lowest validation loss. Args, errors: as `evaluate`.

        Returns: None if that is 1, which leaves the decoder as it is.
        """
        losses = self._losses(TEMPERATURES, batch_done)
        temperature = best_temperature(losses)
        if temperature == 1:
            return None
        self._kept_norm_ratio = self.norm_ratio()  # of the parameters that the last step left
        self.bptt.flat.div_(self._ones_but(_DECODER, temperature))
        return Calibration(temperature, losses[TEMPERATURES.index(1)])

    def _losses(
        self, temperatures: Sequence[float], batch_done: Callable[[int], None], restores: bool = True
    ) -> list[float]:
        """The losses of the validation split, as `evaluate`, of softmax(logits / temperature) for each temperature.

        Without `restores`, as in the original, training continues from the last state of the split.
        """
        self.loader.reset_batch_pointer(VAL)
        before = [state.clone() for state in self.bptt.states(-1)]
        self._set_states(self._zeros())
        losses, counted = [0.0] * len(temperatures), 0
        try:
            for i in range(1, self.loader.nval + 1):
                self._read_batch(VAL)
                self._forward()
                at_1 = self.bptt.nll(self._y)
                found = [at_1 if temperature == 1 else self.bptt.nll_at(temperature) for temperature in temperatures]
                losses = [loss + more for loss, more in zip(losses, torch.stack(found).tolist(), strict=True)]
                counted += self.loader.counted
                batch_done(i)
        except TextChanged:
            self._set_states(before)  # for the checkpoint that follows
            raise
        losses = self.ranks.sum(self._loss.new_tensor(losses)).tolist()
        if restores:
            self._set_states(before)
        # train.lua divides twice; one division by the product would round differently.
        batches = counted / (self.loader.batch_size * self.loader.seq_length)
        return [loss / self.loader.seq_length / batches for loss in losses]
