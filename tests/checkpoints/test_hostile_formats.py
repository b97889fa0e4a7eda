"""Files of other formats that are made to deceive: one sentence, and memory in proportion to their size."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import re
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from kinds import loaded

from compat.charrnn import Checkpoint
from compat.escape import escape_line
from pycharrnn.checkpoints import checkpoint, formats, protobuf_fields, pytorch_file
from pycharrnn.checkpoints.protobuf_fields import FieldReader
from pycharrnn.common.errors import UserError
from pycharrnn.engine.model import CharRNN
from pycharrnn.text import corpus


def written(tmp_path, ending: str, kind: str = "rnn") -> bytes:
    checkpoint.convert(loaded(kind), tmp_path / f"whole{ending}")
    return (tmp_path / f"whole{ending}").read_bytes()


def refused(tmp_path, ending: str, content: bytes, words: str, factor: float = 3) -> None:
    """Reading it raises a sentence with these words, and takes no more memory than it may."""
    path = tmp_path / f"x{ending}"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=words) as caught:
            checkpoint.load(path)
        assert tracemalloc.get_traced_memory()[1] < factor * len(content) + (100 << 20)
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert escape_line(text, 1000) == text
    assert text.startswith(f"can't read {path} as a checkpoint: it")


@pytest.mark.parametrize("ending", [e for e in formats.ENDINGS if e != ".t7"])
def test_prefixes_and_other_files(tmp_path, ending):
    whole = written(tmp_path, ending)
    for end in [*range(0, 200, 7), *range(200, len(whole), len(whole) // 60), len(whole) - 1]:
        refused(tmp_path, ending, whole[:end], "it")
    for content, words in (
        (b"<html>", "a web page"),
        (b"\7" * 1000, "not "),
        (b"\x80\x04\x95\x10\0\0\0\0\0\0\0}\x94\x8c\x01a\x94K\x01s.", "a Python pickle"),
        (b"", "empty"),
    ):
        refused(tmp_path, ending, content, f"it is {words}")
    for other in formats.ENDINGS:
        if other not in (ending, ".t7"):
            refused(tmp_path, ending, written(tmp_path, other), "it is ")


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs /dev/zero")
def test_a_device_is_no_file(tmp_path):
    for ending in (".json", ".pt", ".onnx"):
        (tmp_path / f"x{ending}").symlink_to("/dev/zero")
        with pytest.raises(UserError, match="a device or a pipe"):
            checkpoint.load(tmp_path / f"x{ending}")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs mkfifo")
@pytest.mark.parametrize("ending", formats.ALL_ENDINGS)
def test_a_pipe_is_no_file(tmp_path, ending):
    """A test that waits for the pipe never ends."""
    os.mkfifo(tmp_path / f"x{ending}")
    with pytest.raises(UserError, match="a device or a pipe"):
        checkpoint.load(tmp_path / f"x{ending}")


# -- JSON ------------------------------------------------------------------------------------------------------------


def with_weights(text: str, change) -> bytes:
    content = json.loads(text)
    change(content)
    return json.dumps(content).encode()


def test_json_of_other_programs_is_read(tmp_path):
    content = json.loads(written(tmp_path, ".json"))
    backwards = dict(reversed(content["weights"].items()))
    for k, text in enumerate(
        (
            json.dumps(content, indent=1),
            json.dumps(content, separators=(",", ":")),
            json.dumps(content, sort_keys=True),
            json.dumps(content, ensure_ascii=False) + "\r\n",
            json.dumps({**content, "weights": backwards}),
        )
    ):
        (tmp_path / f"{k}.json").write_text(text, encoding="utf-8")
        again = checkpoint.load(tmp_path / f"{k}.json").network.weights
        assert list(again) == list(loaded("rnn").network.weights)
        assert all(np.array_equal(again[name], w) for name, w in loaded("rnn").network.weights.items())


def test_numbers_that_json_lacks(tmp_path):
    content = json.loads(written(tmp_path, ".json"))
    content["weights"]["decoder.bias"][:4] = [float("nan"), float("inf"), -float("inf"), 7]
    (tmp_path / "x.json").write_text(json.dumps(content), encoding="utf-8")
    found = checkpoint.load(tmp_path / "x.json").network.weights["decoder.bias"][:4]
    np.testing.assert_array_equal(found, [np.nan, np.inf, -np.inf, 7])


BIAS, WEIGHT = "decoder.bias", "decoder.weight"


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda c: c["weights"][BIAS].append(1.5), r"its decoder.bias is not of the shape \(73,\)"),
        (lambda c: c["weights"][BIAS].pop(), "not of the shape"),
        (lambda c: c["weights"].update({BIAS: []}), "not of the shape"),
        (lambda c: c["weights"].update({BIAS: [[1.0] * 73]}), "something that is not a number"),
        (lambda c: c["weights"].update({BIAS: [None] * 73}), "something that is not a number"),
        (lambda c: c["weights"].update({BIAS: ["1"] * 73}), "something that is not a number"),
        (lambda c: c["weights"].update({BIAS: [True] * 73}), "something that is not a number"),
        (lambda c: c["weights"].update({BIAS: {}}), r"have no \["),
        (lambda c: c["weights"][WEIGHT].pop(), r"have no ,"),
        (lambda c: c["weights"][WEIGHT].append([1.0] * 18), r"have no \]"),
        (lambda c: c["weights"][WEIGHT][3].pop(), "not of the shape"),
        (lambda c: c["weights"].pop(BIAS), "have no ,"),
        (lambda c: c["weights"].update(more=[1.0]), "have no }"),
        (lambda c: c.update(weights=[[0] * 9999]), "have no {"),
        (lambda c: c.update(weights={"\u001b[2J": [0] * 9999}), "break off at byte"),
        (lambda c: c.update(weights={"x.y": [0] * 9999}), "its weights have x.y once too often"),
        (lambda c: c.update(rnn_size=1 << 30), r"parameters, which its \d+ bytes can't hold"),
        (lambda c: c.update(num_layers=9_999, rnn_size=(1 << 31) - 1), "bytes can't hold"),
        (lambda c: c.update(after=1), "have no }"),
        (lambda c: c.update(weights=c.pop("i")), "metadata are not pycharrnn's"),
        (lambda c: c.update(model="transformer"), "its model is"),
        (lambda c: c.update(tensor_type="torch.QuarterTensor"), "its tensor_type is none of Torch7's"),
        (lambda c: c["vocab"].insert(0, 1), "its vocabulary holds something that is not a list of bytes"),
        (lambda c: c.clear(), "it is not a JSON file of pycharrnn's"),
    ],
    ids=range(24),
)
def test_json_that_is_no_checkpoint(tmp_path, change, words):
    refused(tmp_path, ".json", with_weights(written(tmp_path, ".json").decode(), change), words)


@pytest.mark.parametrize("content", [{"i": 1000, "val_loss_history": [1.3]}, {"token_to_idx": {"a": 1}}])
def test_json_of_torch_rnn(tmp_path, content):
    """One lies beside each of its checkpoints, and one beside its text."""
    refused(tmp_path, ".json", json.dumps(content).encode(), r"without weights: name .* cv/checkpoint_\*\.t7")


@pytest.mark.parametrize(
    "old, new, words",
    [
        (b'"decoder.bias": [', lambda: b'"decoder.bias": [1e999999999999, ', "not of the shape"),
        (b'"decoder.bias": [', lambda: b'"decoder.bias": [1.5.5, ', "not of the shape|no number"),
        (b'"program": "', lambda: b'"program": "\xc3\xa9', "its program is not a short text"),
        (b'"i": ', lambda: b'"i": 1, "i": ', "metadata are not pycharrnn's"),
        (b'"weights": {', lambda: b'"weights": {"decoder.bias": [1], "weights": {', "its weights|metadata"),
        (b'"opt": {', lambda: b'"opt": {"weights": 1, "x": ', "metadata are not"),
        (b"}}", lambda: b"}} trailing", "it has something after its weights"),
        (b"}}", lambda: b"}" + b" " * (5 << 20) + b"]", "have no }"),
        (
            b'"vocab": [',
            lambda: b'"vocab": [' + b"[]," * 4_000_000,
            "unfold to far more|not pycharrnn's|its vocabulary",
        ),
        (b'"era": "', lambda: b'"era": "' + "\U0001f600".encode() * 20_000_000, "more text beyond ASCII than"),
        (b'"era": "', lambda: b'"era": "' + "\U0001f600".encode() + b"a" * 3_000_000, "more text beyond ASCII than"),
        (b'"era": "', lambda: b'"era": "\\ud83d\\ude00' + b"a" * 3_000_000, "more text beyond ASCII than"),
        (
            b'"era": "',
            lambda: b'"era": "' + ("\u00e9" + "a" * 999_999 + '\\"').encode() * 3,
            "more text beyond ASCII than",
        ),
        (b'"era": "', lambda: b'"era": "' + b"\\n" * 1_100_000, "more text beyond ASCII than"),
    ],
    ids=range(14),
)
def test_json_text_that_deceives(tmp_path, old, new, words):
    whole = written(tmp_path, ".json")
    assert old in whole
    refused(tmp_path, ".json", whole.replace(old, new()), words)


@pytest.mark.parametrize("blanks", ["", " "])
def test_a_row_without_its_only_number_is_no_weight(tmp_path, blanks):
    """A row of one number has no comma, whether the number is there or not."""
    network = CharRNN("rnn", 2, 1, 1).as_checkpoint({b"a": 1, b"b": 2}, {}).network
    path = tmp_path / "x.json"
    checkpoint.convert(Checkpoint(network, {b"a": 1, b"b": 2}, {}), path)
    content = re.sub(r'("h2h_1.weight": )\[\s*\[[^\]]*\]', rf"\1[[{blanks}]", path.read_text())
    assert f"[[{blanks}]]" in content
    path.write_text(content)
    with pytest.raises(UserError, match=r"its h2h_1\.weight has something that is not a number"):
        checkpoint.load(path)


def test_truncated_json_is_damaged(tmp_path):
    """Also where so few of the weights are left that the metadata seem to promise too many."""
    whole = written(tmp_path, ".json")
    start = whole.rindex(b'"weights"')
    for length in (50, start - 1, start + 300, (start + len(whole)) // 2, len(whole) - 1):
        refused(tmp_path, ".json", whole[:length], "ends too early.*; use another copy of the file")


@pytest.mark.parametrize("end", [10, 200])
def test_truncated_safetensors_are_damaged(tmp_path, end):
    whole = written(tmp_path, ".safetensors")
    assert int.from_bytes(whole[:8], "little") > 200
    refused(tmp_path, ".safetensors", whole[:end], "it ends too early, within its header")


def test_many_short_numbers_take_no_more_than_their_share(tmp_path):
    """Two bytes of text for eight of memory: refused where that is much."""
    content = json.loads(written(tmp_path, ".json", "utf8"))
    content.pop("weights")
    content |= {"model": "rnn", "rnn_size": 8_000, "num_layers": 1}
    weights = b'"weights": {"h2h_1.weight": [' + b",".join([b"[" + b"0," * 7_999 + b"0]"] * 8_000) + b"]}}"
    refused(tmp_path, ".json", json.dumps(content).encode()[:-1] + b"," + weights, "bytes can't hold")


# -- PyTorch ---------------------------------------------------------------------------------------------------------


def repacked(content: bytes, change=lambda name, data: data, compression=zipfile.ZIP_STORED, more=()) -> bytes:
    """A file of torch.save with other files in it."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(out, "w", compression) as after:
        for name in before.namelist():
            after.writestr(name, change(name, before.read(name)))
        for name, data in more:
            after.writestr(name, data)
    return out.getvalue()


def with_pickle(content: bytes, old: bytes, new: bytes) -> bytes:
    def change(name: str, data: bytes) -> bytes:
        if not name.endswith("data.pkl"):
            return data
        assert old in data
        return data.replace(old, new, 1)

    return repacked(content, change)


def saved(state: object) -> bytes:
    out = io.BytesIO()
    torch.save(state, out)
    return out.getvalue()


def test_a_zip_bomb(tmp_path):
    whole = written(tmp_path, ".pt")
    refused(tmp_path, ".pt", repacked(whole, compression=zipfile.ZIP_DEFLATED), "a packed zip archive")
    bomb = repacked(whole, lambda name, data: bytes(200 << 20) if name.endswith("/3") else data, zipfile.ZIP_DEFLATED)
    refused(tmp_path, ".pt", bomb, "a packed zip archive")
    claims = whole.replace(struct.pack("<II", 73 * 8, 73 * 8), struct.pack("<II", 1 << 31, 1 << 31))
    assert claims != whole
    refused(tmp_path, ".pt", claims, "claim|a broken file of torch.save")
    overlapping = b"PK\1\2" * 200_000
    refused(tmp_path, ".pt", b"PK\3\4_extra_state" + overlapping, "more than 100000 files")


@pytest.mark.parametrize("name", ["archive/DATA.PKL", "archive/data.pkl", "other/data.pkl"])
def test_two_files_of_a_name(tmp_path, name):
    with pytest.warns() if name == "archive/data.pkl" else pytest.MonkeyPatch.context():
        content = repacked(written(tmp_path, ".pt"), more=[(name, b"x")])
    refused(tmp_path, ".pt", content, "names that torch.save does not give")


def test_a_file_of_many_names(tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/_extra_state", bytes(10_000))
        for number in range(9):
            entry = copy.copy(archive.filelist[0])
            entry.filename = f"archive/data/{number}"
            archive.filelist.append(entry)
    refused(tmp_path, ".pt", out.getvalue(), "files that claim more than it holds")


def test_an_archive_without_a_pickle(tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/_extra_state", b"x")
    refused(tmp_path, ".pt", out.getvalue(), "a zip archive without what torch.save writes into it")


def test_two_directories(tmp_path):
    """In an archive after another one of the same sizes, zipfile finds the files of the last, PyTorch of the first."""
    whole = written(tmp_path, ".pt")
    good, other = repacked(whole), with_pickle(whole, b"decoder.bias", b"other.biases")
    assert len(good) == len(other)
    (tmp_path / "x.pt").write_bytes(other + good)
    found = checkpoint.load(tmp_path / "x.pt").network.weights
    assert all(np.array_equal(found[name], w) for name, w in loaded("rnn").network.weights.items())


def test_other_files_of_an_archive_are_not_for_pytorch(tmp_path):
    """By the first, it takes weights for a program of torch.jit, which versions before 2.6 run."""
    content = repacked(written(tmp_path, ".pt"), more=[("archive/constants.pkl", b"x"), ("archive/" + "x" * 9999, b"")])
    (tmp_path / "x.pt").write_bytes(content)
    assert checkpoint.load(tmp_path / "x.pt").vocab == loaded("rnn").vocab


def test_a_record_of_the_longest_name(tmp_path):
    """It is too long for another folder."""
    name = "0" * (0xFFFF - len("/data/"))
    text = b"X" + struct.pack("<I", len(name)) + name.encode()
    content = with_pickle(written(tmp_path, ".pt"), b"X\x01\0\0\x000", text)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(out, "w") as after:
        for entry in before.namelist():
            after.writestr(entry.replace("archive/data/0", f"/data/{name}").removeprefix("archive"), before.read(entry))
    refused(tmp_path, ".pt", out.getvalue(), "it is a broken file of torch.save")


class Harm:
    def __reduce__(self):
        return (exec, ("raise SystemExit(7)",))


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_that_would_do_something(tmp_path, protocol):
    whole = written(tmp_path, ".pt")
    harm = pickle.dumps({"_extra_state": Harm()}, protocol)
    content = repacked(whole, lambda name, data: harm if name.endswith("data.pkl") else data)
    refused(tmp_path, ".pt", content, "its pickle asks for (builtins|__builtin__) exec|asks for STACK_GLOBAL")
    refused(tmp_path, ".pt", saved({"_extra_state": "x", "a": Harm()}), "its pickle asks for")
    refused(tmp_path, ".pt", saved({"_extra_state": torch.nn.Linear(2, 2)}), "its pickle asks for torch.nn")


def test_classes_that_weights_only_would_make(tmp_path):
    """bytearray(10**10) and torch.Tensor(10**10) are allowed by PyTorch."""
    for value in (bytearray(5), torch.nn.Parameter(torch.zeros(3)), torch.zeros(3).to_sparse(), torch.Size([1])):
        refused(tmp_path, ".pt", saved({"_extra_state": "x", "a": value}), "its pickle asks for")


@pytest.mark.parametrize(
    "tuples",
    [
        b")\x85\x85",  # (((),),)
        b"K\x01\x85K\x01\x86",  # ((1,), 1)
        b"K\x01\x85NN\x87",
        b"((K\x01tt",
        b"(tr\xff\0\0\0j\xff\0\0\0\x85",  # by what is remembered as 255
        b"(K\x01tr\xff\0\0\0\x85Rj\xff\0\0\0",
        b"(K\x01tK\x010\x85",
    ],
    ids=range(7),
)
def test_no_key_is_nested(tmp_path, tuples):
    """Python's hash of a million tuples, each within the next, overflows the stack."""
    content = with_pickle(written(tmp_path, ".pt"), b"X\x0c\0\0\0decoder.bias", tuples + b"X\1\0\0\0x")
    refused(tmp_path, ".pt", content, "it holds more than the state_dict of a model")


@pytest.mark.parametrize("number", [(1 << 61) - 1, -1, 1 << 40])
def test_no_key_is_a_number_beyond_the_size_of_the_file(tmp_path, number):
    """A dict of very many numbers that have the same hash, as multiples of 2^61 - 1 have, takes quadratic time."""
    key = b"\x8a\x08" + number.to_bytes(8, "little", signed=True)
    content = with_pickle(written(tmp_path, ".pt"), b"X\x0c\0\0\0decoder.bias", key)
    refused(tmp_path, ".pt", content, "it holds more than the state_dict of a model")


@pytest.mark.parametrize(
    "more", [{"betas": (0.9, 0.999)}, {"seed": 1 << 40}, {"best": -1}, {"x": torch.ones(1, 1, 1, 2)}]
)
def test_a_state_dict_among_other_things(tmp_path, more):
    """As PyTorch's tutorials save the state of an optimizer beside that of the model."""
    whole = torch.load(io.BytesIO(written(tmp_path, ".pt")), weights_only=True)
    words = "it holds more than the state_dict of a model: write that alone by torch.save"
    refused(tmp_path, ".pt", saved({"model": whole, **more}), words)


def test_a_tensor_claims_no_more_than_its_record_has(tmp_path):
    whole = written(tmp_path, ".pt")
    # The bias of the decoder has 73 elements, the last number before the tuple of its storage ends.
    for new in (b"K\x4a", b"K\x48", b"J\0\x04\0\0"):
        refused(tmp_path, ".pt", with_pickle(whole, b"KIt", new + b"t"), "claim other numbers than it holds")
    for new in (b"J\xff\xff\xff\x7f", b"\x8a\x08" + b"\xff" * 7 + b"\x7f"):
        refused(tmp_path, ".pt", with_pickle(whole, b"KIt", new + b"t"), "it holds more than the state_dict of a model")
    for old, new in (
        (b"ctorch\nDoubleStorage\n", b"ccollections\nOrderedDict\n"),
        (b"X\x01\0\0\x000", b"X\x01\0\0\0x"),
    ):
        refused(tmp_path, ".pt", with_pickle(whole, old, new), "it has tensors of .*, which are not weights")
    for other in (b"U\x0273t", b"h\x49t", b"K\x49K\x01t", b"t"):  # a text, what is remembered as 73, two numbers, none
        refused(tmp_path, ".pt", with_pickle(whole, b"KIt", other), "another way than torch.save")


def test_tensors_are_numbers_in_a_row(tmp_path):
    whole = torch.load(io.BytesIO(written(tmp_path, ".pt")), weights_only=True)
    wide = torch.zeros(1, 18, dtype=torch.float64).expand(73, 18)
    for value, words in (
        (wide, "not a contiguous tensor of real numbers"),
        (torch.zeros(18, 73).double().T, "not a contiguous tensor of real numbers"),
        (torch.zeros(73, 17).double(), "its tensors are not those of an rnn"),
        (torch.zeros(73, 18, dtype=torch.int64), "its pickle asks for torch LongStorage"),
        (torch.zeros(73, 18, dtype=torch.bfloat16), "its pickle asks for torch BFloat16Storage"),
        ("text", "not a contiguous tensor of real numbers"),
        ([1.0], "not a contiguous tensor of real numbers"),
    ):
        refused(tmp_path, ".pt", saved({**whole, "decoder.weight": value}), words)
    refused(tmp_path, ".pt", saved({k: v for k, v in whole.items() if k != "decoder.weight"}), "not those of")
    refused(tmp_path, ".pt", saved({**whole, 5: wide.contiguous()}), "not those of")
    refused(tmp_path, ".pt", saved({**whole, "_extra_state": "{"}), "metadata are not pycharrnn's")
    refused(tmp_path, ".pt", saved({"_extra_state": 5}), "has no '_extra_state'")
    refused(tmp_path, ".pt", saved({**whole, "_extra_state": "\udcff"}), "its '_extra_state' is not text")
    one = torch.zeros(1 << 12, dtype=torch.float64)
    facts = json.loads(whole["_extra_state"]) | {"rnn_size": 1 << 20}
    stretched = {**whole, "_extra_state": json.dumps(facts), "decoder.weight": one.expand(73, 1 << 12)}
    refused(tmp_path, ".pt", saved(stretched), "not a contiguous")


def scripted() -> bytes:
    out = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), out)
    return out.getvalue()


OF_OTHERS = {
    "a state_dict": lambda: saved(torch.nn.Linear(2, 2).state_dict()),
    "a module": lambda: saved(torch.nn.Linear(2, 2)),
    "a list": lambda: saved([1, 2]),
    "torch.jit": scripted,
    "nanoGPT": lambda: saved({"model": {"a": torch.zeros(3)}, "model_args": {"n_layer": 2}, "iter_num": 5}),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("kind", OF_OTHERS)
def test_pt_files_of_other_programs(tmp_path, monkeypatch, kind):
    """One sentence by whatever name, and no advice to train further what -init_from refuses."""
    what = "a file of PyTorch's torch.save, which only the program that wrote it understands"
    if kind == "nanoGPT":
        what = "a transformer of nanoGPT, which pycharrnn does not run"
    monkeypatch.chdir(tmp_path)
    for ending in (".pt", ".pth", ".bin"):
        refused(Path(), ending, OF_OTHERS[kind](), f"as a checkpoint: it is {what}: pycharrnn reads the .t7 files")
        with pytest.raises(UserError, match=f"^x{ending} is {what}: name a text.$"):
            corpus.gather([f"x{ending}"], lambda note: None).__enter__()


def test_one_storage_is_no_weight_twice(tmp_path):
    whole = torch.load(io.BytesIO(written(tmp_path, ".pt", "utf8")), weights_only=True)
    flat = torch.zeros(max(t.numel() for name, t in whole.items() if name != "_extra_state"), dtype=torch.float64)
    facts = json.loads(whole["_extra_state"]) | {"rnn_size": 256}
    shapes = {k: tuple(256 if n == 8 else n for n in t.shape) for k, t in whole.items() if k != "_extra_state"}
    flat = torch.zeros(256 * 256, dtype=torch.float64)
    views = {name: flat[: int(np.prod(shape))].view(shape) for name, shape in shapes.items()}
    refused(tmp_path, ".pt", saved({"_extra_state": json.dumps(facts), **views}), "claim more numbers than it holds")


def test_a_long_pickle(tmp_path, monkeypatch):
    monkeypatch.setattr(pytorch_file, "_MOST_OPCODES", 1000)
    whole = written(tmp_path, ".pt")
    content = repacked(whole, lambda name, data: data[:2] + b"]0" * 1000 + data[2:] if name.endswith("pkl") else data)
    refused(tmp_path, ".pt", content, "its pickle is longer than any model's")


def test_a_file_of_ours_by_another_name(tmp_path):
    for ending in (".pt", ".onnx", ".json", ".safetensors"):
        (tmp_path / "x.bin").write_bytes(written(tmp_path, ending))
        with pytest.raises(UserError, match=f"give it a name that ends in {ending}"):
            checkpoint.load(tmp_path / "x.bin")


# -- ONNX ------------------------------------------------------------------------------------------------------------


def message(number: int, content: bytes) -> bytes:
    """A field that is a message, text or bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def changed_tensor(whole: bytes, of: str, **changes) -> bytes:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(whole)
    (tensor,) = (t for t in model.graph.initializer if t.name == of)
    for key, value in changes.items():
        if isinstance(value, list):
            del getattr(tensor, key)[:]
            getattr(tensor, key).extend(value)
        else:
            setattr(tensor, key, value)
    return model.SerializeToString()


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"dims": [1 << 62, 1 << 62]}, "not .* numbers of float32 or float64 within the file"),
        ({"dims": [-18, -73]}, "within the file"),
        ({"dims": [0, 73]}, "within the file"),
        ({"dims": [73, 18]}, "its tensors are not those of an rnn"),
        ({"dims": [1] * 40 + [18, 73]}, "not those of an rnn|within the file|dimension"),
        ({"raw_data": b""}, "within the file"),
        ({"raw_data": b"x" * 100}, "within the file"),
        ({"data_type": 6}, "within the file"),
        ({"data_type": 1}, "within the file"),
        ({"data_type": 99}, "within the file"),
        ({"data_location": 1, "raw_data": b""}, "within the file"),
        ({"float_data": [1.0] * 18 * 73, "raw_data": b""}, "within the file"),
        ({"name": "other"}, "not those of an rnn"),
        ({"name": "decoder.bias"}, "it has decoder.bias twice"),
        ({"name": "\x1b[2J" * 100}, "not those of an rnn"),
    ],
    ids=range(15),
)
def test_onnx_tensors(tmp_path, changes, words):
    refused(tmp_path, ".onnx", changed_tensor(written(tmp_path, ".onnx"), "decoder.weight", **changes), words)


def test_onnx_whose_size_is_no_number(tmp_path):
    """A tensor without numbers, of float32, whose one dimension is a string of bytes; what comes first counts."""
    tensor = b"\x0a\x00\x10\x01\x42\x0edecoder.weight\x4a\x00"
    graph = b"\x2a" + bytes([len(tensor)]) + tensor
    content = b"\x3a" + bytes([len(graph)]) + graph + written(tmp_path, ".onnx")
    refused(tmp_path, ".onnx", content, r"its decoder.weight is not \(-1,\) numbers")


def test_onnx_with_a_tensor_of_many_dimensions(tmp_path):
    """The time for their product is quadratic, and the message would have all of them."""
    tensor = (varint(1 << 3) + varint((1 << 63) + 1)) * 20_000
    tensor += varint(2 << 3) + varint(1) + message(8, b"decoder.weight") + message(9, b"")
    content = message(7, message(5, tensor)) + written(tmp_path, ".onnx")
    refused(tmp_path, ".onnx", content, r"its decoder.weight is not \(.{1,80} numbers")


def test_onnx_of_other_programs_and_other_words(tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(written(tmp_path, ".onnx"))
    words = {entry.key: entry for entry in model.metadata_props}
    words["pycharrnn"].value = words["pycharrnn"].value.replace('"rnn_size": 18', '"rnn_size": 17')
    refused(tmp_path, ".onnx", model.SerializeToString(), "its tensors are not those of an rnn")
    words["pycharrnn"].value = "[" * 100_000
    refused(tmp_path, ".onnx", model.SerializeToString(), "metadata are not pycharrnn's")
    words["vocab"].key = "pycharrnn"
    refused(tmp_path, ".onnx", model.SerializeToString(), "say something twice")
    del model.metadata_props[:]
    refused(tmp_path, ".onnx", model.SerializeToString(), "it is not an ONNX model of pycharrnn's")


@pytest.mark.parametrize(
    "content, words",
    [
        (b"\x3a\xff\xff\xff\xff\x0f", "not an ONNX model .a field ends beyond"),
        (b"\xff" * 20, "not an ONNX model .a number without an end"),
        (b"\x0b", "a field of type 3"),
        (b"\x70\x01", "a number where a message belongs"),
        (message(14, b""), "not an ONNX model"),
        (message(14, b"\x0a\x00"), "not an ONNX model"),
        (message(7, b"\x2a\x00" * 10) + b"\x0d", "not an ONNX model"),
        (message(7, b"\x2a\x00" * 1_500_000), "not an ONNX model of pycharrnn's"),
        (message(14, message(1, b"pycharrnn") + message(2, b"\xff")), "metadata are not pycharrnn's"),
    ],
    ids=range(9),
)
def test_bytes_that_are_no_onnx(tmp_path, content, words):
    refused(tmp_path, ".onnx", content, words)


def test_a_message_of_very_many_fields(tmp_path, monkeypatch):
    monkeypatch.setattr(protobuf_fields, "_MOST_FIELDS", 1000)
    whole = written(tmp_path, ".onnx")
    assert checkpoint.load(tmp_path / "whole.onnx").vocab == loaded("rnn").vocab
    refused(tmp_path, ".onnx", whole + message(7, b"\x2a\x00" * 1001), "more than 1000 fields")
    refused(tmp_path, ".onnx", whole + message(7, b"\x2a\x00" * 50) * 21, "more than 1000 fields")


def test_numbers_of_the_wire():
    fields = FieldReader().fields
    for value in (0, 1, 127, 128, 300, (1 << 64) - 1):
        assert list(fields(memoryview(varint(3 << 3) + varint(value)))) == [(3, value)]
    assert [(n, bytes(v)) for n, v in fields(memoryview(b"\x0d1234\x1112345678\x12\x01x"))] == [
        (1, b"1234"),
        (2, b"12345678"),
        (2, b"x"),
    ]
