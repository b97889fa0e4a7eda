"""The transcripts on README.md and docs/ show what pycharrnn prints, and docs/record.py writes them."""

from __future__ import annotations

import json
import os
import runpy

import doc_commands
import pytest
import transcripts
from doc_commands import PAGES, ROOT, Entry
from transcript_recording import recorded

from pycharrnn.engine import kernel_library

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the commands are for a shell of POSIX")


@pytest.fixture(scope="module")
def of_reader(tmp_path_factory):
    return doc_commands.small_model(tmp_path_factory.mktemp("reader"))


@pytest.mark.slow
@pytest.mark.parametrize("page", transcripts.pages())
def test_pages_show_what_is_printed(page, of_reader, tmp_path):
    why_by_shape = transcripts.machine_differs()
    differences = []
    for block, entry, here in transcripts.run(page, tmp_path, of_reader):
        if found := transcripts.difference(entry, here.output, by_shape=bool(why_by_shape)):
            differences.append(f"{page}:{block.number}: {entry.command}\n{found}")
    assert not differences, "\n\n".join([*differences, f"to record the page: python docs/record.py {page}"])
    if why_by_shape:
        pytest.skip(f"the shape of the output is right, digits were not compared: {why_by_shape}")


def test_pages_name_the_version_of_their_text():
    python = json.loads(transcripts.RECORDED_WITH.read_text(encoding="utf-8"))["python"]
    for page in ("README.md", "tutorial.md"):
        assert f"Python {python}" in PAGES[page].read_text(encoding="utf-8")


LOG = [f"{i}/30 (epoch {i / 10:.3f}), train_loss = {3 - i / 100:.8f}, time/batch = 0.01s" for i in (10, 20, 30)]
PRINTED = ["loading data files...", *LOG, "saving checkpoint to cv/lm_a_epoch3.00_2.7000.t7"]


def differs(page: list[str], printed: list[str], command: str = "pycharrnn train", by_shape: bool = False) -> bool:
    return bool(transcripts.difference(Entry([f"$ {command}"], page), printed, by_shape))


@pytest.mark.parametrize(
    ("page", "same"),
    [
        (PRINTED, True),
        (["..."], True),
        (["...", LOG[1], "..."], True),
        (["loading data files...", "...", PRINTED[-1]], True),
        (["...", LOG[1].replace("0.01s", "0.0078s"), LOG[2], "..."], True),
        (["...", "20/30 ... time/batch = 9s", "..."], True),
        (["...", "saving checkpoint ..."], True),
        ([*PRINTED, ""], True),
        ([], False),
        (PRINTED[:-1], False),
        ([LOG[1], "..."], False),
        (["...", LOG[1]], False),
        (["...", LOG[0], LOG[2], "..."], False),
        (["...", LOG[2], "...", LOG[0], "..."], False),
        (["...", LOG[1].replace("2.80000000", "2.80000001"), "..."], False),
        (["...", "21/30 ... time/batch = 9s", "..."], False),
        (["loading ...", "...", "saving checkpoint to cv/lm_a_epoch3.00_2.7001.t7"], False),
    ],
)
def test_output_is_compared_line_by_line(page, same):
    assert differs(page, PRINTED) != same


def test_shapes_are_compared_without_digits():
    page = [*PRINTED[:2], "...", "saving checkpoint to cv/lm_a_epoch2.50_1.1111.t7", "    | a sample"]
    assert not differs(page, PRINTED, by_shape=True)
    assert not differs(page, ["pycharrnn: the C kernel's level 'any' has no FMA", *PRINTED], by_shape=True)
    assert differs([line.replace("saving", "keeping") for line in page], PRINTED, by_shape=True)
    sample = "pycharrnn sample cv -primetext 'The '"
    assert not differs(["The cat"], ["The dog", "barks"], sample, by_shape=True)
    assert differs(["The cat"], ["A dog"], sample, by_shape=True)
    assert differs(["The cat"], ["The dog"], sample)


def test_long_lines_are_wrapped():
    long = "pycharrnn: " + "word " * 40 + "end."
    wrapped = recorded([], [long, "x"])
    assert len(wrapped) == 3
    assert max(map(len, wrapped)) <= 120
    assert not differs(wrapped, [long, "x"])
    assert differs(wrapped, [long.replace("end", "END"), "x"])
    assert recorded(wrapped, [long.replace("end", "END"), "x"])[1].endswith("END.")


def test_new_output_keeps_elisions():
    page = ["...", LOG[1], "...", "saving checkpoint to cv/lm_a_epoch3.00_2.6543.t7", ""]
    new = [line.replace("2.8", "2.9") for line in PRINTED]
    assert recorded(page, PRINTED) == ["...", LOG[1], "...", PRINTED[-1], ""]
    assert recorded(page, new) == ["...", new[2], "...", new[-1], ""]
    assert recorded(page, [*new, "pycharrnn: finished"]) == [
        "...", new[2], "...", new[-1], "pycharrnn: finished", ""
    ]  # fmt: skip
    assert recorded(["...", "20/30 (epoch 1.500), ... = 1s", "..."], new) == [
        "...", "20/30 (epoch 2.000), ... = 1s", "..."
    ]  # fmt: skip
    assert recorded([], new) == new
    assert recorded(["..."], new) == ["..."]


def test_new_output_keeps_times():
    page = ["...", LOG[1].replace("0.01s", "0.0078s"), "...", "saving checkpoint to cv/lm_a_epoch3.00_2.6543.t7"]
    assert recorded(page, PRINTED) == [*page[:3], PRINTED[-1]]
    page[1] = page[1].replace("2.8", "2.9")
    assert recorded(page, PRINTED)[1] == LOG[1].replace("0.01s", "0.0078s")


PAGE = """# Title

```
$ echo one \\
  2

$ echo 3; echo four >&2
...
$ ls nowhere || echo five
```

```
echo not a transcript
```

```
$ pip install .
old
$ for i in 7 8 9; do echo $i/9, CUDA: $CUDA_VISIBLE_DEVICES; sleep 1; done
7/9, CUDA: 3
^C
```
"""


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A page in the place of all others, and a record of the machine."""
    path = tmp_path / "page.md"
    path.write_text(PAGE, encoding="utf-8")
    for name in list(PAGES):
        monkeypatch.delitem(PAGES, name)
    monkeypatch.setitem(PAGES, "page.md", path)
    monkeypatch.setattr(doc_commands, "small_model", lambda folder: (b"", folder))
    monkeypatch.setattr(transcripts, "RECORDED_WITH", tmp_path / "recorded_with.json")
    transcripts.RECORDED_WITH.write_text('{"python": "3.1.4", "manual": "another"}', encoding="utf-8")
    return path


def record(*chosen: str) -> int | str:
    return runpy.run_path(str(ROOT / "docs" / "record.py"))["main"](list(chosen))


@pytest.mark.skipif(not kernel_library.rounds_as_elsewhere(), reason="digits are recorded with the C kernel")
def test_a_page_is_recorded(page, capsys):
    assert transcripts.machine_differs() == "the pages' text is the manual of Python 3.1.4"
    assert record("page.md") == "the pages' text is the manual of Python 3.1.4: record all pages."
    assert page.read_text(encoding="utf-8") == PAGE
    assert record() == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith(
        "# Title\n\n```\n$ echo one \\\n  2\none 2\n\n$ echo 3; echo four >&2\n...\n$ ls nowhere || echo five\nls: "
    )
    assert "\nfive\n```\n\n```\necho not a transcript\n```\n\n```\n$ pip install .\nold\n" in text
    assert text.endswith("; done\n7/9, CUDA:\n^C\n```\n")
    assert transcripts.machine_differs() == ""
    assert record("page.md") == 0
    assert page.read_text(encoding="utf-8") == text
    assert capsys.readouterr().out == "page.md: changed\npage.md: up to date\n"


def test_what_cannot_be_recorded_is_told(page, monkeypatch):
    assert record("nowhere.md") == "no page with transcripts: nowhere.md; choose from page.md."
    monkeypatch.setattr(kernel_library, "rounds_as_elsewhere", lambda: False)
    assert record().startswith("digits are recorded with the C kernel")
    monkeypatch.setattr(transcripts, "manual", lambda: "another")
    assert transcripts.machine_differs() == "without a C kernel that fuses, digits are others"
