"""pycharrnn studio: messages in the words of the page."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import working_in
from runs import folder_with_text, result_of
from serving_tools import GRU, LSTM

from compat import charrnn
from pycharrnn.checkpoints import checkpoint
from pycharrnn.cli import console
from pycharrnn.common import errors
from pycharrnn.common.errors import UserError, flag, for_command_line
from pycharrnn.common.printing import print_nothing
from pycharrnn.page.page_files import page_files
from pycharrnn.server.studio import page_words
from pycharrnn.text import corpus
from pycharrnn.text.items import MAX_ITEM
from pycharrnn.training import log_rows, overwrite_guard, run_lock, run_log, time_plan
from pycharrnn.training.initial_checkpoint import InitialCheckpoint
from pycharrnn.training.log_rows import Row
from pycharrnn.training.loop import train
from pycharrnn.training.next_commands import NextCommands
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.reports import Callbacks, TrainStep
from pycharrnn.training.settings import FileSettings, group


def ignore(note: str) -> None:
    pass


def refusal(command: Callable[[], object]) -> str:
    with pytest.raises(UserError) as error:
        command()
    return error.value.message


def of_text(content: bytes, name: str = "a.txt", **options: str) -> str:
    """Why a text can't be learned from, or the notes on it."""
    Path(name).write_bytes(content)
    notes: list[str] = []
    try:
        with corpus.gather([name], notes.append, **options) as gathered:
            gathered.write()
    except UserError as e:
        return e.message
    return " ".join(notes)


def of_checkpoint(content: bytes) -> str:
    Path("x.t7").write_bytes(content)
    return refusal(lambda: checkpoint.load("x.t7"))


def with_files(check: Callable[[FileSettings], object]) -> str:
    return refusal(lambda: check(group(FileSettings, TrainOptions(savefile="a"), checkpoint_format="t7")))


def of_unfinished_run() -> str:
    loaded = checkpoint.load(LSTM)
    charrnn.save("cv/lm_a_latest.t7", dataclasses.replace(loaded, opt={**loaded.opt, "max_epochs": 1000}))
    return with_files(lambda files: overwrite_guard.check(files, None, ignore))


def of_model_to_start_from() -> str:
    shutil.copy(GRU, "cv/lm_a_best.t7")
    start = InitialCheckpoint("cv/lm_a_best.t7", checkpoint.load("cv/lm_a_best.t7"))
    return with_files(lambda files: overwrite_guard.check(files, start, ignore))


def of_locked_run() -> str:
    def train_twice(files: FileSettings) -> None:
        with run_lock.RunLock(files, ignore):
            run_lock.check(files)

    return with_files(train_twice)


def of_stopped_run(signals: int = 1) -> str:
    """What a run of the studio prints on stderr that gets SIGTERM so many times."""
    folder_with_text(Path.cwd())
    opt = TrainOptions(data_dir="data", gpuid=-1, rnn_size=6, batch_size=5, seq_length=8)

    def stop(report: TrainStep) -> None:
        for _ in range(signals):
            signal.raise_signal(signal.SIGTERM)

    stderr = os.dup(2)
    errors.use_wording(page_words.reword)
    try:
        with open("stderr", "wb") as f:
            os.dup2(f.fileno(), 2)
        end = refusal(lambda: train(opt, say=ignore, note=ignore, callbacks=Callbacks(on_print=stop)))
    finally:
        errors.use_wording(for_command_line)
        os.dup2(stderr, 2)
        os.close(stderr)
    return Path("stderr").read_text(encoding="utf-8").removeprefix("pycharrnn: ") + end


def of_log_of_another_run() -> str:
    Path("run.csv").write_bytes(log_rows.header("run.csv") + log_rows.as_line(Row("train", 5, 0.5), "run.csv"))
    notes: list[str] = []
    options = TrainOptions(log="run.csv", overwrite=1)
    run_log.check(group(FileSettings, options, checkpoint_format="t7"), "data", None, notes.append)
    return " ".join(notes)


def of_damaged_log() -> str:
    Path("run.csv").write_bytes(b"hi\n")
    files = group(FileSettings, TrainOptions(log="run.csv"), checkpoint_format="t7")
    return refusal(lambda: run_log.check(files, "data", None, print_nothing))


def of_two_choices() -> str:
    return refusal(lambda: time_plan.check(TrainOptions(minutes=2, recipe="best"), ("minutes", "recipe"), 1))


def of_other_characters() -> str:
    shutil.copy(LSTM, "cv/lm_b.t7")
    error, _, _ = result_of(folder_with_text(Path.cwd()), "-init_from", "cv/lm_b.t7")
    return error.message


NAMES = b"".join(b"%s%d\n" % (name, k) for k in range(300) for name in (b"Ada", b"Bob", b"Celine"))
REWORDED: dict[str, tuple[Callable[[], str], str]] = {
    "decoded": (
        lambda: of_text("Caf\u00e9 au lait.\n".encode("cp1252") * 9),
        '"Encoding of the files" overrules this',
    ),
    "no items": (
        lambda: of_text(b"\n", items="line"),
        'there are no items of "The text is: a list: each line is an item", for which an item is a line that is not'
        ' empty, in a.txt: add some, or choose another "The text is".',
    ),
    "long item": (
        lambda: of_text(b"a" * (MAX_ITEM + 1) + b"\nb", items="line"),
        ': divide it, or train with "The text is: one text".',
    ),
    "one label": (
        lambda: of_text(b"x\ta\nx\tb\n", items="line", label="column"),
        'each item, and leave "Label of an item: what stands before its first tab" out.',
    ),
    "list": (lambda: of_text(NAMES), '; "The text is: a list: each line is an item" learns each line by itself'),
    "checkpoint for a text": (
        lambda: of_text(LSTM.read_bytes(), "x.t7"),
        ': Bring takes it, and "Start from" then trains it further on a text.',
    ),
    "junk": (
        lambda: of_checkpoint(b"M\0\0\0" * 99),
        "can't read x.t7 as a checkpoint: it is none of char-rnn, torch-rnn or pycharrnn.",
    ),
    "text for a checkpoint": (lambda: of_checkpoint(b"To be, or not to be.\n" * 99), ": Learn makes a model of it."),
    "archive": (lambda: of_checkpoint(b"PK\3\4" + bytes(99)), ": unpack it, and bring the .t7 file in it."),
    "HDF5": (
        lambda: of_checkpoint(b"\x89HDF\r\n\x1a\n" + bytes(99)),
        ": bring its checkpoint, such as checkpoint_1000.t7.",
    ),
    "two choices": (of_two_choices, '"Minutes" 2 and "How long: Best" both choose settings: give one of them.'),
    "unfinished run": (
        of_unfinished_run,
        '; choose another "Name", or go on with it by `pycharrnn train -resume cv/lm_a_latest.t7`.',
    ),
    "model to start from": (
        of_model_to_start_from,
        'this training would overwrite cv/lm_a_best.t7, from which it starts: choose another "Name".',
    ),
    "locked run": (of_locked_run, 'writes lm_a_* to cv: choose another "Name", or wait until it has ended.'),
    "stopped run": (of_stopped_run, "finishing the step and saving.\nstopped after iteration 1."),
    "run stopped at once": (lambda: of_stopped_run(2), "stopped at once."),
    "log of another run": (of_log_of_another_run, "run.csv begins anew."),
    "damaged log": (of_damaged_log, "line 1 is not one of its rows."),
    "other characters": (of_other_characters, '; "Start from" with -vocab extend adds the new ones to the model'),
}


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> dict[str, str]:
    found = {}
    for name, (command, _) in REWORDED.items():
        with working_in(tmp_path_factory.mktemp("page")):
            Path("cv").mkdir()
            found[name] = command()
    return found


@pytest.mark.parametrize("name", REWORDED)
def test_sentences_of_commands(said, name):
    _, reworded = REWORDED[name]
    assert reworded in page_words.reword(said[name])


def test_messages_that_only_name_a_command_are_not_printed(capsys):
    commands = NextCommands("poems")
    path = "cv/lm_poems_best.t7"
    errors.use_wording(page_words.reword)
    try:
        for line in ("calibrated.", commands.sample(path), commands.page(path)):
            console.note(line)
    finally:
        errors.use_wording(for_command_line)
    assert capsys.readouterr().err == "pycharrnn: calibrated.\n"


def test_flags_that_the_page_lacks_stay():
    assert page_words.reword(f"{flag('rnn_size')} must be at least 1, not 0.") == "-rnn_size must be at least 1, not 0."


def test_names_of_files_that_look_like_flags_stay():
    sentence = page_words.reword(f"my -minutes 5.txt is short for {flag('minutes', 5)}.")
    assert sentence == 'my -minutes 5.txt is short for "Minutes" 5.'


def test_fields_are_called_as_on_the_page():
    page = page_files(studio=True)["index.html"].decode()
    offered = page_words.field_values()
    for name, (field, values) in page_words.FIELDS.items():
        assert name in TrainOptions.__dataclass_fields__
        for words in (field, *(values.values() if name not in offered else ())):
            assert re.search(rf"""[>"]{re.escape(words)}["<]""", page), words


def test_messages_name_what_the_page_has():
    """The scripts of the page look for these words in messages, or make a button of them."""
    files = page_files(studio=True)
    everything = b"".join(files.values()).decode()
    for words in page_words._OF_CHECKPOINTS.values():
        assert re.search(rf"""[>"]{words}["<]""", everything), words
    encoding, _ = page_words.FIELDS["text_encoding"]
    assert f'const ENCODING = "{encoding}";' in files["studio_learn.js"].decode()


def test_the_fields_of_the_page_offer_all_values():
    assert page_words.field_values().keys() == {"items", "label", "encoding"}
    for name, words in page_words.field_values().items():
        allowed = TrainOptions.__dataclass_fields__[name].metadata["allowed"]
        assert list(words) == ["", *allowed.choices]
