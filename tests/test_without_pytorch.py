"""pycharrnn where `pip install --no-deps` left PyTorch out: sampling and scoring work, the rest names PyTorch."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import GOLDEN, ROOT
from packaging.requirements import Requirement
from setup_words import install_requires

CHECKPOINT = "lm_lstm2_epoch3.00_2.8734.t7"
ONLY_TRAINING = {"chardet", "torch"}
NEEDED = sorted({Requirement(line).name for line in install_requires()} - ONLY_TRAINING)
pytestmark = pytest.mark.skipif(os.name == "nt", reason="packages are linked")


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> Path:
    """A folder with links to the packages that the documented line names, as that line would install them."""
    folder = tmp_path_factory.mktemp("packages")
    for name in NEEDED:
        found = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}:
            (folder / top).symlink_to(found.locate_file(top))
    return folder


@pytest.fixture
def home(tmp_path) -> Path:
    shutil.copy(GOLDEN / "lstm2" / CHECKPOINT, tmp_path)
    shutil.copy(GOLDEN / "corpus" / "input.txt", tmp_path)
    return tmp_path


def python(packages: Path, home: Path, code: str, *args: str) -> subprocess.CompletedProcess:
    start = f"import sys; sys.path += [{str(ROOT)!r}, {str(packages)!r}]; "
    command = [sys.executable, "-I", "-S", "-c", start + code, *args]
    return subprocess.run(command, cwd=home, capture_output=True, input=b"The night\n")


def pycharrnn(packages: Path, home: Path, *args: str) -> subprocess.CompletedProcess:
    return python(packages, home, "from pycharrnn.cli.commands import main; main()", *args)


def test_the_documented_line_names_these_packages():
    (line,) = re.findall(r"^pip install --no-deps \. (.*)$", (ROOT / "docs" / "install.md").read_text("utf-8"), re.M)
    for_all = {str(r) for r in map(Requirement, install_requires()) if r.name in NEEDED and r.marker is None}
    assert {str(Requirement(word.strip('"'))) for word in line.split()} == for_all


@pytest.mark.parametrize(
    "args",
    [
        ["sample", CHECKPOINT, "-length", "20"],
        ["sample", CHECKPOINT, "-length", "20", "-gpuid", "-1", "-samples", "3"],
        ["sample", CHECKPOINT, "-length", "20", "-beam", "3"],
        ["chat", CHECKPOINT, "-length", "20"],
        ["eval", CHECKPOINT, "-data_dir", "."],
        ["score", CHECKPOINT, "input.txt", "-html", "surprise.html"],
        ["inspect", CHECKPOINT],
        ["convert", CHECKPOINT, "model.json"],
        ["convert", CHECKPOINT, "model.html"],
        ["activations", CHECKPOINT, "-primetext", "The night"],
        ["doctor"],
    ],
    ids=" ".join,
)
def test_commands_that_work(packages, home, args):
    ended = pycharrnn(packages, home, *args)
    assert ended.returncode == 0, ended.stderr.decode()
    assert ended.stdout


def test_the_recorded_sample(packages, home):
    ended = pycharrnn(packages, home, "sample", CHECKPOINT, "-gpuid", "-1", "-verbose", "0", "-length", "400")
    assert ended.stdout == (GOLDEN / "lstm2" / "samples" / "00.txt").read_bytes()


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (["train", "input.txt"], "training"),
        (["train", "-data_dir", "."], "training"),
        (["convert", CHECKPOINT, "model.pt"], "a .pt file"),
    ],
    ids=" ".join,
)
def test_commands_that_need_it(packages, home, args, what):
    before = sorted(home.iterdir())
    ended = pycharrnn(packages, home, *args)
    needs = f"pycharrnn: {what} needs PyTorch, which is not installed: pip install torch\n"
    assert (ended.returncode, ended.stdout, ended.stderr.decode()) == (1, b"", needs)
    assert sorted(home.iterdir()) == before


def test_introspection_passes_over_what_needs_it(packages, home):
    code = (
        "import pycharrnn, inspect, pydoc; model = pycharrnn.load(sys.argv[1]); assert inspect.getmembers(model);"
        "assert 'load' in pydoc.render_doc(pycharrnn) and 'CharRNN' not in dir(pycharrnn); model.module"
    )
    ended = python(packages, home, code, CHECKPOINT)
    last = ended.stderr.decode().splitlines()[-1]
    assert last.endswith("MissingAttribute: a model's module needs PyTorch, which is not installed: pip install torch")


def test_doctor_leaves_its_self_test_out(packages, home):
    lines = pycharrnn(packages, home, "doctor").stdout.decode().splitlines()
    assert lines[1].startswith("torch not installed, numpy ")
    assert lines[-1] == "self-test: left out, since it needs PyTorch"


def test_a_gpu_that_only_pytorch_could_use(packages, home):
    """On a machine with a driver; -gpuid 0 is the default."""
    code = "from pycharrnn.engine import device; device._might_have_gpu = lambda: True; device.choose(0, 0, print)"
    said = python(packages, home, code).stdout.decode().splitlines()
    assert said[0] == "a GPU needs PyTorch, which is not installed"
    assert said[-1] == "Falling back on CPU mode"


def test_the_library(packages, home):
    code = f"""
import pycharrnn
model = pycharrnn.load({CHECKPOINT!r})
assert model.generate("The ", length=10, seed=1) == "".join(model.stream("The ", length=10, seed=1))
assert model.generate(["The ", "A"], length=10, seed=1)[0] == model.generate("The ", length=10, seed=1)
assert model.score("The night").bits_per_character > 0 and model.activations("The night").values.size
model.save("model.json")
for call in (
    lambda: pycharrnn.train("input.txt"),
    lambda: model.module,
    lambda: model([[1]]),
    lambda: model.save("model.pt"),
    lambda: pycharrnn.load({CHECKPOINT!r}, device="cuda"),
    lambda: pycharrnn.CharRNN,
):
    try:
        call()
    except pycharrnn.UserError as e:
        print(e)
"""
    ended = python(packages, home, code.lstrip())
    assert ended.returncode == 0, ended.stderr.decode()
    needs = " needs PyTorch, which is not installed: pip install torch"
    what = ["training", "a model's module", "a model's module", "a .pt file", "the device 'cuda'", "pycharrnn.CharRNN"]
    assert ended.stdout.decode().splitlines() == [each + needs for each in what]
