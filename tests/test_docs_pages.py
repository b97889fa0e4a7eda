"""Every command in docs/pages.md, run as it stands there but for shorter training and a free port."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from serving_tools import ROOT, server

from pycharrnn import checkpoint_paths

TEXT = (ROOT / "docs" / "pages.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.S | re.M)
COMMANDS = [line for language, block in BLOCKS if not language for line in block.splitlines()]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the two models of the text, hardly trained."""
    home = tmp_path_factory.mktemp("home")
    (home / "docs").mkdir()
    shutil.copytree(ROOT / "docs" / "pictures", home / "docs" / "pictures")
    (home / "bin").mkdir()
    for name, start in (("pycharrnn", "-m pycharrnn"), ("python", "")):
        (home / "bin" / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {start} "$@"\n')
        (home / "bin" / name).chmod(0o755)
    for line in COMMANDS:
        if line.startswith(("pycharrnn data", "pycharrnn train")):
            shell(home, line.replace("-max_epochs 8 ", "-max_epochs 0.02 "))
    return home


def shell(home: Path, line: str) -> str:
    environment = {**os.environ, "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(line, shell=True, cwd=home, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, line + "\n" + result.stderr
    return result.stdout


def commands(*starts: str) -> list[str]:
    return [line for line in COMMANDS if line.startswith(starts)]


def test_no_command_is_left_out():
    tried = commands(
        *("pip install", "pycharrnn data", "pycharrnn train", "pycharrnn plot", "pycharrnn activations"),
        *("pycharrnn serve", "curl", "python docs/pictures/page.py"),
    )
    assert tried == COMMANDS
    assert len(tried) > 12


def test_extras_are_there():
    setup = (ROOT / "setup.py").read_text()
    for line in commands("pip install"):
        extra = re.fullmatch(r"pip install '\.\[(\w+)\]'", line)[1]
        assert f'"{extra}": [' in setup


@pytest.mark.parametrize("line", commands("pycharrnn plot", "pycharrnn activations"))
def test_pictures_and_units(home, line):
    file = home / line.split(" -o ")[1]
    file.unlink(missing_ok=True)
    shell(home, line)
    assert file.stat().st_size > 5000


def test_the_page_and_its_api(home):
    name = Path(checkpoint_paths.newest(str(home / "cv" / "demo"))).stem
    with server(*(str(home / folder) for folder in ("cv/demo", "cv/gru"))) as running:

        def here(line: str) -> str:
            return line.replace("http://127.0.0.1:8015/", running.url).replace("lm_demo_epoch8.00_1.2378", name)

        if shutil.which("curl"):
            models, sample, score = (shell(home, here(line)) for line in commands("curl"))
            assert [model["id"] for model in json.loads(models)["models"]][0] == name
            assert sample.endswith('{"done":true}\n')
            assert json.loads(score)["known"] == len("The list of ")
        if shutil.which("chromium") and shutil.which("chromedriver"):
            pytest.importorskip("selenium")
            (line,) = commands("python docs/pictures/page.py")
            (home / "docs" / "pictures" / "page.png").unlink()
            shell(home, here(line))
            assert (home / "docs" / "pictures" / "page.png").read_bytes().startswith(b"\x89PNG")


def test_the_way_to_start_a_server(home):
    for line in commands("pycharrnn serve"):
        arguments = line.removesuffix(" &").split()[2:]
        paths = [str(home / word) if word.startswith("cv/") else word for word in arguments]
        with server(*paths) as running:
            assert ("#token=" in running.url) == ("-token" in arguments)


def test_pictures_are_small():
    for line in re.findall(r"\]\((pictures/[^)]+)\)", TEXT):
        assert 10_000 < (ROOT / "docs" / line).stat().st_size < 150_000
