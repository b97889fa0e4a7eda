"""pycharrnn studio as a user starts it: its process, its uploads over a network, and real trainings."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest
from conftest import needs_signals, run, sentence, working_in
from serving_tools import client_of, facts_of, server, server_in_thread, until
from studio_tools import BYTES, PROSE, StudioApp, files_below

from pycharrnn.page.page_files import page_files
from pycharrnn.server.connections import OpenConnections, TimeLimits
from pycharrnn.server.options import StudioOptions
from pycharrnn.server.scheduler import Scheduler
from pycharrnn.server.studio import open_studio, run_process, studio_paths

TINY = {"rnn_size": 6, "batch_size": 4, "seq_length": 10, "max_epochs": 2, "eval_val_every": 60, "print_every": 10}

pytestmark = needs_signals


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    with working_in(tmp_path_factory.mktemp("studio")):
        yield StudioApp()


# -- the process -------------------------------------------------------------------------------------------------------


def test_a_studio_that_can_not_start_leaves_no_folders(tmp_path):
    (tmp_path / "old" / "cv").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for folder in ("a/new", "old"):
            done = run("studio", folder, "-port", str(taken.getsockname()[1]), "-open", "0", cwd=tmp_path)
            assert done.returncode == 1 and "can't listen on" in sentence(done)
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["old", "old/cv"]


def test_the_missing_folders_of_a_path_whose_root_does_not_exist(monkeypatch, tmp_path):
    """As on a drive that Windows lacks."""
    monkeypatch.setattr(open_studio.os.path, "lexists", lambda path: False)
    root, *parts = tmp_path.parts
    assert open_studio._missing(str(tmp_path)) == [os.path.join(root, *parts[: n + 1]) for n in range(len(parts))]


def test_a_studio_is_served_from_a_folder_that_it_makes(tmp_path):
    folder = tmp_path / "a" / "my voices"
    with server(str(folder), "-open", "0", command="studio") as running, client_of(running.url) as client:
        facts = client.get("api/studio").json()
        assert facts["folder"] == str(folder)
        assert client.get("api/models").json()["models"] == []
        assert client.get("").content == page_files(studio=True)["index.html"]
        text_id = client.post("api/studio/texts", json={}).json()["id"]
        where = {"text": text_id, "name": "a.txt"}
        assert client.put("api/studio/upload", params=where, content=bytes(1 << 20), headers=BYTES).status_code == 200
        assert (folder / "studio" / "texts" / text_id / "input" / "a.txt").stat().st_size == 1 << 20
        error = sentence(run("studio", str(folder), "-open", "0", "-port", "0"))
        assert error.startswith("pycharrnn: another pycharrnn studio (process ")
    assert running.process.returncode == 128 + signal.SIGINT
    assert sorted(path.name for path in folder.iterdir()) == ["cv", "models", "studio", "trash"]
    (folder / "models").rmdir()
    (folder / "models").write_text("")
    said = f"pycharrnn: can't use the folder {folder} (models is a file): name another one.\n"
    assert sentence(run("studio", str(folder), "-open", "0")) == said
    said = f"pycharrnn: can't use the folder {folder / 'models'} ({folder / 'models'} is a file): name another one.\n"
    assert sentence(run("studio", str(folder / "models"), "-open", "0")) == said


def test_a_new_folder_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(open_studio.serve, "listen", lambda *args: args[-1]("http://localhost"))
    notes: list[str] = []
    for _ in range(2):  # the second time it is there
        with working_in(tmp_path):
            open_studio.open_studio("poem", StudioOptions(open=0), {}, print, notes.append)
    assert notes == ["poem is a new folder."]


def test_the_page_is_opened_in_the_browser(monkeypatch):
    opened = []
    monkeypatch.setattr(open_studio.webbrowser, "open", opened.append)
    open_studio._open_browser("http://127.0.0.1:8015/", is_secret=False)
    until(lambda: opened == ["http://127.0.0.1:8015/"])


def test_no_command_line_shows_the_token(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studio").mkdir()
    link = tmp_path / studio_paths.LINK
    link.write_text("of a server that was killed")
    opened = []
    monkeypatch.setattr(open_studio.webbrowser, "open", opened.append)
    open_studio._open_browser("http://127.0.0.1:8015/#token=x&y", is_secret=True)
    until(lambda: opened == [link.as_uri()])
    assert 'content="0; url=http://127.0.0.1:8015/#token=x&amp;y"' in link.read_text()
    assert os.name == "nt" or link.stat().st_mode & 0o777 == 0o600


# -- uploads over a network --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_upload_has_its_time_with_each_part_of_it(studio):
    app, scheduler = studio.app, Scheduler(8, threads=1)
    limits = TimeLimits(request=2.0, upload=4.0)
    text_id = studio.post("/texts").json()["id"]
    head = f"PUT /api/studio/upload?text={text_id}&name=NAME HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
    head += "Content-Type: application/octet-stream\r\n\r\n"

    def is_stored(port: int) -> bool:
        """Whether ten parts are stored that arrive within five seconds, more than the limit, each in its time."""
        with socket.create_connection(("127.0.0.1", port), timeout=300) as slow, contextlib.suppress(OSError):
            slow.sendall(head.replace("NAME", "slow").encode())
            for _ in range(10):
                time.sleep(0.5)
                slow.sendall(bytes(100))
            return slow.recv(1000).startswith(b"HTTP/1.1 200 ")
        return False

    with server_in_thread(app, scheduler, OpenConnections(9, limits, studio.site.upload_paths)) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=300) as silent:
            silent.sendall(head.replace("NAME", "silent").encode() + b"half of it")
            assert silent.recv(1000) == b""  # closed
        assert any(is_stored(port) for _ in range(10))  # on a busy machine a part may come late
    assert files_below(f"studio/texts/{text_id}") == [f"studio/texts/{text_id}/input/slow"]


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="only Linux tells the peak of a process's memory")
def test_a_large_upload_takes_little_memory(tmp_path):
    size = 300_000_000

    def pieces():
        for _ in range(size // 1_000_000):
            yield bytes(1_000_000)

    def peak(status: str) -> int:
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])

    with server(str(tmp_path), "-open", "0", command="studio", env={"A": "1"}) as running:
        status = Path(f"/proc/{running.process.pid}/status")
        with client_of(running.url) as client:
            text_id = client.post("api/studio/texts", json={}).json()["id"]
            before = peak(status.read_text(encoding="utf-8"))
            where, headers = {"text": text_id, "name": "large.txt"}, {**BYTES, "content-length": str(size)}
            answer = client.put("api/studio/upload", params=where, content=pieces(), headers=headers)
        assert answer.json() == {"name": "large.txt", "bytes": size}
        assert peak(status.read_text(encoding="utf-8")) - before < 100_000  # kB


# -- real trainings ----------------------------------------------------------------------------------------------------


def test_a_text_is_learnt(studio):
    text_id = studio.text("sea.txt")
    run_id = studio.post("/runs", text=text_id, choice="quick", flags={**TINY, "threads": 1}).json()["id"]
    done = studio.until(run_id, lambda run: run["state"] not in ("waiting", "running"), 300)
    assert (done["state"], done["error"]) == ("finished", "")
    assert done["iteration"] == done["iterations"] > 60
    assert done["epochs"] == pytest.approx(2)
    assert done["seconds"] > 0
    assert done["characters_per_second"] > 0
    assert len(done["train"]["losses"]) >= done["iterations"] // 10  # and more on a slow machine
    assert done["val"]["iterations"][0] == 60
    assert done["best_val_loss"] == pytest.approx(min(done["val"]["losses"]))
    assert done["samples"][0]["iteration"] == 60
    assert done["samples"][0]["text"]
    assert done["notes"][-1].startswith("finished; the best checkpoint is cv/lm_sea_epoch")
    assert done["sentence"].startswith(f"finished after {done['iterations']} iterations; its lowest loss is ")
    studio.scan()
    model = studio.run(run_id)["best_model"]
    assert facts_of(studio.models, model).text == "sea"
    assert Path("data/sea/input.txt").read_bytes() == PROSE


@pytest.mark.slow
def test_a_real_training_that_fails(studio):
    text_id = studio.text("few.txt", b"few")
    run_id = studio.post("/runs", text=text_id, choice="quick", flags={"threads": 1}).json()["id"]
    failed = studio.until(run_id, lambda run: run["state"] not in ("waiting", "running"), 300)
    assert failed["state"] == "failed"
    assert failed["error"].startswith("the text has 3 characters, too few to learn from")


# From the first checkpoint of tide.txt on, until there is a file called room.
FULL_DISK = """
import errno, glob, os
fsync = os.fsync
def full(fd):
    if glob.glob("cv/lm_tide_epoch*") and not os.path.exists("room"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    fsync(fd)
os.fsync = full
"""


@pytest.mark.slow
def test_a_training_on_a_disk_that_becomes_full(studio, monkeypatch):
    """The page has the sentence of the command; what was saved stays, and the run goes on from there."""
    monkeypatch.setattr(run_process, "_PROGRAM", FULL_DISK + run_process._PROGRAM)
    text_id = studio.text("tide.txt")
    asked = {"text": text_id, "choice": "quick", "flags": {**TINY, "keep": 0, "threads": 1}}
    run_id = studio.post("/runs", **asked).json()["id"]
    failed = studio.until(run_id, lambda run: run["state"] not in ("waiting", "running"), 300)
    assert failed["state"] == "failed"
    (saved,) = Path("cv").glob("lm_tide_epoch*")
    before = saved.read_bytes()
    said = f"the last checkpoint could not be written to cv ({os.strerror(errno.ENOSPC)}); the last good checkpoint is"
    assert failed["error"] == f"{said} cv/{saved.name}."
    assert failed["sentence"] == f"{said} cv/{saved.name}. Go on continues from its newest checkpoint."
    studio.scan()
    assert saved.stem in studio.run(run_id)["models"]
    Path("room").touch()
    assert " -resume cv -savefile tide " in studio.post(f"/runs/{run_id}/go_on").json()["command"]
    done = studio.until(run_id, lambda run: run["state"] not in ("waiting", "running"), 300)
    assert (done["state"], done["iteration"]) == ("finished", done["iterations"])
    assert saved.read_bytes() == before
    assert any(i > 60 for i in done["val"]["iterations"])


@pytest.mark.slow
def test_a_training_outlives_its_server(tmp_path):
    """A server is ended by Ctrl-C in the middle of a training; another one finds it, stops it, and goes on with it."""
    flags = {**TINY, "threads": 1, "max_epochs": 100_000, "print_every": 1}

    def until_run(client: httpx.Client, run_id: str, state: str, iteration: int = 0) -> dict:
        found: dict = {}

        def is_there() -> bool:
            found.update(client.get(f"api/studio/runs/{run_id}").json())
            return found["state"] == state and (found["iteration"] or 0) >= iteration

        until(is_there, 300)
        return found

    with (
        server(str(tmp_path), "-open", "0", command="studio", env={"A": "1"}) as first,
        client_of(first.url) as client,
    ):
        text_id = client.post("api/studio/texts", json={}).json()["id"]
        where = {"text": text_id, "name": "sea.txt"}
        client.put("api/studio/upload", params=where, content=PROSE, headers=BYTES)
        asked = {"text": text_id, "choice": "quick", "flags": flags}
        run_id = client.post("api/studio/runs", json=asked).json()["id"]
        before = until_run(client, run_id, "running", 100)
    with (
        server(str(tmp_path), "-open", "0", command="studio", env={"A": "1"}) as second,
        client_of(second.url) as client,
    ):
        after = until_run(client, run_id, "running", before["iteration"] + 100)
        assert after["train"]["losses"][0] == before["train"]["losses"][0]
        client.post(f"api/studio/runs/{run_id}/stop", json={})
        stopped = until_run(client, run_id, "stopped")
        until(lambda: client.get(f"api/studio/runs/{run_id}").json()["models"])
        client.post(f"api/studio/runs/{run_id}/go_on", json={"minutes": 0.1})
        done = until_run(client, run_id, "finished")
        assert done["iteration"] > stopped["iteration"]
        assert done["train"]["losses"][0] == before["train"]["losses"][0]
        model = client.get("api/models").json()["models"][0]["id"]
        sampled = client.post("api/sample", json={"model": model, "length": 20})
        assert sampled.text.endswith('{"done":true}\n')
