"""Reads uploaded texts and estimates trainings on them, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from pycharrnn.common.lru import LRU
from pycharrnn.server.studio import page_words, text_facts
from pycharrnn.server.studio.studio_paths import Refusal
from pycharrnn.server.studio.text_schemas import Estimates, ReadText, TextFacts
from pycharrnn.server.studio.uploads import Texts
from pycharrnn.training.options import TrainOptions

if TYPE_CHECKING:
    from pycharrnn.text.text_stats import TextStats

_MAX_STATS = 8  # texts whose statistics stay in memory

_Key = tuple[str, str, str, str]  # text id, -items, -label, -text_encoding


class TextReader:
    """Reads the texts of `texts`, and remembers the statistics of the last ones. `environment`: of estimates."""

    def __init__(self, texts: Texts, environment: Mapping[str, str]) -> None:
        self._texts, self._environment = texts, environment
        self._stats: LRU[_Key, TextStats] = LRU(_MAX_STATS, lambda stats: 1)
        # Each takes much time of the disk, or all cores.
        self._one_read_at_a_time, self._one_estimate_at_a_time = asyncio.Lock(), asyncio.Lock()

    async def read(self, text_id: str, asked: ReadText) -> TextFacts:
        """Errors: Refusal; UserError."""
        text, options = self._texts.of(text_id), _options(asked)
        paths = text.paths()

        def shown(sentence: str) -> str:
            return text.without_folder(page_words.reword(sentence))

        async with self._one_read_at_a_time:
            renamed = text.renamed(asked.label)
            found, stats = await asyncio.to_thread(text_facts.read, text_id, paths, options, shown, renamed)
        self._stats[_key(text_id, asked)] = stats
        return found

    async def estimates(self, text_id: str, asked: ReadText, has_left: Callable[[], Awaitable[bool]]) -> Estimates:
        """How long trainings would take. `has_left`: whether nobody waits any more. Errors: Refusal; UserError."""
        if _key(text_id, asked) not in self._stats:
            await self.read(text_id, asked)
        stats = self._stats[_key(text_id, asked)]
        async with self._one_estimate_at_a_time:
            if await has_left():
                raise Refusal(503, "the estimate is no longer asked for.")
            return await text_facts.estimates(stats, _options(asked), self._environment)


def _key(text_id: str, asked: ReadText) -> _Key:
    return text_id, asked.items, asked.label, asked.text_encoding


def _options(asked: ReadText) -> TrainOptions:
    """Errors: UserError for values that train refuses."""
    return TrainOptions(**{name: value for name, value in asked.model_dump().items() if value})
