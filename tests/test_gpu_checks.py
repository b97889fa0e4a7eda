"""What `make test-gpu` does, with its quickest checks; the others take minutes, and most of them want a GPU."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from pretended_device import pretended_gpu

from pycharrnn.engine import tf32
from tests.gpu import checking, paths, run, runs, samples
from tests.gpu.place import Place

GRAPH = "paths: rnn graph float32"
PEER = "processes: NCCL, a peer dies"
NAMES = [name.split(": ", 1) for name in (GRAPH, PEER)]


def checked(project: Path, found: Path, *args: str) -> tuple[subprocess.CompletedProcess, dict]:
    """What the checks of a project print, and their JSON file."""
    command = [sys.executable, str(project / "tests" / "gpu" / "run.py"), "--json", str(found), *args]
    done = subprocess.run(command, capture_output=True, text=True, cwd=found.parent)
    return done, json.loads(found.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_table_and_a_file_say_what_was_found(tmp_path):
    done, found = checked(ROOT, tmp_path / "gpu.json", "--only", GRAPH, "--only", PEER)
    assert done.returncode == 0, done.stdout + done.stderr
    graph, peer = found["checks"]
    assert [[row["check"], row["name"]] for row in (graph, peer)] == NAMES
    assert graph["verdict"] == ("passed" if torch.cuda.is_available() else "stand-in")
    assert 0 < graph["figure"] < graph["bound"] < 1e-4 and "T*B" in graph["because"]
    if torch.cuda.device_count() < 2:
        assert (peer["verdict"], peer["figure"]) == ("waits for a GPU", None)
    assert found["holds"] is True and found["machine"]["torch"] == torch.__version__
    table = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert len(table) == 4 and f"| {graph['figure']:.3g} | {graph['bound']:.3g} |" in table[2]
    assert table[3].endswith("waits for a GPU: two GPUs |") or torch.cuda.device_count() > 1


def test_a_check_that_there_is_not(monkeypatch):
    names = checking.names(run.SHARES)
    assert GRAPH in names and PEER in names
    listed = subprocess.CompletedProcess([], 0, "\n".join(names), "")
    monkeypatch.setattr(run.subprocess, "run", lambda *args, **keywords: listed)
    assert run.unknown(["WRONG"]) == "WRONG"
    assert run.unknown(["paths", "graph float32", GRAPH, "paths: WRONG"]) is None
    monkeypatch.setattr(run, "check_all", lambda seconds, only: ({}, []))
    for only in ("WRONG", "paths: WRONG"):
        monkeypatch.setattr(sys, "argv", ["run.py", "--only", only])
        with pytest.raises(SystemExit, match=f"^no check has '{only}' in 'group: name': run.py --list names them all"):
            run.main()


@pytest.mark.slow
def test_a_wrong_number_fails(tmp_path):
    """In a copy of the project whose graphs are recorded, but not replayed, the gradient stays what it was."""
    for folder in ("pycharrnn", "compat", "tests/gpu"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tests" / "pretended_device.py", tmp_path / "tests")
    module = tmp_path / "pycharrnn" / "engine" / "cuda_graph.py"
    source = module.read_text(encoding="utf-8")
    assert source.count("self._graph.replay()") == 1
    module.write_text(source.replace("self._graph.replay()", "pass"), encoding="utf-8")
    done, found = checked(tmp_path, tmp_path / "gpu.json", "--only", GRAPH)
    (row,) = found["checks"]
    assert done.returncode == 1, done.stderr
    assert (row["verdict"], row["figure"], found["holds"]) == ("failed", 1.0, False)
    assert "1 failed" in done.stdout.splitlines()[-1]


def test_what_there_is_no_time_for_is_cut_off(tmp_path):
    done, found = checked(ROOT, tmp_path / "gpu.json", "--only", GRAPH, "--seconds", "0.05")
    assert done.returncode == 1
    assert {row["verdict"] for row in found["checks"]} == {"cut off"}
    assert "its share of the time, 0 s, was over" in done.stdout


@pytest.mark.parametrize("there", [True, False])
def test_a_machine_without_torchfile_is_told_how_to_get_it(tmp_path, monkeypatch, there):
    monkeypatch.setattr(run, "PACKAGES", tmp_path)
    for name in ("torch", "numpy", "click", *(["torchfile"] if there else [])):
        (tmp_path / f"{name}.py").write_text("", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [])
    if there:
        assert run.missing() is None
    else:
        assert "no torchfile" in run.missing() and "make gpu-packages" in run.missing()


def test_a_graph_that_is_not_recorded_in_training_fails(monkeypatch):
    """Though each step is right, since it is called."""
    with pretended_gpu(), runs.Folder() as folder:
        losses = runs.losses(folder, 6, gpuid=0, model="gru", rnn_size=4)
        assert len(losses) == 7
        monkeypatch.setattr(torch.cuda, "graph", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("no")))
        with pytest.raises(RuntimeError, match="could not be recorded as a CUDA graph.*: no"):
            runs.losses(folder, 6, gpuid=0, model="gru", rnn_size=4, overwrite=1)


def test_a_run_leaves_the_next_check_as_exact_as_it_was():
    with runs.Folder() as folder, tf32.kept():
        tf32.allow(False)
        runs.losses(folder, 2, gpuid=-1, exact=0, rnn_size=4)
        assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.slow
def test_the_checks_of_paths_and_modules_on_mps():
    """Where there are no numbers of double precision."""
    place = Place("mps", True, 0)
    names = ("rnn torch.nn float32", "rnn loop float32")
    with pretended_gpu("mps"):
        asked = [check for check in paths.checks(place) if check.name in names]
        asked += [check for check in samples.checks(place) if check.name == "module"]
        found = [check.find() for check in asked]
    assert len(found) == 3 and all(one.figure <= one.bound for one in found)
