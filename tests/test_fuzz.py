"""A bounded run of the fuzzer, and the files that are worst to read."""

from __future__ import annotations

import os
import random
import re
import struct
import subprocess
import sys
import time

import pytest
from conftest import GOLDEN, ROOT

from compat import T7Error, Table, load_t7, save_t7
from pycharrnn.checkpoints import formats
from tests.fuzz import originals, reader
from tests.fuzz.damage import damaged

SMALL = [
    GOLDEN / "corpus" / "vocab.t7",
    *sorted(GOLDEN.glob("rnn2_dropout/*.t7")),
    pytest.param(GOLDEN / "variants" / "ascii.t7", marks=pytest.mark.slow),
]


@pytest.mark.slow
def test_damaged_files_are_read_or_refused():
    rng = random.Random(0)
    whole = [original for original in originals.all_of_them() if original.name.endswith(".t7")]
    assert all(reader.use(original.content) for original in whole)
    read = 0
    for _ in range(100):
        original = rng.choice(whole)
        read += reader.use(damaged(rng, original.name, original.content))
    assert 0 < read < 100


@pytest.mark.slow
@pytest.mark.parametrize("ending", [ending for ending in formats.ENDINGS if ending != ".t7"])
def test_damaged_files_of_other_formats(ending):
    rng = random.Random(0)
    whole = [original for original in originals.all_of_them() if original.name.endswith(ending)]
    assert all(reader.use_file(ending, original.content) for original in whole)
    read = 0
    for _ in range(40):
        original = rng.choice(whole)
        read += reader.use_file(ending, damaged(rng, original.name, original.content))
    assert 0 < read < 40


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the fuzzer knows Linux")
def test_every_command_takes_damaged_files():
    script = ROOT / "tests" / "fuzz" / "run.py"
    result = subprocess.run([sys.executable, script, "-cases", "30", "-seed", "0"], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "30 cases, 0 faults" in result.stdout
    ended = set(re.findall(r"(\w+) +\d+ ended with exit status (\d+)", result.stdout))
    assert ended >= {(name, "0") for name in ("inspect", "sample", "eval", "score", "convert", "activations", "train")}
    assert {status for _, status in ended} <= {"0", "1", "3"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the fuzzer knows Linux")
def test_the_fuzzer_notices_faults(tmp_path, monkeypatch):
    from pycharrnn.cli import commands as program
    from tests.fuzz import commands  # imports what only POSIX has

    def run_one(main) -> str:
        monkeypatch.setattr(program, "main", main)
        (outcome,), _ = commands.run_all(tmp_path, 0, [["inspect", "x.t7"]], [])
        return outcome.fault

    monkeypatch.setattr(commands, "MEMORY", 50 << 20)
    assert run_one(lambda args: None) == ""
    assert run_one(lambda args: print("pycharrnn: a sentence.", file=sys.stderr) or sys.exit(1)) == ""
    note = "pycharrnn: x.t7 has weights that are NaN or infinite, so its texts and scores may be wrong: take another."
    assert run_one(lambda args: print(f"{note}\npycharrnn: why.", file=sys.stderr) or sys.exit(1)) == ""
    assert "no single line" in run_one(lambda args: print(note, file=sys.stderr) or sys.exit(1))
    assert "exit status 99: ZeroDivisionError" in run_one(lambda args: 1 / 0)
    assert "none of ours" in run_one(lambda args: print("two\nlines", file=sys.stderr) or sys.exit(1))
    assert "no single line" in run_one(lambda args: sys.exit(1))
    assert "control characters" in run_one(lambda args: print("\x1b[2J"))
    assert "killed by signal 9" in run_one(lambda args: os.kill(os.getpid(), 9))
    with monkeypatch.context() as patch:
        patch.setattr(commands, "SILENCE", 1)
        assert "not done after 1 s" in run_one(lambda args: time.sleep(600))
    monkeypatch.setattr(program, "main", lambda args: len(b"x" * (100 << 20)))
    assert "MB of memory" in commands.run_all(tmp_path, 0, [["inspect", "x.t7"]], [])[0][-1].fault


@pytest.mark.slow
@pytest.mark.parametrize("path", SMALL, ids=lambda p: p.name)
def test_prefixes(path):
    whole = path.read_bytes()
    for end in [*range(300), *range(600, len(whole), max(1, len(whole) // 400))]:
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


@pytest.mark.slow
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
