"""The models that `pycharrnn serve` offers: by name, with what is told of each, read when they are needed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from pycharrnn.common.errors import UserError
from pycharrnn.page.facts import Losses, ModelFacts
from pycharrnn.server.checkpoint_scan import Changed, CheckpointEntry, OfferReader, ScanResult, read_again
from pycharrnn.server.model_cache import CapacityExceeded, ModelCache
from pycharrnn.server.served_models import ServedModel

MOST_BYTES = 1 << 28  # of the weights of folders' models in memory
LOOK_SECONDS = 1.0  # between two looks at the folders
_ATTEMPTS, _ATTEMPT_SECONDS = 10, 0.05  # to find room for a model
_MOST_SAID = 10  # models that are named in lines of their own


class NoSuchModel(Exception):
    """Why a request can't have the model that it names, as a sentence."""


class Registry:
    """Models by the names with which requests choose them.

    Files that were named stay in memory. Of those of folders, what is told of them does, and as many models as there is
    room for, the last used ones: others are read again when a request chooses them. No request names a path; and a
    file that is no longer the one that was read at first is not served.

    All but the constructor is to be used from one event loop; files are read on a thread beside it.

    Args:
        paths: checkpoints, and folders of which all checkpoints are meant.
        say: prints a line for each model, and for each file beside others that can't be read.
        follow: whether `follow_folders` will look for new checkpoints in folders, which may be empty then.
        most_bytes: of the weights of folders' models in memory.

    Attributes:
        generation: counts the changes of what is offered.

    Errors: UserError for a file that does not exist or is named twice, or where there is no checkpoint.
    """

    def __init__(
        self, paths: list[str], say: Callable[[str], None], follow: bool = False, most_bytes: int = MOST_BYTES
    ) -> None:
        self.follow, self.generation = follow, 0
        self._say = say
        self._offer_reader = OfferReader(paths)
        if follow and not self._offer_reader.folders:
            raise UserError("-follow 1 takes up new checkpoints of folders: name a folder.")
        self._offers: dict[str, CheckpointEntry] = {}
        self._named: dict[str, ServedModel] = {}
        self._memory = ModelCache(most_bytes)
        self._one_at_a_time = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._take_up(self._offer_reader.first_look(may_be_empty=follow))

    def all_facts(self) -> list[ModelFacts]:
        """What is told of each model, in the order of the arguments; of those of a folder the best first."""
        return [offer.facts for offer in self._offers.values()]

    def facts(self, name: str) -> ModelFacts:
        """What is told of a model. Errors: NoSuchModel."""
        return self._offer(name).facts

    def losses(self, name: str) -> Losses:
        """The losses of the run that made a model. Errors: NoSuchModel."""
        return self._offer(name).losses

    async def model(self, name: str) -> ServedModel:
        """A model, read now if it is not in memory. Errors: NoSuchModel; model_cache.CapacityExceeded."""
        offer = self._offer(name)
        found = self._named.get(name) or self._memory.get(name)
        if found:
            return found
        async with self._one_at_a_time:
            found = self._memory.get(name)  # another request may have had it read meanwhile
            if not found:
                await self._make_room(offer.nbytes)
                try:
                    found = await asyncio.get_running_loop().run_in_executor(self._thread, read_again, offer)
                except (Changed, UserError):
                    raise NoSuchModel("the file of this model is no longer what it was: choose another one.") from None
                self._memory.keep(found)
            return found

    async def follow_folders(self) -> None:
        """Offer what the folders hold at any time, until this is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            look = await loop.run_in_executor(self._thread, self._offer_reader.look_again, self._offers)
            with contextlib.suppress(UserError):  # nobody reads any more what is printed
                self._take_up(look)

    def _offer(self, name: str) -> CheckpointEntry:
        if name not in self._offers:
            raise NoSuchModel("there is no such model here: /api/models lists them.")
        return self._offers[name]

    async def _make_room(self, nbytes: int) -> None:
        """Errors: CapacityExceeded where no request ends soon that has a model in use."""
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(CapacityExceeded):
                self._memory.make_room(nbytes)
                return
            await asyncio.sleep(_ATTEMPT_SECONDS)
        raise CapacityExceeded

    def _take_up(self, look: ScanResult) -> None:
        before, self._offers = self._offers, look.offers
        self.generation += list(before.values()) != list(look.offers.values())
        for name, offer in before.items():
            if look.offers.get(name) is not offer:
                self._memory.drop(name)
        for model in look.new:
            if look.offers[model.id].argument not in self._offer_reader.folders:
                self._named[model.id] = model
            elif self._memory.has_room(model.nbytes):
                self._memory.keep(model)
        for model in look.new[:_MOST_SAID]:
            self._say(f"offering {model.id}")
        if len(look.new) > _MOST_SAID:
            self._say(f"offering {len(look.new) - _MOST_SAID} more")
        for _, error in look.refused:
            self._say(f"left out: {error}")
