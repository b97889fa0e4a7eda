"""Formats the characters of a sample as lines of JSON, many at a time."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import numpy.typing as npt

from compat.vocabulary import characters_by_id
from pycharrnn.common.display import character_name
from pycharrnn.common.screen_text import ScreenText
from pycharrnn.sampling.batched_sampling import Characters

DONE, DONE_EARLY = '{"done":true}\n', '{"done":true,"early":true}\n'

_GIVEN = ('"given":false,"probability":', '"given":true,"probability":')
_MIN_NORMAL = 1e-300  # smaller doubles lose digits
_MAX_WITH_POINT = 0.99995  # larger numbers are rounded to 1, which %.4g formats without a point


class LineVocabulary:
    """The pieces of a line for each character of a vocabulary, by token id."""

    def __init__(self, vocab: dict[bytes, int]) -> None:
        self.characters = characters_by_id(vocab)
        # The start of its line; "" for a character that is not one character on the screen, such as half of one.
        self.starts = [_line_start(character) for character in self.characters]
        # The text before its probability as the first candidate, and as another one.
        names = [json.dumps(character_name(character)) for character in self.characters]
        self.first_names = [f',"candidates":[[{name},' for name in names]
        self.next_names = [f"],[{name}," for name in names]


class LineWriter:
    """Writes a schemas.SampledCharacter for each character on the screen. `candidates`, `skip`: see RequestedSample.

    A character on the screen may be several of the model's, such as bytes. Its candidates are those of the first, its
    probability is the product of all, its activation is that after the last.
    """

    def __init__(self, vocabulary: LineVocabulary, candidates: int, skip: int) -> None:
        self._vocabulary = vocabulary
        self._candidates, self._skip = candidates, skip
        self._screen = ScreenText()
        self._held: Characters | None = None  # of an incomplete character on the screen

    def candidates_for(self, count: int) -> int:
        """The number of candidates that `lines` needs for the next `count` characters: 0 if all are skipped."""
        return self._candidates if self._skip <= count else 0

    def lines(self, characters: Characters) -> str:
        """The lines that the next characters complete. They have as many candidates as `candidates_for` returned."""
        vocabulary = self._vocabulary
        if self._held is None:
            starts = [vocabulary.starts[token_id] for token_id in characters.token_ids.tolist()]
            if all(starts):  # each is a character on the screen
                return self._format(starts, characters, characters.token_probs, characters.activations)
        else:
            characters = _joined(self._held, characters)
        starts, first, last, probs = list[str](), list[int](), list[int](), list[float]()
        at, token_probs = 0, characters.token_probs.tolist()
        for token_id in characters.token_ids.tolist()[self._num_pushed() :]:
            for text, count in self._screen.push(vocabulary.characters[token_id]):
                starts.append(_start(text))
                first.append(at)
                at += count
                last.append(at - 1)
                probs.append(math.prod(token_probs[first[-1] : at]))
        held = list(range(at, len(token_probs)))  # a list copies; a slice would keep the whole arrays in memory
        self._held = _rows(characters, held) if held else None
        activations = characters.activations
        if len(activations):
            activations = activations[last]
        return self._format(starts, _rows(characters, first), np.array(probs), activations)

    def end(self, early: bool = False) -> str:
        """The last line, after one with U+FFFD for an incomplete character. `early`: max_copy left no character."""
        held, complete = self._held, self._screen.end()
        done = DONE_EARLY if early else DONE
        if held is None:
            return done
        ((text, _),) = complete
        probs = np.array([math.prod(held.token_probs.tolist())])
        return self._format([_start(text)], _rows(held, [0]), probs, held.activations[-1:]) + done

    def _num_pushed(self) -> int:
        return 0 if self._held is None else len(self._held.token_ids)

    def _format(
        self,
        starts: list[str],
        first: Characters,
        probs: npt.NDArray[np.float64],
        activations: npt.NDArray[np.float64],
    ) -> str:
        """Lines of N characters on the screen. `first`: the model's first character of each."""
        skipped = min(self._skip, len(starts))
        self._skip -= skipped
        if skipped == len(starts):
            return ""
        columns: list[list[str] | itertools.repeat[str]] = [
            starts[skipped:],
            [_GIVEN[given] for given in first.given.tolist()[skipped:]],
            four_digits(probs[skipped:]),
        ]
        names = self._vocabulary.first_names
        for k in range(first.top_candidates.shape[1]):
            columns.append([names[token_id] for token_id in first.top_candidates[skipped:, k].tolist()])
            columns.append(four_digits(first.top_probs[skipped:, k]))
            names = self._vocabulary.next_names
        if first.top_candidates.shape[1]:
            columns.append(itertools.repeat("]]"))
        if len(activations):
            columns.append(itertools.repeat(',"activation":'))
            columns.append(four_digits(activations[skipped:]))
        columns.append(itertools.repeat("}\n"))
        return "".join(itertools.chain.from_iterable(zip(*columns, strict=False)))


def four_digits(values: npt.NDArray[np.float64]) -> list[str]:
    """Format numbers from -1 to 1 as JSON, to four significant digits.

    NaN, which JSON lacks, becomes 0: a sample of such a model ends with an error at the next step.

    Example:
        >>> four_digits(np.array([0.123456, 1, -0.5, np.nan]))
        ['0.1235', '1.0', '-0.5', '0.0']
    """
    numbers = values.tolist()
    found = ("%.4g " * len(numbers) % tuple(numbers)).split()
    magnitudes = np.abs(values)
    for k in np.flatnonzero(~((magnitudes > _MIN_NORMAL) & (magnitudes < _MAX_WITH_POINT))).tolist():
        found[k] = repr(float(f"{numbers[k]:.4g}")) if math.isfinite(numbers[k]) else "0.0"
    return found


def _start(text: str) -> str:
    return f'{{"text":{json.dumps(text)},'


def _line_start(character: bytes) -> str:
    screen = ScreenText()
    complete = screen.push(character)
    return _start(complete[0][0]) if [count for _, count in complete] == [1] and not screen.end() else ""


def _rows(characters: Characters, rows: list[int]) -> Characters:
    return Characters._make(values[rows] if len(values) else values for values in characters)


def _joined(before: Characters, after: Characters) -> Characters:
    """Concatenate. If the numbers of candidates differ, no line needs those of `before`."""
    K = after.top_candidates.shape[1]
    if before.top_candidates.shape[1] != K:
        shape = len(before.token_ids), K
        before = before._replace(top_candidates=np.zeros(shape, np.int64), top_probs=np.zeros(shape))
    return Characters._make(np.concatenate(pair) for pair in zip(before, after, strict=True))
