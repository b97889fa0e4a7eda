"""A model of `pycharrnn serve`: sampled from, and asked to score texts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from compat.charrnn import Checkpoint
from pycharrnn.analysis import surprise
from pycharrnn.common.screen_text import ScreenText, completed
from pycharrnn.page.facts import ModelFacts
from pycharrnn.sampling.inference import on_cpu
from pycharrnn.sampling.kernel_predictor import KernelPredictor
from pycharrnn.sampling.predictor import LocalPredictor
from pycharrnn.server.sample_batch import SampleBatch
from pycharrnn.server.sample_lines import ShownVocabulary

# A text is read in pieces of this many characters at most; of a large model, of so few that a piece takes
# about this many multiplications at most: so a turn stays short.
_MAX_STEPS = 32
_MAX_MULTIPLICATIONS = 1 << 28


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model under the name by which requests choose it.

    Attributes:
        vocab: character (one byte, or several) -> number from 1.
        predictor: it never reads anything itself; each request makes a `fresh` one of it.
        facts: what the page tells about the model.
        vocabulary: how its characters are shown.
        batch: in which samples are drawn together; None where each goes alone, since there is no C kernel.
    """

    id: str
    vocab: dict[bytes, int]
    predictor: LocalPredictor
    facts: ModelFacts
    vocabulary: ShownVocabulary
    batch: SampleBatch | None

    @property
    def block(self) -> int:
        """How many characters of a text to read at once."""
        multiplications = 8 * self.facts.num_layers * self.facts.rnn_size**2  # for one character, roughly
        return max(1, min(_MAX_STEPS, _MAX_MULTIPLICATIONS // multiplications))

    @property
    def nbytes(self) -> int:
        """What its weights take in memory."""
        return self.predictor.nbytes


def served(loaded: Checkpoint, facts: ModelFacts) -> ServedModel:
    """A checkpoint as a model to draw from."""
    network = loaded.network
    # A checkpoint's arrays may lie in its file, which another program can change, and a predictor may keep the arrays
    # that it is given: so it is given copies.
    copied = replace(network, weights={part: np.array(weight, np.float64) for part, weight in network.weights.items()})
    return served_by(on_cpu(copied), loaded.vocab, facts)


def served_by(predictor: LocalPredictor, vocab: dict[bytes, int], facts: ModelFacts) -> ServedModel:
    """A model to draw from with a predictor of its own."""
    batch = None
    if isinstance(predictor, KernelPredictor):
        batch = SampleBatch(predictor.rows_per_step, predictor.multiplications)
    return ServedModel(facts.id, vocab, predictor, facts, ShownVocabulary(vocab), batch)


def score(model: ServedModel, text: bytes) -> Iterator[str]:
    """A schemas.ScoreAnswer as pieces of JSON, which are ASCII: as objects, a long text would take ten megabytes."""
    steps = model.block
    screen, waiting = ScreenText(), list[float | None]()
    known, unknown, total = 0, 0, 0.0
    before = '{"characters":['
    predictor, code_points = model.predictor.fresh(steps), model.facts.code_points
    for character, bits in surprise.surprises(predictor, steps, model.vocab, text, code_points):
        waiting.append(bits)
        if bits is None:
            unknown += 1
        else:
            known, total = known + 1, total + bits
        for shown, costs in completed(screen.push(character), waiting):
            yield before + _scored_character(shown, costs)
            before = ","
    for shown, costs in completed(screen.end(), waiting):
        yield before + _scored_character(shown, costs)
        before = ","
    mean = json.dumps(_finite(total / known) if known else None)
    yield f'],"bits_per_character":{mean},"known":{known},"unknown":{unknown}}}'


def _scored_character(text: str, costs: list[float | None]) -> str:
    """A schemas.ScoredCharacter as JSON, with the bits of all bytes that it took."""
    known = [bits for bits in costs if bits is not None]
    bits = _finite(sum(known)) if len(known) == len(costs) else None
    return json.dumps({"text": text, "bits": bits}, separators=(",", ":"))


def _finite(x: float) -> float | None:
    """None for NaN and infinity, which JSON lacks."""
    return x if math.isfinite(x) else None
