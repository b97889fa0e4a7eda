"""The tables that other modules keep of each kind of item."""

import re
from importlib.resources import files
from typing import get_args

import pytest

from compat.item_options import ITEM_KINDS, is_one_line
from pycharrnn.server.studio.page_words import FIELDS
from pycharrnn.text import data_settings, items
from pycharrnn.training import time_plan


def test_tables_have_every_kind():
    assert get_args(data_settings.Items) == tuple(ITEM_KINDS)
    assert tuple(FIELDS["items"][1]) == ("", *ITEM_KINDS)
    assert tuple(time_plan._RULES) == ("", *ITEM_KINDS)
    assert set(items._WITHOUT_ENDS) == {kind for kind, facts in ITEM_KINDS.items() if not facts.ends_in_source}


def test_the_page_has_the_same_table():
    source = files("pycharrnn.page").joinpath("files/item_kinds.js").read_text(encoding="utf-8")
    values = {r'""': b"", r'"\n"': b"\n", r'"%\n"': b"%\n", "RECORD_SEPARATOR": b"\x1e"}
    rows = re.findall(r"^  (\w+): \{ end: (\S+), between: (\S+) \},$", source, re.MULTILINE)
    found = {kind: (values[end], values[between]) for kind, end, between in rows}
    assert found == {kind: (facts.end, facts.between) for kind, facts in ITEM_KINDS.items()}


@pytest.mark.parametrize("kind", ITEM_KINDS)
def test_an_item_of_one_line_ends_with_its_line(kind):
    facts = ITEM_KINDS[kind]
    assert is_one_line(kind) == (facts.end == b"\n")
    text = b"Ada" + facts.end + b"Bob" + facts.end
    assert list(items.of_text(text, kind)) == [b"Ada", b"Bob"]


def test_a_text_has_no_kind():
    assert not is_one_line("")
