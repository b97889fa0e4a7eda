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
from pycharrnn.sampling import sampler, tokenizer
from pycharrnn.sampling.inference import LocalPredictor, on_cpu
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.sampling.sampler import Drawn

# A text to score is read in pieces of this many characters at most; of a large model, of so few that a piece takes
# about this many multiplications at most: so a turn stays short.
_MAX_STEPS = 32
_MAX_MULTIPLICATIONS = 1 << 28

_Drawn = tuple[Drawn, float | None]  # a character of the model, and the activation after it


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model under the name by which requests choose it.

    Attributes:
        vocab: character (one byte, or several) -> number from 1.
        predictor: it never reads anything itself; each request makes a `fresh` one of it.
        facts: what the page tells about the model.
    """

    id: str
    vocab: dict[bytes, int]
    predictor: LocalPredictor
    facts: ModelFacts

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
    return ServedModel(facts.id, loaded.vocab, on_cpu(copied), facts)


# -- samples -----------------------------------------------------------------------------------------------------------


def sample(
    model: ServedModel,
    opt: SampleOptions,
    primetext: bytes,
    unit: tuple[int, int] | None,
    candidates: int,
    skip: int = 0,
) -> Iterator[dict[str, object] | None]:
    """A sample as the lines of schemas.SampleLine: one for each character, then {"done": true}.

    A character that a screen can show may be several characters of the model, which are bytes for most models.

    Args:
        unit: (layer, unit), from 1, whose activation to add, or None.
        candidates: how many of the likeliest characters to name with each.
        skip: the lines of so many characters are left out; there is None for each, so that a turn can end there.

    Errors: UserError, as sampler.draw.
    """
    predictor = model.predictor.fresh()
    names = [tokenizer.screen_name(character) for character in tokenizer.characters_by_index(model.vocab)]
    drawn = sampler.draw(predictor, model.vocab, opt, primetext, ahead=unit is None)
    screen, waiting = ScreenText(), list[_Drawn]()
    for one in _with_activations(drawn, predictor, unit):
        waiting.append(one)
        for text, pieces in completed(screen.push(one[0].character), waiting):
            skip -= 1
            yield _sample_line(text, pieces, names, candidates) if skip < 0 else None
    for text, pieces in completed(screen.end(), waiting):
        skip -= 1
        yield _sample_line(text, pieces, names, candidates) if skip < 0 else None
    yield {"done": True}


def _with_activations(
    characters: Iterator[Drawn], predictor: LocalPredictor, unit: tuple[int, int] | None
) -> Iterator[_Drawn]:
    """Each drawn character with the activation after the model has read it, which is one character later."""
    if unit is None:
        for drawn in characters:
            yield drawn, None
        return
    where = unit[0] - 1, 0, 0, unit[1] - 1  # in an array (layer, step, stream, unit)
    before = None
    for drawn in characters:
        if before is not None:
            yield before, float(predictor.activations()[where])
        before = drawn
    if before is not None:
        predictor.step(before.vocab_index)  # nothing is drawn after the last one, so it has not been read
        yield before, float(predictor.activations()[where])


def _sample_line(text: str, pieces: list[_Drawn], names: list[str], candidates: int) -> dict[str, object]:
    """A schemas.SampledCharacter; where it took several bytes, with the candidates of the first one."""
    first = pieces[0][0]
    probability = math.prod(drawn.probability for drawn, _ in pieces)
    line: dict[str, object] = {"text": text, "given": first.given, "probability": _four_digits(probability)}
    if candidates:
        line["candidates"] = [[names[k], _four_digits(p)] for k, p in first.likeliest(candidates)]
    activation = pieces[-1][1]
    if activation is not None:
        line["activation"] = _four_digits(activation)
    return line


# -- scores ------------------------------------------------------------------------------------------------------------


def score(model: ServedModel, text: bytes) -> Iterator[str]:
    """A schemas.ScoreAnswer as pieces of JSON, which are ASCII: as objects, a long text would take ten megabytes."""
    multiplications = 8 * model.facts.num_layers * model.facts.rnn_size**2  # for one character, roughly
    steps = max(1, min(_MAX_STEPS, _MAX_MULTIPLICATIONS // multiplications))
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


def _four_digits(x: float) -> float:
    """`x` to four digits. 0 for NaN, which JSON lacks: a sample of such a model ends with an error at the next draw."""
    return float(f"{x:.4g}") if math.isfinite(x) else 0.0
