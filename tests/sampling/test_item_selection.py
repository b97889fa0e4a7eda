"""Which of the drawn items are left out, when no more are drawn, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest

from pycharrnn.common.errors import UserError, for_command_line
from pycharrnn.sampling import item_selection
from pycharrnn.sampling.item_selection import SelectedItem, Selection
from pycharrnn.sampling.item_streams import DrawnItem
from pycharrnn.sampling.options import SampleOptions

NONE = (np.empty(0, np.int64), np.empty(0))


@pytest.fixture
def few_tries(monkeypatch):
    monkeypatch.setattr(item_selection, "MAX_TRIES", 3)


def selection(known: set[bytes] | None = None, items: int = 5, **options) -> Selection:
    return Selection(SampleOptions(items=items, **options), known)


def take(chosen: Selection, *texts: bytes, label: bytes = b"") -> list[bytes]:
    """Those of the texts that are selected, until the selection has ended."""
    found = []
    for text in texts:
        if chosen.has_ended:
            break
        if one := chosen.take(DrawnItem(7, *NONE, cut=False), text, label):
            found.append(one.text)
    return found


def reason(chosen: Selection) -> str:
    assert chosen.gave_up
    return for_command_line(chosen.why_it_gave_up())


@pytest.mark.parametrize(
    "options, selected",
    [
        ({"least": 2}, [b"ab", b"abc", "äöü".encode(), b"\xff\xff"]),
        ({"most": 2}, [b"", b"a", b"ab", b"\xff\xff"]),
        ({"least": 3, "most": 3}, [b"abc", "äöü".encode()]),
    ],
)
def test_limits_of_the_length_are_allowed_lengths(options, selected):
    texts = [b"", b"a", b"ab", b"abc", "äöü".encode(), b"\xff\xff"]  # the last in bytes
    chosen = selection(items=9, **options)
    assert take(chosen, *texts) == selected
    counts = f"drawn: 6, printed: {len(selected)}, repeated: 0, of another length: {6 - len(selected)}"
    assert chosen.as_sentence() == counts


def test_an_item_that_was_left_out_counts_as_drawn_before():
    chosen = selection({b"known"}, unique=1, most=3)
    assert take(chosen, b"long", b"a", b"long", b"a") == [b"a"]
    assert chosen.as_sentence() == "drawn: 4, printed: 1, known: 0, repeated: 2, of another length: 2"


def test_tries_are_counted_from_the_last_item_that_is_not_left_out(few_tries):
    chosen = selection({b"old"}, new=1)
    assert take(chosen, b"old", b"old", b"a", b"old", b"old", b"b", b"old", b"", b"old", b"c") == [b"a", b"b"]
    assert chosen.drawn == 9
    why = "found 2 of 5 items: -new 1 left out the last 3 that were drawn; raise -temperature or ask for fewer."
    assert reason(chosen) == why
    assert chosen.as_sentence() == "drawn: 9, printed: 2, known: 6, repeated: 5, empty: 1"


@pytest.mark.parametrize(
    "options, why",
    [
        ({"least": 4}, "-least 4 left out the last 3 that were drawn; lower -least."),
        (
            {"most": 2, "unique": 1},
            "-unique 1 and -most 2 left out the last 3 that were drawn; raise -most or raise -temperature.",
        ),
        (
            {"new": 1, "least": 4, "most": 9},
            "-new 1 and -least 4 and -most 9 left out the last 3 that were drawn; lower -least, raise -most or raise"
            " -temperature.",
        ),
    ],
)
def test_ways_out_are_those_of_the_given_options(few_tries, options, why):
    chosen = selection(set(), **options)
    assert take(chosen, b"abc", b"abd", b"abe", b"good") == []
    assert reason(chosen) == f"found 0 of 5 items: {why}"


@pytest.mark.parametrize("greedy, named", [({"sample": 0}, "-sample 0"), ({"topk": 1}, "-topk 1")])
def test_without_chance_all_items_or_those_of_a_label_are_equal(few_tries, greedy, named):
    for label in ("x", ""):
        chosen = selection(unique=1, label=label, **greedy)
        assert take(chosen, b"a", b"a", b"a", label=label.encode()) == [b"a"] and chosen.drawn == 2
        assert reason(chosen) == f"found 1 of 5 items: with {named} all are equal."
    chosen = selection(unique=1, **greedy)
    assert take(chosen, b"a", b"a", label=b"x") == take(chosen, b"a", b"a", label=b"y") == [b"a"]
    assert not take(chosen, b"a", b"a", label=b"x") and chosen.drawn == 6
    assert reason(chosen) == f"found 2 of 5 items: with {named} those of a label are equal."


def test_an_item_is_known_with_its_label():
    chosen = selection({b"x\ta"}, new=1)
    assert take(chosen, b"a", label=b"x") == [] and take(chosen, b"a", label=b"y") == [b"a"]
    assert chosen.known == 1


def test_without_a_text_to_compare_with_nothing_is_said_of_it():
    chosen = selection(items=4, length=4)
    for text, cut in ((b"", False), (b"abcd", True), (b"", False)):
        item = chosen.take(DrawnItem(7, *NONE, cut=cut), text)
        assert item and item.known is None
    assert chosen.as_sentence() == "drawn: 3, printed: 3, repeated: 1, cut at -length 4: 1"
    assert not chosen.has_ended
    take(chosen, b"a")
    assert chosen.has_ended and not chosen.gave_up


def test_facts_replace_invalid_utf8():
    item = SelectedItem(DrawnItem(7, *NONE, cut=True), b"a\xff", known=False)
    assert item.facts == {"text": "a\ufffd", "known": False, "seed": 7, "cut": True}


@pytest.mark.parametrize(
    "options, refused",
    [
        ({"least": 6}, ""),
        ({"least": 7}, "no item has -least 7 or more characters with -length 3: raise -length, or lower -least."),
        ({"most": 1}, ""),  # the bytes of one character, and one that is cut
    ],
)
def test_lengths_that_some_items_have(options, refused):
    opt, prime = SampleOptions(length=3, items=1, **options), [b"\xc3", b"\xa4", b"\xc3"]
    if not refused:
        item_selection.require_possible_items(opt, prime, b"\n")
        return
    with pytest.raises(UserError) as error:
        item_selection.require_possible_items(opt, prime, b"\n")
    assert for_command_line(error.value.message) == refused


@pytest.mark.parametrize("option", ["primetext", "primefile"])
def test_a_beginning_is_named_by_its_option(option):
    opt = SampleOptions(most=1, items=1, **{option: "x"})
    with pytest.raises(UserError) as error:
        item_selection.require_possible_items(opt, [b"a", b"b"], b"\n")
    said = f"-{option} alone has 2 characters, more than -most 1: raise -most, or shorten it."
    assert for_command_line(error.value.message) == said
    with pytest.raises(UserError) as error:
        item_selection.require_possible_items(opt, [b"\n"], b"\n")
    assert for_command_line(error.value.message).startswith(rf"-{option} contains '\n', which ends an item: ")


def test_a_beginning_with_the_end_of_an_item_is_refused():
    item_selection.require_no_end([b"a"], b"\n")
    with pytest.raises(UserError, match="primetext"):
        item_selection.require_no_end([b"a", b"\n"], b"\n")
