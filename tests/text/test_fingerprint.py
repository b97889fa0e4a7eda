"""The fingerprint by which a run recognises its text."""

from __future__ import annotations

from pycharrnn.text import fingerprint, text_stats
from pycharrnn.text.text_stats import stats_of_file


def test_size_and_hash(tmp_path):
    path = tmp_path / "input.txt"
    path.write_bytes(b"abc")
    assert stats_of_file(str(path), 3).fingerprint == (
        "3 bytes, SHA-256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_of_a_long_text_blocks_are_hashed(tmp_path, monkeypatch):
    path = tmp_path / "input.txt"
    path.write_bytes(b"abc")
    whole = stats_of_file(str(path), 3).fingerprint
    monkeypatch.setattr(fingerprint, "MAX_HASHED", 3)
    assert stats_of_file(str(path), 3).fingerprint == whole
    monkeypatch.setattr(fingerprint, "MAX_HASHED", 2)
    monkeypatch.setattr(fingerprint, "_BLOCK", 1)
    before = stats_of_file(str(path), 3).fingerprint
    assert before.startswith("3 bytes, SHA-256 of 1024 blocks")
    path.write_bytes(b"abd")
    assert stats_of_file(str(path), 3).fingerprint != before
    assert text_stats.stats_of([b"abd"]).fingerprint == ""
