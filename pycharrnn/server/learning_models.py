"""A client's own copy of a served model, which learns from the client's text and ends with the request."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pycharrnn.engine import adapt
from pycharrnn.engine.adapt_options import AdaptOptions
from pycharrnn.sampling.inference import on_cpu
from pycharrnn.server import served_models

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from compat.charrnn import Checkpoint
    from pycharrnn.page.facts import ModelFacts
    from pycharrnn.server.served_models import ServedModel

# The checkpoint in float64, three vectors and the result of the learner in float32, and the model that samples.
_BYTES_PER_PARAMETER = 8 + 3 * 4 + 4 + 8


def nbytes_of(facts: ModelFacts) -> int:
    """The size in memory, about, of a copy of a model with these facts."""
    H, V = facts.rnn_size, facts.vocab_size
    return _BYTES_PER_PARAMETER * (8 * H * H * facts.num_layers + 5 * H * V)


class LearningModel:
    """A copy of a model, with the defaults of -adapt_rate, -adapt_length and -adapt_pull.

    Attributes:
        nbytes: its size in memory, about.
    """

    def __init__(self, loaded: Checkpoint, facts: ModelFacts) -> None:
        self._loaded, self._facts, self.nbytes = loaded, facts, nbytes_of(facts)
        self._learner = adapt.learner(loaded.network, AdaptOptions().adaptation)

    def read(self, token_ids: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.float64]]:
        """Read a text and learn from it: the surprise of its second character and those after it, some at a time."""
        step = self._learner.how.length
        for start in range(0, len(token_ids) - 1, step):
            targets = token_ids[start + 1 : start + 1 + step]
            log_probs = self._learner.read(token_ids[start : start + len(targets)], targets)
            yield -log_probs / math.log(2)

    def learn(self, token_ids: Sequence[int]) -> Iterator[str]:
        """Read a text and learn from it, in turns that yield ""."""
        for _ in self.read(np.array(token_ids, np.int64)):
            yield ""

    def bits(self, token_ids: npt.NDArray[np.int64]) -> Iterator[float]:
        """As surprise.bits, while learning from the text."""
        yield math.log2(self._facts.vocab_size)
        for block in self.read(token_ids):
            yield from block.tolist()

    def served(self) -> ServedModel:
        """The model as it has become."""
        return served_models.served_by(on_cpu(self._learner.network()), self._loaded, self._facts)
