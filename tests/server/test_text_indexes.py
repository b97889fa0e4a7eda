"""The indexes of max_copy on a server: kept, made one at a time, and refused where too many are asked for."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import item_models
import pytest
from conftest import working_in

from pycharrnn.checkpoints import checkpoint
from pycharrnn.engine import passages
from pycharrnn.engine.passages import PassageFilter
from pycharrnn.sampling.model_text import ModelText
from pycharrnn.server.scheduler import SchedulerClosed
from pycharrnn.server.text_indexes import MAX_MAKING, TextIndexes, TooManyIndexes


async def is_open() -> bool:
    return True


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A text, the values of max_copy that it was indexed for, and an event without which no index is complete."""
    with working_in(tmp_path):
        path = item_models.saved(tmp_path, "", b"a cat and a bat\n", letters="abc")
        text, asked, may_end, index = (
            ModelText(str(path), checkpoint.load(path)),
            [],
            threading.Event(),
            ModelText.index,
        )

        def slow(self, N, *args):
            asked.append(N)
            assert may_end.wait(300)
            return index(self, N, *args)

        monkeypatch.setattr(ModelText, "index", slow)
        yield text, asked, may_end


def test_equal_requests_share_an_index_and_too_many_are_refused(made):
    text, asked, may_end = made

    async def ask():
        indexes = TextIndexes()
        may_end.set()
        first = await indexes.limits(text, 3, is_open)
        may_end.clear()
        waiting = [asyncio.create_task(indexes.limits(text, N, is_open)) for N in (4, 5, 6, 7, 4, 4)]
        while len(asked) < 2:
            await asyncio.sleep(0.001)
        assert asked == [3, 4]  # one at a time
        with pytest.raises(TooManyIndexes):
            await indexes.limits(text, 8, is_open)
        again = await indexes.limits(text, 3, is_open)  # a kept one is at hand all the while
        assert again.passages is first.passages
        waiting[1].cancel()  # its client has left
        may_end.set()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert [one.passages.rules.N for one in found if not isinstance(one, BaseException)] == [4, 6, 7, 4, 4]
        assert found[0].passages is found[4].passages
        assert (await indexes.limits(text, 8, is_open)).passages.rules.N == 8

    assert MAX_MAKING == 4
    asyncio.run(ask())
    assert asked == [3, 4, 5, 6, 7, 8]


def test_the_filter_of_a_long_text_is_not_written(made, monkeypatch):
    """Clients may ask for one of each length."""
    text, _, may_end = made
    monkeypatch.setattr(passages, "MAX_EXACT", 5)
    may_end.set()
    limits = asyncio.run(TextIndexes().limits(text, 3, is_open))
    assert isinstance(limits.passages, PassageFilter)
    assert not list(Path(text.recorded.folder).glob("passages_*"))


def test_a_server_that_stops_answers_those_who_wait_for_an_index(made):
    text, asked, may_end = made
    closed = threading.Event()

    async def until_closed() -> bool:
        return not closed.is_set()

    async def ask():
        waiting = asyncio.create_task(TextIndexes().limits(text, 3, until_closed))
        while not asked:
            await asyncio.sleep(0.001)
        closed.set()
        with pytest.raises(SchedulerClosed):
            await waiting
        may_end.set()

    asyncio.run(ask())


def test_a_text_that_has_changed_is_told_to_all_who_wait(made):
    text, asked, may_end = made
    with open(text.recorded.path, "ab") as f:
        f.write(b"c")
    may_end.set()

    async def ask():
        return await asyncio.gather(*(TextIndexes().limits(text, 3, is_open) for _ in range(2)), return_exceptions=True)

    assert [type(one).__name__ for one in asyncio.run(ask())] == ["UserError"] * 2
