"""What a command that misses a package says."""

from __future__ import annotations

import importlib.metadata
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import GOLDEN, ROOT, sentence
from packaging.requirements import Requirement

from pycharrnn.common import extras

CHECKPOINT = str(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")
COMMANDS = {
    "plot": ("matplotlib", ["plot", CHECKPOINT]),
    "serve": ("uvicorn", ["serve", CHECKPOINT]),
    "safetensors": ("safetensors", ["convert", CHECKPOINT, "x.safetensors"]),
    "onnx": ("onnx", ["convert", CHECKPOINT, "x.onnx"]),
}


def declared(extra: str) -> set[Requirement]:
    """The packages of an extra, as the installed package declares them."""
    found = map(Requirement, importlib.metadata.requires("pycharrnn"))
    return {str(r).split(";")[0] for r in found if "extra" in str(r.marker) and r.marker.evaluate({"extra": extra})}


@pytest.mark.parametrize("extra", COMMANDS)
def test_the_hint_names_packages_that_pip_finds(extra, tmp_path):
    """As a user takes it: copied from the message into a shell, it asks pip for the very packages of the extra."""
    module, args = COMMANDS[extra]
    (tmp_path / f"{module}.py").write_text(
        f"raise ModuleNotFoundError('not installed', name='{module}')", encoding="utf-8"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    result = subprocess.run(
        [sys.executable, "-m", "pycharrnn", *args], cwd=tmp_path, capture_output=True, env=environment
    )
    hint = sentence(result).partition("needs more packages: ")[2].strip()
    words = shlex.split(hint)
    assert words[:2] == ["pip", "install"]
    assert {str(Requirement(word)) for word in words[2:]} == declared(extra) != set()


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")
def test_a_shell_takes_the_hint_as_it_is(tmp_path):
    hint = str(extras.missing("this", "serve")).partition(": ")[2]
    (tmp_path / "pip").write_bytes(b'#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "pip").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    said = subprocess.run(["sh", "-c", hint], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert said.stdout.split() == ["install", *extras.requirements("serve")]
    assert [path.name for path in Path(tmp_path).iterdir()] == ["pip"]  # no > was taken for a redirection


def test_without_an_installation_the_repository_is_named(monkeypatch):
    def requires(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    said = str(extras.missing("a picture", "plot"))
    assert said == 'a picture needs more packages: pip install -e ".[plot]" in a copy of the repository'


def test_an_extra_is_told_from_others(monkeypatch):
    found = ["a>=1", 'b[c]>=2,<3; extra == "x"', "d ; extra == 'x'", 'e; extra == "xy"', 'f; python_version < "3"']
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: found)
    assert extras.requirements("x") == ["b[c]>=2,<3", "d"]
