"""CharRNN: char-rnn's lstm, gru and rnn as a torch.nn.Module over one flat parameter vector."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from compat.cells import CELLS, MODELS
from compat.charrnn import Checkpoint, era_of_ours
from compat.checkpoint_fields import Option
from compat.graph_match import Network
from compat.lua_random import LuaRandom
from compat.nngraph import parameter_shapes
from compat.t7_objects import T7Encoding
from pycharrnn._version import __version__
from pycharrnn.checkpoints import checkpoint, formats, metadata, torch_names
from pycharrnn.common import path_argument
from pycharrnn.common.errors import in_words_of_a_program
from pycharrnn.engine import validation
from pycharrnn.engine.backends import choose_backend
from pycharrnn.engine.bptt import BPTT
from pycharrnn.engine.plain_torch import PlainModel

if TYPE_CHECKING:
    import numpy.typing as npt


class CharRNN(nn.Module):
    """A character-level recurrent network: token ids in, log-probabilities of the next character out.

    Args:
        model: "lstm", "gru" or "rnn".
        vocab_size, rnn_size, num_layers: numbers of characters, V, of units in a layer, H, and of layers, L.
        dropout: probability of dropping the inputs of layers 2, 3, ... and of the decoder, in training mode.
        dtype, device: of the parameters.
        end_id: see Attributes.
        initialize: draw the parameters, with a seed from PyTorch's generator. False leaves them to the caller.

    Errors: ValueError for an invalid size, probability or token id; TypeError for a wrong type, or a dtype that is not
        floating-point.

    Attributes:
        flat: nn.Parameter, (P,): all weights and biases in the original's order.
        vocab, opt: character (bytes) -> token id from 1; training options. Both are empty except for a loaded model.
        end_id: token id of the character that ends an item: the states become zero before it is read. None for a model
            of a text. bptt() passes it on.
        weights: name -> view of `flat`, names and shapes as in compat.nngraph.parameter_shapes.

    Example:
        >>> model = CharRNN("gru", vocab_size=65, rnn_size=128, num_layers=2)
        >>> log_probs, state = model(torch.zeros(50, 8, dtype=torch.long))
        >>> log_probs.shape
        torch.Size([50, 8, 65])
    """

    def __init__(
        self,
        model: str,
        vocab_size: int,
        rnn_size: int,
        num_layers: int,
        dropout: float = 0.0,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
        end_id: int | None = None,
        initialize: bool = True,
    ):
        super().__init__()
        if model not in MODELS:
            raise ValueError(f"model must be one of {', '.join(MODELS)}, not {model!r}")
        validation.size("vocab_size", vocab_size)
        validation.size("rnn_size", rnn_size)
        validation.size("num_layers", num_layers, most=metadata.MOST_LAYERS)
        validation.number("dropout", dropout)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), not {dropout}")
        validation.floating_point(dtype)
        validation.device_name(device)
        if end_id is not None:
            validation.whole("end_id", end_id)
        if end_id is not None and not 0 <= end_id < vocab_size:
            raise ValueError(f"end_id must be in [0, vocab_size), not {end_id}")
        self.model, self.vocab_size, self.rnn_size, self.num_layers = model, vocab_size, rnn_size, num_layers
        self.dropout, self.end_id = dropout, end_id
        self._num_states = len(CELLS[model].states) * num_layers
        self.vocab: dict[bytes, int] = {}
        self.opt: dict[str, Option] = {}
        self._era = ""  # of the checkpoint to write
        self._shapes = parameter_shapes(model, vocab_size, rnn_size, num_layers)
        size = sum(math.prod(shape) for shape in self._shapes.values())
        self.flat = nn.Parameter(torch.empty(size, dtype=dtype, device=device))
        if initialize:
            self.reset_parameters(LuaRandom(int(torch.randint(2**31, (), device="cpu"))))

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """Name -> view of `flat`; writing to it changes the parameters."""
        return self.views(self.flat.detach())

    def views(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        """Name -> view of a vector in the order of `flat`, such as its gradient. Errors: TypeError; ValueError."""
        validation.tensor("flat", flat, None, getattr(flat, "device", validation.CPU), self.flat.shape)
        sizes = [math.prod(shape) for shape in self._shapes.values()]
        parts = torch.split(flat, sizes)
        return {name: part.view(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}

    def reset_parameters(self, random: LuaRandom, forget_bias: bool = True) -> None:
        """Initialize as char-rnn does: uniform in [-0.08, 0.08), then LSTM forget biases 1.

        Building the network in Torch7 first draws one number per parameter, which is not used. Source: train.lua.
        """
        random.skip(self.flat.numel())
        drawn = torch.from_numpy(random.uniform(-0.08, 0.08, self.flat.numel()))
        with torch.no_grad():
            self.flat.copy_(drawn.to(self.flat.dtype))  # on the CPU: MPS has no float64
        if forget_bias:
            self.set_forget_bias()

    def set_forget_bias(self) -> None:
        """Set the forget gate's part of every i2h bias of an lstm to 1."""
        gates = CELLS[self.model].gates
        if "forget" in gates:
            first = gates.index("forget") * self.rnn_size
            for layer in range(1, self.num_layers + 1):
                self.weights[f"i2h_{layer}.bias"][first : first + self.rnn_size] = 1.0

    def load_weights(self, weights: Mapping[str, npt.NDArray[Any] | torch.Tensor]) -> None:
        """Copy arrays, named as in `weights`, into the parameters. Errors: KeyError; ValueError for a shape."""
        with torch.no_grad():
            for name, view in self.weights.items():
                weight = weights[name]
                if not isinstance(weight, torch.Tensor):
                    weight = torch.from_numpy(np.array(weight))
                if weight.shape != view.shape:
                    raise ValueError(f"{name} must have the shape {tuple(view.shape)}, not {tuple(weight.shape)}")
                view.copy_(weight.to(view.dtype))

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        dtype: str = formats.DEFAULT.dtype,
        encoding: T7Encoding = formats.DEFAULT.encoding,
        long_size: int = formats.DEFAULT.long_size,
    ) -> None:
        """Write a checkpoint in the format of the path's suffix, as `pycharrnn convert` does: model.save("mine.t7").

        `pycharrnn.load(path).save("mine.html")` writes a page.

        dtype, encoding, long_size: see formats.WriteOptions.

        Errors: OSError; UserError for another suffix, or an option that its format does not have; ValueError for a
            model without a vocab.
        """
        target, options = path_argument.path(path), formats.WriteOptions(dtype, encoding, long_size)
        with in_words_of_a_program():
            formats.check_options(target, options)
            if len(self.vocab) != self.vocab_size:
                raise ValueError(
                    f"model.vocab has {len(self.vocab)} characters, the model {self.vocab_size}: set it first"
                )
            if sorted(self.vocab.values()) != list(range(1, self.vocab_size + 1)):
                raise ValueError(f"model.vocab must number its characters from 1 to {self.vocab_size}")
            opt = {"model": self.model, "rnn_size": self.rnn_size, "num_layers": self.num_layers, **self.opt}
            checkpoint.convert(self.as_checkpoint(self.vocab, opt), target, options)

    @classmethod
    def from_checkpoint(
        cls, loaded: Checkpoint, *, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None
    ) -> CharRNN:
        """A model with the weights of a checkpoint, its `vocab` and its `opt`. dtype, device: of the parameters."""
        n = loaded.network
        sizes = n.vocab_size, n.rnn_size, n.num_layers
        model = cls(n.model, *sizes, n.dropout, dtype=dtype, device=device, end_id=n.end_id, initialize=False)
        model.load_weights(n.weights)
        model.vocab, model.opt = loaded.vocab, loaded.opt
        model._era = era_of_ours(n.model, loaded.names_gates)
        return model

    def as_checkpoint(
        self, vocab: dict[bytes, int], opt: dict[str, Option], gradients: torch.Tensor | None = None, **progress: Any
    ) -> Checkpoint:
        """The model as a checkpoint to write.

        Args:
            vocab: character -> token id from 1. opt: the options of the training run, from which end_id follows.
            gradients: (P,), which train.lua's checkpoints hold.
            progress: train_losses, val_losses, val_loss, i, epoch, state, text_fingerprint of
                compat.charrnn.Checkpoint.
        """
        weights = {name: _numpy(view) for name, view in self.weights.items()}
        tensor_type = "torch.DoubleTensor" if next(iter(weights.values())).dtype == np.float64 else "torch.FloatTensor"
        network = Network(
            self.model, self.rnn_size, self.num_layers, self.vocab_size, self.dropout, weights, tensor_type
        )
        last = None if gradients is None else _numpy(gradients)
        program = f"pycharrnn {__version__}"
        return Checkpoint(network, vocab, opt, gradients=last, program=program, era=self._era, **progress)

    def to_torch(self) -> PlainModel:
        """A plain PyTorch module of nn.LSTM or nn.RNN and nn.Linear, with copies of the parameters.

        `save("model.pt")` writes its state_dict by torch.save. Errors: ValueError for a gru, whose cell torch.nn lacks.

        Example:
            >>> plain = model.to_torch()
            >>> log_probs, state = plain(torch.zeros(50, 8, dtype=torch.long))
        """
        loaded = self.as_checkpoint(self.vocab, self.opt)
        sizes = (self.vocab_size, self.rnn_size, self.num_layers)
        plain = PlainModel(self.model, *sizes, self.dropout, metadata.text_of(loaded))
        named = torch_names.to_torch(self.model, loaded.network.weights)
        plain.to(self.flat.device, self.flat.dtype).load_state_dict(
            {name: torch.from_numpy(w) for name, w in named.items()} | {"_extra_state": plain.get_extra_state()}
        )
        return plain.train(self.training)

    def bptt(
        self,
        T: int,
        B: int,
        batch_size: int | None = None,
        *,
        training_only: bool = False,
        precision: torch.dtype | None = None,
    ) -> BPTT:
        """Training passes over batches of T steps and B texts, for one thread. Errors: TypeError; ValueError.

        Args:
            batch_size: number of texts that the loss is averaged over; by default B.
            training_only, precision: see backends.choose_backend. torch.nn's modules train a copy of the parameters.
        """
        for name, value in (("T", T), ("B", B), ("batch_size", batch_size)):
            if value is not None:
                validation.size(name, value)
        choice = choose_backend(self.model, self.flat.detach(), training_only, precision)
        return BPTT(choice.make(self, T, B), batch_size, choice.reason, self.end_id)

    def initial_state(self, B: int) -> list[torch.Tensor]:
        """Zeros (B, H): c, h of layer 1, c, h of layer 2, ... for an lstm, else h of each layer.

        Errors: TypeError, ValueError for B.
        """
        validation.size("B", B, least=0)
        return [self.flat.detach().new_zeros(B, self.rnn_size) for _ in range(self._num_states)]

    def forward(
        self, x: torch.Tensor, state: Iterable[torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Log-probabilities (T, B, V) of the next characters in nats, and the state after them. Differentiable once.

        Args:
            x: (T, B), token ids from 0, of any integer type.
            state: the hidden states before x, by default initial_state. Gradients flow through it.

        Errors: TypeError, ValueError for tensors of another type, shape or device; IndexError for an invalid token id.
        """
        validation.characters("x", x, self.flat.device)
        if x.device != validation.CPU:  # on the CPU the layers check it
            validation.in_range("x", x.long(), self.vocab_size)
        T, B = x.shape
        if state is None:
            first = self.initial_state(B)
        else:
            first = validation.states("state", state, self._num_states, self.flat, (B, self.rnn_size))
        masks = None
        if self.dropout and self.training:
            keep = 1 - self.dropout
            masks = torch.empty(
                self.num_layers, T, B, self.rnn_size, dtype=self.flat.dtype, device=self.flat.device
            ).bernoulli_(keep)
            masks /= keep
        log_probs, *last = _Sequence.apply(self, masks, x, self.flat, *first)  # type: ignore[no-untyped-call]  # PyTorch's
        return log_probs, last

    def extra_repr(self) -> str:
        return f"{self.model}, vocab_size={self.vocab_size}, rnn_size={self.rnn_size}, num_layers={self.num_layers}"


class _Sequence(torch.autograd.Function):
    """A whole sequence as one differentiable operation, with the passes of BPTT."""

    @staticmethod
    def forward(
        ctx: Any, model: CharRNN, masks: torch.Tensor | None, x: torch.Tensor, flat: torch.Tensor, *state: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        T, B = x.shape
        bptt = model.bptt(T, B)
        for buffer, value in zip(bptt.states(0), state, strict=True):
            buffer.copy_(value)
        log_probs = bptt.forward(x, masks).view(T, B, -1)
        ctx.bptt, ctx.model = bptt, model
        ctx.save_for_backward(flat, log_probs)  # backward uses both: PyTorch raises if they have been changed by then
        ctx.depends_on = [flat, *(s for s in state if s.requires_grad)]
        return (log_probs, *(s.clone() for s in bptt.states(-1)))

    @staticmethod
    def backward(ctx: Any, d_log_probs: torch.Tensor, *d_state: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        bptt, model = ctx.bptt, ctx.model
        flat, log_probs = ctx.saved_tensors
        with torch.no_grad():
            d_logits = d_log_probs - log_probs.exp() * d_log_probs.sum(-1, keepdim=True)
            d_flat = torch.empty_like(flat, memory_format=torch.contiguous_format)
            d_first = bptt.backward(d_logits.reshape(bptt.log_probs.shape), model.views(d_flat), d_state)
        gradients: tuple[torch.Tensor, ...] = (d_flat, *d_first)
        if torch.is_grad_enabled():  # create_graph=True
            gradients = _Once.apply(  # type: ignore[no-untyped-call]  # PyTorch's
                len(gradients), *gradients, *ctx.depends_on, d_log_probs, *d_state
            )
        return None, None, None, *gradients


class _Once(torch.autograd.Function):
    """Identity on gradients, with a backward pass that raises; without it PyTorch would treat them as constants."""

    @staticmethod
    def forward(ctx: Any, n: int, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tensors[:n]

    @staticmethod
    def backward(ctx: Any, *d: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        raise RuntimeError("the gradients of CharRNN.forward can't be differentiated again")


def _numpy(tensor: torch.Tensor) -> npt.NDArray[Any]:
    return tensor.detach().cpu().numpy()
