"""What the page's modules do with models of items: the same as the command line and the server."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import random

import item_models
import pytest
from page_modules import modules, payload_of, script
from page_tools import needs_browser

from compat.cells import MODELS
from pycharrnn.page import known_table
from pycharrnn.page.facts import facts_of
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.server import drawn_items, scores, served_models
from pycharrnn.text import items

pytestmark = needs_browser

KNOWN = [b"a", b"b", b"ab", "\u00e9".encode(), b"", b"a\nb"]
KINDS = list(itertools.product(MODELS, ("line", "blank")))
REQUEST = {"primetext": "", "items": 30, "seed": 5, "length": 8, "temperature": 1, "topk": 0, "topp": 1}
REQUEST |= {"new": False, "unique": False}
ASKED = [
    {},
    {"new": True, "unique": True, "temperature": 1.4},
    {"primetext": "a\u00e9", "seed": 2**32 - 3, "topp": 0.8},
    {"length": 1, "topk": 2},
    {"topk": 1, "unique": True, "items": 3},
]


def letters(kind: str) -> str:
    return "abc\u00e9" if kind == "line" else "abc\n\u00e9"


@pytest.fixture(scope="module")
def models():
    """Of all cells and kinds of items, then one of code points, and one without the table of its items."""
    found = [item_models.made(kind, model, letters=letters(kind)) for model, kind in KINDS]
    return [*found, item_models.made("line", "lstm", utf8=True), item_models.made()]


@pytest.fixture(scope="module")
def page(chromium, models):
    payloads = [payload_of(loaded, str(k)) | known_table.table_of(KNOWN) for k, loaded in enumerate(models)]
    del payloads[-1]["known_items"]
    with modules(chromium, payloads):
        yield chromium


def served(loaded):
    return served_models.served(loaded, facts_of(loaded, "x", 0))


def drawn(page, model: int, request: dict):
    code = """
        const { Model } = await import("./model.js");
        const model = await Model.load(payloads[args[0]]);
        const [lines, drawing] = [[], model.items(args[1])];
        try {
          for (;;) {
            const { value, done } = drawing.next();
            if (done) return [...lines, { done, ...value }];
            if (value) lines.push(value);
          }
        } catch (error) {
          return [error.constructor.name, error.message];
        }
    """
    return script(page, code, model, request)


@pytest.mark.parametrize("model", range(len(KINDS) + 1))
def test_items_are_those_of_the_server(page, models, model):
    for asked in ASKED:
        request = {**REQUEST, **asked}
        names = {**request, "new": int(request["new"]), "unique": int(request["unique"]), "threads": 1}
        primetext = names.pop("primetext").encode()
        lines = "".join(drawn_items.lines(served(models[model]), SampleOptions(**names), primetext, set(KNOWN)))
        assert drawn(page, model, request) == [json.loads(line) for line in lines.splitlines()]


def test_without_a_table_nothing_is_known(page):
    *found, done = drawn(page, -1 % (len(KINDS) + 2), REQUEST)
    assert {line["known"] for line in found} == {None}
    assert done["known"] is None
    kind, message = drawn(page, len(KINDS) + 1, {**REQUEST, "new": True})
    assert kind == "Problem"
    assert message.startswith("new: this page was made without the training text, ")


@pytest.mark.parametrize("primetext", ["a\n", "\x1e"])
def test_a_beginning_that_ends_is_refused(page, primetext):
    kind, message = drawn(page, int(primetext == "\x1e"), {**REQUEST, "primetext": primetext})
    assert (kind, message) == (
        "Problem",
        f"primetext contains {primetext[-1]!r}, which ends an item: remove it; each item starts by itself.",
    )


@pytest.mark.parametrize("text", ["ab\n\nc\u00e9x\na", "ab\nc\n \t\n\nb", "\n", "a\x1eb", "\u00e9" * 40])
@pytest.mark.parametrize("model", range(len(KINDS) + 1))
def test_scores_are_those_of_the_server(page, models, model, text):
    code = """
        const { Model } = await import("./model.js");
        const scoring = (await Model.load(payloads[args[0]])).score(args[1]);
        for (const characters = []; ; ) {
          const { value, done } = scoring.next();
          if (done) return { characters, ...value };
          if ("text" in value) characters.push(value);
        }
    """
    found, expected = (
        script(page, code, model, text),
        "".join(scores.score(served(models[model]), text.encode())),
    )
    expected = json.loads(expected)
    for answer in (found, expected):  # in the last bit their logarithms may differ
        for one in [answer, *answer["characters"]]:
            one |= {key: x and round(x, 11) for key, x in one.items() if key in ("bits", "bits_per_character")}
    assert found == expected


def test_texts_divide_into_the_items_of_a_training(page):
    rng = random.Random(3)
    texts = ["".join(rng.choices("ab \t\r\n\n\n\u00e9", k=rng.randrange(12))) for _ in range(300)]
    cases = [(text + "\x1eb" * (k % 9 == 0), kind) for k, text in enumerate(texts) for kind in item_models.ENDS]
    code = """
        const { itemsOf } = await import("./item_selection.js");
        return args.map(([text, kind]) => itemsOf(text, kind));
    """
    found = script(page, code, *cases)
    for (text, kind), divided in zip(cases, found, strict=True):
        assert divided == [item.decode() for item in items.of_text(text.encode(), kind)], (text, kind)


def test_hashes(page):
    contents = [bytes(k * n % 251 for k in range(n)) for n in [*range(70), 119, 120, 1000, 5000]]
    code = """
        const { sha1 } = await import("./sha1.js");
        return args.map((bytes) => [...sha1(Uint8Array.from(bytes))]);
    """
    for content, words in zip(contents, script(page, code, *map(list, contents)), strict=True):
        assert b"".join(word.to_bytes(4, "big") for word in words) == hashlib.sha1(content).digest()


@pytest.mark.parametrize("count", [0, 1, 2, 500, 20_000])
def test_a_table_has_its_items_and_hardly_others(page, count):
    table = known_table.table_of(f"{k:x}".encode() for k in [*range(count), *range(min(count, 9))])
    assert len(table["known_items"]) <= 4 * count
    assert len(base64.b64decode(table["known_items"])) == -(-22 * count // 8)
    code = """
        const { KnownItems } = await import("./known_items.js");
        const [{ known_buckets: buckets, known_items: bits }, end] = args;
        const known = new KnownItems(buckets, bits);
        const found = Array.from({ length: end }, (_, k) => known.has(new TextEncoder().encode(k.toString(16))));
        return [found.slice(0, args[2]).every(Boolean), found.slice(args[2]).filter(Boolean).length];
    """
    has_all, others = script(page, code, table, count + 20_000, count)
    assert has_all
    assert others == 0  # expected: 0.02
