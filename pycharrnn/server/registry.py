"""Keeps the models that `pycharrnn serve` offers, by id; reads them from disk when a request needs them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pycharrnn.common.errors import UserError
from pycharrnn.common.printing import PrintLine
from pycharrnn.engine.adapt_options import Adaptation
from pycharrnn.page.facts import Losses, ModelFacts
from pycharrnn.server.checkpoint_scan import (
    CheckpointEntry,
    CheckpointScanner,
    FileChanged,
    ScanResult,
    reload,
    reload_to_learn,
)
from pycharrnn.server.learning_models import LearningModel, nbytes_of
from pycharrnn.server.model_cache import ModelCache
from pycharrnn.server.served_models import ServedModel
from pycharrnn.server.waiting import repeat
from pycharrnn.text.recorded_text import RecordedText

MAX_BYTES = 1 << 28  # of the weights of folders' models in memory
SCAN_SECONDS = 1.0  # between two scans of the folders
_ATTEMPTS, _ATTEMPT_SECONDS = 10, 0.05  # to get memory for a model
_MAX_LINES = 10  # models that are printed in lines of their own
FILE_GONE = "the file of this model has changed or is gone: choose another model."

_Model = TypeVar("_Model")


class CapacityExceeded(Exception):
    """The models in use leave no memory for another one."""


class NoSuchModel(Exception):
    """A request can't have the model that it names; the message is a sentence for the client."""


class Registry:
    """Models by id. Models of named files stay in memory; those of folders are cached and read again when needed.

    Requests can't name paths, and a file that has changed since it was first read is not served. Call the methods from
    one event loop; a thread reads the files.

    Args:
        paths: checkpoints and folders of checkpoints.
        say: prints a line for each model. note: for each file or folder that can't be read.
        follow: whether `follow_folders` will run; folders may be empty then.
        max_bytes: of the weights of cached models.

    Errors: UserError for a file that does not exist or is named twice, or if there is no checkpoint.
    """

    def __init__(
        self, paths: list[str], say: PrintLine, note: PrintLine, follow: bool = False, max_bytes: int = MAX_BYTES
    ) -> None:
        self.follow = follow
        self.generation = 0  # counts the changes of the list of models
        self._say, self._note = say, note
        self._scanner = CheckpointScanner(paths, max_bytes)
        if follow and not self._scanner.folders:
            raise UserError("-follow 1 adds new checkpoints of folders: name a folder.")
        self._entries: dict[str, CheckpointEntry] = {}
        self._named: dict[str, ServedModel] = {}
        self._cache = ModelCache(max_bytes)
        self._one_at_a_time, self._one_scan_at_a_time = asyncio.Lock(), asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._apply(self._scanner.scan(may_be_empty=follow))

    def all_facts(self) -> list[ModelFacts]:
        """Facts of all models, by argument; in a folder the run that trained last, and its lowest loss, first."""
        return [entry.facts for entry in self._entries.values()]

    def path(self, model_id: str) -> str:
        """The path of a model's file. Errors: NoSuchModel."""
        return self._entry(model_id).path

    def paths(self) -> dict[str, str]:
        """Model id -> path of its file, in the order of `all_facts`."""
        return {model_id: entry.path for model_id, entry in self._entries.items()}

    def lost_texts(self) -> list[str]:
        """The beginning of a message for each training text of a model of items that is missing or has changed."""
        recorded = [entry.text for entry in self._entries.values() if entry.facts.items]
        texts = {(text.path, text.fingerprint): text for text in recorded}
        return [words for text in texts.values() if (words := _lost(text))]

    def losses(self, model_id: str) -> Losses:
        """The losses of the run that trained a model. Errors: NoSuchModel."""
        return self._entry(model_id).losses

    async def model(self, model_id: str) -> ServedModel:
        """A model, read now if it is not in memory. Errors: NoSuchModel; CapacityExceeded."""
        self._entry(model_id)
        if found := self._in_memory(model_id):
            return found
        async for _ in _attempts():
            async with self._one_at_a_time:
                entry = self._entry(model_id)  # a scan may have replaced it meanwhile
                if found := self._in_memory(model_id):
                    return found
                if self._cache.evict_for(entry.nbytes):
                    model = await self._read(reload, entry)
                    if self._entries.get(model_id) is entry:
                        self._cache.put(model)
                    else:  # a scan has dropped it while it was read: only this request gets it
                        self._cache.count(model)
                    return model
        raise CapacityExceeded

    async def learning_model(self, model_id: str, how: Adaptation) -> LearningModel:
        """A copy of a model that learns, for one request. It counts as long as the request has it.

        Errors: NoSuchModel; CapacityExceeded.
        """
        async for _ in _attempts():
            async with self._one_at_a_time:
                entry = self._entry(model_id)
                if self._cache.evict_for(nbytes_of(entry.facts, how.length)):
                    model = await self._read(functools.partial(reload_to_learn, how=how), entry)
                    self._cache.count(model)
                    return model
        raise CapacityExceeded

    async def _read(self, read: Callable[[CheckpointEntry], _Model], entry: CheckpointEntry) -> _Model:
        """Errors: NoSuchModel."""
        reading: asyncio.Future[_Model] = asyncio.get_running_loop().run_in_executor(self._thread, read, entry)
        try:
            return await reading
        except (FileChanged, UserError):
            raise NoSuchModel(FILE_GONE) from None

    async def follow_folders(self) -> None:
        """Scan the folders again and again, until this task is cancelled."""
        await repeat(self.scan_again, SCAN_SECONDS, "scan the folders for checkpoints", self._note)

    async def scan_again(self) -> None:
        """Read the folders' new checkpoints, and forget those that are gone."""
        async with self._one_scan_at_a_time:
            loop = asyncio.get_running_loop()
            result = await loop.run_in_executor(self._thread, self._scanner.rescan, self._entries)
            with contextlib.suppress(UserError):  # stdout is closed
                self._apply(result)

    def _entry(self, model_id: str) -> CheckpointEntry:
        if model_id not in self._entries:
            raise NoSuchModel("no model has this name, or its file has gone: choose another one from the list.")
        return self._entries[model_id]

    def _in_memory(self, model_id: str) -> ServedModel | None:
        return self._named.get(model_id) or self._cache.get(model_id)

    def _apply(self, result: ScanResult) -> None:
        before, self._entries = self._entries, result.entries
        self.generation += list(before.values()) != list(result.entries.values())
        for model_id, entry in before.items():
            if result.entries.get(model_id) is not entry:
                self._cache.drop(model_id)
        for model_id, model in result.models.items():
            if result.entries[model_id].argument not in self._scanner.folders:
                self._named[model_id] = model
            elif self._cache.fits(model.nbytes):
                self._cache.put(model)
        for error in result.errors:
            self._note(f"left out: {error}")
        for model_id in result.new[:_MAX_LINES]:
            self._say(f"offering {model_id}")
        if len(result.new) > _MAX_LINES:
            self._say(f"offering {len(result.new) - _MAX_LINES} more")


async def _attempts() -> AsyncIterator[None]:
    """Attempts to get memory, which other requests may free between them."""
    for k in range(_ATTEMPTS):
        if k:
            await asyncio.sleep(_ATTEMPT_SECONDS)
        yield


def _lost(text: RecordedText) -> str:
    try:
        return text.missing or text.changed()
    except UserError:  # a request will say that the text can't be read
        return ""
