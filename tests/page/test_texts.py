"""How the page's own modules take bytes as text: as Python does."""

from __future__ import annotations

import itertools
import random

import pytest
from page_modules import modules, script
from page_tools import needs_browser

from pycharrnn.common.screen_text import ScreenText
from pycharrnn.sampling import tokenizer, unknown_characters

pytestmark = needs_browser

# Beginnings, middles and ends of characters, and what is none of these; whole ones between them.
ODD = (0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE2, 0xED, 0xEF, 0xF0, 0xF4)
WHOLE = ("a", "\u00e9", "\u2013", "\ufeff", "\ufffd", "\U0001d11e", "\U0010ffff")


def some_bytes(rng: random.Random, most: int) -> bytes:
    """Of any kind, one to `most` pieces of them."""
    pieces = [[bytes([b]) for b in (*ODD, 0xF5, 0xFF)], [c.encode() for c in WHOLE]]
    return b"".join(rng.choice(rng.choice(pieces)) for _ in range(rng.randint(1, most)))


@pytest.fixture(scope="module")
def page(chromium):
    with modules(chromium, []):
        yield chromium


def test_bytes_on_the_screen(page):
    rng = random.Random(1)
    texts = [[some_bytes(rng, rng.choice((1, 1, 3))) for _ in range(20)] for _ in range(500)]
    code = """
        const { ScreenText } = await import("./screen_text.js");
        return args.map((pieces) => {
          const screen = new ScreenText();
          return [...pieces.map((piece) => screen.push(piece)), screen.end()];
        });
    """
    found = script(page, code, *([list(piece) for piece in pieces] for pieces in texts))
    for pieces, shown in zip(texts, found, strict=True):
        screen = ScreenText()
        expected = [*(screen.push(piece) for piece in pieces), screen.end()]
        assert [[tuple(one) for one in some] for some in shown] == expected, pieces


def test_texts_as_characters(page):
    """Of vocabularies in which characters begin others; names of them, and what is said of one that is not there."""
    rng = random.Random(2)
    cases = []
    for _ in range(300):
        vocab = list(dict.fromkeys(some_bytes(rng, 3) for _ in range(12)))
        cases.append((vocab, b"".join(rng.choice((rng.choice(vocab), some_bytes(rng, 1))) for _ in range(20))))
    code = """
        const { Vocabulary, describeAndAdvise } = await import("./vocabulary.js");
        return args.map(([characters, text]) => {
          const vocabulary = new Vocabulary(characters);
          const bytes = Uint8Array.from(text);
          const parts = [false, true].map((codePoints) => [...vocabulary.tokenize(bytes, codePoints)]);
          const starts = parts[0].filter(({ id }) => id < 0).map(({ start }) => start);
          const unknown = starts.length ? describeAndAdvise(bytes, starts, vocabulary) : null;
          return { parts, unknown, names: vocabulary.names };
        });
    """
    found = script(page, code, *([[list(c) for c in vocab], list(text)] for vocab, text in cases))
    for (vocab, text), answer in zip(cases, found, strict=True):
        numbered = {character: k for k, character in enumerate(vocab, 1)}
        for code_points, parts in zip((False, True), answer["parts"], strict=True):
            expected = list(tokenizer.tokenize(text, numbered, code_points))
            assert [(one["start"], vocab[one["id"]] if one["id"] >= 0 else None) for one in parts] == expected
            ends = [*(start for start, _ in expected[1:]), len(text)]
            assert [one["end"] for one in parts] == ends
        for name, character in zip(answer["names"], vocab, strict=True):
            assert name == (character.decode() if is_utf8(character) else "0x" + character.hex().upper())
        unknown = [at for at, character in tokenizer.tokenize(text, numbered) if character is None]
        if not unknown:
            assert answer["unknown"] is None
            continue
        expected_words = unknown_characters.describe_and_advise(text, unknown, numbered)
        assert answer["unknown"][0] == expected_words[0]
        if is_utf8(text):  # as prompts of the page are
            assert answer["unknown"][1] == expected_words[1]


def test_all_unknown_characters_are_named_as_on_the_command_line(page):
    """And what is advised about them."""
    typed = [
        "'",
        "\u2019",
        "\u02bc",
        '"\u201d',
        "\u2014\u00fc",
        "\u00fc\u00fc",
        "ABC",
        "A~",
        "ABCDEFGHIJKLMNOPQRSTU",
        "a-\u2014b",
        "ÉA",
        "Éa Zé",
        "É~Zé",
    ]
    known = ("a", "'\"-", "\u2019\u201c\u2013", "\u2018\u00bb\u2011", "abcé", "aZé ")
    vocabs = [[c.encode() for c in characters] for characters in known]
    vocabs += [[bytes([byte]) for byte in "\u2019".encode()], [bytes([byte]) for byte in b"abc\xc3"]]
    code = """
        const { Vocabulary, describeAndAdvise } = await import("./vocabulary.js");
        return args.map(([characters, text, at]) =>
          describeAndAdvise(Uint8Array.from(text), at, new Vocabulary(characters)));
    """
    cases, expected = [], []
    for vocab, text in itertools.product(vocabs, (text.encode() for text in typed)):
        numbered = {character: k for k, character in enumerate(vocab, 1)}
        if unknown := [at for at, character in tokenizer.tokenize(text, numbered) if character is None]:
            cases.append(([list(c) for c in vocab], list(text), unknown))
            expected.append(list(unknown_characters.describe_and_advise(text, unknown, numbered)))
    assert script(page, code, *cases) == expected
    advice = {advised for _, advised in expected}
    assert {"leave it out", "leave them out", "write \u2019 in its place"} <= advice
    assert {"write it in lower case", "write them in lower case"} <= advice
    assert any(" and 1 more, " in described for described, _ in expected)


def is_utf8(content: bytes) -> bool:
    return content.decode("utf-8", "ignore").encode() == content
