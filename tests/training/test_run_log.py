"""-log: the figures of a run as rows of a file."""

from __future__ import annotations

import csv
import errno
import json
import math
import os
import shutil
from pathlib import Path

import pytest
from conftest import with_slashes, working_in
from runs import STEP, folder_with_text, named, result_of, train

from pycharrnn.common.errors import UserError
from pycharrnn.common.shell_words import quoted
from pycharrnn.training import run_lock, run_log
from pycharrnn.training.log_rows import Row, as_line, header, rows
from pycharrnn.training.loop import train as train_with
from pycharrnn.training.options import TrainOptions
from pycharrnn.training.run_log import RunLog
from pycharrnn.training.run_sizes import RunSizes
from pycharrnn.training.settings import FileSettings, group
from pycharrnn.training.signals import RunStopped

# 60 steps: 8 rows of training, and validations after 20, 40 and 60 of them.
SHORT = ["-max_epochs", "1", "-print_every", "7", "-eval_val_every", "20"]
TIMES = ["seconds", "characters_per_second"]
COLUMNS = ["kind", "iteration", "epoch", "train_loss", "val_loss", "norm_ratio", "learning_rate", *TIMES]


def read(path: Path) -> list[dict]:
    """The rows as any program reads them; what is empty is None, and numbers are numbers."""
    if path.suffix == ".jsonl":
        return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text(encoding="utf-8").splitlines()]
    with open(path, newline="", encoding="utf-8") as f:
        found = list(csv.DictReader(f))
    return [{k: v if k == "kind" else int(v) if k == "iteration" else float(v) if v else None for k, v in row.items()}
            for row in found]  # fmt: skip


def figures(path: Path) -> list[dict]:
    """The rows without what differs from run to run."""
    return [{k: v for k, v in row.items() if k not in TIMES} for row in read(path)]


@pytest.fixture(scope="module")
def logged(tmp_path_factory) -> Path:
    """A folder with a run and its log."""
    folder = folder_with_text(tmp_path_factory.mktemp("logged"))
    lines = train(folder, *SHORT, "-learning_rate_decay_after", "1", "-log", "run.csv")
    (folder / "lines").write_text("\n".join(lines), encoding="utf-8")
    return folder


def copy(logged: Path, to: Path) -> Path:
    shutil.copytree(logged, to, dirs_exist_ok=True)
    return to


def test_rows_are_the_figures_of_the_log(logged, tmp_path):
    found = read(logged / "run.csv")
    assert list(found[0]) == COLUMNS
    lines = [STEP.fullmatch(line.replace("time/batch", "time/batch = 0.0000s")) for line in
             (logged / "lines").read_text(encoding="utf-8").splitlines() if "train_loss" in line]  # fmt: skip
    of_training = [row for row in found if row["kind"] == "train"]
    assert [row["iteration"] for row in of_training] == [7, 14, 21, 28, 35, 42, 49, 56]
    for row, line in zip(of_training, lines, strict=True):
        shown = f"{row['epoch']:.3f}", f"{row['train_loss']:.8f}", f"{row['norm_ratio']:.4e}"
        assert (str(row["iteration"]), *shown) == (line[1], line[3], line[4], line[5])
    validations = [row for row in found if row["kind"] == "validation"]
    assert [row["iteration"] for row in validations] == [20, 40, 60]
    for row, path in zip(validations, named(logged), strict=True):
        assert path.name == f"lm_lstm_epoch{row['epoch']:.2f}_{row['val_loss']:.4f}.t7"
    assert [row["iteration"] for row in found] == sorted(row["iteration"] for row in found)
    assert {row["learning_rate"] for row in found[:-1]} == {2e-3}
    assert found[-1]["learning_rate"] == 2e-3 * 0.97  # decayed at the end of the epoch
    seconds = [row["seconds"] for row in found]
    assert seconds == sorted(seconds) and seconds[0] > 0
    assert all(row["characters_per_second"] > 0 for row in found)


def test_json_holds_the_same(logged, tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, *SHORT, "-learning_rate_decay_after", "1", "-log", "run.jsonl")
    assert figures(folder / "run.jsonl") == figures(logged / "run.csv")


def test_it_changes_nothing(logged, tmp_path):
    folder = folder_with_text(tmp_path)
    lines = train(folder, *SHORT, "-learning_rate_decay_after", "1")
    assert lines == (logged / "lines").read_text(encoding="utf-8").split("\n")
    assert [(p.name, p.read_bytes()) for p in named(folder)] == [(p.name, p.read_bytes()) for p in named(logged)]


# -- a run that goes on ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ending, torn",
    [
        ("csv", b""),
        ("csv", b"validat"),
        ("csv", b"train,63,1.0"),
        ("csv", bytes(9)),
        ("jsonl", b""),
        ("jsonl", b'{"kind": "tra'),
    ],
)
def test_a_run_that_goes_on_goes_on_with_its_log(logged, tmp_path, ending, torn):
    """What came after the checkpoint comes again, and nothing twice; what was half written is gone."""
    whole = folder_with_text(tmp_path / "whole")
    args = ["-learning_rate_decay_after", "1", "-log", f"run.{ending}"]
    train(whole, *SHORT, *args)
    begun = copy(whole, tmp_path / "begun")
    log = begun / f"run.{ending}"
    log.write_bytes(log.read_bytes() + torn)
    middle = named(begun)[1]
    lines = train(begun, "-resume", f"cv/{middle.name}", *args[2:], small=[])
    assert not [line for line in lines if "overridden" in line]
    assert figures(log) == figures(whole / log.name)
    seconds = [row["seconds"] for row in read(log)]
    assert seconds == sorted(seconds)  # those of the run, not of its second part


@pytest.mark.parametrize("ending, line", [("csv", b"my notes"), ("jsonl", b'{"mine": 1}')])
def test_a_last_line_that_is_no_row_is_kept(tmp_path, ending, line):
    folder = folder_with_text(tmp_path)
    log = folder / f"run.{ending}"
    log.write_bytes(header(log.name) + as_line(Row("train", 5, 0.5), log.name) * (ending == "jsonl") + line)
    content = log.read_bytes()
    error, _, _ = result_of(folder, *SHORT, "-log", log.name)
    assert (
        str(error)
        == f"{log.name} is not a log of pycharrnn train -log: line 2 is not one of its rows; choose another -log."
    )
    assert log.read_bytes() == content


def test_a_run_that_goes_on_without_a_log_begins_one(logged, tmp_path):
    folder = copy(logged, tmp_path)
    (folder / "run.csv").unlink()
    train(folder, "-resume", f"cv/{named(folder)[1].name}", "-log", "run.csv", small=[])
    assert figures(folder / "run.csv") == [r for r in figures(logged / "run.csv") if r["iteration"] > 40]


def test_how_to_go_on_names_what_checkpoints_do_not_record(tmp_path):
    folder = folder_with_text(tmp_path)

    def nobody_reads(line: str) -> None:
        raise OSError(errno.EPIPE, "closed")

    small = {"data_dir": "data", "gpuid": -1, "rnn_size": 6, "batch_size": 5, "seq_length": 8}
    opt = TrainOptions(**small, log="a b.csv", log_every_seconds=600, show=9)
    with working_in(folder), pytest.raises(RunStopped) as stopped:
        train_with(opt, say=nobody_reads)
    flags = f"-show 9 -log {quoted('a b.csv')} -log_every_seconds 600"
    assert with_slashes(str(stopped.value)).endswith(f"-resume cv/lm_lstm_latest.t7 {flags}")
    assert [row["iteration"] for row in read(folder / "a b.csv")] == [1]


# -- what is there already ---------------------------------------------------------------------------------------------


def test_the_log_of_another_run_is_not_overwritten(logged, tmp_path):
    folder = copy(logged, tmp_path)
    before = (folder / "run.csv").read_bytes()
    error, _, _ = result_of(folder, *SHORT, "-log", "run.csv")
    assert str(error) == (
        "run.csv is the log of another run: choose another -log, or give it up with -overwrite 1; -resume goes on with"
        " it."
    )
    assert (folder / "run.csv").read_bytes() == before
    error, _, said = result_of(folder, *SHORT, "-log", "run.csv", "-overwrite", "1")
    assert error is None and "-overwrite 1 gives up the log of another run, run.csv." in said
    assert [r["iteration"] for r in figures(folder / "run.csv")] == [
        r["iteration"] for r in figures(logged / "run.csv")
    ]


def test_an_unfinished_run_is_named_before_its_log(logged, tmp_path):
    """The advice on the log alone, -overwrite 1, would give up its checkpoints, too."""
    folder = copy(logged, tmp_path)
    shutil.copy(named(folder)[0], folder / "cv/lm_lstm_latest.t7")  # as if only the first save had worked
    error, _, said = result_of(folder, *SHORT, "-log", "run.csv")
    assert str(error).startswith("cv/lm_lstm_latest.t7 is an unfinished run: ") and said == ""


def test_no_checkpoint_is_said_to_be_replaced_if_the_log_is_refused(logged, tmp_path):
    error, _, said = result_of(copy(logged, tmp_path), *SHORT, "-log", "run.csv")
    assert str(error).startswith("run.csv is the log of another run: ") and said == ""


def test_rows_at_intervals_are_added_to_the_others(logged, tmp_path):
    """An interval that is over after each step; the run itself stays as it is."""
    folder = folder_with_text(tmp_path)
    more = ["-learning_rate_decay_after", "1", "-log", "run.csv", "-log_every_seconds", "1e-9"]
    lines = train(folder, *SHORT, *more)
    without_time = [line.partition(", time/batch")[0] for line in lines]
    before = (logged / "lines").read_text(encoding="utf-8").split("\n")
    assert without_time == [line.partition(", time/batch")[0] for line in before]
    found = figures(folder / "run.csv")
    assert [row["iteration"] for row in found if row["kind"] == "train"] == list(range(1, 61))
    assert [row for row in found if row in figures(logged / "run.csv")] == figures(logged / "run.csv")


def sizes(done: int) -> RunSizes:
    return RunSizes(done=done, ntrain=10, nval=2, characters=100)


def test_a_row_is_due_after_the_seconds_without_one(tmp_path):
    now = [1000.0]
    log = RunLog(str(tmp_path / "run.csv"), sizes(0), lambda: now[0], pytest.fail, 5, lambda: now[0])
    now[0] += 4
    assert not log.is_due()
    log.validation(1, 2.5, 1e-3, 0.25)
    now[0] += 4
    assert not log.is_due()
    now[0] += 1
    assert log.is_due()


def test_a_log_is_as_old_as_its_last_row_until_a_resumed_run_changes_it(tmp_path):
    """From its time, the studio tells whether a resumed run has begun to train."""
    path = tmp_path / "run.csv"
    path.write_bytes(header("a.csv") + as_line(Row("train", 5, 0.5), "a.csv") + as_line(Row("train", 9, 0.9), "a.csv"))
    for done, is_as_it_was in ((9, True), (5, False)):
        os.utime(path, (1000, 1000))
        RunLog(str(path), sizes(done), lambda: 0.0, pytest.fail, 0)
        assert (path.stat().st_mtime == 1000) is is_as_it_was


def test_a_run_that_is_going_on_is_said_to_be_locked(logged, tmp_path):
    folder = copy(logged, tmp_path)
    with working_in(folder), run_lock.RunLock(group(FileSettings, TrainOptions()), pytest.fail) as held:
        assert held.is_held
        error, out, _ = result_of(folder, *SHORT, "-log", "run.csv")
        assert str(error).startswith("another training (process ") and out == []
        assert result_of(folder, *SHORT, "-lock", "0", "-max_epochs", "0.1")[0] is None


def test_a_log_that_another_training_writes_is_not_given_up(logged, tmp_path):
    """Though its checkpoints are others."""
    folder = copy(logged, tmp_path)
    before = (folder / "run.csv").read_bytes()
    other = group(FileSettings, TrainOptions(checkpoint_dir="cv", savefile="other", log="run.csv"))
    with working_in(folder), run_lock.RunLock(other, pytest.fail):
        error, _, said = result_of(folder, *SHORT, "-savefile", "new", "-log", "run.csv", "-overwrite", "1")
    assert "writes run.csv: choose another -log, or wait; -lock 0 trains all the same." in str(error)
    assert "gives up" not in said
    assert (folder / "run.csv").read_bytes() == before


def test_a_log_that_begins_later_may_be_of_another_run(logged, tmp_path):
    folder = copy(logged, tmp_path)
    train(folder, *SHORT[:2], "-print_every", "50", "-eval_val_every", "60", "-savefile", "other", "-log", "other.csv")
    before = (folder / "other.csv").read_bytes()
    first = f"cv/{named(folder)[0].name}"
    error, out, _ = result_of(folder, "-resume", first, "-log", "other.csv", small=[])
    assert str(error).startswith("other.csv begins after iteration 20, so it may be the log of another run: choose ano")
    assert (folder / "other.csv").read_bytes() == before
    error, _, said = result_of(folder, "-resume", first, "-log", "other.csv", "-overwrite", "1", small=[])
    assert error is None and "-overwrite 1 gives up the log of another run, other.csv." in said
    assert figures(folder / "other.csv") == [r for r in figures(logged / "run.csv") if r["iteration"] > 20]


def test_seconds_are_those_of_the_run(tmp_path):
    """A resumed run adds to those before its checkpoint, not to those of rows that it cuts off."""
    path, now = str(tmp_path / "run.csv"), [1000.0]

    def part(done: int, *rows: tuple[float, int]) -> None:
        log = RunLog(path, sizes(done), lambda: now[0], pytest.fail, 0, lambda: now[0])
        for seconds, i in rows:
            now[0] += seconds
            log.train(i, 2.5, 0.1, 1e-3)
            now[0] += 0.5
            log.validation(i, 2.5, 1e-3, 0.25)

    part(0, (2, 5), (4, 10))
    with open(path, "ab") as f:  # a row of another program may lack them
        f.write(as_line(Row("train", 10, 1.0), path))
    part(10, (100, 15))
    now[0] = 7.0  # the clock of another process
    part(10, (1, 12))
    found = [(row["kind"], row["iteration"], row["seconds"], row["characters_per_second"]) for row in read(Path(path))]
    assert found == [
        ("train", 5, 2.0, 250.0),
        ("validation", 5, 2.5, 800.0),
        ("train", 10, 6.5, 111.1),
        ("validation", 10, 7.0, 800.0),
        ("train", 10, None, None),
        ("train", 12, 8.0, 200.0),
        ("validation", 12, 8.5, 800.0),
    ]


def test_going_on_with_the_log_of_another_run_is_refused(logged, tmp_path):
    folder = copy(logged, tmp_path)
    train(folder, *SHORT, "-seed", "7", "-savefile", "other", "-log", "other.csv")
    before = (folder / "other.csv").read_bytes()
    error, _, _ = result_of(folder, "-resume", "cv", "-savefile", "lstm", "-log", "other.csv", small=[])
    assert str(error) == "other.csv is not the log of the resumed run: choose another -log."
    assert (folder / "other.csv").read_bytes() == before


@pytest.mark.parametrize("name", ["poems.csv", "poems.jsonl"])
@pytest.mark.parametrize("content", [
    b"A line\nand another\n", b"no end of a line", b"a,b\n1,2\n", b'{"a": 1}\n', b"kind,", b"k", b"{",
    b'{"kind": "Pod", "apiVersion": "v1"}', b'{"kind": "train", "iteration": 5, "epoch": 1, "mine": "precious"}',
    b'{"kind": "Pod", "iteration": 5, "epoch": 1, "train_loss": 3',
    b'{"kind": "train", "iteration": 5, "epoch": 1, "train_loss": 3}', b'{"kind": "train", "iteration": 5, "epoch": 1}',
])  # fmt: skip
def test_no_other_file_is_overwritten(tmp_path, name, content):
    folder = folder_with_text(tmp_path)
    (folder / name).write_bytes(content)
    for more in ((), ("-overwrite", "1")):
        error, _, _ = result_of(folder, *SHORT, "-log", name, *more)
        assert (
            str(error)
            == f"{name} is not a log of pycharrnn train -log: line 1 is not one of its rows; choose another -log."
        )
    assert (folder / name).read_bytes() == content


def test_nor_the_text(tmp_path):
    folder = folder_with_text(tmp_path)
    os.link(folder / "data" / "input.txt", folder / "run.csv")
    error, _, _ = result_of(folder, *SHORT, "-log", "run.csv")
    assert str(error) == "-log run.csv would overwrite the text of the training: choose another name."


@pytest.mark.parametrize("content", [b"", header("a.csv"), header("a.csv")[:30]])
def test_a_file_without_a_row_is_nobodys(logged, tmp_path, content):
    folder = folder_with_text(tmp_path)
    (folder / "run.csv").write_bytes(content)
    train(folder, *SHORT, "-learning_rate_decay_after", "1", "-log", "run.csv")
    assert figures(folder / "run.csv") == figures(logged / "run.csv")


@pytest.mark.parametrize("size", range(60, len(as_line(Row("train", 5, 0.5, 2.5), "a.jsonl"))))
def test_a_log_torn_in_its_first_row_is_begun_anew(tmp_path, size):
    path = tmp_path / "run.jsonl"
    path.write_bytes(as_line(Row("train", 5, 0.5, 2.5), "a.jsonl")[:size])
    assert list(rows(str(path))) == []


@pytest.mark.parametrize(
    "path, words",
    [
        ("run.txt", "-log must be a file that ends in .csv or .jsonl, not run.txt."),
        ("no/run.csv", "can't write -log no/run.csv: there is no folder no."),
        ("folder.csv", "can't read folder.csv (not a regular file); choose another -log."),
    ],
)
def test_what_can_not_be_written_is_refused_before_the_text_is_read(tmp_path, path, words):
    folder = folder_with_text(tmp_path)
    (folder / "folder.csv").mkdir()
    error, out, _ = result_of(folder, *SHORT, "-log", path)
    assert str(error) == words
    assert out == [] and not (folder / "data" / "data.t7").exists()


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_a_full_disk_costs_rows_and_not_the_run(tmp_path, monkeypatch):
    """One sentence; no row is there in part; later rows come where there is room again."""
    folder = folder_with_text(tmp_path)
    writes = []

    class Full:
        def __init__(self, file) -> None:
            self._file = file

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *exception) -> None:
            self._file.close()

        def __getattr__(self, name):
            return getattr(self._file, name)

        def write(self, line: bytes) -> int:
            writes.append(line)
            return self._file.write(line[:20] if 3 <= len(writes) <= 5 else line)

    def full_open(path, mode, **keywords):
        return Full(open(path, mode, **keywords)) if mode == "ab" else open(path, mode, **keywords)

    monkeypatch.setattr(run_log, "open", full_open, raising=False)
    error, _, said = result_of(folder, *SHORT, "-log", "run.csv")
    assert error is None
    assert said.count("run.csv") == 1
    assert f"can't write run.csv ({os.strerror(errno.ENOSPC)}): training goes on, rows are lost." in said
    assert [row["iteration"] for row in read(folder / "run.csv")] == [7, 14, 35, 40, 42, 49, 56, 60]


@pytest.mark.parametrize("gone", ["file", "folder"])
def test_a_file_that_vanishes(tmp_path, gone):
    folder = folder_with_text(tmp_path)
    (folder / "logs").mkdir()
    notes: list[str] = []

    def say(line: str) -> None:
        if line.startswith("21/"):
            (folder / "logs" / "run.csv").unlink()
            if gone == "folder":
                shutil.rmtree(folder / "logs")

    options = {"max_epochs": 0.5, "print_every": 7, "eval_val_every": 100, "log": "logs/run.csv"}
    with working_in(folder):
        opt = TrainOptions("data", 6, gpuid=-1, batch_size=5, seq_length=8, **options)
        train_with(opt, say=say, note=notes.append)
    (note,) = [line for line in notes if "run.csv" in line]
    if gone == "file":
        assert note == "logs/run.csv had gone: begun anew at iteration 28."
        assert [row["iteration"] for row in read(folder / "logs" / "run.csv")] == [28, 30]
    else:
        words = os.strerror(errno.ENOENT)
        assert note == f"can't write logs/run.csv ({words}): training goes on, rows are lost."


@pytest.mark.parametrize("content", [b"x", b"a letter\n", b"a letter\n" * 100])
def test_a_log_that_becomes_another_file_stays_as_it_is(tmp_path, content):
    """Whether it is shorter or longer, also after the log had gone."""
    path, notes = tmp_path / "run.csv", list[str]()
    log = RunLog(str(path), sizes(0), lambda: 0.0, notes.append, 0)
    path.unlink()
    log.train(1, 2.0, 1.0, 0.1)
    path.write_bytes(content)
    log.train(2, 2.0, 1.0, 0.1)
    path.write_bytes(2 * content)
    log.train(3, 2.0, 1.0, 0.1)
    assert path.read_bytes() == 2 * content
    first, second = notes
    assert first == f"{path} had gone: begun anew at iteration 1."
    assert second == f"{path} is another file by now: training goes on, rows are lost."


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number(number):
    row = Row("train", 1, 0.5, train_loss=number)
    line = json.loads(as_line(row, "a.jsonl"), parse_constant=pytest.fail)
    assert line["train_loss"] is None and line["epoch"] == 0.5
    cells = dict(zip(COLUMNS, as_line(row, "a.csv").decode().rstrip("\n").split(","), strict=True))
    assert cells["val_loss"] == "" and str(float(cells["train_loss"])) == str(number)


def test_a_run_that_goes_astray_has_its_last_row(tmp_path):
    folder = folder_with_text(tmp_path)
    error, _, _ = result_of(folder, "-learning_rate", "100", "-max_epochs", "1", "-log", "run.jsonl")
    assert isinstance(error, RunStopped)
    assert [row["iteration"] for row in read(folder / "run.jsonl")] == [1, 2]


# -- what may lie in a file --------------------------------------------------------------------------------------------

ROW = as_line(Row("train", 5, 0.5, 2.5), "a.csv")


def test_rows_and_where_they_end(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(header("a.csv") + ROW + ROW.replace(b"5", b"6", 1) + b"train,7")
    first, second = len(header("a.csv")) + len(ROW), len(header("a.csv")) + 2 * len(ROW)
    assert list(rows(str(path))) == [(Row("train", 5, 0.5, 2.5), first), (Row("train", 6, 0.5, 2.5), second)]


@pytest.mark.parametrize("line", [
    b"train,5\n", ROW.replace(b"train", b"test"), ROW.replace(b"5", b"x", 1), ROW.replace(b"5", b"0", 1),
    ROW.replace(b"5", b"-5", 1), ROW.replace(b"5", b"1" * 400, 1), ROW.replace(b"2.5", b"\xff"),
    b"x" * 2000 + b"\n", b"x" * 2000, b"\n", b"\0" * 100 + b"\n",
])  # fmt: skip
def test_lines_of_csv_that_are_no_rows(tmp_path, line):
    path = tmp_path / "a.csv"
    path.write_bytes(header("a.csv") + ROW + line)
    with pytest.raises(UserError, match="a.csv is not a log of pycharrnn train -log: line 3 is not one of its rows.$"):
        list(rows(str(path)))


OBJECT = as_line(Row("train", 5, 0.5, 2.5), "a.jsonl")


@pytest.mark.parametrize("line", [
    b"5\n", b"[]\n", b"{}\n", b"[" * 900 + b"\n", OBJECT.replace(b"2.5", b'"x"'), OBJECT.replace(b"2.5", b"[]"),
    OBJECT.replace(b"2.5", b"1" * 500), OBJECT.replace(b": 5", b": 1e400"), OBJECT.replace(b'"train"', b"null"),
    OBJECT.replace(b"epoch", b"epoque"), b"\xff\n", b"\n", b"[" * 2000,
])  # fmt: skip
def test_lines_of_json_that_are_no_rows(tmp_path, line):
    path = tmp_path / "a.jsonl"
    path.write_bytes(OBJECT + line)
    with pytest.raises(UserError, match="a.jsonl is not a log of .*: line 2 is not one of its rows.$"):
        list(rows(str(path)))


def test_a_log_in_the_folder_of_checkpoints_that_training_makes(tmp_path):
    folder = folder_with_text(tmp_path)
    train(folder, "-max_epochs", "0.1", "-log", "cv/run.csv")
    assert (folder / "cv/run.csv").is_file()
    error, _, _ = result_of(folder, "-max_epochs", "0.1", "-log", "other/run.csv", "-savefile", "b")
    assert "there is no folder other" in str(error)
