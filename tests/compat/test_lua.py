"""Torch7's random numbers and LuaJIT's number formats."""

from __future__ import annotations

import random

import numpy as np
import pytest

from compat import legacy_logsoftmax, lua_format, lua_random
from compat.lua_random import LuaRandom, multinomial


def mt19937(seed: int, n: int) -> list[int]:
    """The generator as Matsumoto and Nishimura define it, written out."""
    state = [seed & 0xFFFFFFFF]
    for i in range(1, 624):
        state.append((1812433253 * (state[-1] ^ (state[-1] >> 30)) + i) & 0xFFFFFFFF)
    out = []
    while len(out) < n:
        for i in range(624):
            y = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7FFFFFFF)
            state[i] = state[(i + 397) % 624] ^ (y >> 1) ^ (0x9908B0DF if y & 1 else 0)
        for y in state:
            y ^= y >> 11
            y ^= (y << 7) & 0x9D2C5680
            y ^= (y << 15) & 0xEFC60000
            out.append(y ^ (y >> 18))
    return out[:n]


@pytest.mark.parametrize("seed", [0, 1, 123, 2**32 - 1])
def test_the_generator(seed):
    np.testing.assert_array_equal(LuaRandom(seed).random(1500) * 2**32, mt19937(seed, 1500))


@pytest.mark.parametrize(
    ("seed", "same"), [(-1, 2**32 - 1), (2**63 - 1024, 2**32 - 1024), (2**63, 0), (10**19, 0), (-(2**63) - 1, 0)]
)
def test_seeds_wrap_as_in_c(seed, same):
    """On x86, where the cast of a number beyond 64 bits gives -2^63."""
    np.testing.assert_array_equal(LuaRandom(seed).random(3), LuaRandom(same).random(3))
    np.testing.assert_array_equal(lua_random.SeedRandom().first(seed, 3), LuaRandom(same).random(3))
    assert f"is the same as -seed {same}: " in lua_random.explained(seed)


def test_draws_follow_one_another():
    whole = LuaRandom(7).random(10)
    pieces = LuaRandom(7)
    pieces.skip(3)
    np.testing.assert_array_equal(pieces.random(2), whole[3:5])
    np.testing.assert_array_equal(pieces.uniform(-1, 3, 2), whole[5:7] * 4 - 1)
    np.testing.assert_array_equal(pieces.bernoulli(0.3, 3), whole[7:] <= 0.3)


def test_the_state_goes_on(n=700):
    random = LuaRandom(7)
    random.random(n)
    words, position = random.get_state()
    assert (words.dtype, words.shape, position) == (np.uint32, (624,), n - 624)
    want = random.random(1000)
    other = LuaRandom(8)
    other.set_state(words, position)
    np.testing.assert_array_equal(other.random(1000), want)


def test_skipping_many_numbers():
    skipped, drawn = LuaRandom(7), LuaRandom(7)
    skipped.skip((1 << 20) + 3)
    drawn.random((1 << 20) + 3)
    np.testing.assert_array_equal(skipped.random(3), drawn.random(3))


@pytest.mark.parametrize("n", [0, 1, 699, 700, 701, 1400, 1500])
def test_pieces_do_not_show(monkeypatch, n):
    """getrandbits takes a C int up to Python 3.13: 2**26 numbers and more come in pieces."""
    whole, words = LuaRandom(7).random(1600), 0

    class Narrow(random.Random):
        def getrandbits(self, bits):
            nonlocal words
            assert bits <= 32 * 700
            words += bits // 32
            return super().getrandbits(bits)

    monkeypatch.setattr(lua_random, "_PIECE", 700)
    monkeypatch.setattr(random, "Random", Narrow)
    drawn, skipped = LuaRandom(7), LuaRandom(7)
    np.testing.assert_array_equal(drawn.random(n), whole[:n])
    assert words == n
    skipped.skip(n)
    for after in (drawn, skipped):
        np.testing.assert_array_equal(after.random(100), whole[n : n + 100])


def test_pieces_are_small_enough_for_getrandbits():
    assert 32 * lua_random._PIECE < 2**31


def test_bernoulli_takes_the_probability_itself(monkeypatch):
    random = LuaRandom(1)
    monkeypatch.setattr(random, "random", lambda n: np.array([0.25, 0.5, 0.75]))
    np.testing.assert_array_equal(random.bernoulli(0.5, 3), [1, 1, 0])


def test_multinomial_adds_in_double_precision():
    """Torch7 adds floats as doubles, and the last entry counts as 1."""
    p = np.full((1, 70_000), 1 / 70_000, np.float32)
    u = np.array([0.9])
    total = p.astype(np.float64).sum()
    assert multinomial(p, u).tolist() == [int(np.searchsorted(np.cumsum(p.astype(np.float64)) / total, 0.9))]
    assert multinomial(np.float32([[1, 0, 0]]), np.array([1 - 2**-32])).tolist() == [0]


def test_the_old_exponential():
    """Five terms of the series of exp(x/8), to eight digits, to the eighth power; nothing from 13 on."""
    x = np.array([0.0, 0.5, 2.0, 12.9, 13.0, 50.0])
    series = 1 + x / 8 + x**2 * 0.0078125 + x**3 * 0.00032552083 + x**4 * 1.0172526e-5
    want = np.where(x < 13, series**-8, 0)
    np.testing.assert_allclose(legacy_logsoftmax.exp_minus(x), want, rtol=1e-13)
    scores = np.array([[1.0, 2.0, 0.5], [100.0, 0.0, 99.0]])
    highest = scores.max(1, keepdims=True)
    sums = legacy_logsoftmax.exp_minus(highest - scores).sum(1, keepdims=True)
    np.testing.assert_array_equal(legacy_logsoftmax.log_softmax(scores), scores - (highest + np.log(sums)))
    exact = scores - highest - np.log(np.exp(scores - highest).sum(1, keepdims=True))
    np.testing.assert_allclose(legacy_logsoftmax.log_softmax(scores), exact, atol=2e-4)


def test_multinomial_picks_the_first_entry_at_or_above():
    p = np.float32([0.25, 0.25, 0.0, 0.5])
    u = np.array([0.0, 0.25, 0.2500001, 0.5, 0.50001, 1 - 2**-32])
    assert multinomial(np.tile(p, (6, 1)), u).tolist() == [0, 0, 1, 1, 3, 3]
    assert multinomial(2 * p[None], np.array([0.25])).tolist() == [0]
    assert multinomial(2 * p[None], np.array([0.5])).tolist() == [1]
    for bad in ([0, 0], [np.nan, 1]):
        with pytest.raises(ValueError, match="multinomial"):
            multinomial(np.float32([[1, 0], bad]), np.array([0.5, 0.5]))


@pytest.mark.parametrize(
    "text, want",
    [
        (lua_format.fixed(0.0625, 3), "0.063"),
        (lua_format.fixed(0.125, 2), "0.13"),
        (lua_format.fixed(-0.125, 2), "-0.13"),
        (lua_format.fixed(2.675, 2), "2.67"),  # the double lies below the tie
        (lua_format.fixed(1.9188, 4), "1.9188"),
        (lua_format.fixed(123456789.987654321, 8), "123456789.98765433"),
        (lua_format.fixed(0, 2), "0.00"),
        (lua_format.fixed(float("nan"), 4), "nan"),
        (lua_format.fixed(float("-inf"), 4), "-inf"),
        (lua_format.scientific(0.65711, 4), "6.5711e-01"),
        (lua_format.scientific(0.00099999999, 4), "1.0000e-03"),
        (lua_format.scientific(1.5e300, 4), "1.5000e+300"),
        (lua_format.scientific(0.125, 1), "1.3e-01"),
        (lua_format.scientific(0.0, 4), "0.0000e+00"),
        (lua_format.scientific(float("inf"), 4), "inf"),
        (lua_format.scientific(-0.0, 2), "-0.00e+00"),
        (lua_format.scientific(1.7976931348623157e308, 4), "1.7977e+308"),
        (lua_format.scientific(-5e-324, 4), "-4.9407e-324"),
        (lua_format.fixed(5e-324, 30), "0." + "0" * 30),
        (lua_format.fixed(1e300, 2), f"{1e300:.2f}"),
        (lua_format.tostring(0.1234567890123456), "0.12345678901235"),
        (lua_format.tostring(0.8474337369372046), "0.8474337369372"),  # rounded once
        (lua_format.tostring(0.97), "0.97"),
        (lua_format.tostring(0.002 * 0.97), "0.00194"),
        (lua_format.tostring(50.0), "50"),
        (lua_format.tostring(-0.0), "-0"),
        (lua_format.tostring(1e15), "1e+15"),
        (lua_format.tostring(float("inf")), "inf"),
    ],
)
def test_numbers_as_luajit_prints_them(text, want):
    assert text == want
