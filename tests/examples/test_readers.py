"""Compares examples/read_model.py and read_model.js, which compute a .json model, with pycharrnn."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys

import item_models
import numpy as np
import pytest
import torch
from conftest import ROOT, needs_signals
from page_modules import static_server

import pycharrnn
from pycharrnn.checkpoints import checkpoint

PYTHON, JAVASCRIPT = ROOT / "examples" / "read_model.py", ROOT / "examples" / "read_model.js"
CHARACTERS = ["\n", " ", '"', "a", "b", "é", "ß", "中"]
PROMPT, LONG = 'a "é', 'b\nßa中"aé  b"\n中ab'
ALL = [(model, layers) for model in ("lstm", "gru", "rnn") for layers in (1, 2, 3)]

needs_node = pytest.mark.skipif(not shutil.which("node"), reason="needs node")
# Each reader's command; plain Python starts without the packages of this environment.
COMMANDS = [
    pytest.param([sys.executable, "-I", "-S", str(PYTHON)], id="Python"),
    pytest.param(["node", str(JAVASCRIPT)], id="JavaScript", marks=needs_node),
]


@pytest.fixture
def exported(request, tmp_path):
    """A model of random weights, large enough that its probabilities differ much, and its .json file."""
    kind, layers = request.param
    torch.manual_seed(layers)
    net = pycharrnn.CharRNN(kind, len(CHARACTERS), rnn_size=7, num_layers=layers, dtype=torch.float64)
    net.flat.data.normal_(0, 1.5)
    net.vocab = {character.encode(): k + 1 for k, character in enumerate(CHARACTERS)}
    net.save(str(tmp_path / "model.json"))
    return pycharrnn.load(tmp_path / "model.json", dtype=torch.float64), str(tmp_path / "model.json")


def expected_probs(model, text: str) -> np.ndarray:
    log_probs, _ = model(model.encode(text)[:, None])
    return log_probs[:, 0].exp().detach().numpy()


def check(found: list[list[float]], model, text: str) -> None:
    expected = expected_probs(model, text)[-len(found) :]
    assert np.ptp(expected) > 0.2
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("exported", ALL, indirect=True, ids=str)
def test_python_computes_the_probabilities(exported, monkeypatch, capsys):
    model, file = exported
    monkeypatch.setattr(sys, "argv", [str(PYTHON), file, PROMPT, "0"])
    # Else the program's SIGPIPE would end this process when a browser closes a connection in a later test.
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    reader = runpy.run_path(str(PYTHON))
    assert capsys.readouterr().out.endswith(f"{PROMPT}\n")
    check([reader["read"](token_id) for token_id in model.encode(LONG)], model, PROMPT + LONG)


@needs_node
@pytest.mark.parametrize("exported", ALL, indirect=True, ids=str)
def test_javascript_computes_the_probabilities(exported):
    model, file = exported
    program = """
    const [reader, file, ids] = process.argv.slice(1);
    const read = require(reader).makeReader(JSON.parse(require("fs").readFileSync(file, "utf8")));
    console.log(JSON.stringify(JSON.parse(ids).map(read)));
    """
    command = ["node", "-e", program, str(JAVASCRIPT), file, json.dumps(model.encode(LONG).tolist())]
    check(json.loads(subprocess.run(command, capture_output=True, check=True).stdout), model, LONG)


@pytest.mark.parametrize("exported", [("gru", 2)], indirect=True, ids=str)
def test_a_browser_computes_the_probabilities(exported, chromium):
    model, file = exported
    contents = {"/": b'<!DOCTYPE html><script src="read_model.js"></script>', "/read_model.js": JAVASCRIPT.read_bytes()}
    with open(file, "rb") as f:
        contents["/model.json"] = f.read()
    program = """
    const [ids, done] = arguments;
    fetch("model.json").then((answer) => answer.json()).then((model) => done(ids.map(makeReader(model))));
    """
    with static_server(contents) as server:
        chromium.get(f"http://127.0.0.1:{server.server_port}/")
        check(chromium.execute_async_script(program, model.encode(LONG).tolist()), model, LONG)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("exported", [("lstm", 2)], indirect=True, ids=str)
def test_a_reader_prints_what_comes_next(exported, command):
    model, file = exported
    result = subprocess.run([*command, file, PROMPT, "30"], capture_output=True)
    assert (result.returncode, result.stderr) == (0, b"")
    *likely, continued = result.stdout.decode().split("\n", 5)
    probs = expected_probs(model, PROMPT)[-1]
    ranked = sorted(range(len(CHARACTERS)), key=lambda k: -probs[k])[:5]
    expected = [f"{probs[k]:.6f}  {json.dumps(CHARACTERS[k], ensure_ascii=False)}" for k in ranked]
    assert likely == expected
    assert continued == model.generate(PROMPT, length=30, sample=0) + "\n"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("exported", [("rnn", 1)], indirect=True, ids=str)
def test_a_reader_names_an_unknown_character_and_its_arguments(exported, command):
    _, file = exported
    for prompt, status, message in (("aùb", 1, "has no character for ['\"]ù['\"]\n"), ("", 2, "usage: ")):
        result = subprocess.run([*command, file, prompt, "3"], capture_output=True, text=True, encoding="utf-8")
        assert (result.returncode, result.stdout) == (status, "")
        assert re.search(message, result.stderr) and "Error" not in result.stderr


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("content", ['{"rnn_size": 1, "weights": {}, "vocab": [], "opt": null}', "[" * 100_000])
def test_a_reader_says_that_json_is_no_model(command, content, tmp_path):
    (tmp_path / "other.json").write_text(content, encoding="utf-8")
    result = subprocess.run([*command, "other.json", "a", "3"], capture_output=True, text=True, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch(r"read_model.+: other\.json is not a \.json file that `.*` has written\n", result.stderr)


@needs_node
@pytest.mark.parametrize("exported", [("rnn", 1)], indirect=True, ids=str)
@pytest.mark.parametrize("loss", [np.nan, -np.inf])
def test_javascript_names_numbers_that_json_lacks(exported, loss, tmp_path):
    loaded = checkpoint.load(exported[1])
    loaded.train_losses.append(loss)
    checkpoint.convert(loaded, tmp_path / "failed.json")
    result = subprocess.run(
        ["node", str(JAVASCRIPT), "failed.json", "a", "3"], capture_output=True, text=True, cwd=tmp_path
    )
    assert "failed.json has NaN or Infinity, which JavaScript's JSON lacks" in result.stderr


@needs_node
def test_javascript_names_a_wrong_file_and_wrong_arguments(tmp_path):
    (tmp_path / "text.txt").write_text("A text.\n", encoding="utf-8")
    (tmp_path / "other.json").write_text("null", encoding="utf-8")
    wrong = [
        ([], 2, "usage: node read_model.js FILE PROMPT LENGTH"),
        (["-h"], 2, "usage: node read_model.js FILE PROMPT LENGTH"),
        (["text.txt", "a", "four"], 2, "usage: node read_model.js FILE PROMPT LENGTH"),
        (["nowhere.json", "a", "4"], 1, "read_model.js: ENOENT: no such file or directory, open 'nowhere.json'"),
        (["text.txt", "a", "4"], 1, "read_model.js: text.txt is not a .json file that `pycharrnn convert` has written"),
        (
            ["other.json", "a", "4"],
            1,
            "read_model.js: other.json is not a .json file that `pycharrnn convert` has written",
        ),
    ]
    for arguments, status, message in wrong:
        result = subprocess.run(
            ["node", str(JAVASCRIPT), *arguments], capture_output=True, text=True, encoding="utf-8", cwd=tmp_path
        )
        assert (result.returncode, result.stdout, result.stderr) == (status, "", f"{message}\n")


@needs_signals
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("exported", [("rnn", 1)], indirect=True, ids=str)
def test_a_reader_ends_quietly_when_its_pipe_is_closed(exported, command):
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        result = subprocess.run([*command, exported[1], "a", "9"], stdout=write_end, stderr=subprocess.PIPE)
    finally:
        os.close(write_end)
    assert result.stderr == b""


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", ["line", "blank"])
def test_a_reader_begins_each_item_anew(command, kind, tmp_path):
    """After an end, and before the first item, which begins with one."""
    loaded = item_models.decided(kind)
    checkpoint.convert(loaded, tmp_path / "model.json")
    result = subprocess.run([*command, tmp_path / "model.json", "ab", "20"], capture_output=True, check=True)
    found = result.stdout.decode().replace("\r\n", "\n").split("\n", 5)[5]
    assert found == item_models.most_probable(loaded, b"ab", 20).decode("utf-8", "replace") + "\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_begins_each_item_with_the_label_of_the_prompt(command, tmp_path):
    loaded = item_models.decided("line", letters="abcd\u00e9\t", labels="7\ta\u00e9\n5\tb")
    checkpoint.convert(loaded, tmp_path / "model.json")
    begin = [*command, tmp_path / "model.json"]
    result = subprocess.run([*begin, "a\u00e9\tab", "40"], capture_output=True, check=True)
    found = result.stdout.decode().replace("\r\n", "\n").split("\n", 5)[5]
    label = "a\u00e9\t".encode()
    assert found == item_models.most_probable(loaded, label + b"ab", 40, label).decode("utf-8", "replace") + "\n"
    for prompt in ("ab", "a\u00e9", "c\tab"):
        result = subprocess.run([*begin, prompt, "3"], capture_output=True, text=True, encoding="utf-8")
        assert result.returncode == 1
        assert re.search(r"begin the prompt with a label and a tab, for example with ['\"]a.*\\t['\"]\n", result.stderr)
