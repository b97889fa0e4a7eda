"""Requests and responses of `pycharrnn studio` about runs, models and deleted files, as /openapi.json has them."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat

from pycharrnn.common.display import replace_surrogates
from pycharrnn.page.facts import LossSeries
from pycharrnn.server.schemas import Input, Integer, ModelId
from pycharrnn.server.studio.text_schemas import ReadText
from pycharrnn.text.corpus import MAX_NAME
from pycharrnn.text.data_settings import Encoding
from pycharrnn.training.options import MAX_MINUTES, TrainOptions

State = Literal["waiting", "running", "stopping", "stopped", "finished", "failed"]
Minutes = Annotated[float, Field(gt=0, le=MAX_MINUTES)]
_ID = Field(max_length=20)
Shown = Annotated[str, BeforeValidator(replace_surrogates)]  # may name a file, whose name need not be UTF-8


class NewRun(ReadText):
    """A training of an uploaded text; fields are named as the flags of `pycharrnn train`."""

    text: str = _ID
    choice: Literal["quick", "best", "minutes"]
    minutes: Minutes | None = Field(None, description="with the choice minutes")
    name: str = Field("", max_length=1000, description=f"of at most {MAX_NAME} bytes in UTF-8; empty: that of the text")
    encoding: Literal["", Encoding] = Field("", description="empty: what suits the text")
    init_from: str = Field("", max_length=1000, description="a model id of /api/models to begin with; empty: none")
    flags: dict[str, int | float | str] = Field(
        {}, max_length=len(dataclasses.fields(TrainOptions)), description="more flags, without their dash"
    )


class GoOn(Input):
    minutes: Minutes | None = Field(None, description="for how long; null: to the end that was planned")


class Stop(Input):
    at_once: bool = Field(
        True, description="whether a training that is already about to stop ends at once, without saving"
    )


class Nothing(Input):
    """The body of an action that needs no fields."""


class Queue(Input):
    runs: list[Annotated[str, _ID]] = Field(max_length=200, description="ids of the waiting runs, the next one first")


class QueueOrder(BaseModel):
    queue: list[str]


class Command(BaseModel):
    """A command line, for a shell in `folder`."""

    command: Shown
    folder: Shown


class Figures(BaseModel):
    """What is known of a training; null for what is not. Losses are in nats per character."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    iteration: int | None = None
    iterations: int | None = Field(default=None, description="of the whole run")
    epoch: float | None = None
    epochs: float | None = None
    train_loss: float | None = None
    val_loss: float | None = None
    best_val_loss: float | None = None
    characters_per_second: float | None = None
    seconds: float | None = Field(default=None, description="since the run began, with validations and saves")
    seconds_left: float | None = None


class Run(Command, Figures):
    """A training: its state, figures and models."""

    id: str
    name: Shown
    state: State
    place: Integer | None = Field(description="in the queue of waiting runs, from 1")
    created: float
    began: float | None = Field(description="of its last start")
    ended: float | None
    choice: Shown
    text_name: Shown
    bytes: int
    sentence: Shown
    error: Shown = Field(description="why the run failed, or could not save; empty if it did not")
    can: list[Literal["stop", "go_on", "delete"]]
    models: list[str] = Field(description="ids of its checkpoints, the lowest loss first")
    best_model: str | None


class RunList(BaseModel):
    runs: list[Run] = Field(description="the newest first")
    queue: list[str]


class ShownSample(BaseModel):
    iteration: int = Field(ge=0, le=10**15)
    epoch: FiniteFloat
    text: str


class RunDetail(Run):
    """A run with its curve of losses, the samples it drew, and what it said."""

    train: LossSeries
    val: LossSeries
    samples: list[ShownSample] = Field(description="the newest last")
    notes: list[str] = Field(description="its messages, in the words of the page, the newest last")


class Brought(BaseModel):
    models: list[str] = Field(description="ids of /api/models")
    sentence: Shown


class ModelNamed(Input):
    model: ModelId


class FilesToDelete(BaseModel):
    files: list[Shown]
    bytes: int


class Deleted(BaseModel):
    trash: str = Field(description="for undo")
    files: list[Shown]
    sentence: Shown


class TrashEntry(FilesToDelete):
    trash: str
    what: Shown
    kind: Literal["run", "model"]
    deleted: float


class Trash(BaseModel):
    trash: list[TrashEntry] = Field(description="the newest first")


class Undone(BaseModel):
    files: list[Shown]
    run: Shown | None  # of a list in the trash, which may be a stranger's


class SendFormat(BaseModel):
    format: str
    what: str


class StudioLimits(BaseModel):
    file_bytes: int
    files: int
    model_bytes: int


class StudioFacts(BaseModel):
    folder: Shown
    version: str
    can_train: bool
    why_not: str
    limits: StudioLimits
    free_bytes: int
    learn_endings: list[str]
    bring_endings: list[str]
    send_formats: list[SendFormat]
