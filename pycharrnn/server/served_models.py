"""The models that `pycharrnn serve` offers, what it draws from them, and how they take a text."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from compat.charrnn import Checkpoint
from pycharrnn.analysis import scoring
from pycharrnn.checkpoints import checkpoint
from pycharrnn.checkpoints.paths import newest, short_names
from pycharrnn.common.errors import UserError
from pycharrnn.common.screen_text import ScreenText
from pycharrnn.sampling import sampler, tokenizer
from pycharrnn.sampling.inference import NumpyPredictor
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.sampling.sampler import Drawn

_STEPS = 32  # characters of a text to score that are read at once, at most
_PRODUCTS = 1 << 28  # and of a large model, as many as take about so many multiplications, so that a turn stays short


@dataclass(frozen=True)
class ServedModel:
    """A model under the name by which requests choose it.

    Attributes:
        predictor: never stepped itself; every request works on a `fresh` one.
        facts: what the page tells about it.
    """

    id: str
    vocab: dict[bytes, int]
    predictor: NumpyPredictor
    facts: dict[str, object]


def load_all(paths: list[str], say: Callable[[str], None]) -> dict[str, ServedModel]:
    """id -> model. All is read here, so that no request ever touches the disk.

    A file beside others that can't be read as a checkpoint is left out, and `say` says why.

    Errors: UserError for one that does not exist, or where none is left.
    """
    files = [newest(path) for path in paths]
    models: dict[str, ServedModel] = {}
    refused: list[UserError] = []
    for file, name in zip(files, short_names(files), strict=True):
        if name in models:
            raise UserError(f"{file} is named twice: once is enough.")
        try:
            models[name] = _served(name, checkpoint.load(file))
        except UserError as e:
            if not os.path.exists(file):
                raise
            refused.append(e)
        else:
            say(f"offering {name}")
    if not models:
        raise refused[0]
    for error in refused:
        say(f"left out: {error}")
    return models


def _served(name: str, loaded: Checkpoint) -> ServedModel:
    n = loaded.network
    losses = [loss for loss in loaded.val_losses.values() if np.isfinite(loss)]
    facts = {
        "id": name,
        "model": n.model,
        "num_layers": n.num_layers,
        "rnn_size": n.rnn_size,
        "vocab_size": n.vocab_size,
        "epoch": float(loaded.epoch) if np.isfinite(loaded.epoch) else 0.0,
        "best_val_loss": min(losses, default=None),
        "program": loaded.program,
    }
    # In memory of its own, whatever becomes of the file: a predictor may keep the arrays that it is given.
    own = replace(n, weights={part: np.array(weight, np.float64) for part, weight in n.weights.items()})
    return ServedModel(name, loaded.vocab, NumpyPredictor(own), facts)


def events(
    model: ServedModel,
    opt: SampleOptions,
    primetext: bytes,
    unit: tuple[int, int] | None,
    candidates: int,
) -> Iterator[dict[str, object]]:
    """A sample, an object for each character that a screen can show, then {"done": true}.

    Args:
        unit: (layer, unit) from 1 whose activation to add, or None.
        candidates: how many of the likeliest characters to name with each.

    Errors: UserError, as sampling.draw.
    """
    predictor = model.predictor.fresh()
    names = [_name(character) for character in tokenizer.characters_by_index(model.vocab)]
    drawn = sampler.draw(predictor, model.vocab, opt, primetext)
    screen, waiting = ScreenText(), []
    shown: list[tuple[str, int]]
    for one, activation in _watched(drawn, predictor, unit):
        waiting.append((one, activation))
        shown = screen.push(one.character)
        yield from _events(shown, waiting, names, candidates)
    yield from _events(screen.end(), waiting, names, candidates)
    yield {"done": True}


def _watched(drawn: Iterator[Drawn], predictor: NumpyPredictor, unit: tuple[int, int] | None):
    """Each drawn character with the activation after the model has read it, which is one character later."""
    if unit is None:
        for one in drawn:
            yield one, None
        return
    where = unit[0] - 1, 0, 0, unit[1] - 1
    before = None
    for one in drawn:
        if before is not None:
            yield before, float(predictor.activations()[where])
        before = one
    if before is not None:
        predictor.step(before.vocab_index)  # nothing is drawn after the last one, so it has not been read
        yield before, float(predictor.activations()[where])


def _events(shown: list[tuple[str, int]], waiting: list, names: list[str], candidates: int):
    """Events of the characters that are complete; of one that took several bytes, the candidates of its first."""
    for text, taken in shown:
        pieces, waiting[:] = waiting[:taken], waiting[taken:]
        first = pieces[0][0]
        probability = math.prod(one.probability for one, _ in pieces)
        event: dict[str, object] = {"text": text, "given": first.given, "probability": _short(probability)}
        if candidates:
            likeliest = np.argsort(-first.probabilities, kind="stable")[:candidates]
            shares = first.probabilities[likeliest].tolist()
            event["candidates"] = [[names[k], _short(p)] for k, p in zip(likeliest.tolist(), shares, strict=True)]
        if pieces[-1][1] is not None:
            event["activation"] = _short(pieces[-1][1])
        yield event


def score(model: ServedModel, text: bytes) -> Iterator[str]:
    """An api_types.ScoreAnswer as JSON, piece by piece: as objects, a long text would take ten megabytes."""
    steps = max(1, min(_STEPS, _PRODUCTS // (8 * model.facts["num_layers"] * model.facts["rnn_size"] ** 2)))
    screen, waiting = ScreenText(), []
    known, unknown, total = 0, 0, 0.0
    comma = '{"characters":['
    for character, bits in scoring.surprises(model.predictor.fresh(steps), steps, model.vocab, text):
        waiting.append(bits)
        if bits is None:
            unknown += 1
        else:
            known, total = known + 1, total + bits
        for one in _scored(screen.push(character), waiting):
            yield comma + one
            comma = ","
    for one in _scored(screen.end(), waiting):
        yield comma + one
        comma = ","
    mean = json.dumps(_number(total / known) if known else None)
    yield f'],"bits_per_character":{mean},"known":{known},"unknown":{unknown}}}'


def _scored(shown: list[tuple[str, int]], waiting: list[float | None]) -> Iterator[str]:
    """The characters that are complete, each an api_types.ScoredCharacter as JSON with the bits of all its bytes."""
    for text, taken in shown:
        pieces, waiting[:] = waiting[:taken], waiting[taken:]
        bits = None if None in pieces else _number(sum(pieces))
        yield json.dumps({"text": text, "bits": bits}, separators=(",", ":"))


def _number(x: float) -> float | None:
    """None for NaN and infinity, which JSON has not."""
    return x if math.isfinite(x) else None


def _short(x: float) -> float:
    """To four digits; 0 for NaN, which JSON has not: the sample ends with an error as soon as it is to draw from it."""
    return float(f"{x:.4g}") if math.isfinite(x) else 0.0


def _name(character: bytes) -> str:
    """A character of the vocabulary for the screen; a byte that is none by itself as 0xE2."""
    try:
        return character.decode()
    except UnicodeDecodeError:
        return "0x" + character.hex().upper()
