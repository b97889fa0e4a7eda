"""`copied`: the passages of a sample that are in a text, as a user runs it."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import random
import re
import sys

import item_models
import pytest
from click.testing import CliRunner
from conftest import run, sentence

import pycharrnn
from pycharrnn.analysis import copied as copied_passages
from pycharrnn.checkpoints import checkpoint
from pycharrnn.cli.commands import cli
from pycharrnn.common import regular_files
from pycharrnn.common.errors import UserError
from pycharrnn.engine import matching

TEXT = "One day, the größte of all cats\nsat on the mat.\nAnd the dog slept under the tree.\n"
MODEL = "cv/lm_list_best.t7"
SAMPLE = "So\nthe größte of all dogs, and the mat.\nAnd the dog ran"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The current folder, with a sample and a text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.txt").write_text(SAMPLE, encoding="utf-8")
    (tmp_path / "t.txt").write_text(TEXT, encoding="utf-8")
    return tmp_path


def copied(*args: str, input: bytes = b""):
    done = CliRunner().invoke(cli, ["copied", *args], input=input, catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_the_longest_passages_with_their_places(home):
    lines = copied("s.txt", "-text", "t.txt", "-least", "8").splitlines()
    assert lines[0].split() == ["characters", "sample", "text", "passage"]
    assert [line.split(None, 3) for line in lines[1:]] == [
        ["22", "2:28", "2:7", r"the mat.\nAnd the dog"],
        ["18", "2:1", "1:10", "the größte of all"],
    ]
    assert copied("s.txt", "-text", "t.txt", "-least", "8", "-top", "1").splitlines()[1:] == [
        lines[1],
        "1 of 2 passages of 8 or more characters",
    ]
    assert copied("s.txt", "-text", "t.txt", "-least", "23") == "no passage of 23 or more characters\n"


def test_a_text_that_is_cut_while_it_is_compared(home, monkeypatch):
    compare = copied_passages.compare

    def then_cut(*args, **more):
        found = compare(*args, **more)
        (home / "t.txt").write_text(TEXT[:20], encoding="utf-8")
        return found

    monkeypatch.setattr(copied_passages, "compare", then_cut)
    with pytest.raises(UserError, match=r"^t\.txt changed while it was read; start again\.$"):
        copied("s.txt", "-text", "t.txt", "-least", "8")


def test_the_text_of_the_places_is_named(home):
    for more, said in ([], "pycharrnn: s.txt is compared with t.txt\n"), (["-json", "1"], ""):
        assert CliRunner().invoke(cli, ["copied", "s.txt", "-text", "t.txt", *more]).stderr == said


def test_a_long_passage_is_cut_in_the_table_alone(home):
    passage = "\n".join(f"größte {k:03}" for k in range(300))
    for name in ("s.txt", "t.txt"):
        (home / name).write_text(passage, encoding="utf-8")
    assert len(passage) == 3299
    (row,) = copied("s.txt", "-text", "t.txt", "-html", "page.html").splitlines()[1:-1]
    assert row.split(None, 3) == ["3299", "1:1", "1:1", f"{passage[:60]} ... {passage[-30:]}".replace("\n", "\\n")]
    (whole,) = json.loads(copied("s.txt", "-text", "t.txt", "-json", "1"))["passages"]
    assert whole["passage"] == passage
    assert passage in (home / "page.html").read_text(encoding="utf-8")
    for name in ("s.txt", "t.txt"):
        (home / name).write_text(passage[:100], encoding="utf-8")
    assert copied("s.txt", "-text", "t.txt").endswith(passage[:100].replace("\n", "\\n") + "\n")


def test_json_from_a_pipe(home):
    found = json.loads(
        copied("-", "-text", "t.txt", "-least", "20", "-json", "1", "-curve", "1", input=SAMPLE.encode())
    )
    assert found["sample"] == "standard input" and found["found"] == 1
    (passage,) = found["passages"]
    assert TEXT.splitlines()[passage["text"]["line"] - 1][passage["text"]["column"] - 1 :].startswith(" the mat.")
    assert SAMPLE.encode()[passage["sample"]["offset"] :].startswith(passage["passage"].encode())
    shares = [gram in TEXT for gram in (SAMPLE[k : k + 8] for k in range(len(SAMPLE) - 7))]
    assert found["curve"]["sample"][found["curve"]["n"].index(8)] == pytest.approx(sum(shares) / len(shares))
    assert found["curve"]["validation"] is None


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of files of any bytes")
def test_json_names_a_file_whose_name_is_not_utf8(home):
    name = os.fsdecode(b"s\xff.txt")
    (home / name).write_text(SAMPLE, encoding="utf-8")
    assert json.loads(run("copied", name, "-text", name, "-json", "1", cwd=home).stdout)["sample"] == "s\ufffd.txt"


def test_a_passage_that_the_sample_repeats_is_listed_once(home):
    (home / "s.txt").write_bytes(b"sat on the mat. x sat on the mat.")
    assert len(copied("s.txt", "-text", "t.txt", "-least", "10").splitlines()) == 2
    copied("s.txt", "-text", "t.txt", "-least", "10", "-html", "page.html")
    assert (home / "page.html").read_text(encoding="utf-8").count("copied: 15 characters, line 2") == 2


def test_the_first_place_of_a_passage_in_whole_characters(home):
    """The character before it in the sample has its last byte in common with that before its second place."""
    (home / "s.txt").write_text("ũthe cat sat", encoding="utf-8")
    (home / "t.txt").write_text("a\nthe cat sat\néthe cat sat\n", encoding="utf-8")
    assert copied("s.txt", "-text", "t.txt", "-least", "8").splitlines()[1].split(None, 3)[:3] == ["11", "1:2", "2:1"]


def test_a_page_is_escaped_and_needs_nothing_else(home):
    (home / "s.txt").write_bytes(b"\n<b>&\xff One day, the")
    (home / "t.txt").write_bytes(b"x\n<b>& Two\nOne day, the")
    args = ["s.txt", "-text", "t.txt", "-text_encoding", "bytes", "-least", "4", "-html", "page.html"]
    assert copied(*args).endswith("saved page.html\n")
    page = (home / "page.html").read_text(encoding="utf-8")
    assert '>\n<b class="o1" title="copied: 5 characters, line 1, column 2">\n&lt;b&gt;&amp;</b>\ufffd ' in page
    assert "http" not in page and "prefers-color-scheme: dark" in page
    copied("s.txt", "-text", "t.txt", "-html", "page.html")  # its own file
    (home / "page.html").write_text("mine", encoding="utf-8")
    with pytest.raises(Exception, match="pycharrnn copied did not write it"):
        copied("s.txt", "-text", "t.txt", "-html", "page.html")


def test_texts_are_read_as_training_reads_them(home):
    (home / "t.txt").write_bytes("größte\r\nKatze von allen Städten".encode("cp1252"))
    (home / "s.txt").write_bytes("die größte\nKatze".encode())
    assert r"größte\nKatze" in copied("s.txt", "-text", "t.txt", "-least", "10")
    for sample in ("die größte\r\nKatze".encode("cp1252"), "die größte\r\nKatze".encode("utf-16")):
        (home / "s.txt").write_bytes(sample)
        assert r"größte\nKatze" in copied("s.txt", "-text", "t.txt", "-least", "10")
        assert r"größte\nKatze" in copied("-", "-text", "t.txt", "-least", "10", input=sample)
    (home / "s.txt").write_bytes("die größte\r\nKatze".encode("cp1252"))
    as_bytes = copied("s.txt", "-text", "t.txt", "-least", "10", "-text_encoding", "bytes")
    assert r"gr\xf6\xdfte\r\nKatze" in as_bytes
    (home / "s.txt").write_bytes("von allen Städten".encode("cp1252"))
    as_bytes = copied("s.txt", "-text", "t.txt", "-least", "10", "-text_encoding", "bytes")
    assert r"von allen St\xe4dten" in as_bytes


def test_a_sample_with_broken_characters_is_of_the_model(home):
    """Not of cp1252, although it has more broken characters than whole ones."""
    passage = "my mother\u2019s cold green orchard"
    text = f"{passage}\nre\u00fcsed lamp, at night\n"
    item_models.saved(home, "line", text.encode(), letters=text)
    (home / "s.txt").write_bytes(f"at night {passage}\n".encode() + b"the re\xe2sed \xc3 lamp\n")
    done = run("copied", "s.txt", MODEL, "-least", "8", cwd=home)
    assert done.stdout.decode().splitlines()[1].split()[0] == "31" and b"read as" not in done.stderr
    (home / "s.txt").write_bytes(
        "at night in \u00c4land \u2013 \u201csed\u201d\n".encode("cp1252")
    )  # of another program
    assert b"read as cp1252" in run("copied", "s.txt", MODEL, cwd=home).stderr


def test_a_recorded_text_without_a_hash_may_have_changed(home):
    path = item_models.saved(home, "line", b"a cat\nab\nbb\n")
    checkpoint.convert(dataclasses.replace(checkpoint.load(path), text_fingerprint=""), path)
    (home / "s.txt").write_bytes(b"one\nab\nbb\n")
    note = (
        f"pycharrnn: {MODEL} does not record the hash of its training text: data/list{os.sep}input.txt is taken as it"
        " is now."
    )
    sample = ["sample", MODEL, "-items", "1"]
    both = ["-max_copy", "3", "-new", "1"]
    for command in (["copied", "s.txt", MODEL], [*sample, *both[:2]], [*sample, *both[2:]], [*sample, *both]):
        assert run(*command, cwd=home).stderr.decode().splitlines().count(note) == 1, command
        assert note not in run(*command, "-text", "t.txt", cwd=home).stderr.decode()


def test_the_recorded_text_of_a_model(home):
    item_models.saved(home, "line", b"a cat\nab\nbb\n")
    (home / "s.txt").write_bytes(b"one\nab\nbb\n")
    row = ["7", "1:4", "1:6", r"\nab\nbb\n"]
    assert copied("s.txt", MODEL, "-least", "6").splitlines()[1].split() == row
    (home / "windows.txt").write_text("one\r\nab\r\nbb\r\n", encoding="utf-16", newline="")
    assert copied("windows.txt", MODEL, "-least", "6").splitlines()[1].split() == row
    path = next((home / "data").rglob("input.txt"))
    path.write_bytes(b"another\n")
    done = run("copied", "s.txt", MODEL, cwd=home)
    assert done.returncode == 1 and re.search(r"is not the text of .*Give -text FILE", sentence(done, done.returncode))
    assert "no passage" in copied("s.txt", MODEL, "-text", "t.txt")  # of another text
    path.unlink()
    done = run("copied", "s.txt", MODEL, cwd=home)
    assert done.returncode == 1 and re.search(r"is not here: .*or give -text FILE", sentence(done, done.returncode))


def test_a_strangers_name_of_the_text_can_not_command_the_terminal(home):
    item_models.saved(home, "line", b"a cat\nab\nbb\n")
    loaded = checkpoint.load(home / MODEL)
    loaded.opt["data_dir"] = "data/\x1b[31mred\nline"
    checkpoint.convert(loaded, str(home / "stranger.t7"))
    for command in (["copied", "s.txt", "stranger.t7"], ["sample", "stranger.t7", "-items", "2", "-new", "1"]):
        said = run(*command, cwd=home).stderr.decode()
        assert r"data/\x1b[31mred\nline/input.txt, on which stranger.t7 was trained, is not here" in said
        assert "\x1b" not in said
    del loaded.opt["data_dir"]
    loaded.opt["input_h5"] = "data/tiny.h5"
    checkpoint.convert(loaded, str(home / "stranger.t7"))
    for command in (["copied", "s.txt", "stranger.t7"], ["sample", "stranger.t7", "-max_copy", "10"]):
        said = run(*command, cwd=home).stderr.decode()
        made = "which torch-rnn's preprocess.py made: give its text by -text FILE."
        assert f"stranger.t7 was trained on data/tiny.h5, {made}" in said


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (["s.txt"], 2, "name a checkpoint after the sample, or a text to compare with by -text FILE"),
        (["-", "-text", "-"], 2, "the sample and -text can't both be standard input"),
        (["empty.txt", "-text", "t.txt"], 1, "empty.txt: empty, so there is nothing to compare."),
        (["s.txt", "-text", "gone.txt"], 1, "can't read gone.txt"),
        (
            ["gone.txt", "-text", "t.txt"],
            1,
            "can't read gone.txt (No such file or directory): name a file that exists.",
        ),
        (["s.txt", "-text", "t.txt", "-least", "0"], 1, "-least"),
        (
            ["s.txt", "-text", "t.txt", "-html", "s.txt"],
            1,
            "-html must be a file that ends in .html or .htm, not s.txt.",
        ),
        (["cv", "s.txt"], 2, "s.txt is a text: use pycharrnn copied s.txt cv."),
        (["s.txt", "t.txt"], 2, "t.txt is a text: use pycharrnn copied s.txt -text t.txt."),
        (["s.txt", "texts"], 2, "to compare with the texts, use pycharrnn copied s.txt -text texts."),
        (["s.txt", "empty"], 1, "the folder empty has no checkpoint"),
        (["word.docx", "-text", "t.txt"], 1, "word.docx is a Word file, not plain text"),
    ],
)
def test_bad_input_gives_one_sentence(home, args, status, said):
    (home / "texts" / "old").mkdir(parents=True)
    (home / "texts" / "old" / "t.txt").write_text(TEXT, encoding="utf-8")
    (home / "empty").mkdir()
    (home / "empty.txt").write_bytes(b"")
    (home / "word.docx").write_bytes(b"PK\3\4" + bytes(99))
    done = run("copied", *args, cwd=home)
    assert done.returncode == status and said in sentence(done, done.returncode)


def test_the_lines_of_a_folder_are_those_of_its_files_after_each_other(home):
    (home / "texts").mkdir()
    (home / "texts" / "a.txt").write_text("one\ntwo\n")
    (home / "texts" / "b.txt").write_text(TEXT, encoding="utf-8")
    done = run("copied", "s.txt", "-text", "texts", cwd=home)
    note = "s.txt is compared with texts: 2 files sorted by name; line numbers continue from file to file"
    assert done.returncode == 0 and note in done.stderr.decode()


def test_files_of_a_folder_are_joined_as_for_training(home):
    """No passage goes from one file's last line, which has no line break, to the next file."""
    (home / "texts").mkdir()
    (home / "texts" / "1.txt").write_text("abcdefghijklm")
    (home / "texts" / "2.txt").write_text("nopqrstuvwxyz\n")
    (home / "s.txt").write_text("abcdefghijklmnopqrstuvwxyz\n")
    lines = copied("s.txt", "-text", "texts", "-least", "8").splitlines()
    assert [line.split()[0] for line in lines if line.split()[0].isdigit()] == ["14", "13"]


def test_binary_samples_and_samples_longer_than_the_text(home):
    (home / "s.txt").write_bytes(bytes(range(256)) * 3 + TEXT.encode())
    found = copied("s.txt", "-text", "t.txt", "-text_encoding", "bytes")
    assert found.splitlines()[1].split()[:1] == [str(len(TEXT))]


def test_a_text_with_a_zero_byte_is_compared_as_the_message_says(home):
    (home / "z.txt").write_bytes(b"the tree\0" + TEXT.encode())
    done = run("copied", "s.txt", "-text", "z.txt", cwd=home)
    assert done.returncode == 1 and "keep all bytes by -text_encoding bytes." in sentence(done)
    assert "the mat." in copied("s.txt", "-text", "z.txt", "-text_encoding", "bytes")


def test_the_library_lists_the_same(home):
    item_models.saved(home, "line", b"a cat\nab\nbb\n")
    model = pycharrnn.load(MODEL)
    (passage,) = model.copied("one\nab\nbb\n", least=6)
    assert isinstance(passage, pycharrnn.Passage) and str(passage) == "\nab\nbb\n" and passage.length == 7
    assert (passage.line, passage.column, passage.text_line, passage.text_column) == (1, 4, 1, 6)
    assert [found.length for found in model.copied(SAMPLE, least=8, text="t.txt")] == [22, 18]
    with pytest.raises(pycharrnn.UserError, match="least must be at least 1, not 0"):
        model.copied("a", least=0)
    next((home / "data").rglob("input.txt")).unlink()
    with pytest.raises(pycharrnn.UserError, match="is not here: .* give text=FILE"):
        model.copied("a")


def test_threads_of_the_option_or_of_the_environment(home, monkeypatch):
    item_models.saved(home, "line", b"a cat\nab\nbb\n")
    started, match = [], matching.match

    def noted(sample, texts, threads):
        started.append(threads)
        return match(sample, texts, threads)

    monkeypatch.setattr(matching, "match", noted)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    copied("s.txt", MODEL, "-curve", "1")  # of the text, and of two splits
    copied("s.txt", "-text", "t.txt", "-threads", "2")
    pycharrnn.load(MODEL).copied(SAMPLE, threads=5)
    assert started == [3, 3, 3, 2, 5]


def test_the_curve_of_a_model_beside_its_validation_split(home):
    """Of the text as the loader divides it: two rows, whose first columns are for training."""
    text = "".join(random.Random(2).choices("abc ", k=400)).encode()
    options = {"batch_size": 2, "seq_length": 10, "train_frac": 0.8, "val_frac": 0.2, "data_dir": "data/list"}
    item_models.saved(home, "", text, letters="abc ", **options)
    (home / "s.txt").write_bytes(text[100:150] + b"ccccacacacbbbb")
    train, val = [text[0:160], text[200:360]], [text[160:200], text[360:400]]
    pieces = {"sample": [(home / "s.txt").read_bytes()], "validation": val}
    found = json.loads(copied("s.txt", MODEL, "-curve", "1", "-json", "1"))["curve"]
    for k, n in enumerate(found["n"]):
        for name, texts in pieces.items():
            grams = [piece[j : j + n] for piece in texts for j in range(len(piece) - n + 1)]
            share = sum(any(gram in part for part in train) for gram in grams) / len(grams) if grams else None
            assert found[name][k] == (share if share is None else pytest.approx(share))
    shown = copied("s.txt", MODEL, "-curve", "1").splitlines()
    assert shown[-9].split() == ["n", "sample", "validation"] and shown[-1].split() == [
        "48",
        f"{100 * found['sample'][-1]:.2f}",
        "%",
        "-",
    ]


def test_a_damaged_option_is_not_asked_for_where_no_flag_gives_it(home):
    item_models.saved(home, "line", b"a cat\nab\nbb\n", seed="abc")
    done = CliRunner().invoke(cli, ["copied", "s.txt", MODEL, "-curve", "1"])
    said = f"{MODEL} records the -seed 'abc', which is not valid: use another checkpoint."
    assert (done.exit_code, str(done.exception)) == (1, said)


@pytest.mark.parametrize("name", ["vocab.t7", "data_items_0a.bin"])
def test_a_curve_for_which_the_text_can_not_be_divided(home, monkeypatch, name):
    """`copied` has no -data_dir, which other commands ask for."""
    item_models.saved(home, "line", b"a cat\nab\nbb\n" * 9)

    def denied(path):
        if os.path.basename(path) == name:
            raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(regular_files, "check", denied)
    done = CliRunner().invoke(cli, ["copied", "s.txt", MODEL, "-curve", "1"])
    said = str(done.exception)
    assert said.startswith("can't write ") and said.endswith("with -text FILE, -curve 1 is of the sample alone.")
    assert "n-grams" in copied("s.txt", MODEL, "-curve", "1", "-text", "data/list/input.txt")


def test_the_curve_of_a_model_of_items(home):
    """Of items, each by itself; the validation items are those of the loader."""
    names = ["ab" * k + "c" * (k % 3) + "ba" * (k % 5) for k in range(1, 60)]
    item_models.saved(home, "line", "".join(f"{name}\n" for name in names).encode(), batch_size=2, seq_length=10)
    (home / "s.txt").write_bytes(b"abab\ncbcb\nababcb\n")
    found = json.loads(copied("s.txt", MODEL, "-curve", "1", "-json", "1"))["curve"]
    lines = ["abab\n", "cbcb\n", "ababcb\n"]
    grams = [line[k : k + 4] for line in lines for k in range(len(line) - 3)]
    assert found["sample"][0] == sum(any(gram in f"{name}\n" for name in names) for gram in grams) / len(grams)
    assert found["sample"][-1] is None
    assert found["validation"][0] > 0.9
    # The text of the model has its validation split, too.
    whole = json.loads(copied("s.txt", MODEL, "-curve", "1", "-json", "1", "-text", "data/list/input.txt"))["curve"]
    assert whole["validation"] is None
    assert [share is None for share in whole["sample"]] == [share is None for share in found["sample"]]
    assert whole["sample"][0] >= found["sample"][0]
    piped = copied("s.txt", MODEL, "-curve", "1", "-json", "1", "-text", "-", input="\n".join(names).encode())
    assert json.loads(piped)["curve"] == whole
    assert json.loads(piped)["text"] == "standard input"


def test_labels_are_not_copied(home):
    """Neither in the passages nor in the curves, which end with the length of the items."""
    names = [f"name {k * 7919 % 1000:03}" for k in range(200)]
    text = "".join(f"{('a label', 'another label')[k % 2]}\t{name}\n" for k, name in enumerate(names))
    labels = {"label": "column", "labels": "100\ta label\n100\tanother label"}
    letters = "".join(sorted(set(text) - {"\n"}))
    item_models.saved(home, "line", text.encode(), letters=letters, batch_size=2, seq_length=10, **labels)
    (home / "s.txt").write_text(f"another label\t{names[0]}\na label\t{names[0]}x\nother label\t{names[1]}\n")
    found = json.loads(copied("s.txt", MODEL, "-least", "5", "-curve", "1", "-json", "1"))
    passages = [(p["passage"], p["sample"]["line"], p["sample"]["column"]) for p in found["passages"]]
    # The last label is not the model's, so it counts.
    assert passages[0] == (f"other label\t{names[1]}\n", 3, 1)
    assert passages[1:] == [(f"{names[0]}\n", 1, 15), (names[0], 2, 9)]
    assert [str(p) for p in pycharrnn.load(MODEL).copied((home / "s.txt").read_bytes(), least=5)] == [
        passage for passage, _, _ in passages
    ]
    validation = dict(zip(found["curve"]["n"], found["curve"]["validation"], strict=True))
    assert validation[6] > 0 and validation[12] is None


def test_plot_draws_curves(home):
    item_models.saved(home, "line", b"a cat\nab\nbb\n" * 30, batch_size=2, seq_length=10)
    for name, args in (("one", [MODEL]), ("two", ["-text", "t.txt"])):
        (home / f"{name}.json").write_text(copied("s.txt", *args, "-curve", "1", "-json", "1"), encoding="utf-8")
    done = run("plot", "one.json", "two.json", "-o", "c.svg", cwd=home)
    assert (done.returncode, done.stdout) == (0, b"saved c.svg\n")
    shown = re.findall(r"<text[^>]*>([^<]*)</text>", (home / "c.svg").read_text(encoding="utf-8"))
    assert {"one", "two", "validation split, by people", "48"} <= set(shown)
    (home / "no curve.json").write_text(copied("s.txt", "-text", "t.txt", "-json", "1"), encoding="utf-8")
    (home / "short.txt").write_bytes(b"cat")
    short = copied("short.txt", "-text", "t.txt", "-curve", "1", "-json", "1")
    (home / "short.json").write_text(short, encoding="utf-8")
    for path, said in (
        (
            "no curve.json",
            "write one by pycharrnn copied SAMPLE cv -curve 1 -json 1 > 'no curve.json'.",
        ),
        ("short.json", "short.json is of a sample too short for a curve: name that of a longer one."),
        (MODEL, "plot them one by"),
    ):
        done = run("plot", "one.json", path, "-o", "d.svg", cwd=home)
        assert done.returncode == 1 and said in sentence(done)
