"""The page of texts colored by surprise."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pycharrnn.analysis.scoring import Score
from pycharrnn.page import surprise_page


def page(tmp_path, *scores: tuple[str, Score], model: str = "cv/lm.t7") -> str:
    surprise_page.write(tmp_path / "page.html", model, list(scores))
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def score(*characters: tuple[bytes, float | None]) -> Score:
    """Of characters with their bits of surprise; None for those that the model has never seen."""
    bits = np.array([bits or 0.0 for _, bits in characters])
    known = np.array([b is not None for _, b in characters], bool)
    return Score([character for character, _ in characters], bits, known, known)


def body(content: str) -> str:
    (found,) = re.findall(r"<pre>(.*?)</pre>", content, re.S)
    return found


@pytest.mark.parametrize(
    "bits, level", [(0, 0), (0.49, 0), (0.5, 1), (2.49, 2), (2.5, 3), (9.49, 9), (9.5, 10), (99, 10)]
)
def test_colors_by_bits(tmp_path, bits, level):
    expected = f'<b class="o{level}" title="{bits:.1f} bits">a</b>' if level else "a"
    assert body(page(tmp_path, ("x", score((b"a", bits))))) == expected


def test_every_level_has_a_color(tmp_path):
    content = page(tmp_path, ("x", score((b"a", 0.0))))
    for level in range(1, 11):
        assert content.count(f".o{level} {{ background: rgb(213 94 0 / calc(var(--opacity) * {level / 10:g})) }}") == 1
    assert ".o11" not in content
    assert '<p class="scale">0<span aria-hidden="true"><i class=""></i><i class="o2"></i>' in content
    assert '<i class="o10"></i></span>10 bits or more</p>' in content


def test_bytes_of_one_character_count_together(tmp_path):
    pieces = score((b"\xc3", 1.0), (b"\xa9", 1.5), (b"b", 0.4), (b"\xe2", 2.0), (b"c", 4.0))
    assert body(page(tmp_path, ("x", pieces))) == (
        '<b class="o3" title="2.5 bits">\u00e9</b>b'
        '<b class="o2" title="2.0 bits">\ufffd</b><b class="o4" title="4.0 bits">c</b>'
    )


def test_a_character_without_its_end(tmp_path):
    pieces = score((b"a", 0.0), (b"\xe2", 2.0), (b"\x82", 1.0))
    assert body(page(tmp_path, ("x", pieces))) == 'a<b class="o3" title="3.0 bits">\ufffd</b>'


def test_markup_and_control_characters_are_only_text(tmp_path):
    text = score(*((bytes([byte]), 0.0) for byte in b"<b>&\x00\x1b\n"))
    content = page(tmp_path, ("a<&\udcff.txt", text), model="cv/<i>.t7")
    assert body(content) == "&lt;b&gt;&amp;\u2400\u241b\n"
    assert re.search("<h2>a&lt;&amp;\ufffd+.txt</h2>", content)  # on Windows one for each byte of the surrogate
    assert "<title>Surprise of &lt;i&gt; - pycharrnn</title>" in content
    assert "<h1>Surprise of &lt;i&gt;</h1>" in content
    assert body(page(tmp_path, ("x", score((b"<", 1.0))))) == '<b class="o1" title="1.0 bits">&lt;</b>'


def test_texts_one_below_the_other(tmp_path):
    content = page(tmp_path, ("first", score((b"a", 0.5))), ("second", score((b"~", None), (b"~", None))))
    assert re.findall("<h2>(.*)</h2>", content) == ["first", "second"]
    assert "<p>0.500000 bits per character, 1 character</p>" in content
    assert "<p>no score; left out 2 bytes that the model has never seen: &#x27;~&#x27;</p>" in content


def test_what_the_model_has_never_seen_is_underlined(tmp_path):
    pieces = score((b"a", 0.4), (b"\xc3", 1.0), (b"\xa9", None), ("\U0001f600".encode(), None), (b"\xff", None))
    unseen = "".join(f'<u class="unknown" title="never seen">{character}</u>' for character in "\u00e9\U0001f600\ufffd")
    content = page(tmp_path, ("x", pieces))
    assert body(content) == f"a{unseen}"
    assert '<u class="unknown" title="never seen">Underlined</u>: never seen in training' in content
