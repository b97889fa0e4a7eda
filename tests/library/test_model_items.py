"""Items from a Model: those of the command line, with their probabilities."""

from __future__ import annotations

import itertools
import math
import os

import item_models
import pytest
from conftest import GOLDEN, run, working_in
from item_models import LIST

import pycharrnn
from compat.item_options import record_labels
from pycharrnn.sampling import sample_hook


@pytest.fixture
def home(tmp_path):
    """The current folder, with a model of items and its text."""
    with working_in(item_models.list_home(tmp_path)):
        yield tmp_path


def test_the_items_of_the_command_line(home):
    model = pycharrnn.load("cv")
    options = {"new": True, "unique": True, "least": 2, "most": 5, "temperature": 1.2, "topk": 4, "threads": 2}
    flags = [word for name, value in options.items() for word in (f"-{name}", str(+value))]
    for more, more_flags in (({}, []), ({"hide_prime": True}, ["-hide_prime", "1"])):
        found = list(model.items(20, primetext="a", seed=9, **options, **more))
        args = ("-items", "20", "-primetext", "a", "-seed", "9", *flags, *more_flags)
        done = run("sample", "cv", "-gpuid", "-1", "-verbose", "0", *args, cwd=home)
        assert [item.encoded for item in found] == done.stdout.split(b"\n")[:-1]
        assert not any(item.known for item in found)


def test_probabilities_and_known_items(home):
    model = pycharrnn.load("cv")
    found = list(model.items(30, seed=1))
    assert len(found) == 30 and isinstance(found[0], str) and isinstance(found[0], pycharrnn.GeneratedText)
    for item in found:
        assert item.known == (item.encoded in LIST.split(b"\n")[:-1])
        assert not item.cut
        assert item.probability == pytest.approx(2**-item.bits)
        assert next(model.items(1, seed=item.seed)) == item
        if item:  # a text has no empty items
            scored = model.score(item).bits
            assert item.bits == pytest.approx(scored.sum())
            assert math.prod(item.probabilities) == pytest.approx(2 ** -scored[:-1].sum())
    assert {item.known for item in found} == {True, False}
    (cut,) = model.items(1, length=1, seed=next(item.seed for item in found if len(item) > 1))
    assert cut.cut and cut.bits == pytest.approx(-math.log2(cut.probabilities[0]))
    assert len({str(item) for item in itertools.chain(model.items(8), model.items(8))}) > 3  # each call has a new seed
    assert "items line" in repr(model)


def test_only_a_text_and_a_seed_can_be_none(home):
    model = pycharrnn.load("cv")
    assert len(list(model.items(1, text=None, seed=None))) == 1
    for name in ("temperature", "length", "new"):
        with pytest.raises(TypeError, match=f"{name} must be"):
            model.items(1, **{name: None})
    assert model.copied("ab", least=2, text=None) == model.copied("ab", least=2)


def test_a_beginning_begins_an_item(home):
    """`generate` and `stream` read the end character before it, and do not return that."""
    model = pycharrnn.load("cv")
    (item,) = model.items(1, primetext="a", seed=4)
    for beginning in ("a", ["a"]):
        text = model.generate(beginning, seed=4, stop="\n", length=50)
        assert "".join(text) == f"{item}\n"
    assert "".join(model.stream("a", seed=4, stop="\n", length=50)) == f"{item}\n"
    hidden = model.generate("a", seed=4, stop="\n", length=50, hide_prime=True)
    assert hidden == "".join(model.stream("a", seed=4, stop="\n", length=50, hide_prime=True)) == f"{item}\n"[1:]
    assert model.generate(seed=4, stop="\n", length=50) == f"{next(model.items(1, seed=4))}\n"


def test_fewer_where_nothing_new_comes(home):
    assert len(list(pycharrnn.load("cv").items(10, unique=True, most=1, seed=2))) < 10


def test_a_text_of_ones_own(home):
    (home / "mine.txt").write_bytes(b"bb\n")
    os.unlink(home / "data" / "list" / "input.txt")
    model = pycharrnn.load("cv")
    assert {item.known for item in model.items(20, seed=3)} == {None}
    found = list(model.items(400, seed=3, text=home / "mine.txt"))
    assert {str(item) for item in found if item.known} == {"bb"}
    with pytest.raises(pycharrnn.UserError, match="is not here: go to the folder of the training, or give text=FILE"):
        model.items(3, new=True)


@pytest.mark.parametrize(
    "call, error, said",
    [
        (lambda model: model.items(0), pycharrnn.UserError, "count must be from 1 to 1,000,000,000,000, not 0"),
        (lambda model: model.items(True), TypeError, "count must be a whole number, not True"),
        (lambda model: model.items("3"), TypeError, "count must be a whole number, not '3'"),
        (lambda model: model.items(3, length=0), pycharrnn.UserError, "length must be at least 1"),
        (
            lambda model: model.items(3, prime="A"),
            TypeError,
            r"items\(\) has no option 'prime'; did you mean primetext\?",
        ),
        (lambda model: model.items(3, news=1), TypeError, r"items\(\) has no option 'news'; did you mean new\?"),
        (lambda model: model.items(3, samples=2), TypeError, r"items\(\) has no option 'samples'"),
        (lambda model: model.items(3, text=3), TypeError, "text must be a str, not 3"),
        (lambda model: model.items(3, primetext="X"), pycharrnn.UserError, "primetext has the character 'X'"),
        (lambda model: next(model.items(3, primetext="\n")), pycharrnn.UserError, r"primetext contains '\\n'"),
        (
            lambda model: model.items(3, label="a"),
            pycharrnn.UserError,
            r'train one by pycharrnn.train\("lists",',
        ),
        (lambda model: model.which("a"), pycharrnn.UserError, r'train one by pycharrnn.train\("lists",'),
    ],
)
def test_what_is_refused(home, call, error, said):
    with pytest.raises(error, match=said):
        call(pycharrnn.load("cv"))


def test_a_label_in_the_beginning_is_refused():
    loaded = item_models.made("line", letters="abc\t", label="file", **record_labels({b"ab": 3, b"cc": 2}))
    said = "^primetext begins with the label ab and a tab: leave them out, and use label instead"
    with pytest.raises(pycharrnn.UserError, match=said):
        pycharrnn.Model(loaded).items(3, primetext="ab\tc")


def test_a_label_that_is_not_utf8():
    half = b"\xc3"  # of the model's letter \u00e9
    loaded = item_models.made("line", letters="abc\t\u00e9", label="file", **record_labels({half: 3}))
    assert {item.label for item in pycharrnn.Model(loaded).items(3, seed=1)} == {os.fsdecode(half)}


def test_a_model_of_a_text_has_no_items():
    model = pycharrnn.load(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")
    with pytest.raises(pycharrnn.UserError, match=r"not a model of items: generate\(\) samples its text"):
        model.items(3)


@pytest.mark.parametrize("kind, between", [("line", "\n"), ("blank", "\n\n")])
def test_samples_of_a_training_are_items(tmp_path, kind, between):
    """What -show prints begins with the item that `items` draws with its seed."""
    from pycharrnn.engine.model import CharRNN
    from pycharrnn.library.model import Model

    loaded = item_models.made(kind, letters="abc")
    characters = sample_hook.characters(loaded, CharRNN.from_checkpoint(loaded), 60, 4, 0.5)
    shown = b"".join(characters).decode("utf-8", "replace")
    (item,) = Model(loaded).items(1, seed=4, temperature=0.5)
    assert item and shown.startswith(item + between) and "\x1e" not in shown
    generated = Model(loaded).generate(length=60, seed=4, temperature=0.5)
    assert generated.startswith(item)


def test_the_program_that_a_training_names_draws_items(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("elf", "orc"):
        (tmp_path / f"{name}.txt").write_text("".join(f"{a}{name}{b}\n" for a in "aeiou" for b in "krgs"))
    sizes = {"rnn_size": 6, "batch_size": 5, "seq_length": 8}
    run = pycharrnn.train(["elf.txt", "orc.txt"], items="line", label="file", max_epochs=1, quiet=True, **sizes)
    (program,) = (note for note in run.notes if note.startswith("sample from it with: "))
    assert {item.label for item in eval(program.removeprefix("sample from it with: "))} <= {"elf", "orc"}
