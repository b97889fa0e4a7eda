"""A model that `pycharrnn serve` holds in memory, and the scores of texts."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from compat.charrnn import Checkpoint
from pycharrnn.analysis import surprise
from pycharrnn.common.screen_text import ScreenText, completed
from pycharrnn.page.facts import ModelFacts
from pycharrnn.sampling.inference import on_cpu
from pycharrnn.sampling.kernel_predictor import KernelPredictor
from pycharrnn.sampling.known_items import RecordedItems, recorded_items
from pycharrnn.sampling.model_text import ModelText
from pycharrnn.sampling.predictor import LocalPredictor
from pycharrnn.server.sample_batch import SampleBatch
from pycharrnn.server.sample_lines import LineVocabulary
from pycharrnn.text import items

if TYPE_CHECKING:
    from pycharrnn.server.learning_models import LearningModel

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
    return ServedModel(facts.id, vocab, predictor, facts, LineVocabulary(vocab), batch, end_id, recorded, text)


def score(model: ServedModel, text: bytes, learning: LearningModel | None = None) -> Iterator[str]:
    """Score a text; of a model of items each item by itself, with its end.

    `learning`: a copy of the model, whose surprise while it learns from the text is that of the characters.

    Yields a schemas.ScoreAnswer as pieces of ASCII JSON: as objects it would take ten megabytes.
    """
    if model.items:  # an end is read first: before it, the hidden state becomes zeros
        text = b"".join([model.items.end, *(item + model.items.end for item in items.of_text(text, model.facts.items))])
    steps = model.block
    screen, pending = ScreenText(), list[float | None]()
    known, unknown, total, plain = 0, 0, 0.0, 0.0
    yield '{"characters":['
    before = ""
    predictor, code_points = model.predictor.fresh(steps), model.facts.code_points
    scored = surprise.surprises(predictor, steps, model.vocab, text, code_points)
    both = ((character, bits, bits) for character, bits in scored)
    if learning:
        ids = surprise.encode(text, model.vocab, code_points).token_ids
        learnt = learning.bits(ids[ids >= 0])
        both = ((character, bits, None if bits is None else next(learnt)) for character, bits, _ in both)
    for character, without, bits in itertools.islice(both, 1 if model.items else 0, None):
        pending.append(bits)
        if bits is None or without is None:
            unknown += 1
        else:
            known, total, plain = known + 1, total + bits, plain + without
        for shown, shown_bits in completed(screen.push(character), pending):
            yield before + _scored_character(shown, shown_bits)
            before = ","
    for shown, shown_bits in completed(screen.end(), pending):
        yield before + _scored_character(shown, shown_bits)
        before = ","
    mean, plain_mean = (json.dumps(_finite(bits / known) if known else None) for bits in (total, plain))
    more = f',"plain":{plain_mean}' if learning else ""
    yield f'],"bits_per_character":{mean}{more},"known":{known},"unknown":{unknown}}}'


def _scored_character(text: str, bits: list[float | None]) -> str:
    """A schemas.ScoredCharacter as JSON. `bits`: of each of the model's characters in it; None for unknown ones."""
    known = [b for b in bits if b is not None]
    total = _finite(sum(known)) if len(known) == len(bits) else None
    return json.dumps({"text": text, "bits": total}, separators=(",", ":"))


def _finite(x: float) -> float | None:
    """x; None for NaN and infinity, which JSON lacks."""
    return x if math.isfinite(x) else None
