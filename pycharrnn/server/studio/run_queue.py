"""The queue of runs: one trains at a time, the others wait. Every change is on disk before it is known.

Not for several threads at once: the server calls it from one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pycharrnn.common import regular_files
from pycharrnn.common.numbered_names import numbered
from pycharrnn.common.printing import PrintLine
from pycharrnn.server.studio import run_command, run_process, run_record, studio_paths
from pycharrnn.server.studio.run_events import EventReader
from pycharrnn.server.studio.run_process import Processes
from pycharrnn.server.studio.run_record import RunRecord
from pycharrnn.server.studio.studio_paths import RUNS, Refusal

_ORDER = f"{RUNS}/queue.json"
_STOPPED = ("stopped", "finished", "failed")


class RunQueue:
    """The runs of this folder. `note` prints a line on stderr. `environment`: of trainings."""

    def __init__(self, note: PrintLine, environment: Mapping[str, str]) -> None:
        self._note = note
        self._processes = Processes(environment)
        self._unasked = set[str]()  # runs that are to stop, whose processes could not be asked yet
        self.records = run_record.load_all()
        order = (studio_paths.read_json(_ORDER) or {}).get("queue")
        listed = [run_id for run_id in order if isinstance(run_id, str)] if isinstance(order, list) else []
        known = [run_id for run_id in listed if run_id in self.records]
        self.waiting = [run_id for run_id in dict.fromkeys([*known, *self.records]) if self._waits(run_id)]
        # What waits in a folder when a server opens it may be a stranger's command: the user begins it. While a
        # training is alive, it was begun on this machine, and the queue goes on by itself.
        self.held = set() if any(map(self._processes.is_alive, self._active())) else set(self.waiting)

    def _waits(self, run_id: str) -> bool:
        return self.records[run_id].state == "waiting"

    def _active(self) -> list[RunRecord]:
        return [record for record in self.records.values() if record.is_active]

    def record(self, run_id: str) -> RunRecord:
        """Errors: Refusal."""
        if run_id not in self.records:
            raise no_such_run()
        return self.records[run_id]

    def add(self, record: RunRecord) -> RunRecord:
        """Put a new run at the end of the queue. Errors: Refusal."""
        return self._enter(dataclasses.replace(record, next_words=record.words))

    def go_on(self, run_id: str, minutes: float | None) -> RunRecord:
        """Put a run that has ended, or left the queue, at its end. It goes on from its last state, if it has saved one.

        At a run that is held, the queue begins. Errors: Refusal.
        """
        record = self.record(run_id)
        if run_id in self.held:
            self.held.clear()
            return record
        if record.state not in _STOPPED:
            raise Refusal(409, f"the run {record.name} has not ended: it {_doing(record)}.")
        if record.state == "finished" and minutes is None:
            raise Refusal(422, f"the run {record.name} is finished: give the number of minutes to continue it.")
        if run_record.checkpoints_of(record):
            words = run_command.resume_words(record.name, record.resume_flags, minutes)
        elif record.attempts:
            words = run_command.again_words(record.words)
        else:
            words = list(record.words)
        return self._enter(dataclasses.replace(record, state="waiting", next_words=tuple(words), error="", patience=0))

    def stop(self, run_id: str, at_once: bool) -> RunRecord:
        """Ask a run that trains to save and end, and at the second time to end; take a waiting one out of the queue.

        Args:
            at_once: whether a run that has been asked already is asked a second time, or left to save.

        Errors: Refusal.
        """
        record = self.record(run_id)
        if record.state == "waiting":
            record = self._saved(dataclasses.replace(record, state="stopped", next_words=()))
            self._leave(run_id)
            return record
        if not record.is_active:
            raise Refusal(409, f"the run {record.name} does not train: it {_doing(record)}.")
        if record.state == "stopping" and not at_once:
            return record
        if not self._processes.ask_to_stop(record):
            self._unasked.add(run_id)
        return self._keep(dataclasses.replace(record, state="stopping", stops=record.stops + 1))

    def reorder(self, run_ids: Sequence[str]) -> list[str]:
        """Errors: Refusal."""
        if sorted(run_ids) != sorted(self.waiting):
            raise Refusal(409, "other runs wait by now: look at the queue again.")
        self._save_order(list(run_ids))
        return self.waiting

    def remove(self, run_id: str) -> None:
        """Forget a run, whose files have been moved."""
        self.records.pop(run_id, None)
        if run_id in self.waiting:
            self._leave(run_id)

    def restore(self, run_id: str) -> None:
        """Read the record of a run whose files were moved back. If it waited, it is stopped now: its place is lost."""
        if record := run_record.load(run_id):
            if record.state == "waiting":
                record = dataclasses.replace(record, state="stopped", next_words=())
            self._keep(record)

    def watch(self) -> bool:
        """Notice a training that has ended, and begin the next one, unless the disk is full.

        Returns: whether anything changed.
        """
        changed = False
        self._unasked = {i for i in self._unasked if i in self.records and not self._asked(self.records[i])}
        active = self._active()
        for record in active:
            if not self._processes.is_alive(record):
                self._keep(self._ended(record))
                active.remove(record)
                changed = True
                break
        next_id = next((run_id for run_id in self.waiting if run_id not in self.held), None)
        if not active and next_id is not None and not studio_paths.is_full():
            self._begin(self.records[next_id])
            changed = True
        return changed

    def _asked(self, record: RunRecord) -> bool:
        return record.state != "stopping" or self._processes.ask_to_stop(record)

    def _begin(self, record: RunRecord) -> None:
        words, now = record.next_words, time.time()
        said = os.path.getsize(record.stderr) if os.path.exists(record.stderr) else 0
        log = run_command.log_of(record.name)
        log_before = os.stat(log).st_mtime_ns if os.path.exists(log) else 0
        begun: dict[str, Any] = {"command": words, "next_words": (), "began": now, "ended": None, "stops": 0}
        begun |= {"said_before": said, "log_before": log_before, "attempts": record.attempts + 1, "error": ""}
        record = dataclasses.replace(record, **begun)
        self._keep(dataclasses.replace(record, state="running"))  # first, since a server may end at any time
        try:
            regular_files.check(log)
            run_record.check_checkpoints_of(record)
            self._processes.begin(record, words)
        except OSError as e:
            used = f": can't use {e.filename}" if isinstance(e.filename, str) else ""
            sentence = str(studio_paths.refusal_of(e, f"can't begin the training{used}"))
            self._keep(dataclasses.replace(record, state="failed", ended=now, error=sentence))
        self._leave(record.id)

    def _ended(self, record: RunRecord) -> RunRecord:
        events = EventReader(record.events).read()
        ended = dataclasses.replace(record, ended=time.time())
        if events.status == 0:
            return dataclasses.replace(ended, state="finished", patience=events.patience)
        if record.stops:
            return dataclasses.replace(ended, state="stopped", error=events.error if events.not_saved else "")
        return dataclasses.replace(ended, state="failed", error=run_process.error_of(record, events))

    def _enter(self, record: RunRecord) -> RunRecord:
        record = self._saved(record)
        self._save_order([*self.waiting, record.id])
        return record

    def _leave(self, run_id: str) -> None:
        self._save_order([other for other in self.waiting if other != run_id])

    def _save_order(self, waiting: list[str]) -> None:
        self.waiting = waiting
        self.held.intersection_update(waiting)
        with contextlib.suppress(OSError):  # without it, the queue is in the order in which the runs were made
            studio_paths.write_json(_ORDER, {"queue": waiting})

    def _saved(self, record: RunRecord) -> RunRecord:
        """Errors: Refusal if the record can't be written."""
        try:
            run_record.save(record)
        except OSError as e:
            raise studio_paths.refusal_of(e, f"can't keep the run {record.name}") from e
        self.records[record.id] = record
        return record

    def _keep(self, record: RunRecord) -> RunRecord:
        """As _saved, of what has happened already: a full disk must not hide it."""
        self.records[record.id] = record
        try:
            run_record.save(record)
        except OSError as e:
            self._note(f"can't write {record.folder}/run.json ({e.strerror or e}).")
        return record


def no_such_run() -> Refusal:
    """The refusal of a run that is not there."""
    return Refusal(404, "there is no such run any more.")


def _doing(record: RunRecord) -> str:
    return {
        "waiting": "waits",
        "running": "trains",
        "stopping": "is about to stop",
        "finished": "has finished",
        "stopped": "has stopped",
    }.get(record.state, "has failed")


def free_name(wanted: str, taken: Collection[str]) -> str:
    """`wanted`, or with a number: no run has it, here or in the trash, and no file in cv/. `taken`: names of runs.

    Names that differ in case alone are one on Windows and macOS, where they would share files.
    """
    taken = {name.lower() for name in (*taken, *run_record.names_with_checkpoints())}
    names = (name for name in numbered(wanted) if name.lower() not in taken)
    return next(name for name in names if not os.path.lexists(run_command.log_of(name)))
