"""The fingerprint by which a run knows its text."""

from __future__ import annotations

import pytest

from pycharrnn.common.errors import UserError
from pycharrnn.text import fingerprint


def test_fingerprint_of_a_text(tmp_path, monkeypatch):
    path = tmp_path / "input.txt"
    path.write_bytes(b"abc")
    assert fingerprint.fingerprint(path) == (
        "3 bytes, SHA-256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    monkeypatch.setattr(fingerprint, "_WHOLE_HASH", 2)
    monkeypatch.setattr(fingerprint, "_BLOCK", 1)
    three = fingerprint.fingerprint(path)
    assert three.startswith("3 bytes, SHA-256 of 1024 blocks")
    path.write_bytes(b"abd")
    assert fingerprint.fingerprint(path) != three
    with pytest.raises(UserError, match="can't read"):
        fingerprint.fingerprint(tmp_path / "none")
