"""The batches of a list: every item once in a pass, splits without common items, exact positions."""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
import pytest
from list_loader import list_loader

from compat.item_options import ITEM_KINDS
from pycharrnn.common.errors import UserError
from pycharrnn.common.targets import IGNORED
from pycharrnn.text import item_index, item_loader, item_order
from pycharrnn.text.batches import TEST, TRAIN, VAL
from pycharrnn.text.item_loader import ItemLoader
from pycharrnn.text.token_text import TextChanged

FRACTIONS = (0.8, 0.2, 0.0)


def names(count: int, seed: int = 1) -> list[bytes]:
    """Words of 1 to 9 letters, a few of them several times."""
    letters, random = np.frombuffer(b"abcdefgh", np.uint8), np.random.default_rng(seed)
    return [letters[random.integers(0, 8, random.integers(1, 10))].tobytes() for _ in range(count)]


def folder(path, items: list[bytes], kind: str = "line"):
    end = ITEM_KINDS[kind].end
    (path / "input.txt").write_bytes(end.join(items) + (end if kind != "line" else b""))
    return path


def loader(path, batch: int = 4, length: int = 10, kind: str = "line", seed: int = 5, fractions=FRACTIONS, **more):
    return list_loader(path, batch, length, fractions, kind, seed, **more)


def characters(batches: ItemLoader, split: int, count: int) -> list[bytes]:
    """The text of each row of the next `count` batches; y is checked to follow x."""
    known = sorted(batches.vocab_mapping)
    taken = [batches.next_batch(split) for _ in range(count)]
    following = np.concatenate([x for x, _ in taken], 1)[:, 1:]
    y = np.concatenate([y for _, y in taken], 1)
    assert ((y[:, :-1] == following) | (y[:, :-1] == IGNORED)).all()
    last = np.where(y[:, -1:] == IGNORED, batches.end_id, y[:, -1:])
    rows = np.concatenate([taken[0][0][:, :1], following, last], axis=1)
    return [b"".join(known[number] for number in row) for row in rows]


def whole_items(rows: list[bytes], end: bytes = b"\n") -> Counter[bytes]:
    """The items that end in rows, which begin with an end character."""
    assert all(row.startswith(end) for row in rows)
    return Counter(item for row in rows for item in row.split(end)[1:-1] if item)


def side(batches: ItemLoader, split: int) -> Counter[bytes]:
    """The items of a split, by loaders that read each once."""
    return whole_items(characters(batches, split, batches.split_sizes[split]))


@pytest.fixture
def list_of_300(tmp_path):
    return folder(tmp_path, names(300))


def test_every_item_is_in_one_split_and_equal_ones_in_the_same(list_of_300):
    batches = loader(list_of_300, fractions=(0.5, 0.3, 0.2), in_order=True)
    found = {split: side(batches, split) for split in (TRAIN, VAL, TEST)}
    assert sum(found.values(), Counter()) == Counter(names(300))
    assert not any(found[one] & found[other] for one, other in ((TRAIN, VAL), (TRAIN, TEST), (VAL, TEST)))
    assert all(abs(found[split].total() - expected) < 5 for split, expected in ((TRAIN, 150), (VAL, 90), (TEST, 60)))
    assert any(count > 1 for count in found[TRAIN].values())


def test_a_pass_has_every_item_once_and_the_next_one_another_order(list_of_300):
    expected = side(loader(list_of_300, in_order=True), TRAIN)
    batches = loader(list_of_300, batch=1)
    ahead = characters(batches, TRAIN, 4 * batches.ntrain)[0].split(b"\n")[1:]
    n = expected.total()
    passes = [ahead[:n], ahead[n : 2 * n], ahead[2 * n : 3 * n]]
    assert all(Counter(one) == expected for one in passes)
    assert passes[0] != passes[1] != passes[2] != passes[0]
    again = loader(list_of_300, batch=1)
    assert characters(again, TRAIN, 4 * again.ntrain)[0].split(b"\n")[1:] == ahead
    other = loader(list_of_300, batch=1, seed=6)
    assert characters(other, TRAIN, other.ntrain)[0].split(b"\n")[1:-1] != ahead[: n - 1]


def test_rows_share_the_items(list_of_300):
    expected = side(loader(list_of_300, in_order=True), TRAIN)
    batches = loader(list_of_300)
    found = whole_items(characters(batches, TRAIN, 10 * batches.ntrain))
    # After ten epochs each item has been read nine or ten times: the last pass is not over, and rows end within items.
    assert found.keys() == expected.keys()
    assert all(9 * count <= found[item] <= 10 * count for item, count in expected.items())
    assert found.total() > 9.7 * expected.total()


def test_an_order_is_the_same_on_every_machine():
    found = item_order.shuffled(np.arange(10), 4, seed=123, passes=2).tolist()
    assert found == [83, 35, 249, 126, 0, 177, 85, 36, 198, 224]


def test_the_order_of_a_short_list_is_that_of_earlier_versions(tmp_path):
    """Else a resumed run would learn from the items that it has validated with."""
    batches = loader(folder(tmp_path, [b"%d" % k for k in range(12)]), batch=1, length=3)
    (train,), (val,) = (characters(batches, split, count) for split, count in ((TRAIN, 14), (VAL, batches.nval)))
    assert train.split() == b"10 6 9 7 3 4 2 5 11 8 8 11 7 9 10 5 6 4 2".split()
    assert val.split() == [b"0", b"1"]


def test_validation_has_every_item_once_in_the_order_of_the_list(list_of_300):
    batches = loader(list_of_300)
    rows = characters(batches, VAL, batches.nval)
    found = whole_items(rows)
    assert found == side(loader(list_of_300, in_order=True), VAL)
    batches.reset_batch_pointer(VAL)
    counted = targets = 0
    for _ in range(batches.nval):
        x, y = batches.next_batch(VAL)
        assert batches.counted == (y != IGNORED).sum()
        assert not ((y == IGNORED) & (x != batches.end_id)).any()
        counted, targets = counted + batches.counted, targets + y.size
    assert counted == sum(len(item) + 1 for item in found.elements())
    assert targets - counted < 4 * 10 + 4 * 9
    batches.reset_batch_pointer(VAL)
    assert characters(batches, VAL, batches.nval) == rows
    one = loader(list_of_300, batch=1)
    in_order = characters(one, VAL, one.nval)[0].strip(b"\n").split(b"\n")
    assert in_order == [item for item in names(300) if item in found]


def test_long_items_go_on_in_the_next_batch(tmp_path):
    items = [bytes([97 + k]) * (100 + k) for k in range(10)]
    batches = loader(folder(tmp_path, items), batch=3, length=7, fractions=(0.9, 0.1, 0.0))
    found = whole_items(characters(batches, TRAIN, 60 * batches.ntrain))
    assert len(found) == 9
    assert found.keys() < set(items)


@pytest.mark.parametrize("held", [0, 1 << 20])
@pytest.mark.parametrize(("before", "after"), [(3, 40), (17, 33), (150, 9)])
def test_going_on_after_any_batch(list_of_300, monkeypatch, held, before, after):
    monkeypatch.setattr(item_loader, "_HELD", held)
    whole = loader(list_of_300, length=6)
    assert not whole.item_positions()
    characters(whole, TRAIN, before)
    positions, number = whole.item_positions(), whole.batch_ix[TRAIN]
    assert number == before
    expected = [whole.next_batch(TRAIN) for _ in range(after)]
    resumed = loader(list_of_300, length=6)
    resumed.reset_batch_pointer(TRAIN, number)
    resumed.restore_items(positions)
    assert resumed.item_positions() == positions
    for x, y in expected:
        ours = resumed.next_batch(TRAIN)
        np.testing.assert_array_equal(ours[0], x)
        np.testing.assert_array_equal(ours[1], y)
    assert resumed.item_positions() == whole.item_positions()


def test_positions_of_another_list(list_of_300):
    batches = loader(list_of_300)
    batches.next_batch(TRAIN)
    good = batches.item_positions()
    for bad in ((1,), good[:-1], (*good[:2], 300, *good[3:]), (*good[:3], 99, *good[4:]), (1 << 40, *good[1:])):
        with pytest.raises(UserError, match="positions that do not fit this list"):
            batches.restore_items(bad)
    batches.restore_items(())
    batches.restore_items((good[0], 1 << 50, *good[2:]))  # a pass that is over
    batches.next_batch(TRAIN)


def test_an_epoch_by_its_number(list_of_300):
    batches = loader(list_of_300, batch=1)
    n = side(loader(list_of_300, in_order=True), TRAIN).total()
    ahead = characters(batches, TRAIN, 3 * batches.ntrain)[0].split(b"\n")[1:]
    batches.reset_batch_pointer(TRAIN, batches.ntrain)
    found = characters(batches, TRAIN, 5)[0].split(b"\n")[1:-1]
    assert found == ahead[n : n + len(found)]


@pytest.mark.parametrize("held", [0, 1 << 20])
def test_processes_have_their_rows_of_the_same_batches(list_of_300, monkeypatch, held):
    monkeypatch.setattr(item_loader, "_HELD", held)
    whole = loader(list_of_300)
    parts = [loader(list_of_300, rows=slice(0, 1)), loader(list_of_300, rows=slice(1, 4))]
    for split in (TRAIN, VAL):
        for _ in range(20):
            x, _ = whole.next_batch(split)
            np.testing.assert_array_equal(np.concatenate([part.next_batch(split)[0] for part in parts]), x)


@pytest.mark.parametrize("kind", ["blank", "file"])
def test_items_of_several_lines(tmp_path, kind):
    items = [b"a\nb", b"c\n\nd", b"e", b"a\nb"] * 30 + names(60)
    batches = loader(folder(tmp_path, items, kind), kind=kind, in_order=True)
    found = sum(
        (whole_items(characters(batches, split, batches.split_sizes[split]), b"\x1e") for split in (1, 2)), Counter()
    )
    assert found == Counter(items)


def test_code_points(tmp_path):
    items = [name.decode().translate({97: "\u00e4", 98: "\u4e2d", 99: "\U0001f600"}).encode() for name in names(200)]
    folder(tmp_path, items)
    found = {code: loader(tmp_path, encoding=code, in_order=True) for code in ("bytes", "utf8")}
    sides = {code: (side(batches, TRAIN), side(batches, VAL)) for code, batches in found.items()}
    assert sides["bytes"] == sides["utf8"]
    assert sum(sides["utf8"], Counter()) == Counter(items)


def test_characters_that_are_left_out(tmp_path):
    folder(tmp_path, [b"ab", b"q", b"aqb", b"", b"q", b"ba"] * 20)
    batches = loader(tmp_path, model_characters=[b"\n", b"a", b"b"], vocab="keep", in_order=True)
    assert side(batches, TRAIN) + side(batches, VAL) == {b"ab": 40, b"ba": 20}
    assert "data_items_0a.bin" not in os.listdir(tmp_path)
    assert side(loader(tmp_path, model_characters=[b"z"], in_order=True), TRAIN)  # more in the vocabulary
    with pytest.raises(UserError, match=r"lacks '\\n', which ends the items of -items line: use -vocab extend"):
        loader(tmp_path, model_characters=[b"a"], vocab="keep")


def test_the_index_is_read_again_unless_it_is_damaged(list_of_300, monkeypatch):
    expected = side(loader(list_of_300, in_order=True), TRAIN)
    path = list_of_300 / "data_items_0a.bin"
    content = path.read_bytes()
    assert len(content) == 24 * len(names(300))
    with_empty_item = np.frombuffer(content, item_index.ITEM).copy()
    with_empty_item["length"][1] = 0
    empty = with_empty_item.tobytes()
    made = []
    monkeypatch.setattr(item_index, "_blocks", lambda *args, make=item_index._blocks: made.append(1) or make(*args))
    assert side(loader(list_of_300, in_order=True), TRAIN) == expected
    assert not made
    beyond, reversed_two = content[:-24] + b"\x7f" * 24, content[24:48] + content[:24]
    for damaged in (beyond, content[:-5], b"", content[:24], reversed_two, empty):
        stat = path.stat()
        path.write_bytes(damaged)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        monkeypatch.setattr(item_index.cache_record.CacheRecord, "made_of", lambda self, *names: "the same text")
        assert side(loader(list_of_300, in_order=True), TRAIN) == expected
    assert len(made) == 6


@pytest.mark.skipif(os.name == "nt", reason="Windows has few symbolic links")
def test_the_index_is_written_through_no_link(list_of_300, tmp_path):
    path, letter = list_of_300 / "data_items_0a.bin", tmp_path / "letter.txt"
    path.unlink(missing_ok=True)
    letter.write_bytes(b"a letter")
    path.symlink_to(letter)
    with pytest.raises(UserError, match=r"^can't write .*data_items_0a\.bin: it is a symbolic link: remove it\.$"):
        loader(list_of_300)
    assert letter.read_bytes() == b"a letter"


def test_a_mapped_index(list_of_300, monkeypatch):
    expected = characters(loader(list_of_300), TRAIN, 50)
    monkeypatch.setattr(item_index, "_HELD", 0)
    monkeypatch.setattr(item_index, "BLOCK", 7)
    monkeypatch.setattr(item_index, "_HASHES", 16)
    said: list[str] = []
    assert characters(loader(list_of_300, say=said.append), TRAIN, 50) == expected
    distinct = len(set(names(300)))
    assert f"items: 300, {distinct} of them distinct; the longest has 9 characters" in said
    (list_of_300 / "data_items_0a.bin").unlink()
    assert characters(loader(list_of_300), TRAIN, 50) == expected


def test_a_text_that_changes(list_of_300, monkeypatch):
    monkeypatch.setattr(item_loader, "_HELD", 0)
    batches = loader(list_of_300)
    expected = [batches.next_batch(TRAIN)[0] for _ in range(3)]
    batches = loader(list_of_300)
    read = batches._text.read

    def broken(first, last):
        raise TextChanged("changed.")

    for k in range(3):
        batches._text.read = broken
        with pytest.raises(TextChanged):
            batches.next_batch(TRAIN)
        assert batches.batch_ix[TRAIN] == k
        batches._text.read = read
        np.testing.assert_array_equal(batches.next_batch(TRAIN)[0], expected[k])


def test_what_the_log_says(tmp_path, tmp_path_factory):
    said: list[str] = []
    folder(tmp_path, [b"Ada", b"Bob", b"", b"Ada", b"Celine"] * 10)
    list_loader(tmp_path, 2, 5, (0.6, 0.4, 0.0), seed=3, say=said.append)
    assert said[-3:] == [
        "items: 40, 3 of them distinct; the longest has 6 characters",
        "items in train: 30, val: 10, test: 0",
        "data load done. Number of data batches in train: 12, val: 7, test: 0",
    ]
    other = folder(tmp_path_factory.mktemp("other"), [b"a" * k for k in range(1, 41)])
    list_loader(other, 2, 5, (0.95, 0.05, 0.0), seed=3, say=said.append)
    assert said[-2].startswith(
        "WARNING: val has 2 items, whose loss says little about which checkpoint is best: add items"
    )
    list_loader(other, 2, 5, (0.99, 0.01, 0.0), seed=3, say=said.append)  # 0.4 items are one
    assert "items in train: 39, val: 1, test: 0" in said
    list_loader(other, 2, 5, (0.79, 0.21, 0.0), seed=3, say=said.append)  # 8.4 items
    assert "items in train: 32, val: 8, test: 0" in said


@pytest.mark.parametrize(
    ("items", "more", "said"),
    [
        (
            [b"a", b"b", b"a"],
            {},
            r"the items of the train split have 4 characters, fewer than -batch_size 4 x -seq_length 10:"
            r" at most -batch_size 1 -seq_length 4 fits\.$",
        ),
        ([b"a", b"b"] * 50, {"fractions": (0.0, 1.0, 0.0)}, "no item is left to train on: use a larger -train_frac"),
        ([b"a", b"b"] * 50, {"fractions": (1.5, 0.0, 0.0)}, "bad split fraction 1.5 for train"),
        ([b"a"] * 50, {}, "all 50 items of .*input.txt are equal"),
        ([b"a", b""], {}, "there is only one item of -items line"),
        ([b"abc"], {}, "input.txt has one line: -items line needs two or more"),
        ([b"a", b"b"], {"kind": "blank"}, r"input.txt has no U\+001E, which ends the items of -items blank: name the"),
    ],
)
def test_lists_that_can_not_be_learnt(tmp_path, items, more, said):
    folder(tmp_path, items)
    with pytest.raises(UserError, match=said):
        loader(tmp_path, **more)


def test_rows_are_made_only_for_a_list_that_fills_a_batch(list_of_300, monkeypatch):
    monkeypatch.setattr(item_loader, "ItemRows", None)
    with pytest.raises(UserError, match=r"fewer than -batch_size 1000000 x -seq_length 10: at most -batch_size \d+ "):
        loader(list_of_300, 1_000_000)


def test_a_batch_to_evaluate_has_at_most_the_characters_of_the_list(tmp_path):
    items = [*names(300), b"o" * 9000]  # the long one takes many columns, in which other rows have nothing
    path, characters = folder(tmp_path, items), sum(len(item) + 1 for item in items)
    narrow = loader(path, 300, 4, in_order=True)
    expected = [side(narrow, split) for split in (TRAIN, VAL)]
    for batch_size, seq_length in ((1000, 20_000), (1, 20_000), (1000, 3)):
        wide = loader(path, batch_size, seq_length, in_order=True)
        assert wide.batch_size == min(batch_size, 301) and wide.seq_length <= seq_length
        assert wide.batch_size * wide.seq_length <= characters
        assert [side(wide, split) for split in (TRAIN, VAL)] == expected


def test_a_split_without_items(list_of_300):
    batches = loader(list_of_300, fractions=(1.0, 0.0, 0.0))
    assert (batches.nval, batches.ntest) == (0, 0)
    with pytest.raises(UserError, match="the val split has no data: use a larger -val_frac"):
        batches.next_batch(VAL)


@pytest.mark.parametrize("label", ["", "column"])
@pytest.mark.parametrize("encoding", ["bytes", "utf8"])
def test_the_texts_of_a_split_are_its_items_without_labels(tmp_path, monkeypatch, encoding, label):
    monkeypatch.setattr(item_loader, "_READ_AHEAD", 50)
    items = [f"n\u00e9{k}" + "\u20ac" * (k % 40) for k in range(200)]
    before = ["\u00e9\t", "other\t"] if label else ["", ""]
    (tmp_path / "input.txt").write_bytes("".join(f"{before[k % 2]}{i}\n" for k, i in enumerate(items)).encode())
    batches = list_loader(tmp_path, 2, 10, (0.7, 0.3, 0), label=label, encoding=encoding)
    found = {split: [b"".join(pieces).decode() for pieces in batches.texts(split)] for split in (TRAIN, VAL)}
    assert sorted(found[TRAIN] + found[VAL]) == sorted(f"{item}\n" for item in items)
    assert 100 < len(found[TRAIN]) < 180 and found[VAL] == [f"{i}\n" for i in items if f"{i}\n" in set(found[VAL])]
