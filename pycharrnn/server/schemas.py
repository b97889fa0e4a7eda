"""Requests and responses of the JSON API, as /openapi.json describes them."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel

from compat.item_options import MAX_LABEL
from pycharrnn.analysis.options import CopiedOptions
from pycharrnn.common.errors import UserError
from pycharrnn.engine.adapt_options import MAX_LENGTH as ADAPT_LENGTH
from pycharrnn.engine.adapt_options import MAX_PULL, MAX_RATE, Adaptation, AdaptOptions
from pycharrnn.page.facts import ModelFacts
from pycharrnn.sampling.item_selection import MAX_TRIES
from pycharrnn.sampling.options import DEFAULT_ITEMS, SampleOptions

MAX_LENGTH = 10_000  # characters of a sample
MAX_PRIMETEXT = 2_000  # characters
MAX_STOP = 200  # characters
MAX_SCORED = 20_000  # characters of a text to score
MAX_ITEMS = 500  # in a drawing
MAX_CANDIDATES = 20  # top candidates of each character of a sample


def _integral_as_int(x: object) -> object:
    """10.0 -> 10; anything else as it is."""
    return int(x) if isinstance(x, float) and x.is_integer() else x


Integer = Annotated[int, BeforeValidator(_integral_as_int)]  # as in JSON Schema: includes 10.0, not true or "10"
ModelId = Annotated[str, Field(max_length=1000, description="an id from /api/models")]


def _help(name: str) -> str:
    """The help of a flag of SampleOptions, for a field of its name: a switch there is true or false here."""
    text: str = {field.name: field for field in dataclasses.fields(SampleOptions)}[name].metadata["help"]
    return text.removeprefix("1 = ")


class Input(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


class Unit(Input):
    """A hidden unit, counted from 1."""

    layer: Integer = Field(ge=1)
    unit: Integer = Field(ge=1)


class AdaptBody(Input):
    """How a model learns from the text of a request with `adapt`; fields are named as the flags."""

    adapt_rate: float = Field(AdaptOptions.adapt_rate, ge=0, le=MAX_RATE, description=_help("adapt_rate"))
    adapt_length: Integer = Field(AdaptOptions.adapt_length, ge=1, le=ADAPT_LENGTH, description=_help("adapt_length"))
    adapt_pull: float = Field(AdaptOptions.adapt_pull, ge=0, le=MAX_PULL, description=_help("adapt_pull"))

    def adaptation(self, adapt: bool, characters: int) -> Adaptation | None:
        """How to learn from so many characters; None without `adapt`.

        A segment has no more than the text, since it takes memory. Errors: UserError for fields without `adapt`.
        """
        opt = AdaptOptions(
            adapt_rate=self.adapt_rate,
            adapt_length=max(1, min(self.adapt_length, characters)),
            adapt_pull=self.adapt_pull,
        )
        if adapt:
            return opt.adaptation
        for name in AdaptBody.model_fields:
            if getattr(self, name) != getattr(AdaptOptions, name):
                raise UserError(f"{name}: it says how a model learns: set adapt to true, or leave it out.")
        return None


class DrawingBody(AdaptBody):
    """How to draw characters; fields are named as the flags of `pycharrnn sample`."""

    model: ModelId
    temperature: float = Field(1.0, ge=0.01, le=100)
    topk: Integer = Field(0, ge=0, le=1_000_000, description=_help("topk"))
    topp: float = Field(1.0, gt=0, le=1, description=_help("topp"))
    max_copy: Integer = Field(0, ge=0, le=MAX_LENGTH, description=_help("max_copy"))
    adapt: bool = Field(False, description="learn from the primetext first; the copy that learns is this request's own")

    def sample_options(self) -> SampleOptions:
        """The fields that are options of `sample`, but primetext, max_copy, adapt and those that say how to learn."""
        options = {field.name for field in dataclasses.fields(SampleOptions)}
        apart = {"primetext", "max_copy", "adapt", *AdaptBody.model_fields}
        values = {name: getattr(self, name) for name in (type(self).model_fields.keys() & options) - apart}
        given: dict[str, Any] = {name: int(x) if isinstance(x, bool) else x for name, x in values.items()}
        return SampleOptions(**given)


class SampleBody(DrawingBody):
    """A sample."""

    primetext: str = Field(
        "",
        max_length=MAX_PRIMETEXT,
        description="prompt: the sample continues it; without one, it begins with a character at random",
    )
    length: Integer = Field(400, ge=1, le=MAX_LENGTH, description="most characters to sample")
    stop: str = Field("", max_length=MAX_STOP, description="end after sampling this text")
    seed: Integer = Field(SampleOptions.seed, ge=0, lt=1 << 32, description="the same seed gives the same sample")
    unit: Unit | None = Field(None, description="add the activation of this hidden unit to each character")
    candidates: Integer = Field(5, ge=0, le=MAX_CANDIDATES, description="top candidates to add to each character")
    skip: Integer = Field(
        0,
        ge=0,
        le=MAX_LENGTH + MAX_PRIMETEXT,
        description="characters at the beginning whose lines to leave out",
    )


class SampledCharacter(BaseModel):
    """A character of a sample."""

    text: str = Field(description="the character; U+FFFD for invalid UTF-8")
    given: bool = Field(description="whether it is part of the primetext")
    probability: float = Field(description="after temperature, topk and topp; for a given character the model's own")
    candidates: list[tuple[str, float]] = Field([], description="(character, probability), most probable first")
    activation: float | None = Field(None, description="of the requested unit, after this character; from -1 to 1")


class SampleDone(BaseModel):
    """The last line of a complete sample."""

    done: Literal[True]
    early: bool = Field(False, description="whether it has fewer characters, since max_copy left none to go on with")


class SampleError(BaseModel):
    """The last line of a sample that failed."""

    error: str


class SampleLine(RootModel[SampledCharacter | SampleDone | SampleError]):
    """A line of the response to /api/sample: a SampledCharacter, or the last line."""


class ItemsBody(DrawingBody):
    """Items of a model of items."""

    label: str = Field(
        "",
        max_length=MAX_LABEL,
        description="of all items; a model with labels needs it, unless primetext begins with a label and a tab",
    )
    primetext: str = Field("", max_length=MAX_PRIMETEXT, description="the beginning of every item")
    items: Integer = Field(DEFAULT_ITEMS, ge=1, le=MAX_ITEMS, description="number of items to draw")
    length: Integer = Field(400, ge=1, le=MAX_LENGTH, description="most characters to draw for an item")
    seed: Integer = Field(
        SampleOptions.seed, ge=0, lt=1 << 32, description="of the first item; each item has the next one"
    )
    new: bool = Field(False, description="leave out items that are in the training text, and empty ones")
    unique: bool = Field(False, description=_help("unique"))


class DrawnItem(BaseModel):
    """An item."""

    text: str = Field(description="without its end, and without `label` and its tab; U+FFFD for invalid UTF-8")
    known: bool | None = Field(
        description="whether the training text has it, exactly; null if the server does not have that text"
    )
    seed: int = Field(description="draws the same item again")
    cut: bool = Field(description="whether it has no end, since it has `length` characters")


class ItemsDone(BaseModel):
    """The last line of a complete drawing. The counts are of all drawn items, those left out too."""

    done: Literal[True]
    drawn: int
    known: int | None = Field(description="how many the training text has; null if the server does not have it")
    repeated: int = Field(description="how many were drawn before")
    empty: int = Field(description="how many have no character; `new` leaves them out")
    gave_up: bool = Field(
        description=f"whether there are fewer than `items`: the last {MAX_TRIES:,} were all left out; with topk 1, the"
        " last one"
    )


class ItemLine(RootModel[DrawnItem | ItemsDone | SampleError]):
    """A line of the response to /api/items: a DrawnItem, or the last line."""


class ScoreBody(AdaptBody):
    """A text to score."""

    model: ModelId
    text: str = Field(min_length=1, max_length=MAX_SCORED)
    adapt: bool = Field(
        False, description="learn from each part of the text after predicting it; compare only with other such scores"
    )
    lines: bool = Field(False, description="add the score of each line, or of each item for a model of items")
    progress: bool = Field(False, description="answer with lines of JSON, which say how far the score is")


class ScoredCharacter(BaseModel):
    """A character of a scored text."""

    text: str
    bits: float | None = Field(
        description="-log2 of its probability; 0 in the label of an item; null if the model does not know it"
    )


class ScoredLine(BaseModel):
    """A line of a scored text, or an item; with its end, unless the text ends without one."""

    text: str = Field(description="without its end and its label; U+FFFD for invalid UTF-8")
    label: str = Field(description="which was read before it, without bits of its own; else empty")
    bits: float | None = Field(description="of its known characters, its end included")
    characters: int = Field(description="number of code points that these belong to")


class ScoreAnswer(BaseModel):
    """The score of a text."""

    bits_per_character: float | None = Field(
        description="bits of the known characters, divided by code_points; null if there are none"
    )
    plain: float | None = Field(None, description="with adapt, bits_per_character without learning")
    known: int = Field(description="number of characters that the model knows; for most models, bytes")
    code_points: int = Field(description="number of code points that these belong to")
    unknown: int = Field(description="number of characters or bytes that the model does not know; left out")
    characters: list[ScoredCharacter]
    lines: list[ScoredLine] | None = Field(None, description="with `lines`")


class ScoreProgress(BaseModel):
    """How far a score is."""

    progress: float = Field(description="part of the text that has been read, from 0 to 1")


class ScoreDone(ScoreAnswer):
    """The last line of a complete score."""

    done: Literal[True]


class ScoreLine(RootModel[ScoreProgress | ScoreDone | SampleError]):
    """A line of the response to /api/score with `progress`: a ScoreProgress, or the last line."""


class CopiedBody(Input):
    """A text to compare with a model's training text."""

    model: ModelId
    text: str = Field(min_length=1, max_length=MAX_SCORED)
    least: Integer = Field(
        CopiedOptions.least, ge=1, le=MAX_SCORED, description="characters that a passage must have at least"
    )


class CopiedPassage(BaseModel):
    """A passage of the text that is in the training text, letter for letter."""

    start: int = Field(description="characters of the text before it")
    length: int = Field(description="its characters")
    text_line: int = Field(description="its first place in the training text: the line, from 1")
    text_column: int = Field(description="the column, from 1")


class CopiedAnswer(BaseModel):
    """The passages of a text that are in the training text."""

    passages: list[CopiedPassage] | None = Field(
        description="the longest first, each contained in no other; null if the server does not have the training text"
    )


class Limits(BaseModel):
    """The largest values of requests, and the largest number of clients at once (streams)."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    length: int = MAX_LENGTH
    primetext: int = MAX_PRIMETEXT
    score: int = MAX_SCORED
    candidates: int = MAX_CANDIDATES
    items: int = MAX_ITEMS
    streams: int


class ModelList(BaseModel):
    """The list of models."""

    models: list[ModelFacts] = Field(
        description="by argument; in a folder the run that trained last, and its lowest loss, first"
    )
    follow: bool = Field(description="whether the server adds new checkpoints of folders")
    limits: Limits


class LossesQuery(Input):
    """The model whose run to return losses of."""

    model: ModelId


class Problem(BaseModel):
    """The reason for refusing a request."""

    detail: str
