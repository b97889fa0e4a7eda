"""A vocabulary is a dict: character (one byte, or the bytes of a code point) -> number from 1, its token id plus 1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def characters_by_id(vocab: Mapping[bytes, int]) -> list[bytes]:
    """Characters in the order of their token ids: {b"b": 1, b"a": 2} -> [b"b", b"a"]."""
    return sorted(vocab, key=vocab.__getitem__)


def vocabulary_of(characters: Iterable[bytes]) -> dict[bytes, int]:
    """The inverse of characters_by_id."""
    return {character: number for number, character in enumerate(characters, 1)}


def ids_of(characters: Iterable[bytes], vocab: Mapping[bytes, int]) -> list[int]:
    """Token ids: [b"a"], {b"b": 1, b"a": 2} -> [1]. Errors: KeyError for a character that `vocab` lacks."""
    return [vocab[character] - 1 for character in characters]
