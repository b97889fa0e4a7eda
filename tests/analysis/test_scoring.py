"""eval and score, as a user runs them."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import math
import re
import shutil
import warnings
from pathlib import Path

import item_models
import numpy as np
import pytest
from conftest import GOLDEN, run, save_with_weights, sentence, spec

from compat import legacy_logsoftmax
from pycharrnn.analysis import adapted, copied, evaluation, likelihood, scoring, surprise
from pycharrnn.analysis.evaluation import EvaluatedCheckpoint
from pycharrnn.analysis.options import EvalOptions
from pycharrnn.checkpoints import checkpoint, checkpoint_facts
from pycharrnn.common.errors import UserError, for_command_line
from pycharrnn.engine import kernel_library
from pycharrnn.engine.model import CharRNN
from pycharrnn.sampling import inference
from pycharrnn.sampling.numpy_predictor import NumpyPredictor
from pycharrnn.text.loader import TRAIN, VAL

CHECKPOINT = str(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")
LOADED = checkpoint.load(CHECKPOINT)
RUNS = ["lstm2", "gru2", "rnn3", "lstm3_dropout", "lstm1_test_split"]


def last_checkpoint(name: str) -> Path:
    return GOLDEN / name / spec(name)["samples"][-1]["checkpoint"]


# -- eval ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNS)
def test_eval_reproduces_the_recorded_loss(corpus, name):
    path = last_checkpoint(name)
    loaded = checkpoint.load(path)
    loss = evaluation.split_loss(str(path), loaded, EvalOptions(data_dir=str(corpus)))
    assert loss == pytest.approx(loaded.val_loss, abs=1e-12)


@pytest.mark.parametrize(
    "read",
    [
        lambda opt: evaluation.split_loss(CHECKPOINT, LOADED, opt),
        lambda opt: adapted.split_loss(CHECKPOINT, LOADED, opt),
        lambda opt: copied.novelty_of_model(CHECKPOINT, with_text(opt.data_dir), b"What is the night", 1),
    ],
    ids=["split_loss", "adapted", "novelty"],
)
def test_the_cache_of_the_text_is_closed(corpus, read):
    """Windows can't replace an open file. The garbage may hold files of other tests, which are not counted."""
    opt = EvalOptions(data_dir=str(corpus))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", ResourceWarning)
        read(opt)
        gc.collect()
    assert [w.message for w in found if str(corpus) in str(w.message)] == []


def with_text(data_dir):
    return dataclasses.replace(LOADED, opt={**LOADED.opt, "data_dir": data_dir})


def test_eval_on_pytorch_is_the_same(corpus):
    import torch

    from pycharrnn.sampling.inference import TorchPredictor

    x = np.array([[1, 2], [3, 4], [5, 6]])
    numpy_model = NumpyPredictor(LOADED.network, 2, 3)
    torch_model = TorchPredictor(CharRNN.from_checkpoint(LOADED, dtype=torch.float64), 2, 3)
    for _ in range(2):  # the second time from the state that the first one left
        np.testing.assert_allclose(numpy_model.read(x), torch_model.read(x), atol=1e-13)


def test_eval_prints_nats_bits_and_perplexity(corpus):
    result = run("eval", CHECKPOINT, "-data_dir", str(corpus))
    numbers = [float(x) for x in re.findall(r"\d+\.\d{8}", result.stdout.decode())]
    loss, stored, bits, perplexity = numbers
    assert loss == pytest.approx(LOADED.val_loss, abs=1e-8)
    assert loss == stored
    assert bits == pytest.approx(loss / math.log(2), abs=1e-7)
    assert perplexity == pytest.approx(math.exp(loss), abs=1e-6)


def test_eval_of_other_splits_and_sizes(corpus):
    train = run("eval", CHECKPOINT, "-data_dir", str(corpus), "-split", "train")
    assert b"loss over train split" in train.stdout
    assert b"loss over val split" in run("eval", CHECKPOINT, "-data_dir", str(corpus), "-batch_size", "3").stdout
    assert "test split has none of the" in sentence(run("eval", CHECKPOINT, "-data_dir", str(corpus), "-split", "test"))
    for other in (corpus / "input.txt", corpus / "missing"):
        error = sentence(run("eval", CHECKPOINT, "-data_dir", str(other)))
        assert "is not a folder that has an input.txt" in error and "pycharrnn score" in error
    assert "-split must be train, val or test, not dev" in sentence(run("eval", CHECKPOINT, "-split", "dev"))
    error = sentence(run("eval", CHECKPOINT, "-data_dir", str(corpus), "-val_frac", "0.5"))
    assert "sum to more than 1" in error


def test_eval_finds_the_data_of_training(corpus, tmp_path):
    shutil.copytree(corpus, tmp_path / "data" / "corpus")
    assert LOADED.opt["data_dir"] == "data/corpus"
    assert b"val_loss in the checkpoint" in run("eval", CHECKPOINT, cwd=tmp_path).stdout
    (corpus / "deeper").mkdir()
    for place, advice in ((corpus, "go to the folder above, which has it"), (corpus / "deeper", "copy it from where")):
        assert f"input.txt, on which {CHECKPOINT} was trained, is not here: {advice}" in sentence(
            run("eval", CHECKPOINT, cwd=place)
        )


def test_eval_of_a_checkpoint_that_does_not_know_its_data(corpus, tmp_path):
    checkpoint.convert(dataclasses.replace(LOADED, opt={}), tmp_path / "bare.t7")
    assert "give -data_dir" in sentence(run("eval", str(tmp_path / "bare.t7")))
    result = run("eval", str(tmp_path / "bare.t7"), "-data_dir", str(corpus), "-batch_size", "10", "-seq_length", "20")
    assert b"loss over val split" in result.stdout


@pytest.mark.parametrize(
    ("model", "text", "fault"),
    [
        ({}, b"a", "has one line"),
        ({"kind": "blank"}, b"ab", "has no U+001E"),
        ({}, b"a\n\n", "there is only one item"),
        ({"vocab": "keep"}, b"a\nz\n", "-vocab keep leaves only one item"),
        ({"label": "column"}, b"a\tb\na\tc\n", "have the label a"),
        ({"kind": "", "utf8": True, "encoding": "utf8"}, b"a\xffb", "is not UTF-8 at offset 1"),
    ],
)
def test_advice_on_a_text_asks_for_no_flag_that_eval_lacks(tmp_path, model, text, fault):
    path = item_models.saved(tmp_path, **model)
    (tmp_path / "input.txt").write_bytes(text)
    error = sentence(run("eval", str(path), "-data_dir", str(tmp_path)))
    assert fault in error
    if fault != "has one line":
        assert "name another text with -data_dir, or give this one to pycharrnn score." in error
        lines = ["-lines", "1"] if "label" in model else []
        assert run("score", str(path), str(tmp_path / "input.txt"), *lines).returncode == 0


def test_eval_refuses_unknown_characters(tmp_path):
    (tmp_path / "input.txt").write_bytes(b"What ~ is the night~\n" * 5000)
    error = sentence(run("eval", CHECKPOINT, "-data_dir", str(tmp_path)))
    assert "has characters that" in error
    assert "'~'" in error
    assert "pycharrnn score" in error


def test_a_table_of_several(corpus):
    paths = [str(last_checkpoint(name)) for name in ("lstm2", "gru2")]
    result = run("eval", paths[1], "-compare", "1", paths[0], "-data_dir", str(corpus))
    assert result.returncode == 0, result.stderr
    heading, *rows = result.stdout.decode().splitlines()
    assert re.split("  +", heading) == [
        "checkpoint",
        "nats/char",
        "bits/char",
        "perplexity",
        "val_loss in it",
        "trained on",
    ]
    for path, row in zip(paths, rows, strict=True):
        cells = row.split()
        assert cells[0] == path
        assert cells[1] == cells[4] == f"{checkpoint.load(path).val_loss:.6f}"
        assert cells[5] == "data/corpus"
    assert "-compare" in sentence(run("eval", *paths, "-data_dir", str(corpus)), 2)


def test_a_table_begins_with_the_lowest_loss():
    losses = {"nan": math.nan, "b": 2.5, "inf": math.inf, "a": 1.5, "same": 2.5}
    table = evaluation.as_table([EvaluatedCheckpoint(name, loss, None, "") for name, loss in losses.items()])
    assert [row.split()[0] for row in table.splitlines()[1:]] == [
        "a",
        "b",
        "same",
        "nan",
        "inf",
    ]


def test_words_for_a_huge_loss():
    """As that of a model whose training failed; exp() of it would be an error."""

    def lines_for(loss, stored=None):
        return evaluation.as_lines("val", EvaluatedCheckpoint("a.t7", loss, stored, ""))

    lines = lines_for(1e4).splitlines()
    assert lines[0] == "loss over val split  10000.00000000 nats per character"
    assert lines[1].split() == [f"{1e4 / math.log(2):.8f}", "bits", "per", "character"]
    assert float(lines[2].split()[1]) == math.exp(700)
    assert "(val_loss in the checkpoint: 1.50000000)" in lines_for(1.5, stored=1.5)
    assert f"{math.exp(9):.8f}" in lines_for(9.0)


def test_cells_of_a_table():
    known = "0123456789abcdef" * 4
    rows = [
        EvaluatedCheckpoint("a.t7", 1.0, None, f"x, sha256 {known}"),
        EvaluatedCheckpoint("longer.t7", math.nan, 2.0, ""),
    ]
    heading, first, second = evaluation.as_table(rows).splitlines()
    assert re.split("  +", first) == ["a.t7", "1.000000", "1.442695", "2.718282", "-", "x, sha256 01234567"]
    assert second.split() == ["longer.t7", "nan", "nan", "nan", "2.000000", "-"]
    assert heading.index("nats/char") + len("nats/char") == first.index("1.000000") + len("1.000000")


def test_a_split_that_is_cut_otherwise_than_in_training(corpus):
    """The loader is asked for what the options say, and for the rest as in training."""
    opt = EvalOptions(data_dir=str(corpus), train_frac=0.0, val_frac=0.5, batch_size=4, seq_length=30)
    loader = evaluation.open_split("x", LOADED, opt)
    assert (loader.batch_size, loader.seq_length) == (4, 30)
    assert loader.split_sizes[TRAIN] == 0
    assert loader.split_sizes[VAL] == loader.nbatches // 2
    recorded = LOADED.opt
    loader = evaluation.open_split("x", LOADED, EvalOptions(data_dir=str(corpus)))
    assert (loader.batch_size, loader.seq_length) == (recorded["batch_size"], recorded["seq_length"])
    whole = EvalOptions(data_dir=str(corpus), train_frac=0.9, val_frac=0.1, split="test")
    with pytest.raises(UserError, match="the test split has none of the"):
        evaluation.open_split("x", LOADED, whole)


def test_a_text_of_a_run_that_kept_its_vocabulary(corpus):
    """What the model lacks was left out of its training, and is left out here."""
    kept = dataclasses.replace(LOADED, opt={**LOADED.opt, "vocab": "keep"})
    opt = EvalOptions(data_dir=str(corpus))
    plain = evaluation.split_loss("x", LOADED, opt)
    text = (corpus / "input.txt").read_bytes()
    (corpus / "input.txt").write_bytes(text[:1000] + b"~~" + text[1000:] + b"~")
    with pytest.raises(UserError, match="characters that x has never seen"):
        evaluation.split_loss("x", LOADED, opt)
    assert evaluation.open_split("x", kept, opt).vocab_mapping == LOADED.vocab
    assert evaluation.split_loss("x", kept, opt) == pytest.approx(plain, rel=1e-12)


@pytest.mark.parametrize("encoding", ["bytes", "utf8"])
def test_a_text_is_read_in_the_models_encoding(corpus, monkeypatch, encoding):
    monkeypatch.setattr(checkpoint_facts, "encoding", lambda loaded: encoding)
    loader = evaluation.open_split("x", LOADED, EvalOptions(data_dir=str(corpus), batch_size=2, seq_length=10))
    text = (corpus / "input.txt").read_bytes()
    assert len(loader.vocab_mapping) == len(set(text if encoding == "bytes" else text.decode()))
    assert len(set(text)) != len(set(text.decode()))


def test_the_loss_is_the_mean_over_all_characters(corpus, monkeypatch):
    """By hand, in one row, also where memory allows a few steps at a time only."""
    opt = EvalOptions(data_dir=str(corpus), batch_size=2, seq_length=6)
    loader = evaluation.open_split("x", LOADED, opt)
    predictor = NumpyPredictor(LOADED.network, 2)
    losses = []
    for _ in range(loader.split_sizes[VAL]):
        x, y = loader.next_batch(VAL)
        for t in range(6):
            log_probs = predictor.read(x.T[t : t + 1].astype(int))[0]
            losses += (-log_probs[[0, 1], y.T[t]]).tolist()
    assert evaluation.split_loss("x", LOADED, opt) == pytest.approx(np.mean(losses), rel=1e-12)
    monkeypatch.setattr(likelihood, "MAX_DOUBLES", 4 * likelihood.doubles_per_step(LOADED.network, 2))
    assert evaluation.split_loss("x", LOADED, opt) == pytest.approx(np.mean(losses), rel=1e-12)
    monkeypatch.setattr(likelihood, "MAX_DOUBLES", likelihood.doubles_per_step(LOADED.network, 2) // 2 - 1)
    with pytest.raises(UserError, match="2 texts side by side would take x 0.0 GB of memory"):
        evaluation.split_loss("x", LOADED, opt)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"batch_size": -1}, "-batch_size must be at least 0, not -1."),
        ({"seq_length": -1}, "-seq_length must be at least 0, not -1."),
        ({"train_frac": 1.01}, "-train_frac must be from 0 to 1, or -1, not 1.01."),
        ({"val_frac": -0.5}, "-val_frac must be from 0 to 1, or -1, not -0.5."),
        ({"old_exp": 2}, "-old_exp must be 0 or 1, not 2."),
        ({"old_exp": 1, "gpuid": 0}, "-old_exp works on the CPU only: leave -gpuid out."),
        ({"split": "dev"}, "-split must be train, val or test, not dev."),
    ],
)
def test_options_of_eval(options, words):
    with pytest.raises(UserError) as raised:
        EvalOptions(**options)
    assert str(raised.value) == words
    EvalOptions(train_frac=1, val_frac=0, old_exp=1)
    EvalOptions(train_frac=-1, gpuid=0)


# -- the exponential of old ------------------------------------------------------------------------------------------


def test_old_exponential():
    x = np.linspace(0, 20, 2001)
    approximate = legacy_logsoftmax.exp_minus(x)
    assert approximate[0] == 1
    assert (approximate[x >= 13] == 0).all()
    error = approximate / np.exp(-x) - 1
    assert 1e-9 < abs(error[x < 1]).max() < 1e-5
    assert abs(error[x < 6]).max() < 0.02
    # x = 8: the series of exp(1), 1 + 1 + 1/2 + 1/6 + 1/24, to the coefficients' eight digits
    assert float(legacy_logsoftmax.exp_minus(np.array(8.0))) == pytest.approx((65 / 24) ** -8, rel=1e-6)


def test_old_softmax_moves_losses_a_little(corpus):
    options = (EvalOptions(data_dir=str(corpus), old_exp=switch) for switch in (0, 1))
    new, old = (evaluation.split_loss(CHECKPOINT, LOADED, opt) for opt in options)
    assert 1e-6 < abs(new - old) < 1e-3
    assert b"2.87" in run("eval", CHECKPOINT, "-data_dir", str(corpus), "-old_exp", "1").stdout
    assert "leave -gpuid out" in sentence(run("eval", CHECKPOINT, "-old_exp", "1", "-gpuid", "0"))


# -- score -----------------------------------------------------------------------------------------------------------


def bits_one_by_one(text: bytes) -> list[float]:
    predictor = NumpyPredictor(LOADED.network)
    found = [math.log2(len(LOADED.vocab))]
    for a, b in zip(text[:-1], text[1:], strict=True):
        scores = predictor.step(LOADED.vocab[bytes([a])] - 1)
        found.append(-scores[LOADED.vocab[bytes([b])] - 1] / math.log(2))
    return found


@pytest.mark.parametrize("length", [1, 2, 256, 257, 258, 600])
def test_score_is_the_sum_of_surprises(length):
    text = (GOLDEN / "corpus" / "input.txt").read_bytes()[:length]
    score = scoring.score(LOADED, text)
    np.testing.assert_allclose(score.bits, bits_one_by_one(text), atol=1e-11)
    assert b"".join(score.characters) == text
    assert score.bits_per_token == pytest.approx(np.mean(score.bits))


def test_score_of_files_and_standard_input(tmp_path):
    text = (GOLDEN / "corpus" / "input.txt").read_bytes()[:400]
    (tmp_path / "known.txt").write_bytes(text)
    (tmp_path / "odd.txt").write_bytes(text[:200] + b"~~\xff" + text[200:])
    (tmp_path / "empty.txt").touch()
    names = ["known.txt", "odd.txt", "empty.txt", "-"]
    result = run("score", CHECKPOINT, *names, cwd=tmp_path, input=text)
    known, odd, piped = result.stdout.decode().splitlines()
    bits = bits_one_by_one(text)
    per_byte = f"({np.mean(bits):.6f} bits per byte, 400 bytes)"
    want = f"{sum(bits) / 396:.6f} bits per character, 396 characters {per_byte}"
    assert known == f"known.txt: {want}"
    assert piped == f"-: {want}"
    assert odd == f"odd.txt: {want}; left out 3 bytes that the model has never seen: '~' '\\xff'"
    assert sentence(result) == "pycharrnn: empty.txt: empty, so there is nothing to score.\n"
    assert "nowhere.txt" in sentence(run("score", CHECKPOINT, "nowhere.txt"))


def test_of_bytes_the_score_is_also_per_character(tmp_path):
    """So that it compares with that of a model of code points."""
    text = "Tomas \u2013 \u2013 here".encode()
    (tmp_path / "text").write_bytes(text)
    bits = bits_one_by_one(text)
    result = run("score", CHECKPOINT, "text", "-html", "page.html", cwd=tmp_path)
    want = f"{sum(bits) / 14:.6f} bits per character, 14 characters ({np.mean(bits):.6f} bits per byte, 18 bytes)"
    assert result.stdout.decode() == f"text: {want}\nsaved page.html\n"
    assert f"<p>{want}</p>" in (tmp_path / "page.html").read_text(encoding="utf-8")
    score = scoring.score(LOADED, text)
    assert score.bits_per_character == pytest.approx(sum(bits) / 14)
    assert score.bits_per_token == pytest.approx(np.mean(bits))


@pytest.mark.parametrize(
    "text, counted", [(b"", 0), (b"~", 0), (b"The", 3), ("\u00fc\u2013".encode(), 2), (b"\xe2\x80T\x80", 4)]
)
def test_code_points_are_counted_where_a_byte_is_known(text, counted):
    score = scoring.score(LOADED, text)
    assert score.counted_code_points == counted
    assert math.isnan(score.bits_per_character) == (counted == 0)


def test_a_text_alone_has_a_progress_bar(monkeypatch):
    shown = []

    @contextlib.contextmanager
    def bar(label, length, choice=-1):
        done = list[int]()
        yield done.append
        shown.append((label, choice, length, sum(done)))

    monkeypatch.setattr(scoring, "bar", bar)
    text = b"The night " * 100
    for name in ("poem.txt", ""):
        assert next(scoring.scores(LOADED, [text], [name])).known.sum() == 1000
    assert shown == [("poem.txt", -1, 1000, 1000), ("", 0, 1000, 1000)]


def with_vocab(**renamed: str):
    """The checkpoint, with other characters in the places of some."""
    others = {old.encode(): new.encode() for old, new in renamed.items()}
    return dataclasses.replace(LOADED, vocab={others.get(c, c): number for c, number in LOADED.vocab.items()})


def test_characters_of_several_bytes_between_unknown_bytes():
    loaded = with_vocab(h="\u20ac", e="h\u00e9")
    text = b"".join([b"T", "\u20ac".encode(), b"~", "h\u00e9".encode(), b" ", b"\xff", b"\xfe", b"r"])
    found = list(surprise.surprises(NumpyPredictor(loaded.network, 1, 4), 4, loaded.vocab, text, code_points=False))
    characters = [character for character, _ in found]
    assert characters == [b"T", "\u20ac".encode(), b"~", "h\u00e9".encode(), b" ", b"\xff", b"\xfe", b"r"]
    assert [bits is None for _, bits in found] == [False, False, True, False, False, True, True, False]
    np.testing.assert_allclose([bits for _, bits in found if bits is not None], bits_one_by_one(b"The r"), atol=1e-11)


def test_unknown_bytes_are_counted_and_the_most_common_named():
    score = scoring.score(LOADED, b"T" + bytes(range(0xE6, 0xFF)) + b"\xe7\xf8\xf8")
    sentence = scoring.as_sentence(score)
    assert sentence.startswith(f"{math.log2(len(LOADED.vocab)):.6f} bits per character, 1 character; left out 28 bytes")
    named, _, more = sentence.partition(": ")[2].partition(" and ")
    assert more == "5 more"
    assert named.split() == [f"'\\x{byte:02x}'" for byte in (0xF8, 0xE7, 0xE6, *range(0xE8, 0xF8), 0xF9)]


@pytest.mark.parametrize("vocab", [{"h": "\u20ac"}, {}], ids=["some", "ascii"])
def test_of_code_points_an_unknown_one_is_one_character(vocab, tmp_path):
    loaded = dataclasses.replace(with_vocab(**vocab), opt={**LOADED.opt, "encoding": "utf8"})
    checkpoint.convert(loaded, tmp_path / "x.safetensors")
    (tmp_path / "text").write_bytes("T\U0001f600r\U0001f601\U0001f601 ".encode() + b"\xff")
    result = run("score", "x.safetensors", "text", "-html", "page.html", cwd=tmp_path)
    want = f"{np.mean(bits_one_by_one(b'Tr ')):.6f} bits per character, 3 characters; left out 4 characters that the"
    named = 'U+1F601 "\U0001f601" U+1F600 "\U0001f600" \'\\xff\''
    assert result.stdout.decode().startswith(f"text: {want} model has never seen: {named}\n")
    (body,) = re.findall(r"<pre>(.*?)</pre>", (tmp_path / "page.html").read_text(encoding="utf-8"), re.S)
    assert re.sub(r"<[^>]*>", "", body) == "T\U0001f600r\U0001f601\U0001f601 \ufffd"
    assert '<u class="unknown" title="never seen">\U0001f600</u>' in body


def test_a_page_in_a_folder_that_is_not_there_is_refused_before_the_work(tmp_path):
    error = sentence(run("score", "nowhere.t7", "nowhere.txt", "-html", "no/page.html", cwd=tmp_path))
    assert error == "pycharrnn: -html no/page.html: there is no folder no; make it first, or choose another.\n"


@pytest.mark.parametrize("steps", [1, 3, 5, 6, 7])
def test_how_many_characters_are_read_at_once_changes_nothing(steps):
    text = b"The nig"
    predictor = NumpyPredictor(LOADED.network, 1, steps)
    found = [bits for _, bits in surprise.surprises(predictor, steps, LOADED.vocab, text, code_points=False)]
    np.testing.assert_allclose(found, bits_one_by_one(text), atol=1e-11)


TEXT = (GOLDEN / "corpus" / "input.txt").read_bytes()[:700]


@pytest.mark.skipif(kernel_library.library() is None, reason="NumPy's last bits depend on how many rows a product has")
@pytest.mark.parametrize("name", ["lstm2", "gru2", "rnn3"])
def test_a_character_has_the_same_bits_in_blocks_of_any_length_and_beside_any_texts(name, monkeypatch):
    loaded, found = checkpoint.load(last_checkpoint(name)), {}
    for steps in (1, 7, 256):
        monkeypatch.setattr(likelihood, "STEPS", steps)
        found[steps] = scoring.score(loaded, TEXT).bits
        by_one_predictor = scoring.score_by(lambda steps: inference.on_cpu(loaded.network, 1, steps), loaded, TEXT)
        np.testing.assert_array_equal(by_one_predictor.bits, found[steps])
        # Beside texts that end before it, at the same time and after it, and begin once there is room.
        texts = [TEXT[:k] for k in (700, 1, 30, 699, 2, 700, 0, 257, 258)] * 3
        for threads in (1, 2, 5) if steps == 7 else (2,):
            beside = list(scoring.scores(loaded, texts, [""] * len(texts), threads=threads))
            assert [score.characters for score in beside] == [[bytes([b]) for b in text] for text in texts]
            for score in beside:
                np.testing.assert_array_equal(score.bits, found[steps][: len(score.bits)])
    np.testing.assert_array_equal(found[1], found[256])
    np.testing.assert_array_equal(found[7], found[256])


def test_with_the_kernel_and_without_the_same_is_printed(corpus, tmp_path, monkeypatch):
    """Of files of different lengths, in the order in which they are given."""
    for k, length in enumerate((700, 3, 450, 1, 700, 260)):
        (tmp_path / f"{k}.txt").write_bytes(TEXT[k : k + length] + b"\xff" * (k % 2))
    files = [f"{k}.txt" for k in (3, 0, 1, 4, 2, 5, 0)]
    for args in (["score", CHECKPOINT, *files], ["eval", CHECKPOINT, "-data_dir", str(corpus), "-split", "train"]):
        printed = [run(*args, *more, cwd=tmp_path).stdout for more in ([], ["-threads", "2"])]
        with monkeypatch.context() as without:
            without.setenv("PYCHARRNN_KERNEL", "off")
            printed.append(run(*args, cwd=tmp_path).stdout)
        assert printed[0] == printed[1] == printed[2] != b""
        if args[0] == "score":
            assert [line.split(":")[0] for line in printed[0].decode().splitlines()] == files


def test_what_is_wrong_with_a_file_is_said_after_the_scores_of_those_before(tmp_path):
    (tmp_path / "a.txt").write_bytes(TEXT)
    (tmp_path / "b.txt").write_bytes(b"")
    (tmp_path / "c.txt").write_bytes(TEXT[:9])
    result = run("score", CHECKPOINT, "a.txt", "b.txt", "c.txt", "nowhere.txt", "a.txt", cwd=tmp_path)
    assert [line.split(":")[0] for line in result.stdout.decode().splitlines()] == ["a.txt", "c.txt"]
    assert sentence(result).startswith("pycharrnn: can't read nowhere.txt (No such file")
    result = run("score", CHECKPOINT, "b.txt", "a.txt", "b.txt", cwd=tmp_path)
    assert result.stdout.startswith(b"a.txt: ")
    assert sentence(result) == "pycharrnn: b.txt, b.txt: empty, so there is nothing to score.\n"


def test_a_text_that_cannot_be_had_ends_the_others_in_order():
    def texts():
        yield from (TEXT[:40], TEXT[:5])
        raise OSError("no more")

    found = scoring.scores(LOADED, texts(), [""] * 9)
    assert [len(next(found).bits) for _ in range(2)] == [40, 5]
    with pytest.raises(OSError, match="no more"):
        next(found)


def test_how_many_steps_fit_into_memory():
    assert likelihood.block_size(50, 1) == 50
    assert likelihood.block_size(50, (1 << 24) // 30) == 25  # at most 30, and a divisor
    assert likelihood.block_size(50, 1 << 24) == likelihood.block_size(50, 1 << 30) == 1
    assert likelihood.block_size(7, (1 << 24) // 6) == 1


def test_a_page_colored_by_surprise(tmp_path):
    (tmp_path / "a&b.txt").write_bytes("The night é <porter> & co\n".encode())
    result = run("score", CHECKPOINT, "a&b.txt", "-html", "page.html", cwd=tmp_path)
    assert b"saved page.html" in result.stdout
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h2>a&amp;b.txt</h2>" in page
    assert "<script" not in page
    (body,) = re.findall(r"<pre>(.*?)</pre>", page, re.S)
    text = re.sub(r"<[^>]*>", "", body).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    score = scoring.score(LOADED, (tmp_path / "a&b.txt").read_bytes())
    assert text == b"".join(score.characters).decode()
    levels = [int(level) for level in re.findall(r'class="o(\d+)"', body)]
    assert len(set(levels)) > 2
    assert f'title="{score.bits[1]:.1f} bits">h</b>' in body


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_page_of_a_model_whose_training_diverged(tmp_path, value):
    """Characters after the first, which is a guess among all, have no surprise and no color."""
    save_with_weights(tmp_path / "x.safetensors", LOADED, value)
    (tmp_path / "text").write_text("The night porter", encoding="utf-8")
    result = run("score", "x.safetensors", "text", "-html", "page.html", cwd=tmp_path)
    assert b"x.safetensors has weights that are NaN or infinite" in result.stderr
    assert result.stdout == b"text: nan bits per character, 16 characters\nsaved page.html\n"
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert '<pre><b class="o6" title="6.2 bits">T</b>he night porter</pre>' in page


def test_eval_and_score_load_no_pytorch(corpus, tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('torch was imported')", encoding="utf-8")
    for args in (["eval", CHECKPOINT, "-data_dir", str(corpus)], ["score", CHECKPOINT, str(corpus / "input.txt")]):
        result = run(*args, cwd=tmp_path)
        assert result.returncode == 0, result.stderr


def test_eval_names_old_exp_for_a_loss_that_it_explains(corpus, tmp_path):
    path = tmp_path / "old.t7"
    old = evaluation.split_loss(CHECKPOINT, LOADED, EvalOptions(data_dir=str(corpus), old_exp=1))
    checkpoint.convert(dataclasses.replace(LOADED, val_loss=old), path)
    hint = b"older than 27 April 2016, -old_exp 1 gives its val_loss"
    command = ("eval", str(path), "-data_dir", str(corpus))
    assert hint in run(*command).stderr
    for more in (("-old_exp", "1"), ("-split", "train"), ("-batch_size", "3")):
        assert hint not in run(*command, *more).stderr
    assert hint not in run("eval", CHECKPOINT, "-data_dir", str(corpus)).stderr


def test_eval_names_the_split_of_char_rnn_before_mid_june_2015(corpus):
    command = ("eval", str(last_checkpoint("legacy_2015-06-03_lstm")), "-data_dir", str(corpus))
    hint = b"if its char-rnn is of early June 2015 or older, -val_frac 0.049995 gives its val_loss"
    assert hint in run(*command).stderr
    followed = run(*command, "-val_frac", "0.049995")
    assert b"3.27845664 nats per character (val_loss in the checkpoint: 3.27845664)" in followed.stdout
    assert followed.stderr == b""
    older = last_checkpoint("legacy_2015-05-28_lstm")
    certain = b"lm_old_epoch1.00_3.2785.t7: -val_frac 0.049995 gives its val_loss: validation lacked a batch then."
    assert certain in run("eval", str(older), "-data_dir", str(corpus)).stderr
    newer = last_checkpoint("legacy_2015-06-14_lstm")
    assert hint not in run("eval", str(newer), "-data_dir", str(corpus)).stderr


@pytest.mark.parametrize(
    "missed, gpuid, options, words",
    [
        (0, -1, {}, ""),
        (5e-7, -1, {}, ""),
        (1e-5, -1, {}, "if its Torch7 was older than 27 April 2016, -old_exp 1 gives its val_loss."),
        (1e-5, 0, {}, ""),
        (1e-5, -1, {"old_exp": 1}, ""),
        (1e-5, -1, {"split": "test"}, ""),
        (1e-5, -1, {"seq_length": 7}, ""),
        (2e-3, -1, {}, "-val_frac 0.049995 gives its val_loss: validation lacked a batch then."),
        (2e-3, -1, {"val_frac": 0.04}, ""),
    ],
)
def test_a_loss_that_an_older_rule_may_explain(missed, gpuid, options, words):
    opt = {**LOADED.opt, "gpuid": gpuid, "train_frac": 0.95, "val_frac": 0.05}
    loaded = dataclasses.replace(LOADED, opt=opt, val_loss=2.0, era="May 2015")
    said = for_command_line(evaluation.why_not_val_loss("x", loaded, EvalOptions(**options), 2 + missed))
    assert said.endswith(words) if words else said == ""


def test_a_loss_that_no_older_rule_explains():
    """That of the newer char-rnn, of fractions that leave a test split, or of pycharrnn."""
    opt = {**LOADED.opt, "train_frac": 0.95, "val_frac": 0.05}
    loaded = dataclasses.replace(LOADED, opt=opt, val_loss=2.0, era="May 2015")
    assert evaluation.why_not_val_loss("x", loaded, EvalOptions(), 2.1)
    for change in ({"era": ""}, {"opt": {**opt, "train_frac": 0.9}}, {"program": "pycharrnn"}):
        assert evaluation.why_not_val_loss("x", dataclasses.replace(loaded, **change), EvalOptions(), 2.1) == ""
    exact = dataclasses.replace(loaded, opt={**opt, "old_exp": 1})
    said = for_command_line(evaluation.why_not_val_loss("x", exact, EvalOptions(), 2.0))
    assert said == "x was trained with -old_exp 1: add it for the losses of that training."
    assert evaluation.why_not_val_loss("x", exact, EvalOptions(old_exp=1), 2.0) == ""
