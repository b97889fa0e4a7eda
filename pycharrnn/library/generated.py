"""Generated text: strings that also hold the probability of each character."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pycharrnn.common.display import character_name
from pycharrnn.common.screen_text import ScreenText, completed
from pycharrnn.library import arguments, notebook

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pycharrnn.sampling.sampler import SampledCharacter


class _SampledPiece:
    probability: float = 1.0
    given: bool = False
    _first: SampledCharacter | None = None
    _names: list[str] | None = None

    def _set(self, sampled: list[SampledCharacter], names: list[str]) -> None:
        self.probability, self.given = math.prod(one.probability for one in sampled), sampled[0].given
        self._first, self._names = sampled[0], names

    def candidates(self, count: int = 5) -> list[tuple[str, float]]:
        """The most probable characters at this position: (character, probability).

        A byte that is not a character is named like 0xE2. For a piece of several bytes, these are for the first.
        Errors: TypeError; ValueError for a negative count.
        """
        count = arguments.count(count)
        if count < 0:
            raise ValueError(f"count must be at least 0, not {count}")
        if self._first is None or self._names is None:
            return []
        return [(self._names[k], probability) for k, probability in self._first.top_candidates(count)]


class Piece(_SampledPiece, str):
    """A UTF-8 character that a model has sampled or been given; U+FFFD if it is invalid.

    Attributes:
        probability: with which it was drawn, at the temperature, topk and topp; of a character of the prompt, the
            model's own.
        given: whether it belongs to the prompt.
    """


class BytesPiece(_SampledPiece, bytes):
    """A character of the model's vocabulary as bytes; attributes and method as those of Piece."""


class GeneratedText(str):
    """A generated text. Notebooks color each character by its surprise.

    Attributes:
        pieces: its characters. Joined, they are the text.
        probabilities: of each piece, as in Piece.
        given: number of pieces, the first ones, that belong to the prompt.
        seed: the seed that generates the same text again.
        ended_early: whether it has fewer characters than `length`, since `max_copy` left none to go on with.
        encoded: the bytes. The str has U+FFFD where they are invalid UTF-8; a model that is given the text reads these.
    """

    pieces: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    given: int = 0
    seed: int = 0
    ended_early: bool = False
    encoded: bytes = b""

    def _repr_html_(self) -> str:
        return notebook.tinted(self.pieces, self.probabilities, self.given)


def text_of(characters: Iterable[tuple[bytes, float, bool]], seed: int) -> GeneratedText:
    """Join characters of a vocabulary, each with its probability and whether it was given."""
    screen, waiting = ScreenText(), list[tuple[float, bool]]()
    pieces: list[str] = []
    probabilities: list[float] = []
    given, encoded = 0, bytearray()

    def add(shown: list[tuple[str, int]]) -> None:
        nonlocal given
        for piece, of in completed(shown, waiting):
            pieces.append(piece)
            probabilities.append(math.prod(probability for probability, _ in of))
            given += of[0][1]

    for character, probability, is_given in characters:
        encoded += character
        waiting.append((probability, is_given))
        add(screen.push(character))
    add(screen.end())
    text = GeneratedText("".join(pieces))
    text.pieces, text.probabilities, text.given = tuple(pieces), tuple(probabilities), given
    text.seed, text.encoded = seed, bytes(encoded)
    return text


def pieces_of(characters: Iterable[SampledCharacter], vocab_characters: list[bytes]) -> Iterator[Piece]:
    """Whole UTF-8 characters, each as soon as it is complete. `vocab_characters`: by token id."""
    names = [character_name(character) for character in vocab_characters]
    screen = ScreenText()
    waiting: list[SampledCharacter] = []
    for sampled in characters:
        waiting.append(sampled)
        yield from (_piece(text, of, names) for text, of in completed(screen.push(sampled.character), waiting))
    yield from (_piece(text, of, names) for text, of in completed(screen.end(), waiting))


def _piece(text: str, sampled: list[SampledCharacter], names: list[str]) -> Piece:
    piece = Piece(text)
    piece._set(sampled, names)
    return piece


def bytes_pieces_of(characters: Iterable[SampledCharacter], vocab_characters: list[bytes]) -> Iterator[BytesPiece]:
    """As pieces_of, but characters of the vocabulary."""
    names = [character_name(character) for character in vocab_characters]
    for sampled in characters:
        piece = BytesPiece(sampled.character)
        piece._set([sampled], names)
        yield piece
