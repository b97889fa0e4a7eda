"""The characters of a sample as lines of JSON, many at a time."""

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

DONE = '{"done":true}\n'

_GIVEN = ('"given":false,"probability":', '"given":true,"probability":')
_TINY = 1e-300  # below, doubles lose digits
_ALMOST_ONE = 0.99995  # what is less has a point, or an exponent, among its four digits


class ShownVocabulary:
    """What stands in a line for each character of a vocabulary.

    Attributes:
        characters: as bytes, by their numbers from 0.
        texts: the beginning of a line; "" for what is not one character of a screen, as some bytes of UTF-8 are.
        first_names, next_names: what comes before the probability of the first candidate, and of those after it.
    """

    def __init__(self, vocab: dict[bytes, int]) -> None:
        self.characters = characters_by_id(vocab)
        self.texts = [_text_of(character) for character in self.characters]
        names = [json.dumps(character_name(character)) for character in self.characters]
        self.first_names = [f',"candidates":[[{name},' for name in names]
        self.next_names = [f"],[{name}," for name in names]


class LineWriter:
    """Writes a schemas.SampledCharacter for each character that a screen can show, which may take several of the model.

    Its candidates are those of the first, its probability is the product of all, its activation that after the last.

    Args:
        candidates: how many of the likeliest characters to name with each.
        skip: the lines of so many characters are left out.
    """

    def __init__(self, vocabulary: ShownVocabulary, candidates: int, skip: int) -> None:
        self._vocabulary = vocabulary
        self._candidates, self._skip = candidates, skip
        self._screen = ScreenText()
        self._held: Characters | None = None  # those of a character of the screen that is not complete

    def candidates_for(self, count: int) -> int:
        """How many candidates are wanted with the next `count` characters: none where their lines are left out."""
        return self._candidates if self._skip <= count else 0

    def lines(self, characters: Characters) -> str:
        """The lines that these characters complete. They have as many candidates as `candidates_for` has said."""
        shown = self._vocabulary
        if self._held is None:
            texts = [shown.texts[index] for index in characters.token_ids.tolist()]
            if all(texts):  # each is a character of the screen
                return self._format(texts, characters, characters.token_probs, characters.activations)
        else:
            characters = _joined(self._held, characters)
        texts, first, last, token_probs = list[str](), list[int](), list[int](), list[float]()
        begin, products = 0, characters.token_probs.tolist()
        for index in characters.token_ids.tolist()[self._pushed() :]:
            for text, count in self._screen.push(shown.characters[index]):
                texts.append(_beginning(text))
                first.append(begin)
                begin += count
                last.append(begin - 1)
                token_probs.append(math.prod(products[first[-1] : begin]))
        held = list(range(begin, len(products)))  # no slice, which would keep all of them in memory
        self._held = _rows(characters, held) if held else None
        activations = characters.activations
        if len(activations):
            activations = activations[last]
        return self._format(texts, _rows(characters, first), np.array(token_probs), activations)

    def end(self) -> str:
        """The lines at the end of the text: U+FFFD for what has not become a character."""
        held, text = self._held, self._screen.end()
        if held is None:
            return DONE
        ((shown, _),) = text
        token_probs = np.array([math.prod(held.token_probs.tolist())])
        return self._format([_beginning(shown)], _rows(held, [0]), token_probs, held.activations[-1:]) + DONE

    def _pushed(self) -> int:
        """How many of the characters that are held the screen has been told of."""
        return 0 if self._held is None else len(self._held.token_ids)

    def _format(
        self,
        texts: list[str],
        first: Characters,
        token_probs: npt.NDArray[np.float64],
        activations: npt.NDArray[np.float64],
    ) -> str:
        """The lines of characters of the screen: their texts, the first character of the model in each, and so on."""
        left_out = min(self._skip, len(texts))
        self._skip -= left_out
        if left_out == len(texts):
            return ""
        columns: list[list[str] | itertools.repeat[str]] = [
            texts[left_out:],
            [_GIVEN[given] for given in first.given.tolist()[left_out:]],
            four_digits(token_probs[left_out:]),
        ]
        names = self._vocabulary.first_names
        for k in range(first.top_candidates.shape[1]):
            columns.append([names[index] for index in first.top_candidates[left_out:, k].tolist()])
            columns.append(four_digits(first.top_probs[left_out:, k]))
            names = self._vocabulary.next_names
        if first.top_candidates.shape[1]:
            columns.append(itertools.repeat("]]"))
        if len(activations):
            columns.append(itertools.repeat(',"activation":'))
            columns.append(four_digits(activations[left_out:]))
        columns.append(itertools.repeat("}\n"))
        return "".join(itertools.chain.from_iterable(zip(*columns, strict=False)))


def four_digits(values: npt.NDArray[np.float64]) -> list[str]:
    """Numbers from -1 to 1 to four digits, as JSON has them.

    0 for NaN, which it lacks: a sample of such a model ends with an error at the next draw.

    Example:
        >>> four_digits(np.array([0.123456, 1, -0.5, np.nan]))
        ['0.1235', '1.0', '-0.5', '0.0']
    """
    numbers = values.tolist()
    found = ("%.4g " * len(numbers) % tuple(numbers)).split()
    magnitudes = np.abs(values)
    for k in np.flatnonzero(~((magnitudes > _TINY) & (magnitudes < _ALMOST_ONE))).tolist():
        found[k] = repr(float(f"{numbers[k]:.4g}")) if math.isfinite(numbers[k]) else "0.0"
    return found


def _beginning(text: str) -> str:
    """Of the line for a text."""
    return f'{{"text":{json.dumps(text)},'


def _text_of(character: bytes) -> str:
    """The beginning of the line for a character of a vocabulary; "" where it is not one character of a screen."""
    screen = ScreenText()
    shown = screen.push(character)
    return _beginning(shown[0][0]) if [count for _, count in shown] == [1] and not screen.end() else ""


def _rows(characters: Characters, rows: list[int]) -> Characters:
    """Some of them."""
    return Characters._make(values[rows] if len(values) else values for values in characters)


def _joined(before: Characters, after: Characters) -> Characters:
    """Some, then others. Where the number of candidates differs, no line has those of `before`."""
    K = after.top_candidates.shape[1]
    if before.top_candidates.shape[1] != K:
        shape = len(before.token_ids), K
        before = before._replace(top_candidates=np.zeros(shape, np.int64), top_probs=np.zeros(shape))
    return Characters._make(np.concatenate(pair) for pair in zip(before, after, strict=True))
