"""Suggestions for mistyped paths."""

from __future__ import annotations

import os

from pycharrnn.common import shell_words
from pycharrnn.common.near_paths import divided_name, near


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
    assert near("poem.t7", elsewhere=["nowhere", "cv"]) == os.path.join("cv", "poems.t7")
    assert near("my_txt.txt", os.path.isdir) == ""
    assert near("other.txt") == near(os.path.join("nowhere", "my_text.txt")) == near("a\0b") == ""
    assert near(os.path.join("a\0b", "my_text.txt")) == ""


def test_what_is_hidden_or_too_different_is_not_suggested(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (".my_tex", "my_text.txt"):
        (tmp_path / name).write_bytes(b"")
    assert near("my_tex") == ""


def test_another_case_comes_before_an_ending(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("POEMS.txt", "Odes.txt", "my.txt", "poems"):
        (tmp_path / name).write_bytes(b"")
    assert near("Poems") == "poems" and near("Poems.txt") == "POEMS.txt"
    assert near("MY") == "my.txt" and near("odes") == "Odes.txt"


def test_of_several_endings_the_first_one_is_suggested(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("poems.md", "poems.txt"):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.setattr(os, "listdir", lambda folder: ["poems.txt", "poems.md"])  # a system's order is its own
    assert near("poems") == "poems.md"


def test_a_path_with_a_folder_is_looked_for_there_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("cv", "data"):
        (tmp_path / folder).mkdir()
    (tmp_path / "cv" / "poems.t7").write_bytes(b"")
    assert near(os.path.join("data", "poem.t7"), elsewhere=["cv"]) == ""


def test_the_words_of_a_name_that_was_not_quoted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    letters = "abcdefghijklmnopqrstuvwxyz012345"  # as many words as a name has at most
    for name in ("my", "my long", "of two", " ".join(letters)):
        (tmp_path / name).write_bytes(b"")
    assert divided_name(["a", "my", "long", "poem"]) == shell_words.quoted("my long")
    assert divided_name(["my"]) == ""  # one word is no divided name
    words = ["my", "long", "poem", "of", "two"]
    assert divided_name(words, "my") == divided_name(words, "long") == shell_words.quoted("my long")
    assert divided_name(words, "two") == shell_words.quoted("of two")
    assert divided_name(words, "poem") == divided_name(words, "other") == ""
    assert divided_name(letters) == divided_name(letters, "5") == shell_words.quoted(" ".join(letters))
