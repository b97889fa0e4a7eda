"""What a conversation lets the model read."""

from __future__ import annotations

import item_models
import numpy as np
import pytest
from conftest import run

import pycharrnn
from pycharrnn.checkpoints import checkpoint
from pycharrnn.sampling.chat import Chat
from pycharrnn.sampling.options import ChatOptions
from pycharrnn.sampling.predictor import Predictor

NOTE = "is a model of items: an answer is another item, which doesn't continue your line."
VOCAB = {b"a": 1, b"\n": 2, b"b": 3}


class Always(Predictor):
    """A predictor that predicts one character, and remembers what it has read."""

    vocab_size = len(VOCAB)
    num_streams = 1
    select_streams = None

    def __init__(self, index: int):
        self._log_probs = np.where(np.arange(3) == index, 0.0, -1e9)
        self.text: list[int] = []

    def read(self, token_ids: np.ndarray) -> np.ndarray:
        self.text += token_ids[0].tolist()
        return self._log_probs[None, None]


def answered(chat: Chat, line: bytes) -> bytes:
    return b"".join(one.character for one in chat.answer(line))


def test_the_model_reads_each_character_once():
    """Also the last one of an answer, which it reads before the next line."""
    predictor = Always(2)
    chat = Chat(predictor, VOCAB, ChatOptions(length=3))
    assert answered(chat, b"a\n") == b"bbb"
    assert predictor.text == [0, 1, 2, 2]
    assert answered(chat, b"aa\n") == b"bbb"
    assert predictor.text == [0, 1, 2, 2, 2, 0, 0, 1, 2, 2]


def test_each_answer_has_a_seed_of_its_own():
    """Else the same line would have the same answer."""

    def chat(seed: int) -> Chat:
        evenly = Always(0)
        evenly._log_probs = np.log(np.full(3, 1 / 3))
        return Chat(evenly, {b"a": 1, b"b": 2, b"c": 3}, ChatOptions(length=40, seed=seed))

    first, second = chat(5), chat(6)
    assert [answered(first, b"a") for _ in range(2)] == [answered(chat(5), b"a"), answered(second, b"a")]
    assert answered(first, b"a") == answered(second, b"a") != answered(second, b"a")


def test_an_answer_ends_with_its_line():
    predictor = Always(1)
    chat = Chat(predictor, VOCAB, ChatOptions())
    assert answered(chat, b"a\n") == b""  # the newline is not a part of it
    assert answered(chat, b"b\n") == b""
    assert predictor.text == [0, 1, 1, 2, 1]
    assert chat.is_empty
    assert answered(Chat(Always(1), VOCAB, ChatOptions(stop="\n")), b"a\n") == b""
    assert answered(Chat(Always(1), VOCAB, ChatOptions(stop="\n\n")), b"a\n") == b"\n\n"


@pytest.mark.parametrize("index, stop", [(0, ""), (1, "\n"), (1, "\n\n")], ids=["text", "-stop", "empty line"])
@pytest.mark.parametrize("length", [1, 3])
def test_an_answer_with_text_or_another_end_is_not_empty(index, stop, length):
    chat = Chat(Always(index), VOCAB, ChatOptions(stop=stop, length=length))
    answered(chat, b"a\n")
    assert not chat.is_empty


def test_what_the_model_has_never_seen_is_left_out():
    chat = Chat(Always(1), VOCAB, ChatOptions())
    assert chat.without_unknown(b"a~b\xff\n") == (
        b"ab\n",
        "the characters U+007E \"~\" and '\ufffd' (byte 0xff), which the model has never seen",
    )


def test_the_end_of_a_line_of_windows_is_that_of_other_lines():
    assert Chat(Always(1), VOCAB, ChatOptions()).without_unknown(b"ab\r\n") == (b"ab\n", "")
    with_cr = {**VOCAB, b"\r": len(VOCAB) + 1}
    assert Chat(Always(1), with_cr, ChatOptions()).without_unknown(b"ab\r\n") == (b"ab\r\n", "")


@pytest.mark.parametrize("learn", ["0", "1"])
@pytest.mark.parametrize("kind", ["line", "blank"])
def test_a_chat_begins_with_an_item(tmp_path, kind, learn):
    """As generate and items do: a model of items has never read a text that begins otherwise."""
    loaded, path = item_models.decided(kind, letters="abcd"), tmp_path / "model.t7"
    loaded.network.weights["decoder.bias"][loaded.network.end_id] -= 9
    checkpoint.convert(loaded, path)
    flags = ["-gpuid", "-1", "-seed", "3", "-length", "9", "-temperature", "0.2", "-learn", learn]
    done = run("chat", str(path), *flags, input=b"ca")  # no line break, so that the answer continues the item
    answer = pycharrnn.load(path).generate("ca", length=9, seed=3, temperature=0.2)[2:]
    assert done.stdout.decode().rstrip("\n") == answer.partition("\n")[0]
    assert (NOTE in done.stderr.decode()) == (kind == "line")


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_model_without_line_breaks_reads_none(end):
    chat = Chat(Always(0), {b"a": 1, b"b": 2, b"c": 3}, ChatOptions(length=2))
    assert chat.without_unknown(b"ab" + end) == (b"ab", "")


def test_a_chat_that_is_refused_saves_nothing(tmp_path):
    item_models.saved(tmp_path, "", letters="abc")
    args = ["chat", "cv/lm_list_best.t7", "-learn", "1", "-length", "3"]
    done = run(*args, "-o", "a.t7", "-stop", "@", input=b"ab\n", cwd=tmp_path)
    assert done.returncode == 1 and b"-stop" in done.stderr and not (tmp_path / "a.t7").exists()
    assert b"saved a.t7" in run(*args, "-o", "a.t7", input=b"ab\n", cwd=tmp_path).stderr
