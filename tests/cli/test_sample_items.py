"""`sample` of a model of items, as a user runs it."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import item_models
import pytest
from conftest import GOLDEN, HEEDS_SIGNALS, ROOT, needs_signals, run, sentence, with_slashes
from item_models import LIST

from pycharrnn.checkpoints import checkpoint, checkpoint_facts

SAMPLE = ("sample", "cv/lm_list_best.t7", "-gpuid", "-1")
LSTM = os.fspath(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")


@pytest.fixture
def home(tmp_path):
    return item_models.list_home(tmp_path)


def lines(home, *more: str) -> list[bytes]:
    done = run(*SAMPLE, "-verbose", "0", *more, cwd=home)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.split(b"\n")[:-1]


def test_ten_items_a_line_each_and_the_counts_on_stderr(home):
    done = run(*SAMPLE, cwd=home)
    found = done.stdout.split(b"\n")[:-1]
    assert done.returncode == 0 and len(found) == 10
    said = done.stderr.decode().splitlines()
    assert said[0].startswith("creating an lstm") and "drawing 10 items" in said
    known = sum(item in LIST.split(b"\n")[:-1] for item in found)
    repeated = len(found) - len(set(found))
    assert known and repeated
    assert said[-1] == f"drawn: 10, printed: 10, known: {known}, repeated: {repeated}"


def test_item_k_is_what_its_seed_draws(home):
    found = lines(home, "-items", "30", "-seed", "40", "-threads", "1")
    assert lines(home, "-items", "30", "-seed", "40", "-threads", "3") == found
    assert lines(home, "-items", "1", "-seed", "57") == found[17:18]
    assert lines(home, "-items", "3", "-seed", "41") == found[1:4]
    assert len(set(found)) > 5


def test_a_primetext_begins_every_item(home):
    found = lines(home, "-items", "20", "-primetext", "ab")
    assert all(item.startswith(b"ab") for item in found) and len(set(found)) > 3
    assert lines(home, "-items", "20", "-primetext", "ab", "-hide_prime", "1") == [item[2:] for item in found]
    assert lines(home, "-items", "20", "-primetext", "aXb", "-ignore_bad_primetext", "1") == found


def test_new_and_unique_items_of_some_lengths(home):
    known = set(LIST.split(b"\n")[:-1])
    everything = lines(home, "-items", "400", "-length", "100")
    options = ("-items", "12", "-length", "100")
    new = [item for item in everything if item and item not in known]
    assert b"" in everything  # which is no new item
    assert lines(home, *options, "-new", "1") == new[:12]
    distinct = list(dict.fromkeys(everything))
    assert lines(home, *options, "-unique", "1") == distinct[:12]
    assert lines(home, *options, "-unique", "1", "-new", "1") == list(dict.fromkeys(new))[:12]

    def length(item: bytes) -> int:
        try:
            return len(item.decode())
        except UnicodeDecodeError:
            return len(item)

    of_length = [item for item in everything if 1 <= length(item) <= 2]
    assert any(len(item) > length(item) for item in of_length)  # in code points
    assert lines(home, *options, "-least", "1", "-most", "2") == of_length[:12]
    assert lines(home, *options, "-least", "4") == [item for item in everything if length(item) >= 4][:12]

    done = run(*SAMPLE, *options, "-new", "1", "-unique", "1", "-most", "3", cwd=home)
    printed = done.stdout.split(b"\n")[:-1]
    drawn = everything[: everything.index(printed[-1]) + 1]
    counts = (
        f"drawn: {len(drawn)}, printed: 12, known: {sum(item in known for item in drawn)},"
        f" repeated: {len(drawn) - len(set(drawn))}, of another length: {sum(length(item) > 3 for item in drawn)},"
        f" empty: {drawn.count(b'')}"
    )
    assert done.stderr.decode().splitlines()[-1] == counts


def test_a_text_of_ones_own(home):
    (home / "mine.txt").write_bytes(b"a\r\n\r\nccc")
    (home / "data" / "list" / "input.txt").unlink()
    everything = lines(home, "-items", "100")
    new = [item for item in everything if item not in (b"", b"a")]
    assert lines(home, "-items", "20", "-new", "1", "-text", "mine.txt") == new[:20]
    done = run(*SAMPLE, "-items", "100", "-text", "mine.txt", cwd=home)
    assert f"known: {everything.count(b'a')}," in done.stderr.decode()


@pytest.mark.parametrize("kind, own", [("blank", b"ab\nc\n\nb\n"), ("file", b"\nb\n"), ("file", b"ab\nc\x1eb\x1e")])
def test_a_text_of_ones_own_is_read_as_in_training(tmp_path, kind, own):
    """Items between blank lines, a folder of files, or an input.txt."""
    item_models.saved(tmp_path, kind, letters="abc\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "one.txt").write_bytes(own)
    named = "mine/one.txt" if b"\x1e" in own else "mine"
    done = run(*SAMPLE, "-items", "100", "-text", named, "-o", "out", "-verbose", "1", cwd=tmp_path)
    count = sum(path.read_bytes() == b"b\n" for path in (tmp_path / "out").iterdir())
    assert count and f" known: {count}," in done.stderr.decode()


def test_the_text_is_missing_or_another(home):
    text = home / "data" / "list" / "input.txt"
    text.write_bytes(LIST + b"d\n")
    error = sentence(run(*SAMPLE, "-new", "1", "-verbose", "0", cwd=home))
    assert "data/list/input.txt is not the text of cv/lm_list_best.t7: it was 15 bytes, SHA-256" in error
    assert "known" not in run(*SAMPLE, cwd=home).stderr.decode().splitlines()[-1]
    text.unlink()
    error = sentence(run(*SAMPLE, "-new", "1", "-verbose", "0", cwd=home))
    assert "data/list/input.txt, on which cv/lm_list_best.t7 was trained, is not here" in error
    assert "give -text FILE" in error
    assert "known" not in run(*SAMPLE, cwd=home).stderr.decode().splitlines()[-1]
    error = sentence(run(*SAMPLE, "-new", "1", "-verbose", "0", "-text", "nowhere.txt", cwd=home))
    assert "nowhere.txt" in error
    done = run(*SAMPLE, "-new", "1", "-verbose", "1", cwd=home)
    assert done.returncode == 1 and b"drawing" not in done.stdout + done.stderr  # refused before that


def test_it_ends_where_nothing_new_comes(home):
    done = run(*SAMPLE, "-items", "10", "-unique", "1", "-most", "1", "-seed", "2", cwd=home)
    assert done.returncode == 1
    found = done.stdout.split(b"\n")[:-1]
    assert len(set(found)) == len(found) < 10
    gave_up, counts = done.stderr.decode().splitlines()[-2:]
    why = "-unique 1 and -most 1 left out the last 1,000 that were drawn"
    ways_out = "raise -most, raise -temperature or ask for fewer"
    assert gave_up == f"pycharrnn: found {len(found)} of 10 items: {why}; {ways_out}."
    assert counts.startswith("drawn: 1") and f"printed: {len(found)}," in counts
    greedy = run(*SAMPLE, "-sample", "0", "-unique", "1", "-verbose", "0", cwd=home)
    assert "found 1 of 10 items: with -sample 0 all are equal." in sentence(greedy)
    assert greedy.stdout.count(b"\n") == 1
    greedy = run(*SAMPLE, "-topk", "1", "-unique", "1", "-length", "9", cwd=home)
    assert b"pycharrnn: found 1 of 10 items: with -topk 1 all are equal.\ndrawn: 2, printed: 1, " in greedy.stderr


def test_lengths_that_no_item_has_are_refused_before_drawing(home):
    error = sentence(run(*SAMPLE, "-least", "9", "-length", "6", "-primetext", "a", cwd=home))
    assert "no item has -least 9 or more characters with -length 6: raise -length, or lower -least." in error
    done = run(*SAMPLE, "-least", "8", "-length", "7", "-primetext", "a", "-verbose", "0", "-items", "1", cwd=home)
    assert "no item has" not in done.stderr.decode()
    error = sentence(run(*SAMPLE, "-most", "1", "-primetext", "ab", cwd=home))
    assert "-primetext alone has 2 characters, more than -most 1: raise -most, or shorten it." in error
    assert all(item == "\u00e9".encode() for item in lines(home, "-most", "1", "-primetext", "\u00e9", "-items", "1"))


def test_a_line_between_poems_of_several_paragraphs(tmp_path):
    item_models.saved(tmp_path, "file", b"ab\n\nc\x1eb\x1e", letters="abc\n")
    done = run(*SAMPLE, "-items", "9", cwd=tmp_path)
    run(*SAMPLE, "-items", "9", "-o", "out", cwd=tmp_path)
    poems = [(tmp_path / "out" / f"sample_{seed}.txt").read_bytes() for seed in range(123, 132)]
    assert any(b"\n\n" in poem for poem in poems)
    assert done.stdout == b"%\n".join(poems)


def test_a_blank_line_between_items_that_may_have_several(tmp_path):
    item_models.saved(tmp_path, "blank", b"ab\nc\x1eb\x1e", letters="abc\n")
    done = run(*SAMPLE, "-items", "3", "-seed", "9", cwd=tmp_path)
    each = [run(*SAMPLE, "-items", "1", "-seed", str(seed), cwd=tmp_path).stdout for seed in (9, 10, 11)]
    assert done.stdout == b"\n".join(each) and b"\x1e" not in done.stdout
    for more in ((), ("-new", "1")):
        run(*SAMPLE, "-items", "60", *more, "-o", "out", cwd=tmp_path)
        has_known = b"b\n" in {path.read_bytes() for path in (tmp_path / "out").iterdir()}
        assert has_known == (not more)
        shutil.rmtree(tmp_path / "out")


def test_a_file_each(tmp_path):
    item_models.saved(tmp_path, "file", b"ab\nc\x1eb\x1e", letters="abc\n")
    done = run(*SAMPLE, "-items", "3", "-seed", "9", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout == b""
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"sample_{k}.txt" for k in (10, 11, 9)]
    for seed in (9, 10, 11):
        one = run(*SAMPLE, "-items", "1", "-seed", str(seed), cwd=tmp_path).stdout
        assert (tmp_path / "out" / f"sample_{seed}.txt").read_bytes() == one
    assert "saved out/sample_9.txt" in with_slashes(done.stderr.decode())
    (tmp_path / "out" / "sample_12.txt").write_bytes(b"a")
    error = sentence(run(*SAMPLE, "-primefile", "out/sample_12.txt", "-o", "out", "-seed", "9", cwd=tmp_path))
    assert "would overwrite out/sample_12.txt" in error


def test_an_item_is_cut_at_the_length(home):
    done = run(*SAMPLE, "-length", "1", "-items", "20", cwd=home)
    found = done.stdout.split(b"\n")[:-1]
    cut = sum(map(len, found))
    assert max(map(len, found)) == 1
    assert done.stderr.decode().splitlines()[-1].endswith(f", cut at -length 1: {cut}")


def test_colors_and_whole_characters(home):
    found = lines(home, "-items", "20", "-unicode", "1")
    assert b"".join(found).decode()
    colored = lines(home, "-items", "20", "-color", "1", "-primetext", "a")
    assert any(b"\x1b[0;" in line for line in colored)


def test_items_as_json(home):
    text = ("-items", "40", "-primetext", "a", "-length", "6")
    done = run(*SAMPLE, "-json", "1", *text, cwd=home)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [item["text"] for item in found] == [line.decode("utf-8", "replace") for line in lines(home, *text)]
    known = LIST.decode().splitlines()
    for seed, item in enumerate(found, 123):
        cut = len(os.fsencode(item["text"])) == 7 if "\ufffd" not in item["text"] else item["cut"]
        assert item == {"text": item["text"], "known": item["text"] in known, "seed": seed, "cut": cut}
    assert done.stderr.decode().splitlines()[-1].startswith("drawn: 40, printed: 40, known: ")
    (home / "data" / "list" / "input.txt").unlink()
    assert json.loads(lines(home, "-json", "1", "-items", "1")[0])["known"] is None


def test_models_of_code_points(tmp_path):
    item_models.saved(tmp_path, "line", "\u00e9\n".encode(), utf8=True, letters="\u00e9\u6c34a")
    done = run(*SAMPLE, "-items", "30", "-primetext", "\u6c34", cwd=tmp_path)
    assert all(line.startswith("\u6c34") for line in done.stdout.decode().splitlines())


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
def test_the_beginning_from_a_file(home, ending):
    """Which an editor ends with a line break; another one would end the item."""
    (home / "begin.txt").write_bytes(b"ab" + ending)
    assert lines(home, "-primefile", "begin.txt") == lines(home, "-primetext", "ab")
    (home / "begin.txt").write_bytes(b"ab\nc\n")
    error = sentence(run(*SAMPLE, "-primefile", "begin.txt", cwd=home))
    assert "-primefile contains '\\n', which ends an item: remove it" in error


@pytest.mark.parametrize(
    "options, said",
    [
        (("-samples", "3"), "-samples 3 has no meaning: give -items 3."),
        (("-beam", "3"), "-beam 3 has no meaning"),
        (("-stop", "a"), "-stop a has no meaning"),
        (("-length", "0"), "-length 0 has no meaning"),
        (("-primetext", "a\n"), "-primetext contains '\\n', which ends an item"),
        (("-least", "3", "-most", "2"), "no item has at least 3 and at most 2 characters"),
        (("-beam", "2", "-items", "3"), "can't be combined with -items: leave one out."),
        (("-items", "-1"), "-items must be"),
        (("-json", "1", "-o", "out"), "-json 1 and -o exclude each other: leave one out."),
        (("-json", "1", "-color", "1"), "-json 1 and -color exclude each other"),
        (("-json", "1", "-hide_prime", "1"), "leave -hide_prime out."),
    ],
)
def test_options_without_a_meaning(home, options, said):
    assert said in sentence(run(*SAMPLE, *options, cwd=home))  # before anything is printed


@pytest.mark.parametrize(
    "option, instead",
    [
        ("items", "; -samples N draws several texts"),
        ("new", "; -max_copy N draws no passage of more than N characters of the training text"),
        ("unique", ""),
        ("least", ""),
        ("most", "; -length N ends a text after N characters"),
    ],
)
def test_options_of_items_for_a_model_of_a_text(option, instead):
    error = sentence(run("sample", LSTM, "-gpuid", "-1", f"-{option}", "1"))
    assert f"-{option} 1 is for a model of items, which pycharrnn train FILE -items line makes" in error
    assert error.endswith(f" is a model of a text: leave it out{instead}.\n")


@pytest.mark.parametrize("number", [1, 3])
def test_texts_as_json(number):
    """In char-rnn's form, too, whose lines about the model would be on stdout."""
    args = ("sample", LSTM, "-gpuid", "-1", "-length", "40", "-primetext", "The ", "-seed", "5")
    found = [json.loads(line) for line in run(*args, "-samples", str(number), "-json", "1").stdout.splitlines()]
    assert [one["seed"] for one in found] == list(range(5, 5 + number))
    for one in found:
        alone = run(*args[:-1], str(one["seed"]), "-verbose", "0").stdout
        assert one == {"text": alone.decode("utf-8", "replace").removesuffix("\n"), "seed": one["seed"]}
    assert "-json" in sentence(run(*args, "-json", "1", "-length", "0"))


def test_texts_of_a_model_of_files_as_json(tmp_path):
    """Without a prompt it reads a newline first, which is not shown."""
    loaded = checkpoint.load(LSTM)
    of_files = dataclasses.replace(loaded, opt={**loaded.opt, checkpoint_facts.FROM_TEXTS: 1})
    checkpoint.convert(of_files, tmp_path / "m.t7")
    args = ("sample", str(tmp_path / "m.t7"), "-gpuid", "-1", "-length", "30")
    (found,) = map(json.loads, run(*args, "-json", "1").stdout.splitlines())
    assert found["text"] == run(*args).stdout.decode("utf-8", "replace").removesuffix("\n")
    hidden = ("-primetext", "The ", "-hide_prime", "1")
    (found,) = map(json.loads, run(*args, *hidden, "-json", "1").stdout.splitlines())
    assert found["text"] == run(*args, *hidden).stdout.decode("utf-8", "replace").removesuffix("\n")


def started(home, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pycharrnn", *SAMPLE, "-items", "1e9", *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=home, env=environment, **pipes, **HEEDS_SIGNALS)


@needs_signals
def test_head_and_ctrl_c_end_it_quietly(home):
    process = started(home)
    assert process.stdout.readline()
    process.stdout.close()
    assert "Traceback" not in (said := process.stderr.read().decode())
    assert process.wait(300) and said.count("\n") <= 4, said

    process = started(home)
    assert process.stdout.readline()
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130 and error.endswith(b"pycharrnn: stopped by Ctrl-C.\n")
    assert b"Traceback" not in error


@pytest.mark.parametrize("kind", ["line", "blank", "file"])
def test_a_trained_list_gives_new_items(tmp_path, kind):
    """From a list to new items in two commands; the items of the validation are known too."""
    words = ["".join(letters) for letters in itertools.product("abc", "de", "fgh", "ij")]
    if kind == "line":
        (tmp_path / "list.txt").write_text("\n".join(words))
    elif kind == "blank":
        (tmp_path / "list.txt").write_text("\n \n".join(words), newline="\r\n")
    else:
        (tmp_path / "list.txt").mkdir()
        for word in words:
            (tmp_path / "list.txt" / f"{word}.txt").write_text(f"{word}\n")
    small = [
        "-rnn_size",
        "8",
        "-num_layers",
        "1",
        "-batch_size",
        "2",
        "-seq_length",
        "10",
        "-max_epochs",
        "8",
        "-dropout",
        "0",
        "-warmup",
        "0",
    ]
    trained = run("train", "list.txt", "-items", kind, *small, "-gpuid", "-1", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr.decode()
    sample = ("sample", "cv", "-gpuid", "-1", "-items", "20", "-temperature", "0.8")
    done = run(*sample, "-new", "1", "-unique", "1", cwd=tmp_path)
    between = {"line": "\n", "blank": "\n\n", "file": "\n%\n"}[kind]
    new = [item for item in done.stdout.decode().removesuffix("\n").split(between) if item]
    assert done.returncode == 0 and len(set(new)) == 20 and not set(new) & set(words)
    counts = done.stderr.decode().splitlines()[-1]
    assert "printed: 20" in counts and "known: 0" not in counts
    assert b"items " in run("inspect", "cv", cwd=tmp_path).stdout.replace(b"opt.items", b"")
    assert b"nats per character" in run("eval", "cv", cwd=tmp_path).stdout
