"""Which existing files score -html, plot, activations and convert replace."""

from __future__ import annotations

import os
import shutil

import pytest
from conftest import GOLDEN, run, sentence

from pycharrnn.cli.outputs import Output
from pycharrnn.common.errors import UserError

CHECKPOINT = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"
COMMANDS = {
    "plot.svg": ["plot", "a.t7", "-o", "plot.svg"],
    "plot.png": ["plot", "a.t7", "-o", "plot.png"],
    "score.html": ["score", "a.t7", "text.txt", "-html", "score.html"],
    "activations.htm": ["activations", "a.t7", "-primetext", "The ", "-o", "activations.htm"],
}


@pytest.fixture
def home(tmp_path):
    shutil.copy(CHECKPOINT, tmp_path / "a.t7")
    (tmp_path / "text.txt").write_bytes(b"The night")
    return tmp_path


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_replaces_its_own_picture_or_page_only(home, name):
    """`plot -o loss.svg` again and again is normal use; a drawing of the user's own of that name stays."""
    command, file = COMMANDS[name], home / name
    for _ in range(2):
        assert run(*command, cwd=home).returncode == 0
    written = file.read_bytes()
    other = "score.html" if name != "score.html" else "activations.htm"
    assert run(*COMMANDS[other], cwd=home).returncode == 0
    for content in (b"<svg>a drawing</svg>", (home / other).read_bytes(), CHECKPOINT.read_bytes()):
        file.write_bytes(content)
        said = sentence(run(*command, cwd=home))
        assert f" {name} exists, and pycharrnn {command[0]} did not write it: choose another name" in said
        assert "-overwrite 1" in said and file.read_bytes() == content
    assert run(*command, "-overwrite", "1", cwd=home).returncode == 0
    assert file.read_bytes() == written
    file.write_bytes(b"")  # as mktemp makes it
    assert run(*command, cwd=home).returncode == 0


def test_what_is_read_may_be_named_in_another_way(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "link").symlink_to("a")
    for out in ("a", "./a", str(tmp_path / "a"), "link"):
        with pytest.raises(UserError, match=r"^-o \S+ would overwrite a, which it is made of: choose another name.$"):
            Output(out, "-o ", 1, "plot").check("b", "a")
    Output("b", "-o ", 1).check("a", "nowhere", "a\0b")
    Output("new", "-o ", 0).check("a", "b")


def test_without_a_file_to_write_no_folder_must_be_writable(tmp_path, monkeypatch):
    """A home directory is in a folder in which its owner may not write."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "access", lambda *asked: False)
    Output("", "-html ", 0).check_folder()
    with pytest.raises(UserError, match="no permission to write"):
        Output("new.html", "-html ", 0).check_folder()


def test_the_folder_of_a_file_to_write_exists(home):
    assert "-o no/x.svg: there is no folder no" in sentence(run("plot", "a.t7", "-o", "no/x.svg", cwd=home))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["a.t7", "page.html", "-title", "My", "own", "poems"], "own, poems"),
        (["-title", "My", "poems", "a.t7", "page.html"], "poems"),
        (["a.t7", "page.html", "-title", "Poems", "-about", "By", "me"], "me"),
    ],
)
def test_a_title_without_quotes(home, args, words):
    want = f'there is no file {words}; put several words in quotes, as in -title "My poems".'
    assert want in sentence(run("convert", *args, cwd=home))


def test_a_page_with_a_title_needs_its_ending(home):
    said = sentence(run("convert", "a.t7", "my page", "-title", "My poems", cwd=home))
    assert "can't tell the format of my page from its ending: use .t7, " in said and " or .html." in said


def test_a_page_may_end_in_htm(home):
    assert run("convert", "a.t7", "page.htm", "-title", "Night", cwd=home).returncode == 0
    assert "<title>Night</title>" in (home / "page.htm").read_text(encoding="utf-8")
    assert run("inspect", "page.htm", cwd=home).returncode == 0
    assert run("sample", "page.htm#a", "-gpuid", "-1", "-length", "5", cwd=home).returncode == 0


def test_a_dash_is_no_file_to_write(home):
    said = sentence(run("score", "a.t7", "text.txt", "-html", "-", cwd=home))
    assert said == "pycharrnn: -html must be a file that ends in .html or .htm, not -.\n"
    assert not (home / "-").exists()


def test_a_title_in_typographic_quotes(home):
    said = sentence(run("convert", "a.t7", "page.html", "-title", "\u201cMy", "poems\u201d", cwd=home))
    assert "does not read the quotes in -title \u201cMy: type straight ones, as in -title" in said


def test_a_text_whose_name_is_not_quoted(home):
    (home / "my own text.txt").write_bytes(b"a")
    said = sentence(run("score", "a.t7", "my", "own", "text.txt", cwd=home))
    assert "quote it: " in said and "my own text.txt" in said
