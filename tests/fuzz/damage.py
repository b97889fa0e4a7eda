"""Damage to files: bytes, and values in the wrong place. What comes of it depends on the random numbers alone."""

from __future__ import annotations

import gzip
import io
import json
import math
import random
import re
import struct
import zipfile
from pathlib import Path

import numpy as np

from compat import Storage, Table, Tensor, TorchObject, load_t7
from compat.t7_writer import T7Writer, _AsciiT7Writer
from pycharrnn.checkpoints import payload

_INTS = (0, 1, -1, 2, 3, 4, 5, 6, 7, 8, 65, 100, 255, 256, 1 << 16, 1 << 20, 1 << 30, (1 << 31) - 1, -(1 << 31))
_LONGS = (*_INTS, 1 << 31, 1 << 32, 1 << 40, 1 << 53, 1 << 60, 1 << 62, (1 << 63) - 1, -(1 << 63))
_DOUBLES = (0.0, -0.0, -1.0, 0.5, 1.5, 1e-3, 1e9, 1e15, 1e308, -1e308, 5e-324, 2.0**53, math.inf, -math.inf, math.nan)
_TEXTS = (b"", b"x", b"a\0b", b"\x1b[2J", b"\xff\xfe", b"../../x", b"y" * 70, b"z" * 5000, b"lstm", b"1e400")
_CLASSES = (b"nn.Linear", b"nn.Reshape", b"nn.Narrow", b"nn.Identity", b"nn.CAddTable", b"nn.Sigmoid", b"nn.gModule")
_NAMES = (*_CLASSES, b"torch.LongTensor", b"torch.DoubleStorage", b"nn.\xb3\xff\x1b", b"")
_CLASS_IN_A_FILE = re.compile(rb"(torch|nn|nngraph|graph)\.\w+")


def damaged(rng: random.Random, name: str, content: bytes) -> bytes:
    """A damaged copy of a file with this name."""
    if rng.random() < 0.4:
        return _bytes(rng, content)
    of_ending = {".safetensors": _safetensors, ".json": _json, ".pt": _pytorch, ".onnx": _onnx, ".html": _page}
    return of_ending.get(Path(name).suffix, _structure)(rng, content)


# -- bytes -----------------------------------------------------------------------------------------------------------


def _bytes(rng: random.Random, whole: bytes) -> bytes:
    """One to four changes: near the start, after the name of a class, where sizes stand, or anywhere."""
    content = bytearray(whole)
    classes = [m.end() for m in _CLASS_IN_A_FILE.finditer(whole)] or [0]
    for _ in range(rng.randint(1, 4)):
        anywhere = rng.randrange(len(whole))
        near = (int(rng.paretovariate(0.3)) - 1, rng.choice(classes) + rng.randrange(64), anywhere, anywhere)
        at = min(rng.choice(near), len(content))
        kind = rng.randrange(8)
        if kind == 0:
            content[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            content[at : at + 4] = struct.pack("<i", rng.choice(_INTS))
        elif kind == 2:
            content[at : at + 8] = struct.pack("<q", rng.choice(_LONGS))
        elif kind == 3:
            content[at : at + 8] = struct.pack("<d", rng.choice(_DOUBLES))
        elif kind == 4:
            start = rng.randrange(len(whole))
            content[at:at] = whole[start : start + rng.randint(1, 64)]
        elif kind == 5:
            del content[at : at + rng.choice((1, 4, 8, 64))]
        elif kind == 6:
            content[at : at + 1] = rng.choice(_TEXTS)
        else:
            del content[at:]
    return bytes(content)


# -- values of a .t7 file ----------------------------------------------------------------------------------------------


def _structure(rng: random.Random, whole: bytes) -> bytes:
    """The file written again, in any encoding, with one to four values changed."""
    value = load_t7(whole)
    for _ in range(rng.choice((1, 1, 2, 3, 4))):
        tables, others = _parts(value)
        change = rng.choice((_entry, _entry, _entry, _option, _option, _option, _storage, _storage, _tensor, _class))
        change(rng, value, tables, others)
    out = io.BytesIO()
    ascii = rng.random() < 0.2
    writer = _AsciiT7Writer(out) if ascii else T7Writer(out, rng.choice((8, 8, 8, 4)))
    try:
        writer.write_obj(value)
    except (ValueError, OverflowError, struct.error):  # the writer's own limits: a value that no file can hold
        return _bytes(rng, whole)
    content = out.getvalue() + (_bytes(rng, whole[:100]) if rng.random() < 0.05 else b"")
    return gzip.compress(content, 1) if rng.random() < 0.05 else content


def _parts(value) -> tuple[list[Table], list]:
    """(tables that are not empty, objects, tensors and storages) in a value, each once."""
    tables, others, seen, queue = [], [], set(), [value]
    while queue:
        part = queue.pop()
        if id(part) in seen or not isinstance(part, (Table, TorchObject, Tensor, Storage)):
            continue
        seen.add(id(part))
        if isinstance(part, Table):
            tables += [part] if part else []
            queue += [x for entry in part.items() for x in entry]
        else:
            others.append(part)
            queue += [part.fields] if isinstance(part, TorchObject) else [getattr(part, "storage", None)]
    return tables, others


def _odd(rng: random.Random, tables: list[Table], others: list):
    made = (
        lambda: None,
        lambda: rng.choice(_LONGS),
        lambda: rng.choice(_DOUBLES),
        lambda: rng.choice(_TEXTS),
        lambda: rng.random() < 0.5,
        lambda: Table(),
        lambda: Table({1: 2, b"x": 0.5}),
        lambda: Tensor.of_array(np.zeros((rng.randrange(5), 3))),
        lambda: Tensor(b"torch.DoubleTensor", None),
        lambda: TorchObject(rng.choice(_NAMES), None),
        lambda: rng.choice(tables) if tables else None,
        lambda: rng.choice(others) if others else None,
    )
    return rng.choice(made)()


def _entry(rng: random.Random, value, tables: list[Table], others: list) -> None:
    """One entry of a table gets another value or key, is doubled, or goes."""
    if not tables:
        return
    table = rng.choice([value, *tables[:3], rng.choice(tables)] if isinstance(value, Table) and value else tables)
    key = rng.choice(list(table)) if table else 1
    kind = rng.randrange(5)
    if kind == 0:
        table.pop(key, None)
    elif kind == 1:
        new = _odd(rng, tables, others)
        if new is not None and new == new and not isinstance(new, bool):
            table[new] = table.pop(key, None)
    else:
        table[key] = _odd(rng, tables, others)


def _option(rng: random.Random, value, tables: list[Table], others: list) -> None:
    """A recorded option, loss or count becomes another one."""
    if not isinstance(value, Table):
        return
    options = value.get(b"opt")
    if isinstance(options, Table) and options and rng.random() < 0.7:
        options[rng.choice(list(options))] = rng.choice((*_INTS, *_DOUBLES, *_TEXTS, True))
    elif rng.random() < 0.5:
        value[rng.choice((b"i", b"epoch", b"val_loss"))] = rng.choice((*_LONGS, *_DOUBLES))
    else:
        losses = value.get(rng.choice((b"val_losses", b"train_losses", b"vocab")))
        if isinstance(losses, Table):
            losses[rng.choice((*_INTS, 1e300, math.inf, b"x"))] = rng.choice((*_INTS, *_DOUBLES))


def _tensor(rng: random.Random, value, tables: list[Table], others: list) -> None:
    """A tensor claims another shape, other strides or another storage."""
    tensors = [x for x in others if isinstance(x, Tensor)]
    if not tensors:
        return
    x = rng.choice(tensors)
    if rng.random() < 0.3:
        x.storage = rng.choice(tensors).storage
        return
    x.shape = tuple(rng.choice((*x.shape, 0, 1, 2, 5, 64, 1 << 20, 1 << 40)) for _ in range(rng.randrange(4)))
    x.strides = tuple(rng.choice((*x.strides, 0, 1, 7, 1 << 40, 1 << 62)) for _ in x.shape)
    x.offset = rng.choice((0, 0, 0, 1, x.offset, (1 << 62)))


def _storage(rng: random.Random, value, tables: list[Table], others: list) -> None:
    """Numbers of a storage become other ones."""
    storages = [x for x in others if isinstance(x, Storage) and len(x)]
    if not storages:
        return
    x = rng.choice(storages)
    x.data = x.data.copy()
    odd = [n for n in _LONGS if abs(n) < 1 << 7] if x.data.dtype.kind in "iu" else [*_DOUBLES]
    with np.errstate(all="ignore"):
        values = np.array([abs(n) if x.data.dtype.kind == "u" else n for n in odd]).astype(x.data.dtype)
    if rng.random() < 0.3:
        x.data[:] = rng.choice(values)
    else:
        x.data[rng.randrange(len(x))] = rng.choice(values)


def _class(rng: random.Random, value, tables: list[Table], others: list) -> None:
    """An object becomes one of another class."""
    objects = [x for x in others if isinstance(x, TorchObject)]
    if objects:
        rng.choice(objects)._typename = rng.choice(_NAMES)


# -- other formats of checkpoints --------------------------------------------------------------------------------------


def _json(rng: random.Random, whole: bytes) -> bytes:
    """One to three facts, or rows of weights, become others."""
    facts = json.loads(whole)
    for _ in range(rng.choice((1, 1, 2, 3))):
        part = rng.choice((facts, facts, facts.get("opt"), facts.get("weights")))
        part = part if isinstance(part, dict) and part else facts
        key = rng.choice(list(part) or ["x"])
        part[key] = _odd_json(rng, part[key]) if part else None
    return json.dumps(facts).encode()


def _pytorch(rng: random.Random, whole: bytes) -> bytes:
    """Facts and tensors become others, or bytes of the pickle that says which there are."""
    import torch

    out = io.BytesIO()
    if rng.random() < 0.5:
        state = torch.load(io.BytesIO(whole), weights_only=True)
        state["_extra_state"] = _facts(rng, state["_extra_state"])
        for name in rng.sample(list(state), rng.choice((0, 1, 2))):
            odd = (torch.zeros(2, 3), torch.zeros(1).expand(1 << 40), torch.zeros(3, dtype=torch.int64), None, [], "x")
            state[name] = rng.choice((*odd, rng.choice(list(state.values()))))
        torch.save(state, out)
        return out.getvalue()
    with zipfile.ZipFile(io.BytesIO(whole)) as before, zipfile.ZipFile(out, "w") as after:
        for entry in before.namelist():
            content = before.read(entry)
            damage = entry.endswith("data.pkl") or rng.random() < 0.05
            after.writestr(entry, _bytes(rng, content) if damage and content else content)
    return out.getvalue()


def _onnx(rng: random.Random, whole: bytes) -> bytes:
    """Facts, or fields of tensors, become others."""
    import onnx

    model = onnx.load_from_string(whole)
    (words,) = (entry for entry in model.metadata_props if entry.key == "pycharrnn")
    words.value = _facts(rng, words.value)
    for tensor in rng.sample(list(model.graph.initializer), rng.choice((0, 1, 2))):
        change = rng.randrange(4)
        if change == 0:
            tensor.dims[:] = [rng.choice(_LONGS) for _ in range(rng.randrange(4))]
        elif change == 1:
            tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) + 1)]
        elif change == 2:
            tensor.data_type = rng.randrange(20)
        else:
            tensor.name = rng.choice((*(t.name for t in model.graph.initializer), "", "\x1b[2J"))
    return bytes(model.SerializeToString())


def _facts(rng: random.Random, text: str) -> str:
    """The metadata of a checkpoint with up to two values changed."""
    facts = json.loads(text)
    for _ in range(rng.choice((0, 1, 2))):
        part = rng.choice((facts, facts, facts["opt"]))
        part = part if isinstance(part, dict) and part else facts
        key = rng.choice(list(part))
        part[key] = _odd_json(rng, part[key])
    return json.dumps(facts)


def _page(rng: random.Random, whole: bytes) -> bytes:
    """One to three fields of the model in a page, or facts of its run, become others, or are not there."""
    before, begin, rest = whole.partition(payload.ELEMENT)
    text, end, after = rest.partition(payload.ELEMENT_END)
    model = json.loads(text)
    run = json.loads(model["run"])
    for _ in range(rng.choice((1, 1, 2, 3))):
        part = rng.choice((model, model, run, run.get("opt")))
        part = part if isinstance(part, dict) and part else model
        key = rng.choice(list(part) or ["x"])
        if rng.random() < 0.15:
            part.pop(key, None)
        else:
            part[key] = _odd_json(rng, part.get(key))
    if rng.random() < 0.9:
        model["run"] = json.dumps(run)
    return b"".join([before, begin, json.dumps(model).encode(), end, after])


def _safetensors(rng: random.Random, whole: bytes) -> bytes:
    """One to three values of a header, or of the facts in it, become others."""
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    facts = json.loads(header["__metadata__"]["pycharrnn"])
    for _ in range(rng.choice((1, 1, 2, 3))):
        part = rng.choice((facts, facts, facts.get("opt"), header))
        part = part if isinstance(part, dict) and part else facts
        key = rng.choice(list(part) or ["x"])
        if part is header and isinstance(part[key], dict) and rng.random() < 0.7:
            part = part[key]
            key = rng.choice(list(part) or ["x"])
        if rng.random() < 0.15:
            part.pop(key, None)
        else:
            part[key] = _odd_json(rng, part.get(key))
    if isinstance(header.get("__metadata__"), dict):
        header["__metadata__"].setdefault("pycharrnn", json.dumps(facts))
        if rng.random() < 0.9:
            header["__metadata__"]["pycharrnn"] = json.dumps(facts)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + whole[8 + length :]


def _odd_json(rng: random.Random, value):
    if isinstance(value, list) and value and rng.random() < 0.5:
        value = list(value)
        value[rng.randrange(len(value))] = _odd_json(rng, None)
        return value
    odd = (None, True, [], {}, [[]], [1, 2], {"x": [1]}, 10**400, "\ud800", "\x1b[2J\0", "x" * 5000)
    return rng.choice((*odd, *_LONGS, *_DOUBLES, *(text.decode("latin-1") for text in _TEXTS)))
