"""Checkpoints of folders: which are offered, when they are read, and what becomes of a request when they change."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from conftest import GOLDEN, run, sentence
from runs import folder_with_text, started
from serving_tools import GRU, LOOPBACK, LSTM, client_of, facts_of, model_of, server, until

from compat import charrnn
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.errors import UserError
from pycharrnn.engine.adapt_options import Adaptation
from pycharrnn.page import gallery, single_file
from pycharrnn.server import checkpoint_scan, registry
from pycharrnn.server.app import create_app
from pycharrnn.server.checkpoint_scan import CheckpointScanner
from pycharrnn.server.registry import Registry
from pycharrnn.server.scheduler import Scheduler

WORSE = GOLDEN / "lstm2" / "lm_lstm2_epoch2.71_2.9394.t7"


@pytest.fixture
def folder(tmp_path):
    for file in (WORSE, LSTM):
        shutil.copy(file, tmp_path)
    return tmp_path


def offered(*paths, **keywords) -> Registry:
    return Registry([str(path) for path in paths], print, print, **keywords)


def names(models: Registry) -> list[str]:
    return [facts.id for facts in models.all_facts()]


def ask(app, method: str, path: str, **keywords) -> httpx.Response:
    async def request():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.request(method, path, **keywords)

    return asyncio.run(request())


def app_of(models: Registry):
    return create_app(models, Scheduler(8, threads=2), LOOPBACK, "")


def drawn(app, path: Path) -> httpx.Response:
    return ask(app, "POST", "/api/sample", json={"model": path.stem, "length": 20})


def test_all_checkpoints_of_a_folder_the_best_first(folder):
    (folder / "vocab.t7").write_bytes(b"what training leaves there")
    shutil.copy(LSTM, folder / "lm_lstm2_best.t7")  # a second name
    models = offered(GRU, folder)
    assert names(models) == [GRU.stem, LSTM.stem, WORSE.stem]
    assert [facts.val_loss for facts in models.all_facts()] == pytest.approx([2.9340, 2.8734, 2.9394], abs=1e-4)
    os.utime(folder / WORSE.name, (1e9, 1e9))
    assert facts_of(offered(folder), WORSE.stem).saved == 1e9


def test_models_without_a_loss_come_last_the_newest_first(folder):
    loaded = checkpoint.load(LSTM)
    for k, name in enumerate(("b", "c", "a")):
        charrnn.save(folder / f"{name}.t7", dataclasses.replace(loaded, val_losses={}, val_loss=None))
        os.utime(folder / f"{name}.t7", (k + 1, k + 1))
    assert names(offered(folder)) == [LSTM.stem, WORSE.stem, "a", "c", "b"]


def test_a_file_of_a_folder_that_is_named_too(folder):
    assert names(offered(folder, folder / WORSE.name)) == [LSTM.stem, WORSE.stem]
    with pytest.raises(UserError, match="is named twice"):
        offered(folder / WORSE.name, folder / "." / WORSE.name)


def test_a_folder_that_is_named_twice(folder):
    assert names(offered(folder, folder / ".")) == [LSTM.stem, WORSE.stem]


def test_models_of_a_page(tmp_path):
    page = tmp_path / "gallery.html"
    single_file.write(page, gallery.collect([str(LSTM), str(GRU)], False, lambda line: None), half=False)
    models = offered(f"{page}#{GRU.stem}", f"{page}#{LSTM.stem}")
    assert names(models) == [GRU.stem, LSTM.stem]
    assert facts_of(models, GRU.stem).val_loss == pytest.approx(2.9340, abs=1e-4)
    with pytest.raises(UserError, match="does not exist"):
        offered(f"{tmp_path}/other.html#{GRU.stem}")


def test_one_checkpoint_in_two_formats(folder):
    (folder / WORSE.name).unlink()
    assert run("convert", LSTM.name, f"{LSTM.stem}.safetensors", cwd=folder).returncode == 0
    both = [f"{LSTM.stem}.safetensors", LSTM.name]
    assert sorted(names(offered(folder))) == both
    assert names(offered(*(folder / name for name in both))) == both


def test_what_can_not_be_read_in_a_folder_is_left_out(folder):
    (folder / "half.t7").write_bytes(LSTM.read_bytes()[:5000])
    said, noted = list[str](), list[str]()
    models = Registry([str(folder)], said.append, noted.append)
    assert names(models) == [LSTM.stem, WORSE.stem]
    assert said == [f"offering {LSTM.stem}", f"offering {WORSE.stem}"]
    assert [line.startswith(f"left out: can't read {folder / 'half.t7'}") for line in noted] == [True]


def test_a_file_that_no_reader_expects_is_left_out(folder, monkeypatch):
    """Such as a sparse file of terabytes."""
    load = checkpoint.load

    def failing(path):
        if path.endswith("huge.t7"):
            raise MemoryError
        return load(path)

    monkeypatch.setattr(checkpoint, "load", failing)
    noted: list[str] = []
    models = Registry([str(folder)], print, noted.append, follow=True)
    shutil.copy(GRU, folder / "huge.t7")
    shutil.copy(GRU, folder)
    assert changed(models)
    assert GRU.stem in names(models)
    assert not changed(models)
    assert noted == [f"left out: can't read {folder / 'huge.t7'} as a checkpoint (MemoryError)."]


def test_many_models_are_not_said_one_by_one(folder):
    for k in range(10):
        os.link(folder / WORSE.name, folder / f"other{k}.t7")
        (folder / f"x{k}.t7").write_bytes(WORSE.read_bytes())
    said: list[str] = []
    Registry([str(folder)], said.append, said.append)
    assert len(said) == 11
    assert said[-1] == "offering 2 more"


def test_ten_models_are_all_said(folder):
    for k in range(10 - len(names(Registry([str(folder)], print, print)))):
        (folder / f"x{k}.t7").write_bytes(WORSE.read_bytes())
    said: list[str] = []
    models = Registry([str(folder)], said.append, said.append)
    assert said == [f"offering {name}" for name in names(models)] and len(said) == 10


def test_an_empty_folder(tmp_path):
    assert "has no checkpoint" in sentence(run("serve", str(tmp_path)))
    assert "name a folder" in sentence(run("serve", str(LSTM), "-follow", "1"))
    assert "-follow must be 0 or 1" in sentence(run("serve", str(tmp_path), "-follow", "2"))
    assert names(offered(tmp_path, follow=True)) == []


# -- memory ------------------------------------------------------------------------------------------------------------


def test_models_of_a_folder_are_in_memory_as_far_as_there_is_room(folder):
    size = model_of(offered(folder), LSTM).nbytes
    models = offered(GRU, folder, max_bytes=size + 1)
    reads = []
    reload = registry.reload
    app = app_of(models)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "reload", lambda offer: reads.append(offer.facts.id) or reload(offer))
        first = drawn(app, LSTM).text
        assert reads == []  # the best one was read when it was looked at, and stayed
        other = drawn(app, WORSE).text
        assert drawn(app, WORSE).text == other
        assert drawn(app, GRU).status_code == 200
        assert drawn(app, LSTM).text == first
        assert reads == [WORSE.stem, LSTM.stem]
        assert len(models._cache._cached) == 1


def test_the_least_recently_used_model_is_evicted(folder):
    """Not the one that was read first."""
    shutil.copy(WORSE, folder / "third.t7")
    os.utime(folder / "third.t7", (1, 1))  # the last of the list, which does not fit at first
    size = model_of(offered(folder), LSTM).nbytes
    models = offered(folder, max_bytes=2 * size)
    app = app_of(models)
    reads = []
    reload = registry.reload
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "reload", lambda entry: reads.append(entry.facts.id) or reload(entry))
        for path in (LSTM, WORSE, LSTM, Path("third.t7")):
            gc.collect()
            assert drawn(app, path).status_code == 200
        reads.clear()
        drawn(app, LSTM)
        assert reads == []
        drawn(app, WORSE)
        assert reads == [WORSE.stem]


def test_a_model_that_is_drawn_from_takes_its_room_until_that_is_done(folder):
    models = offered(folder, max_bytes=1)
    app = app_of(models)
    assert drawn(app, LSTM).status_code == 200  # alone, it may be larger
    held = model_of(models, LSTM)
    answer = drawn(app, WORSE)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "memory" in answer.json()["detail"]
    with pytest.raises(registry.CapacityExceeded):
        model_of(models, WORSE)
    assert ask(app, "POST", "/api/score", json={"model": WORSE.stem, "text": "The"}).status_code == 503
    del held
    gc.collect()
    assert drawn(app, WORSE).status_code == 200


def test_requests_that_wait_for_memory_do_not_hold_up_others(folder, monkeypatch):
    size = model_of(offered(folder), LSTM).nbytes
    models = offered(folder, max_bytes=3 * size)
    held = model_of(models, LSTM)
    monkeypatch.setattr(registry, "_ATTEMPTS", 10_000)  # they wait for minutes

    async def ask():
        learning = asyncio.create_task(models.learning_model(WORSE.stem, Adaptation(0.001, 10_000, 0.001)))
        await asyncio.sleep(0.1)
        assert (await models.model(WORSE.stem)).id == WORSE.stem
        assert not learning.done()
        learning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await learning

    asyncio.run(ask())
    assert held.nbytes == size


def test_a_scan_keeps_no_more_models_than_fit(folder):
    size = model_of(offered(folder), LSTM).nbytes
    for max_bytes, count in ((size - 1, 1), (size, 1), (2 * size, 2)):
        found = CheckpointScanner([str(folder)], max_bytes).scan(may_be_empty=False)
        assert len(found.models) == count
        assert sorted(found.new) == sorted(found.entries) == sorted([LSTM.stem, WORSE.stem])
    named = CheckpointScanner([str(LSTM), str(WORSE)], 1).scan(may_be_empty=False)
    assert len(named.models) == 2  # those stay in memory


def test_many_requests_for_a_model_read_it_once(folder, monkeypatch):
    models = offered(folder, max_bytes=1)
    reads = []
    reload = registry.reload

    def slow(offer):
        reads.append(threading.current_thread().name)
        time.sleep(0.05)
        return reload(offer)

    monkeypatch.setattr(registry, "reload", slow)

    async def all_at_once():
        return await asyncio.gather(*(models.model(WORSE.stem) for _ in range(5)))

    models._cache.drop(LSTM.stem)
    assert len({id(model) for model in asyncio.run(all_at_once())}) == 1
    assert len(reads) == 1
    assert reads[0].startswith("reader")  # the event loop goes on meanwhile


# -- files that change ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        Path.unlink,
        lambda path: path.write_bytes(path.read_bytes()[:1000]),
        lambda path: path.write_bytes(GRU.read_bytes()),
        lambda path: os.replace(shutil.copy(GRU, path.with_suffix(".new")), path),
    ],
)
def test_a_file_that_is_no_longer_what_it_was(folder, change):
    app = app_of(offered(folder, max_bytes=1))
    assert drawn(app, WORSE).status_code == 200
    before = drawn(app, LSTM).text
    change(folder / WORSE.name)
    for path, body in (("/api/sample", {}), ("/api/score", {"text": "The"})):
        answer = ask(app, "POST", path, json={"model": WORSE.stem, **body})
        assert answer.status_code == 404
        assert answer.json()["detail"] == "the file of this model has changed or is gone: choose another model."
    assert drawn(app, LSTM).text == before


def test_a_request_reads_the_file_of_its_model_and_no_other(folder):
    app = app_of(offered(folder, max_bytes=1))
    drawn(app, LSTM)
    opened: list[str] = []
    watching = True
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if watching and event == "open" else None)
    try:
        for name in ("/etc/passwd", "../x", str(folder / WORSE.name), WORSE.name):
            assert ask(app, "POST", "/api/sample", json={"model": name}).status_code == 404
            assert ask(app, "GET", "/api/losses", params={"model": name}).status_code == 404
        drawn(app, WORSE)
    finally:
        watching = False
    assert {path for path in opened if not path.endswith((".py", ".pyc"))} == {str(folder / WORSE.name)}


def changed(models: Registry) -> bool:
    """Look once at the folders, as the server does every second; return whether the list changed."""
    before = models.generation
    asyncio.run(models.scan_again())
    return models.generation != before


def test_new_checkpoints_of_a_folder_are_followed(tmp_path):
    said: list[str] = []
    models = Registry([str(tmp_path)], said.append, said.append, follow=True)
    app = app_of(models)
    assert not changed(models)
    shutil.copy(WORSE, tmp_path)
    assert changed(models)
    assert names(models) == [WORSE.stem]
    before = drawn(app, WORSE).text
    shutil.copy(LSTM, tmp_path)
    assert changed(models)
    assert names(models) == [LSTM.stem, WORSE.stem]
    assert not changed(models)
    assert drawn(app, WORSE).text == before
    (tmp_path / WORSE.name).unlink()
    assert changed(models)
    assert names(models) == [LSTM.stem]
    assert drawn(app, WORSE).status_code == 404
    assert said == [f"offering {WORSE.stem}", f"offering {LSTM.stem}"]


@pytest.mark.parametrize("max_bytes", [registry.MAX_BYTES, 1])
def test_a_file_that_is_replaced_is_the_new_one_under_the_old_name(tmp_path, max_bytes):
    """Also where the cache has no place for the new one beside the old one."""
    latest = tmp_path / "lm_latest.t7"
    shutil.copy(WORSE, latest)
    models = offered(tmp_path, follow=True, max_bytes=max_bytes)
    app = app_of(models)
    before = drawn(app, latest).text
    os.replace(shutil.copy(LSTM, tmp_path / "new"), latest)
    assert drawn(app, latest).text == before
    assert changed(models)
    assert facts_of(models, "lm_latest").val_loss == pytest.approx(2.8734, abs=1e-4)
    assert drawn(app, latest).text == drawn(app_of(offered(LSTM)), LSTM).text != before


def test_a_file_that_goes_after_it_was_listed_is_not_said(folder, monkeypatch):
    """As where a training keeps two checkpoints, and writes a third."""
    load = checkpoint.load

    def going(path):
        if path.endswith("new.t7"):
            (folder / "old.t7").unlink()
        elif path.endswith("half.t7"):
            shutil.copy(LSTM, path)
            raise UserError("can't read it.")
        return load(path)

    noted: list[str] = []
    models = Registry([str(folder)], print, noted.append, follow=True)
    monkeypatch.setattr(checkpoint, "load", going)
    for age, name in enumerate(("new.t7", "old.t7", "half.t7")):
        shutil.copy(GRU, folder / name)
        os.utime(folder / name, (1e9 - age, 1e9 - age))  # the newest is read first
    assert changed(models)
    monkeypatch.undo()
    assert changed(models)
    assert {"new", "half"} < set(names(models)) and "old" not in names(models)
    assert noted == []


def test_a_damaged_file_is_said_once_and_read_when_it_is_whole(folder):
    said: list[str] = []
    models = Registry([str(folder)], said.append, said.append, follow=True)
    (folder / "more.t7").write_bytes(GRU.read_bytes()[:5000])
    assert not changed(models)
    assert not changed(models)
    assert [line.startswith("left out: ") for line in said] == [False, False, True]
    shutil.copy(GRU, folder / "more.t7")
    assert changed(models)
    assert "more" in names(models)


def test_names_stay_when_a_file_of_the_same_name_comes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    shutil.copy(LSTM, tmp_path / "a" / "x.t7")
    models = offered(tmp_path / "a", tmp_path / "b", follow=True)
    shutil.copy(WORSE, tmp_path / "b" / "x.t7")
    assert changed(models)
    assert names(models) == ["x", "b/x"]


def test_files_that_were_named_are_not_followed(folder):
    models = offered(folder, GRU, follow=True)
    shutil.rmtree(folder)
    assert changed(models)
    assert names(models) == [GRU.stem]
    assert not changed(models)


def test_nobody_reads_any_more_what_is_said(folder):
    models = offered(folder, follow=True)

    def say(line: str) -> None:
        raise UserError("stdout is closed.")

    models._say = say
    shutil.copy(GRU, folder)
    assert changed(models)
    assert drawn(app_of(models), GRU).status_code == 200


def test_a_folder_that_cannot_be_listed_keeps_its_models_and_the_other_folders(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    shutil.copy(LSTM, tmp_path / "a")
    noted: list[str] = []
    models = Registry([str(tmp_path / "a"), str(tmp_path / "b")], print, noted.append, follow=True)
    newest_first = checkpoint_scan.newest_first

    def failing(folder: str):
        if folder.endswith("a"):
            raise RecursionError("too deep")
        return newest_first(folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint_scan, "newest_first", failing)
        assert not changed(models)
        shutil.copy(GRU, tmp_path / "b")
        assert changed(models)
        assert names(models) == [LSTM.stem, GRU.stem]
    shutil.copy(WORSE, tmp_path / "a")
    assert changed(models)
    assert names(models) == [LSTM.stem, WORSE.stem, GRU.stem]
    (tmp_path / "b" / GRU.name).unlink()
    assert changed(models)
    assert noted == [f"left out: can't list {tmp_path / 'a'} (RecursionError: too deep)."]
    monkeypatch.setattr(checkpoint_scan, "newest_first", failing)
    assert not changed(models)
    assert len(noted) == 2  # it is another failure


def test_a_scan_that_fails_is_reported_once_and_the_next_ones_go_on(folder, monkeypatch):
    noted: list[str] = []
    models = Registry([str(folder)], print, noted.append, follow=True)
    failures = {"a": 2, "b": 2}  # of scans that find these files

    def failing(new, known):
        for path in new:
            name = Path(path).stem
            failures[name] -= 1
            if failures[name] >= 0:
                raise RuntimeError("no ids")
        return model_ids(new, known)

    async def scenario():
        task = asyncio.create_task(models.follow_folders())
        for name in failures:
            shutil.copy(GRU, folder / "new")
            os.replace(folder / "new", folder / f"{name}.t7")
            while name not in names(models):
                await asyncio.sleep(0.005)
        task.cancel()

    model_ids = checkpoint_scan._model_ids
    monkeypatch.setattr(checkpoint_scan, "_model_ids", failing)
    monkeypatch.setattr(registry, "SCAN_SECONDS", 0)
    asyncio.run(scenario())
    assert noted == ["can't scan the folders for checkpoints (RuntimeError: no ids); trying again."] * 2


@pytest.mark.parametrize("replaced", [True, False])
def test_a_model_that_a_scan_drops_while_it_is_read_is_not_cached(folder, monkeypatch, replaced):
    models = offered(folder, follow=True, max_bytes=1)
    app = app_of(models)
    first = drawn(app, WORSE).text
    drawn(app, LSTM)  # which evicts it
    reload, file = registry.reload, folder / WORSE.name

    def slow(entry):
        model = reload(entry)
        os.replace(shutil.copy(GRU, folder / "new"), file) if replaced else file.unlink()
        result = models._scanner.rescan(models._entries)
        asyncio.run_coroutine_threadsafe(apply(result), loop).result()
        return model

    async def apply(result):
        models._apply(result)

    async def request():
        nonlocal loop
        loop = asyncio.get_running_loop()
        return await models.model(WORSE.stem)

    loop = None
    with monkeypatch.context() as patch:
        patch.setattr(registry, "reload", slow)
        assert asyncio.run(request()).facts.val_loss == pytest.approx(2.9394, abs=1e-4)  # the one it asked for
    gc.collect()
    again = drawn(app, WORSE)
    assert again.status_code == (200 if replaced else 404)
    assert again.text != first


# -- what is told ------------------------------------------------------------------------------------------------------


def test_a_list_that_is_as_it_was_is_not_sent_again(folder):
    models = offered(folder, follow=True)
    app = app_of(models)
    first = ask(app, "GET", "/api/models")
    assert first.json()["follow"] is True
    tag = {"if-none-match": first.headers["etag"]}
    again = ask(app, "GET", "/api/models", headers=tag)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    shutil.copy(GRU, folder)
    assert changed(models)
    answer = ask(app, "GET", "/api/models", headers=tag)
    assert (answer.status_code, len(answer.json()["models"])) == (200, 3)
    tag = {"if-none-match": answer.headers["etag"]}
    for paths, status in (([folder], 304), ([LSTM], 200)):
        another_server = app_of(offered(*paths, follow=paths == [folder]))
        assert ask(another_server, "GET", "/api/models", headers=tag).status_code == status


@pytest.mark.parametrize("form, status", [("W/{}", 304), ('"a", {}', 304), ('"a",W/{}', 304), ("*", 304), ('"a"', 200)])
def test_a_list_is_compared_with_each_tag_of_the_header(form, status):
    app = app_of(offered(LSTM))
    tag = ask(app, "GET", "/api/models").headers["etag"]
    assert ask(app, "GET", "/api/models", headers={"if-none-match": form.format(tag)}).status_code == status


def test_losses_are_those_that_the_checkpoint_holds():
    answer = ask(app_of(offered(LSTM)), "GET", "/api/losses", params={"model": LSTM.stem}).json()
    loaded = checkpoint.load(LSTM)
    assert answer["val"] == {
        "iterations": sorted(loaded.val_losses),
        "losses": pytest.approx([loaded.val_losses[i] for i in sorted(loaded.val_losses)], rel=1e-5),
    }
    assert answer["epochs_per_iteration"] == pytest.approx(loaded.epoch / loaded.i)
    assert answer["train"]["iterations"][:: len(answer["train"]["iterations"]) - 1] == [1, loaded.i]
    assert answer["window"] == 7
    assert answer["train"]["losses"][0] == pytest.approx(np.mean(loaded.train_losses[:4]), rel=1e-5)


@pytest.mark.parametrize("query", ["", "model=x&more=1", "model=" + "x" * 1001, "other=x", f"model={LSTM.stem}&=null"])
def test_a_query_that_is_none_of_losses(query):
    assert ask(app_of(offered(LSTM)), "GET", f"/api/losses?{query}").status_code == 422


def test_a_server_that_follows_a_folder(tmp_path):
    """The command, with a folder that is empty at first."""
    with server(tmp_path, "-follow", "1") as running, client_of(running.url) as client:
        assert client.get("/api/models").json()["models"] == []
        shutil.copy(LSTM, tmp_path / "new")
        os.replace(tmp_path / "new", tmp_path / LSTM.name)
        until(lambda: client.get("/api/models").json()["models"])
        assert client.post("/api/sample", json={"model": LSTM.stem, "length": 5}).status_code == 200


def test_a_server_that_follows_a_training(tmp_path):
    """A .safetensors checkpoint is offered while the training that has written it runs."""
    folder_with_text(tmp_path)
    folder = tmp_path / "cv"
    folder.mkdir()
    options = ["-checkpoint_format", "safetensors", "-eval_val_every", "50", "-max_epochs", "10000"]
    with server(folder, "-follow", "1") as running, client_of(running.url) as client:
        assert client.get("/api/models").json()["models"] == []
        training = started(tmp_path, *options, lines=0, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not (offered := client.get("/api/models").json()["models"]) and training.poll() is None:
                time.sleep(0.05)
            assert training.poll() is None
            answer = client.post("/api/sample", json={"model": offered[0]["id"], "length": 5})
            assert answer.status_code == 200, answer.text
        finally:
            training.kill()
            training.wait()
    assert {path.suffix for path in folder.glob("lm_*")} == {".safetensors"}
