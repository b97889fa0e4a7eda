"""Requests and responses about texts and flags of `pycharrnn studio`, as /openapi.json describes them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from pycharrnn.server.schemas import Input
from pycharrnn.text.data_settings import Items, Label


class NewText(Input):
    """A text to upload the files of."""

    name: str = Field("", max_length=1000, description="of the folder of its files; empty for single files")
    is_folder: bool = False


class TextId(BaseModel):
    id: str


class Uploaded(BaseModel):
    """A file that was received whole."""

    name: str = Field(description="as it is kept")
    bytes: int


class ReadText(Input):
    """How to read a text; fields are named as the flags of `pycharrnn train`."""

    items: Literal["", Items] = ""
    label: Literal["", Label] = ""
    text_encoding: str = Field("", max_length=100)


class FileFacts(BaseModel):
    name: str
    bytes: int
    encoding: str


class TextFacts(BaseModel):
    """What `train` finds in a text."""

    id: str
    name: str = Field(description="suggested name of the run")
    bytes: int
    code_points: int | None = Field(description="null for invalid UTF-8")
    characters: int = Field(description="in the unit of `encoding`")
    distinct: int
    encoding: str = Field(description="the -encoding that suits it: bytes or utf8")
    kind: str = Field(description="text, list, sorted list, or list with blank lines between items")
    files: list[FileFacts] = Field(description="the first hundred")
    file_count: int
    facts: list[str] = Field(description="sentences")
    left_out: list[str] = Field(description="sentences on what was left out, and why")
    renamed: str = Field(description="a sentence on changed names that are labels; empty without such names")
    encoding_advice: str = Field(
        description="a sentence on a text many of whose characters take several bytes; empty for others"
    )
    too_short: str = Field(description="a sentence on a text with too few characters to learn from; empty for others")
    suggested_items: str
    headers: list[str] = Field(
        description="of a list of lines: sentences on first lines that look like headers of tables"
    )


class ChoiceEstimate(BaseModel):
    choice: str
    seconds: float | None
    iterations: int | None
    rnn_size: int | None
    flags: dict[str, int | float | str] = Field(description="values of the flags that the choice sets")


class Estimates(BaseModel):
    choices: list[ChoiceEstimate]
    how: str = Field(description="how it was estimated, or why it was not")
    problem: str = Field(description="why no training on the text can begin; empty if one can")


class FlagFacts(BaseModel):
    """A flag of `pycharrnn train`."""

    name: str
    default: int | float | str = Field(description="what char-rnn does; a choice may set another value")
    help: str
    group: str
    kind: Literal["integer", "number", "text", "choice", "switch"]
    allowed: str = Field(description="the values it accepts beside its default, in words")
    choices: list[int | str]


class FlagList(BaseModel):
    flags: list[FlagFacts]
    choices: dict[str, dict[str, str]] = Field(
        description="name of a flag that has a field of its own -> its values, and the words for each"
    )
