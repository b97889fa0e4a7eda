"""A text as characters of a vocabulary."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pycharrnn.sampling import tokenizer


class Counted(dict):
    """Counts how often somebody looks something up."""

    def __contains__(self, key) -> bool:
        self.looks = getattr(self, "looks", 0) + 1
        return super().__contains__(key)


def tokenize_plainly(text: bytes, vocab: dict[bytes, int]) -> list[tuple[int, bytes | None]]:
    found, position = [], 0
    while position < len(text):
        fits = [c for c in vocab if text.startswith(c, position)]
        found.append((position, max(fits, key=len, default=None)))
        position += len(found[-1][1] or b"x")
    return found


@given(
    vocab=st.sets(st.binary(min_size=1, max_size=4), min_size=1, max_size=12),
    text=st.lists(st.sampled_from([b"a", b"ab", b"abc", b"\xc3", b"\xa9", b"\0"]), max_size=20),
)
def test_a_text_is_divided_into_the_longest_characters(vocab, text):
    vocab = {c: k for k, c in enumerate(sorted({*vocab, b"a", b"abc"}), 1)}
    assert list(tokenizer.tokenize(b"".join(text), vocab)) == tokenize_plainly(b"".join(text), vocab)


def test_one_long_character_means_no_more_work():
    vocab = Counted({b"a": 1, b"b" * 64: 2, "é".encode(): 3})
    text = b"aab~" * 1000
    assert sum(c == b"a" for _, c in tokenizer.tokenize(text, vocab)) == 2000
    assert vocab.looks == 3000  # one for each byte that begins a character
