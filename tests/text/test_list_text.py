"""Which texts are lists, and which of those are sorted."""

from __future__ import annotations

import pydoc_data.topics
import random
from pathlib import Path

import pytest
from conftest import ROOT

from pycharrnn.text.list_text import BLOCKS, EXAMINED, LIST, SORTED_LIST, header, kind_of_list

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
        NAMES[:40],
        NAMES[::-1],
        sorted(NAMES),
        [name.upper() if k % 2 else name for k, name in enumerate(NAMES)],
        [f"({name})" if k % 2 else name for k, name in enumerate(NAMES)],
        [*NAMES[:90], "", "# more names", *NAMES],
        [f"{name}\t{len(name)}" for name in NAMES],
        [f"2024-{month:02}-{day:02},{day * month % 7}" for month in range(1, 13) for day in range(1, 29)],
    ],
)
def test_sorted_lists(lines):
    assert kind_of_list(text(lines)) == SORTED_LIST


UNSORTED = random.Random(1).sample(NAMES, len(NAMES))
SMILES = ("CC(=O)Nc1ccc(O)cc1", "CN1CCC[C@H]1c1cccnc1", "CC(C)Cc1ccc(C(C)C(=O)O)cc1", "O=C(O)c1ccccc1OC(C)=O")
TITLES = ("The Tempest", "A Winter's Tale", "Much Ado About Nothing", "All's Well That Ends Well", "Cymbeline (1611)")


@pytest.mark.parametrize(
    "lines",
    [
        UNSORTED,
        [name + 80 * "x" * (k == len(NAMES) // 2 or k % 20 == 0) for k, name in enumerate(UNSORTED)],
        [line for k in range(40) for line in random.Random(k).sample([f"{one}{k}" for one in SMILES], 4)],
        [f"{title} {k * 37 % 101}" for k in range(20) for title in TITLES],
        [f"{k % 13},{k * 37 % 101},{k * k % 29}" for k in range(500)],
        [f"{name}\tBoy" for name in random.Random(2).sample(NAMES, len(NAMES))] + ["", "Dr."],
    ],
)
def test_lists(lines):
    assert kind_of_list(text(lines)) == LIST


def test_a_line_of_accents_takes_no_longer_than_other_lines():
    """Unicode's normalization sorts them: a megabyte took minutes."""
    accents = "\u0301" * (EXAMINED // 5) + "\u0327" * (EXAMINED // 5)
    assert kind_of_list(text([*UNSORTED, accents])) == LIST


SEASONS, PLACES = ("spring", "summer", "autumn", "winter"), ("pond", "gate", "hill", "well", "road", "roof", "field")
HAIKU = [
    f"the last {season} moon\nover the old {place}: a frog,\n{place[::-1]} and rain"
    for season in SEASONS
    for place in PLACES
]
PAIRS = [f"Q: where is the {place} in {season}?\nA: by the {place[::-1]}" for season in SEASONS for place in PLACES]


@pytest.mark.parametrize("items", [HAIKU, PAIRS])
def test_items_between_blank_lines(items):
    """But no stanzas that run on, nor speeches of any length, nor functions."""
    items = [f"{item}{k}" for k in range(2) for item in items]
    assert kind_of_list("\n\n".join(items).encode()) == BLOCKS
    assert kind_of_list("\n \n\n".join([*items, "A note\nof the editor's"]).encode()) == BLOCKS
    assert kind_of_list("\n\n".join(items[:40]).encode()) == BLOCKS
    assert kind_of_list("\n\n".join(items[:39]).encode()) == ""
    assert kind_of_list("\n\n".join(item + "," * (k % 5 == 0) for k, item in enumerate(items)).encode()) == ""
    assert kind_of_list("\n\n".join(item + "\nmore" * (k % 5 == 0) for k, item in enumerate(items)).encode()) == ""
    assert kind_of_list("\n\n".join(item + " {" * (k % 5 == 0) for k, item in enumerate(items)).encode()) == ""
    assert kind_of_list("\n\n".join(item.replace("\n", " ") for item in items).encode()) == ""
    assert (
        kind_of_list("\n\n".join(item.replace("\n", " ")[:38] + f"{k:02}" for k, item in enumerate(items)).encode())
        == ""
    )
    assert (
        kind_of_list("\n\n".join(item.replace("\n", 40 * "-" + "\n") + 40 * "-" + "." for item in items).encode()) == ""
    )


DIALOGUE = """KING:
Who calls me at this hour of the night
BEGGAR:
A man whom you have known in better days.
KING:
Then let him come, and bring him bread and wine!
BEGGAR:
I need no bread. I came to bring you news;
"""
VERSE = """the gull
goes over

the white
of a field

and no one
calls it

"""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        text(NAMES[:39]),
        text([name + 80 * "x" * (k % 7 == 0) for k, name in enumerate(UNSORTED)]),
        text([name + ". " * (k % 7 == 0) for k, name in enumerate(UNSORTED)]),
        text(["\t" * (k % 7 == 0) + name for k, name in enumerate(UNSORTED)]),
        text([name + " {" * (k % 7 == 0) for k, name in enumerate(UNSORTED)]),
        text(["the same line"] * 500),
        text(["yes", "yes", "yes", "no"] * 200),
        text([name for name in NAMES[:50] for _ in range(9)]),
        text(sorted(f"{name} wrote a book that filled a shelf of the library of his town" for name in NAMES)),
        POEM.encode() * 30,
        DIALOGUE.encode() * 30,
        VERSE.encode() * 30,
        "\n".join(pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics)).encode(),
        Path(random.__file__).read_bytes(),
        *(path.read_bytes() for path in sorted((ROOT / "pycharrnn" / "page" / "files").glob("*.js"))),
        (ROOT / "pycharrnn" / "kernel_structs.h").read_bytes(),
        (ROOT / "README.md").read_bytes(),
        b"\xff\xfe" * 1000,
    ],
)
def test_other_texts(content):
    assert kind_of_list(content) == ""


@pytest.mark.parametrize(
    "rows, is_header",
    [
        (["Name;Count", "Ada;12", "Bob;7"], True),
        (["SMILES,SPLIT", "CCO,train", "CC,test"], True),
        (["name", "ada", "bob"], True),
        (["Name , Sex", "Ada", "Bob"], True),
        (["Place;Count", "Rome;12", "Pisa;7"], True),
        (["Creature\tType\tWhere", "Gluckau\tfire\tcave", "Karin\twater\tlake"], True),
        (['"name, first","born"', '"Ada, L.","1815"', '"Bob","-"', *['"Eva","1900"'] * 18], True),
        (["Ada,12", "Bob,7", "Eva,9"], False),
        (["A name, a rose", "Bob", "Eva", "A town, a river"], False),
        (["A name, type", "Bob", "Eva"], False),
        (["Ada", "Bob", "Eva"], False),
        (["Holmes, Sherlock", "Watson, John", "Moriarty, James"], False),
        (["Name,Count", "Ada,12"], False),
        (["Name, ", "Ada,12", "Bob,7"], False),
        (["Place;Count", "Rome;12", "Pisa"], False),
        (["Ada,Eva", "Bob,", "Uwe, "], False),
        (["Ada,Eva", "Bob,No. 5", "Uwe,No. 7"], False),
        (["Codes", "12", "7", "9"], False),
        (["", ""], False),
    ],
)
def test_headers_of_tables(rows, is_header):
    assert header(text(rows)) == (rows[0] if is_header else "")
    assert header(b"\xff," + b'"' * 400_000 + b"\nAda\nBob\n") == ""


@pytest.mark.parametrize(
    ("name", "is_list"), [("names", True), ("tinyshakespeare", False), ("ulysses", False), ("warpeace", False)]
)
def test_well_known_texts(name, is_list):
    path = ROOT.parent / "shared" / "corpora" / name / "input.txt"
    if not path.exists():
        pytest.skip("needs the text")
    assert bool(kind_of_list(path.read_bytes()[:EXAMINED])) is is_list
