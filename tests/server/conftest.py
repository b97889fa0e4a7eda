"""Shared by the tests of the server: the API of two models, and a studio in a folder of each test."""

from __future__ import annotations

import pytest
from api_client import Client
from conftest import working_in
from serving_tools import GRU, LOOPBACK, LSTM
from studio_tools import StudioApp

from pycharrnn.server.app import create_app
from pycharrnn.server.registry import Registry
from pycharrnn.server.scheduler import Scheduler


@pytest.fixture(scope="module")
def models():
    return Registry([str(LSTM), str(GRU)], print, print)


@pytest.fixture
def scheduler():
    return Scheduler(8, threads=2)


@pytest.fixture(scope="module")
def client(models):
    return Client(create_app(models, Scheduler(8, threads=2), LOOPBACK, ""))


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
