"""pycharrnn studio: texts that are uploaded, what it finds in them, and who may."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import threading
import time
from collections import namedtuple
from pathlib import Path

import pytest
from conftest import working_in
from serving_tools import LOOPBACK, LSTM
from starlette.requests import Request
from studio_tools import BYTES, PROSE, StudioApp, files_below

from pycharrnn.checkpoints import payload
from pycharrnn.server import security
from pycharrnn.server.app import create_app
from pycharrnn.server.registry import Registry
from pycharrnn.server.scheduler import Scheduler
from pycharrnn.server.studio import receiving, studio_api, text_facts, text_reading, uploaded_text, uploads
from pycharrnn.server.studio.studio_paths import Refusal
from pycharrnn.server.studio.text_schemas import ReadText
from pycharrnn.text import corpus


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    with working_in(tmp_path_factory.mktemp("studio")):
        yield StudioApp()


NAMES = {
    "poems.txt": "poems.txt",
    "My poems?.txt": "My_poems.txt",
    "../../etc/passwd": "etc/passwd",
    "/etc/passwd": "etc/passwd",
    "C:\\texts\\a.txt": "C/texts/a.txt",
    "..": "text",
    "": "text",
    ".hidden": "hidden",
    "NUL.txt": "text_NUL.txt",
    "a\0b\n.txt": "a_b.txt",
    "\u00fcber.txt": "\u00fcber.txt",
    "x" * 300: "x" * 80,
    f"{'y' * 300}.html": f"{'y' * 80}.html",
    "a.b c": "a.b_c",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_clients_are_never_paths(studio, name):
    text_id = studio.post("/texts").json()["id"]
    before = set(files_below("."))
    answer = studio.upload(text_id, name, b"abc")
    assert answer.status_code == 200
    assert answer.json() == {"name": os.path.basename(NAMES[name]), "bytes": 3}
    assert set(files_below(".")) - before == {f"studio/texts/{text_id}/input/{NAMES[name]}"}


def test_files_of_one_name_are_all_kept(studio):
    text_id = studio.text("a b.txt", b"one")
    assert studio.upload(text_id, "A_b.txt", b"two").json()["name"] == "A_b_2.txt"
    assert studio.upload(text_id, "a b.txt", b"three").json()["name"] == "a_b_3.txt"
    assert sorted(path.read_bytes() for path in Path(f"studio/texts/{text_id}/input").iterdir()) == [
        b"one",
        b"three",
        b"two",
    ]
    assert studio.upload(text_id, "a b.txt/c.txt").json()["name"] == "c.txt"
    assert Path(f"studio/texts/{text_id}/input/a_b.txt_2/c.txt").is_file()
    other = studio.text("c/a.txt", b"one")
    assert studio.upload(other, "c", b"two").status_code == 200
    assert Path(f"studio/texts/{other}/input/c_2").read_bytes() == b"two"


def test_a_folder_keeps_its_folders_and_leaves_out_hidden_files(studio):
    text_id = studio.post("/texts", name="My poems", is_folder=True).json()["id"]
    for name in ("My poems/in spring/one.txt", "My poems/two.txt", "My poems/.git/config"):
        assert studio.upload(text_id, name).status_code == 200
    found = studio.post(f"/texts/{text_id}/read").json()
    assert found["name"] == "My_poems"
    assert [file["name"] for file in found["files"]] == ["My poems/in spring/one.txt", "My poems/two.txt"]
    labelled = studio.post(f"/texts/{text_id}/read", items="line", label="folder").json()
    assert labelled["characters"] > found["characters"]


def test_folders_that_are_sent_together_are_the_labels_of_their_files(studio, tmp_path):
    text_id = studio.post("/texts").json()["id"]
    for name in ("boys/b.txt", "girls2/g.txt", "girls2/old/o.txt", "girls 2/h.txt"):
        assert studio.upload(text_id, name, name.encode()).status_code == 200
    paths = studio.studio.texts.of(text_id).paths()
    folder = f"studio/texts/{text_id}/input"
    assert paths == [f"{folder}/boys", f"{folder}/girls2", f"{folder}/girls_2"]
    with corpus.gather(paths, print, items="file", label="folder", data=str(tmp_path)) as gathered:
        gathered.write()
        labelled = Path(gathered.folder, "input.txt").read_bytes()
    items = [b"boys\tboys/b.txt", b"girls2\tgirls2/g.txt", b"old\tgirls2/old/o.txt", b"girls_2\tgirls 2/h.txt"]
    assert labelled == b"".join(item + b"\x1e" for item in items)
    found = studio.post(f"/texts/{text_id}/read", items="file", label="folder").json()
    assert [file["name"] for file in found["files"]] == [
        "boys/b.txt",
        "girls2/g.txt",
        "girls2/old/o.txt",
        "girls 2/h.txt",
    ]
    assert found["name"] == "boys_and_2_more"


def test_folders_whose_names_become_the_same_stay_apart(studio):
    text_id = studio.post("/texts").json()["id"]
    for name in ("\U0001f600/a.txt", "\U0001f60e/a.txt", "\U0001f60e/b.txt"):
        studio.upload(text_id, name)
    assert [path.removeprefix(f"studio/texts/{text_id}/") for path in files_below(f"studio/texts/{text_id}")] == [
        "input/text/a.txt",
        "input/text_2/a.txt",
        "input/text_2/b.txt",
    ]


@pytest.mark.parametrize("name", ["loose.txt", "girls/g.txt"])
def test_a_folder_takes_no_file_from_elsewhere(studio, name):
    text_id = studio.post("/texts", name="the boys", is_folder=True).json()["id"]
    answer = studio.upload(text_id, name)
    assert answer.status_code == 422
    said = f"{name} is not in the folder the boys of this text: begin another text for it."
    assert answer.json()["detail"] == said
    assert files_below(f"studio/texts/{text_id}") == []
    assert studio.upload(text_id, "the boys/b.txt").status_code == 200


def test_names_that_were_changed_are_said_where_they_are_labels(studio):
    text_id = studio.post("/texts", name="My class", is_folder=True).json()["id"]
    for name in ("My class/Zo\u00eb.txt", "My class/Ann [2].txt", "My class/Ann_2.txt", "My class/old ones/Eve.txt"):
        studio.upload(text_id, name)

    def said(label: str) -> str:
        return studio.post(f"/texts/{text_id}/read", items="line", label=label).json()["renamed"]

    changed = "names were changed to be safe and distinct, and labels follow the new names:"
    assert said("file") == f"{changed} Ann [2].txt is Ann_2.txt, Ann_2.txt is Ann_2_2.txt."
    assert said("folder") == f"{changed} My class is My_class, old ones is old_ones."
    assert said("") == ""


@pytest.mark.parametrize(
    "names, expected",
    [
        (["input.txt"], "input"),
        (["odes/input.txt"], "odes"),
        ([f"{k}.txt" for k in range(51)], "input"),
    ],
)
def test_no_text_is_named_after_its_id(studio, names, expected):
    text_id = studio.text(names[0])
    for name in names[1:]:
        studio.upload(text_id, name, name.encode())
    found = studio.post(f"/texts/{text_id}/read").json()
    assert found["name"] == expected
    assert sorted(file["name"] for file in found["files"]) == sorted(names)


def test_what_is_said_of_a_text(studio):
    text_id = studio.text(
        "old.txt", "Gr\u00fc\u00dfe aus K\u00f6ln, sch\u00f6n ist es hier am Flu\u00df.\n".encode("cp1252") * 50
    )
    studio.upload(text_id, "novella.docx", b"PK\3\4" + bytes(99))
    studio.upload(text_id, "~$novella.docx", bytes(99))
    studio.upload(text_id, "a scan.pdf", b"%PDF-1.4 ...")
    studio.upload(text_id, "picture.png", bytes(range(256)) * 9)
    found = studio.post(f"/texts/{text_id}/read").json()
    assert found["name"] == "old"
    assert found["files"] == [{"name": "old.txt", "bytes": 2150, "encoding": "cp1252"}]
    assert found["facts"] == ["old.txt (2,150 bytes)", "old.txt: read as cp1252."]
    assert found["left_out"] == [
        "left out, since they contain no text: picture.png.",
        "left out, since they are not plain text: a scan.pdf (a PDF file), novella.docx (a Word file), ~$novella.docx"
        " (a Word file); save them as plain text.",
    ]
    assert (found["kind"], found["encoding"], found["too_short"]) == ("text", "bytes", "")
    assert found["bytes"] == found["characters"] == 2400
    assert found["code_points"] == 2150
    assert not files_below("data")


def test_a_text_that_is_too_short_is_measured_in_bytes_if_characters_have_several(studio):
    text_id = studio.text("short.txt", "Sch\u00f6n ist es hier.\n".encode() * 10)
    found = studio.post(f"/texts/{text_id}/read").json()
    assert found["too_short"].startswith("the text has 200 bytes, too few to learn from: give 1,000 or more")


def test_characters_of_several_bytes_are_said_in_the_words_of_the_page(studio):
    german = "Gr\u00fc\u00dfe aus K\u00f6ln, sch\u00f6n ist es hier am Flu\u00df.\n".encode()
    advice = [
        studio.post(f"/texts/{studio.text(content=text * 50)}/read").json()["encoding_advice"]
        for text in (
            german,
            b"Greetings from Cologne, by the river.\n",
            "\u041f\u0440\u0438\u0432\u0435\u0442\n".encode(),
        )
    ]
    assert advice == [
        "12 % of the characters take several bytes, and the model learns bytes: if samples show broken characters,"
        ' train with "A character is: code points".',
        "",
        "",  # a model of it learns code points
    ]


def test_a_list_is_recognized(studio):
    names = b"".join(b"Anna%d\n" % (k * 37 % 101) for k in range(100))
    text_id = studio.text("names.txt", names)
    found = studio.post(f"/texts/{text_id}/read").json()
    assert (found["kind"], found["suggested_items"]) == ("list", "line")
    assert found["too_short"].startswith("the text has 691 characters, too few to learn from: give 1,000 or more")
    as_items = studio.post(f"/texts/{text_id}/read", items="line").json()
    assert (as_items["kind"], as_items["headers"]) == ("text", [])


@pytest.mark.parametrize("rows, fields", [(100, {}), (30, {"items": "line"})])
def test_the_header_of_a_table_is_said_before_it_is_learnt(studio, rows, fields):
    table = b"Name;Points\n" + b"".join(b"Anna;%d\n" % (k * 37 % 101) for k in range(rows))
    found = studio.post(f"/texts/{studio.text('class.csv', table)}/read", **fields).json()
    assert "line" in (found["suggested_items"], *fields.values())
    (said,) = found["headers"]
    assert said.startswith("the first line of class.csv, 'Name;Points', looks like the header of a table")


@pytest.mark.parametrize(
    "content, fields, detail",
    [
        (b"", {}, "poems.txt is empty: name a text."),
        (b"<!DOCTYPE html>" + payload.ELEMENT, {}, 'not plain text: Bring takes it, and "Start from" then trains it'),
        (b"\0\1\2" * 99, {}, "poems.txt is binary data: name a text."),
        (PROSE, {"text_encoding": "klingon"}, '"Encoding of the files" must be bytes or a text encoding of Python'),
        (PROSE, {"label": "file"}, 'of its file" is for the items of a list: add "The text is: a list'),
        (b"one line", {"items": "line"}, 'there is only one item of "The text is: a list: each line is an item"'),
    ],
)
def test_a_text_that_train_refuses_is_refused_with_its_sentence(studio, content, fields, detail):
    text_id = studio.text(content=content)
    answer = studio.post(f"/texts/{text_id}/read", **fields)
    assert answer.status_code == 422
    assert detail in answer.json()["detail"]
    assert text_id not in answer.json()["detail"]


def test_texts_that_are_not_there(studio):
    for text_id in ("t00000000", "../../cv", "x"):
        assert studio.upload(text_id, "a").status_code == 404
    assert studio.post("/texts/t00000000/read").json()["detail"] == "this text is not here any more: drop it again."
    empty = studio.post("/texts").json()["id"]
    assert studio.post(f"/texts/{empty}/read").json()["detail"].startswith("there is no text yet")


def test_as_many_files_as_are_allowed(studio, monkeypatch):
    monkeypatch.setattr(uploaded_text, "MAX_FILES", 2)
    text_id = studio.text("a.txt")
    assert [studio.upload(text_id, "a.txt").status_code for _ in range(2)] == [200, 422]
    refused = studio.upload(text_id, "a.txt").json()["detail"]
    assert refused == "a text has 2 files at most; join some, or leave some out."


# -- who may -----------------------------------------------------------------------------------------------------------


def test_only_with_the_token(studio):
    studio = StudioApp("0123456789abcdef")
    for method, path in (("GET", ""), ("PUT", "/upload?text=t00000000&name=a"), ("POST", "/texts"), ("GET", "/runs")):
        assert studio.ask(method, path, headers=BYTES, content=b"").status_code == 401


def test_head_is_answered_where_get_is(studio):
    for path in ("", "/flags", "/runs", "/runs?a=1", "/trash"):
        answer = studio.ask("HEAD", path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert studio.ask("HEAD", "/runs/r00000000").status_code == 404
    assert studio.ask("HEAD", "/texts").status_code == 405
    described = studio.app.openapi()["paths"]
    assert list(described["/api/studio/runs"]) == ["post", "get"]


@pytest.mark.parametrize(
    "headers, status",
    [
        ({}, 200),
        ({"origin": "http://localhost"}, 200),
        ({"origin": "http://localhost:1234"}, 403),
        ({"origin": "http://elsewhere.example"}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"content-type": "text/plain"}, 422),
        ({"content-type": "multipart/form-data"}, 422),
    ],
)
def test_no_page_of_another_site_can_upload(studio, headers, status):
    text_id = studio.post("/texts").json()["id"]
    where = {"text": text_id, "name": "a.txt"}
    answer = studio.ask("PUT", "/upload", params=where, content=b"abc", headers={**BYTES, **headers})
    assert answer.status_code == status
    assert len(files_below(f"studio/texts/{text_id}")) == (status == 200)


def test_no_form_of_another_site_can_start_a_training(studio):
    for path in ("/runs", "/texts", "/runs/r00000000/stop", "/models/delete"):
        answer = studio.ask("POST", path, content=b"{}", headers={"content-type": "text/plain"})
        assert answer.status_code == 422
        assert "must be JSON" in answer.json()["detail"]


def test_a_file_that_is_too_large(studio, monkeypatch):
    monkeypatch.setattr(security, "MAX_UPLOAD", 1000)
    small = StudioApp()
    text_id = small.post("/texts").json()["id"]
    assert small.upload(text_id, "a", bytes(1000)).status_code == 200
    refused = small.upload(text_id, "b", bytes(1001))
    assert (refused.status_code, refused.json()["detail"]) == (
        413,
        "a file has 1,000 bytes at most; choose a smaller one.",
    )


def test_serve_has_nothing_of_it(studio, monkeypatch):
    app = create_app(Registry([str(LSTM)], print, print), Scheduler(8, threads=1), LOOPBACK, "")
    paths = [route.path for route in app.routes]
    assert not [path for path in paths if "studio" in path]
    monkeypatch.setattr(studio, "app", app)
    assert studio.get("").status_code == studio.get("/runs").status_code == 404
    assert studio.upload("t00000000", "a", bytes(1 << 17)).status_code == 413


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_an_interrupted_upload_leaves_nothing(studio):
    text_id = studio.post("/texts").json()["id"]
    messages = [{"type": "http.request", "body": bytes(3 << 20), "more_body": True}, {"type": "http.disconnect"}]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "PUT",
        "path": "/api/studio/upload",
        "query_string": f"text={text_id}&name=a.txt".encode(),
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/octet-stream")],
    }
    asyncio.run(studio.app(scope, receive, send))
    assert sent[0]["status"] == 400
    assert files_below(f"studio/texts/{text_id}") == []
    assert studio.upload(text_id, "a.txt").json()["name"] == "a.txt"


def test_an_upload_to_a_text_that_is_deleted_meanwhile(studio):
    text_id = studio.text()

    async def content():
        yield b"a part"
        os.rename(f"studio/texts/{text_id}", "moved")
        os.rename(f"studio/texts/{text_id}.json", "moved.json")
        yield b"the rest"

    refused = studio.upload(text_id, "a.txt", content())
    assert (refused.status_code, refused.json()["detail"]) == (
        404,
        "this text is not here any more: drop it again.",
    )


def test_an_upload_that_is_cancelled_while_a_thread_writes(studio, monkeypatch):
    """As when the server ends: the file is closed after the thread has written, and its name is free."""
    begun, may_end, events = threading.Event(), threading.Event(), []

    @contextlib.contextmanager
    def slow_file(path):
        class File:
            def write(self, content):
                begun.set()
                assert may_end.wait(300)
                events.append("written")

        try:
            yield File()
        finally:
            events.append("closed")

    async def cancelled(uploading) -> None:
        task = asyncio.ensure_future(uploading)
        while not begun.is_set():
            await asyncio.sleep(0)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
        assert events == []
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    text_id = studio.post("/texts").json()["id"]
    with monkeypatch.context() as patch:
        patch.setattr(receiving, "atomic_write", slow_file)
        asyncio.run(cancelled(studio_api._Api(studio.studio).upload(upload_of(b"abc"), text_id, "a.txt")))
    assert events == ["written", "closed"]
    assert studio.upload(text_id, "a.txt").json()["name"] == "a.txt"


def upload_of(content: bytes) -> Request:
    async def receive():
        return {"type": "http.request", "body": content, "more_body": False}

    return Request({"type": "http", "headers": [(b"content-type", b"application/octet-stream")]}, receive)


def test_a_full_disk(studio, monkeypatch):
    text_id = studio.post("/texts").json()["id"]

    def full(fd):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        late = studio.upload(text_id, "a.txt")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(10))
        early = studio.upload(text_id, "a.txt")
    for answer in (late, early):
        assert answer.status_code == 507
        assert answer.json() == {"detail": "can't keep a.txt: the disk is full. Make room, and try again."}
    assert files_below(f"studio/texts/{text_id}") == []


def test_texts_without_a_run_are_gone_with_the_server(studio):
    used, unused = studio.text(), studio.text()
    assert studio.post("/runs", text=used, choice="quick").status_code == 201
    assert studio.upload(used, "more.txt").status_code == 409
    again = StudioApp()
    assert not os.path.exists(f"studio/texts/{unused}")
    assert again.post(f"/texts/{used}/read").json()["name"] == "poems_2"
    assert again.upload(used, "more.txt").status_code == 409


def test_texts_that_no_run_uses_are_gone_after_a_day(studio, monkeypatch):
    run_id = studio.start()
    used, left = studio.run(run_id)["command"].split("studio/texts/")[1].split("/")[0], studio.text()
    began = time.monotonic()
    new = studio.text()
    monkeypatch.setattr(uploads.time, "monotonic", lambda: began + 1000)
    studio.studio.texts.of(new).begun = began + 600
    studio.studio.texts.remove_abandoned(500)
    kept = {name for name in os.listdir("studio/texts") if not name.endswith(".json")}
    assert {used, new} <= kept and left not in kept and not os.path.exists(f"studio/texts/{left}.json")
    answer = studio.post("/runs", text=left, choice="quick")
    assert (answer.status_code, answer.json()["detail"]) == (404, "this text is not here any more: drop it again.")
    studio.post(f"/runs/{run_id}/stop")


def test_the_statistics_of_the_texts_that_were_read_last_are_kept(studio, monkeypatch):
    read = []
    reader = text_reading.TextReader(studio.studio.texts, os.environ)
    monkeypatch.setattr(text_facts, "read", lambda text_id, *more: (read.append(text_id), None))

    async def estimates(stats, options, environment):
        return None

    async def stays() -> bool:
        return False

    monkeypatch.setattr(text_facts, "estimates", estimates)
    first, *others = (studio.text() for _ in range(text_reading._MAX_STATS + 1))

    async def ask() -> None:
        for text_id in [first, *others[:-1], first, others[-1]]:
            await reader.read(text_id, ReadText())
        read.clear()
        await reader.estimates(first, ReadText(), stays)

    asyncio.run(ask())
    assert read == []


def test_nothing_is_estimated_for_those_who_have_left(studio, monkeypatch):
    text_id = studio.text()
    reader = text_reading.TextReader(studio.studio.texts, os.environ)
    monkeypatch.setattr(text_facts, "estimates", lambda *args: pytest.fail("estimated"))

    async def leaves() -> bool:
        return True

    with pytest.raises(Refusal, match="no longer asked for"):
        asyncio.run(reader.estimates(text_id, ReadText(), leaves))


# -- estimates ---------------------------------------------------------------------------------------------------------


def test_a_text_that_is_too_short_has_no_estimates(studio, monkeypatch):
    monkeypatch.setattr(text_facts, "_ESTIMATE", "1 / 0")
    text_id = studio.text(content=b"Not much to learn from here, only a few words that say little at all.")
    problem = "the text has 69 characters, too few to learn from: give 1,000 or more; 100,000 are better."
    assert studio.post(f"/texts/{text_id}/read").json()["too_short"] == problem
    found = studio.post(f"/texts/{text_id}/estimates").json()
    assert (found["problem"], found["how"]) == (problem, "")
    assert [one["seconds"] for one in found["choices"]] == [None, None]


def test_estimates_come_from_a_process_of_their_own(studio, monkeypatch):
    answer = 'print(\'{"quick": {"seconds": 60.5, "iterations": 300, "rnn_size": 128, "flags": {"show": 9}},'
    answer += ' "best": {"seconds": 600, "iterations": 3000, "rnn_size": 256, "flags": {}}}\')'
    monkeypatch.setattr(text_facts, "_ESTIMATE", answer)
    text_id = studio.text()
    found = studio.post(f"/texts/{text_id}/estimates").json()
    assert [(one["choice"], one["seconds"]) for one in found["choices"]] == [("quick", 60.5), ("best", 600.0)]
    assert [one["flags"] for one in found["choices"]] == [{"show": 9}, {}]
    asks_for_words = "from pycharrnn.server.studio import estimate; import io, sys; asked = sys.stdin.read();"
    asks_for_words += """ sys.stdin = io.StringIO(asked.replace('"items": ""', '"items": "word"')); estimate.main()"""
    for answer, problem, how in (
        (asks_for_words, '"The text is" must be line, blank or file, not word.', ""),
        ("1 / 0", "", "there is no estimate"),
    ):
        monkeypatch.setattr(text_facts, "_ESTIMATE", answer)
        found = studio.post(f"/texts/{text_id}/estimates").json()
        assert found["choices"][0]["seconds"] is None
        assert (found["problem"], found["how"].partition(":")[0]) == (problem, how)
