"""Lines and columns of places in a text."""

from __future__ import annotations

import random

import pytest

from pycharrnn.text import places

PARTS = [
    b"a",
    b"\n",
    "\u00e9".encode(),
    "\u20ac".encode(),
    "\U0001f600".encode(),
    b"\xc3",
    b"\xe2\x82",
    b"\xf0",
    b"\x80",
]


def place_of(text: bytes, offset: int) -> tuple[int, int]:
    before = text[:offset]
    line = before.rpartition(b"\n")[2]
    return before.count(b"\n") + 1, len(line.decode("utf-8", "surrogateescape")) + 1


def test_a_character_after_a_byte_that_is_not_utf8():
    assert places.places([b"caf\xe9 noir"], [4]) == {4: (1, 5)}


@pytest.mark.parametrize("seed", range(20))
def test_places_of_characters_in_any_text_and_any_pieces(seed):
    chosen = random.Random(seed)
    text = b"".join(chosen.choices(PARTS, k=chosen.randint(1, 60)))
    offsets = places.boundaries(text)[:-1].tolist()
    cuts = sorted(chosen.choices(range(len(text)), k=3))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    found = places.places(pieces, chosen.sample(offsets, min(5, len(offsets))))
    assert found == {offset: place_of(text, offset) for offset in found}
    assert found


def test_an_offset_inside_a_character_does_not_move_those_after_it():
    text = "xé y z".encode()
    assert places.places([text], [2, 3, 5])[5] == places.places([text], [5])[5] == (1, 5)
