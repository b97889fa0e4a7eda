"""pycharrnn studio in a folder whose files are damaged, of another version, or gone."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import needs_signals
from studio_tools import files_below, use_fake_training

from pycharrnn.server.studio import run_record


def change(run_id: str, **values: object) -> None:
    path = Path(f"studio/runs/{run_id}/run.json")
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def test_records_of_another_version_are_left_out(studio):
    run_id = studio.start()
    path = Path(f"studio/runs/{run_id}/run.json")
    path.write_text(path.read_text(encoding="utf-8").replace('"name"', '"title"'), encoding="utf-8")
    assert run_record.load_all() == {}


def test_a_run_that_can_not_be_read_keeps_its_text(studio):
    left_out, unused = studio.start(), studio.text()
    text_id = studio.record(left_out).text
    change(left_out, of_another_version=1)
    studio.begin_anew()
    assert studio.get("/runs").json()["runs"] == []
    assert Path(f"studio/texts/{text_id}/input/poems.txt").exists()
    assert not os.path.exists(f"studio/texts/{unused}")


@pytest.mark.parametrize("damaged", ["{", "{}", '{"text": 1}', '{"text": "poems"}', None])
def test_no_text_is_removed_while_a_run_does_not_say_which_it_uses(studio, damaged):
    run_id, other = studio.start(), studio.start()
    texts = files_below("studio/texts")
    path = Path(f"studio/runs/{run_id}/run.json")
    if damaged is None:
        path.rename(path.with_name("lost.json"))
    else:
        path.write_text(damaged, encoding="utf-8")
    Path("studio/runs/r00000000").mkdir()  # of a run that could not be written
    studio.begin_anew()
    assert [run["id"] for run in studio.get("/runs").json()["runs"]] == [other]
    assert files_below("studio/texts") == texts
    shutil.rmtree(path.parent)
    studio.begin_anew()
    assert len(files_below("studio/texts")) == len(texts) / 2


@pytest.mark.parametrize("description", ["{", "[]", '{"folder": 1}', '{"folder": "", "given": 1}', '{"folder": ".."}'])
def test_a_text_whose_description_is_damaged_is_not_here(studio, description):
    text_id = studio.text()
    Path(f"studio/texts/{text_id}.json").write_text(description, encoding="utf-8")
    for answer in (studio.upload(text_id, "a.txt"), studio.post(f"/texts/{text_id}/read")):
        assert (answer.status_code, answer.json()["detail"]) == (404, "this text is not here any more: drop it again.")


def test_a_text_of_an_earlier_server_takes_files_and_is_read(studio):
    folder = studio.post("/texts", name="My poems", is_folder=True).json()["id"]
    loose = studio.text("a b.txt")
    run_id = studio.start("damaged")
    change(run_id, text=1)  # so that no text is removed
    studio.begin_anew()
    assert studio.upload(folder, "other/c.txt").status_code == 422
    assert studio.upload(folder, "My poems/c.txt").status_code == studio.upload(loose, "d.txt").status_code == 200
    found = [studio.post(f"/texts/{text_id}/read").json() for text_id in (folder, loose)]
    assert [[file["name"] for file in one["files"]] for one in found] == [["My poems/c.txt"], ["a_b.txt", "d.txt"]]
    assert [one["name"] for one in found] == ["My_poems", "a_b_and_1_more"]
    used = studio.record(studio.post("/runs", text=loose, choice="quick").json()["id"]).text
    assert used == loose and studio.upload(loose, "e.txt").status_code == 409


@pytest.mark.parametrize(
    "values",
    [
        {"created": None},
        {"state": "done"},
        {"bytes": "x"},
        {"words": ["train", 1]},
        {"words": []},
        {"words": ["train", "a\0b"]},
        {"next_words": ["train", "\ud800"]},
        {"next_words": []},
        {"resume_flags": ["-show", "a\0b"]},
        {"resume_flags": ["-log", "letter.txt"]},
        {"resume_flags": ["-init_from", "letter.txt"]},
        {"show": "x"},
    ],
)
def test_a_run_with_a_value_that_cannot_be_is_left_out(studio, values):
    damaged, other = studio.start(), studio.start()
    change(damaged, **values)
    studio.begin_anew()
    assert [run["id"] for run in studio.get("/runs").json()["runs"]] == [other]


@pytest.mark.parametrize("show, flags", [(0, ()), (50, ("-show", "50"))])
def test_a_run_of_an_older_version_goes_on_with_its_samples(studio, show, flags):
    """Its record has the value of -show alone in place of the words."""
    run_id = studio.start()
    path = Path(f"studio/runs/{run_id}/run.json")
    values = json.loads(path.read_text(encoding="utf-8"))
    del values["resume_flags"]
    path.write_text(json.dumps({**values, "show": show}), encoding="utf-8")
    studio.begin_anew()
    assert studio.record(run_id).resume_flags == flags


def test_a_choice_that_is_no_unicode_is_shown(studio):
    run_id = studio.start()
    change(run_id, choice="\ud800")
    studio.begin_anew()
    assert [run["choice"] for run in studio.get("/runs").json()["runs"]] == ["\ufffd"]


@pytest.mark.parametrize("order", [[["x"]], [None], "x", 1])
def test_a_damaged_queue_is_in_the_order_of_its_runs(studio, order):
    ids = [studio.start() for _ in range(2)]
    Path("studio/runs/queue.json").write_text(json.dumps({"queue": order}), encoding="utf-8")
    studio.begin_anew()
    assert studio.get("/runs").json()["queue"] == ids


# -- links and pipes, which a stranger may have put there --------------------------------------------------------------

PUT: dict[str, Callable[[Path], object]] = {
    "a link": lambda path: path.symlink_to(os.path.abspath("letter.txt")),
    "a link to nothing": lambda path: path.symlink_to(os.path.abspath("missing.txt")),
    "a pipe": lambda path: os.mkfifo(path),
}


@pytest.fixture(params=list(PUT))
def put_at(request) -> Callable[[Path], str]:
    """Puts a link or a pipe in the place of a file, and returns what is said of it."""
    Path("letter.txt").write_text("a letter", encoding="utf-8")

    def put(path: Path) -> str:
        path.unlink(missing_ok=True)
        PUT[request.param](path)
        return f"it is {'not a regular file' if request.param == 'a pipe' else 'a symbolic link'}: remove it"

    return put


@needs_signals
@pytest.mark.parametrize(
    "name",
    ["studio/runs/{id}/events.jsonl", "studio/runs/{id}/stderr.txt", "cv/lm_poems_latest.t7", "cv/poems.csv"],
)
def test_a_training_writes_through_no_link_and_to_no_pipe(studio, monkeypatch, put_at, name):
    use_fake_training(monkeypatch, "finish")
    run_id = studio.start()
    studio.until(run_id, lambda run: run["state"] == "finished")
    path = Path(name.format(id=run_id))
    said = put_at(path)
    studio.begin_anew()
    assert studio.post(f"/runs/{run_id}/go_on", minutes=1).status_code == 200
    failed = studio.until(run_id, lambda run: run["state"] in ("failed", "finished"))
    assert failed["error"] == f"can't begin the training: can't use {path} ({said})."
    assert Path("letter.txt").read_text(encoding="utf-8") == "a letter" and not Path("missing.txt").exists()
    path.unlink()
    studio.post(f"/runs/{run_id}/go_on")
    studio.until(run_id, lambda run: run["state"] == "finished")


@needs_signals
def test_the_lists_of_a_studio_are_regular_files(studio, put_at):
    """A link to a run elsewhere would have that changed."""
    linked, other = studio.start(), studio.start("other")
    record = Path(f"studio/runs/{linked}/run.json")
    shutil.copy(record, "letter.txt")
    before = Path("letter.txt").read_bytes()
    for path in (record, Path("studio/runs/queue.json")):
        put_at(path)
    studio.begin_anew()
    assert studio.get("/runs").json()["queue"] == [other]
    assert studio.post(f"/runs/{other}/stop").json()["state"] == "stopped"
    assert Path("letter.txt").read_bytes() == before and not Path("missing.txt").exists()


@pytest.mark.parametrize("folder, path", [("cv", "/runs"), ("cv", "/runs/ID"), ("trash", "/trash")])
def test_a_folder_that_can_not_be_listed_has_a_sentence(studio, folder, path):
    run_id = studio.start()
    Path(folder).rmdir()
    Path(folder).write_text("", encoding="utf-8")
    answer = studio.get(path.replace("ID", run_id))
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/json")
    assert answer.json()["detail"].startswith(f"can't use {folder} (")


@pytest.mark.parametrize("removed", ["trash", "cv", "models", "studio/texts", "studio/runs"])
def test_a_folder_that_the_user_removes_is_empty(studio, removed):
    text_id = studio.text()
    Path(removed).rename("moved")
    assert studio.get("/trash").json() == {"trash": []}
    assert studio.get("/runs").json()["runs"] == []
    if removed == "studio/texts":
        text_id = studio.text()
    assert studio.post(f"/texts/{text_id}/read").status_code == 200
    assert studio.post("/command", text=text_id, choice="quick").status_code == 200
    run_id = studio.post("/runs", text=text_id, choice="quick").json()["id"]
    assert studio.post(f"/runs/{run_id}/delete").status_code == 200
