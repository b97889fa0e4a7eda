"""README.md and docs/: commands run, and the flags, links, files, functions and messages that they name exist."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import json
import os
import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import GOLDEN, working_in
from doc_commands import NOT_RUN, PAGES, READER_HAS, ROOT, Reader, blocks, check_parses, home_for, small_model

import compat
import pycharrnn
from pycharrnn.cli.commands import cli
from pycharrnn.sampling.options import SampleOptions
from pycharrnn.training.options import TrainOptions

FLAGS = {f.name for command in cli.commands.values() if command.options for f in dataclasses.fields(command.options)}


LONG_PAGES = {  # which take longest
    "adapt.md",
    "fine-tuning.md",
    "how-it-works.md",
    "lists.md",
    "long-runs.md",
    "originality.md",
    "pages.md",
    "tutorial.md",
}


@pytest.fixture(scope="module")
def of_reader(tmp_path_factory) -> tuple[bytes, Path]:
    return small_model(tmp_path_factory.mktemp("reader"))


@pytest.mark.skipif(os.name == "nt", reason="the commands are for a shell of POSIX")
@pytest.mark.parametrize("page", [pytest.param(p, marks=pytest.mark.slow) if p in LONG_PAGES else p for p in PAGES])
def test_every_command_runs(page, of_reader, tmp_path):
    reader = Reader(home_for(page, tmp_path, *of_reader), page)
    with reader.stack:
        for block in blocks(page):
            if block.language == "python":
                reader.program(block.text)
            for line in block.commands():
                try:
                    printed = reader.do(line)
                except (Exception, SystemExit) as e:
                    raise AssertionError(f"{page}:{block.number}: {line}") from e
                if line.startswith("curl ") and "/api/sample" in line and printed:
                    assert printed.endswith('{"done":true}\n')
                if " -o " in line and line.startswith("pycharrnn"):
                    assert (tmp_path / re.search(r" -o (\S+)", line)[1]).exists()


@pytest.mark.parametrize("page", PAGES)
def test_no_command_hides(page):
    """Commands stand in shell blocks, or within a line of prose, where their flags exist."""
    text = PAGES[page].read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)
    assert not re.findall(r"^(?:    |\t)\$? ?(?:pycharrnn|python|torchrun|make) .*", prose, re.M)
    for block in blocks(page):
        if not block.commands():
            assert not re.findall(r"^\$? ?pycharrnn .*", block.text, re.M)
    for line in re.findall(r"`pycharrnn ([a-z]+(?: [^`]+)?)`", re.sub(r"\s*\n\s*", " ", prose)):
        name, *words = line.split()
        assert name in cli.commands, line
        named = {word[1:] for word in words if re.match(r"-[a-z]", word)}
        assert named <= {param.name for param in cli.commands[name].params} | {"t", "help"}, line


@pytest.mark.parametrize("page", PAGES)
def test_no_placeholder_is_left(page):
    prose = re.sub(r"^```.*?^```$", "", PAGES[page].read_text(encoding="utf-8"), flags=re.S | re.M)
    assert not re.findall(r"^[A-Z_]+$", prose, re.M)


@pytest.mark.parametrize("page", PAGES)
def test_flags_exist(page):
    text = PAGES[page].read_text(encoding="utf-8").split("## Which flag is which")[0]
    named = set(re.findall(r"[ `(]-([a-z]\w+|t|o)\b(?!-)", re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)))
    of_others = {"help", "t", "as", "version", "minutes", "reset_iterations", "batchnorm", "march", "lm", "device"}
    assert named - FLAGS <= of_others


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", PAGES[page].read_text(encoding="utf-8")):
        if link.startswith(("http:", "https:")):
            continue
        name, _, anchor = link.partition("#")
        target = (PAGES[page].parent / name) if name else PAGES[page]
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)", target.read_text(encoding="utf-8"), re.M)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, link


def test_what_pip_installs_stands_in_one_place():
    """Other pages link to the page on installation, whose lines work without a release."""
    installs = {
        page: re.findall(
            r"pip install ((?:-\S+ )*)[\"']?(?:\.|pycharrnn)(?=[\s\[\"'`])", path.read_text(encoding="utf-8")
        )
        for page, path in {**PAGES, "examples": ROOT / "examples" / "README.md"}.items()
    }
    assert {page for page, found in installs.items() if found} == {"README.md", "install.md"}
    assert set(installs["README.md"]) == {"-e "}
    assert set(installs["install.md"]) == {"-e ", "--no-deps ", ""}  # "": what finds nothing until there is a release


def test_the_loop_of_the_library_page_trains(of_reader, tmp_path, capsys):
    reader = Reader(home_for("library.md", tmp_path, *of_reader), "library.md")
    wanted = ("pycharrnn.load(", "token_ids = model.encode(", "torch.optim.")
    for block in blocks("library.md"):
        if block.text.startswith("loader = "):
            break
        if block.language == "python" and any(word in block.text for word in wanted):
            capsys.readouterr()
            reader.program(block.text)
    losses = [float(line) for line in capsys.readouterr().out.splitlines() if re.fullmatch(r"\d+\.\d+", line)]
    assert len(losses) == 20
    assert losses[-1] < 0.95 * losses[0]


def test_the_weights_of_a_fork_are_printed(tmp_path, capsys):
    """A checkpoint whose network has another name is refused; the program of the library page prints its weights."""
    original = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"
    table = compat.load_t7(original)
    table[b"protos"] = compat.Table({b"rnn1": table[b"protos"][b"rnn"]})
    compat.save_t7(tmp_path / "fork.t7", table)
    with pytest.raises(pycharrnn.UserError, match=r"its 'protos' is a table with rnn1, without char-rnn's 'rnn'"):
        pycharrnn.load(tmp_path / "fork.t7")
    reader = Reader(tmp_path, "library.md", {"compat": compat})
    (program,) = (block.text for block in blocks("library.md") if 'load_t7("fork.t7")' in block.text)
    reader.program(program)
    printed = capsys.readouterr().out.splitlines()
    assert all(re.match(r"fork\[b'protos'\]\[b'rnn1'\].*\[b'(weight|bias)'\] \(", line) for line in printed)
    shapes = [tuple(map(int, re.findall(r"\d+", line.rpartition("(")[2]))) for line in printed]
    weights = pycharrnn.load(original).module.weights
    assert sorted(shapes) == sorted(tuple(weight.shape) for weight in weights.values())


def test_what_cannot_run_has_a_reason():
    for start, reason, _ in NOT_RUN:
        assert reason
        assert any(re.match(start, line) for page in PAGES for block in blocks(page) for line in block.commands()), (
            start
        )
    assert set(READER_HAS) <= set(PAGES)


def test_a_wrong_command_is_noticed(of_reader, tmp_path):
    reader = Reader(home_for("old-checkpoints.md", tmp_path, *of_reader), "old-checkpoints.md")
    for line in (
        "pycharrnn sample nowhere.t7 -gpuid -1",
        "pycharrnn sample lm_lstm_epoch17.33_1.5834.t7 -tmperature 1",
        "pycharrnn train -data_dir nowhere",
        "pycharrnn data tinyshakespear",
        "cat nowhere.txt | head -n 1",
        "frobnicate",
        "pip install '.[nothing]'",
        "make tea",
        "python benchmarks/nothing.py",
    ):
        with pytest.raises(BaseException):  # noqa: B017, PT011
            reader.do(line)
    with pytest.raises(BaseException):  # noqa: B017, PT011
        check_parses("pycharrnn train -rnn_size many")


def test_flags_page_is_up_to_date():
    page = runpy.run_path(str(ROOT / "docs" / "flags.py"))["page"]()
    assert page == PAGES["flags.md"].read_text(encoding="utf-8"), "run: python docs/flags.py"
    missing = [name for name in FLAGS if not re.search(rf"^\| `-{name}[ `]", page, re.M)]
    assert not missing


def test_flags_page_is_written(tmp_path):
    shutil.copy(ROOT / "docs" / "flags.py", tmp_path)
    runpy.run_path(str(tmp_path / "flags.py"), run_name="__main__")
    assert (tmp_path / "flags.md").read_text(encoding="utf-8") == PAGES["flags.md"].read_text(encoding="utf-8")


def test_which_flag_is_which():
    """pycharrnn's flags in the table are char-rnn's, and both defaults are pycharrnn's."""
    table = PAGES["old-checkpoints.md"].read_text(encoding="utf-8").split("## Which flag is which")[1].split("\n## ")[0]
    for title, of in (("### Training", TrainOptions), ("### Sampling", SampleOptions)):
        defaults = {f.name: f.default for f in dataclasses.fields(of) if f.metadata["charrnn"]}
        rows = re.findall(r"^\| `-(\w+)` \|([^|]*)\|[^|]*\| `-(\w+)`", table.split(title)[1].split("\n### ")[0], re.M)
        assert [name for name, _, _ in rows] == list(defaults)
        for theirs, default, ours in rows:
            assert theirs == ours
            shown = default.strip()
            assert shown == (
                ""
                if defaults[ours] == ""
                else f"{defaults[ours]:g}"
                if not isinstance(defaults[ours], str)
                else defaults[ours]
            )


def names_in(path: Path) -> set[str]:
    """What a module defines: functions, classes, their methods and fields, constants."""
    found: set[str] = set()

    def collect(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                collect(node.body, f"{prefix}{node.name}.")
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            found.update(prefix + target.id for target in targets if isinstance(target, ast.Name))

    collect(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return found


def test_every_package_is_described():
    text = PAGES["architecture.md"].read_text(encoding="utf-8")
    packages = {p.parent.name for p in (*(ROOT / "pycharrnn").glob("*/__init__.py"), ROOT / "compat" / "__init__.py")}
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.M)) == packages
    assert set(text.split("```")[1].split()) & packages == packages


@pytest.mark.parametrize("page, least", [("architecture.md", 25), ("contributing.md", 1)])
def test_names_in_the_code_exist(page, least):
    """Every path, and every name after a path."""
    named = re.findall(r"`((?:\w+/)+\w+\.\w+)(?::([\w.]+))?`", PAGES[page].read_text(encoding="utf-8"))
    assert sum(bool(name) for _, name in named) > least
    for file, name in named:
        is_whole = file.startswith(("compat/", "docs/", "pycharrnn/", "tests/"))
        path = ROOT / file if is_whole else ROOT / "pycharrnn" / file
        assert path.is_file(), file
        assert not name or name in names_in(path), f"{file}:{name}"


def test_names_in_the_glossary_exist():
    table = PAGES["contributing.md"].read_text(encoding="utf-8").split("## Glossary")[1].split("\n## ")[0]
    names = re.findall(r"`((?=\w*[_A-Z])[A-Za-z]\w+)`", table)
    code = "".join(p.read_text(encoding="utf-8") for top in ("compat", "pycharrnn") for p in (ROOT / top).rglob("*.py"))
    assert len(names) > 10
    assert [name for name in names if not re.search(rf"\b{name}\b", code)] == []


def test_messages_in_old_checkpoints_exist():
    """The parts of each message that do not depend on the file are in the code."""
    table = PAGES["old-checkpoints.md"].read_text(encoding="utf-8").split("| message |")[1].split("\n## ")[0]
    code = "".join(p.read_text(encoding="utf-8") for top in ("compat", "pycharrnn") for p in (ROOT / top).rglob("*.py"))
    messages = re.findall(r"^\| `([^`]+)`", table, re.M)
    assert len(messages) > 5
    for part in (part.strip() for message in messages for part in message.split("...")):
        assert part in code, part


def test_every_page_is_in_the_index():
    index = PAGES["README.md"].read_text(encoding="utf-8")
    assert [name for name in PAGES if name != "README.md" and f"(docs/{name})" not in index] == []


def test_pictures_are_small():
    pictures = {ROOT / "docs" / name for name in re.findall(r"\]\((?:docs/)?(pictures/[^)]+)\)", _all_text())}
    assert pictures
    for picture in pictures:
        assert 10_000 < picture.stat().st_size < 150_000


@pytest.mark.slow
def test_pictures_of_how_it_works_are_drawn(tmp_path, capsys):
    script = runpy.run_path(str(ROOT / "docs" / "pictures" / "how_it_works.py"))
    checkpoint = sorted((GOLDEN / "lstm2").glob("*.t7"))[-1]
    text = tmp_path / "text"
    text.write_text('The "night" (and the "moon") is here. ' * 20, encoding="utf-8")
    (tmp_path / "pictures").mkdir()
    script["main"](str(checkpoint), str(text), str(tmp_path / "pictures"))
    printed = capsys.readouterr().out.splitlines()
    assert [re.sub(r"-?\d\.\d\d|\d+", "N", line) for line in printed] == [
        f"the unit for {name} is N: N inside, N outside, on average" for name in ("brackets", "quotes")
    ]
    shown = re.findall(r"\]\(pictures/(\w+\.svg)\)", PAGES["how-it-works.md"].read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(path.name for path in (tmp_path / "pictures").iterdir())
    # The script computes gates and cell states itself.
    model = pycharrnn.load(checkpoint)
    cell_states = script["memory_of"](model, "The night")[4]
    np.testing.assert_allclose(np.tanh(cell_states), model.activations("The night").values[:, 0], rtol=0, atol=1e-6)


def _all_text() -> str:
    return "".join(path.read_text(encoding="utf-8") for path in PAGES.values())


def test_json_in_the_docs():
    for page in PAGES:
        for block in blocks(page):
            if block.language == "json":
                json.loads(block.text)


def test_examples_in_the_docs(tmp_path):
    shutil.copy(GOLDEN / "corpus" / "vocab.t7", tmp_path)
    with working_in(tmp_path):
        failed, tried = doctest.testfile(str(PAGES["t7.md"]), module_relative=False)
    assert tried >= 3
    assert failed == 0


@pytest.mark.parametrize(
    "name",
    [
        "compat.file_magic",
        "compat.lua_random",
        "compat.t7_objects",
        "compat.nngraph",
        "compat.legacy_logsoftmax",
        "pycharrnn.checkpoints.names",
        "pycharrnn.common.display",
        "pycharrnn.common.progress",
        "pycharrnn.common.screen_text",
        pytest.param(
            "pycharrnn.common.shell_words", marks=pytest.mark.skipif(os.name == "nt", reason="quotes of a POSIX shell")
        ),
        "pycharrnn.page.html_style",
        "pycharrnn.sampling.tokenizer",
        "pycharrnn.sampling.unknown_characters",
        "pycharrnn.server.studio.uploaded_text",
        "pycharrnn.text.corpus",
    ],
)
def test_examples_in_docstrings(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert failed == 0
    assert tried
