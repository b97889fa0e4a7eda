"""A model as an ONNX graph, run by onnxruntime and, in double precision, by ONNX's own reference."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import http.server
import json
import math
import os
import subprocess
import sys
import threading

import item_models
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import ROOT, run, sentence, working_in
from kinds import ORIGINALS, OTHERS, loaded
from page_tools import WebDriverWait, needs_browser

from compat.graph_match import Network
from pycharrnn._version import __version__
from pycharrnn.analysis import scoring
from pycharrnn.checkpoints import checkpoint, formats
from pycharrnn.cli.commands import cli
from pycharrnn.common.errors import UserError
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.sampling.tokenizer import tokenize

onnx = pytest.importorskip("onnx")
reference = pytest.importorskip("onnx.reference")
onnxruntime = pytest.importorskip("onnxruntime")

# Before, onnx's own evaluator gave no state of the cells, which is an output of each lstm here.
EVALUATES_CELLS = tuple(map(int, onnx.__version__.split(".")[:2])) >= (1, 23)
KINDS = [kind for kind in (*ORIGINALS, *OTHERS) if kind not in ("bits", "cuda")]


def session(path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def zeros(n: Network, B: int, dtype=np.float32) -> dict[str, np.ndarray]:
    return {name: np.zeros((n.num_layers, B, n.rnn_size), dtype) for name in ("hc" if n.model == "lstm" else "h")}


def indices(n: Network, T: int, B: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, n.vocab_size, (T, B))


def graph_of(kind: str, tmp_path, *, precision: str = ""):
    path = tmp_path / "m.onnx"
    checkpoint.convert(loaded(kind), path, formats.WriteOptions(precision))
    onnx.checker.check_model(path, full_check=True)
    return path


def test_a_graph_is_the_same_bytes_on_windows(tmp_path, integers_of_windows, monkeypatch):
    """Its axes must be int64, says ONNX."""
    there = graph_of("lstm", tmp_path).read_bytes()
    monkeypatch.undo()
    assert graph_of("lstm", tmp_path).read_bytes() == there


@pytest.mark.parametrize("kind", KINDS)
def test_onnxruntime_gives_the_score(tmp_path, kind):
    found = loaded(kind)
    text = b"".join(sorted(found.vocab, key=found.vocab.get)) * 2
    score = scoring.score(found, text)
    x = np.array([[found.vocab[c] - 1] for c in score.characters], np.int64)
    log_probs, *_ = session(graph_of(kind, tmp_path)).run(None, {"indices": x, **zeros(found.network, 1)})
    bits = -np.take_along_axis(log_probs[:-1, 0], x[1:], 1)[:, 0] / math.log(2)
    np.testing.assert_allclose(bits, score.bits[1:], atol=1e-5)


@pytest.mark.parametrize("kind", ["lstm dropout", "gru", "rnn"])
def test_states_go_on_and_any_batch_fits(tmp_path, kind):
    n, x = loaded(kind).network, indices(loaded(kind).network, 9, 3)
    running = session(graph_of(kind, tmp_path))
    names, states, parts = [output.name for output in running.get_outputs()], zeros(n, 3), []
    for part in (x[:4], x[4:5], x[5:]):
        made = dict(zip(names, running.run(None, {"indices": part, **states}), strict=True))
        states = {name: made[f"next_{name}"] for name in states}
        parts.append(made["log_probs"])
    predictor = NumpyPredictor(n, 3, len(x))
    np.testing.assert_allclose(np.concatenate(parts), predictor.read(x), atol=1e-5)
    assert names == ["log_probs", *(f"next_{name}" for name in states)]
    held = np.tanh(states["c"]) if n.model == "lstm" else states["h"]
    np.testing.assert_allclose(held, predictor.activations()[:, -1], atol=1e-5)


@pytest.mark.parametrize("kind", ["lstm", "lstm dropout", "gru", "gru dropout", "rnn", "torch-rnn lstm"])
def test_the_graph_in_double_precision_is_the_model(tmp_path, kind):
    n, x = loaded(kind).network, indices(loaded(kind).network, 12, 1)
    if n.model == "lstm" and not EVALUATES_CELLS:
        pytest.skip(f"onnx {onnx.__version__} can't evaluate an lstm's last cell state; 1.23 can")
    graph = reference.ReferenceEvaluator(str(graph_of(kind, tmp_path, precision="float64")))
    log_probs, *_ = graph.run(None, {"indices": x, **zeros(n, 1, np.float64)})
    assert log_probs.dtype == np.float64
    np.testing.assert_allclose(log_probs, NumpyPredictor(n, 1, len(x)).read(x), atol=1e-12)


@pytest.mark.parametrize("precision, bytes_of_a_weight", [("", 8), ("float32", 4), ("float64", 8)])
def test_precision(tmp_path, precision, bytes_of_a_weight):
    args = ["-type", precision] if precision else []
    checkpoint.convert(loaded("lstm"), tmp_path / "m.t7")
    with working_in(tmp_path):
        assert CliRunner().invoke(cli, ["convert", "m.t7", "m.onnx", *args]).stdout == "saved m.onnx\n"
    size, weights = (tmp_path / "m.onnx").stat().st_size, loaded("lstm").network.parameters
    assert 0 < size - bytes_of_a_weight * weights < 20_000
    same = checkpoint.load(tmp_path / "m.onnx").network.weights["decoder.weight"]
    assert np.array_equal(same, loaded("lstm").network.weights["decoder.weight"]) == (precision != "float32")


def test_float_weights_take_four_bytes_and_come_back(tmp_path):
    path = graph_of("float", tmp_path)
    model = onnx.load(path)
    assert {t.data_type for t in model.graph.initializer if "." in t.name} == {onnx.TensorProto.FLOAT}
    assert "Cast" not in {node.op_type for node in model.graph.node}


def test_words_and_versions(tmp_path):
    for kind, encoding, vocab in (("utf8", "utf8", "\n aé水"), ("pycharrnn lstm", "bytes", "\n abcd")):
        model = onnx.load(graph_of(kind, tmp_path))
        words = {entry.key: entry.value for entry in model.metadata_props}
        assert (words["encoding"], words["program"]) == (encoding, f"pycharrnn {__version__}")
        assert words["trained_on"] == r"data/é\xff"
        assert "".join(bytes(c).decode() for c in json.loads(words["vocab"])) == vocab
        assert (model.ir_version, [(o.domain, o.version) for o in model.opset_import]) == (7, [("", 14)])
        assert model.producer_name == "pycharrnn"


def test_a_model_resaved_by_onnx_is_read(tmp_path):
    path = graph_of("gru", tmp_path)
    onnx.save(onnx.load(path), tmp_path / "again.onnx")
    again = checkpoint.load(tmp_path / "again.onnx").network.weights
    assert all(np.array_equal(again[name], w) for name, w in loaded("gru").network.weights.items())


def test_without_onnx_the_extra_is_named_and_files_are_read(tmp_path, monkeypatch):
    path = graph_of("rnn", tmp_path)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert checkpoint.load(path).vocab == loaded("rnn").vocab
    with pytest.raises(UserError, match="an .onnx file needs more packages: pip install"):
        checkpoint.convert(loaded("rnn"), tmp_path / "n.onnx")
    assert not (tmp_path / "n.onnx").exists()


@pytest.mark.slow
def test_a_model_of_more_than_2_gigabytes(tmp_path):
    wide = np.broadcast_to(np.float32(0.1), (1 << 15, 1 << 14))
    found = loaded("rnn")
    huge = dataclasses.replace(found, network=dataclasses.replace(found.network, weights={"x": wide}))
    with pytest.raises(UserError, match=r"can't hold 536870912 parameters: use -type float32, or .safetensors"):
        checkpoint.convert(huge, tmp_path / "m.onnx", formats.WriteOptions("float64"))


@pytest.mark.parametrize("kind", ["lstm", "gru dropout", "utf8"])
def test_the_example_samples_from_the_file_alone(tmp_path, kind):
    """In a process that finds neither pycharrnn nor compat."""
    path, example = graph_of(kind, tmp_path), ROOT / "examples" / "onnx_sample.py"
    beginning = "aé水" if kind == "utf8" else "The "
    environment = {"PATH": "", "SYSTEMROOT": os.environ.get("SYSTEMROOT", "")}  # Windows starts no Python without it
    command = [sys.executable, example, path, beginning, "50", "0.5"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, env=environment)
    assert result.returncode == 0, result.stderr.decode()
    assert result.stdout.startswith(beginning.encode())
    drawn = [c for _, c in tokenize(result.stdout.removesuffix(b"\n"), loaded(kind).vocab, kind == "utf8")]
    assert len(drawn) == len(beginning) + 50
    assert None not in drawn


def test_the_example_begins_each_item_anew(tmp_path):
    """At a temperature at which it takes the most probable characters."""
    made = item_models.decided("blank")
    checkpoint.convert(made, tmp_path / "m.onnx")
    command = [sys.executable, ROOT / "examples" / "onnx_sample.py", tmp_path / "m.onnx", "ab", "20", "0.0001"]
    found = subprocess.run(command, capture_output=True, check=True).stdout
    assert found == item_models.most_probable(made, b"ab", 20) + b"\n"


def test_the_example_begins_each_item_with_the_label_of_the_prompt(tmp_path):
    made = item_models.decided("line", letters="abc\t", labels="7\tab\n5\tb")
    checkpoint.convert(made, tmp_path / "m.onnx")
    command = [sys.executable, ROOT / "examples" / "onnx_sample.py", tmp_path / "m.onnx"]
    found = subprocess.run([*command, "ab\tc", "40", "0.0001"], capture_output=True, check=True).stdout
    assert found == item_models.most_probable(made, b"ab\tc", 40, b"ab\t") + b"\n"
    environment = {**os.environ, "HOME": str(tmp_path)}  # where onnxruntime writes, or says that it can't
    result = subprocess.run([*command, "abc", "40"], capture_output=True, text=True, env=environment)
    assert result.returncode == 1
    said = "begin the prompt with a label and a tab, for example with 'ab\\t'"
    assert result.stderr == f"onnx_sample.py: {said}\n"


# onnxruntime-web's interface, with a model that expects after each character the next one of the vocabulary.
ORT = """
const ort = {
  Tensor: class { constructor(type, data, dims) { Object.assign(this, { type, data, dims }); } },
  InferenceSession: { create: async (model) => ({
    inputNames: ["indices", "h", "c"],
    run: async ({ indices, h, c }) => {
      if (`${indices.dims} ${h.dims} ${c.dims} ${h.data.length}` !== "1,1 2,1,16 2,1,16 32") throw new Error("sizes");
      const data = new Float32Array(73).fill(-1e4);
      data[(Number(indices.data[0]) + 1) % 73] = 0;
      return { log_probs: { data }, next_h: h, next_c: c };
    },
  }) },
};
"""


@contextlib.contextmanager
def example_page(folder, chromium):
    """examples/onnx_sample.html beside the model in `folder`, in the browser. Yields: a function, the text it shows."""
    (folder / "index.html").write_bytes((ROOT / "examples" / "onnx_sample.html").read_bytes())
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        chromium.get(f"http://127.0.0.1:{server.server_port}/")
        yield lambda: chromium.execute_script("return document.querySelector('#text').textContent")
        server.shutdown()


@needs_browser
def test_the_example_in_a_browser_reads_the_vocabulary(tmp_path, chromium):
    graph_of("lstm", tmp_path).rename(tmp_path / "model.onnx")
    (tmp_path / "ort.wasm.min.js").write_text(ORT, encoding="utf-8")
    with example_page(tmp_path, chromium) as shown:
        characters = sorted(loaded("lstm").vocab, key=loaded("lstm").vocab.get)
        start = characters.index(b"\n") + 1
        text = b"".join(characters[(start + k) % 73] for k in range(500)).decode("utf-8", "replace")
        WebDriverWait(chromium, 30).until(lambda _: len(shown()) >= len(text) - 1)
        assert text.startswith(shown()[:-1])


@needs_browser
def test_the_example_in_a_browser_begins_each_item_with_a_label(tmp_path, chromium):
    """With a model that expects the next character of the vocabulary: the tab, the end, a, b, the bytes of \u00e9."""
    checkpoint.convert(item_models.made(letters="ab\u00e9\t", labels="7\tb\u00e9\n5\tb"), tmp_path / "model.onnx")
    ort = ORT.replace("2,1,16 2,1,16 32", "2,1,9 2,1,9 18").replace("73", "6")
    (tmp_path / "ort.wasm.min.js").write_text(ort, encoding="utf-8")
    with example_page(tmp_path, chromium) as shown:
        WebDriverWait(chromium, 30).until(lambda _: len(shown()) >= 500)
        assert shown().startswith("b\u00e9\t\n" * 100)


def test_a_broken_file_is_said_to_be_one(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"\x08\x07\x3a\x7fnot a graph")
    assert "it is not an ONNX model" in sentence(run("sample", str(tmp_path / "m.onnx")))
