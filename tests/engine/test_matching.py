"""Matching statistics in C and in Python, beside a search for every passage."""

from __future__ import annotations

import random

import numpy as np
import pytest
from kernel_levels import needs_kernel

from pycharrnn.common.errors import UserError
from pycharrnn.engine import copies, kernel_library, matching
from pycharrnn.engine.copies import compare, first_positions
from pycharrnn.engine.matching import KernelAutomaton, PythonAutomaton

pytestmark = pytest.mark.usefixtures("kernel_is_on")


def searched(sample: bytes, texts: list[bytes]) -> tuple[list[int], list[int]]:
    """Lengths and positions of matching.Matches, by a search for each passage."""
    lengths, positions = [], []
    for end in range(1, len(sample) + 1):
        for start in range(end + 1):
            first, found = 0, -1
            for text in texts:
                found = text.find(sample[start:end])
                if found >= 0:
                    break
                first += len(text)
            if start == end or found >= 0:
                break
        lengths.append(end - start)
        positions.append(first + found if start < end else -1)
    return lengths, positions


def cut(text: bytes, draw: random.Random) -> list[bytes]:
    places = sorted(draw.randint(0, len(text)) for _ in range(draw.randint(0, 3)))
    return [text[first:last] for first, last in zip([0, *places], [*places, len(text)], strict=True)]


def parts(text: bytes, size: int) -> list[bytes]:
    return [text[first : first + size] for first in range(0, len(text), size)]


def matches(automaton, texts: list[list[bytes]]) -> tuple[list[int], list[int]]:
    for text in texts:
        automaton.restart()
        for piece in text:
            automaton.read(piece)
    lengths, positions = automaton.finish()
    return lengths.tolist(), positions.tolist()


def automata(sample: bytes) -> list:
    library = kernel_library.library()
    return [PythonAutomaton(sample), *([KernelAutomaton(sample, library)] if library else [])]


@pytest.mark.parametrize("alphabet", [b"a", b"ab", b"abc", b"abcdefghijk", bytes(range(256))])
def test_random_texts_cut_anywhere(alphabet):
    draw = random.Random(len(alphabet))
    for _ in range(150):
        sample = bytes(draw.choices(alphabet, k=draw.randint(1, 40)))
        texts = [bytes(draw.choices(alphabet, k=draw.randint(0, 60))) for _ in range(draw.randint(0, 3))]
        expected = searched(sample, texts)
        for automaton in automata(sample):
            assert matches(automaton, [cut(text, draw) for text in texts]) == expected


@needs_kernel
@pytest.mark.parametrize("alphabet", [b"a", b"ab", b"abcd"])
def test_long_pieces_are_read_in_parts_side_by_side(alphabet):
    draw = random.Random(1)
    common = bytes(draw.choices(alphabet, k=3000))  # reaches over several parts
    for shift in (0, 1, 500, 5000):
        sample = common[shift % 100 :] + bytes(draw.choices(alphabet, k=50))
        text = bytes(draw.choices(alphabet, k=shift)) + common + bytes(draw.choices(alphabet, k=5000))
        found = [matches(automaton, [cut(text, draw)]) for automaton in automata(sample)]
        assert found[0] == found[1]
        at = len(common) - shift % 100 - 1
        assert found[0][0][at] >= at + 1  # the passage, which the text has whole


@needs_kernel
@pytest.mark.parametrize("piece", [1, 7, 2999, 3000])
def test_the_automaton_is_built_in_pieces(piece, monkeypatch):
    monkeypatch.setattr(matching, "_SAMPLE_PIECE", piece)
    draw = random.Random(3)
    sample, text = (bytes(draw.choices(b"abc", k=k)) for k in (3000, 9000))
    by_python, by_kernel = (matches(automaton, [[text]]) for automaton in automata(sample))
    assert by_python == by_kernel


@needs_kernel
@pytest.mark.parametrize("alphabet", [b"a", b"ab", b"abcd"])
def test_any_number_of_threads_finds_the_same(alphabet):
    draw = random.Random(2)
    sample, *others = (bytes(draw.choices(alphabet, k=k)) for k in (3000, 90_000, 40_000))
    text = sample[1500:].join([others[0], others[1], sample])
    library = kernel_library.library()
    expected = matches(PythonAutomaton(sample), [[text]])
    for threads, size in ((1, len(text)), (2, len(text)), (3, 70_001), (4, 100_000), (5, len(text)), (5, 66_000)):
        assert matches(KernelAutomaton(sample, library, threads), [parts(text, size)]) == expected


@needs_kernel
def test_a_state_with_many_edges_and_all_bytes():
    sample = b"".join(bytes([7, b]) for b in range(256))
    text = b"".join(bytes([a, b]) for a in (6, 7) for b in range(0, 256, 3))
    expected = searched(sample, [text])
    for automaton in automata(sample):
        assert matches(automaton, [[text]]) == expected


@pytest.mark.parametrize("edges", [5, 6, 7])
def test_a_null_byte_after_a_state_with_few_edges(edges):
    sample = b"".join(b"x" + bytes([97 + i]) for i in range(edges))
    text = b"x\0ab".join([b"-" * 1000] * 2)
    expected = searched(sample, [text])
    for automaton in automata(sample):
        assert matches(automaton, [[text]]) == expected


def test_empty_samples_and_samples_beyond_the_limit(monkeypatch):
    assert matching.match(b"", [[b"abc"]]).lengths.tolist() == []
    assert matching.match(b"abcabc", [[b"bc"]]).lengths.tolist() == [0, 1, 2, 0, 1, 2]
    monkeypatch.setattr(matching, "MAX_SAMPLE", 3)
    with pytest.raises(UserError, match="the sample has 4 bytes: at most 3 can be compared at a time"):
        matching.match(b"abcd", [])


def test_passages_begin_and_end_with_whole_characters():
    text = "Größe und é Länge\nsind".encode()
    found = compare(["xñ Größe und Läng\udcff".encode("utf-8", "surrogateescape")], [[text[:3], text[3:]]])
    assert [(copy.length, copy.passage.decode(), copy.start) for copy in found.copies(4)] == [
        (10, "Größe und ", 4),
        (5, " Läng", 15),
    ]
    for copy in found.copies(1):
        assert text[copy.position :].startswith(copy.passage)
    # é and ñ have their first byte in common.
    assert compare(["ñ".encode()], [["é".encode()]]).copies(1) == []
    assert compare([b"ab\xff\xfec"], [[b"b\xff\xfec"]]).copies(1)[0].length == 4


def test_first_places_of_whole_characters():
    """The sample's ũ and the text's é end with the same byte, so more bytes stand at the second place of "ab"."""
    text = "xab, éab".encode()
    (copy,) = compare(["ũab".encode()], [[text]]).copies(1)
    assert (copy.passage, copy.position, copy.is_first) == (b"ab", 7, False)
    assert first_positions([copy.passage, b"ab,"], lambda: [text[:2], text[2:]]) == {b"ab": 1, b"ab,": 1}
    assert first_positions([], lambda: pytest.fail("the text need not be read")) == {}
    draw = random.Random(5)
    for _ in range(300):
        text, sample = ("".join(draw.choices("aéũ日", k=draw.randint(1, 40))).encode() for _ in range(2))
        found = compare([sample], [[text]]).copies(1)
        searched_again = first_positions(
            [copy.passage for copy in found if not copy.is_first], lambda text=text: [text]
        )
        for copy in found:
            assert searched_again.get(copy.passage, copy.position) == text.find(copy.passage)


def test_passages_are_searched_some_at_a_time(monkeypatch):
    monkeypatch.setattr(copies, "_SEARCHED", 5)
    passages = [b"b", b"cd", b"bcd", b"abcdefgh", b"e", b"zz"]
    assert first_positions(passages, lambda: [b"--abcdefgh"]) == {b"b": 3, b"cd": 4, b"bcd": 3, b"abcdefgh": 2, b"e": 6}


def test_shares_of_n_grams_within_pieces():
    found = compare([b"abcd", b"ab", b"bcda"], [[b"xabcd"], [b"ay"]])
    assert found.share(1) == 1
    assert found.share(2) == 3 / 7 + 3 / 7  # all but "da", of the last piece: no passage goes from a text to the next
    assert found.share(4) == 1 / 2
    assert found.share(5) is None
    assert [copy.passage for copy in found.copies(2)] == [b"abcd", b"bcd", b"ab"]


def test_shares_are_those_of_a_count():
    draw = random.Random(3)
    pieces = [bytes(draw.choices(b"abc", k=draw.randint(1, 30))) for _ in range(5)]
    text = bytes(draw.choices(b"abc", k=200))
    found = compare(pieces, [[text]])
    for n in range(1, 12):
        grams = [piece[k : k + n] for piece in pieces for k in range(len(piece) - n + 1)]
        assert found.share(n) == (np.mean([gram in text for gram in grams]) if grams else None)
