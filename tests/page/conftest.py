"""Shared by the tests of pages: a studio that learns nothing."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def pretended_server():
    import pretended_studio as pretended

    with pretended.pretended_server() as running:
        yield running


@pytest.fixture
def studio(chromium, pretended_server, monkeypatch, tmp_path):
    """What the pretended server knows; a test changes it, and opens the page."""
    from page_tools import logged
    from pretended_studio import Studio

    monkeypatch.chdir(tmp_path)
    logged(chromium)
    pretended_server.studio = studio = Studio(f"http://127.0.0.1:{pretended_server.server_port}/")
    yield studio
    studio.open.set()
    refusals = ("status of 4", "status of 5")
    messages = logged(chromium)
    assert [message for message in messages if not any(refusal in message for refusal in refusals)] == []


@pytest.fixture
def poems(tmp_path) -> Path:
    path = tmp_path / "poems.txt"
    path.write_text("A poem.\n" * 100)
    return path
