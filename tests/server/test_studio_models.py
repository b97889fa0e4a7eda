"""pycharrnn studio: models that are brought, sent, deleted and brought back."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from conftest import GOLDEN
from serving_tools import GRU, LSTM
from studio_tools import BYTES, StudioApp, files_below

import pycharrnn
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common.errors import UserError
from pycharrnn.page import gallery, single_file
from pycharrnn.server.studio import model_files, run_record, studio_paths, trash


def bring(studio: StudioApp, name: str, content: bytes, **headers: str):
    return studio.ask("PUT", "/bring", params={"name": name}, content=content, headers={**BYTES, **headers})


def names(studio: StudioApp) -> list[str]:
    return [facts.id for facts in studio.models.all_facts()]


# -- bring -------------------------------------------------------------------------------------------------------------


def test_an_old_checkpoint_is_there_to_play_with(studio):
    answer = bring(studio, "../lm lstm_epoch17.33.t7", LSTM.read_bytes())
    assert answer.status_code == 201
    assert answer.json() == {
        "models": ["lm_lstm_epoch17.33"],
        "sentence": "one model is here to play with: models/lm_lstm_epoch17.33.t7.",
    }
    assert names(studio) == ["lm_lstm_epoch17.33"]
    assert Path("models/lm_lstm_epoch17.33.t7").read_bytes() == LSTM.read_bytes()
    assert bring(studio, "lm lstm_epoch17.33.t7", GRU.read_bytes()).json()["models"] == ["lm_lstm_epoch17.33_2"]
    assert Path("models/lm_lstm_epoch17.33.t7").read_bytes() == LSTM.read_bytes()
    assert bring(studio, "no ending", GRU.read_bytes()).json()["models"] == ["no_ending"]
    assert files_below("studio/incoming") == []


@pytest.mark.parametrize("brought", [("best", "epoch2.00_1.9000", "latest"), ("epoch2.00_1.9000", "latest", "best")])
def test_a_checkpoint_that_is_brought_by_all_names_of_its_run_is_one_model(studio, brought):
    """Lists show it by one name only: by the others, it could not be played with."""
    answers = [bring(studio, f"lm_a_{name}.t7", LSTM.read_bytes()).json() for name in brought]
    first = f"lm_a_{brought[0]}"
    assert answers == 3 * [{"models": [first], "sentence": f"one model is here to play with: models/{first}.t7."}]
    assert names(studio) == [first]
    assert bring(studio, f"lm_a_{brought[1]}.t7", GRU.read_bytes()).json()["models"] == [f"lm_a_{brought[1]}"]
    assert bring(studio, "lm_b_best.t7", LSTM.read_bytes()).json()["models"] == ["lm_b_best"]
    assert len(names(studio)) == 3


@pytest.mark.parametrize("brought", [("a.t7", "a.t7_cpu.t7"), ("a.t7_cpu.t7", "a.t7")])
def test_a_model_and_its_copy_for_the_cpu_are_both_there(studio, brought):
    ids = [bring(studio, name, LSTM.read_bytes()).json()["models"] for name in brought]
    assert sorted(names(studio)) == sorted(model_id for (model_id,) in ids)


def test_a_page_of_several_models_is_several_models(studio, tmp_path):
    page = tmp_path / "page.html"
    single_file.write(page, gallery.collect([str(LSTM), str(GRU)], False, print), False)
    answer = bring(studio, "gallery.html", page.read_bytes()).json()
    assert sorted(answer["models"]) == sorted([LSTM.stem, GRU.stem])
    assert answer["sentence"].startswith("2 models are here to play with: models/")
    brought = checkpoint.load(f"models/{LSTM.stem}.t7")
    assert brought.network.weights.keys() == checkpoint.load(LSTM).network.weights.keys()
    single_file.write(page, gallery.collect([str(GRU)], False, print), False)
    assert bring(studio, "one.html", page.read_bytes()).json()["models"] == ["one"]


def test_a_file_may_have_its_ending_in_upper_case(studio, tmp_path):
    page = tmp_path / "page.html"
    single_file.write(page, gallery.collect([str(LSTM), str(GRU)], False, print), False)
    assert len(bring(studio, "GALLERY.HTML", page.read_bytes()).json()["models"]) == 2
    assert bring(studio, "OLD.T7", LSTM.read_bytes()).json()["models"] == ["OLD"]
    assert Path("models/OLD.t7").read_bytes() == LSTM.read_bytes()


@pytest.mark.parametrize("ending", model_files.ENDINGS)
def test_each_format_can_be_brought(studio, tmp_path, ending):
    path = tmp_path / f"m{ending}"
    pycharrnn.load(LSTM).save(path)
    answer = bring(studio, path.name, path.read_bytes())
    assert answer.status_code == 201, answer.text
    assert len(answer.json()["models"]) == 1


@pytest.mark.parametrize(
    "name, content, detail",
    [
        ("x.t7", b"a text\n" * 199, "can't read x.t7 as a checkpoint: it is a text: Learn makes a model of it."),
        ("x.png", b"\x89PNG\r\n\0" * 9, "can't read x.png as a checkpoint: it is a picture: pycharrnn reads"),
        ("x.t7", b"%PDF-1.4\n", "x.t7 is a PDF file, not a checkpoint: to learn from it, save its text as plain text"),
        ("x.docx", b"PK\3\4", "x.docx is a Word file, not a checkpoint: "),
        ("x.t7", b"\4\0\0\0\1\0\0\0" + b"\377" * 40, "can't read x.t7 as a checkpoint: "),
        ("x.t7", LSTM.read_bytes()[:9000], "can't read x.t7 as a checkpoint: "),
        ("x.html", b"<html><script>alert(1)</script></html>", "can't read x.html as a checkpoint: there is no model"),
        ("x.json", b"[" * 100_000, "can't read x.json as a checkpoint: "),
        ("x.safetensors", b"\377" * 99, "can't read x.safetensors as a checkpoint: "),
        ("x.c", b"int main() {}", "can't read x.c as a checkpoint: it is C source; bring the checkpoint that"),
        ("", b"", "can't read text as a checkpoint: "),
    ],
)
def test_a_file_that_is_no_checkpoint_leaves_nothing(studio, name, content, detail):
    answer = bring(studio, name, content)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(detail)
    assert "incoming" not in answer.json()["detail"]
    assert files_below("models") == files_below("studio/incoming") == names(studio) == []


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (MemoryError(), UserError, "out of memory: use smaller values, or end other programs."),
        (ValueError("x"), UserError, "can't read page.html as a checkpoint (ValueError)."),
        (OSError(errno.EIO, "Input/output error"), OSError, "[Errno 5] Input/output error"),
        (SystemExit(1), SystemExit, "1"),
        (KeyboardInterrupt(), KeyboardInterrupt, ""),
    ],
)
def test_a_fault_at_the_second_model_leaves_nothing(studio, monkeypatch, fault, error, words):
    path, load = model_files.incoming_path("page.html"), checkpoint.load
    single_file.write(path, gallery.collect([str(LSTM), str(GRU)], False, print), False)

    def load_one(model):
        if os.listdir("models"):
            raise fault
        return load(model)

    monkeypatch.setattr(checkpoint, "load", load_one)
    with pytest.raises(error) as raised:
        model_files.bring(path)
    assert str(raised.value) == words
    assert files_below("models") == []


def test_no_page_of_another_site_can_bring(studio):
    assert bring(studio, "x.t7", LSTM.read_bytes(), origin="http://elsewhere.example").status_code == 403
    assert bring(studio, "x.t7", LSTM.read_bytes(), **{"content-type": "text/plain"}).status_code == 422
    assert names(studio) == []


# -- send --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def with_model(studio):
    shutil.copy(LSTM, "cv")
    studio.scan()
    return studio


def test_each_format_is_a_download(with_model, tmp_path):
    offered = [one["format"] for one in with_model.get("").json()["send_formats"]]
    assert offered == ["html", "t7", "safetensors", "json", "pt", "onnx", "c"]
    for ending in offered:
        answer = with_model.get("/send", params={"model": LSTM.stem, "format": ending})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-disposition"] == f'attachment; filename="{LSTM.stem}.{ending}"'
        sent = tmp_path / f"sent.{ending}"
        sent.write_bytes(answer.content)
        if ending != "c":
            assert checkpoint.load(sent).vocab == checkpoint.load(LSTM).vocab
    assert files_below("studio/outgoing") == []


@pytest.mark.parametrize(
    "path, heading",
    [("cv/lm_odes_epoch1.00_1.5000.t7", "odes"), ("cv/lm_corpus_2_epoch1.00_1.5000.t7", "corpus")],
)
def test_a_page_has_the_name_of_its_run(studio, path, heading):
    shutil.copy(LSTM, path)  # of the text `corpus`
    studio.scan()
    page = studio.get("/send", params={"model": Path(path).stem, "format": "html"}).text
    assert f"<title>{heading}</title>" in page


def test_a_page_with_a_title(with_model):
    given = {"model": LSTM.stem, "title": " Lamps & <rooms> ", "about": "For Agn\u00e8s."}
    page = with_model.get("/send", params={**given, "format": "html"}).text
    assert '<h1 id="title" data-fixed>Lamps &amp; &lt;rooms&gt;</h1>' in page
    assert re.search('<p id="about"[^>]*>For Agn\u00e8s[.]</p>', page)
    refused = with_model.get("/send", params={**given, "format": "t7"})
    assert refused.status_code == 422
    assert refused.json()["detail"] == "title is for .html or .htm files, not for .t7: leave it out."
    assert files_below("studio/outgoing") == []
    assert with_model.get("/send", params={**given, "title": "x" * 201, "format": "html"}).status_code == 422


@pytest.mark.parametrize("asked", ["bytes=0-9", "bytes=99999999-", "bytes=abc", "bytes=5-2", "lines=1"])
def test_a_model_is_sent_whole_whatever_range_is_asked_for(with_model, asked):
    """Each request makes the file anew, and nothing of it stays."""
    answer = with_model.get("/send", params={"model": LSTM.stem, "format": "t7"}, headers={"range": asked})
    assert (answer.status_code, answer.headers["accept-ranges"]) == (200, "none")
    assert len(answer.content) == int(answer.headers["content-length"]) > 10
    assert files_below("studio/outgoing") == []


@pytest.mark.parametrize(
    "model, ending, status", [("x", "t7", 404), ("../cv", "t7", 404), (LSTM.stem, "exe", 422), (LSTM.stem, "../x", 422)]
)
def test_what_can_not_be_sent(with_model, model, ending, status):
    answer = with_model.get("/send", params={"model": model, "format": ending})
    assert answer.status_code == status
    assert answer.json()["detail"].endswith(".")
    assert files_below("studio/outgoing") == []


def test_a_model_whose_file_is_gone_can_not_be_sent(with_model):
    """A training removes the checkpoints that are no longer its newest or best."""
    Path(f"cv/{LSTM.name}").rename("elsewhere.t7")
    answer = with_model.get("/send", params={"model": LSTM.stem, "format": "html"})
    assert answer.status_code == 404
    assert answer.json() == {"detail": "the file of this model has changed or is gone: choose another model."}


def test_a_full_disk(with_model, monkeypatch):
    def full(fd):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    answer = with_model.get("/send", params={"model": LSTM.stem, "format": "t7"})
    assert answer.status_code == 507
    assert answer.json()["detail"] == "can't write the file to send: the disk is full. Make room, and try again."
    assert bring(with_model, "x.t7", LSTM.read_bytes()).status_code == 507
    deleted = with_model.post("/models/delete", model=LSTM.stem)
    assert deleted.status_code == 507
    assert names(with_model) == [LSTM.stem]
    assert files_below("trash") == files_below("studio/outgoing") == files_below("studio/incoming") == []


# -- the trash ---------------------------------------------------------------------------------------------------------


def test_a_model_is_moved_with_its_second_names_and_brought_back(with_model):
    os.link(f"cv/{LSTM.name}", "cv/lm_lstm2_best.t7")
    os.link(f"cv/{LSTM.name}", "cv/kept")  # no model by this name
    files = [f"cv/{LSTM.name}", "cv/lm_lstm2_best.t7"]
    asked = with_model.get("/models/files", params={"model": LSTM.stem}).json()
    assert asked == {"files": files, "bytes": LSTM.stat().st_size}
    deleted = with_model.post("/models/delete", model=LSTM.stem).json()
    assert deleted["files"] == files
    folder = f"trash/{deleted['trash']}"
    assert deleted["sentence"] == f"moved {', '.join(files)} to {folder}; Undo brings them back."
    assert names(with_model) == [] and files_below("cv") == ["cv/kept"]
    answer = with_model.get("/trash")
    (entry,) = answer.json()["trash"]
    again = with_model.get("/trash", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (entry["what"], entry["kind"], entry["files"]) == (LSTM.stem, "model", files)
    undone = with_model.post(f"/trash/{deleted['trash']}/undo")
    assert undone.json() == {"files": files, "run": None}
    assert names(with_model) == [LSTM.stem]
    assert files_below("trash") == []
    assert with_model.post(f"/trash/{deleted['trash']}/undo").status_code == 404
    assert with_model.post("/models/delete", model="another").status_code == 404


def test_a_run_takes_all_of_its_files_along(studio):
    run_id = studio.start("lstm2")
    other = studio.start("other")
    shutil.copy(LSTM, "cv")
    shutil.copy(GOLDEN / "lstm2" / "lm_lstm2_epoch2.71_2.9394.t7", "cv")
    shutil.copy(GRU, "cv")
    Path("cv/lstm2.csv").write_text("", encoding="utf-8")
    studio.scan()
    before = files_below(".")
    asked = studio.get(f"/runs/{run_id}/files").json()
    deleted = studio.post(f"/runs/{run_id}/delete").json()
    assert asked["files"] == deleted["files"]
    assert set(asked["files"]) > {f"cv/{LSTM.name}", "cv/lm_lstm2_epoch2.71_2.9394.t7", "cv/lstm2.csv"}
    assert names(studio) == [GRU.stem]
    assert [run["id"] for run in studio.get("/runs").json()["runs"]] == [other]
    assert studio.get("/runs").json()["queue"] == [other]
    assert studio.start("lstm2") and studio.get("/runs").json()["runs"][0]["name"] == "lstm2_2"
    undone = studio.post(f"/trash/{deleted['trash']}/undo").json()
    assert (sorted(undone["files"]), undone["run"]) == (sorted(deleted["files"]), run_id)
    assert set(before) <= set(files_below("."))
    run = studio.run(run_id)
    assert (run["state"], len(run["models"])) == ("stopped", 2)
    studio.begin_anew()
    assert studio.run(run_id)["models"] == run["models"]
    assert run_id not in studio.get("/runs").json()["queue"]


def test_what_is_there_again_is_not_replaced(with_model):
    deleted = with_model.post("/models/delete", model=LSTM.stem).json()
    shutil.copy(GRU, f"cv/{LSTM.name}")
    refused = with_model.post(f"/trash/{deleted['trash']}/undo")
    assert refused.status_code == 409
    assert refused.json()["detail"].startswith(f"cv/{LSTM.name} is there again: ")
    assert Path(f"cv/{LSTM.name}").read_bytes() == GRU.read_bytes()
    assert len(with_model.get("/trash").json()["trash"]) == 1


def test_all_files_are_moved_or_none(with_model, monkeypatch):
    shutil.copy(GRU, "cv/b.t7")
    rename = os.rename

    def rename_but_one(source, target):
        if source.endswith("b.t7"):
            raise OSError(errno.EACCES, "Permission denied")
        return rename(source, target)

    monkeypatch.setattr(trash.os, "rename", rename_but_one)
    with pytest.raises(Exception, match=r"can't move them to trash \(Permission denied\)\."):
        trash.delete([f"cv/{LSTM.name}", "cv/b.t7"], "them", "model")
    assert files_below("cv") == ["cv/b.t7", f"cv/{LSTM.name}"]
    assert files_below("trash") == []


def test_what_is_gone_already_leaves_nothing_in_the_trash(with_model, monkeypatch):
    """As where two browsers delete a model at the same moment, before the server has noticed that its file is gone."""
    Path(f"cv/{LSTM.name}").rename("elsewhere.t7")
    refused = with_model.post("/models/delete", model=LSTM.stem)
    assert (refused.status_code, refused.json()["detail"]) == (
        404,
        f"the files of {LSTM.stem} are gone already: there is nothing to delete.",
    )
    shutil.copy(GRU, "cv/b.t7")
    rename = os.rename

    def rename_what_is_removed_meanwhile(source, target):
        os.unlink(source)
        return rename(source, target)

    monkeypatch.setattr(trash.os, "rename", rename_what_is_removed_meanwhile)
    with pytest.raises(studio_paths.Refusal, match="can't move b to trash"):
        trash.delete(["cv/b.t7"], "b", "model")
    assert os.listdir("trash") == []
    assert with_model.get("/trash").json() == {"trash": []}


def test_a_run_whose_files_the_user_has_removed_can_be_deleted(studio):
    without_folder, without_any = studio.start("some"), studio.start("none")
    shutil.copy(LSTM, "cv/lm_some_best.t7")
    for folder in ("studio/runs", "studio/texts"):
        shutil.rmtree(folder)
    assert studio.get(f"/runs/{without_folder}/files").json()["files"] == ["cv/lm_some_best.t7"]
    assert studio.post(f"/runs/{without_folder}/delete").json()["files"] == ["cv/lm_some_best.t7"]
    assert studio.get(f"/runs/{without_any}/files").json() == {"files": [], "bytes": 0}
    assert studio.post(f"/runs/{without_any}/delete").status_code == 404
    assert studio.get("/runs").json() == {"runs": [], "queue": []}
    assert [entry["what"] for entry in studio.get("/trash").json()["trash"]] == ["some"]


def test_a_folder_with_a_file_that_is_open_on_windows_stays_whole(studio, monkeypatch):
    """There, neither the folder nor that file can be renamed or removed."""
    Path("models/a").mkdir()
    for name in ("1.t7", "2.t7", "3.t7"):
        Path("models/a", name).write_bytes(b"x")
    unlink = os.unlink

    def refused(path, *args, **kwargs):
        if str(path).endswith(("a", "2.t7")):
            raise OSError(errno.EACCES, "Permission denied")
        return unlink(path, *args, **kwargs)

    monkeypatch.setattr(trash.os, "rename", refused)
    monkeypatch.setattr(os, "unlink", refused)
    with pytest.raises(Exception, match="can't move it to trash"):
        trash.delete(["models/a"], "it", "model")
    assert files_below("models") == ["models/a/1.t7", "models/a/2.t7", "models/a/3.t7"]
    assert files_below("trash") == []


def test_a_trash_on_another_disk(with_model, monkeypatch):
    def other_disk(source, target):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(trash.os, "rename", other_disk)
    monkeypatch.setattr(shutil, "move", shutil.copy)
    trash.delete([f"cv/{LSTM.name}"], "it", "model")
    assert len(files_below("trash")) == 2  # with its list


def test_other_folders_in_the_trash_are_left_alone(studio):
    for name in ("d0000000", "d00000000", "notes"):
        Path(f"trash/{name}").mkdir()
    Path("trash/d00000000/trash.json").write_text('{"moved": []}', encoding="utf-8")
    assert studio.get("/trash").json() == {"trash": []}
    for trash_id in ("d00000000", "..", "notes"):
        assert studio.post(f"/trash/{trash_id}/undo").status_code == 404


@pytest.mark.parametrize(
    "values",
    [
        {"deleted": None},
        {"deleted": "x"},
        {"bytes": []},
        {"kind": "text"},
        {"what": 1},
        {"run": {}},
        {"moved": [["cv/a\0b", "TRASHED"]]},
        {"moved": [["cv/a", "TRASHED"], ["cv/a", "TRASHED/b"]]},
        None,
    ],
)
def test_a_damaged_list_in_the_trash_is_left_out(with_model, values):
    trash_id = with_model.post("/models/delete", model=LSTM.stem).json()["trash"]
    path = Path(f"trash/{trash_id}/trash.json")
    listed = json.loads(path.read_text(encoding="utf-8"))
    changed = json.dumps(values and {**listed, **values}).replace("TRASHED", f"trash/{trash_id}/files/0")
    path.write_text(changed, encoding="utf-8")
    assert with_model.get("/trash").json() == {"trash": []}
    assert with_model.post(f"/texts/{with_model.text()}/read").status_code == 200
    assert with_model.post(f"/trash/{trash_id}/undo").status_code == 404


def test_a_list_in_the_trash_may_name_any_run(with_model):
    trash_id = with_model.post("/models/delete", model=LSTM.stem).json()["trash"]
    path = Path(f"trash/{trash_id}/trash.json")
    listed = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**listed, "run": "\ud800"}), encoding="utf-8")
    undone = with_model.post(f"/trash/{trash_id}/undo")
    assert (undone.status_code, undone.json()["run"]) == (200, "\ufffd")
    assert Path(f"cv/{LSTM.name}").exists() and not path.exists()


def test_a_folder_that_can_not_be_listed_has_no_bytes(with_model, monkeypatch):
    Path("cv/a/b").mkdir(parents=True)
    Path("cv/a/c").write_bytes(b"four")
    listed = os.listdir

    def refuse(folder):
        if folder.endswith("b"):
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return listed(folder)

    monkeypatch.setattr(trash.os, "listdir", refuse)
    assert trash.facts_of(["cv/a"]).bytes == 4


# -- a folder of somebody else ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pair",
    [
        ["/etc/x", "trash/d00000000/files/0_x"],
        ["cv/../../x", "trash/d00000000/files/0_x"],
        ["x", "trash/d00000000/files/0_x"],
        ["cv/x", "letter.txt"],
        ["cv/x", "trash/d00000000/files/../../../letter.txt"],
        ["cv/x", 1],
        "ab",
        ["cv/x.desktop", "trash/d00000000/files/0_x"],
        ["cv/.t7", "trash/d00000000/files/0_x"],
        ["cv/linked/x.t7", "trash/d00000000/files/0_x"],
        ["cv//x.t7", "trash/d00000000/files/0_x"],
        ["cv/x.t7", "trash/d00000000/files/linked/letter.txt"],
        ["cv/x.t7", "trash/d00000000/files/.."],
        ["studio/runs/x", "trash/d00000000/files/0_x"],
        ["studio/texts/t0000000.json", "trash/d00000000/files/0_x"],
        ["studio/x.t7", "trash/d00000000/files/0_x"],
    ],
)
def test_undo_moves_no_file_from_or_to_other_places(studio, pair):
    folder = Path("trash", "d00000000")
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "0_x").write_bytes(b"x")
    Path("letter.txt").write_bytes(b"mine")
    for link in (Path("cv/linked"), folder / "files" / "linked"):
        link.symlink_to(Path.cwd())
    write_trash(folder, pair)
    assert trash.entries() == []
    assert studio.ask("POST", "/trash/d00000000/undo", json={}).status_code == 404
    assert (folder / "files" / "0_x").exists() and Path("letter.txt").read_bytes() == b"mine"


def test_undo_moves_no_file_out_of_a_linked_folder(studio):
    Path("letter.txt").write_bytes(b"mine")
    folder = Path("trash", "d00000000")
    folder.mkdir()
    (folder / "files").symlink_to(Path.cwd())
    write_trash(folder, ["cv/x.t7", "trash/d00000000/files/letter.txt"])
    assert studio.ask("POST", "/trash/d00000000/undo", json={}).status_code == 404
    assert Path("letter.txt").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "path",
    ["cv/x.t7", "cv/X.T7", "models/a b.safetensors", "cv/x.csv", "studio/runs/r00000000", "studio/texts/t00000000"],
)
def test_undo_moves_what_can_be_deleted(studio, path):
    folder = Path("trash", "d00000000")
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "0_x").write_bytes(b"x")
    write_trash(folder, [path, "trash/d00000000/files/0_x"])
    assert studio.post("/trash/d00000000/undo").json()["files"] == [path]
    assert Path(path).read_bytes() == b"x"


def write_trash(folder: Path, pair: object) -> None:
    listed = {"what": "x", "kind": "model", "run": "", "deleted": 1.0, "bytes": 1, "moved": [pair]}
    (folder / "trash.json").write_text(json.dumps(listed), encoding="utf-8")


@pytest.mark.parametrize("change", [{"name": "../x"}, {"text": "../x"}, {"words": ["sample"]}, {"next_words": ["x"]}])
def test_a_record_that_no_studio_has_written_is_left_out(studio, change):
    words = ("train", "x.txt")
    record = run_record.RunRecord("r00000000", "x", "t00000000", "x.txt", 1, "quick", words, 1.0, next_words=words)
    run_record.save(record)
    assert run_record.load(record.id) == record
    path = Path(record.folder, "run.json")
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **change}), encoding="utf-8")
    assert run_record.load(record.id) is None and run_record.load("../runs/r00000000") is None
    assert run_record.load_all() == {}


def test_beginning_in_a_folder_removes_no_file_of_its_user(studio):
    """Who has a folder called studio."""
    own = [Path("studio", folder, "poem") for folder in ("texts", "incoming", "outgoing", "runs")]
    left = [Path("studio/texts/t00000000"), Path("studio/incoming/i00000000"), Path("studio/outgoing/o00000000")]
    for folder in [*own, *left]:
        folder.mkdir(parents=True)
        (folder / "a.txt").write_bytes(b"mine")
    studio.begin_anew()
    assert all((folder / "a.txt").exists() for folder in own)
    assert not any(folder.exists() for folder in left)


def test_files_that_can_not_be_moved_back_stay_in_the_trash(studio, monkeypatch):
    for name in "ab":
        Path("cv", f"{name}.t7").write_bytes(name.encode())
    rename = os.rename

    def fail(source, target):
        if "a.t7" not in source or source.startswith("trash"):
            raise OSError(errno.EIO, "Input/output error")
        return rename(source, target)

    monkeypatch.setattr(trash.os, "rename", fail)
    with pytest.raises(studio_paths.Refusal):
        trash.delete(["cv/a.t7", "cv/b.t7"], "x", "model")
    assert [path.read_bytes() for path in Path("trash").glob("*/files/*")] == [b"a"]
    assert Path("cv/b.t7").read_bytes() == b"b"


# -- names that are not UTF-8 ------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of files of any bytes")
def test_a_model_whose_name_is_not_utf8(studio):
    path = b"models/caf\xe9.t7"
    Path(os.fsdecode(path)).write_bytes(LSTM.read_bytes())
    studio.scan()
    (name,) = names(studio)
    shown = "models/caf\ufffd.t7"
    assert studio.get("/models/files", params={"model": name}).json()["files"] == [shown]
    run_id = studio.start(init_from=name)
    assert r"-init_from $'models/caf\351.t7'" in studio.run(run_id)["command"]
    assert [run["id"] for run in studio.get("/runs").json()["runs"]] == [run_id]
    deleted = studio.post("/models/delete", model=name).json()
    assert deleted["files"] == [shown] and shown in deleted["sentence"]
    assert [entry["files"] for entry in studio.get("/trash").json()["trash"]] == [[shown]]
    Path(os.fsdecode(path)).touch()
    refused = studio.post(f"/trash/{deleted['trash']}/undo")
    assert refused.status_code == 409 and refused.json()["detail"].startswith(f"{shown} is there again")
    os.unlink(path)
    assert studio.post(f"/trash/{deleted['trash']}/undo").json()["files"] == [shown]
    assert Path(os.fsdecode(path)).read_bytes() == LSTM.read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of files of any bytes")
def test_a_folder_whose_name_is_not_utf8(studio, tmp_path, monkeypatch):
    os.mkdir(os.fsencode(tmp_path) + b"/stud\xe9")
    monkeypatch.chdir(os.fsdecode(os.fsencode(tmp_path) + b"/stud\xe9"))
    studio.begin_anew()
    assert studio.get("").json()["folder"] == str(tmp_path / "stud\ufffd")
    assert studio.run(studio.start())["folder"] == str(tmp_path / "stud\ufffd")
