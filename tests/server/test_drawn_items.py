"""Items from the API: those of `pycharrnn sample`, and whether the training text has them."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import httpx
import item_models
import numpy as np
import pytest
from conftest import run
from serving_tools import on_numpy

from compat.item_options import record_labels
from pycharrnn.checkpoints import checkpoint
from pycharrnn.page.facts import facts_of
from pycharrnn.sampling.known_items import recorded_items
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.server import drawn_items, scores, served_models
from pycharrnn.server.app import create_app
from pycharrnn.server.known_texts import KnownTexts
from pycharrnn.server.registry import Registry
from pycharrnn.server.scheduler import Scheduler
from pycharrnn.server.schemas import MAX_PRIMETEXT, ItemLine

TEXT = b"a\nb\nab\nc\n"
BLOCKS = b"a\nb\x1ec\x1e"


def answer(path, api="items", **request) -> httpx.Response:
    """What the server answers to a request for items of the checkpoint at a path."""
    app = create_app(Registry([str(path)], print, print), Scheduler(2, threads=1), None, "")

    async def post() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return await client.post(f"/api/{api}", json={"model": path.stem, **request})

    return asyncio.run(post())


def lines(path, **request) -> list[dict]:
    found = answer(path, **request)
    assert (found.status_code, found.headers["content-type"]) == (200, "application/x-ndjson")
    return [ItemLine.model_validate_json(line).model_dump() for line in found.text.splitlines()]


def as_printed(path, *flags: str) -> list[str]:
    result = run("sample", str(path), "-gpuid", "-1", "-verbose", "0", *flags, cwd=path.parents[1])
    return result.stdout.decode("utf-8", "replace").splitlines()


def test_they_are_those_of_sample(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = item_models.saved(tmp_path, text=TEXT, letters="abc")
    request = {"items": 40, "seed": 4294967290, "temperature": 0.8, "topp": 0.5, "length": 6, "primetext": "a"}
    *items, done = lines(path, **request)
    flags = [word for name, value in request.items() for word in (f"-{name}", str(value))]
    assert [item["text"] for item in items] == as_printed(path, *flags)
    assert [item["seed"] for item in items] == [seed % 2**32 for seed in range(4294967290, 4294967330)]
    assert {item["cut"] for item in items} == {True, False}
    assert all(item["known"] == (item["text"].encode() in TEXT.split(b"\n")) for item in items)
    known = sum(item["known"] for item in items)
    assert 0 < known < 40
    repeated = 40 - len({item["text"] for item in items})
    assert done == {"done": True, "drawn": 40, "known": known, "repeated": repeated, "empty": 0, "gave_up": False}


def test_new_and_unique_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = item_models.saved(tmp_path, text=TEXT)
    *items, done = lines(path, items=20, new=True, unique=True)
    texts = [item["text"] for item in items]
    assert texts == as_printed(path, "-items", "20", "-new", "1", "-unique", "1", "-length", "400")
    assert len(set(texts)) == 20
    assert "" not in texts and not any(item["known"] for item in items)
    assert done["drawn"] > 20
    assert done["empty"] == sum(not item["text"] for item in lines(path, items=done["drawn"])[:-1]) > 0
    *items, done = lines(path, items=20, unique=True, topk=1)
    assert (len(items), done["gave_up"], done["drawn"]) == (1, True, 2)


def test_without_the_kernel_they_are_the_same(tmp_path):
    loaded = item_models.made()
    opt = SampleOptions(items=30, length=5, temperature=1.2, unique=1, threads=1)
    by = [served_models.served(loaded, facts_of(loaded, "x", 0)), on_numpy(loaded)]
    one, other = (list(drawn_items.lines(model, opt, b"a", {b"a"})) for model in by)
    assert "".join(one) == "".join(other)
    assert other.count("") > 10  # turns end between characters


def test_items_of_several_lines_and_bytes_that_are_no_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = item_models.saved(tmp_path, "blank", BLOCKS, letters="\nab\u00e9")
    *items, _ = lines(path, items=60, temperature=1.5)
    texts = [item["text"] for item in items]
    assert any("\n" in text for text in texts)
    assert any("\ufffd" in text for text in texts)
    assert "\n\n".join([*texts, ""]) == "\n".join(
        [*as_printed(path, "-items", "60", "-temperature", "1.5", "-length", "400"), "", ""]
    )


@pytest.mark.parametrize("change", ["missing", "another", "not recorded"])
def test_without_its_text_a_model_can_not_tell(tmp_path, monkeypatch, change):
    monkeypatch.chdir(tmp_path)
    path = item_models.saved(tmp_path, text=TEXT)
    text = tmp_path / "data" / "list" / "input.txt"
    if change == "missing":
        text.unlink()
    elif change == "another":
        text.write_bytes(TEXT + b"d\n")
    else:
        checkpoint.convert(item_models.made(), path)
    *items, done = lines(path)
    assert len(items) == 10
    assert {item["known"] for item in items} == {None}
    assert done["known"] is None
    refused = answer(path, new=True)
    assert refused.status_code == 422
    assert refused.json()["detail"] == f"new: {drawn_items.NO_TEXT}."
    assert refused.json()["detail"].endswith(": start the server in the folder of the training.")


LABELLED = b"ab\ta\ncab\tb\nab\tab\n"


def labelled(folder):
    """A model with the labels ab and cab."""
    counts = record_labels({b"ab": 2, b"cab": 1})
    return item_models.saved(folder, text=LABELLED, letters="abc\t", label="file", **counts)


def test_items_of_a_label(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = labelled(tmp_path)
    request = {"items": 40, "seed": 5, "temperature": 0.8, "primetext": "a"}
    *items, done = lines(path, **request, label="ab")
    texts = [item["text"] for item in items]
    flags = [word for name, value in request.items() for word in (f"-{name}", str(value))]
    assert texts == as_printed(path, *flags, "-as", "ab", "-length", "400")
    assert {item["known"] for item in items} == {True, False}
    assert all(item["known"] == (item["text"] in ("a", "ab")) for item in items)
    *new, _ = lines(path, **request, label="ab", new=True)
    assert not {"a", "ab"} & {item["text"] for item in new}
    *begun, same = lines(path, **{**request, "primetext": "ab\ta"})
    assert [item["text"] for item in begun] == [f"ab\t{text}" for text in texts]
    assert [item["known"] for item in begun] == [item["known"] for item in items]
    assert same == done
    *learnt, _ = lines(path, **request, label="ab", adapt=True)
    assert [item["text"] for item in learnt] == as_printed(
        path, *flags, "-as", "ab", "-length", "400", "-adapt", "1", "-primetext", "a"
    )
    *begun, _ = lines(path, **{**request, "primetext": "ab\ta"}, adapt=True)
    assert [item["text"] for item in begun] == [f"ab\t{item['text']}" for item in learnt]
    *items, done = lines(path, label="ab", topk=1, unique=True)
    assert (len(items), done["gave_up"], done["drawn"]) == (1, True, 2)
    *items, _ = lines(path, label="ab", primetext="a" * MAX_PRIMETEXT, items=1)  # not together with the label
    assert items[0]["text"].startswith("a" * MAX_PRIMETEXT)


@pytest.mark.parametrize(
    "request_, message",
    [
        ({}, "label: lm_list_best is a model with labels: give one of ab, cab."),
        ({"primetext": "ab"}, "label: lm_list_best is a model with labels: give one of ab, cab."),
        ({"primetext": "\tab"}, "label: lm_list_best is a model with labels: give one of ab, cab."),
        ({"primetext": "ca\t"}, "primetext: lm_list_best has no label ca: did you mean cab?"),
        ({"label": "ca"}, "label: lm_list_best has no label ca: did you mean cab?"),
        ({"label": "zzz"}, "label: lm_list_best has no label zzz: its labels are ab, cab."),
        ({"label": "ab\t"}, "label: lm_list_best has no label "),
        (
            {"label": "ab", "primetext": "cab\ta"},
            "primetext begins with the label cab and a tab: leave them out, and use label instead.",
        ),
        ({"label": "a" * 101}, "label: String should have at most 100 characters."),
        ({"label": 5}, "label: Input should be a valid string."),
        ({"label": "ab", "primetext": "x"}, "primetext has "),
    ],
)
def test_which_labels_are_refused(tmp_path, request_, message):
    found = answer(labelled(tmp_path), **request_)
    assert found.status_code == 422
    assert found.json()["detail"].startswith(message)


@pytest.mark.parametrize(
    "request_", [{}, {"primetext": "a"}, {"primetext": "ab\ta"}, {"primetext": "a", "adapt": True}]
)
def test_no_text_is_sampled_from_items_with_labels(tmp_path, request_):
    found = answer(labelled(tmp_path), "sample", **request_)
    assert found.status_code == 422
    assert found.json()["detail"] == (
        "model: lm_list_best is a model with labels (ab, cab) and has read no item without one: /api/items draws its"
        " items."
    )


def test_a_label_for_a_model_without_labels(tmp_path):
    found = answer(item_models.saved(tmp_path, text=TEXT), label="ab")
    assert found.status_code == 422
    assert found.json()["detail"] == "label: lm_list_best is a model without labels: leave it out."


@pytest.mark.parametrize(
    "request_, message",
    [
        (
            {"primetext": "a\n"},
            "primetext contains '\\n', which ends an item: remove it; each item starts by itself.",
        ),
        ({"primetext": "ax"}, "primetext has "),
        ({"items": 501}, "items: Input should be less than or equal to 500."),
        ({"new": 1}, "new: Input should be a valid boolean."),
    ],
)
def test_what_is_refused(tmp_path, request_, message):
    found = answer(item_models.saved(tmp_path, text=TEXT), **request_)
    assert found.status_code == 422
    assert found.json()["detail"].startswith(message)


def test_a_model_of_a_text_has_no_items(tmp_path):
    path = item_models.saved(tmp_path, "")
    found = answer(path)
    assert (found.status_code, found.json()["detail"]) == (
        422,
        "model: it is a model of a text: /api/sample samples from it.",
    )


def test_a_failed_training_is_said(tmp_path):
    loaded = item_models.made()
    weights = {name: np.full_like(weight, np.nan) for name, weight in loaded.network.weights.items()}
    loaded.network = dataclasses.replace(loaded.network, weights=weights)
    path = tmp_path / "x.t7"
    checkpoint.convert(loaded, path)
    (line,) = lines(path)
    assert "NaN" in line["error"]


def known_in(texts: KnownTexts, text) -> set[bytes] | None:
    return asyncio.run(texts.items_of(text))


def test_a_text_is_read_once_and_again_when_it_has_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = item_models.saved(tmp_path, text=TEXT)
    recorded, texts = recorded_items("x", checkpoint.load(path)), KnownTexts()
    first = known_in(texts, recorded)
    assert first == {b"a", b"b", b"ab", b"c"}
    another = recorded.text._replace(checkpoint="another of the same run")
    assert known_in(texts, recorded._replace(text=another)) is first
    (tmp_path / recorded.text.path).write_bytes(b"d\n")
    assert known_in(texts, recorded) is None
    # Without a fingerprint, a file of that name may be any text.
    assert known_in(texts, recorded._replace(text=recorded.text._replace(fingerprint=""))) is None


def test_large_texts_are_not_held(tmp_path):
    texts = KnownTexts(max_bytes=400)
    recorded = []
    for name, content in (("small", b"a\nb\n"), ("other", b"c\nd\n"), ("large", b"a\nb\nc\nd\ne\n")):
        (tmp_path / name).mkdir()
        path = item_models.saved(tmp_path / name, text=content, data_dir=str(tmp_path / name / "data" / "list"))
        recorded.append(recorded_items("x", checkpoint.load(path)))
    small, other, large = recorded
    first = known_in(texts, small)
    assert known_in(texts, small) is first
    assert known_in(texts, other) == {b"c", b"d"}  # which takes the place of the first
    assert known_in(texts, small) is not first
    assert known_in(texts, small) == first
    assert known_in(texts, large) is None


def test_a_score_takes_each_item_by_itself(tmp_path):
    path = item_models.saved(tmp_path, text=TEXT)
    loaded = checkpoint.load(path)
    model = served_models.served(loaded, facts_of(loaded, "x", 0))
    found = json.loads("".join(scores.score(model, b"ab\n\nc")))
    assert "".join(one["text"] for one in found["characters"]) == "ab\nc\n"
    (tmp_path / "own.txt").write_text("ab\n\nc", encoding="utf-8")
    rows = run("score", str(path), str(tmp_path / "own.txt"), "-lines", "1").stdout.decode().splitlines()
    bits = [one["bits"] for one in found["characters"]]
    assert [float(row.split("\t")[0]) for row in rows] == pytest.approx([sum(bits[:3]), sum(bits[3:])], abs=1e-5)
    assert found["bits_per_character"] == pytest.approx(sum(bits) / 5)
    assert json.loads("".join(scores.score(model, b"\n\n")))["bits_per_character"] is None
