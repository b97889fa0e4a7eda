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
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator

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
        end, read = model.items.end, list(items.of_text(text, model.facts.items, model.labels))
        request_labels.require(model, read, "text", GIVE_LABELS)
        text = items.between_ends(read, end)
    found = itertools.islice(_scored(model, text, end, learning), 1 if model.items else 0, None)
    totals = _Totals()
    yield f'{{{first}"characters":['
    yield from _with_commas(_scored_characters(totals.adding(found)))
    whole = totals.score()
    yield f"],{totals.as_fields(whole.counted_code_points, with_plain=learning is not None)}"
    if lines:
        yield ',"lines":['
        yield from _with_commas(map(_scored_line, line_scores.split(whole, end, bool(model.labels))))
        yield "]"
    yield "}"


class _Totals:
    """Adds up the characters of a text."""

    def __init__(self) -> None:
        self._characters, self._bits = list[bytes](), list[float]()
        self._has_bits, self._counted = list[bool](), list[bool]()
        self._unknown, self._sum, self._plain_sum = 0, 0.0, 0.0

    def adding(self, found: Iterable[_Scored]) -> Iterator[_Scored]:
        """The same characters, each added when it is asked for."""
        for scored in found:
            self._characters.append(scored.character)
            self._bits.append(scored.bits or 0.0)
            self._has_bits.append(scored.bits is not None)
            self._counted.append(scored.bits is not None and not scored.is_given)
            if scored.bits is None or scored.plain is None:
                self._unknown += 1
            elif not scored.is_given:
                self._sum, self._plain_sum = self._sum + scored.bits, self._plain_sum + scored.plain
            yield scored

    def score(self) -> Score:
        """Of all characters that were added."""
        has_bits, counted = np.array(self._has_bits, bool), np.array(self._counted, bool)
        return Score(self._characters, np.array(self._bits), has_bits, counted)

    def as_fields(self, code_points: int, with_plain: bool) -> str:
        """The totals of a schemas.ScoreAnswer as JSON. `with_plain`: with that of the trained model."""
        known = sum(self._counted)
        sums = {"bits_per_character": self._sum, **({"plain": self._plain_sum} if with_plain else {})}
        means = {name: _finite(bits / code_points) if known else None for name, bits in sums.items()}
        found = {**means, "known": known, "code_points": code_points, "unknown": self._unknown}
        return json.dumps(found, separators=(",", ":"))[1:-1]


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


def _with_commas(objects: Iterable[str]) -> Iterator[str]:
    """What stands between the brackets of a JSON list, a piece for each object."""
    comma = ""
    for one in objects:
        yield comma + one
        comma = ","


def _scored_characters(found: Iterable[_Scored]) -> Iterator[str]:
    """The characters on the screen, each of one or several of the model's."""
    screen, pending = ScreenText(), list[float | None]()
    for scored in found:
        pending.append(scored.bits)
        for shown, bits in completed(screen.push(scored.character), pending):
            yield _scored_character(shown, bits)
    for shown, bits in completed(screen.end(), pending):
        yield _scored_character(shown, bits)


def _scored_character(text: str, bits: list[float | None]) -> str:
    """A schemas.ScoredCharacter as JSON. `bits`: of each of the model's characters in it; None for unknown ones."""
    known = [b for b in bits if b is not None]
    total = _finite(sum(known)) if len(known) == len(bits) else None
    return json.dumps({"text": text, "bits": total}, separators=(",", ":"))


def _finite(x: float) -> float | None:
    """x; None for NaN and infinity, which JSON lacks."""
    return x if math.isfinite(x) else None
