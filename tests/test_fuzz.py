"""A bounded run of the fuzzer, and the files that are worst to read."""

from __future__ import annotations

import struct

import pytest
from conftest import GOLDEN

from compat import T7Error, Table, load_t7, save_t7
from tests.fuzz import fuzz_t7

SMALL = [GOLDEN / "corpus" / "vocab.t7", *sorted(GOLDEN.glob("rnn2_dropout/*.t7")), GOLDEN / "variants" / "ascii.t7"]


def test_damaged_files():
    tried, readable, _ = fuzz_t7.run(cases=1500, seed=0, seconds=60)
    assert tried > 100
    assert 0 < readable < tried


@pytest.mark.parametrize("path", SMALL, ids=lambda p: p.name)
def test_prefixes(path):
    whole = path.read_bytes()
    for end in [*range(600), *range(600, len(whole), max(1, len(whole) // 400))]:
        if end < len(whole):
            with pytest.raises(T7Error):
                load_t7(whole[:end])


@pytest.mark.parametrize("count", [1 << 31, 1 << 63, 10 * 2**30 // 8])
def test_a_short_file_that_claims_much(count):
    head = struct.pack("<iii", 4, 1, 3) + b"V 1" + struct.pack("<i", 19) + b"torch.DoubleStorage"
    with pytest.raises(T7Error):
        load_t7(head + struct.pack("<Q", count) + bytes(60))
    with pytest.raises(T7Error):
        load_t7(struct.pack("<iiI", 3, 1, min(count, (1 << 32) - 1)) + bytes(60))


def test_a_table_nested_100000_deep(tmp_path):
    value = Table()
    for _ in range(100_000):
        value = Table({1: value})
    save_t7(tmp_path / "v.t7", value)
    assert isinstance(load_t7(tmp_path / "v.t7"), Table)
    with pytest.raises(T7Error):
        load_t7((tmp_path / "v.t7").read_bytes()[:-4])


@pytest.mark.parametrize(
    "content",
    [
        b"Once upon a time there was a text file.\n",
        b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + bytes(40),
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(20),
        b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.",
        struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}      ' + bytes(4),
    ],
    ids=["text", "zip", "png", "pickle", "safetensors"],
)
def test_other_files_under_the_name_t7(content):
    with pytest.raises(T7Error):
        load_t7(content)
