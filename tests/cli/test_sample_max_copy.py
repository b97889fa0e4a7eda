"""`sample` and `chat` with -max_copy, as a user runs them."""

from __future__ import annotations

import dataclasses

import item_models
import numpy as np
import pytest
from conftest import run, sentence

from pycharrnn.checkpoints import checkpoint

SAMPLE = ("sample", "cv/lm_list_best.t7", "-gpuid", "-1")
N = 3
TEXT = bytes(np.random.default_rng(1).choice([*b"abc\n"], 120).tolist())


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a model of a text and the text."""
    folder = tmp_path_factory.mktemp("home")
    item_models.saved(folder, "", TEXT, letters="abc")
    return folder


def drawn(home, *more: str, said: bytes = b"") -> bytes:
    done = run(*SAMPLE, "-verbose", "0", "-length", "300", "-max_copy", f"{N}", *more, cwd=home)
    assert (done.returncode, done.stderr) == (0, said)
    return done.stdout


def has_copy(text: str | bytes, given: int, of: str | bytes = TEXT) -> bool:
    """Whether a passage of N+1 characters of the text ends behind the first `given` ones."""
    return any(text[k - N : k + 1] in of for k in range(max(given, N), len(text)))


@pytest.mark.parametrize("more", [(), ("-sample", "0"), ("-beam", "3"), ("-topk", "2"), ("-unicode", "1")], ids=str)
def test_nothing_longer_is_copied(home, more):
    found = drawn(home, "-primetext", "abca", *more)
    assert len(found) > 300 and not has_copy(found, 4)
    plain = run(*SAMPLE, "-verbose", "0", "-length", "300", "-primetext", "abca", *more, cwd=home).stdout
    assert has_copy(plain, 4)


def test_many_samples_are_those_of_their_seeds(home):
    found = drawn(home, "-samples", "3", "-o", "many", "-primetext", "b")
    assert found == b""
    for seed in (123, 125):
        file = (home / "many" / f"sample_{seed}.txt").read_bytes()
        assert file.rstrip(b"\n") == drawn(home, "-seed", f"{seed}", "-primetext", "b").rstrip(b"\n")
        assert not has_copy(file, 1)


def test_another_text_may_be_named(home):
    (home / "other.txt").write_bytes(b"cba\nbbbb\n")
    found = drawn(home, "-text", "other.txt", "-primetext", "c")
    assert has_copy(found, 1) and not has_copy(found, 1, b"cba\nbbbb\n")


def test_a_model_of_files_is_compared_with_a_file_of_any_length(tmp_path):
    """Such as a novel that its items were trained after: one item, longer than training takes any."""
    item_models.saved(tmp_path, "file", letters="abc\n")
    (tmp_path / "novel.txt").write_bytes(b"xyz\n" * 250_000 + TEXT)
    flags = ("-verbose", "0", "-items", "20", "-max_copy", f"{N}", "-text", "novel.txt")
    done = run(*SAMPLE, *flags, cwd=tmp_path)
    assert done.returncode == 0 and len(done.stdout) > 50 and not has_copy(done.stdout.replace(b"\n%\n", b"%"), 0)


def test_a_sample_that_can_not_go_on_says_so(home):
    """After every character any other stands somewhere in the text."""
    done = run(*SAMPLE, "-verbose", "0", "-max_copy", "1", "-primetext", "a", cwd=home)
    assert done.returncode == 0 and len(done.stdout) < 10
    assert done.stderr.decode() == (
        "pycharrnn: the sample of -seed 123 ends early: every character that could follow would copy more than 1"
        " characters of the text; raise -max_copy.\n"
    )
    many = run(*SAMPLE, "-verbose", "0", "-max_copy", "1", "-samples", "3", cwd=home)
    assert many.stderr.startswith(b"pycharrnn: 3 samples, the first that of -seed 123, end early:")
    talk = run("chat", "cv/lm_list_best.t7", "-max_copy", "1", cwd=home, input=b"ab\nc\n")
    assert talk.returncode == 0 and talk.stderr.count(b"ends early: every character") == 2


def of_bytes_of_utf8(folder, text: str) -> None:
    """A model whose unit 0 knows the first byte of an umlaut: a continuation byte follows it, and nothing else."""
    loaded = item_models.made("", "rnn", "abcéö", data_dir="data/list")
    weights = {name: np.zeros_like(weight) for name, weight in loaded.network.weights.items()}
    weights["i2h_1.bias"][0], weights["i2h_1.weight"][0, loaded.vocab[b"\xc3"] - 1] = -9, 18
    weights["i2h_2.weight"][0, 0] = 9
    for byte in (b"\xa9", b"\xb6"):
        weights["decoder.weight"][loaded.vocab[byte] - 1, 0] = 20
    loaded.network = dataclasses.replace(loaded.network, weights=weights)
    (folder / "input.txt").write_text(text)
    (folder / "cv").mkdir()
    checkpoint.convert(loaded, folder / "cv" / "lm_list_best.t7")


@pytest.mark.parametrize("more", [(), ("-sample", "0"), ("-beam", "3"), ("-topk", "3"), ("-samples", "2")], ids=str)
def test_a_model_of_bytes_draws_whole_characters(tmp_path, more):
    text = "".join(np.random.default_rng(2).choice([*"aabbcéö\n"], 150).tolist())
    of_bytes_of_utf8(tmp_path, text)
    flags = ("-verbose", "0", "-length", "400", "-primetext", "aé", *more)
    plain = run(*SAMPLE, *flags, cwd=tmp_path).stdout.decode()
    limited = run(*SAMPLE, *flags, "-max_copy", f"{N}", "-text", "input.txt", cwd=tmp_path).stdout.decode()
    assert len(plain) > 200 and len(limited) > 200 and not has_copy(limited, 2, text)
    assert has_copy(plain, 2, text) or more in (("-sample", "0"), ("-beam", "3"))  # one character, again and again


def test_what_can_not_be_is_refused(home, tmp_path):
    for more, words in (
        (("-max_copy", "-1"), "-max_copy must be from 1 to 1e12, or 0, not -1."),
        (("-max_copy", "3", "-text", "none.txt"), "none.txt"),
        (("-text", "other.txt"), "-text other.txt is for -max_copy N: add that, or leave -text out."),
    ):
        done = run(*SAMPLE, *more, cwd=home)
        assert words in sentence(done)
    done = run("chat", "cv/lm_list_best.t7", "-text", "other.txt", cwd=home, input=b"ab\n")
    assert "-text other.txt is for -max_copy N: add that, or leave -text out." in sentence(done)
    item_models.saved(tmp_path, "", None, letters="abc")
    done = run(*SAMPLE, "-max_copy", "3", cwd=tmp_path)
    assert "is not here" in sentence(done)


def test_more_than_the_text_has_is_no_limit(home):
    plain = run(*SAMPLE, "-verbose", "0", cwd=home).stdout
    assert run(*SAMPLE, "-verbose", "0", "-max_copy", "5000", cwd=home).stdout == plain


@pytest.mark.parametrize("command", ["sample", "chat"])
def test_a_text_that_can_be_read_only_once_is_refused(home, command):
    done = run(command, *SAMPLE[1:], "-max_copy", "3", "-text", "-", input=TEXT, cwd=home)
    assert "-max_copy can't take -text from a pipe: save the text as a file, and name that." in sentence(done)


@pytest.mark.parametrize(("command", "kind"), [("sample", ""), ("sample", "line"), ("chat", ""), ("chat", "line")])
def test_files_of_a_folder_that_are_left_out_are_noted_once(tmp_path, command, kind):
    """In the words of `train FOLDER`."""
    item_models.saved(tmp_path, kind, letters="abc")
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_bytes(30 * TEXT)
    (texts / "empty.txt").write_bytes(b"")
    (texts / "text.pdf").write_bytes(b"%PDF-1.7\n")
    more = ("-length", "40") if command == "sample" else ()
    done = run(command, *SAMPLE[1:], "-max_copy", "9", "-text", "texts", *more, cwd=tmp_path, input=b"ab\n")
    trained = run("train", "texts", "-gpuid", "-1", "-rnn_size", "4", "-max_epochs", "0.01", cwd=tmp_path)
    notes, of_training = (
        [line for line in said.stderr.decode().splitlines() if ": left out, since " in line] for said in (done, trained)
    )
    assert done.returncode == 0 and notes == of_training and len(notes) == 2


@pytest.mark.parametrize("command", ["sample", "chat"])
def test_a_model_of_data_dir_takes_a_folder_of_texts(tmp_path, command):
    item_models.saved(tmp_path, "", letters="abc", from_texts=0)
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_bytes(30 * TEXT)
    flags = (command, *SAMPLE[1:], *(("-length", "300") if command == "sample" else ()))
    free = run(*flags, cwd=tmp_path, input=b"ab\n").stdout
    (texts / "b.txt").write_bytes(free)
    limited = run(*flags, "-max_copy", f"{N}", "-text", "texts", cwd=tmp_path, input=b"ab\n")
    assert limited.returncode == 0 and limited.stdout != free
    for wrong, said in (("cv/lm_list_best.t7", "is a checkpoint"), ("none/x.txt", "name a text file or a folder of")):
        done = run(*flags, "-max_copy", f"{N}", "-text", wrong, cwd=tmp_path, input=b"ab\n")
        assert said in sentence(done)


@pytest.mark.parametrize(("command", "kind"), [("sample", ""), ("sample", "line"), ("chat", ""), ("chat", "line")])
def test_the_encoding_of_the_text_can_be_named(tmp_path, command, kind):
    """A detected encoding is noted, with the flag that overrules it."""
    item_models.saved(tmp_path, kind, letters="abc")
    (tmp_path / "old.txt").write_bytes(30 * "abc é bca\n".encode("cp1252"))
    flags = (*SAMPLE[1:], "-max_copy", "9", "-text", "old.txt", *(("-length", "40") if command == "sample" else ()))
    done = run(command, *flags, cwd=tmp_path, input=b"ab\n")
    notes = [line for line in done.stderr.decode().splitlines() if "-text_encoding" in line]
    assert done.returncode == 0 and len(notes) == 1 and notes[0].endswith("; -text_encoding overrules this.")
    named = run(command, *flags, "-text_encoding", "latin-1", cwd=tmp_path, input=b"ab\n")
    assert named.returncode == 0 and b"overrules" not in named.stderr
    unread = run(command, *flags, "-text_encoding", "ascii", cwd=tmp_path, input=b"ab\n")
    assert unread.returncode == 1 and b"old.txt can't be decoded as ascii at offset 4" in unread.stderr


@pytest.mark.parametrize(("command", "files"), [("sample", "files of -primefile and -text"), ("chat", "file of -text")])
def test_an_encoding_without_a_file_is_refused(home, command, files):
    done = run(command, *SAMPLE[1:], "-text_encoding", "cp1252", cwd=home, input=b"ab\n")
    assert f"-text_encoding is for the {files}: leave it out." in sentence(done)


@pytest.mark.parametrize("command", ["sample", "chat"])
@pytest.mark.parametrize(
    ("kind", "text"),
    [("", b"%PDF-1.7\n\0\1" + TEXT), ("", b""), ("file", b"%PDF-1.7\n\1\xffab\x1ebca\x1e" + TEXT)],
    ids=["binary", "empty", "with U+001E"],
)
def test_an_input_txt_is_taken_as_it_is(tmp_path, command, kind, text):
    """Training takes it by -data_dir, and a file with U+001E also by `train FILE -items file`."""
    item_models.saved(tmp_path, kind, letters="abc\n", from_texts=0)
    (tmp_path / "input.txt").write_bytes(text)
    more = ("-verbose", "0", "-length", "300") if command == "sample" else ()
    done = run(command, *SAMPLE[1:], "-max_copy", f"{N}", "-text", "input.txt", *more, cwd=tmp_path, input=b"ab\n")
    assert done.returncode == 0 and b"input.txt" not in done.stderr
    if command == "sample" and text:
        assert len(done.stdout) > 50 and not has_copy(done.stdout.replace(b"\n%\n", b"%"), 0)
