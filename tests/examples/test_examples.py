"""The examples, run as their users run them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import GOLDEN, HEEDS_SIGNALS, ROOT, needs_signals, with_slashes
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from selenium.webdriver.common.by import By

import pycharrnn
from pycharrnn.engine import kernel_library
from pycharrnn.library.notebook import tinted

EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))
NOTEBOOK = EXAMPLES / "train_and_sample.ipynb"
ONE, OTHER = (str(sorted((GOLDEN / name).glob("*.t7"))[-1]) for name in ("gru2", "lstm2"))


def example(name: str, *args: str, text: str = "") -> list[str]:
    """The lines that a script prints, paths with slashes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(EXAMPLES / name), *args]
    result = subprocess.run(command, input=text, capture_output=True, text=True, env=environment)
    assert (result.returncode, result.stderr) == (0, "")
    return with_slashes(result.stdout).splitlines()


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_short_and_listed(script):
    most = 98 if script == "read_model.py" else 74  # lines; the reader holds the whole arithmetic
    assert len((EXAMPLES / script).read_text(encoding="utf-8").splitlines()) <= most
    assert script in (EXAMPLES / "README.md").read_text(encoding="utf-8")


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)\s]+)\)", (EXAMPLES / "README.md").read_text(encoding="utf-8"))
    assert len(links) > 5 and all((EXAMPLES / link.partition("#")[0]).exists() for link in links)


def test_a_bot_replies_to_each_line():
    replies = example("reply_bot.py", ONE, "7", text="How was the night?\n\n\u00fcm\n")
    assert len(replies) == 3 and all(replies) and len(set(replies)) == 3
    assert replies == example("reply_bot.py", ONE, "7", text="How was the night?\n\n\u00fcm\n")
    model = pycharrnn.load(ONE)
    expected = model.generate("\nHow was the night?\n", length=280, temperature=0.6, hide_prime=True, seed=7)
    assert replies[0] == expected.strip().partition("\n")[0]


def test_a_bot_replies_to_a_line_that_is_not_utf8():
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8:strict"}
    command = [sys.executable, str(EXAMPLES / "reply_bot.py"), ONE, "7"]
    lines = b"How was the n\xefght?\nHow was the nght?\n"
    result = subprocess.run(command, input=lines, capture_output=True, env=environment)
    assert (result.returncode, result.stderr) == (0, b"")
    first, second = result.stdout.splitlines()
    assert first == second


def test_mails_are_scored(tmp_path):
    mails = {
        "known.eml": "The night was long.\nThe night was quiet.",
        "strange.eml": "Zqx!!Zqx!!Zqx",
        "new.eml": "\u4f60\u597d",
    }
    (tmp_path / "deep").mkdir()
    (tmp_path / "folder.eml").mkdir()
    for name, text in mails.items():
        head = "From: a@example.org\nSubject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n"
        (tmp_path / "deep" / name).write_bytes((head + text).encode())
    (tmp_path / "notes.txt").write_text("no mail", encoding="utf-8")
    lines = example("score_mails.py", ONE, str(tmp_path))
    assert [line.split("  ")[1] for line in lines] == ["deep/new.eml", "deep/strange.eml", "deep/known.eml"]
    score = pycharrnn.load(ONE).score(mails["known.eml"])
    assert lines[2].startswith(f"{score.bits_per_character:.3f} bits per character, 0 unknown")


def test_a_mail_in_an_unknown_encoding_is_scored(tmp_path):
    mail = b"From: a@example.org\nMIME-Version: 1.0\nContent-Type: text/plain; charset=%s\n\nThe night"
    for charset in (b"utf-8", b"x-unheard-of"):
        (tmp_path / "one.eml").write_bytes(mail % charset)
        score = pycharrnn.load(ONE).score("The night")
        (line,) = example("score_mails.py", ONE, str(tmp_path))
        assert line == f"{score.bits_per_character:.3f} bits per character, 0 unknown  one.eml"


def test_a_folder_without_mails_is_said(tmp_path):
    command = [sys.executable, str(EXAMPLES / "score_mails.py"), ONE, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (result.returncode, result.stderr) == (1, f"score_mails.py: there is no mail (.eml) below {tmp_path}\n")


WRONG = [  # arguments, the exit status, and a part of the message
    ("reply_bot.py", [], 2, "arguments are required: checkpoint"),
    ("reply_bot.py", ["nowhere.t7"], 1, "reply_bot.py: File nowhere.t7 does not exist."),
    ("reply_bot.py", [ONE, "seven"], 2, "argument seed: invalid int value: 'seven'"),
    ("duet.py", [ONE], 2, "arguments are required: checkpoint"),
    ("duet.py", [ONE, "text.txt"], 1, "duet.py: can't read text.txt as a checkpoint: it is a text"),
    ("score_mails.py", [ONE], 2, "arguments are required: folder"),
    ("score_mails.py", ["nowhere.t7", "."], 1, "score_mails.py: File nowhere.t7 does not exist."),
    ("onnx_sample.py", [], 2, "arguments are required: model"),
    ("onnx_sample.py", ["nowhere.onnx"], 1, "nowhere.onnx is not a .onnx file that"),
    ("onnx_sample.py", ["text.txt"], 1, "text.txt is not a .onnx file that"),
    ("onnx_sample.py", ["model.onnx", "\u4f60"], 1, "the model has no character for '\u4f60'"),
    ("onnx_sample.py", ["model.onnx", "The ", "9", "0"], 2, "the temperature must be above 0"),
    ("onnx_sample.py", ["model.onnx", "The ", "9", "nan"], 2, "the temperature must be above 0"),
    ("onnx_sample.py", ["model.onnx", "\udcff"], 1, "the model has no character for '\\udcff'"),
    ("read_model.py", ["model.json", "The "], 2, "arguments are required: length"),
    ("read_model.py", ["nowhere.json", "The ", "4"], 1, "No such file or directory: 'nowhere.json'"),
    ("read_model.py", ["text.txt", "The ", "4"], 1, "text.txt is not a .json file that"),
    ("read_model.py", ["other.json", "The ", "4"], 1, "other.json is not a .json file that"),
    ("read_model.py", ["model.json", "The ", "four"], 2, "argument length: invalid int value: 'four'"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("script", "arguments", "status", "message"), WRONG)
def test_wrong_arguments_are_named_without_a_traceback(script, arguments, status, message, tmp_path):
    (tmp_path / "text.txt").write_text("A text.\n", encoding="utf-8")
    (tmp_path / "other.json").write_text("[1, 2]", encoding="utf-8")
    for name in {"model.json", "model.onnx"} & set(arguments):
        pycharrnn.load(ONE).save(tmp_path / name)
    command = [sys.executable, str(EXAMPLES / script), *arguments]
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    result = subprocess.run(
        command, input="", capture_output=True, text=True, encoding="utf-8", env=environment, cwd=tmp_path
    )
    assert (result.returncode, result.stdout) == (status, "")
    assert message in result.stderr.splitlines()[-1]
    assert status == 2 or result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_prints_its_help(script):
    lines = example(script, "-h")
    assert lines[0].startswith(f"usage: {script} [-h] ")


def test_a_duet():
    lines = example("duet.py", ONE, OTHER, "4", "3")
    text = "\n".join(lines)
    assert re.match(r"A: ", text) and [line[:3] for line in lines if re.match("[AB]: ", line)] == ["A: ", "B: "] * 2
    first = pycharrnn.load(ONE).generate("\n", length=200, temperature=0.6, stop="\n", hide_prime=True, seed=3)
    assert lines[0] == f"A: {first.strip()}"
    second = pycharrnn.load(OTHER).generate(
        f"{first.strip(chr(10))}\n", length=200, temperature=0.6, stop="\n", hide_prime=True, seed=4,
        ignore_bad_primetext=True,
    )  # fmt: skip
    assert lines[1] == f"B: {second.strip(chr(10))}"
    assert example("duet.py", ONE, OTHER, "1") == example("duet.py", ONE, OTHER, "1", "1")


def arguments_of(script: str, tmp_path: Path) -> list[str]:
    """Arguments with which a script prints more lines than it needs to notice a closed pipe."""
    if script == "onnx_sample.py":
        pycharrnn.load(ONE).save(tmp_path / "model.onnx")
        return [str(tmp_path / "model.onnx"), "The ", "200000"]
    if script == "read_model.py":
        pycharrnn.load(ONE).save(tmp_path / "model.json")
        return [str(tmp_path / "model.json"), "The ", "5"]
    if script == "score_mails.py":
        for k in range(20):
            (tmp_path / f"{k}.eml").write_bytes(b"From: a@example.org\n\nThe night was long.\n")
        return [ONE, str(tmp_path)]
    return [ONE, OTHER, "200"] if script == "duet.py" else [ONE]


@pytest.mark.slow
@needs_signals
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_closed_pipe_ends_a_script_quietly(script, tmp_path):
    """As with `| head -n 1`, also where nobody reads the first line."""
    arguments = arguments_of(script, tmp_path)
    for lines in (0, 1):
        with started(script, arguments, tmp_path) as process:
            for _ in range(lines):
                assert process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait() == -signal.SIGPIPE or lines  # a short output is written as a whole


@pytest.mark.slow
@needs_signals
@pytest.mark.parametrize("script", ["duet.py", "onnx_sample.py", "reply_bot.py"])
def test_an_interrupt_ends_a_script_quietly(script, tmp_path):
    with started(script, arguments_of(script, tmp_path), tmp_path) as process:
        assert process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.stderr.read() == b""
        assert process.wait() == -signal.SIGINT


def started(script: str, arguments: list[str], tmp_path: Path) -> subprocess.Popen:
    """A running script with many lines to read."""
    (tmp_path / "input").write_bytes(b"How was the night?\n" * 10_000)
    with (tmp_path / "input").open("rb") as lines:
        return subprocess.Popen(
            [sys.executable, str(EXAMPLES / script), *arguments],
            stdin=lines,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},  # onnxruntime writes there
            **HEEDS_SIGNALS,
        )


@pytest.fixture(scope="module")
def executed(tmp_path_factory) -> tuple[nbformat.NotebookNode, Path]:
    """The notebook, after it has run in a kernel of its own in a new folder, and that folder."""
    notebook, folder = nbformat.read(NOTEBOOK, as_version=4), tmp_path_factory.mktemp("notebook")
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute(env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})
    return notebook, folder


def output_of(notebook, line: str) -> list:
    """The outputs of the cell that has a line."""
    return next(cell.outputs for cell in notebook.cells if line in cell.source.splitlines())


def shown(outputs: list, kind: str) -> str:
    return next(output.data[kind] for output in outputs if kind in output.get("data", {}))


def printed(outputs: list) -> str:
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")


@pytest.mark.slow
def test_the_notebook_runs(executed):
    notebook, folder = executed
    assert all(cell.outputs or "find_spec" in cell.source for cell in notebook.cells if cell.cell_type == "code")
    trained = output_of(notebook, "run")
    assert re.search(r"epoch 40\.00: validation loss \d\.\d{4}", printed(trained))
    assert "train_loss" not in printed(trained)
    assert "<td>data/text</td>" in with_slashes(shown(trained, "text/html"))
    assert len(shown(output_of(notebook, "run.curve()"), "image/png")) > 10_000
    sample = shown(output_of(notebook, "model = run.best"), "text/html")
    assert sample.startswith("<pre ") and "<b>M</b>" in sample and "background: rgb(" in sample
    labels = printed(output_of(notebook, "    label, probability = both_model.which(word)[0]"))
    assert re.fullmatch(r"(\w+: (name|town), \d+%\n)+", labels)
    assert len(shown(output_of(notebook, "plt.show()"), "image/png")) > 5000
    assert shown(output_of(notebook, 'model.save("names.t7")'), "text/plain").startswith("<Model names.t7: ")
    assert pycharrnn.load(folder / "names.t7").rnn_size == 64
    errors = [output for cell in notebook.cells for output in cell.get("outputs", ()) if output.get("name") == "stderr"]
    assert errors == []
    written = [f"examples/{path.name}{'/' * path.is_dir()}" for path in folder.iterdir()]
    ignored = subprocess.run(["git", "check-ignore", *written], cwd=ROOT, capture_output=True, text=True)
    assert ignored.returncode == 128 or ignored.stdout.split() == written  # 128: not a git checkout


def without_pictures(notebook) -> list[tuple[str, str, str]]:
    """(source, printed text, HTML or text of the result) of each code cell."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            results = [
                output.data for output in cell.outputs if "image/png" not in output.get("data", {"image/png": ""})
            ]
            results = [data.get("text/html", data["text/plain"]) for data in results]
            found.append((cell.source, printed(cell.outputs), "".join(results)))
    return found


@pytest.mark.slow
@pytest.mark.skipif(kernel_library.is_missing(), reason="the outputs are those of the kernel")
def test_the_notebook_gives_the_outputs_that_it_shows(executed):
    assert without_pictures(executed[0]) == without_pictures(nbformat.read(NOTEBOOK, as_version=4))


def test_the_notebook_is_valid():
    """And holds nothing of the machine that ran it."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)
    assert NOTEBOOK.stat().st_size < 250_000
    assert NOTEBOOK.name in (EXAMPLES / "README.md").read_text(encoding="utf-8")


def test_the_notebook_says_that_its_kernel_lacks_pycharrnn(tmp_path, monkeypatch):
    source = next(cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if "find_spec" in cell.source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"no pycharrnn-\*\.whl is beside this notebook: upload it, or choose"):
        exec(source, {})


def test_the_notebook_takes_a_list_of_your_own(tmp_path, monkeypatch):
    """As its text says, so that `names`, which later cells use, are those of that list."""
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    advice = next(cell.source for cell in cells if "mine.txt" in cell.source)
    old, new = re.search(r"replace `([^`]+)` by `([^`]+)`", advice).groups()
    source = next(cell.source for cell in cells if cell.cell_type == "code" and old in cell.source)
    (tmp_path / "mine.txt").write_text("Oak\nNorway Maple\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    defined: dict = {}
    exec(source.replace(old, new), defined)
    assert (defined["names"], defined["text"]) == (["Oak", "Norway Maple"], "Oak\nNorway Maple\n")


def test_a_tinted_text_breaks_lines_between_words(chromium, tmp_path):
    """Also in Jupyter, whose style sheet breaks the lines of a pre anywhere."""
    pieces = list('Some plain words of a "generated" text, (each) tinted character by character.')
    html = tinted(pieces, [(0.9, 0.5, 0.1)[k % 3] for k in range(len(pieces))], 5)
    jupyter = "<style>div pre { word-break: break-all; word-wrap: break-word; white-space: pre-wrap }</style>"
    (tmp_path / "cell.html").write_text(f'{jupyter}<div style="width: 10em">{html}</div>', encoding="utf-8")
    chromium.get((tmp_path / "cell.html").as_uri())
    lines = chromium.find_element(By.TAG_NAME, "pre").get_property("offsetHeight") // 15
    broken = chromium.execute_script("""
    const walker = document.createTreeWalker(document.querySelector("pre"), NodeFilter.SHOW_TEXT);
    let top, previous = " ", broken = [];
    while (walker.nextNode())
      for (let k = 0; k < walker.currentNode.length; k++) {
        const range = document.createRange();
        range.setStart(walker.currentNode, k);
        range.setEnd(walker.currentNode, k + 1);
        const character = range.toString(), at = range.getBoundingClientRect().top;
        if (character !== " " && previous !== " " && Math.abs(at - top) > 8) broken.push(previous + character);
        [previous, top] = [character, at];
      }
    return broken;
    """)
    assert lines >= 3
    assert broken == []


LONG = """
(open("poems.txt", "w").write("A line of a poem.\\n" * 400))
import pycharrnn
options = dict(rnn_size=8, max_epochs=1e6, eval_val_every=10**9, print_every=10, gpuid=-1, show=0, threads=1)
run = pycharrnn.train("poems.txt", **options)
print("and on", run.stopped, run.iterations == run.last.iteration, len(run.best.generate("A", length=9)))
run
"""


@pytest.mark.slow
def test_interrupting_a_cell_returns_what_there_is(tmp_path):
    manager, client = start_new_kernel(cwd=str(tmp_path), env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        client.execute(LONG)
        text = shown = ""
        interrupted = False
        while True:
            message = client.get_iopub_msg(timeout=300)
            text += message["content"].get("text", "")
            shown += message["content"].get("data", {}).get("text/html", "")
            assert message["msg_type"] != "error", message["content"]
            if not interrupted and "train_loss" in text:
                manager.interrupt_kernel()
                interrupted = True
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle" and interrupted:
                break
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert "and on True True 10" in text
    assert "stopped by an interrupt after iteration" in text
    assert "<td>by an interrupt</td>" in shown
