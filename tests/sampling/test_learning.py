"""Models that learn before they sample, and while they chat, as a user runs them."""

from __future__ import annotations

import os
import subprocess

import numpy as np
import pytest
from conftest import GOLDEN, run, sampled, sentence, start, start_on_a_full_disk

from compat import graph_match
from pycharrnn.checkpoints import checkpoint, derived_checkpoints
from pycharrnn.engine import adapt, kernel_library
from pycharrnn.sampling import inference
from pycharrnn.sampling.chat import ANSWER_SHARE, LearningChat
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.sampling.options import ChatOptions

CHECKPOINT = GOLDEN / "gru2" / "lm_gru2_epoch1.00_2.9340.t7"
LINE = "the night is the night\n"


@pytest.fixture
def primefile(tmp_path):
    (tmp_path / "prime.txt").write_text(LINE * 40, encoding="utf-8", newline="\n")
    return str(tmp_path / "prime.txt")


def test_a_sample_after_learning(primefile, tmp_path):
    before = CHECKPOINT.read_bytes()
    how = ["-adapt", "1", "-adapt_rate", "0.01", "-adapt_length", "11"]
    flags = ["-primefile", primefile, "-hide_prime", "1", "-length", "100"]
    found = sampled(CHECKPOINT, [*flags, *how])
    assert found != sampled(CHECKPOINT, flags)
    assert b"the" in sampled(CHECKPOINT, [*flags, *how, "-sample", "0"])
    assert found == sampled(CHECKPOINT, [*flags, *how, "-threads", "2"])
    assert CHECKPOINT.read_bytes() == before
    loaded = checkpoint.load(CHECKPOINT)  # the same by hand: learn, then sample
    ids = np.array([loaded.vocab[bytes([byte])] - 1 for byte in (LINE * 40).encode()])
    learner = adapt.learner(loaded.network, adapt.Adaptation(0.01, 11, 0.001))
    learner.read(ids[:-1], ids[1:])
    checkpoint.convert(derived_checkpoints.with_network(loaded, learner.network()), tmp_path / "learnt.t7")
    assert found == sampled(tmp_path / "learnt.t7", flags)


def test_a_primetext_is_learnt_from_too():
    flags = ["-primetext", LINE * 5, "-length", "50"]
    assert sampled(CHECKPOINT, [*flags, "-adapt", "1", "-adapt_rate", "0.05"]) != sampled(CHECKPOINT, flags)


def chatted(*flags, cwd=None, text=b"the night\nis it?\n"):
    same = ["-gpuid", "-1", "-length", "40", "-stop", "eeeeeeee"]
    done = run("chat", str(CHECKPOINT), *same, *flags, input=text, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done


def test_a_chat_that_learns(tmp_path):
    before = CHECKPOINT.read_bytes()
    plain = chatted().stdout
    flags = ["-learn", "1", "-adapt_rate", "0.05"]
    found = chatted(*flags, "-o", "mine.t7", cwd=tmp_path)
    assert found.stdout[:40] == plain[:40] and found.stdout != plain  # it learns after its first answer
    assert found.stdout == chatted(*flags).stdout
    assert found.stderr.endswith(b"saved mine.t7\n")
    assert CHECKPOINT.read_bytes() == before
    mine = checkpoint.load(tmp_path / "mine.t7")
    loaded = checkpoint.load(CHECKPOINT)
    assert mine.vocab == loaded.vocab and mine.val_loss is None
    assert not np.array_equal(mine.network.weights["decoder.weight"], loaded.network.weights["decoder.weight"])
    again = ["chat", str(CHECKPOINT), "-learn", "1", "-o", "mine.t7"]
    assert "mine.t7 exists" in sentence(run(*again, input=b"", cwd=tmp_path))
    assert run(*again, "-overwrite", "1", input=b"", cwd=tmp_path).returncode == 0
    untouched = checkpoint.load(tmp_path / "mine.t7").network.weights["decoder.weight"]
    np.testing.assert_allclose(untouched, loaded.network.weights["decoder.weight"], rtol=1e-6)


@pytest.mark.skipif(os.name == "nt", reason="a chat under way, by pipes of POSIX")
def test_a_file_that_appears_during_a_chat_stays(tmp_path):
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    flags = ["-learn", "1", "-gpuid", "-1", "-length", "10", "-o", "mine.t7"]
    with start("chat", str(CHECKPOINT), *flags, cwd=tmp_path, **pipes) as chat:
        chat.stdin.write(b"the night\n")
        chat.stdin.flush()
        assert chat.stdout.read(1)
        (tmp_path / "mine.t7").write_bytes(b"a letter")
        _, error = chat.communicate(b"the night\n")
    appeared, saved = error.splitlines()[-2:]
    assert appeared.endswith(b"mine.t7 appeared during the chat and is not replaced: the model goes to mine_2.t7.")
    assert saved == b"pycharrnn: saved mine_2.t7"
    assert (tmp_path / "mine.t7").read_bytes() == b"a letter"
    assert checkpoint.load(tmp_path / "mine_2.t7").network.rnn_size > 0


def test_a_bot_goes_on_learning_in_one_file(tmp_path):
    """A run's lm_x_best.t7 is another name of an epoch's file, which stays, as a symbolic link does."""
    before, flags = CHECKPOINT.read_bytes(), ["-learn", "1", "-adapt_rate", "0.01", "-gpuid", "-1", "-length", "20"]
    for name in ("epoch.t7", "folder/mine.t7"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(before)
    os.link(tmp_path / "epoch.t7", tmp_path / "best.t7")
    (tmp_path / "latest.t7").symlink_to("folder/mine.t7")
    for name in ("best.t7", "latest.t7"):
        chat = ["chat", name, *flags, "-o", name]
        said = sentence(run(*chat, input=b"the night\n", cwd=tmp_path))
        assert f"-o {name} exists: choose another name, or replace this one with -overwrite 1." in said
        assert (tmp_path / name).read_bytes() == before
        weights = []
        for _ in range(2):
            done = run(*chat, "-overwrite", "1", input=b"the night\n", cwd=tmp_path)
            assert done.returncode == 0 and done.stderr.endswith(f"saved {name}\n".encode())
            weights.append(checkpoint.load(tmp_path / name).network.weights["decoder.weight"])
        assert not np.array_equal(*weights)  # the second chat goes on from the first
    assert (tmp_path / "epoch.t7").read_bytes() == before
    assert (tmp_path / "latest.t7").is_symlink()
    assert (tmp_path / "folder/mine.t7").read_bytes() == (tmp_path / "latest.t7").read_bytes() != before


@pytest.mark.parametrize(
    "name, what",
    [
        ("mine.safetensors", "needs more packages: pip install"),
        ("mine.onnx", "needs more packages: pip install"),
        ("mine.pt", "needs PyTorch, which is not installed"),
        ("folder.t7", "-o folder.t7 is a folder: name a file."),
    ],
)
def test_a_chat_that_could_not_be_saved_does_not_begin(tmp_path, name, what):
    (tmp_path / "folder.t7").mkdir()
    without = "import sys; sys.modules.update(dict.fromkeys(('torch', 'safetensors', 'onnx')));"
    program = without + "from pycharrnn.cli.commands import main; main(sys.argv[1:])"
    command = ["chat", str(CHECKPOINT), "-learn", "1", "-gpuid", "-1", "-o", name]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    said, error = start("-c", program, *command, cwd=tmp_path, **pipes).communicate(b"the night\n")
    assert said == b"" and what in error.decode()


@pytest.mark.skipif(os.name == "nt", reason="a limit of POSIX stands for a full disk")
def test_a_model_that_cannot_be_replaced_stays(tmp_path):
    (tmp_path / "mine.t7").write_bytes(CHECKPOINT.read_bytes())
    flags = ["-learn", "1", "-gpuid", "-1", "-length", "20", "-o", "mine.t7", "-overwrite", "1"]
    command = ["chat", "mine.t7", *flags]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    _, error = start_on_a_full_disk(4096, *command, cwd=tmp_path, **pipes).communicate(b"the night\n")
    assert b"mine.t7: File too large" in error and b"saved" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["mine.t7"]
    assert (tmp_path / "mine.t7").read_bytes() == CHECKPOINT.read_bytes()


@pytest.mark.parametrize("ending", [".json", ".safetensors", ".JSON"])
def test_a_model_of_another_format_goes_on_learning_too(tmp_path, ending):
    path = tmp_path / f"mine{ending}"
    checkpoint.convert(checkpoint.load(CHECKPOINT), path)
    before = checkpoint.load(path).network.weights["decoder.weight"]
    flags = ["-learn", "1", "-gpuid", "-1", "-length", "20", "-o", path.name, "-overwrite", "1"]
    assert run("chat", path.name, *flags, input=b"the night\n", cwd=tmp_path).returncode == 0
    assert not np.array_equal(checkpoint.load(path).network.weights["decoder.weight"], before)


def test_both_sides_are_learnt_from_with_the_character_between_them():
    """What the chat's learner has read is the conversation; its model goes on from the same hidden state."""
    loaded, read = checkpoint.load(CHECKPOINT), []
    chat = LearningChat(loaded, ChatOptions(learn=1, length=8))
    learner, learn = chat._learner, chat._learner.read
    learner.read = lambda x, y, *share: read.append((x.tolist(), y.tolist())) or learn(x, y, *share)
    said = [b"the\n", b"night\n"]
    answers = [b"".join(one.character for one in chat.answer(line)) for line in said]
    text = said[0] + answers[0] + said[1] + answers[1]
    ids = [loaded.vocab[bytes([byte])] - 1 for byte in text]
    assert [x for part, _ in read for x in part] == ids[:-1] and [y for _, part in read for y in part] == ids[1:]


def test_an_answer_changes_the_model_far_less_than_a_line():
    """Else a model that answers at a low temperature repeats itself after some answers."""
    chat, weights = LearningChat(checkpoint.load(CHECKPOINT), ChatOptions(learn=1, length=46, adapt_pull=0)), []
    learner, learn = chat._learner, chat._learner.read

    def read(*args):
        learn(*args)
        weights.append(learner.network().weights["decoder.weight"])

    learner.read = read
    for _ in range(2):
        assert len(list(chat.answer((LINE * 2).encode()))) == 46
    line, answer = (np.abs(weights[k] - weights[k - 1]).sum() for k in (2, 3))
    assert 0 < 10 * answer < line


def test_a_line_after_an_early_end_is_learnt_from_with_the_character_before_it(monkeypatch):
    """With -max_copy: the last character of the answer has been read, so the next line does not begin with it."""
    chat = LearningChat(checkpoint.load(CHECKPOINT), ChatOptions(learn=1))
    pairs = []
    monkeypatch.setattr(
        chat._learner, "read", lambda x, y, share=1: pairs.extend((*pair, share) for pair in zip(x, y, strict=True))
    )
    for line, answer, unread in (([3, 4], [5], b""), ([6], [7], b"x"), ([7], [8], b"")):
        chat._unread = unread
        chat._learn(line, answer)
    assert pairs == [(3, 4, 1), (4, 5, ANSWER_SHARE), (5, 6, 1), (6, 7, ANSWER_SHARE), (7, 8, ANSWER_SHARE)]


@pytest.mark.parametrize("kernel", [True, False])
def test_other_weights_and_the_same_hidden_state(kernel, monkeypatch):
    if not kernel:
        monkeypatch.setattr(kernel_library, "library", lambda: None)
    loaded, ids = checkpoint.load(CHECKPOINT), np.arange(12).reshape(3, 4)
    predictor = inference.on_cpu(loaded.network, 4, 3)
    assert isinstance(predictor, NumpyPredictor) or kernel
    predictor.read(ids)
    same = predictor.with_network(loaded.network)
    weights = {name: weight / 2 for name, weight in loaded.network.weights.items()}
    other = predictor.with_network(graph_match.Network(**{**vars(loaded.network), "weights": weights}))
    found = predictor.read(ids)
    assert same.read(ids).tolist() == found.tolist()
    assert np.abs(other.read(ids) - found).max() > 0.01


@pytest.mark.parametrize(
    ("command", "flags", "message"),
    [
        ("sample", "-adapt 1", "-adapt 1 learns from a text: give it with -primefile FILE"),
        ("sample", "-primetext a -adapt_length 5", "-adapt_length says how -adapt 1 learns: add -adapt 1"),
        ("sample", "-primetext a -adapt 2", "-adapt must be 0 or 1, not 2"),
        ("chat", "-o mine.t7", "-o saves the model that -learn 1 trains: add that flag, or leave -o out"),
        ("chat", "-learn 1 -o mine.txt", "-o must be a file that ends in .t7, "),
        ("chat", "-learn 1 -o nowhere/mine.t7", "-o nowhere/mine.t7: there is no folder nowhere"),
        ("chat", "-overwrite 1", "-overwrite 1 is for the file of -o: add -o FILE"),
        ("chat", "-adapt_rate 0.1", "-adapt_rate says how -learn 1 learns: add -learn 1"),
    ],
)
def test_options_that_do_not_go_together(command, flags, message):
    assert message in sentence(run(command, str(CHECKPOINT), *flags.split(), input=b""))
