"""A model that `pycharrnn serve` holds in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from compat.charrnn import Checkpoint
from pycharrnn.page.facts import ModelFacts
from pycharrnn.sampling.inference import on_cpu
from pycharrnn.sampling.kernel_predictor import KernelPredictor
from pycharrnn.sampling.known_items import RecordedItems, recorded_items
from pycharrnn.sampling.model_text import ModelText
from pycharrnn.sampling.predictor import LocalPredictor
from pycharrnn.server.json_lines import LineVocabulary
from pycharrnn.server.sample_batch import SampleBatch

# Limits of the block of characters that a model reads at once, so that a turn stays short.
_MAX_STEPS = 32
_MAX_MULTIPLICATIONS = 1 << 28


@dataclass(frozen=True, eq=False)
class ServedModel:
    id: str
    vocab: dict[bytes, int]  # character -> token id, from 1
    predictor: LocalPredictor  # never steps; each request makes a `fresh` one of it
    facts: ModelFacts
    vocabulary: LineVocabulary
    batch: SampleBatch | None  # of its samples; None without the C kernel
    end_id: int | None  # token id of the end of an item; None for a model of a text
    items: RecordedItems | None  # of the training text; None for a model of a text
    labels: dict[bytes, int]  # of its items, as Checkpoint.labels
    text: ModelText  # the training text

    @property
    def block(self) -> int:
        """The number of characters of a text to read at once."""
        multiplications = 8 * self.facts.num_layers * self.facts.rnn_size**2  # for one character, roughly
        return max(1, min(_MAX_STEPS, _MAX_MULTIPLICATIONS // multiplications))

    @property
    def nbytes(self) -> int:
        return self.predictor.nbytes


def served(loaded: Checkpoint, facts: ModelFacts) -> ServedModel:
    """Load a checkpoint's model into memory of its own."""
    network = loaded.network
    # A checkpoint's arrays may be views of its file, which another program can change, and a predictor may keep them.
    copied = replace(network, weights={part: np.array(weight, np.float64) for part, weight in network.weights.items()})
    return served_by(on_cpu(copied), loaded, facts)


def served_by(predictor: LocalPredictor, loaded: Checkpoint, facts: ModelFacts) -> ServedModel:
    """The model of a checkpoint, in the memory of a predictor."""
    batch, vocab, end_id = None, loaded.vocab, loaded.network.end_id
    if isinstance(predictor, KernelPredictor):
        batch = SampleBatch(predictor.rows_per_step, predictor.multiplications)
    text = ModelText(facts.id, loaded)
    recorded = None if end_id is None else recorded_items(facts.id, loaded)
    labels = loaded.labels
    return ServedModel(facts.id, vocab, predictor, facts, LineVocabulary(vocab), batch, end_id, recorded, labels, text)
