"""The labels of items: in input.txt, in batches, and what is refused."""

from __future__ import annotations

import itertools
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from list_loader import list_loader

from pycharrnn.common.errors import UserError
from pycharrnn.common.targets import IGNORED
from pycharrnn.text import corpus, item_index, item_loader, labels
from pycharrnn.text.batches import TRAIN, VAL
from pycharrnn.text.item_loader import ItemLoader

SILENT = lambda line: None  # noqa: E731
WORDS = ["".join(letters).encode() for letters in itertools.product("abcd", repeat=3)]


def labelled() -> list[tuple[bytes, bytes]]:
    """Items of which some have two labels, and one a tab."""
    return [(b"x", word) for word in WORDS[:50]] + [(b"yy", word) for word in WORDS[40:]] + [(b"zzz", b"a\tb")] * 9


def folder(path, items=None, end: bytes = b"\n"):
    (path / "input.txt").write_bytes(b"".join(label + b"\t" + item + end for label, item in items or labelled()))
    return path


def loader(path, batch=3, length=7, seed=5, **more) -> ItemLoader:
    return list_loader(path, batch, length, (0.8, 0.2, 0.0), seed=seed, label="column", **more)


def counted_text(batches: ItemLoader, split: int, count: int) -> list[bytes]:
    """The counted targets of each row of the next batches, as text."""
    known = sorted(batches.vocab_mapping)
    rows = [b""] * batches.batch_size
    for _ in range(count):
        _, y = batches.next_batch(split)
        assert batches.counted == (y != IGNORED).sum()
        rows = [
            row + b"".join(known[k] for k in ids if k != IGNORED) for row, ids in zip(rows, y.tolist(), strict=True)
        ]
    return rows


def side(batches: ItemLoader, split: int) -> Counter[bytes]:
    rows = counted_text(batches, split, batches.split_sizes[split])
    return Counter(item for row in rows for item in row.split(b"\n") if item)


def test_only_the_characters_and_ends_of_items_are_counted(tmp_path):
    batches = loader(folder(tmp_path), in_order=True)
    train, val = side(batches, TRAIN), side(batches, VAL)
    assert train + val == Counter(item for _, item in labelled())
    assert not train & val  # equal items are on one side, whatever their labels are
    of_train = Counter(label for label, item in labelled() if item in train)
    assert batches.label_counts == of_train
    assert list(batches.label_counts) == sorted(of_train)


@pytest.mark.parametrize("held", [0, 1 << 20])
def test_going_on_within_a_label_and_rows_of_processes(tmp_path, monkeypatch, held):
    monkeypatch.setattr(item_loader, "_HELD", held)
    folder(tmp_path)
    for before in (1, 2, 11):
        whole = loader(tmp_path, length=2)
        for _ in range(before):
            whole.next_batch(TRAIN)
        resumed = loader(tmp_path, length=2)
        resumed.reset_batch_pointer(TRAIN, before)
        resumed.restore_items(whole.item_positions())
        parts = [loader(tmp_path, length=2, rows=rows) for rows in (slice(0, 1), slice(1, 3))]
        for part in parts:
            part.reset_batch_pointer(TRAIN, before)
            part.restore_items(whole.item_positions())
        for _ in range(30):
            x, y = whole.next_batch(TRAIN)
            ours = resumed.next_batch(TRAIN)
            np.testing.assert_array_equal(ours[0], x)
            np.testing.assert_array_equal(ours[1], y)
            of_parts = [part.next_batch(TRAIN) for part in parts]
            np.testing.assert_array_equal(np.concatenate([part[1] for part in of_parts]), y)
            assert {part.counted for part in parts} == {whole.counted} == {int((y != IGNORED).sum())}


def test_code_points_and_a_mapped_index(tmp_path, monkeypatch):
    items = [("\u00e9\u4e2d".encode(), word.replace(b"a", "\u00fc".encode())) for word in WORDS]
    folder(tmp_path, items + labelled())
    expected = loader(tmp_path, encoding="utf8", in_order=True)
    monkeypatch.setattr(item_index, "_HELD", 0)
    monkeypatch.setattr(item_index, "BLOCK", 7)
    said: list[str] = []
    again = loader(tmp_path, encoding="utf8", in_order=True, say=said.append)
    assert side(again, TRAIN) == side(expected, TRAIN)
    assert again.label_counts == expected.label_counts
    assert "\u00e9\u4e2d".encode() in again.label_counts
    assert "the longest has 3 characters" in "\n".join(said)
    assert said[-2].startswith("labels in train: x ")


def gathered(paths, label: str, kind: str = "line") -> bytes:
    with corpus.gather([str(path) for path in paths], SILENT, -1, items=kind, label=label) as found:
        found.write()
        with open(f"{found.folder}/input.txt", "rb") as f:
            return f.read()


def test_labels_of_files_and_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in (("fr/a.b.txt", b"Ada\r\n\nBo\tb"), ("de/c.txt", b"Eva\n"), ("de/M\u00fcller.txt", b"Uwe")):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(text)
    by_file = "M\u00fcller\tUwe\nc\tEva\na.b\tAda\na.b\tBo\tb\n".encode()
    assert sorted(gathered(["in"], "file").splitlines()) == sorted(by_file.splitlines())
    by_folder = sorted(gathered(["in"], "folder").splitlines())
    assert by_folder == [b"de\tEva", b"de\tUwe", b"fr\tAda", b"fr\tBo\tb"]
    whole = gathered(["in"], "folder", "file")
    assert sorted(whole.split(b"\x1e")) == [b"", b"de\tEva", b"de\tUwe", b"fr\tAda\n\nBo\tb"]
    (tmp_path / "names.tsv").write_bytes(b"fr\tAda\nde\tEva\nde\t\n")
    assert gathered(["names.tsv"], "column") == b"fr\tAda\nde\tEva\nde\t\n"
    assert loader_of(tmp_path / "data" / "names").label_counts.keys() == {b"de", b"fr"}


@pytest.mark.parametrize("label, size", [("file", "20 bytes with labels"), ("column", "12 bytes")])
def test_the_size_of_a_text_with_labels(tmp_path, monkeypatch, label, size):
    """Which is larger than the files if the labels are not in them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "de.txt").write_bytes(b"a\tb\nc\td\n")
    (tmp_path / "f").write_bytes(b"a\te\n")
    said: list[str] = []
    with corpus.gather(["de.txt", "f"], said.append, -1, items="line", label=label) as found:
        found.write()
    assert f"data/de_and_1_more/input.txt: {size}, new, from 2 files: de.txt (8 bytes), f (4 bytes)." in said[-1]


def loader_of(path) -> ItemLoader:
    return list_loader(path, 1, 2, (1.0, 0.0, 0.0), seed=1, label="column")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            b"fr\tAda\nEva\n",
            "a.tsv: the item that begins with 'Eva' has no tab: with -label column each begins with its label",
        ),
        (b"fr,Ada\nde,Eva\n", "with its label and a tab; if this is a table, save it with tabs between its columns."),
        (b"fr\tAda\n\tEva\n", "has no label before its first tab"),
        (b"x" * 101 + b"\tAda\n\tEva\n", "has more than 100 bytes before its first tab"),
        (
            b"fr\tAda\nfr\tEva\n",
            "all items of a.tsv have the label fr: add items with other labels, or remove the label and",
        ),
        (b"fr\tAda\nde\tAda\n", "all 2 items of a.tsv are equal"),
        (b"Ada\t\nEva\t\n", "no items of -items line, for which an item is a line that is not empty, after a label"),
        (b"".join(b"%d\tA%d\n" % (k, k) for k in range(1001)), "more than 1,000 labels, the most that a model may"),
    ],
)
def test_labels_that_are_refused(tmp_path, monkeypatch, text, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.tsv").write_bytes(text)
    with pytest.raises(UserError, match=said):
        gathered(["a.tsv"], "column")


def test_a_long_file_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ("x" * 110)).write_bytes(b"Ada\nEva\n")
    with pytest.raises(UserError, match="its label, x+.*, must have 1 to 100 bytes: rename its file"):
        gathered(["x" * 110], "file")


def test_a_vocabulary_without_a_tab(tmp_path):
    folder(tmp_path)
    with pytest.raises(UserError, match=r"lacks '\\t', which ends the labels of -label column: use -vocab extend"):
        loader(tmp_path, model_characters=[b"\n", b"a"], vocab="keep")


@pytest.mark.parametrize("encoding", ["bytes", "utf8"])
def test_no_label_loses_a_character(tmp_path, encoding):
    """Else items of two labels would have one label, and -as would not find the label of the file."""
    text = "a\u00e9\tab\na\u00e8\tb\nab\taxb\n" * 9
    (tmp_path / "input.txt").write_bytes(text.encode())
    known = {c.encode() for c in "ab\n\t\u00e9"} if encoding == "utf8" else {bytes([b]) for b in b"ab\n\t\xc3\xa9"}
    how = {"encoding": encoding, "vocab": "keep"}
    missing = r"\\xa8" if encoding == "bytes" else "U\\+00E8"
    with pytest.raises(
        UserError, match=f"lacks .*{missing}.* of the label a\u00e8: use -vocab extend, or rename the label"
    ):
        loader(tmp_path, model_characters=known, **how)
    (tmp_path / "input.txt").write_bytes(text.replace("\u00e8", "\u00e9").encode())
    assert loader(tmp_path, model_characters=known, **how).label_counts.keys() == {"a\u00e9".encode(), b"ab"}


def test_a_spelling_of_several_labels_is_that_of_none():
    """Two labels of an older model may look the same; which of them is meant, only their own spellings say."""
    composed, partly, apart = (spelled.encode() for spelled in ("\u01d8", "\u00fc\u0301", "u\u0308\u0301"))
    assert labels.spelling_of(apart, [b"a", composed]) == composed
    assert labels.spelling_of(apart, [composed, partly]) == b""
    assert labels.spelling_of(partly, [composed, partly]) == partly
    assert labels.spelling_of(b"b", [b"a", composed]) == b""


def test_names_of_files_and_folders_as_labels():
    def of(name: str, label: str = "file") -> bytes:
        return labels.prefix(SimpleNamespace(name=name, shown="names"), label)

    assert of(f"a/{'n' * 100}.txt") == b"n" * 100 + b"\t" and of("b/c.txt", "folder") == b"b\t"
    assert of("a\u202e.txt") == b"a\\u202e\t" and of("a.txt", "column") == b""
    for name, said in (("n" * 101, "n" * 17), ("\u202e" * 17, r"\\u202e\\u202e")):
        with pytest.raises(
            UserError, match=rf"^names: its label, {said}.{{3,8}}, must have 1 to 100 bytes: rename its f"
        ):
            of(f"{name}.txt")
    with pytest.raises(UserError, match="^names: it has no label, which must have 1 to 100 bytes: rename its folder"):
        of("/a.txt", "folder")


def test_items_without_a_valid_label_are_told_why():
    def refusal(item: bytes, label: str = "file") -> str:
        with pytest.raises(UserError) as error:
            labels.split(item, label)
        return str(error.value)

    assert labels.split(b"n" * 100 + b"\ta\tb", "file") == (b"n" * 100, b"a\tb")
    assert " has more than 100 bytes before its first tab: " in refusal(b"n" * 101 + b"\ta")
    assert " has a line break before its first tab: " in refusal(b"n" * 99 + b"\n\ta")
    items = [(b"a,b", "column"), (b"a;b", "column"), (b"a,b", "file"), (b"ab", "column"), (b"\ta,b", "column")]
    assert ["if this is a table" in refusal(*item) for item in items] == [True, True, False, False, False]


def test_known_labels_are_found_at_the_beginnings_of_lines():
    known = [b"fr"]
    items = [(b"fr\tAda", (b"fr", b"Ada")), (b"de\tEva", (b"", b"de\tEva")), (b"fr", (b"", b"fr"))]
    assert [labels.split_known(item, known) for item, _ in items] == [found for _, found in items]
    text = b"fr\tAda\n\nde\tfr\tEva\nfr\tIo"
    assert labels.cut(text, known) == [b"", b"fr\t", b"Ada\n\nde\tfr\tEva\n", b"fr\t", b"Io"]
    assert labels.cut(text, []) == [text]
    assert labels.beginning_of(b"\xffa\n" + b"b" * 99) == "\ufffda\\n" + "b" * 37
