"""Shared by the tests of the server: a studio in a folder of each test."""

from __future__ import annotations

import pytest
from conftest import working_in
from studio_tools import StudioApp


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with working_in(tmp_path_factory.mktemp("studio")):
        return StudioApp()


@pytest.fixture
def studio(tmp_path, monkeypatch, app):
    """A studio of a folder of its own; trainings that still wait are ended."""
    monkeypatch.chdir(tmp_path)
    app.begin_anew()
    yield app
    app.end_runs()
