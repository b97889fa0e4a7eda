"""Scores of texts by a served model, as JSON."""

from __future__ import annotations

import itertools
import json
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pycharrnn.analysis import line_scores, surprise
from pycharrnn.analysis.scoring import Score
from pycharrnn.analysis.text_scores import GIVE_LABELS
from pycharrnn.common.screen_text import ScreenText, completed
from pycharrnn.sampling import model_labels, tokenizer
from pycharrnn.server import request_labels
from pycharrnn.text import items

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from pycharrnn.analysis.line_scores import Line
    from pycharrnn.server.learning_models import LearningModel
    from pycharrnn.server.served_models import ServedModel


class _Scored(NamedTuple):
    """A character of a scored text.

    Attributes:
        is_given: whether it belongs to a label.
        plain, bits: its bits by the trained model, and by the model that learns; None if it is unknown.
    """

    character: bytes
    is_given: bool
    plain: float | None
    bits: float | None


def score(
    model: ServedModel, text: bytes, learning: LearningModel | None = None, lines: bool = False, first: str = ""
) -> Iterator[str]:
    """Score a text; of a model of items each item by itself, with its end. A label of the model has no bits.

    Args:
        learning: a copy of the model, whose surprise while it learns from the text is that of the characters.
        lines: whether to add the scores of the lines or items.
        first: a field, as JSON with a comma, to begin with.

    Yields a schemas.ScoreAnswer as pieces of ASCII JSON: as objects it would take ten megabytes.

    Errors: HTTPException for an item without its label.
    """
    end = b"\n"
    if model.items:  # an end is read first: before it, the hidden state becomes zeros
        end, found = model.items.end, list(items.of_text(text, model.facts.items, model.labels))
        request_labels.require(model, found, "text", GIVE_LABELS)
        text = items.between_ends(found, end)
    screen, pending = ScreenText(), list[float | None]()
    characters, all_bits, has_bits, counted = list[bytes](), list[float](), list[bool](), list[bool]()
    unknown, total, plain = 0, 0.0, 0.0
    yield f'{{{first}"characters":['
    before = ""
    for scored in itertools.islice(_scored(model, text, end, learning), 1 if model.items else 0, None):
        pending.append(scored.bits)
        characters.append(scored.character)
        all_bits.append(scored.bits or 0.0)
        has_bits.append(scored.bits is not None)
        counted.append(scored.bits is not None and not scored.is_given)
        if scored.bits is None or scored.plain is None:
            unknown += 1
        elif not scored.is_given:
            total, plain = total + scored.bits, plain + scored.plain
        for shown, shown_bits in completed(screen.push(scored.character), pending):
            yield before + _scored_character(shown, shown_bits)
            before = ","
    for shown, shown_bits in completed(screen.end(), pending):
        yield before + _scored_character(shown, shown_bits)
        before = ","
    whole = Score(characters, np.array(all_bits), np.array(has_bits, bool), np.array(counted, bool))
    known, code_points = sum(counted), whole.counted_code_points
    mean, plain_mean = (json.dumps(_finite(bits / code_points) if known else None) for bits in (total, plain))
    more = f',"plain":{plain_mean}' if learning else ""
    yield f'],"bits_per_character":{mean}{more},"known":{known},"code_points":{code_points},"unknown":{unknown}'
    if lines:
        yield ',"lines":['
        before = ""
        for line in line_scores.split(whole, end, bool(model.labels)):
            yield before + _scored_line(line)
            before = ","
        yield "]"
    yield "}"


async def with_progress(turns: AsyncIterator[list[str]], characters: int) -> AsyncGenerator[str, None]:
    """The pieces of a score of so many characters, as lines: schemas.ScoreLine. Errors: those of `turns`."""
    pieces = list[str]()
    async for some in turns:
        pieces += some
        yield json.dumps({"progress": round(min(len(pieces) / characters, 1), 4)}) + "\n"
    yield "".join(pieces) + "\n"


def _scored(model: ServedModel, text: bytes, end: bytes, learning: LearningModel | None) -> Iterator[_Scored]:
    """The characters of a text with their bits, as the model reads them."""
    steps, code_points = model.block, model.facts.code_points
    encoded = tokenizer.encode(text, model.vocab, code_points)
    given = np.zeros(len(encoded.characters), bool)
    if model.labels:
        given = model_labels.in_labels(encoded.characters, end, model.labels)
    known = encoded.known
    plain = surprise.surprises(model.predictor.fresh(steps=steps), steps, model.vocab, text, code_points)
    learnt = learning.bits(encoded.token_ids[known], given[known]) if learning else None
    for (character, bits), is_given in zip(plain, given.tolist(), strict=True):
        if bits is None:
            yield _Scored(character, is_given, None, None)
        else:
            found = next(learnt) if learnt else bits
            yield _Scored(character, is_given, *((0.0, 0.0) if is_given else (bits, found)))


def _scored_line(line: Line) -> str:
    """A schemas.ScoredLine as JSON."""
    text, label = (part.decode("utf-8", "replace") for part in (line.text, line.label))
    found = {"text": text, "label": label, "bits": _finite(line.bits), "characters": line.characters}
    return json.dumps(found, separators=(",", ":"))


def _scored_character(text: str, bits: list[float | None]) -> str:
    """A schemas.ScoredCharacter as JSON. `bits`: of each of the model's characters in it; None for unknown ones."""
    known = [b for b in bits if b is not None]
    total = _finite(sum(known)) if len(known) == len(bits) else None
    return json.dumps({"text": text, "bits": total}, separators=(",", ":"))


def _finite(x: float) -> float | None:
    """x; None for NaN and infinity, which JSON lacks."""
    return x if math.isfinite(x) else None
