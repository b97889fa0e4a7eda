"""The checkpoints that `pycharrnn serve` offers, found on the disk and read."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import NamedTuple

from pycharrnn.checkpoints import checkpoint
from pycharrnn.checkpoints.formats import page_and_model
from pycharrnn.checkpoints.names import distinct_names
from pycharrnn.checkpoints.paths import newest_first
from pycharrnn.common import losses
from pycharrnn.common.errors import UserError
from pycharrnn.common.progress import bar
from pycharrnn.page.facts import Losses, ModelFacts, facts_of, losses_of
from pycharrnn.server.served_models import ServedModel, served


class Changed(Exception):
    """A file is no longer the one that was read at first."""


class Version(NamedTuple):
    """What tells one content of a file from another: its number, size, and the nanosecond of its last change."""

    inode: int
    size: int
    modified: int


@dataclass(frozen=True)
class CheckpointEntry:
    """A checkpoint, as it was when it was read at first.

    Attributes:
        argument: its place among the arguments, or that of its folder.
        nbytes: what its model takes in memory.
    """

    path: str
    argument: int
    version: Version
    facts: ModelFacts
    losses: Losses
    nbytes: int


@dataclass
class ScanResult:
    """What a look at the disk found.

    Attributes:
        offers: by name, in the order of the arguments; those of a folder the best first.
        new: the models that had to be read for that, in the same order.
        refused: (path, why it is not offered) of the files that had to be read.
    """

    offers: dict[str, CheckpointEntry]
    new: list[ServedModel]
    refused: list[tuple[str, UserError]]


class OfferReader:
    """Reads the checkpoints that some arguments of the command line mean.

    Args:
        arguments: checkpoints, and folders of which all checkpoints are meant.

    Attributes:
        folders: the places of folders among the arguments.

    Errors: UserError for a file that is named twice.
    """

    def __init__(self, arguments: list[str]) -> None:
        self._arguments = [os.path.normpath(path) for path in arguments]
        self.folders = {k for k, path in enumerate(self._arguments) if os.path.isdir(path)}
        self._named = {path: k for k, path in enumerate(self._arguments) if k not in self.folders}
        self._refused: dict[str, Version | None] = {}  # what folders hold that is no checkpoint, as it was then
        for path in self._named:
            if self._arguments.count(path) > 1:
                raise UserError(f"{path} is named twice: once is enough.")

    def first_look(self, may_be_empty: bool) -> ScanResult:
        """Read all files.

        Args:
            may_be_empty: whether folders may be without a checkpoint as yet.

        Errors: UserError for a file that was named and is not there, or where there is no checkpoint.
        """
        look = self._read_new({**self._in_folders(may_be_empty), **self._named}, {})
        for path, error in look.refused:
            if path in self._named and not os.path.exists(page_and_model(path)[0]):
                raise error
        if look.refused and not look.offers and not may_be_empty:
            raise look.refused[0][1]
        return look

    def look_again(self, before: dict[str, CheckpointEntry]) -> ScanResult:
        """Read what is new in the folders, and forget what is not there any more."""
        return self._read_new(self._in_folders(may_be_empty=True), before)

    def _in_folders(self, may_be_empty: bool) -> dict[str, int]:
        """Path -> place of its folder. Errors: UserError for a folder without a checkpoint, unless it may be so."""
        files: dict[str, int] = {}
        for k in sorted(self.folders):
            with contextlib.suppress(UserError) if may_be_empty else contextlib.nullcontext():
                for file in newest_first(self._arguments[k]):
                    files.setdefault(os.path.normpath(file.path), k)
        return {path: k for path, k in files.items() if path not in self._named}

    def _read_new(self, files: dict[str, int], before: dict[str, CheckpointEntry]) -> ScanResult:
        """Read those of the files that are not offered as they are now; what was named stays as it is."""
        known = {offer.path: offer for offer in before.values()}
        versions = {path: _version(path) for path in files}
        offers = [
            offer
            for path, offer in known.items()
            if offer.argument not in self.folders or offer.version == versions.get(path)
        ]
        settled = {(offer.path, offer.version) for offer in offers} | set(self._refused.items())
        new = [p for p, version in versions.items() if (p, version) not in settled and (version or p in self._named)]
        look = ScanResult({}, [], [])
        with bar("reading checkpoints", len(new)) as advance:
            for path, name in _names(new, known).items():
                try:
                    offer, model = _read(name, path, files[path])
                except UserError as e:
                    look.refused.append((path, e))
                    self._refused[path] = versions[path]
                except Changed:  # since a moment: the next look will see it
                    pass
                else:
                    offers.append(offer)
                    look.new.append(model)
                advance(1)
        look.offers = {offer.facts.id: offer for offer in sorted(offers, key=_rank)}
        look.new.sort(key=lambda model: _rank(look.offers[model.id]))
        return look


def read_again(offer: CheckpointEntry) -> ServedModel:
    """The model of a checkpoint that was read before. Errors: Changed; UserError where it can't be read any more."""
    again, model = _read(offer.facts.id, offer.path, offer.argument)
    if again.version != offer.version:
        raise Changed
    return model


def _read(name: str, path: str, argument: int) -> tuple[CheckpointEntry, ServedModel]:
    """Errors: UserError for what is no checkpoint; Changed."""
    version = _version(path)
    loaded = checkpoint.load(path)
    if version is None or version != _version(path):
        raise Changed
    facts = facts_of(loaded, name, version.modified / 1e9)
    model = served(loaded, facts)
    return CheckpointEntry(path, argument, version, facts, losses_of(loaded), model.nbytes), model


def _version(path: str) -> Version | None:
    """None where there is no such file."""
    try:
        status = os.stat(page_and_model(path)[0])
    except OSError:
        return None
    return Version(status.st_ino, status.st_size, status.st_mtime_ns)


def _names(new: list[str], known: dict[str, CheckpointEntry]) -> dict[str, str]:
    """Path of each new file -> its name, which no other model has: what is known keeps its own."""
    paths = [*new, *(path for path in known if path not in new)]
    named = zip(new, distinct_names(paths), strict=False)
    return {path: known[path].facts.id if path in known else name for path, name in named}


def _rank(offer: CheckpointEntry) -> tuple[int, tuple[int, float], float]:
    """A key for the order of offers: by argument; in a folder by loss, and without one the newest first."""
    return offer.argument, losses.sort_key(offer.facts.val_loss), -offer.facts.saved
