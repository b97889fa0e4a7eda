"""`pycharrnn serve` as a command: its options, its sentences, its tokens."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from functools import partial

import item_models
import pytest
from conftest import needs_signals, run, sentence
from serving_tools import LSTM, ROOT, client_of, get, post, server

from pycharrnn.common.errors import UserError
from pycharrnn.server import serve
from pycharrnn.server.options import ServeOptions
from pycharrnn.server.scheduler import Scheduler


@pytest.mark.parametrize(
    "options, words",
    [
        ({"host": "0.0.0.0"}, "-token new generates one"),
        ({"host": "192.168.1.7"}, "needs a -token"),
        ({"host": "example.org"}, "needs a -token"),
        ({"token": "short"}, "-token must be at least 16"),
        ({"token": "a b c d e f g h i j k"}, "-token must be at least 16"),
        ({"host": "", "token": "new"}, "-host must be an address"),
        ({"token": "0123456789abcdef#"}, "-token must be at least 16"),
        ({"token": "0123456789abcde\u00fc"}, "-token must be at least 16"),
        ({"token": "0123456789abcde"}, "-token must be at least 16"),
        ({"port": 65536}, "-port must be from 0 to 65535"),
        ({"port": -1}, "-port must be from 0 to 65535"),
        ({"streams": 0}, "-streams must be from 1 to 1000"),
        ({"streams": 1001}, "-streams must be from 1 to 1000"),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(UserError, match=words):
        ServeOptions(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"port": 0},
        {"port": 65535},
        {"streams": 1},
        {"streams": 1000},
        {"token": "new", "host": "0.0.0.0"},
        {"token": "0123456789abcdef", "host": "example.org"},
        {"token": "0123456789-_.~AZ"},
    ],
)
def test_good_options(options):
    ServeOptions(**options)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_needs_no_token(host):
    ServeOptions(host=host)


def failed(*args) -> str:
    return sentence(run("serve", *map(str, args)))


def test_errors_are_one_sentence(tmp_path):
    assert "does not exist" in failed("nowhere.t7")
    assert "is named twice" in failed(LSTM, LSTM)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "choose another -host or -port; -port 0 takes a free one" in failed(
            LSTM, "-port", taken.getsockname()[1]
        )
    for host in ("203.0.113.1", 70 * "\u00fc", "a..b"):
        assert "choose another" in failed(LSTM, "-host", host, "-token", "new", "-port", "0")
    (tmp_path / "fastapi.py").write_text("raise ModuleNotFoundError('no', name='fastapi')", encoding="utf-8")
    command = [sys.executable, "-m", "pycharrnn", "serve", LSTM]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    result = subprocess.run(command, capture_output=True, timeout=300, env=environment)
    assert "the page needs more packages: pip install" in sentence(result)


@pytest.mark.parametrize(
    "args, names",
    [
        ([], ["127.0.0.1", "localhost", "LOCALHOST:80", "[::1]"]),
        pytest.param(
            ["-host", "127.0.0.2"],
            ["127.0.0.1", "127.0.0.2:8015"],
            marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8"),
        ),
    ],
)
def test_a_server_without_token_has_the_names_of_its_machine_only(args, names):
    with server(LSTM, *args) as running:
        for name in names:
            assert get(running.url + "api/models", headers={"host": name}).status_code == 200
        for name in ("evil.example", "127.0.0.3", ""):
            assert get(running.url + "api/models", headers={"host": name}).status_code == 421


def test_a_server_on_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as e:
        pytest.skip(f"this machine has no IPv6: {e}")
    with server(LSTM, "-host", "::1") as running:
        assert running.url.startswith("http://[::1]:")
        assert get(running.url + "api/models").status_code == 200


@pytest.mark.parametrize("place", ["", "elsewhere", "another"])
def test_a_lost_training_text_is_said_at_the_start(tmp_path, monkeypatch, place):
    path = item_models.saved(tmp_path, text=b"a\nb\n")
    shutil.copy(path, path.with_name("other.t7"))  # of the same run: said once
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "another" / "data" / "list").mkdir(parents=True)
    (tmp_path / "another" / "data" / "list" / "input.txt").write_bytes(b"c\nd\n")
    monkeypatch.chdir(tmp_path / place)
    with server(LSTM, path.parent) as running:
        served = get(running.url + "api/models").json()["models"]
        asked_of = next(model["id"] for model in served if model["items"])
        asked = post(running.url + "api/items", {"model": asked_of, "new": True, "items": 1})
        running.process.terminate()
        _, error = running.process.communicate(timeout=300)
    said = [line for line in error.splitlines() if "requests with new are refused" in line]
    if not place:
        assert (asked.status_code, said) == (200, [])
        return
    (line,) = said
    text = os.path.join("data/list", "input.txt")
    assert line.startswith(f"pycharrnn: {text}, on which {path.parent}{os.sep}")
    what = "is not here" if place == "elsewhere" else "has changed since"
    assert line.endswith(f" was trained, {what}: requests with new are refused; start in the folder of the training.")
    assert asked.status_code == 422
    assert asked.json()["detail"].endswith(": start the server in the folder of the training.")


@needs_signals
def test_a_server_that_is_stopped_amid_a_sample_says_so():
    with server(LSTM) as running, client_of(running.url) as client:
        with client.stream("POST", "/api/sample", json={"model": LSTM.stem, "length": 10_000}) as answer:
            lines = answer.iter_lines()
            assert "text" in json.loads(next(lines))
            running.process.send_signal(signal.SIGINT)
            assert json.loads(list(lines)[-1]) == {"error": "the server is stopping."}
        _, error = running.process.communicate(timeout=300)
    assert running.process.returncode == 130
    assert error.strip() == "pycharrnn: stopped by Ctrl-C."


def test_plot_activations_and_serve_load_no_pytorch(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('torch was imported')", encoding="utf-8")
    env = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    for args in (["plot", LSTM, "-o", "a.svg"], ["activations", LSTM, "-primetext", "The night", "-o", "a.html"]):
        command = [sys.executable, "-m", "pycharrnn", *map(str, args)]
        result = subprocess.run(command, cwd=tmp_path, env={**os.environ, **env}, capture_output=True)
        assert result.returncode == 0, result.stderr
    with server(LSTM, env=env) as running:
        body = {"model": LSTM.stem, "text": "The night"}
        assert post(running.url + "api/score", body).status_code == 200


def test_a_token_that_was_made():
    with server(LSTM, "-host", "0.0.0.0", "-token", "new") as running:
        address, _, token = running.url.partition("#token=")
        assert len(token) >= 32
        bearer = {"authorization": f"Bearer {token}"}
        url = address.replace("0.0.0.0", "127.0.0.1") + "api/models"
        assert get(url).status_code == 401
        assert get(url, headers=bearer).status_code == 200
        assert get(url, headers={**bearer, "host": "somewhere.example"}).status_code == 200


def test_a_token_of_ones_own():
    with server(LSTM, "-token", "0123456789abcdef") as running:
        address, _, token = running.url.partition("#token=")
        assert token == "0123456789abcdef"
        assert get(address + "api/models").status_code == 401
        assert get(address + "api/models", headers={"authorization": f"Bearer {token}"}).status_code == 200


@needs_signals
def test_many_clients_for_some_seconds():
    """The benchmark, shorter and with fewer characters: no error, and memory that stays."""
    script = ROOT / "benchmarks" / "serve_clients.py"
    command = [sys.executable, str(script), str(LSTM), "-seconds", "1"]
    hear = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # by which it ends its server
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, preexec_fn=hear)
    assert result.returncode == 0, result.stdout + result.stderr
    assert " 0 errors" in result.stdout


@pytest.mark.parametrize(
    "threads, of_environment, expected", [(0, "", 4), (0, "2", 2), (0, "9", 4), (1, "2", 1), (6, "", 6)]
)
def test_the_threads_that_compute(monkeypatch, threads, of_environment, expected):
    class Asked(Exception):
        pass

    def scheduler(max_clients: int, threads: int) -> Scheduler:
        raise Asked(threads)

    monkeypatch.setattr(serve, "Scheduler", scheduler)
    monkeypatch.setattr(serve.cores, "usable", lambda: 64)
    monkeypatch.setenv("OMP_NUM_THREADS", of_environment)
    with pytest.raises(Asked) as e:
        serve.serve([str(LSTM)], ServeOptions(threads=threads), print, print)
    assert e.value.args == (expected,)
