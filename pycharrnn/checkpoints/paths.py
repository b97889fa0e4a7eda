"""Resolves the argument CKPT_OR_DIR of the commands, and prints which checkpoint of a folder was chosen."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from compat.charrnn import Checkpoint
from pycharrnn.checkpoints import checkpoint, checkpoint_facts, recorded_split, run_names
from pycharrnn.checkpoints.checkpoint_reader import CheckpointReader
from pycharrnn.checkpoints.folder_files import File, each_once, newest_first
from pycharrnn.checkpoints.folder_runs import FolderRun, OtherRun, RunIdentity, identity_of, last_trained_first
from pycharrnn.common.display import escape_line, plural
from pycharrnn.common.errors import UserError
from pycharrnn.common.printing import PrintLine
from pycharrnn.common.progress import bar

_MOST_NAMED = 5  # other runs that a note names


def load_best(path: str, note: PrintLine, progress: int = -1) -> tuple[str, Checkpoint]:
    """(path, checkpoint) of `path`, or of a folder: the lowest validation loss of the run that trained last.

    `progress`: whether to show a bar while a folder is read, as for progress.enabled. Errors: UserError if unreadable.
    """
    if not os.path.isdir(path):
        return _noted(path, checkpoint.load(path), note)
    reader = _Reader(path, note, progress)
    for run in reader.runs():
        for file, loaded in reader.readable(run.files):
            others, more = reader.readable_others(run.others)
            if others:
                note(f"{_escaped(path)} holds {_of_several(run, file, others, len(more))}")
                if better := reader.better_on_the_text(loaded, [other.path for other in (*others, *more)]):
                    note(f"{_escaped(better)}, of the same text, has a lower validation loss; name it to use it.")
            else:
                say_choice(note, path, file, _why_best(file), len(run.files))
            return _noted(file.path, loaded, note)
    raise _none_readable(reader)


def load_every(paths: Sequence[str], note: PrintLine) -> Iterator[tuple[str, Checkpoint]]:
    """Load the checkpoints at some paths, and all in folders among them, each file once. Errors: as load_best."""
    readers = {path: _Reader(path, note) for path in paths if os.path.isdir(path)}
    folders = {file.path: path for path, reader in readers.items() for file in _every(reader, note)}
    named = [path for path in paths if path not in readers]
    without = set(readers)  # folders without a readable checkpoint
    for path, names in each_once([*named, *folders]).items():
        for other in names:
            if other in named:
                note(f"{_escaped(other)} is a second name of {_escaped(path)}")
        loaded = checkpoint.load(path) if path in named else readers[folders[path]].checkpoint(path)
        if loaded:
            without -= {folders.get(name, "") for name in (path, *names)}
            yield _noted(path, loaded, note)
    for folder in without:
        raise _none_readable(readers[folder])


def load_best_of_runs(paths: Sequence[str], note: PrintLine) -> Iterator[tuple[str, Checkpoint]]:
    """Load the checkpoints at some paths, then the best one of each run in folders among them, each file once.

    In a folder the run that trained last comes first. Errors: as load_best.
    """
    taken = [path for path in paths if not os.path.isdir(path)]
    yield from load_every(taken, note)
    for folder in (path for path in paths if os.path.isdir(path)):
        reader = _Reader(folder, note)
        chosen = [(run.files, run) for run in reader.runs()]
        same = each_once([*taken, *(file.path for files, _ in chosen for file in files)])
        first = {other: path for path, others in same.items() for other in (path, *others)}
        held = {first[path] for path in taken}
        for file, loaded, run in _one_of_each(reader, chosen):
            say_choice(note, folder, file, _why_best(file), len(run.files), not run.others)
            if first[file.path] not in held:
                held.add(first[file.path])
                taken.append(file.path)
                yield _noted(file.path, loaded, note)


def load_runs(path: str, note: PrintLine) -> Iterator[tuple[str, Checkpoint]]:
    """As load_best, but load the newest checkpoint of each run in a folder, by the runs' names, for their losses."""
    if not os.path.isdir(path):
        yield path, checkpoint.load(path)
        return
    reader = _Reader(path, note)
    chosen = [((run.newest, *run.files), run) for run in reader.runs()]
    by_name = sorted(chosen, key=lambda one: (run_of(one[1].newest.path), one[1].newest.path))
    for file, loaded, run in _one_of_each(reader, by_name):
        say_choice(note, path, file, "newest", len(run.files), not run.others)
        yield file.path, loaded


def _noted(path: str, loaded: Checkpoint, note: PrintLine) -> tuple[str, Checkpoint]:
    """(path, loaded), with a note on weights that are no numbers: results are wrong where a text touches them."""
    if not loaded.network.is_finite():
        way_out = "use another copy of the file, or an earlier checkpoint"
        note(f"{_escaped(path)} has weights that are NaN or infinite, so its texts and scores may be wrong: {way_out}.")
    return path, loaded


def say_choice(note: PrintLine, folder: str, file: File, why: str, count: int, is_only_run: bool = True) -> None:
    """Print the choice: "cv: lm_x_epoch8.00_1.2400.t7, the newest of 7 checkpoints". `count`: those of its run."""
    of = f"the {why} of {count} checkpoints" if count > 1 else "the only checkpoint"
    of += "" if is_only_run else " of its run"
    note(f"{_escaped(folder)}: {_escaped(os.path.basename(file.path))}, {of}")


class _Reader(CheckpointReader):
    """Reads the checkpoints of a folder."""

    def __init__(self, folder: str, note: PrintLine, progress: int = -1) -> None:
        super().__init__(note)
        self.folder, self._progress = folder, progress

    def runs(self) -> Iterator[FolderRun]:
        """As last_trained_first. Errors: UserError, as newest_first."""
        files = newest_first(self.folder, self._note)
        known = self._identities([file.path for file in files if file.loss is None])
        return last_trained_first(files, lambda path: known[path] if path in known else self._identity(path))

    def _identities(self, paths: Sequence[str]) -> dict[str, RunIdentity | None]:
        """Those of the files whose names do not tell their losses, each of which is read, with a bar."""
        notes: list[str] = []  # printed below the bar
        note, self._note = self._note, notes.append
        found: dict[str, RunIdentity | None] = {}
        try:
            with bar("reading checkpoints", len(paths), self._progress) as advance:
                for path in paths:
                    found[path] = self._identity(path)
                    advance(1)
        finally:
            self._note = note
            for line in notes:
                note(line)
        return found

    def readable(self, files: Iterable[File]) -> Iterator[tuple[File, Checkpoint]]:
        for file in files:
            if loaded := self.checkpoint(file.path):
                yield file, loaded

    def readable_others(self, others: Sequence[OtherRun]) -> tuple[list[OtherRun], Sequence[OtherRun]]:
        """_MOST_NAMED of some runs at most, each by its best checkpoint that can be read; the runs not looked at."""
        readable: list[OtherRun] = []
        for k, other in enumerate(others):
            if len(readable) == _MOST_NAMED:
                return readable, others[k:]
            for damaged, path in enumerate((other.path, *other.next_best)):
                if self.checkpoint(path):
                    readable.append(other._replace(path=path, files=max(other.files - damaged, 1)))
                    break
        return readable, ()

    def better_on_the_text(self, taken: Checkpoint, others: Iterable[str]) -> str:
        """The one of some checkpoints with the lowest loss on the validation part that `taken` has; "" for none lower.

        Reads only checkpoints whose names have lower losses, _MOST_NAMED at most.
        """
        loss = checkpoint_facts.validation_loss(taken)
        named = ((run_names.parse(os.path.basename(path)), path) for path in others)
        losses = sorted((parts.loss, path) for parts, path in named if parts and parts.loss is not None)
        lower = [path for other, path in losses if loss is not None and round(other, 4) < round(loss, 4)]
        validated_on = _validated_on(taken)
        for path in lower[:_MOST_NAMED] if validated_on else ():
            if (other := self.checkpoint(path)) and _validated_on(other) == validated_on:
                return path
        return ""

    def _identity(self, path: str) -> RunIdentity | None:
        loaded = self.checkpoint(path)
        return identity_of(loaded) if loaded else None


def _validated_on(loaded: Checkpoint) -> tuple[object, ...]:
    """What determines the characters that a validation loss is of, and whether they are bytes; () if not recorded."""
    if not loaded.text_fingerprint:
        return ()
    return loaded.text_fingerprint, *(loaded.opt.get(name) for name in ("encoding", *recorded_split.names(loaded)))


def _one_of_each(
    reader: _Reader, chosen: Iterable[tuple[Sequence[File], FolderRun]]
) -> Iterator[tuple[File, Checkpoint, FolderRun]]:
    """The first readable one of the files of each run. Errors: UserError if there is none at all."""
    found = False
    for files, run in chosen:
        for file, loaded in reader.readable(files):
            found = True
            yield file, loaded, run
            break
    if not found:
        raise _none_readable(reader)


def _every(reader: _Reader, note: PrintLine) -> list[File]:
    runs = list(reader.runs())
    files = [file for run in runs for file in run.files]
    of = f" of {len(runs)} runs" if len(runs) > 1 else ""
    note(f"{_escaped(reader.folder)}: {len(files)} {plural(len(files), 'checkpoint')}{of}")
    return files


def _of_several(run: FolderRun, file: File, others: Sequence[OtherRun], more: int) -> str:
    """`more`: the number of other runs that are not named."""
    named = [*map(_in_words, others), *([f"{more} more"] if more else [])]
    which = "the run that trained last, by the files' times"
    if run.is_first_by_name:
        which = "the first run by name, since the files' times are too close to tell which trained last"
    taken = f"{_escaped(os.path.basename(file.path))}, the {_why_best(file)} of {which}"
    return f"several runs: taking {taken}; others: {', '.join(named)}"


def _in_words(other: OtherRun) -> str:
    of = f" (the best of {other.files} {other.name} files)" if other.files > 1 else ""
    return _escaped(f"{other.path}{of}")


def _why_best(file: File) -> str:
    return "newest, since none has a validation loss," if file.loss is None else "lowest validation loss"


def _none_readable(reader: _Reader) -> UserError:
    return reader.none_readable(
        f"the folder {reader.folder} has no checkpoint that can be read: name one, or another folder."
    )


def _escaped(path: str) -> str:
    return escape_line(path, None)


def run_of(path: str) -> str:
    """The name of a run by one of its files: cv/lstm of cv/lm_lstm_best.t7; `path` itself for other names."""
    folder, name = os.path.split(path)
    parts = run_names.parse(name)
    return os.path.join(folder, parts.run.removeprefix("lm_")) if parts else path
