"""The JSON API: the handler of each path."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from pycharrnn.common.display import plural
from pycharrnn.common.errors import UserError
from pycharrnn.engine import adapt
from pycharrnn.page.facts import Losses
from pycharrnn.sampling.copy_limits import CopyLimits
from pycharrnn.server import drawn_items, etags, request_labels, samples, scores
from pycharrnn.server.copied_passages import CopiedPassages, Unwanted
from pycharrnn.server.known_texts import KnownTexts
from pycharrnn.server.learning_models import LearningModel
from pycharrnn.server.line_stream import RETRY, STOPPING, LineStream, unavailable
from pycharrnn.server.registry import CapacityExceeded, NoSuchModel, Registry
from pycharrnn.server.samples import RequestedSample, Sample
from pycharrnn.server.scheduler import Scheduler, SchedulerClosed
from pycharrnn.server.schemas import (
    MAX_SCORED,
    CopiedAnswer,
    CopiedBody,
    ItemLine,
    ItemsBody,
    Limits,
    LossesQuery,
    ModelList,
    Problem,
    SampleBody,
    SampleLine,
    ScoreAnswer,
    ScoreBody,
    ScoreLine,
)
from pycharrnn.server.security import BYTES_OF_CHARACTER
from pycharrnn.server.served_models import ServedModel
from pycharrnn.server.text_indexes import TextIndexes, TooManyIndexes
from pycharrnn.text.recorded_text import not_usable

_Responses = dict[int | str, dict[str, Any]]  # status -> its description for OpenAPI

# Bytes of a request, where it may be larger than MAX_OTHER_BODY: the power of two that holds a text of MAX_SCORED
# characters, and 16 KiB for the other fields.
_BODY_WITH_TEXT = 1 << (BYTES_OF_CHARACTER * MAX_SCORED + (1 << 14) - 1).bit_length()
MAX_BODY = dict.fromkeys(("/api/score", "/api/copied"), _BODY_WITH_TEXT)

_GUARD_STATUSES = (401, 421)  # of security.Guard, for every path
_PROBLEM = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def add_api(app: FastAPI, models: Registry, scheduler: Scheduler) -> None:
    """Add the paths below to an application."""
    api = _Api(models, scheduler)
    guarded: _Responses = {status: {"model": Problem} for status in _GUARD_STATUSES}
    problems: _Responses = {status: {"content": _PROBLEM} for status in (400, 404, 413, 422, 503, *_GUARD_STATUSES)}
    of_list: _Responses = {**guarded, **etags.UNCHANGED, 422: {"content": _PROBLEM}}
    of_losses: _Responses = {**guarded, 404: {"model": Problem}, 422: {"content": _PROBLEM}}
    of_score: _Responses = {200: {"model": ScoreAnswer | ScoreLine}, **problems}

    def lines_of(model: type[BaseModel]) -> dict[str, Any]:
        described: dict[str, Any] = {"model": model, "description": f"lines of JSON, each a {model.__name__}"}
        return {"response_class": LineStream, "responses": {200: described, **problems}}

    for method, path, handler, described in (
        ("GET", "/api/models", api.list_models, {"response_model": ModelList, "responses": of_list}),
        ("GET", "/api/losses", api.losses, {"responses": of_losses}),
        ("POST", "/api/sample", api.sample, lines_of(SampleLine)),
        ("POST", "/api/items", api.draw_items, lines_of(ItemLine)),
        ("POST", "/api/score", api.score_text, {"response_class": JSONResponse, "responses": of_score}),
        ("POST", "/api/copied", api.copied, {"response_model": CopiedAnswer, "responses": problems}),
    ):
        app.add_api_route(path, handler, methods=[method], status_code=200, **described)


class _Api:
    """The handlers. /openapi.json has their docstrings."""

    def __init__(self, models: Registry, scheduler: Scheduler) -> None:
        self._models, self._scheduler = models, scheduler
        self._known_texts = KnownTexts()
        self._copied_passages = CopiedPassages()
        self._text_indexes = TextIndexes()
        self._listed = -1, b""  # a generation of the models, and the list of them
        # A score takes megabytes and is useless before it is complete, so scores that take about as long, which have
        # the same key (see _score_lock), are computed one after the other.
        self._score_locks = weakref.WeakValueDictionary[tuple[str, int, int], asyncio.Lock]()

    async def list_models(self, if_none_match: etags.IfNoneMatch = None) -> Response:
        """The models, and the limits of requests."""
        if self._listed[0] != self._models.generation:
            limits = Limits(streams=self._scheduler.max_clients)
            found = ModelList(models=self._models.all_facts(), follow=self._models.follow, limits=limits)
            self._listed = self._models.generation, found.model_dump_json().encode()
        return etags.tagged(self._listed[1], if_none_match)

    async def losses(self, request: Annotated[LossesQuery, Query()]) -> Losses:
        """The training and validation losses of a run up to a checkpoint."""
        try:
            return self._models.losses(request.model)
        except NoSuchModel as e:
            raise HTTPException(404, str(e)) from None

    async def sample(self, request: SampleBody) -> Response:
        """A sample as JSON lines, sent as they are sampled: one for each character, and one at the end."""
        model = await self._model(request.model)
        request_labels.require(model, [b""], "model", "/api/items draws its items")
        options = request.sample_options()
        unit = (request.unit.layer, request.unit.unit) if request.unit else None
        layers, size = model.facts.num_layers, model.facts.rnn_size
        if unit and (unit[0] > layers or unit[1] > size):
            raise HTTPException(422, f"unit: the model has {layers} {plural(layers, 'layer')} of {size} units.")
        primetext = request.primetext.encode()
        learning = await self._learning(request, request.primetext)
        copies = await self._copy_limits(model, request.max_copy)
        requested = RequestedSample(options, primetext, unit, request.candidates, request.skip, copies)
        sample = Sample(model, requested, learning)
        return LineStream(self._scheduler, samples.stream_lines(self._scheduler, sample))

    async def draw_items(self, request: ItemsBody) -> Response:
        """Items as JSON lines, sent as they are drawn: one for each item, and one at the end."""
        model = await self._model(request.model)
        if model.items is None:
            raise HTTPException(422, "model: it is a model of a text: /api/sample samples from it.")
        of_label = request_labels.for_drawing(model, request.label, request.primetext)
        known = await self._known_texts.items_of(model.items)
        if request.new and known is None:
            raise HTTPException(422, f"new: {drawn_items.NO_TEXT}.")
        options = dataclasses.replace(request.sample_options(), threads=1)  # the scheduler's
        learning = await self._learning(request, f"{request.label}\t{request.primetext}")
        copies = await self._copy_limits(model, request.max_copy)
        lines = drawn_items.lines(model, options, request.primetext.encode(), known, of_label, learning, copies)
        return LineStream(self._scheduler, samples.in_turns(self._scheduler, lines))

    async def score_text(self, request: ScoreBody, connection: Request) -> Response:
        """The surprise of each character of a text. With `progress` as JSON lines: how far it is, then the answer."""
        model = await self._model(request.model)
        learning = await self._learning(request, request.text)
        score = functools.partial(scores.score, model, request.text.encode(), learning, request.lines)
        if request.progress:
            return LineStream(self._scheduler, self._score_lines(request, score(first='"done":true,')))
        pieces = list[str]()
        with self._scheduler.admit() as admitted:
            if not admitted:
                return unavailable()
            async with (
                self._score_lock(request),
                contextlib.aclosing(self._scheduler.run(score())) as turns,
            ):
                try:
                    async for items in turns:
                        pieces.append("".join(items))
                        if await connection.is_disconnected():
                            break
                except SchedulerClosed:
                    return unavailable(STOPPING)
        headers = {"Content-Length": str(sum(map(len, pieces)))}  # all ASCII
        return StreamingResponse(_one_by_one(pieces), headers=headers, media_type="application/json")

    async def _score_lines(self, request: ScoreBody, score: Iterator[str]) -> AsyncGenerator[str, None]:
        async with (
            self._score_lock(request),
            contextlib.aclosing(self._scheduler.run(score)) as turns,
        ):
            async for line in scores.with_progress(turns, len(request.text)):
                yield line

    def _score_lock(self, request: ScoreBody) -> asyncio.Lock:
        segment = request.adapt_length.bit_length() if request.adapt else 0  # the shorter they are, the more work
        return self._score_locks.setdefault((request.model, len(request.text).bit_length(), segment), asyncio.Lock())

    async def copied(self, request: CopiedBody, connection: Request) -> CopiedAnswer | Response:
        """The passages of a text that are in the model's training text, letter for letter."""
        model = await self._model(request.model)
        with self._scheduler.admit() as admitted:
            if not admitted:
                return unavailable()

            async def is_wanted() -> bool:
                return await self._is_open() and not await connection.is_disconnected()

            try:
                found = await self._copied_passages.of(
                    model.text.recorded, request.text.encode(), model.labels, request.least, is_wanted
                )
            except Unwanted:
                return unavailable(STOPPING)
            return CopiedAnswer(passages=found)

    async def _copy_limits(self, model: ServedModel, max_copy: int) -> CopyLimits | None:
        """What max_copy forbids. Errors: HTTPException if the text is not here, or must wait for others."""
        if not max_copy:
            return None
        if not model.text.recorded.fingerprint:
            raise HTTPException(
                422, "max_copy: the checkpoint does not record the hash of its training text: leave it out."
            )
        if not model.text.recorded.may_be_read_unasked():
            raise HTTPException(422, f"max_copy: {not_usable(or_else='is too long')}.")
        try:
            return await self._text_indexes.limits(model.text, max_copy, self._is_open)
        except SchedulerClosed:
            raise HTTPException(503, STOPPING) from None
        except TooManyIndexes:
            raise HTTPException(
                503, "max_copy: the server is indexing its texts for other values: try again in a moment.", RETRY
            ) from None
        except (OSError, ValueError, UserError):
            raise HTTPException(422, f"max_copy: {not_usable()}.") from None

    async def _is_open(self) -> bool:
        """False once the server stops."""
        return not self._scheduler.closed

    async def _model(self, model_id: str) -> ServedModel:
        with _as_responses():
            return await self._models.model(model_id)

    async def _learning(self, request: SampleBody | ItemsBody | ScoreBody, text: str) -> LearningModel | None:
        """The copy of its model that a request with `adapt` has for itself; it ends with the request."""
        try:
            how = request.adaptation(request.adapt, len(text.encode()) + 2)  # an item has an end before and after it
        except UserError as e:
            raise HTTPException(422, str(e)) from None
        if not how:
            return None
        try:
            adapt.check_available()
        except UserError as e:
            raise HTTPException(422, f"adapt: {e}") from None
        with _as_responses():
            return await self._models.learning_model(request.model, how)


@contextlib.contextmanager
def _as_responses() -> Iterator[None]:
    """Turn the registry's exceptions into responses."""
    try:
        yield
    except NoSuchModel as e:
        raise HTTPException(404, str(e)) from None
    except CapacityExceeded:
        raise HTTPException(503, "the models in use take all memory: try again in a moment.", RETRY) from None


async def _one_by_one(pieces: list[str]) -> AsyncIterator[str]:
    """Yield pieces as the connection takes them, so that its buffer does not hold all of them."""
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)  # so that the event loop sees a closed connection; asyncio logs writes to one
