"""Compare two Torch7 object graphs: classes, versions, keys, values and sharing; table entries in any order."""

from __future__ import annotations

import numpy as np
import pytest

from compat import Storage, Table, Tensor, TorchObject


class Differences(AssertionError):
    pass


def assert_same_graph(ours, theirs, close=lambda path, a, b: a == b, ignore=lambda path: False) -> int:
    """Walk both graphs in step and raise Differences at the first difference; the number of objects compared.

    Args:
        close: (path, a, b) -> bool for numbers, strings, and arrays of storages.
        ignore: path -> bool, for values that the original leaves to chance.
    """
    partner: dict[int, object] = {}  # id(ours) -> theirs, and the other way round in `back`
    back: dict[int, object] = {}
    todo = [("", ours, theirs)]
    later: list = []

    def pair(path, a, b):
        if ignore(path):
            return
        if type(a) is not type(b) and not (isinstance(a, (int, float)) and isinstance(b, (int, float))):
            raise Differences(f"{path}: {a!r:.80} against {b!r:.80}")
        todo.append((path, a, b))

    while todo or later:
        if not todo:
            # Tables whose keys are objects: match keys once what they hold has been matched.
            progress = False
            for entry in list(later):
                path, a, b = entry
                theirs_left = dict(b)
                matched = []
                for key, value in a.items():
                    other = partner.get(id(key))
                    if other is None and isinstance(key, TorchObject) and id(key.get(b"data")) in partner:
                        data = partner[id(key.get(b"data"))]
                        other = next(
                            (k for k in theirs_left if isinstance(k, TorchObject) and k.get(b"data") is data), None
                        )
                    if other is None or other not in theirs_left:
                        break
                    matched.append((key, other, value, theirs_left.pop(other)))
                else:
                    later.remove(entry)
                    progress = True
                    for key, other, value, other_value in matched:
                        pair(path + ".<key>", key, other)
                        pair(path + "[<key>]", value, other_value)
            if not progress:
                raise Differences(f"object keys without a partner: {[p for p, _, _ in later][:5]}")
            continue
        path, a, b = todo.pop()
        if isinstance(a, (Table, TorchObject, Tensor, Storage)):
            if id(a) in partner or id(b) in back:
                if partner.get(id(a)) is not b or back.get(id(b)) is not a:
                    raise Differences(f"{path}: shared differently")
                continue
            partner[id(a)], back[id(b)] = b, a
        if isinstance(a, Table):
            plain = {k for k in a if isinstance(k, (bytes, int, float))}
            plain_b = {k for k in b if isinstance(k, (bytes, int, float))}
            if plain != plain_b or len(a) != len(b):
                raise Differences(f"{path}: keys {sorted(map(str, plain ^ plain_b))}, sizes {len(a)} and {len(b)}")
            for key in plain:
                pair(f"{path}.{key.decode('latin-1') if isinstance(key, bytes) else key}", a[key], b[key])
            if len(plain) < len(a):
                rest_a = {k: v for k, v in a.items() if k not in plain}
                later.append((path, rest_a, {k: v for k, v in b.items() if k not in plain}))
        elif isinstance(a, TorchObject):
            if (a.typename, a.version) != (b.typename, b.version):
                raise Differences(f"{path}: {a.typename} V{a.version} against {b.typename} V{b.version}")
            pair(path, a.fields, b.fields)
        elif isinstance(a, Tensor):
            key = lambda t: (t.typename, t.version, t.shape, t.strides, t.offset)  # noqa: E731
            if key(a) != key(b):
                raise Differences(f"{path}: tensor {key(a)} against {key(b)}")
            pair(path + ".storage", a.storage, b.storage)
        elif isinstance(a, Storage):
            if (a.typename, a.version, len(a)) != (b.typename, b.version, len(b)):
                raise Differences(f"{path}: {a} against {b}")
            if not close(path, np.asarray(a), np.asarray(b)):
                raise Differences(f"{path}: {np.asarray(a)!r:.200} against {np.asarray(b)!r:.200}")
        elif not close(path, a, b):
            raise Differences(f"{path}: {a!r:.80} against {b!r:.80}")
    return len(partner)


def _our_paths(label: bytes) -> bytes:
    """Debug labels hold the paths under which the recorded runs were started; ours are those of char-rnn's README."""
    return label.replace(b"./crnn/", b"./").replace(b"./torch/", b"./")


def close(path: str, a, b) -> bool:
    if isinstance(a, np.ndarray):
        if path.endswith(".batchsize"):  # the first element is whatever was in memory
            return np.array_equal(a[1:], b[1:])
        return np.allclose(a, b, rtol=1e-6, atol=1e-9)
    if isinstance(a, float) or isinstance(b, float):
        return a == pytest.approx(b, rel=1e-9)
    if isinstance(a, bytes):
        return _our_paths(a) == _our_paths(b)
    return a == b
