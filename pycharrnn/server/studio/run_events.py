"""What the process of a training tells the studio: a file of events, a JSON object in each line."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field, ValidationError

from pycharrnn.common import regular_files
from pycharrnn.common.display import escape_controls, replace_surrogates
from pycharrnn.common.errors import worded
from pycharrnn.server.studio.run_schemas import ShownSample

if TYPE_CHECKING:
    from pycharrnn.training.reports import Callbacks, Sample

_SAMPLES = 20  # that are kept
_MOST_READ = 1 << 20  # bytes at once

_Count = Annotated[int, Field(ge=0, le=10**15)]


class Event(BaseModel):
    """A line. What it does not say is None.

    Attributes:
        attempt: number of the command that begins. iterations: of the whole run.
        sample: of -show. not_saved: why the run could not be saved; "" when it has been saved after that.
        patience: the -patience that ended the run.
        status: the exit status. error: the sentence of an error that ended the command.
    """

    attempt: _Count | None = None
    iterations: _Count | None = None
    sample: ShownSample | None = None
    not_saved: str | None = None
    patience: _Count | None = None
    status: int | None = None
    error: str | None = None


class EventWriter:
    """Appends events to the file at a path. An event is lost if the disk is full."""

    def __init__(self, path: str) -> None:
        self._path = path

    def write(self, event: Event) -> None:
        with contextlib.suppress(OSError):
            append(self._path, event)

    def error(self, sentence: str) -> None:
        """Write that an error ended the command."""
        self.write(Event(error=_shown(sentence)))

    def callbacks(self) -> Callbacks:
        """The callbacks of a training that write its events."""
        from pycharrnn.training.reports import Callbacks

        return Callbacks(
            on_length=lambda iterations: self.write(Event(iterations=iterations)),
            on_sample=self._sample,
            on_save=lambda problem: self.write(Event(not_saved=_shown(problem))),
            on_patience=lambda patience: self.write(Event(patience=patience)),
        )

    def _sample(self, sample: Sample) -> None:
        shown = ShownSample(iteration=sample.iteration, epoch=sample.epoch, text=_shown(sample.text))
        self.write(Event(sample=shown))


@dataclass
class RunEvents:
    """What the events of a run say so far.

    Attributes:
        iterations: of the whole run; None if it is not known. samples: the newest last.
        not_saved, patience, status, error: as in Event, of the last command; "", 0, None and "" if it says nothing.
    """

    iterations: int | None = None
    samples: deque[ShownSample] = field(default_factory=lambda: deque(maxlen=_SAMPLES))
    not_saved: str = ""
    patience: int = 0
    status: int | None = None
    error: str = ""

    def add(self, event: Event) -> None:
        if event.attempt is not None:
            self.not_saved, self.patience, self.status, self.error = "", 0, None, ""
        if event.sample:
            self.samples.append(event.sample)
        for name in ("iterations", "not_saved", "patience", "status", "error"):
            if (value := getattr(event, name)) is not None:
                setattr(self, name, value)


class EventReader:
    """Reads the file of events at a path, each part once. Lines that are no events are left out."""

    def __init__(self, path: str) -> None:
        self._path, self._end, self._found = path, 0, RunEvents()

    def read(self) -> RunEvents:
        """What the events say by now; of a large file, its last part."""
        try:
            with open(self._path, "rb", opener=regular_files.opener) as f:
                size = os.fstat(f.fileno()).st_size
                if size < self._end:  # another file
                    self._end, self._found = 0, RunEvents()
                self._end = max(self._end, size - _MOST_READ)
                f.seek(self._end)
                part = f.read(size - self._end)
        except OSError:
            return self._found
        whole = part[: part.rfind(b"\n") + 1]
        self._end += len(whole)
        for line in whole.splitlines():
            with contextlib.suppress(ValidationError):
                self._found.add(Event.model_validate_json(line))
        return self._found


def append(path: str, event: Event) -> None:
    """Errors: OSError, also for a path with something else than a regular file."""
    line = event.model_dump_json(exclude_none=True)
    with open(path, "ab", buffering=0, opener=regular_files.opener) as f:
        f.write(f"\n{line}\n".encode())  # the line before may have been cut by a full disk


def _shown(message: str) -> str:
    """A message as on stderr, with U+FFFD for bytes of a file name that are not UTF-8."""
    return escape_controls(replace_surrogates(worded(message)))
