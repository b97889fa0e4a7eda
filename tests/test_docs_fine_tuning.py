"""Every command in docs/fine-tuning.md, run in its order as it stands there but for shorter training."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import pytest
from conftest import ROOT

from pycharrnn import checkpoint

TEXT = (ROOT / "docs" / "fine-tuning.md").read_text()
COMMANDS = re.findall(r"^    ((?:pycharrnn|mkdir) .*)$", TEXT, re.M)
OWN = ("Où sont les neiges d'antan? They have melted, said the porter.\n" * 200).encode()


@pytest.mark.skipif(os.name == "nt", reason="commands of a POSIX shell")
def test_the_commands(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pycharrnn").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m pycharrnn "$@"\n')
    (tmp_path / "bin" / "pycharrnn").chmod(0o755)
    (tmp_path / "my_text.txt").write_bytes(OWN)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    said = {}
    for line in COMMANDS:
        short = re.sub(r"-max_epochs \d+", "-max_epochs 0.2", line.replace("-rnn_size 192", "-rnn_size 16"))
        short += " -batch_size 20" if "-data_dir data/mine" in line else ""  # the text is short, too
        result = subprocess.run(short, shell=True, cwd=tmp_path, env=environment, capture_output=True, timeout=120)
        assert result.returncode == 0, line + "\n" + result.stderr.decode()
        said[line] = result.stdout.decode()
    trained = {m[1]: said[line] for line in COMMANDS if (m := re.search(r"-savefile (\w+)", line))}
    assert set(trained) == {"base", "mine", "kept", "points", "more"}
    vocab = {name: set(checkpoint.load(tmp_path / "cv" / f"lm_{name}_best.t7").vocab) for name in trained}
    points = {c.encode() for c in OWN.decode()}
    assert vocab["points"] == points
    assert vocab["more"] == vocab["base"] | points
    assert vocab["mine"] == vocab["base"] | {bytes([c]) for c in OWN}
    assert vocab["kept"] == vocab["base"] != vocab["mine"]
    (shown,) = re.findall(r"^    (characters left.*) \(", TEXT, re.M)
    assert shown in trained["kept"]
    (sampled,) = (said[line] for line in COMMANDS if line.startswith("pycharrnn sample"))
    assert "\nOù" in sampled
