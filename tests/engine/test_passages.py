"""The index of a text's passages: in C and in NumPy, exact and as a filter."""

from __future__ import annotations

import contextlib
import itertools

import numpy as np
import pytest

from pycharrnn.engine import kernel_library, passages
from pycharrnn.engine.array_passages import ArrayFilter, ArrayIndex
from pycharrnn.engine.kernel_passages import KernelFilter, KernelIndex
from pycharrnn.engine.passage_index import CopyLimit, PassageFilter, PassageRules, Passages

needs_kernel = pytest.mark.skipif(kernel_library.library() is None, reason="needs the C kernel")


def indexes(
    text: np.ndarray, N: int, V: int, free_id: int = -1, utf8_bytes: np.ndarray | None = None
) -> tuple[list[Passages], list[PassageFilter]]:
    """The exact indexes and the filters of a text, from three pieces."""
    has_kernel, rules = bool(kernel_library.library()), PassageRules(N, V, free_id, utf8_bytes)
    shape = passages.filter_shape(len(text))
    filters = [kind(rules, np.zeros(shape, np.uint64)) for kind in (ArrayFilter, KernelFilter)[: 1 + has_kernel]]
    for found in filters:
        for piece in passages._overlapping(np.array_split(text, 3), N):
            found.add(np.ascontiguousarray(piece))
    return [kind(rules, text) for kind in (ArrayIndex, KernelIndex)[: 1 + has_kernel]], filters


def forbidden(limit: CopyLimit, V: int) -> set[int]:
    log_probs = np.zeros(V)
    assert limit.forbid(log_probs) == bool(np.isinf(log_probs).any())
    return set(np.flatnonzero(np.isinf(log_probs)).tolist())


def following(text: np.ndarray, N: int) -> dict[tuple[int, ...], set[int]]:
    """By brute force: N characters -> those that follow them in the text."""
    found: dict[tuple[int, ...], set[int]] = {}
    for k in range(len(text) - N):
        *context, after = text[k : k + N + 1].tolist()
        if min(*context, after) >= 0:
            found.setdefault(tuple(context), set()).add(after)
    return found


@pytest.mark.parametrize("seed", range(24))
def test_what_may_not_follow_is_what_brute_force_finds(seed):
    """Random texts with repetitions and gaps; N beyond the 64 bits of a hash, and equal to the length."""
    random = np.random.default_rng(seed)
    V, length, N = (int(random.integers(1, high)) for high in (5, 300, 9))
    N = 70 if seed % 6 == 0 else N
    text = random.integers(0, V, length).astype(np.int32)
    text[length // 2 :] = text[: length - length // 2]
    if seed % 2:
        text[random.integers(0, length, 3)] = -1
    drawn = np.concatenate([np.maximum(text[:150], 0), random.integers(0, V, 60), np.maximum(text[-150:], 0)])
    exact, filters = indexes(text, N, V)
    assert all((one.words == filters[0].words).all() for one in filters)
    limits = [[one.limit() for one in kind] for kind in (exact, filters)]
    known = following(text, N)
    for k, token_id in enumerate(drawn):
        context = tuple(drawn[max(0, k - N) : k].tolist())
        expected = known.get(context, set()) if len(context) == N else set()
        found_exact, found = ([forbidden(limit, V) for limit in kind] for kind in limits)
        assert all(one == expected for one in found_exact)
        assert all(one == found[0] >= expected for one in found)
        for limit in [*limits[0], *limits[1]]:
            limit.append(np.array([token_id]))


def test_characters_of_several_bytes_stay_whole():
    """Copies end between characters. From the first byte on that is forbidden, nothing but UTF-8 may follow."""
    text = np.frombuffer(8 * "äö€a😀€\n€b".encode(), np.uint8)
    drawn = "€€ba€ä😀€\n€b\ud7ffb\ue000aࠀ߿ä\U00010000\U0010ffffa€b".encode()
    N, V, values = 3, 256, np.arange(256, dtype=np.uint8)
    exact, filters = indexes(text.astype(np.int32), N, V, utf8_bytes=values)
    limits, known, is_changed = [one.limit() for one in (*exact, *filters)], following(text, N), False
    for k, byte in enumerate(drawn):
        is_within = byte & 0xC0 == 0x80
        expected = set() if is_within else known.get(tuple(drawn[max(0, k - N) : k]), set())
        is_changed |= bool(expected)
        if is_changed:
            expected = expected | {v for v in range(V) if not may_be_utf8(drawn[:k] + bytes([v]))}
        assert [forbidden(limit, V) for limit in limits] == [expected] * len(limits)
        assert [forbidden(limit.copy(), V) for limit in limits] == [expected] * len(limits)
        for limit in limits:
            limit.append(np.array([byte]))
    assert is_changed and k == len(drawn) - 1


def may_be_utf8(beginning: bytes) -> bool:
    """Whether valid UTF-8 can begin so."""
    for rest in (b"", b"\x80", b"\x80\x80", b"\x80\x80\x80", b"\xa0\x80", b"\x90\x80\x80"):
        with contextlib.suppress(UnicodeDecodeError):
            return bool((beginning + rest).decode())
    return False


def test_a_stream_that_is_not_utf8_becomes_it():
    text = np.frombuffer(b"aaa", np.uint8)
    for index in itertools.chain(*indexes(text.astype(np.int32), 1, 256, utf8_bytes=np.arange(256, dtype=np.uint8))):
        limit = index.limit()
        limit.append(np.frombuffer(b"\x80\xf8\xc3a", np.uint8).astype(np.int64))
        assert forbidden(limit, 256) == {ord("a"), *range(0x80, 0xC2), *range(0xF5, 0x100)}
        limit.append(np.array([0xC3]))
        assert forbidden(limit, 256) == {*range(0x80), *range(0xC0, 0x100)}


def test_a_copy_of_a_limit_goes_on_by_itself():
    text = np.array([0, 1, 2, 0, 1, 0], np.int32)
    for index in indexes(text, 2, 3)[0]:
        limit = index.limit()
        limit.append(np.array([2, 0]))
        other = limit.copy()
        other.append(np.array([1]))
        assert (forbidden(limit, 3), forbidden(other, 3)) == ({1}, {0, 2})


def test_a_filter_never_forbids_the_free_character():
    text = np.random.default_rng(1).integers(0, 4, 5000).astype(np.int32)
    _, filters = indexes(text, 1, 5, free_id=4)
    for index in filters:
        index.words[:] = ~np.uint64(0)
        limit = index.limit()
        limit.append(np.array([0]))
        assert forbidden(limit, 5) == {0, 1, 2, 3}


def test_how_much_a_filter_forbids_by_chance():
    """About one in a thousand characters."""
    random = np.random.default_rng(2)
    text = random.integers(0, 64, 100_000).astype(np.int32)
    index = passages.index([text], len(text), PassageRules(8, 64), max_exact=0)
    assert isinstance(index, PassageFilter) and index.words.nbytes <= 2.01 * len(text)
    limit, count = index.limit(), 0
    for token_id in random.integers(0, 64, 3000):
        limit.append(np.array([token_id]))
        count += len(forbidden(limit, 64))
    assert count / 64 / 3000 < 0.002


def test_long_texts_get_a_filter_and_short_ones_an_exact_index():
    text = np.zeros(100, np.int32)
    pieces, rules = [text[:60], text[60:]], PassageRules(5, 1)
    assert not isinstance(passages.index(pieces, 100, rules), PassageFilter)
    assert isinstance(passages.index(pieces, 100, rules, max_exact=99), PassageFilter)
    assert isinstance(passages.index([np.zeros(2000, np.int32)], 2000, PassageRules(1001, 1)), PassageFilter)


def test_what_is_no_text_is_refused():
    with pytest.raises(ValueError, match="beyond -1 to 1"):
        passages.index([np.array([0, 2], np.int32)], 2, PassageRules(1, 2))
    with pytest.raises(ValueError, match="beyond -1 to 1"):
        passages.index([np.array([-2, 1], np.int32)], 2, PassageRules(1, 2), max_exact=0)
    with pytest.raises(ValueError, match="has 2 characters, not 3"):
        passages.index([np.array([0, 1], np.int32)], 3, PassageRules(1, 2))
    with pytest.raises(ValueError, match="N must be at least 1, not 0"):
        PassageRules(0, 2)


@needs_kernel
def test_what_c_can_not_check_is_refused():
    text = np.array([0, 1], np.int32)
    for words in (np.zeros((2, 8), np.int64), np.zeros((2, 7), np.uint64), np.zeros((0, 8), np.uint64)):
        with pytest.raises(ValueError, match="a filter must be"):
            KernelFilter(PassageRules(1, 2), words)
    limit = KernelIndex(PassageRules(1, 2), text).limit()
    for log_probs in (np.zeros(3), np.zeros(2, np.float32), np.zeros(4)[::2]):
        with pytest.raises((TypeError, ValueError), match="log_probs must"):
            limit.forbid(log_probs)
    with pytest.raises(IndexError):
        limit.append(np.array([2]))
