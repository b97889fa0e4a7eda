"""Finds and reads the checkpoints that `pycharrnn serve` offers."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pycharrnn.checkpoints import checkpoint
from pycharrnn.checkpoints.folder_files import File, newest_first
from pycharrnn.checkpoints.folder_runs import RunIdentity, identity_of, last_trained_first
from pycharrnn.checkpoints.formats import page_and_model
from pycharrnn.checkpoints.names import distinct_names
from pycharrnn.common.errors import UserError
from pycharrnn.common.progress import bar
from pycharrnn.engine.adapt_options import Adaptation
from pycharrnn.page.facts import Losses, ModelFacts, facts_of, losses_of
from pycharrnn.server.learning_models import LearningModel
from pycharrnn.server.served_models import ServedModel, served
from pycharrnn.text.recorded_text import RecordedText, recorded_text


class FileChanged(Exception):
    """A file no longer holds the checkpoint that was first read from it."""


class FileVersion(NamedTuple):
    inode: int
    size: int
    modified: int  # nanoseconds


@dataclass(frozen=True)
class CheckpointEntry:
    """A checkpoint as it was when it was first read."""

    path: str
    argument: int  # index of the argument that names the file or its folder
    version: FileVersion
    facts: ModelFacts
    text: RecordedText  # the training text
    losses: Losses
    identity: RunIdentity
    nbytes: int  # of its weights in memory


@dataclass
class ScanResult:
    """The outcome of a scan: entries by model id, by argument; in a folder the run that trained last comes first."""

    entries: dict[str, CheckpointEntry]
    new: list[str]  # ids of those that this scan has read, in the same order
    models: dict[str, ServedModel]  # by id: of the new ones, those that the scan has kept
    errors: list[UserError]  # about files and folders that can't be read, unless an earlier scan has reported them
    missing: UserError | None = None  # about the first named file that does not exist


class CheckpointScanner:
    """Reads checkpoints: named files and those in named folders. Errors: UserError for a file that is named twice.

    `max_bytes`: of the weights of folders' models that a scan keeps. It keeps a larger one alone.
    """

    def __init__(self, arguments: list[str], max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._arguments = [os.path.normpath(path) for path in arguments]
        # Indices of the arguments that are folders.
        self.folders = {k for k, path in enumerate(self._arguments) if os.path.isdir(path)}
        self._named = {path: k for k, path in enumerate(self._arguments) if k not in self.folders}
        self._unreadable: dict[str, FileVersion | None] = {}  # not read again before their version changes
        self._folder_errors: dict[int, str] = {}  # of the last scan
        self._listed: dict[int, list[File]] = {}  # by argument: the files of folders at their last listing
        for path in self._named:
            if self._arguments.count(path) > 1:
                raise UserError(f"{path} is named twice: once is enough.")

    def scan(self, may_be_empty: bool) -> ScanResult:
        """Read all files.

        Errors: UserError for a missing file; unless `may_be_empty`, if a folder has no checkpoint or no file is valid.
        """
        files = {path: k for k in sorted(self.folders) for path in self._in_folder(k, may_be_empty)}
        result = self._read_new({**files, **self._named}, {}, [])
        if result.missing:
            raise result.missing
        if result.errors and not result.entries and not may_be_empty:
            raise result.errors[0]
        return result

    def rescan(self, entries: dict[str, CheckpointEntry]) -> ScanResult:
        """Read new files of the folders and drop the entries of files that are gone or have changed."""
        files: dict[str, int] = {}
        errors: list[UserError] = []
        for k in sorted(self.folders):
            try:
                found = self._in_folder(k, may_be_empty=True)
                self._folder_errors.pop(k, None)
            except Exception as e:  # whatever it is, the other folders and the next scan do not depend on it
                # The entries of unchanged files stay.
                found = [entry.path for entry in entries.values() if entry.argument == k]
                error = e if isinstance(e, UserError) else UserError(f"can't list {self._arguments[k]} ({_reason(e)}).")
                if self._folder_errors.get(k) != str(error):
                    errors.append(error)
                self._folder_errors[k] = str(error)
            for path in found:
                files.setdefault(path, k)
        return self._read_new(files, entries, errors)

    def _in_folder(self, k: int, may_be_empty: bool) -> list[str]:
        """Paths of a folder's checkpoints, without the files that are named themselves. Errors: UserError."""
        try:
            self._listed[k] = newest_first(self._arguments[k])
        except UserError as e:
            if may_be_empty and e.__cause__ is None:  # the folder can be listed, and has no checkpoint
                return []
            raise
        paths = (os.path.normpath(file.path) for file in self._listed[k])
        return [path for path in paths if path not in self._named]

    def _read_new(
        self, files: dict[str, int], before: dict[str, CheckpointEntry], errors: list[UserError]
    ) -> ScanResult:
        """Read the files that have no entry of their present version. Entries of named files stay as they are."""
        known = {entry.path: entry for entry in before.values()}
        versions = {path: _version(path) for path in files}
        entries = [
            entry
            for path, entry in known.items()
            if entry.argument not in self.folders or entry.version == versions.get(path)
        ]
        self._unreadable = {path: version for path, version in self._unreadable.items() if path in versions}
        done = {(entry.path, entry.version) for entry in entries} | set(self._unreadable.items())
        new = [p for p, version in versions.items() if (p, version) not in done and (version or p in self._named)]
        result, nbytes = ScanResult({}, [], {}, errors), 0
        with bar("reading checkpoints", len(new)) as advance:
            for path, name in _model_ids(new, known).items():
                try:
                    entry, model = _read(name, path, files[path])
                except UserError as e:
                    # A file of a folder may have gone since it was listed: a training with -keep removes some.
                    if path in self._named or _version(path) == versions[path]:
                        result.errors.append(e)
                        self._unreadable[path] = versions[path]
                    if path in self._named and versions[path] is None:
                        result.missing = result.missing or e
                except FileChanged:  # while it was read: the next scan reads it
                    pass
                else:
                    entries.append(entry)
                    result.new.append(name)
                    if path in self._named or not nbytes or nbytes + model.nbytes <= self._max_bytes:
                        result.models[name] = model
                        nbytes += model.nbytes * (path not in self._named)
                advance(1)
        result.entries = {entry.facts.id: entry for entry in self._in_order(entries)}
        place = {model_id: k for k, model_id in enumerate(result.entries)}
        result.new.sort(key=lambda model_id: place[model_id])
        return result

    def _in_order(self, entries: list[CheckpointEntry]) -> list[CheckpointEntry]:
        """By argument; in a folder as folder_runs orders runs and their files."""
        identities = {entry.path: entry.identity for entry in entries}
        place: dict[str, int] = {}
        for k in sorted(self.folders):
            for run in last_trained_first(self._listed.get(k, []), lambda path: identities.get(os.path.normpath(path))):
                for file in run.files:
                    place.setdefault(os.path.normpath(file.path), len(place))
        return sorted(
            entries, key=lambda entry: (entry.argument, place.get(entry.path, len(place)), -entry.facts.saved)
        )


def reload(entry: CheckpointEntry) -> ServedModel:
    """Read the model of an entry again. Errors: FileChanged; UserError if the file can't be read any more."""
    again, model = _read(entry.facts.id, entry.path, entry.argument)
    if again.version != entry.version:
        raise FileChanged
    return model


def reload_to_learn(entry: CheckpointEntry, how: Adaptation) -> LearningModel:
    """Read the model of an entry again, for a client whose copy learns. Errors: as `reload`; UserError without PyTorch
    and the C kernel."""
    loaded = checkpoint.load(entry.path)
    # A view of the file would change with it.
    weights = {part: np.array(weight, np.float32) for part, weight in loaded.network.weights.items()}
    model = LearningModel(replace(loaded, network=replace(loaded.network, weights=weights)), entry.facts, how)
    if entry.version != _version(entry.path):
        raise FileChanged
    return model


def _read(model_id: str, path: str, argument: int) -> tuple[CheckpointEntry, ServedModel]:
    """Errors: UserError for a file that can't be read as a checkpoint, for any reason; FileChanged."""
    version = _version(path)
    try:
        loaded = checkpoint.load(path)
        if version is None or version != _version(path):
            raise FileChanged
        text = recorded_text(path, loaded)
        facts = facts_of(loaded, model_id, version.modified / 1e9, text.may_be_read_unasked())
        model = served(loaded, facts)
        return CheckpointEntry(
            path, argument, version, facts, text, losses_of(loaded), identity_of(loaded), model.nbytes
        ), model
    except (UserError, FileChanged):
        raise
    except Exception as e:  # a reader's own fault, or memory: it must not keep the other files from being offered
        raise UserError(f"can't read {path} as a checkpoint ({_reason(e)}).") from e


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def _version(path: str) -> FileVersion | None:
    try:
        status = os.stat(page_and_model(path)[0])
    except OSError:  # no such file
        return None
    return FileVersion(status.st_ino, status.st_size, status.st_mtime_ns)


def _model_ids(new: list[str], known: dict[str, CheckpointEntry]) -> dict[str, str]:
    """Path of each new file -> an id that no other model has. A known path keeps its id."""
    paths = [*new, *(path for path in known if path not in new)]
    names = distinct_names(paths, {path: entry.facts.id for path, entry in known.items()})
    return dict(zip(new, names, strict=False))
