"""Which texts are sorted lists."""

from __future__ import annotations

import pydoc_data.topics
import random
from pathlib import Path

import pytest

from pycharrnn.text.sorted_list import is_sorted_list

LAST = ("Abel", "Ábrego", "Baker", "Brontë", "Carver", "Dürer", "Eliot", "Frost", "Gógol", "Heine", "Ibsen", "Joyce")
FIRST = ("Ada", "Émile", "Iris", "José", "Karl", "Léa", "Mia", "Noé", "Olga", "Paul", "Ruth", "Uwe", "Zoë")
NAMES = [f"{last}, {first}" for last in LAST for first in FIRST]
POEM = """Where the river bends at noon
and the willows touch the stone,
there I sang an idle tune
to the water, all alone.
Nobody had heard the song
but a heron in the reeds;
still it carried all day long
over meadow, marsh and weeds.
"""


def text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


@pytest.mark.parametrize(
    "lines",
    [
        NAMES,
        NAMES[::-1],
        sorted(NAMES),
        [name.upper() if k % 2 else name for k, name in enumerate(NAMES)],
        [*NAMES[:90], "", "# more names", *NAMES],
        [f"{name}\t{len(name)}" for name in NAMES],
        [f"2024-{month:02}-{day:02},{day * month % 7}" for month in range(1, 13) for day in range(1, 29)],
    ],
)
def test_sorted_lists(lines):
    assert is_sorted_list(text(lines))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        text(NAMES[:30]),
        text(random.Random(1).sample(NAMES, len(NAMES))),
        text(["the same line"] * 500),
        text(["yes", "yes", "yes", "no"] * 200),
        text(sorted(f"{name} wrote a book that filled a shelf of the library" for name in NAMES)),
        POEM.encode() * 30,
        "\n".join(pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics)).encode(),
        Path(random.__file__).read_bytes(),
        text([f"{k % 13},{k * 37 % 101},{k * k % 29}" for k in range(500)]),
        b"\xff\xfe" * 1000,
    ],
)
def test_other_texts(content):
    assert not is_sorted_list(content)
