"""A run as a response: its record, figures and models, and a sentence on its state."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

from pycharrnn.common.display import plural
from pycharrnn.server.studio import run_command, run_process, run_record, studio_paths
from pycharrnn.server.studio.run_progress import Progress, ProgressReader
from pycharrnn.server.studio.run_record import RunRecord
from pycharrnn.server.studio.run_schemas import Run, RunDetail

_MAX_NOTES = 20

_Action = Literal["stop", "go_on", "delete"]


class Checkpoints:
    """Which runs have checkpoints in cv/, and which of these are offered. `paths`: model id -> path of its file."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        self.saved = run_record.names_with_checkpoints()
        self.models: dict[str, list[str]] = {}  # name of a run -> ids
        for model_id, path in paths.items():
            self.models.setdefault(run_record.owner_of(path), []).append(model_id)


def view(record: RunRecord, progress: Progress, place: int | None, is_held: bool, checkpoints: Checkpoints) -> Run:
    """`place`: in the queue; `is_held`: whether it waits for the user."""
    models = checkpoints.models.get(record.name, [])
    error = progress.not_saved if record.state == "running" else record.error
    return Run(
        id=record.id,
        name=record.name,
        state=record.state,
        place=place,
        created=record.created,
        began=record.began,
        ended=record.ended,
        choice=record.choice,
        text_name=record.text_name,
        bytes=record.bytes,
        command=run_command.as_typed(record.next_words or record.command or record.words),
        folder=os.getcwd(),
        **progress.figures.model_dump(),
        sentence=_sentence(record, progress, error, place, is_held, record.name in checkpoints.saved),
        error=error,
        can=_can(record, is_held),
        models=models,
        best_model=models[0] if models else None,
    )


def detail(record: RunRecord, reader: ProgressReader, run: Run) -> RunDetail:
    """A run with its curve, samples and notes."""
    train, val = reader.curves(record)
    notes = [run_process.without_prefix(line) for line in run_process.lines_of(record.stderr) if line]
    samples = list(reader.events(record).samples)
    return RunDetail(**run.model_dump(), train=train, val=val, samples=samples, notes=notes[-_MAX_NOTES:])


def _can(record: RunRecord, is_held: bool) -> list[_Action]:
    if record.state == "waiting":
        return ["go_on", "stop", "delete"] if is_held else ["stop", "delete"]
    return ["stop"] if record.is_active else ["go_on", "delete"]


def _sentence(
    record: RunRecord, progress: Progress, error: str, place: int | None, is_held: bool, has_saved: bool
) -> str:
    figures = progress.figures
    done = f"{figures.iteration:,}" if figures.iteration else ""
    if record.state == "waiting" and is_held:
        return "waiting since before the studio was started: look at the command, Go on starts the queue."
    if record.state == "waiting" and place == 1 and studio_paths.is_full():
        return "waiting: it begins once there is room, since the disk is full."
    if record.state == "waiting":
        return "waiting: it is next in the queue." if place == 1 else f"waiting: it is number {place} in the queue."
    if record.state == "running":
        if not done or not (progress.has_begun or record.is_resumed):
            timing = ", and times networks of several sizes" if record.choice == "minutes" else ""
            return f"beginning: it loads PyTorch and reads the text{timing}."
        of = f" of {figures.iterations:,}" if figures.iterations else ""
        if not progress.has_begun:
            return f"going on after iteration {done}{of}: it loads PyTorch and the checkpoint."
        return f"learning: iteration {done}{of}.{error and f' It {error}'}"
    if record.state == "stopping":
        return "stopping: it finishes its step and saves."
    if record.state == "finished":
        loss = f"; its lowest loss is {figures.best_val_loss:.4f}" if figures.best_val_loss is not None else ""
        if not done:
            return "finished."
        if record.patience and figures.iterations and figures.iteration != figures.iterations:
            why = f"since the last {record.patience} validations were no better (-patience)"
            return f"finished after {done} of {figures.iterations:,} iterations, {why}{loss}."
        return f"finished after {done} {plural(figures.iteration or 0, 'iteration')}{loss}."
    way_on = "Go on continues from its newest checkpoint" if has_saved else "Go on begins it anew"
    if record.state == "failed":
        return f"{error.rstrip('.')}. {way_on}."
    if not record.attempts:
        return "taken out of the queue: Go on puts it back."
    if error:
        return f"{error.rstrip('.')}. {way_on}."
    return f"stopped{f' after iteration {done}' if done else ''}: {way_on}."
