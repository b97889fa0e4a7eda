"""Each benchmark runs at toy size and measures what it says; nothing here depends on how long it takes."""

from __future__ import annotations

import functools
import gzip
import importlib.util
import json
import math
import os
import re
import shutil
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import item_models
import pytest
import torch
from conftest import GOLDEN, ROOT
from pretended_device import pretended_gpu

import pycharrnn
from pycharrnn.engine import kernel_library

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
LSTM = GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7"


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch):
    """Benchmarks import each other."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


def benchmark(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def refusal(name: str, args: list[str], monkeypatch, capsys) -> str:
    """The error message of a benchmark that refuses its arguments."""
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *args])
    with pytest.raises(SystemExit):
        benchmark(name).main()
    return capsys.readouterr().err


def output(name: str, *args: str) -> str:
    """What a benchmark prints as a program."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *args]
    result = subprocess.run(command, capture_output=True, env=environment, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_every_benchmark_has_a_test():
    there = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert there <= {name.removeprefix("test_") for name in globals()}


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if path.stem != "arguments")
)
def test_arguments(name, monkeypatch, capsys):
    """--help prints the docstring, and measures nothing."""
    module = benchmark(name)
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert not ended.value.code
    assert capsys.readouterr().out.count(module.__doc__.strip()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_preprocess(tmp_path):
    figures = benchmark("preprocess").figures(5, str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert len(figures) == 5
    for row in figures:
        assert row["value"] > 0, row
        assert row["unit"] in ("MB/s", "MB", "s")


def test_sampling(tmp_path):
    from compat import charrnn

    sampling = benchmark("sampling")
    loaded = sampling.model()
    charrnn.save(tmp_path / "lstm.t7", loaded)
    predictor = sampling.on_cpu(loaded.network)
    assert sampling.one_stream(loaded, 20, predictor) > 0
    assert sampling.gigabytes_of_weights(predictor, loaded, 20) > 0
    assert sampling.gigabytes_copied(1) > 0
    assert sampling.many_streams(loaded, 2, 20) > 0
    assert sampling.many_streams(loaded, 2, 20, kernel=False) > 0
    assert sampling.many_by_command(str(tmp_path / "lstm.t7"), 2, 20) > 0
    assert sampling.pytorch_loop(2, 5) > 0
    assert sampling.in_turns({"one": lambda: 1.0, "two": iter((3.0, 2.0, 9.0)).__next__}, 3) == {"one": 1, "two": 3}


@pytest.mark.slow
@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed")
def test_page_speed():
    pytest.importorskip("selenium")
    found = benchmark("page_speed").figures(length=60, repeats=2)
    page, sampler = found["page, characters/s"], found["pycharrnn sample, characters/s"]
    assert page > 0 and sampler > 0 and found["page stood still, ms"] > 0
    assert found["ratio"] == pytest.approx(page / sampler)
    assert found["page at best, characters/s"] >= page
    assert found["pycharrnn sample at best, characters/s"] >= sampler


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
def test_c_file():
    found = benchmark("c_file").figures(length=60, repeats=1)
    assert min(found.values()) > 0
    assert found["ratio"] == pytest.approx(found["C kernel"] / found[".c file, -march=native"])


@pytest.mark.slow
def test_scoring():
    scoring, threads = benchmark("scoring"), torch.get_num_threads()
    rows = scoring.figures(repeats=1, length=240, batches=1)
    torch.set_num_threads(threads)
    assert [row["what"].split(",")[0] for row in rows] == ["score"] * 4 + ["score -adapt 1"] + ["eval"] * 3
    for row in rows:
        assert row["value"] > 0 and row["without kernel"] > 0
    assert rows[4]["/ score"] == rows[4]["value"] / rows[4]["score"]
    for row in rows[5:]:
        assert row["/ forward pass"] == row["value"] / row["forward pass"]
    assert kernel_library.library.__name__ == "library"  # is back where it was


def test_copies(monkeypatch):
    copies = benchmark("copies")
    assert b"".join(copies.pieces(b"abc", 8)) == b"abcabcab"
    monkeypatch.setitem(copies.DATASETS, "pydoc", lambda path: b"the manual of Python, which is short here. " * 9)
    rows = copies.figures(megabytes=1, repeats=1)
    assert [row["what"].split(",")[0] for row in rows] == ["a sample of 5 KB", "a sample of 100 KB"]
    assert all(row["/ SHA-256"] == row["value"] / row["SHA-256"] for row in rows)


HAS_COMPILER = pytest.mark.skipif(not shutil.which(os.environ.get("CC", "cc").split()[0]), reason="no C compiler")


@HAS_COMPILER
def test_machine_limits():
    lines = output("machine_limits", "-threads", "1", "-seconds", "0.01").splitlines()
    rates = [float(re.fullmatch(r".*, ([0-9.]+) with threads 1", line)[1]) for line in lines]
    assert len(rates) == 6
    assert all(0.1 < rate < 10_000 for rate in rates)


@pytest.mark.slow
@HAS_COMPILER
def test_train_step():
    rows = output("train_step", "-models", "lstm,gru,rnn", "-sizes", "1x4", "-threads", "1", "-seconds", "0.01")
    lines = rows.splitlines()
    assert [line.split(", ")[:4] for line in lines] == [
        [model, "1x4", precision, "1"] for model in ("lstm", "gru", "rnn") for precision in ("double", "float")
    ]
    for line in lines:
        ours, theirs = (float(part.split()[0]) for part in line.split(", ")[4:6])
        ratio = float(line.split(", ")[-2])
        assert ratio == pytest.approx(ours / theirs, rel=0.05, abs=0.01)


@pytest.mark.slow
def test_gpu(tmp_path):
    """On the CPU, which the program is for only in so far as it can be tried out."""
    gpu, file = benchmark("gpu"), tmp_path / "gpu.json"
    tiny = ("-device", "cpu", "-sizes", "1x4", "-batches", "2", "-turn", "0", "-o", str(file))
    printed = output("gpu", *tiny, "-models", "lstm,gru", "-dtypes", "float32")
    found = json.loads(file.read_text(encoding="utf-8"))
    assert [(row["model"], row["size"], row["batch"]) for row in found["rows"]] == [
        ("lstm", "1x4", 2),
        ("gru", "1x4", 2),
    ]
    for row in found["rows"]:
        times = [row[f"{name} ms"] for name in ("pycharrnn", "torch.nn", "cells", "products")]
        assert min(times) > 0
        assert row["times torch.nn's speed"] == pytest.approx(times[1] / times[0], rel=0.02, abs=0.01)
        assert row["times its products"] == pytest.approx(times[0] / times[3], rel=0.02, abs=0.01)
        assert row["characters/s"] == pytest.approx(2 * 50 / times[0] * 1000, rel=0.01)
        assert f"| {row['characters/s']} |" in printed
    assert min(found["limits"].values()) > 0 and found["left out"] == []
    output("gpu", *tiny, "-models", "rnn", "-seconds", "0")
    assert json.loads(file.read_text(encoding="utf-8"))["left out"] == ["rnn 1x4 2 float32", "rnn 1x4 2 bfloat16"]
    asked = {"model": "lstm", "size": "2x128", "batch": 50, "dtype": "float32"}
    lines = gpu.goals([{**asked, "times torch.nn's speed": speed} for speed in (2.0, 1.99)])
    assert [line.rsplit(", ", 1)[1] for line in lines] == ["reached", "MISSED"]
    large = {**asked, "size": "3x1024", "batch": 400}
    lines = gpu.goals([{**large, "times its products": times} for times in (1.3, 1.31)])
    assert [line.rsplit(", ", 1)[1] for line in lines] == ["reached", "MISSED"]


def test_gpu_rows_that_fail(tmp_path, monkeypatch, capsys):
    """As for want of memory: what was measured before and after is written."""
    gpu, file = benchmark("gpu"), tmp_path / "gpu.json"

    def measure(timer, model, size, batch, dtype, at_most):
        if batch == 4:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.\nMore.")
        return {"model": model, "size": size, "batch": batch, "dtype": dtype}

    monkeypatch.setattr(gpu, "measure", measure)
    monkeypatch.setattr(gpu, "limits", lambda timer: {})
    tiny = ["-device", "cpu", "-models", "rnn", "-sizes", "1x4", "-dtypes", "float32", "-batches", "2,4,8"]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *tiny, "-o", str(file)])
    with pytest.raises(SystemExit, match="1"):
        gpu.main()
    found = json.loads(file.read_text(encoding="utf-8"))
    assert [row["batch"] for row in found["rows"]] == [2, 8]
    assert found["failed"] == ["rnn 1x4 4 float32: CUDA out of memory."]
    assert "failed: rnn 1x4 4 float32: CUDA out of memory." in capsys.readouterr().out


@pytest.mark.parametrize(
    "flag, value, said",
    [
        ("-models", "lstm,gruu", "gruu is none of lstm, gru, rnn"),
        ("-dtypes", "half", "half is none of float32, bfloat16"),
        ("-sizes", "128", "a size is layers x units, such as 2x128, not 128"),
    ],
)
def test_gpu_with_wrong_arguments(flag, value, said, monkeypatch, capsys):
    assert f"error: argument {flag}: {said}" in refusal("gpu", ["-device", "cpu", flag, value], monkeypatch, capsys)


@pytest.mark.parametrize(
    "name, args, said",
    [
        ("read_t7", ["missing.t7"], "argument files: there is no file missing.t7"),
        ("read_t7", ["-megabytes", "-1"], "argument -megabytes: it must be at least 1, not -1"),
        ("serve_clients", ["missing.t7"], "argument checkpoint: there is no missing.t7"),
        ("serve_clients", ["-candidates", "8,x"], "argument -candidates: invalid list of int value: '8,x'"),
        ("serve_clients", ["-seconds", "0"], "argument -seconds: it must be above 0, not 0"),
        ("preprocess", ["-folder", "missing"], "argument -folder: there is no missing"),
        ("preprocess", ["-megabytes", "0"], "argument -megabytes: it must be at least 1, not 0"),
        ("train_step", ["-models", "lstms"], "argument -models: lstms is none of lstm, gru, rnn"),
        ("train_step", ["-sizes", "2"], "argument -sizes: a size is layers x units, such as 2x128, not 2"),
        ("train_step", ["-threads", "0"], "argument -threads: it must be at least 1, not 0"),
        ("time_to_loss", [__file__, "-losses", "x"], "argument -losses: invalid list of float value: 'x'"),
        ("time_to_loss", [__file__, "-recipes", "", "-picture", "a.svg"], "-picture draws the runs of -recipes and"),
        ("c_file", ["-length", "0"], "argument -length: it must be at least 1, not 0"),
    ],
)
def test_benchmarks_with_wrong_arguments(name, args, said, monkeypatch, capsys):
    """They end with a sentence before they measure."""
    assert f"error: {said}" in refusal(name, args, monkeypatch, capsys)


def test_a_training_that_fails_says_why(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"abcdefgh" * 200)
    with pytest.raises(SystemExit, match="^pycharrnn: .*recipe must be char-rnn, quick or best, not none"):
        benchmark("time_to_loss").training_curve(tmp_path / "a.txt", ["-recipe", "none"], str(tmp_path))


def test_gpu_trains_on_the_gpu_that_is_measured(tmp_path):
    (tmp_path / "input.txt").write_bytes(b"abcdefgh" * 200)
    with pretended_gpu(count=2) as there:
        there.device = torch.device("cuda:1")
        step = benchmark("gpu").ours(str(tmp_path), "rnn", 1, 4, 2, "float32", "cuda:1")
        step()
        assert there.device == torch.device("cuda:1")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory():
    (row,) = benchmark("memory").figures((3,))
    assert row["-seq_length"] == 3
    assert row["pycharrnn MB"] >= 0 and row["torch.nn MB"] >= 0


def test_read_t7():
    lines = output("read_t7", "-megabytes", "2", str(LSTM)).splitlines()
    assert [line.split("  ")[0].strip() for line in lines] == [LSTM.name[:36], "one large tensor", "100,000 losses"]
    assert "2.1 MB" in lines[1]


@pytest.mark.slow
def test_serve_clients():
    pytest.importorskip("fastapi")
    lines = output("serve_clients", str(LSTM), "-clients", "2", "-seconds", "2", "-candidates", "0,3").splitlines()
    for candidates, (first, second, third, *_) in ((0, lines[:5]), (3, lines[5:])):
        assert re.fullmatch(
            rf"serve, 2 clients, {candidates} candidates, 2 s: \d+ samples, \d+ left early, 0 errors", first
        )
        served, ratio, loop = map(float, re.findall(r"[\d.]+\b", second))
        assert ratio == pytest.approx(served / loop, abs=0.006)
        median, most, longest = map(float, re.findall(r"([\d.]+) s", third))
        assert 0 <= median <= most <= longest


def test_what_a_client_counts():
    """Characters, however the lines are cut on their way, and whether the answer came to its end."""
    client = benchmark("serve_clients").Client()
    line = b'{"text":"\\"given\\"","given":true,"probability":0.5}\n'
    answer = b"HTTP/1.1 200 OK\r\n\r\n38\r\n" + line + b"\r\n38\r\n" + line + b'\r\nf\r\n{"done":true}\n\r\n0\r\n\r\n'
    for size in (1, 3, 7, 50, 1000):
        client.connection_made(SimpleNamespace(write=lambda request: None))
        client.ask(b"")
        for at in range(0, len(answer), size):
            assert not client.whole
            client.data_received(answer[at : at + size])
        assert (client.count, client.whole, client.status) == (2, True, b"200")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_all(monkeypatch, tmp_path, capsys):
    """The parts are measured above; here each is one row."""
    everything = benchmark("all")
    modules = [
        "machine_limits",
        "train_step",
        "busy_machine",
        "sampling",
        "scoring",
        "serve_clients",
        "preprocess",
        "memory",
        "copies",
    ]
    for module in modules:
        monkeypatch.setattr(getattr(everything, module), "figures", lambda *a, m=module, **k: [{"of": m, "s": 1.5}])
    monkeypatch.setattr(sys, "argv", ["all.py", "-o", str(tmp_path / "results.json")])
    everything.main()
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert found["memory of a training step"] == [{"of": "memory", "s": 1.5}]
    assert len(found) == 1 + len(modules)
    assert "| preprocess | 1.50 |" in capsys.readouterr().out


@pytest.mark.slow
def test_time_to_loss(tmp_path):
    pytest.importorskip("matplotlib")
    checkout = tmp_path / "nanoGPT"
    (checkout / "data" / "shakespeare_char").mkdir(parents=True)
    (checkout / "data" / "shakespeare_char" / "prepare.py").write_text("", encoding="utf-8")
    lines = "step 0: train loss 4.2, val loss 4.1\niter 0: loss 4.2\nstep 5: train loss 2.4, val loss 2.5\n"
    (checkout / "train.py").write_text(
        f"import time\nfor line in {lines!r}.splitlines():\n    print(line)\n", encoding="utf-8"
    )
    text, curves, picture = tmp_path / "text.txt", tmp_path / "curves.json", tmp_path / "curves.svg"
    text.write_bytes((GOLDEN / "corpus" / "input.txt").read_bytes()[:6000])
    args = ["-recipes", "quick", "-losses", "4.15,0.1", "-o", str(curves), "-picture", str(picture)]
    printed = output("time_to_loss", str(text), "-nanogpt", str(checkout), *args)
    found = json.loads(curves.read_text(encoding="utf-8"))
    assert [loss for _, loss in found["nanoGPT, recipe for a CPU"]] == [4.1, 2.5]
    quick, carried, anew, adapted = (curve for name, curve in found.items() if "quick" in name)
    assert len(quick) >= 2
    assert len(carried) == len(anew) == len(adapted) >= 2
    assert len({tuple(loss for _, loss in curve) for curve in (carried, anew, adapted)}) == 3
    for curve in found.values():
        assert [seconds for seconds, _ in curve] == sorted(seconds for seconds, _ in curve)
        assert all(0 < loss < 5 for _, loss in curve)
    first = printed.splitlines()[0]
    assert first.startswith("run nanoGPT, recipe for a CPU, s to 4.15 ") and "0.1 " not in first
    assert b"<svg" in picture.read_bytes()


@pytest.mark.slow
def test_lists(tmp_path):
    checkout = tmp_path / "makemore"
    checkout.mkdir()
    lines = "".join(f"step {k}00 train loss: 2.1 test loss: {loss}\n" for k, loss in ((5, 2.2), (10, 2.1), (15, 2.3)))
    (checkout / "makemore.py").write_text(f"print({lines!r})\n", encoding="utf-8")
    names, file = tmp_path / "names.txt", tmp_path / "lists.json"
    names.write_text("".join(f"{'aeiou'[k % 5]}nn{'ab'[k % 2] * (k % 7)}\n" for k in range(400)), encoding="utf-8")
    args = ["-recipes", "quick", "-makemore", str(checkout), "-until", "2.15", "-o", str(file)]
    printed = output("lists", str(names), *args).splitlines()
    assert printed[0] == "360 items of training, 40 of test"
    rows = json.loads(file.read_text(encoding="utf-8"))
    assert [row["what"] for row in rows] == [
        "n-grams of order 5",
        "-recipe quick",
        "makemore's transformer, step 1,000 of 1,000",
    ]
    assert all(0 < row["test loss"] < 3.5 and row["s"] > 0 for row in rows)
    assert rows[2]["test loss"] == 2.1
    assert rows[1]["processor s"] > 0 and rows[2]["processor s"] >= 0  # a tick of the clock may be longer
    assert [line.split(" test loss ")[1] for line in printed[1:]] == [f"{row['test loss']:.4f}" for row in rows]
    part = output("lists", str(names), "-recipes", "", "-items", "50", "-order", "3").splitlines()
    assert part[0] == "50 items of training, 40 of test" and part[1].startswith("n-grams of order 3 ")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="programs that are scripts")
def test_molecules(tmp_path):
    pytest.importorskip("rdkit", reason="benchmarks/molecules.py needs RDKit")
    package = tmp_path / "moses"
    (package / "dataset" / "data").mkdir(parents=True)
    (package / "metrics").mkdir()
    with gzip.open(package / "dataset/data/train.csv.gz", "wt") as file:
        file.write("SMILES\n" + "".join(f"{'C' * n}{'O' * m}\n" for n in range(1, 12) for m in range(2)))
    (package / "metrics" / "mcf.csv").write_text("names,smarts\nMCF1,[#6][#6][#8]\n")
    (package / "metrics" / "wehi_pains.csv").write_text('"C#N   ,","<regId=one>"\n'.replace(" ,", ""))
    flags = "-rnn_size 8 -num_layers 1 -batch_size 2 -seq_length 10 -max_epochs 2"
    lines = output("molecules", str(package), "-flags", flags, "-drawn", "100", "-temperatures", "1,0.5").splitlines()
    assert [re.findall(r"temperature ([0-9.]+)", line) for line in lines] == [["1"], ["0.5"]]
    for share in re.findall(r"(?:valid|unique@1k|unique@10k|filters|novel) ([0-9.e-]+)", "".join(lines)):
        assert 0 <= float(share) <= 1
    module = benchmark("molecules")
    drawn = ["CCC", "CCC", "CC#N", "CCO", "C1CC", "[NH4+]", "C1CCCCCCC1"]
    found = module.measures(drawn, {"CCC"}, module.patterns(package))
    assert found == {"valid": 6 / 7, "unique@1k": 5 / 6, "unique@10k": 5 / 6, "filters": 2 / 6, "novel": 4 / 5}


@pytest.mark.slow
def test_war_and_peace(tmp_path):
    """With programs in the place of KenLM's, which answer with what they were given."""
    programs = {
        "lmplz": "assert len(words) == 4800\nprint('\\\\data\\\\\\nngram 1=20\\nngram 2=70\\n')",
        "query": "print(f'Total: -{len(words)} OOV: 0')",
    }
    for name, code in programs.items():
        (tmp_path / name).write_text(f"#!{sys.executable}\nwords = open(0, encoding='utf-8').read().split()\n{code}\n")
        (tmp_path / name).chmod(0o755)
    text, file = tmp_path / "text.txt", tmp_path / "rows.json"
    text.write_bytes((GOLDEN / "corpus" / "input.txt").read_bytes()[:6000])
    tiny = "-rnn_size 6 -num_layers 1 -batch_size 2 -seq_length 10 -max_epochs 0.2 -exact 0"
    further = f"{tiny}; -batch_size 2 -seq_length 10 -max_epochs 0.5 -exact 0"
    args = ["-kenlm", str(tmp_path), "-orders", "2", "-recipes", "", "-minutes", "", "-o", str(file)]
    printed = output("war_and_peace", str(text), *args, "-flags", tiny, "-flags", further).splitlines()
    assert printed[0] == "4,800 bytes of training, 600 of test"
    n_gram, network, trained_further = json.loads(file.read_text(encoding="utf-8"))
    assert (n_gram["what"], n_gram["parameters"]) == ("n-grams of order 2", 90)
    assert n_gram["test loss"] == pytest.approx(math.log(10))
    assert network["what"] == tiny and network["parameters"] > 6 * 24
    assert 0 < network["-adapt 1"] < network["test loss"] < 5
    assert n_gram["s"] > 0 and network["s"] > 0 and network["processor s"] > 0
    assert n_gram["processor s"] >= 0  # a tick of the clock may be longer
    assert trained_further["what"] == further and trained_further["parameters"] == network["parameters"]
    assert trained_further["test loss"] < network["test loss"]
    assert [line.split(": ")[0] for line in printed[1:]] == ["n-grams of order 2", tiny, further]


def test_the_n_grams_of_lists():
    """Probabilities sum to 1, unknown characters included; an item of training is likelier than its reverse."""
    lists = benchmark("lists")
    train, test = lists.makemore_split("\n".join([" anna", "", *(f"{'ann' * (k % 5)}b{'a' * k}" for k in range(39))]))
    assert (len(train), len(test)) == (36, 4)
    model = lists.KneserNey(train)
    for context in ("\x02\x02\x02\x02", "\x02ann", "aaaa", "zzzz"):
        probabilities = [model.probability(context + c) for c in (*model.characters, "z")]
        assert sum(probabilities) == pytest.approx(1)
        assert min(probabilities) > 0
    assert model.loss(["annb"]) < model.loss(["bnna"])


@pytest.mark.slow
def test_labels(tmp_path):
    """One model with labels, one for each list, and a classifier that knows the last letter."""
    folder, code = tmp_path / "names", tmp_path / "checkout" / "char-rnn-classification"
    for path in (folder, code):
        path.mkdir(parents=True)
    (code / "model.py").write_text(CLASSIFIER, encoding="utf-8")
    for label, end in (("A", "o"), ("B", "i")):
        names = "".join(f"{x}{y}{end}\n" for x in "abcdef" for y in "mnprst")
        (folder / f"{label}.txt").write_text(names, encoding="utf-8")
    file = tmp_path / "labels.json"
    args = ["-classifier", str(code.parent), "-examples", "1000", "-o", str(file)]
    printed = output("labels", str(folder), *args).splitlines()
    found = json.loads(file.read_text(encoding="utf-8"))
    for key in ("one model", "a model each"):
        assert set(found[key]) == {"A", "B"} and all(0.3 < loss < 3 for loss in found[key].values())
    assert len(printed) == 1 + 2 + 2 + 1 + 2 + 3
    assert [row["accuracy"] for row in found["which"]] == [1, 1, 1]
    assert all(row["s"] > 0 and row["labelling s"] > 0 for row in found["which"])


CLASSIFIER = """
import torch


class RNN(torch.nn.Module):
    def __init__(self, letters, units, labels):
        super().__init__()
        self.layer = torch.nn.Linear(letters, labels)

    def initHidden(self):
        return torch.zeros(1, 1)

    def forward(self, letter, hidden):
        return torch.log_softmax(50 * self.layer(letter), 1), hidden
"""


def test_labels_of_a_folder_without_lists(monkeypatch, tmp_path, capsys):
    """A wrong folder is an error before any training."""
    assert f"there is no list (.txt) in {tmp_path}" in refusal("labels", [str(tmp_path)], monkeypatch, capsys)


def test_a_command_that_fails_says_why(tmp_path):
    with pytest.raises(SystemExit, match="^pycharrnn: .*recipe must be char-rnn, quick or best, not none"):
        benchmark("lists").recipe("none", ["Ada", "Eve"], ["Eva"])


@pytest.mark.parametrize("name", ["lists", "minutes", "originality", "time_to_loss", "war_and_peace"])
def test_benchmarks_without_their_text(name, monkeypatch, tmp_path, capsys):
    said = refusal(name, [str(tmp_path / "missing")], monkeypatch, capsys)
    assert re.search(r"error: (argument \w+: )?there is no ", said)


@pytest.mark.parametrize(
    "name, flag, lacks",
    [
        ("lists", "-makemore", "there is no makemore.py in "),
        ("time_to_loss", "-nanogpt", "there is no nanoGPT (train.py) in "),
        ("labels", "-classifier", "there is no "),
    ],
)
def test_benchmarks_without_the_other_program(name, flag, lacks, monkeypatch, tmp_path, capsys):
    file = tmp_path / "names.txt"
    file.write_text("Ada\nEve\n", encoding="utf-8")
    given = tmp_path if name == "labels" else file
    said = refusal(name, [str(given), flag, str(tmp_path / "missing")], monkeypatch, capsys)
    assert f"error: {lacks}{tmp_path / 'missing'}" in said


def test_the_split_of_labels():
    """Equal names are on one side; each is in the test once for each of its labels."""
    labels = benchmark("labels")
    items = {"A": [f"n{k % 40}" for k in range(80)], "B": [f"n{k}" for k in range(30, 70)]}
    train, test = labels.split(items)
    held_out = {*test["A"], *test["B"]}
    assert len(held_out) == 10 and held_out.isdisjoint([*train["A"], *train["B"]])
    for label, names in items.items():
        assert len(set(test[label])) == len(test[label])
        assert sorted([*train[label], *(name for name in names if name in held_out)]) == sorted(names)
    assert labels.accuracy(["A", "A", "A", "B"], ["A", "B", "A", "B"]) == (0.75, pytest.approx((2 / 3 + 1) / 2))
    assert labels.one_hot("Z\u00e9").argmax(2).tolist() == [[51], [4]]


def test_busy_machine():
    rows, threads = [], torch.get_num_threads()
    try:
        rows = benchmark("busy_machine").figures("1x8", threads=(1,), tries=2, seconds=0, loops=1)
    finally:
        torch.set_num_threads(threads)
    assert [row["precision"] for row in rows] == ["double", "float"]
    for row in rows:
        assert row["quiet ms"] > 0 and 0 < row["ratio"] <= row["worst ratio"]


@pytest.mark.slow
def test_minutes(tmp_path, capsys, monkeypatch):
    """All combinations on the whole text, and some of them with a part of the text held out."""
    (tmp_path / "input.txt").write_bytes((GOLDEN / "corpus" / "input.txt").read_bytes()[:4000])
    minutes = benchmark("minutes")
    monkeypatch.setattr(minutes, "TIMED", 0.05)
    arguments = ["-minutes", "0.002", "-sizes", "4,6", "-rates", "1,1.5", "-o", str(tmp_path / "rows.json")]
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)

    def rows(*more):
        monkeypatch.setattr(sys, "argv", ["minutes.py", str(tmp_path), *arguments, *more])
        minutes.main()
        return json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))

    found = rows()
    assert [row["what"] for row in found] == ["plan", "sweep", "sweep", "sweep"]
    assert {row["rnn_size"] for row in found} == {4, 6}
    assert "% above the best of 4 runs" in capsys.readouterr().out.splitlines()[-1]
    found = rows("-layers", "1,2", "-runs", "5", "-held_out", "1")
    assert [row["num_layers"] for row in found].count(2) in (1, 2)
    assert all(row["held out"] > 0 for row in found) and len(found) == 5
    assert capsys.readouterr().out.splitlines()[-1].startswith("held out: the plan is ")
    (plan,) = rows("-runs", "1")
    assert plan["what"] == "plan"
    assert capsys.readouterr().out.splitlines()[-1] == "loss: the plan is 0.0 % above the best of 1 runs"
    monkeypatch.setattr(sys, "argv", ["minutes.py", str(tmp_path), *arguments, "-train", "0"])
    minutes.main()
    (plan,) = capsys.readouterr().out.splitlines()
    assert plan.startswith(f"pycharrnn train -data_dir {tmp_path} -rnn_size ")


def test_the_variations_of_a_sweep():
    """Those that differ from the plan in one setting come first."""
    minutes = benchmark("minutes")
    values = {"sizes": [4, 6], "layers": [1, 2], "batches": [1], "lengths": [0.5, 1], "rates": [1, 2], "drops": [0]}
    plan = minutes.Variation(6)
    found = list(minutes.variations(plan, values, 8))
    assert len(found) == len(set(found)) == 7
    assert [what.settings_beside(plan) for what in found[:4]] == [1] * 4
    assert min(what.settings_beside(plan) for what in found[4:]) == 2
    everything = list(minutes.variations(plan, values, 0))
    assert len(everything) == 15 and {*found} < {*everything} and plan not in everything


def test_what_a_sweep_holds_out():
    minutes = benchmark("minutes")
    lines = "".join(f"{k}\n" for k in range(25))
    kept, held_out = minutes.split(lines, lines=True)
    assert held_out == "0\n10\n20\n" and sorted((kept + held_out).split()) == sorted(lines.split())
    text = "".join(chr(0x400 + k % 800) for k in range(4001))
    kept, held_out = minutes.split(text, lines=False)
    assert held_out.startswith(text[181:201]) and len(held_out) == 400
    assert kept.startswith(text[:181] + text[201:210]) and len(kept + held_out) == len(text)


@pytest.mark.slow
def test_state_reset(tmp_path, monkeypatch):
    """Characters that the training text lacks are left out; a short training will do."""
    text = (GOLDEN / "corpus" / "input.txt").read_bytes()[:40_000]
    (tmp_path / "input.txt").write_bytes(text[:-3] + b"\0\1\2")
    monkeypatch.setattr(pycharrnn, "train", functools.partial(pycharrnn.train, rnn_size=16, max_epochs=1))
    rows_file = tmp_path / "rows.json"
    monkeypatch.setattr(sys, "argv", ["state_reset.py", str(tmp_path), "-values", "0,0.5", "-o", str(rows_file)])
    benchmark("state_reset").main()
    rows = json.loads(rows_file.read_text(encoding="utf-8"))
    assert [row["state_reset"] for row in rows] == [0, 0.5]
    assert all(0 < row[name] < 4 for row in rows for name in ("0 to 10", "500 to 1000", "pieces", "carried"))
    assert rows[0]["carried"] != rows[1]["carried"]


@pytest.mark.slow
def test_originality(tmp_path, monkeypatch, capsys):
    """The rows of a text and of a list, whose models are there already."""
    monkeypatch.chdir(tmp_path)
    originality = benchmark("originality")
    text, names = b"abcab\ncbaab\n" * 40, b"".join(b"%s\n" % (b"abc" * k)[k % 3 :] for k in range(1, 40))
    for name, kind, content in (("prose", "", text), ("names", "line", names)):
        (tmp_path / f"{name}.txt").write_bytes(content)
        (tmp_path / name).mkdir()
        more = {"batch_size": 2, "seq_length": 10, "data_dir": f"{name}/data/list"}
        path = item_models.saved(tmp_path / name, kind, content, letters="abc", **more)
        for seed in (7, 123):
            (tmp_path / f"{name}-quick-{seed}").mkdir()
            shutil.copy(path, tmp_path / f"{name}-quick-{seed}")
    monkeypatch.setattr(originality, "CHARACTERS", 2000)
    monkeypatch.setattr(originality, "LENGTH", 1000)
    arguments = ["prose.txt", "-lists", "names.txt", "-recipes", "quick", "-list_recipes", "quick", "-models", "."]
    monkeypatch.setattr(sys, "argv", ["originality.py", *arguments])
    originality.main()
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [len(rows), {len(row) for row in rows}] == [2 * (1 + 1 + 5 + 1), {9}]
    for first, N in ((2, 24), (10, 6)):
        for row in rows[first : first + 5]:
            assert int(row[1]) >= int(row[2]) <= N
    originality.speed("prose-quick-123/lm_list_best.t7", 3, 1, 640)
    assert capsys.readouterr().out.count("-max_copy 3 draws ") == 2
