"""A client's own copy of a served model, which learns from the client's text and ends with the request."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.engine import adapt
from pycharrnn.sampling.inference import on_cpu
from pycharrnn.server import served_models

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from compat.charrnn import Checkpoint
    from pycharrnn.engine.adapt_options import Adaptation
    from pycharrnn.page.facts import ModelFacts
    from pycharrnn.server.served_models import ServedModel

# The checkpoint in float64, three vectors and the result of the learner in float32, and the model that samples.
_BYTES_PER_PARAMETER = 8 + 3 * 4 + 4 + 8


def nbytes_of(facts: ModelFacts, length: int) -> int:
    """The size in memory, about, of a copy of a model with these facts that learns from segments of this length."""
    H, V, L = facts.rnn_size, facts.vocab_size, facts.num_layers
    of_segment = 4 * length * ((7 * L + 9) * H + 2 * V)  # gates and states; gradients of states; logits
    return _BYTES_PER_PARAMETER * (8 * H * H * L + 5 * H * V) + of_segment


class LearningModel:
    """A copy of a model.

    Attributes:
        nbytes: its size in memory, about.
    """

    def __init__(self, loaded: Checkpoint, facts: ModelFacts, how: Adaptation) -> None:
        self._loaded, self._facts, self.nbytes = loaded, facts, nbytes_of(facts, how.length)
        self._learner = adapt.learner(loaded.network, how)

    def read(
        self, token_ids: npt.NDArray[np.int64], targets: npt.NDArray[np.int64]
    ) -> Iterator[npt.NDArray[np.float64]]:
        """Read a text and learn from it: the surprise of `targets`, which follow its characters, some at a time."""
        step = self._learner.how.length
        for start in range(0, len(token_ids), step):
            log_probs = self._learner.read(token_ids[start : start + step], targets[start : start + step])
            yield -log_probs / math.log(2)

    def learn(self, token_ids: Sequence[int], given: npt.NDArray[np.bool_] | None = None) -> Iterator[str]:
        """Read a text and learn from it, in turns that yield "". `given`: see `bits`; None for no character."""
        ids = np.array(token_ids, np.int64)
        for _ in self.read(ids[:-1], adapt.targets_of(ids, given)):
            yield ""

    def bits(self, token_ids: npt.NDArray[np.int64], given: npt.NDArray[np.bool_]) -> Iterator[float]:
        """As surprise.bits, while learning from the text. `given`: whether the model only reads a character, (N,)."""
        yield math.log2(self._facts.vocab_size)
        for block in self.read(token_ids[:-1], adapt.targets_of(token_ids, given)):
            yield from block.tolist()

    def served(self) -> ServedModel:
        """The model as it has become."""
        return served_models.served_by(on_cpu(self._learner.network()), self._loaded, self._facts)
