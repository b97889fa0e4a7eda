"""Requests and answers of the JSON API of `pycharrnn serve`, as /openapi.json describes them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel

from pycharrnn.page.facts import ModelFacts

MAX_LENGTH = 10_000  # characters of a sample
MAX_PRIMETEXT = 2_000  # characters
MAX_SCORED = 20_000  # characters of a text to score
MAX_CANDIDATES = 20  # likeliest characters that are named with each character of a sample
MAX_FIELDS = 20  # fields of any object in a request: more than a good request has, too few to take much memory


def _whole_as_int(x: object) -> object:
    """10.0 -> 10; anything else as it is."""
    return int(x) if isinstance(x, float) and x.is_integer() else x


Integer = Annotated[int, BeforeValidator(_whole_as_int)]  # as in JSON Schema: 10.0 too, but neither true nor "10"


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


class Unit(_Request):
    """A hidden unit, counted from 1."""

    layer: Integer = Field(ge=1)
    unit: Integer = Field(ge=1)


class SampleRequest(_Request):
    """What to draw: the flags of `pycharrnn sample`."""

    model: str = Field(max_length=1000, description="an id from /api/models")
    primetext: str = Field("", max_length=MAX_PRIMETEXT, description="the beginning; the sample goes on from it")
    length: Integer = Field(400, ge=1, le=MAX_LENGTH, description="characters to draw")
    temperature: float = Field(1.0, ge=0.01, le=100)
    topk: Integer = Field(0, ge=0, le=1_000_000, description="draw only from the K likeliest characters; 0: from all")
    topp: float = Field(1.0, gt=0, le=1, description="draw only from the likeliest that together have this probability")
    seed: Integer = Field(123, ge=0, lt=1 << 32, description="the same seed gives the same sample")
    unit: Unit | None = Field(None, description="a hidden unit whose activation to add to each character")
    candidates: Integer = Field(5, ge=0, le=MAX_CANDIDATES, description="likeliest characters to name with each")
    skip: Integer = Field(
        0, ge=0, le=MAX_LENGTH + MAX_PRIMETEXT, description="leave out the lines of so many characters at the beginning"
    )


class SampledCharacter(BaseModel):
    """A character of a sample."""

    text: str = Field(description="the character; U+FFFD for bytes that are no UTF-8")
    given: bool = Field(description="it stands in the primetext, it was not drawn")
    probability: float = Field(description="after temperature, topk and topp; the model's own for a given character")
    candidates: list[tuple[str, float]] = Field([], description="the likeliest characters in its place")
    activation: float | None = Field(None, description="of the unit asked for, after this character; from -1 to 1")


class SampleDone(BaseModel):
    """The sample is whole."""

    done: Literal[True]


class SampleError(BaseModel):
    """The sample ends here."""

    error: str


class SampleLine(RootModel[SampledCharacter | SampleDone | SampleError]):
    """A line of the answer to /api/sample: a SampledCharacter, or the last one."""


class ScoreRequest(_Request):
    """A text whose surprise to measure."""

    model: str = Field(max_length=1000, description="an id from /api/models")
    text: str = Field(min_length=1, max_length=MAX_SCORED)


class ScoredCharacter(BaseModel):
    """A character of a scored text."""

    text: str
    bits: float | None = Field(description="-log2 of its probability; null where the model does not know it")


class ScoreAnswer(BaseModel):
    """How much a text surprises a model."""

    bits_per_character: float | None = Field(description="mean over the known characters; null where there are none")
    known: int = Field(description="characters of the model's vocabulary in the text: bytes, for most models")
    unknown: int = Field(description="those, or bytes, that the model does not know; passed over")
    characters: list[ScoredCharacter]


class Limits(BaseModel):
    """The largest values of a request, and how many clients are served at once."""

    length: int
    primetext: int
    score: int
    candidates: int
    streams: int


class ModelList(BaseModel):
    """The models to choose from."""

    models: list[ModelFacts] = Field(description="in the order of the command line; those of a folder the best first")
    follow: bool = Field(description="whether new checkpoints of folders are added as they are written")
    limits: Limits


class LossesRequest(_Request):
    """Which run's losses to tell."""

    model: str = Field(max_length=1000, description="an id from /api/models")


class Problem(BaseModel):
    """Why a request is refused."""

    detail: str
