"""Suggestions for mistyped paths."""

from __future__ import annotations

import os

from pycharrnn.common.near_paths import near


def test_what_a_mistyped_path_may_stand_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cv").mkdir()
    for name in ("my_text.txt", ".my_tex", os.path.join("cv", "poems.t7")):
        (tmp_path / name).write_bytes(b"")
    assert near("my_txt.txt") == near("my_text") == "my_text.txt"
    assert near(os.path.join("cv", "poem.t7")) == os.path.join("cv", "poems.t7")
    assert near("poem.t7") == ""
    assert near("CV") == near("Cv") == "cv" and near("My_Text") == "my_text.txt"
    if os.name != "nt":
        os.symlink("nowhere", tmp_path / "mytext.txt")
        assert near("mytext.txt", lambda found: True) == "my_text.txt"  # not the link itself
    assert near("poem.t7", elsewhere=["cv"]) == os.path.join("cv", "poems.t7")
    assert near("my_txt.txt", os.path.isdir) == ""
    assert near("other.txt") == near(os.path.join("nowhere", "my_text.txt")) == near("a\0b") == ""
