"""Arguments of another type or value: one sentence, before anything is done."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import GOLDEN, ROOT

import compat
import pycharrnn

CHECKPOINT = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"
ODD = [None, 1.5, math.nan, math.inf, -1, 2**70, True, b"a\0", "", "a\0b", "\ud800", [], {}, [None], [[1]], object()]
ODD += [1j, np.array([1, 2]), torch.tensor(3), Path("x"), lambda: 0]
OF_PYTHON = re.compile(
    r"NoneType|object is not|has no attribute|expected str, bytes|^embedded null|unsupported operand|not supported"
    r"|positional argument|modulo by zero"
)


@pytest.fixture(scope="module")
def model() -> pycharrnn.Model:
    return pycharrnn.load(CHECKPOINT)


def check_refusal(call: Callable[[], object], *also: type[Exception]) -> None:
    """What is no good is refused in a sentence of ours."""
    try:
        call()
    except (TypeError, ValueError, pycharrnn.UserError, *also) as e:
        said = str(e)
    else:
        said = "taken"
    assert said
    assert not OF_PYTHON.search(said), said


CALLS = {
    "load": lambda model, odd: pycharrnn.load(odd),
    "model": lambda model, odd: pycharrnn.Model(odd),
    "run": lambda model, odd: pycharrnn.Run(odd),
    "dtype": lambda model, odd: pycharrnn.load(CHECKPOINT, dtype=odd),
    "device": lambda model, odd: pycharrnn.load(CHECKPOINT, device=odd),
    "generate": lambda model, odd: model.generate(odd, length=2),
    "stream": lambda model, odd: list(model.stream(odd, length=2)),
    "encode": lambda model, odd: model.encode(odd),
    "decode": lambda model, odd: model.decode(odd),
    "decode one": lambda model, odd: model.decode([odd]),
    "score": lambda model, odd: model.score(odd),
    "activations": lambda model, odd: model.activations(odd),
    "call": lambda model, odd: model(odd),
    "save": lambda model, odd: model.save(odd),
    "save a dtype": lambda model, odd: model.save("m.t7", dtype=odd if odd else 3),
    "save an encoding": lambda model, odd: model.save("m.t7", encoding=odd),
    "save longs": lambda model, odd: model.save("m.t7", long_size=odd),
    "train": lambda model, odd: pycharrnn.train(odd),
    "on_print": lambda model, odd: pycharrnn.train("a\n", on_print=odd, max_epochs=0),
    "savefile": lambda model, odd: pycharrnn.train("a\n", savefile=odd, quiet=True),
}
CALLS |= {
    "network": lambda model, odd: pycharrnn.CharRNN(odd, 3, 4, 1),
    "network's size": lambda model, odd: pycharrnn.CharRNN("gru", 3, odd, 1),
    "network's dropout": lambda model, odd: pycharrnn.CharRNN("gru", 3, 4, 1, odd),
    "network's dtype": lambda model, odd: pycharrnn.CharRNN("gru", 3, 4, 1, dtype=odd),
    "loader's folder": lambda model, odd: loader(data_dir=odd),
    "loader's size": lambda model, odd: loader(batch_size=odd),
    "loader's fractions": lambda model, odd: loader(split_fractions=odd),
    "batch": lambda model, odd: loader().next_batch(odd),
}


def loader(**arguments: object) -> pycharrnn.CharSplitLMMinibatchLoader:
    Path("input.txt").write_bytes(b"abc\n" * 100)
    sizes = {"batch_size": 5, "seq_length": 5, "split_fractions": (0.9, 0.1, 0)}
    return pycharrnn.CharSplitLMMinibatchLoader(**{"data_dir": ".", **sizes, **arguments}, say=lambda line: None)


ALSO = {"network's size": RuntimeError, "loader's folder": OSError}  # 2**70 units
ALSO |= {"load": OSError, "save": OSError, "train": OSError}
ALSO |= dict.fromkeys(("decode", "decode one", "call"), IndexError)


@pytest.mark.parametrize("name", CALLS)
def test_odd_arguments_are_refused_with_a_sentence(model, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for odd in ODD:
        check_refusal(lambda odd=odd: CALLS[name](model, odd), ALSO.get(name, TypeError))


def test_a_path_where_a_checkpoint_or_a_run_is_expected():
    with pytest.raises(TypeError, match=r"^Model takes a loaded checkpoint, not 'cv': use pycharrnn\.load$"):
        pycharrnn.Model("cv")
    with pytest.raises(
        TypeError, match=r"^Run takes the result of .*, not 'cv': use pycharrnn\.load for a checkpoint$"
    ):
        pycharrnn.Run("cv")


def test_a_number_where_a_text_is_expected(model):
    with pytest.raises(TypeError, match="not 3: write length=3 for a number of characters$"):
        model.generate(3)


@pytest.mark.parametrize("option", ["length", "temperature", "seed", "topk", "topp", "stop", "sample", "hide_prime"])
def test_odd_options_are_refused_with_a_sentence(model, option):
    for odd in ODD:
        check_refusal(lambda odd=odd: list(itertools.islice(model.stream("a", **{"length": 3, option: odd}), 3)))


@pytest.mark.parametrize("odd", ["0.5", math.nan, True, None])
def test_a_number_is_no_text_no_switch_and_no_nan(model, odd):
    with pytest.raises(TypeError, match=f"^topp must be a number, not {odd!r}$"):
        model.generate("T", length=1, topp=odd)


def test_the_beginning_of_an_option_suggests_it(model):
    with pytest.raises(TypeError, match=r"has no option 'temp'; did you mean temperature\?$"):
        model.generate("T", temp=0.5)


SWITCHES = {
    "as_bytes": lambda model, odd: model.generate("T", length=1, as_bytes=odd),
    "adapt": lambda model, odd: model.score("T", adapt=odd),
    "ignore_bad_primetext": lambda model, odd: model.activations("T", ignore_bad_primetext=odd),
    "half": lambda model, odd: model.save("m.html", half=odd),
    "quiet": lambda model, odd: pycharrnn.train("a\n", quiet=odd),
    "exact": lambda model, odd: pycharrnn.train("a\n", exact=odd),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_switches_are_true_or_false(model, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for odd in ("no", 3, 0.5, None):
        with pytest.raises(TypeError, match=f"^{name} must be True or False, not {odd!r}$"):
            SWITCHES[name](model, odd)
    with contextlib.suppress(pycharrnn.UserError):  # too short a text
        SWITCHES[name](model, np.bool_(False))


@pytest.mark.parametrize(
    "arguments, error, words",
    [
        ({"dtype": "float32"}, TypeError, "dtype must be a floating-point torch.dtype such as torch.float32, not 'flo"),
        ({"dtype": torch.int64}, TypeError, "dtype must be a floating-point torch.dtype"),
        ({"device": "gpu"}, ValueError, "device must be one of PyTorch such as \"cuda\", not 'gpu'"),
        ({"device": "meta"}, pycharrnn.UserError, "PyTorch can't use the device 'meta' here"),
        ({"device": 1.5}, TypeError, 'device must be a torch.device or its name such as "cuda", not 1.5'),
    ],
)
def test_dtypes_and_devices_that_are_refused(arguments, error, words):
    with pytest.raises(error, match=f"^{re.escape(words)}"):
        pycharrnn.load(CHECKPOINT, **arguments)


def test_a_number_in_the_place_of_a_t7_file():
    with pytest.raises(TypeError, match="^source must be a path, bytes or a binary stream, not 3$"):
        compat.load_t7(3)


def test_a_network_on_a_device_that_there_is_not():
    with pytest.raises(ValueError, match="^device must be one of PyTorch such as \"cuda\", not 'mars'$"):
        pycharrnn.CharRNN("gru", 3, 4, 1, device="mars")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_a_gpu_that_this_machine_lacks():
    with pytest.raises(pycharrnn.UserError, match="^PyTorch can't use the device 'cuda' here .*: leave it out for the"):
        pycharrnn.load(CHECKPOINT, device="cuda")


def test_the_cpu_by_name_needs_no_pytorch():
    code = (
        f"import pycharrnn, sys; pycharrnn.load({str(CHECKPOINT)!r}, device='cpu'); assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@pytest.mark.parametrize("option", ["savefile", "checkpoint_dir", "init_from"])
def test_paths_that_no_system_has(option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value, words in (
        ("a\0b", f"{option} has a NUL character: "),
        ("\ud800", f"{option} has an unpaired surrogate"),
    ):
        with pytest.raises(pycharrnn.UserError, match=f"^{words}"):
            pycharrnn.train("a\n" * 500, quiet=True, **{option: value})
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_looks_like_a_flag_stays_in_a_message(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pycharrnn.UserError, match=r"^can't read my -seed 5 notes\.txt"):
        pycharrnn.train("my -seed 5 notes.txt")


# -- paths, names and devices ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "the path is empty"),
        ("a\0.t7", "path has a NUL character"),
        ("\ud800.t7", "path has an unpaired surrogate"),
    ],
)
def test_paths_that_no_file_can_have(model, path, words):
    net = model.module
    for call in (pycharrnn.load, model.save, net.save):
        with pytest.raises(pycharrnn.UserError, match=f"^{words}"):
            call(path)


def test_a_path_beyond_the_encoding_of_file_names(tmp_path):
    code = f"import pycharrnn; pycharrnn.load({str(CHECKPOINT)!r}).save('\\u00e9.t7')"
    environment = {**os.environ, "LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True
    )
    last = done.stderr.decode("ascii").splitlines()[-1]
    if done.returncode:  # else the system has UTF-8 in this locale, too
        assert last.endswith(r"UserError: path has characters that file names can't have in ascii: '\xe9.t7'.")


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps the current folder")
def test_a_model_is_not_saved_in_a_folder_that_was_removed(model, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(pycharrnn.UserError, match="^the current folder was removed: change to another one.$"):
        model.save("x.t7")
    model.save(tmp_path / "x.t7")


def test_a_module_is_on_the_cpu_whatever_pytorchs_default_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "".join(f"item {k * k}\n" for k in range(300))
    with torch.device("meta"):
        model = pycharrnn.load(CHECKPOINT)
        before = model.generate("The", length=5, seed=1)
        assert model.module.flat.device.type == "cpu"
        assert model.generate("The", length=5, seed=1) == before
        model.learn("The night. " * 5)
        for items in ("", "line"):
            pycharrnn.train(text, rnn_size=8, max_epochs=1, quiet=True, gpuid=-1, items=items, savefile=f"x{items}")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda model: model.which("a", prior=None), TypeError, "prior must be a str, not None"),
        (
            lambda model: model.generate(asbytes=True),
            TypeError,
            "generate() has no option 'asbytes'; did you mean as_b",
        ),
        (
            lambda model: model.stream(as_byte=True),
            TypeError,
            "stream() has no option 'as_byte'; did you mean as_bytes",
        ),
        (lambda model: model.generate(length=10**400), pycharrnn.UserError, "length is too large: 1000"),
        (lambda model: pycharrnn.train("a", model=""), pycharrnn.UserError, "model must be lstm, gru or rnn, not ''."),
        (
            lambda model: pycharrnn.load(CHECKPOINT, device="hpu"),
            pycharrnn.UserError,
            "PyTorch can't use the device 'h",
        ),
        (
            lambda model: pycharrnn.load("no cv"),
            pycharrnn.UserError,
            "no cv does not exist: train a model first, as by pycharrnn.train('my_text.txt'), or name a checkpoint.",
        ),
    ],
)
def test_what_is_said_of_other_values(model, call, error, words):
    with pytest.raises(error, match=f"^{re.escape(words)}"):
        call(model)


def test_a_device_is_refused_in_one_sentence():
    for device in ("vulkan", "hpu", "meta"):
        with pytest.raises(pycharrnn.UserError) as refused:
            pycharrnn.load(CHECKPOINT, device=device)
        assert re.fullmatch(
            r"PyTorch can't use the device '\w+' here \([^.]*(\.\w[^.]*)*\): leave it out for the CPU\.",
            str(refused.value),
        )


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_a_network_on_a_gpu_that_this_machine_lacks():
    for device in ("cuda", torch.device("cuda"), 0):
        with pytest.raises(ValueError, match=rf"^PyTorch can't use the device '{device}' here \(\w"):
            pycharrnn.CharRNN("gru", 3, 4, 1, device=device)
