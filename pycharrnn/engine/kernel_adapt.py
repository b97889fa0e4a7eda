"""The learner of adapt.py on the C kernel. Needs no PyTorch."""

from __future__ import annotations

import ctypes
import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from compat.cells import CELLS
from pycharrnn.engine.adapt_options import Adaptation
from pycharrnn.engine.kernel_arrays import aligned_zeros, weights_of
from pycharrnn.engine.kernel_structures import CELL_NUMBERS, GROUPS, SUMS, AdaptingStruct
from pycharrnn.engine.learner import ALPHA, EPSILON, Learner, checked

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from compat.graph_match import Network

    Vector = npt.NDArray[np.float32]


class KernelLearner(Learner):
    """See Learner. Errors: KeyError, ValueError for missing weights or other shapes."""

    def __init__(self, library: ctypes.CDLL, network: Network, how: Adaptation, threads: int = 1) -> None:
        self.how, self._library, self._threads, self._network = how, library, threads, network
        n, T, L = network, how.length, network.num_layers
        weights = weights_of(n)
        cell = CELLS[n.model]
        num_gates = len(cell.gates)
        S, N = _padded(n.rnn_size), _padded(n.vocab_size)
        G = num_gates * S
        self._sizes = [
            size for layer in range(L) for size in ((G * S, G, G * S, G) if layer else (n.vocab_size * G, G, G * S, G))
        ]
        self._sizes += [N * S, N]
        self._offsets = np.cumsum([0, *self._sizes[:-1]], dtype=np.int64)  # C reads it; see kernel_streams.py
        self._arrays = {
            name: aligned_zeros(shape, np.float32)
            for name, shape in {
                **dict.fromkeys(("parameters", "mean_square", "trained"), (sum(self._sizes),)),
                "h": (L, T + 1, S),
                "c": (L, T + 1, S) if "c" in cell.states else (0,),
                "gates": (L, T, G),
                "extra": (L, T, S) if cell.saved else (0,),
                "dh": (T, S),
                "d_state": (S,),
                "group_sums": (2, GROUPS, T, S),
                "zeros": (S,),
                "logits": (T, N),
                "d_logits": (T, N),
            }.items()
        }
        integers = {"first_steps": n.vocab_size, "next_steps": T, "learned": GROUPS * n.vocab_size}
        self._arrays |= {name: np.zeros(size, np.int64) for name, size in integers.items()}
        for name, view in self._views(self._arrays["trained"]):
            view[:] = weights[name].reshape(view.shape)
        self._arrays["parameters"][:] = self._arrays["trained"]
        self._adapting = AdaptingStruct(
            cell=CELL_NUMBERS[n.model],
            num_gates=num_gates,
            layers=L,
            H=n.rnn_size,
            V=n.vocab_size,
            length=T,
            end_id=-1 if n.end_id is None else n.end_id,
            offsets=self._offsets.ctypes.data,
            size=sum(self._sizes),
            **{name: array.ctypes.data if array.size else None for name, array in self._arrays.items()},
            alpha=ALPHA,
            epsilon=EPSILON,
            pull=how.pull,
        )

    def _views(self, vector: Vector) -> Iterator[tuple[str, Vector]]:
        """Name and elements of each weight, (gates, H, inputs), and bias, (gates, H), in a padded vector."""
        n, cell = self._network, CELLS[self._network.model]
        H, V, S = n.rnn_size, n.vocab_size, _padded(n.rnn_size)
        matrices = np.split(vector, self._offsets[1:])
        for layer in range(n.num_layers):
            for kind, linears in enumerate((cell.input_linears, cell.recurrent_linears)):
                weight, bias = matrices[4 * layer + 2 * kind : 4 * layer + 2 * kind + 2]
                if layer == 0 and kind == 0:
                    weight = weight.reshape(V, -1, S)[..., :H].transpose(1, 2, 0)
                else:
                    weight = weight.reshape(-1, S, S)[:, :H, :H]
                bias = bias.reshape(-1, S)[:, :H]
                gates = len(bias) // len(linears)
                for k, linear in enumerate(linears):
                    of_linear = slice(k * gates, (k + 1) * gates)
                    yield f"{linear}_{layer + 1}.weight", weight[of_linear]
                    yield f"{linear}_{layer + 1}.bias", bias[of_linear]
        yield "decoder.weight", matrices[-2].reshape(1, -1, S)[:, :V, :H]
        yield "decoder.bias", matrices[-1][None, :V]

    def read(
        self, token_ids: npt.NDArray[np.integer[Any]], targets: npt.NDArray[np.integer[Any]], share: float = 1
    ) -> npt.NDArray[np.float64]:
        """See Learner."""
        token_ids, targets = checked(token_ids, targets, self._network.vocab_size)
        found, a = np.empty(len(token_ids)), self._adapting
        a.steps, a.characters, a.targets = len(found), token_ids.ctypes.data, targets.ctypes.data
        a.log_probs, a.learning_rate = found.ctypes.data, share * self.how.rate
        self._library.charrnn_adapt(ctypes.byref(a), self._threads)
        return found

    def network(self) -> Network:
        """See Learner."""
        found = dict(self._views(self._arrays["parameters"]))
        weights = {
            name: found[name].reshape(self._network.weights[name].shape).copy() for name in self._network.weights
        }
        return dataclasses.replace(self._network, weights=weights, tensor_type="torch.FloatTensor")


def _padded(count: int) -> int:
    return math.ceil(count / SUMS) * SUMS
