"""What else a Model is: loaded from files and folders, scored, saved, trained on."""

from __future__ import annotations

import copy
import math
import os
import pickle
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from conftest import GOLDEN, ROOT, run, sampled

import pycharrnn
from compat import load_t7
from pycharrnn.analysis import scoring
from pycharrnn.checkpoints import checkpoint
from pycharrnn.common import progress
from pycharrnn.engine import kernel_library

GRU = sorted((GOLDEN / "gru2").glob("*.t7"))
LSTM = sorted((GOLDEN / "lstm2").glob("*.t7"))


def test_a_file_and_a_folder(tmp_path):
    for path in LSTM:
        shutil.copy(path, tmp_path)
    (tmp_path / "lm_a_epoch9.00_0.1000.t7").write_bytes(b"damaged")
    model = pycharrnn.load(tmp_path)
    best = min(LSTM, key=lambda path: path.stem.split("_")[-1])
    assert model.path == str(tmp_path / best.name)
    assert [note.rpartition(": ")[0] for note in model.notes][1:] == [str(tmp_path)]
    assert model.notes[0].startswith("passed over: ")
    assert "lowest validation loss of 2 checkpoints" in model.notes[1]
    assert "passed over" in model._repr_html_()
    assert pycharrnn.load(str(best)).notes == ()
    with pytest.raises(pycharrnn.UserError, match="does not exist"):
        pycharrnn.load(tmp_path / "nowhere.t7")


def test_facts():
    loaded = checkpoint.load(GRU[0])
    model = pycharrnn.load(GRU[0])
    assert (model.model, model.rnn_size, model.num_layers, model.vocab_size) == ("gru", 14, 2, len(model.vocab))
    assert (model.vocab, model.opt, model.iteration, model.epoch) == (loaded.vocab, loaded.opt, loaded.i, loaded.epoch)
    assert model.val_loss == loaded.val_losses[loaded.i]
    assert model.train_losses == loaded.train_losses.tolist()
    assert repr(model).startswith(f"<Model {GRU[0]}: model gru, 2 x 14, characters 73, epoch ")
    assert f"validation loss {model.val_loss:.4f}" in repr(model)
    assert "<td>gru, 2 x 14</td>" in model._repr_html_()


def test_a_hostile_name_is_text_in_a_notebook():
    model = pycharrnn.Model(checkpoint.load(GRU[0]), "<script>alert(1)</script>.t7")
    assert "<script" not in model._repr_html_() and "&lt;script&gt;" in model._repr_html_()


def test_encode_and_decode():
    model = pycharrnn.load(GRU[0])
    numbers = model.encode("The night")
    assert numbers.dtype == np.int64
    assert [model.vocab[bytes([byte])] - 1 for byte in b"The night"] == numbers.tolist()
    unsigned = list(numbers.astype(np.uint64))  # of NumPy's numbers, which it does not take for int64
    for form in (numbers, unsigned, numbers.tolist(), torch.from_numpy(numbers), iter(numbers.tolist())):
        assert model.decode(form) == "The night"
    assert (model.encode("").shape, model.decode([])) == ((0,), "")
    for wrong in (-1, model.vocab_size):
        with pytest.raises(
            IndexError, match=f"token_ids hold {wrong}, but the token ids are 0 to {model.vocab_size - 1}"
        ):
            model.decode([0, wrong])
    with pytest.raises(IndexError, match=f"token_ids hold {2**63}, which no vocabulary has"):
        model.decode([2**63])


def test_score_and_activations():
    model = pycharrnn.load(GRU[0])
    expected = scoring.score(checkpoint.load(GRU[0]), b"The night")
    assert model.score("The night").bits.tolist() == expected.bits.tolist()
    assert model.score(b"The night").bits_per_character == expected.bits_per_character
    reading = model.activations("The")
    assert (reading.characters, reading.values.shape) == (["T", "h", "e"], (3, 2, 14))
    long = "night " * 2000  # more than a page shows
    assert len(model.activations(long).characters) == len(long)
    assert model.activations("T\x01e", ignore_bad_primetext=True).characters == ["T", "e"]
    for nothing in (
        lambda: model.activations(""),
        lambda: model.score(""),
        lambda: model.score(b"", adapt=True),
    ):
        with pytest.raises(pycharrnn.UserError, match="^the text is empty: give at least one"):
            nothing()
    unknown = model.score("\x01\x02")
    assert math.isnan(unknown.bits_per_character) and math.isnan(unknown.bits_per_token) and not unknown.bits.any()
    assert scoring.as_sentence(unknown).startswith("no score; left out 2 bytes")
    with pytest.raises(pycharrnn.UserError, match="^text has the character"):
        model.activations("ü")
    with pytest.raises(TypeError, match="text must be a str or bytes"):
        model.score(3)


def test_no_bar_is_drawn_on_the_terminal_of_a_program(tmp_path, monkeypatch):
    choices = []
    monkeypatch.setattr(progress, "enabled", lambda choice: choices.append(choice))
    text = tmp_path / "text.txt"
    text.write_text("the night\n" * 50, encoding="utf-8")
    for model in (pycharrnn.load(LSTM[-1]), pycharrnn.load(LSTM[-1].parent)):
        model.score("the night")
        model.score("the night", adapt=True)
        model.learn("the night")
        model.copied("the night", text=text)
        model.generate("the", length=2, max_copy=4, text=text)
    assert set(choices) == {0}


def test_tensors():
    model = pycharrnn.load(GRU[0], dtype=torch.float64)
    x = model.encode("The")[:, None]
    log_probs, state = model(x)
    assert log_probs.shape == (3, 1, model.vocab_size) and log_probs.dtype == torch.float64
    assert torch.equal(model(torch.from_numpy(x))[0], log_probs)
    again, _ = model(x[2:], model(x[:2])[1])
    torch.testing.assert_close(again, log_probs[2:])
    assert [len(s) for s in state] == [1, 1]
    assert model.module is model.module and isinstance(model.module, pycharrnn.CharRNN) and not model.module.training
    bits = -log_probs[1, 0, x[2, 0]].item() / np.log(2)
    assert model.score("The").bits[2] == pytest.approx(bits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_module_that_is_trained_on_speaks_with_its_new_weights(tmp_path, dtype):
    model = pycharrnn.load(GRU[0], dtype=dtype)
    before = model.generate("The", length=100, seed=3), model.score("The night").bits_per_character
    x = torch.from_numpy(model.encode("eeeeeeee"))[:, None]
    optimiser = torch.optim.SGD(model.module.parameters(), lr=2.0)
    for _ in range(3):
        loss = -model(x)[0][:-1, 0].gather(1, x[1:]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    text, score = model.generate("The", length=100, seed=3), model.score("The night").bits_per_character
    assert text != before[0] and score != before[1]
    assert text.count("e") > 50 > before[0].count("e")
    model.save(tmp_path / "on.t7")
    assert sampled(tmp_path / "on.t7", ["-primetext", "The", "-length", "100", "-seed", "3"])[:-1] == text.encoded
    again = pycharrnn.load(tmp_path / "on.t7")
    assert (again.vocab, again.opt) == (model.vocab, model.opt)
    assert again.val_loss is None and again.train_losses == []
    with torch.no_grad():  # also what leaves no trace in the tensor's version
        model.module.flat.data.copy_(pycharrnn.load(GRU[0], dtype=dtype).module.flat)
    assert (model.generate("The", length=100, seed=3), model.score("The night").bits_per_character) == before


def test_a_module_that_is_first_used_in_inference_mode_can_be_trained():
    model = pycharrnn.load(GRU[0])
    x = torch.zeros(3, 2, dtype=torch.long)
    with torch.inference_mode():
        expected, _ = model(x)
    log_probs, _ = model(x)
    log_probs.sum().backward()
    assert torch.equal(log_probs, expected) and model.module.flat.grad is not None


def test_a_stream_keeps_the_weights_that_it_began_with(monkeypatch):
    """Where NumPy computes, which packs no weights."""
    monkeypatch.setattr(kernel_library, "library", lambda: None)
    model = pycharrnn.load(GRU[0], dtype=torch.float64)
    weights = model.module.flat.data
    weights.mul_(1.5)
    stream, whole = model.stream("The", length=100, seed=3), model.generate("The", length=100, seed=3)
    begun = next(stream)
    weights.mul_(0.5)
    assert begun + "".join(stream) == whole


def test_a_module_of_another_type_is_not_a_trained_one(tmp_path):
    """Its weights were rounded once, to the type in which it was made."""
    model = pycharrnn.load(LSTM[-1], dtype=torch.bfloat16)
    text = model.generate("The ", seed=1, length=50)
    model.module.double()
    model.save(tmp_path / "again.t7")
    assert pycharrnn.load(tmp_path / "again.t7").val_losses == model.val_losses != {}
    assert model.generate("The ", seed=1, length=50) == text


def test_an_untouched_model_is_saved_as_convert_writes_it(tmp_path):
    model = pycharrnn.load(GRU[0])
    assert model.module.flat.dtype == torch.float32
    model.save(tmp_path / "m.t7")
    checkpoint.convert(checkpoint.load(GRU[0]), tmp_path / "c.t7")
    assert (tmp_path / "m.t7").read_bytes() == (tmp_path / "c.t7").read_bytes()
    model.save(tmp_path / "f.t7", dtype="float32", encoding="ascii", long_size=4)
    assert load_t7(tmp_path / "f.t7")[b"i"] == model.iteration
    with pytest.raises(pycharrnn.UserError, match="ending"):
        model.save(tmp_path / "m.doc")
    for name, option in (("n.json", {"dtype": "float32"}), ("n.t7", {"half": True}), ("n.html", {"weights": "int8"})):
        ((key, value),) = option.items()
        with pytest.raises(
            pycharrnn.UserError, match=f"^{key}={value!r} is for .* files, not for .*{name}: leave it out"
        ):
            model.save(tmp_path / name, **option)
        assert not (tmp_path / name).exists()
    with pytest.raises(pycharrnn.UserError, match="pycharrnn convert"):
        model.module.save(tmp_path / "m.html")
    for save, name in ((model.save, "m.t7"), (model.save, "m.html"), (model.module.save, "m.json")):
        with pytest.raises(pycharrnn.UserError, match=f"^no/{name}: there is no folder no; make it first, or choose"):
            save(f"no/{name}")


@pytest.mark.parametrize("half", [False, True])
def test_a_model_is_saved_as_the_page_that_convert_writes(tmp_path, half):
    pycharrnn.load(GRU[0]).save(tmp_path / "m.html", half=half)
    assert run("convert", str(GRU[0]), str(tmp_path / "c.html"), "-half", str(int(half))).returncode == 0
    assert (tmp_path / "m.html").read_bytes() == (tmp_path / "c.html").read_bytes()


def use(model: pycharrnn.Model) -> None:
    model.generate("The ", length=3)
    model.generate(["a", "b"], length=3)
    list(model.stream("a", length=3))
    model.score("The")
    model.activations("The")
    model(model.encode("The")[:, None])


def test_a_model_is_pickled_and_copied_after_use():
    model = pycharrnn.load(LSTM[-1])
    use(model)
    with torch.no_grad():
        model.module.flat.mul_(1.01)
    use(model)
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert twin.generate("The ", seed=2, length=30) == model.generate("The ", seed=2, length=30)
        assert torch.equal(twin.module.flat, model.module.flat)
        use(twin)


def test_texts_and_pieces_are_pickled_and_copied():
    model = pycharrnn.load(LSTM[-1])
    text, (piece, *_) = model.generate("The ", seed=1, length=9), list(model.stream("T", seed=1, length=9))
    for twin in (pickle.loads(pickle.dumps((text, piece))), copy.deepcopy((text, piece))):
        assert twin == (text, piece)
        assert (twin[0].probabilities, twin[0].seed) == (text.probabilities, text.seed)
        assert twin[1].candidates(2) == piece.candidates(2)


def test_a_failed_model_keeps_its_losses_beside_its_module(tmp_path):
    loaded = checkpoint.load(GRU[0])
    loaded.network.weights["decoder.bias"] = np.full(loaded.network.vocab_size, np.nan)
    checkpoint.convert(loaded, tmp_path / "failed.t7")
    model = pycharrnn.load(tmp_path / "failed.t7")
    assert model.module.flat.isnan().any()
    model.save(tmp_path / "copy.t7")
    assert pycharrnn.load(tmp_path / "copy.t7").train_losses == model.train_losses != []


@pytest.mark.parametrize("change", ["reversed", "big-endian", "read-only"])
def test_a_call_takes_any_array_of_token_ids(change):
    model, token_ids = pycharrnn.load(GRU[0]), np.array([[2, 1], [0, 3]])
    same = {"reversed": token_ids[::-1].copy()[::-1], "big-endian": token_ids.astype(">i4"), "read-only": token_ids}
    same["read-only"].flags.writeable = False
    assert torch.equal(model(same[change])[0], model(torch.from_numpy(token_ids.copy()))[0])


def test_scores_and_readings_are_short_in_a_notebook_and_found_in_a_set():
    model = pycharrnn.load(GRU[0])
    score, reading = model.score("The ~" * 1000), model.activations("The " * 1000)
    bits = f"{score.bits_per_character:.4f}"
    assert repr(score) == f"<Score bits per character {bits}, characters 4000, unknown 1000>"
    assert repr(reading) == "<Reading characters 4000, layers 2, units 14>"
    assert score in {score, reading} and score != model.score("The ") and reading != model.activations("The ")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere PyTorch does not allow a fork")
def test_a_forked_process_uses_a_model_whose_module_the_parent_has_used(tmp_path):
    """PyTorch's threads, which convert large tensors, are not in the child."""
    network = pycharrnn.CharRNN("rnn", 8, 256, 1)
    network.vocab = {bytes([97 + k]): k + 1 for k in range(8)}
    network.save(tmp_path / "m.t7")
    program = """
import os, signal, sys, torch, pycharrnn
torch.set_num_threads(2)
model = pycharrnn.load(sys.argv[1])
model.module  # and PyTorch starts its threads:
torch.ones(10**6).to(torch.float64)
for change in (False, True):
    if change:
        with torch.no_grad():
            model.module.flat.mul_(2)
    model.generate("a", length=1)
    if not (child := os.fork()):
        signal.alarm(300)
        model.generate("a", length=1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program, tmp_path / "m.t7"], env=environment, check=True)


def test_threads_share_one_module():
    model = pycharrnn.load(LSTM[-1])
    barrier = threading.Barrier(6)

    def module(_: int) -> object:
        barrier.wait()
        return model.module

    with ThreadPoolExecutor(6) as pool:
        assert len(set(map(id, pool.map(module, range(6))))) == 1


def test_the_front_door():
    for name in pycharrnn.__all__:
        assert getattr(pycharrnn, name).__doc__, name
        assert name in dir(pycharrnn)
    assert set(pycharrnn.__all__) == set(pycharrnn._HOMES)
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        pycharrnn.lode  # noqa: B018
