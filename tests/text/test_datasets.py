"""pycharrnn data NAME, against a server of our own."""

from __future__ import annotations

import contextlib
import errno
import http.server
import io
import os
import pydoc_data.topics
import threading
from pathlib import Path

import pytest

from pycharrnn.common.errors import UserError
from pycharrnn.text import corpus, datasets, source_files

GUTENBERG = (
    "\ufeffThe Project Gutenberg eBook of Ulysses\n\n*** START ***\n\nContents\n— I —\n— II —\n\n— I —\n\n[ 1 ]\n\n"
    "Stately, plump Buck Mulligan came\nyes I said yes I will Yes.\n\nTrieste-Zurich-Paris\n\n1914-1921\n\n"
    "*** END ***\nlicence\n"
)
GUTENBERG = GUTENBERG.replace("\n", "\r\n").encode()


@pytest.fixture
def server(monkeypatch):
    """Serves /whole, /short (breaks off), /unmeasured (does not say how long it is) and 404 for all others."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path not in ("/whole", "/short", "/unmeasured", "/torn", "/nonsense"):
                self.send_error(404)
                return
            if self.path == "/nonsense":
                self.wfile.write(b"nonsense\r\n\r\n")
                return
            self.send_response(200)
            if self.path == "/torn":
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"100\r\nno 256 bytes")
                return
            if self.path != "/unmeasured":
                self.send_header("Content-Length", str(len(GUTENBERG) + (self.path == "/short")))
            self.end_headers()
            self.wfile.write(GUTENBERG)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_data_set_that_was_not_written_leaves_no_mark(tmp_path, monkeypatch):
    @contextlib.contextmanager
    def full(path):
        yield io.BytesIO()
        if os.path.basename(path) == "input.txt":
            raise OSError(errno.ENOSPC, "No space left on device")
        Path(path).write_bytes(b"")

    monkeypatch.setattr(datasets, "atomic_write", full)
    with pytest.raises(UserError, match="can't write .*input.txt: No space left on device"):
        datasets.write("pydoc", str(tmp_path), say=lambda line: None)
    assert not (tmp_path / "pydoc" / source_files.SOURCES).exists()
    (tmp_path / "pydoc" / source_files.SOURCES).write_bytes(b"")
    with pytest.raises(UserError, match="name files of plain text"):  # not a text of an earlier training
        source_files.find([str(tmp_path)], print, contextlib.ExitStack())


@pytest.mark.skipif(os.name == "nt", reason="Windows has few symbolic links")
def test_the_list_of_sources_is_written_through_no_link(tmp_path):
    (tmp_path / "pydoc").mkdir()
    (tmp_path / "letter.txt").write_bytes(b"a letter")
    sources = tmp_path / "pydoc" / source_files.SOURCES
    sources.symlink_to(tmp_path / "letter.txt")
    with pytest.raises(UserError, match=r"^can't write .*\.sources: it is a symbolic link: remove it\.$"):
        datasets.write("pydoc", str(tmp_path), say=lambda line: None)
    assert (tmp_path / "letter.txt").read_bytes() == b"a letter"
    assert not (tmp_path / "pydoc" / "input.txt").exists()


def test_pydoc_needs_no_network(tmp_path):
    path = datasets.write("pydoc", str(tmp_path), say=lambda line: None)
    text = (tmp_path / "pydoc" / "input.txt").read_bytes()
    assert path == str(tmp_path / "pydoc" / "input.txt")
    assert len(text) > 300_000
    assert b"if" in text and b"assert" in text
    topics = pydoc_data.topics.topics
    assert text.split(topics["assert"].encode())[1].lstrip().startswith(topics["assignment"].encode())


def test_ulysses_without_the_licence(tmp_path, server, monkeypatch):
    monkeypatch.setattr(datasets, "ULYSSES_URL", server + "/whole")
    datasets.write("ulysses", str(tmp_path), say=lambda line: None)
    text = (tmp_path / "ulysses" / "input.txt").read_bytes()
    assert text.startswith(b"\xe2\x80\x94 I \xe2\x80\x94\n\n[ 1 ]\n\nStately")
    assert text.endswith(b"Trieste-Zurich-Paris\n\n1914-1921\n")


def test_old_edition_keeps_its_heading():
    old = b"\n\n-- I --\n\nStately, plump Buck Mulligan\nTrieste-Zurich-Paris 1914-1921\n\nEnd of Project Gutenberg's\n"
    assert datasets.strip_gutenberg(old) == b"-- I --\n\nStately, plump Buck Mulligan\nTrieste-Zurich-Paris 1914-1921\n"


def test_no_heading_and_dates_before_the_text():
    text = b"Stately, plump Buck Mulligan\n1914\xe2\x80\x931921\n"
    assert datasets.strip_gutenberg(b"Written 1914-1921.\n\n" + text + b"licence") == text


def test_a_heading_behind_a_byte_order_mark():
    text = b"-- I --\nStately, plump Buck Mulligan\n1914-1921\n"
    assert datasets.strip_gutenberg(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n")) == text


def test_something_else_is_not_ulysses():
    with pytest.raises(UserError, match="not Project Gutenberg's Ulysses"):
        datasets.strip_gutenberg(b"<html>captive portal</html>")


@pytest.mark.parametrize("path", ["/short", "/missing", "/torn", "/nonsense"])
def test_a_broken_download_leaves_nothing(tmp_path, server, monkeypatch, path):
    monkeypatch.setattr(datasets, "TINYSHAKESPEARE_URL", server + path)
    with pytest.raises(UserError, match="download it in another way to .*input.txt"):
        datasets.write("tinyshakespeare", str(tmp_path), say=lambda line: None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("spare, whole", [(0, True), (-1, False)])
def test_a_download_that_does_not_end_is_given_up(tmp_path, server, monkeypatch, spare, whole):
    monkeypatch.setattr(datasets, "_MAX_BYTES", len(GUTENBERG) + spare)
    monkeypatch.setattr(datasets, "TINYSHAKESPEARE_URL", server + "/unmeasured")
    if whole:
        path = datasets.write("tinyshakespeare", str(tmp_path), say=lambda line: None)
        assert Path(path).read_bytes() == GUTENBERG
    else:
        with pytest.raises(UserError, match=r"can't download .*/unmeasured \(it does not end\)"):
            datasets.write("tinyshakespeare", str(tmp_path), say=lambda line: None)
        assert not list(tmp_path.iterdir())


def test_most_that_is_downloaded():
    assert 1 << 24 < datasets._MAX_BYTES <= 1 << 30


def test_what_was_written_is_said(tmp_path, server, monkeypatch):
    monkeypatch.setattr(datasets, "TINYSHAKESPEARE_URL", server + "/whole")
    said: list[str] = []
    for _ in range(2):  # the folder may be there
        path = datasets.write("tinyshakespeare", str(tmp_path), say=said.append)
    assert said == 2 * [f"{path}: {len(GUTENBERG)} characters, {len(set(GUTENBERG))} distinct"]


@pytest.mark.parametrize("content", [b"my own text\n", b""])
def test_another_text_in_its_place_stays(tmp_path, content):
    (tmp_path / "pydoc").mkdir()
    path = tmp_path / "pydoc/input.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"input.txt holds another text: rename or remove .*pydoc, and repeat"):
        datasets.write("pydoc", str(tmp_path))
    assert path.read_bytes() == content and [p.name for p in path.parent.iterdir()] == ["input.txt"]
    path.unlink()
    datasets.write("pydoc", str(tmp_path), say=lambda line: None)
    before = path.stat()
    datasets.write("pydoc", str(tmp_path), say=lambda line: None)
    assert path.stat().st_ino == before.st_ino  # and so its cache stays
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(UserError, match="holds another text"):
        datasets.write("pydoc", str(tmp_path))


def test_its_texts_are_no_part_of_a_folder_of_texts(tmp_path):
    datasets.write("pydoc", str(tmp_path / "data"), say=lambda line: None)
    (tmp_path / "a.txt").write_text("a", encoding="utf-8")
    with corpus.gather([str(tmp_path)], lambda line: None, data=str(tmp_path / "data")) as found:
        assert found.stats.size == 1


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "data").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"can't write .*input\.txt: "):
        datasets.write("pydoc", str(tmp_path / "data"), say=lambda line: None)


def test_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "TINYSHAKESPEARE_URL", "http://127.0.0.1:9/input.txt")
    with pytest.raises(UserError, match=r"can't download .* \(\[Errno .*refused\): download it in another way"):
        datasets.write("tinyshakespeare", str(tmp_path), say=lambda line: None)


def test_unknown_name(tmp_path):
    with pytest.raises(UserError, match="choose pydoc, tinyshakespeare, ulysses"):
        datasets.write("bible", str(tmp_path))
