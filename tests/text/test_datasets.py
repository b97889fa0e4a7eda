"""pycharrnn data NAME, against a server of our own."""

from __future__ import annotations

import http.server
import threading

import pytest

from pycharrnn.common.errors import UserError
from pycharrnn.text import datasets

GUTENBERG = (
    "\ufeffThe Project Gutenberg eBook of Ulysses\n\n*** START ***\n\nContents\n— I —\n— II —\n\n— I —\n\n[ 1 ]\n\n"
    "Stately, plump Buck Mulligan came\nyes I said yes I will Yes.\n\nTrieste-Zurich-Paris\n\n1914-1921\n\n"
    "*** END ***\nlicence\n"
)
GUTENBERG = GUTENBERG.replace("\n", "\r\n").encode()


@pytest.fixture
def server(monkeypatch):
    """Serves /whole, /short (breaks off) and 404 for the rest."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path not in ("/whole", "/short"):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(GUTENBERG) + (self.path == "/short")))
            self.end_headers()
            self.wfile.write(GUTENBERG)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_pydoc_needs_no_network(tmp_path):
    path = datasets.write("pydoc", str(tmp_path), say=lambda line: None)
    text = (tmp_path / "pydoc" / "input.txt").read_bytes()
    assert path == str(tmp_path / "pydoc" / "input.txt")
    assert len(text) > 300_000
    assert b"if" in text and b"assert" in text


def test_ulysses_without_the_licence(tmp_path, server, monkeypatch):
    monkeypatch.setattr(datasets, "ULYSSES_URL", server + "/whole")
    datasets.write("ulysses", str(tmp_path), say=lambda line: None)
    text = (tmp_path / "ulysses" / "input.txt").read_bytes()
    assert text.startswith(b"\xe2\x80\x94 I \xe2\x80\x94\n\n[ 1 ]\n\nStately")
    assert text.endswith(b"Trieste-Zurich-Paris\n\n1914-1921\n")


def test_old_edition_keeps_its_heading():
    old = b"\n\n-- I --\n\nStately, plump Buck Mulligan\nTrieste-Zurich-Paris 1914-1921\n\nEnd of Project Gutenberg's\n"
    assert datasets.strip_gutenberg(old) == b"-- I --\n\nStately, plump Buck Mulligan\nTrieste-Zurich-Paris 1914-1921\n"


def test_something_else_is_not_ulysses():
    with pytest.raises(UserError, match="not Ulysses"):
        datasets.strip_gutenberg(b"<html>captive portal</html>")


@pytest.mark.parametrize("path", ["/short", "/missing"])
def test_a_broken_download_leaves_nothing(tmp_path, server, monkeypatch, path):
    monkeypatch.setattr(datasets, "TINYSHAKESPEARE_URL", server + path)
    with pytest.raises(UserError, match="put it into .*input.txt"):
        datasets.write("tinyshakespeare", str(tmp_path), say=lambda line: None)
    assert not list(tmp_path.iterdir())


def test_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "TINYSHAKESPEARE_URL", "http://127.0.0.1:9/input.txt")
    with pytest.raises(UserError, match="can't download"):
        datasets.write("tinyshakespeare", str(tmp_path), say=lambda line: None)


def test_unknown_name(tmp_path):
    with pytest.raises(UserError, match="choose pydoc, tinyshakespeare, ulysses"):
        datasets.write("bible", str(tmp_path))
