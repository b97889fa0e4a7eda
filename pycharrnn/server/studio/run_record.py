"""What is kept of each run in studio/runs/ID/run.json, so that a server that starts anew finds it."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pycharrnn.checkpoints import run_names
from pycharrnn.common import regular_files
from pycharrnn.common.option_fields import as_words
from pycharrnn.server.studio import studio_paths
from pycharrnn.server.studio.run_command import are_resume_flags
from pycharrnn.server.studio.run_schemas import State
from pycharrnn.server.studio.studio_paths import CHECKPOINTS, RUNS
from pycharrnn.text.corpus import safe_name


@dataclass(frozen=True)
class RunRecord:
    """A run.

    Attributes:
        name: of its files: cv/lm_NAME_best.t7. text: id of its upload. text_name, bytes: of its first file; of all.
        choice: as the client chose. words: of the command that began it, or will.
        resume_flags: the words of it that a command needs which goes on with the run.
        next_words: of the command that the queue will start; () if the run does not wait.
        command: the words of its last command. attempts: how many there were.
        began, ended: when the last one did. stops: how often it was asked to stop.
        said_before: bytes of stderr before the last command. error: a sentence, of a failed one.
        log_before: when the log had been changed before the last command, in nanoseconds since 1970; 0 without a log,
            None in a record of an older version.
        patience: the -patience that ended a finished run; 0 if it ended otherwise.
    """

    id: str
    name: str
    text: str
    text_name: str
    bytes: int
    choice: str
    words: tuple[str, ...]
    created: float
    resume_flags: tuple[str, ...] = ()
    state: State = "waiting"
    next_words: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    attempts: int = 0
    began: float | None = None
    ended: float | None = None
    stops: int = 0
    said_before: int = 0
    log_before: int | None = None
    error: str = ""
    patience: int = 0

    @property
    def is_active(self) -> bool:
        """Whether it trains."""
        return self.state in ("running", "stopping")

    @property
    def is_resumed(self) -> bool:
        """Whether its last command goes on from a checkpoint."""
        return "-resume" in self.command

    @property
    def folder(self) -> str:
        return f"{RUNS}/{self.id}"

    @property
    def events(self) -> str:
        return f"{self.folder}/events.jsonl"

    @property
    def stderr(self) -> str:
        return f"{self.folder}/stderr.txt"

    def owns(self, path: str) -> bool:
        """Whether the file at a path is a checkpoint of this run, by its folder and name."""
        return owner_of(path) == self.name


_RECORD = TypeAdapter(RunRecord)


def owner_of(path: str) -> str:
    """The name of the run that writes a checkpoint at this path; "" for other paths."""
    folder, name = os.path.split(os.path.normpath(path))
    found = run_names.parse(name) if folder == CHECKPOINTS else None
    return found.run.removeprefix("lm_") if found and found.run.startswith("lm_") else ""


def save(record: RunRecord) -> None:
    """Errors: OSError."""
    os.makedirs(record.folder, exist_ok=True)
    studio_paths.write_json(f"{record.folder}/run.json", dataclasses.asdict(record))


def load_all() -> dict[str, RunRecord]:
    """The runs of this folder by id, the oldest first; damaged files are left out."""
    found = [record for run_id in studio_paths.names_in(RUNS) if (record := load(run_id))]
    return {record.id: record for record in sorted(found, key=lambda record: (record.created, record.id))}


def texts_in_use() -> set[str] | None:
    """The ids of the texts of all runs, also of those that `load` leaves out; None if one does not say its text."""
    texts = set()
    for run_id in studio_paths.names_in(RUNS):
        if not studio_paths.is_id(run_id, "r") or _is_empty(f"{RUNS}/{run_id}"):
            continue  # a folder is empty if its record could not be written
        text = (_values(run_id) or {}).get("text")
        if not isinstance(text, str) or not studio_paths.is_id(text, "t"):
            return None
        texts.add(text)
    return texts


def _is_empty(folder: str) -> bool:
    try:
        return not os.listdir(folder)
    except OSError:
        return False


def load(run_id: str) -> RunRecord | None:
    """The run of this id; None if its file is missing or damaged."""
    values = _values(run_id) if studio_paths.is_id(run_id, "r") else None
    if values is None:
        return None
    values = _of_this_version(values)
    if not values.keys() <= RunRecord.__dataclass_fields__.keys():  # of another version
        return None
    try:
        record = _RECORD.validate_python({**values, "id": run_id})
    except ValidationError:
        return None
    return record if _is_safe(record) else None


def _of_this_version(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a record, of which an older version kept only that of -show for the commands that go on."""
    if type(show := values.get("show")) is not int:
        return values
    others = {name: value for name, value in values.items() if name != "show"}
    return {"resume_flags": as_words("show", show) if show else (), **others}


def _values(run_id: str) -> dict[str, Any] | None:
    return studio_paths.read_json(f"{RUNS}/{run_id}/run.json")


def _is_safe(record: RunRecord) -> bool:
    """Whether paths can be made of a record's names, and its commands are trainings: the file may be a stranger's."""
    is_named = record.name == safe_name(record.name) and studio_paths.is_id(record.text, "t")
    commands = [record.words, *filter(None, (record.next_words, record.command))]
    are_trainings = all(words[:1] == ("train",) for words in commands) and are_resume_flags(record.resume_flags)
    are_arguments = all(studio_paths.is_argument(word) for words in (*commands, record.resume_flags) for word in words)
    return is_named and are_trainings and are_arguments and (bool(record.next_words) or record.state != "waiting")


def names_with_checkpoints() -> set[str]:
    """The names of runs that have a checkpoint in cv/."""
    return {owner_of(f"{CHECKPOINTS}/{name}") for name in studio_paths.names_in(CHECKPOINTS)} - {""}


def checkpoints_of(record: RunRecord) -> list[str]:
    """The paths of a run's checkpoints in cv/, in the order of their names."""
    return [path for path in _named_as_checkpoints_of(record) if os.path.isfile(path)]


def check_checkpoints_of(record: RunRecord) -> None:
    """Errors: OSError if the training could write through a link in cv/, which may be a stranger's, or to a pipe."""
    for path in _named_as_checkpoints_of(record):
        regular_files.check(path)


def _named_as_checkpoints_of(record: RunRecord) -> list[str]:
    paths = [f"{CHECKPOINTS}/{name}" for name in studio_paths.names_in(CHECKPOINTS)]
    return sorted(path for path in paths if record.owns(path))
