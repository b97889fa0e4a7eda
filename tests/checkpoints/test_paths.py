"""Which checkpoints an argument means."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import sys
from array import array

import numpy as np
import pytest
from conftest import GOLDEN
from folders import CHECKPOINT, make, names, save, set_time, train

import pycharrnn
from pycharrnn.checkpoints import checkpoint, inspection, paths
from pycharrnn.checkpoints.paths import load_best, load_best_of_runs, load_every, load_runs, run_of
from pycharrnn.common.errors import UserError
from pycharrnn.training import initial_checkpoint
from pycharrnn.training.options import TrainOptions


def every_of(path: str, note) -> list:
    return list(load_every([path], note))


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.mark.parametrize(
    "name, run",
    [
        ("lm_lstm_best.t7", "lstm"),
        ("lm_lstm_latest.safetensors", "lstm"),
        ("lm_a b_epoch2.50_1.2345.t7", "a b"),
        ("lm_lm_x_best.t7", "lm_x"),
        ("model.t7", "model.t7"),
    ],
)
def test_the_name_of_a_run(name, run):
    assert run_of(name) == run
    assert run_of(os.path.join("cv", name)) == os.path.join("cv", run)


def test_a_file_means_itself(said):
    path = str(CHECKPOINT)
    assert load_best(path, said.append)[0] == path
    assert [found for found, _ in load_every([path], said.append)] == [path]
    assert [found for found, _ in load_runs(path, said.append)] == [path]
    assert said == []
    for load in (load_best, every_of, lambda *args: list(load_runs(*args))):
        with pytest.raises(UserError, match=r"File no/such.t7 does not exist"):
            load("no/such.t7", said.append)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_noted(tmp_path, said, value):
    """Otherwise only texts that touch such a weight show it."""
    found = checkpoint.load(CHECKPOINT)
    weights = {name: w.copy() for name, w in found.network.weights.items()}
    weights["decoder.weight"][5, 0] = value
    path = str(tmp_path / "lm_x_latest.t7")
    checkpoint.convert(dataclasses.replace(found, network=dataclasses.replace(found.network, weights=weights)), path)
    sentence = f"{path} has weights that are NaN or infinite, so its texts and scores may be wrong"
    way_out = "use another copy of the file, or an earlier checkpoint"
    for load in (load_best, every_of, lambda *args: list(load_best_of_runs([args[0]], args[1]))):
        for argument in (path, str(tmp_path)):
            said.clear()
            load(argument, said.append)
            assert [line for line in said if "NaN" in line] == [f"{sentence}: {way_out}."]
    assert inspection.look(path).facts["weights"] == "some are NaN or infinite"
    assert "weights" not in inspection.look(CHECKPOINT).facts


def test_damaged_ones_are_passed_over(tmp_path, said):
    for name in ("lm_x_epoch1.00_1.0000.t7", "lm_x_epoch2.00_9.0000.t7", "other.t7", "lm_y_latest.t7"):
        make(tmp_path, name, 10**15 * len(name))
    with pytest.raises(UserError, match="has no checkpoint that can be read"):
        load_best(str(tmp_path), said.append)
    with pytest.raises(UserError, match="has no checkpoint that can be read"):
        every_of(str(tmp_path), said.append)
    with pytest.raises(UserError, match="has no checkpoint that can be read"):
        list(load_runs(str(tmp_path), said.append))
    shutil.copy(CHECKPOINT, tmp_path / "lm_x_epoch3.00_2.0000.t7")
    for load in (lambda *args: [load_best(*args)], every_of, load_runs):
        said.clear()
        assert names(path for path, _ in load(str(tmp_path), said.append)) == ["lm_x_epoch3.00_2.0000.t7"]
        passed_over = [line for line in said if line.startswith("passed over: can't read ")]
        assert len(passed_over) == len({*passed_over}) >= 2


def test_where_a_package_is_missing_the_error_says_so(tmp_path, said, monkeypatch):
    paths = [str(tmp_path / f"lm_x_epoch{k}.00_2.0000.safetensors") for k in (1, 2)]
    for path in paths:
        checkpoint.convert(checkpoint.load(CHECKPOINT), path)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for load in (load_best, every_of, lambda *args: list(load_runs(*args))):
        said.clear()
        with pytest.raises(UserError, match="a .safetensors file needs more packages: pip install "):
            load(str(tmp_path), said.append)
        passed_over = [line.partition(": a .safetensors file needs")[0] for line in said if "passed over" in line]
        assert sorted(passed_over) == [f"passed over {path}" for path in paths]
    shutil.copy(CHECKPOINT, tmp_path / "lm_x_epoch3.00_2.5000.t7")
    assert names([load_best(str(tmp_path), said.append)[0]]) == ["lm_x_epoch3.00_2.5000.t7"]


@pytest.mark.parametrize("second_name", [os.link, shutil.copy2, os.symlink], ids=["links", "copies", "symbolic"])
def test_second_names_on_the_command_line_count_once(tmp_path, said, second_name):
    """As those that a shell makes of cv/*.t7; the name with epoch and loss is the one that says most.

    The files are of two runs, a gru's and an lstm's, though they have one name.
    """
    first, second = (tmp_path / f"lm_x_epoch{name}.t7" for name in ("1.00_2.5000", "2.00_2.0000"))
    shutil.copy(GOLDEN / "gru2" / "lm_gru2_epoch1.00_2.9340.t7", first)
    shutil.copy(CHECKPOINT, second)
    best, latest = tmp_path / "lm_x_best.t7", tmp_path / "lm_x_latest.t7"
    for name in (best, latest):
        second_name(second, name)
    given = [str(path) for path in (best, first, second, latest)]
    assert [path for path, _ in load_every(given, said.append)] == [str(second), str(first)]
    assert said == [f"{name} is a second name of {second}" for name in (best, latest)]
    said.clear()
    assert [path for path, _ in load_every([str(tmp_path), *given], said.append)] == [str(second), str(first)]
    assert said[0] == f"{tmp_path}: 2 checkpoints of 2 runs"
    said.clear()
    assert [path for path, _ in load_every([str(latest), str(best)], said.append)] == [str(best)]
    assert said == [f"{latest} is a second name of {best}"]
    os.unlink(first)
    with pytest.raises(UserError, match="1.00_2.5000.t7 does not exist"):
        list(load_every(given, said.append))


def test_a_file_of_the_command_line_that_is_damaged_is_an_error(tmp_path, said):
    damaged = make(tmp_path, "a.t7", 1000)
    shutil.copy(CHECKPOINT, tmp_path / "b.t7")
    assert names(path for path, _ in load_every([str(tmp_path)], said.append)) == ["b.t7"]
    with pytest.raises(UserError, match=r"can't read .*a\.t7"):
        list(load_every([str(tmp_path), damaged], said.append))


def test_a_folder_of_one_run_means_its_lowest_loss(tmp_path, said):
    train(tmp_path, "x", [2.5, 1.5, 1.75], 1000)
    path, loaded = load_best(str(tmp_path), said.append)
    assert (os.path.basename(path), loaded.val_loss) == ("lm_x_epoch2.00_1.5000.t7", 1.5)
    assert said == [f"{tmp_path}: lm_x_epoch2.00_1.5000.t7, the lowest validation loss of 3 checkpoints"]


@pytest.mark.parametrize("ending", [".t7", ".safetensors"])
def test_a_folder_of_several_runs_means_the_one_that_trained_last(tmp_path, said, ending):
    """Not the lowest loss of all: losses of different texts can't be compared."""
    train(tmp_path, "pydoc", [1.5, 1.0], 1000, text=4)
    train(tmp_path, "my_text", [2.0, 1.25, 1.4], 2000, ending, text=5)
    path, _ = load_best(str(tmp_path), said.append)
    assert os.path.basename(path) == f"lm_my_text_epoch2.00_1.2500{ending}"
    why = "the lowest validation loss of the run that trained last, by the files' times"
    taken = f"lm_my_text_epoch2.00_1.2500{ending}, {why}"
    of_pydoc = f"{tmp_path}/lm_pydoc_epoch2.00_1.0000.t7 (the best of 2 lm_pydoc files)"
    assert said == [f"{tmp_path} holds several runs: taking {taken}; others: {of_pydoc}"]
    train(tmp_path, "pydoc", [1.5, 1.0], 3000, text=4)
    assert os.path.basename(load_best(str(tmp_path), said.append)[0]) == "lm_pydoc_epoch2.00_1.0000.t7"


@pytest.mark.parametrize("a_first", [True, False])
@pytest.mark.parametrize("apart, is_copy", [(0, True), (0.05, True), (0.5, False)])
def test_of_runs_whose_files_have_one_time_the_first_by_name(tmp_path, said, a_first, apart, is_copy):
    """As in a clone of a git repository, whose files all have the time of the clone."""
    paths = {"a": train(tmp_path, "a", [1.5, 1.0], 0, text=4), "b": train(tmp_path, "b", [0.5, 0.6, 0.7], 0, text=5)}
    last = "a" if is_copy or not a_first else "b"
    for name in paths:
        for path in paths[name]:
            set_time(path, 1000 + (0 if (name == "a") == a_first else apart))
    path, _ = load_best(str(tmp_path), said.append)
    taken, other = ("lm_a_epoch2.00_1.0000.t7", "lm_b_epoch1.00_0.5000.t7")[:: 1 if last == "a" else -1]
    assert os.path.basename(path) == taken
    how = (
        "the first run by name, since the files' times are too close to tell which trained last"
        if is_copy
        else "the run that trained last, by the files' times"
    )
    (note,) = said
    assert f": taking {taken}, the lowest validation loss of {how}; others: {tmp_path}/{other}" in note


@pytest.mark.parametrize(
    "text_hash, batch_size, is_better",
    [
        ("100 bytes, SHA-256 ab", 50, True),
        ("100 bytes, SHA-256 cd", 50, False),
        ("100 bytes, SHA-256 ab", 20, False),  # eval calls these losses not comparable
    ],
)
def test_an_earlier_run_on_the_same_text_may_be_better(tmp_path, said, text_hash, batch_size, is_better):
    """The run that trained last is taken all the same, as documented; a second note names the better one."""
    train(tmp_path, "long", [1.5, 1.0], 1000, text=4, text_hash=text_hash, batch_size=batch_size)
    train(tmp_path, "easy", [0.5], 2000, text=3)
    train(tmp_path, "short", [2.0], 3000, text=5, text_hash="100 bytes, SHA-256 ab", batch_size=50)
    assert os.path.basename(load_best(str(tmp_path), said.append)[0]) == "lm_short_epoch1.00_2.0000.t7"
    better = f"{tmp_path}/lm_long_epoch2.00_1.0000.t7"
    advice = f"{better}, of the same text, has a lower validation loss; name it to use it."
    assert said[1:] == ([advice] if is_better else [])


def test_a_note_names_no_more_than_five_other_runs(tmp_path, said):
    for k in range(8):
        train(tmp_path, f"x{k}", [2.0], 1000 * k, text=k)
    load_best(str(tmp_path), said.append)
    paths = ", ".join(f"{tmp_path}/lm_x{k}_epoch1.00_2.0000.t7" for k in (6, 5, 4, 3, 2))
    assert said[0].endswith(f"; others: {paths}, 2 more")


def test_a_run_without_a_readable_checkpoint_is_passed_over(tmp_path, said):
    train(tmp_path, "x", [2.0, 1.0], 1000)
    (damaged,) = train(tmp_path, "y", [1.5], 2000)
    with open(damaged, "r+b") as f:
        f.truncate(1000)
    assert os.path.basename(load_best(str(tmp_path), said.append)[0]) == "lm_x_epoch2.00_1.0000.t7"
    assert said[0].startswith(f"passed over: can't read {damaged} ")
    assert said[1] == f"{tmp_path}: lm_x_epoch2.00_1.0000.t7, the lowest validation loss of 2 checkpoints"
    with open(tmp_path / "lm_x_epoch2.00_1.0000.t7", "r+b") as f:
        f.truncate(1000)
    assert os.path.basename(load_best(str(tmp_path), said.append)[0]) == "lm_x_epoch1.00_2.0000.t7"


@pytest.mark.parametrize("size", [0, 1000])
def test_of_the_other_runs_no_damaged_file_is_named(tmp_path, said, size):
    old = train(tmp_path, "old", [2.0, 1.5, 1.0], 1000, text=4)
    gone = train(tmp_path, "gone", [1.75], 2000, text=5)
    train(tmp_path, "new", [3.0], 3000, text=6)
    for damaged, modified in ((old[2], 1003), (gone[0], 2001)):
        os.truncate(damaged, size)
        set_time(damaged, modified)
    load_best(str(tmp_path), said.append)
    *passed_over, note = said
    assert note.endswith(f"; others: {old[1]} (the best of 2 lm_old files)")
    assert [line.split()[4] for line in passed_over] == [*gone, old[2]]
    os.unlink(old[0]), os.unlink(old[1])
    said.clear()
    load_best(str(tmp_path), said.append)
    assert said[-1] == f"{tmp_path}: lm_new_epoch1.00_3.0000.t7, the only checkpoint"


def test_old_files_of_different_names_are_listed_as_of_each_run(tmp_path, said):
    """As files from different people: of char-rnn with the default -savefile, and of torch-rnn."""
    of_char_rnn, of_torch_rnn = {"savefile": "lstm"}, {"checkpoint_name": "cv/checkpoint"}
    files = {"cuda_gru.t7": of_char_rnn, "opencl_lstm.t7": of_char_rnn, "tinyshakespeare.t7": of_torch_rnn}
    for k, (name, opt) in enumerate(files.items()):
        first_losses = array("d", [5.0 + k])
        set_time(save(tmp_path, name, {10: 2.0 + k}, 2.0 + k, train_losses=first_losses, opt=opt), k)
    load_best(str(tmp_path), said.append)
    assert said[0].endswith(f"; others: {tmp_path}/opencl_lstm.t7, {tmp_path}/cuda_gru.t7")
    of_each = names(path for path, _ in load_best_of_runs([str(tmp_path)], said.append))
    assert of_each == ["tinyshakespeare.t7", "opencl_lstm.t7", "cuda_gru.t7"]


def test_without_any_loss_the_newest(tmp_path, said):
    for k, name in enumerate(("b.t7", "c.t7", "a.t7"), 1):
        set_time(save(tmp_path, name, {}, opt={}), k)
    load_best(str(tmp_path), said.append)
    taken = "a.t7, the newest, since none has a validation loss, of the run that trained last, by the files' times"
    assert said == [f"{tmp_path} holds several runs: taking {taken}; others: {tmp_path}/c.t7, {tmp_path}/b.t7"]


def test_of_each_run_the_newest(tmp_path, said):
    train(tmp_path, "b", [1.0, 1.5], 2000, text=4)
    train(tmp_path, "a", [2.0], 1000, text=5)
    shutil.copy(CHECKPOINT, tmp_path / "z.t7")
    assert names(path for path, _ in load_runs(str(tmp_path), said.append)) == [
        "lm_a_epoch1.00_2.0000.t7",
        "lm_b_epoch2.00_1.5000.t7",
        "z.t7",
    ]
    assert said == [
        f"{tmp_path}: lm_a_epoch1.00_2.0000.t7, the only checkpoint of its run",
        f"{tmp_path}: lm_b_epoch2.00_1.5000.t7, the newest of 2 checkpoints of its run",
        f"{tmp_path}: z.t7, the only checkpoint of its run",
    ]


def test_of_each_run_the_best(tmp_path, said):
    """In the order of training, after the named files, each file once."""
    train(tmp_path, "b", [1.0, 1.5], 2000, text=4)
    (only,) = train(tmp_path, "a", [2.0], 1000, text=5)
    best = ["lm_b_epoch1.00_1.0000.t7", "lm_a_epoch1.00_2.0000.t7"]
    assert names(path for path, _ in load_best_of_runs([str(tmp_path)], said.append)) == best
    assert said == [
        f"{tmp_path}: lm_b_epoch1.00_1.0000.t7, the lowest validation loss of 2 checkpoints of its run",
        f"{tmp_path}: lm_a_epoch1.00_2.0000.t7, the only checkpoint of its run",
    ]
    os.link(only, tmp_path / "lm_a_best.t7")
    given = [str(tmp_path), str(tmp_path), str(tmp_path / "lm_a_best.t7")]
    assert names(path for path, _ in load_best_of_runs(given, said.append)) == ["lm_a_best.t7", best[0]]


def test_all_of_several_runs(tmp_path, said):
    train(tmp_path, "b", [1.0, 1.5], 1000, text=4)
    train(tmp_path, "a", [2.0, 3.0], 2000, text=5)
    assert names(path for path, _ in load_every([str(tmp_path)], said.append)) == [
        "lm_a_epoch1.00_2.0000.t7",
        "lm_a_epoch2.00_3.0000.t7",
        "lm_b_epoch1.00_1.0000.t7",
        "lm_b_epoch2.00_1.5000.t7",
    ]
    assert said == [f"{tmp_path}: 4 checkpoints of 2 runs"]


def test_all_of_the_only_run(tmp_path, said):
    train(tmp_path, "a", [2.0, 3.0], 1000)
    assert len(list(load_every([str(tmp_path)], said.append))) == 2
    assert said == [f"{tmp_path}: 2 checkpoints"]


def test_files_whose_names_have_no_loss_are_read_with_a_bar(tmp_path, said, monkeypatch):
    """But none for a program, or for train -progress 0."""
    bars: list[tuple[str, int, int]] = []

    @contextlib.contextmanager
    def bar(label, length, choice):
        bars.append((label, length, choice))
        yield lambda done: said.append(f"{done} read")

    monkeypatch.setattr(paths, "bar", bar)
    for name in ("lm_lstm_epoch3.00_2.8734.t7", "a.t7", "b.t7"):
        shutil.copy(CHECKPOINT, tmp_path / name)
    load_best(str(tmp_path), said.append)
    assert said[:2] == ["1 read", "1 read"] and bars == [("reading checkpoints", 2, -1)]
    pycharrnn.load(tmp_path)
    initial_checkpoint.load(TrainOptions(init_from=str(tmp_path), progress=0), (), said.append, said.append)
    assert bars[1:] == [("reading checkpoints", 2, 0)] * 2
