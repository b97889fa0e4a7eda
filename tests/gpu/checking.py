"""How a check is written, and how those of a group are done, in a process of their own."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.gpu.place import Place, facts
from tests.gpu.report import FAILED, PASSED, STAND_IN, WAITS, Row

_ROOT = str(Path(__file__).parents[2])


@dataclass(frozen=True)
class Finding:
    """What a check found: it holds if `figure` is at most `bound`, which NaN is not.

    Attributes:
        because: why the bound is what it is.
        detail: what else there is to say.
    """

    figure: float
    bound: float
    because: str
    detail: str = ""


@dataclass(frozen=True)
class Check:
    """Something to be found out.

    Attributes:
        name: what of the group's subject.
        asked: the question, in words.
        find: answers it.
        needs: what it can't do without, one of place.NEEDS.
    """

    name: str
    asked: str
    find: Callable[[], Finding]
    needs: str = ""


@contextlib.contextmanager
def weights_are_not_copied() -> Iterator[None]:
    """A context in which torch.nn raises where cuDNN does not take its weights as they lie, but a copy in each call."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "RNN module weights are not part of single contiguous chunk")
        yield


def names(groups: Iterable[str]) -> list[str]:
    """The checks of these groups, as "group: name"."""
    place = Place.find()
    return [f"{group}: {check.name}" for group in groups for check in _checks(group, place)]


def _checks(group: str, place: Place) -> list[Check]:
    found: list[Check] = importlib.import_module(f"tests.gpu.{group}").checks(place)
    return found


def do(group: str, only: list[str], say: Callable[[str], None]) -> None:
    """Do the checks of a group.

    Args:
        only: do those whose "group: name" contains one of these.
        say: gets lines of JSON: first the machine and all rows that there will be, then each as it is found.
    """
    place = Place.find()
    checks = [check for check in _checks(group, place) if any(part in f"{group}: {check.name}" for part in only)]
    planned = [_row(group, check, place) for check in checks]
    say(json.dumps({"machine": facts(), "planned": [dataclasses.asdict(row) for row in planned]}))
    for check, row in zip(checks, planned, strict=True):
        say(json.dumps(dataclasses.asdict(_done(check, row, place))))


def _row(group: str, check: Check, place: Place) -> Row:
    """The row of a check that is not done yet."""
    return Row(group, check.name, check.asked, WAITS, where=place.name, detail=check.needs)


def _done(check: Check, row: Row, place: Place) -> Row:
    """The row with what was found."""
    if not place.has(check.needs):
        return row
    start = time.perf_counter()
    try:
        found = check.find()
    except Exception as e:  # it goes into the report, whatever it is
        at = [frame for frame in traceback.extract_tb(e.__traceback__) if frame.filename.startswith(_ROOT)][-1]
        detail = f"{type(e).__name__} in {at.filename[len(_ROOT) + 1 :]}:{at.lineno}: {e}"
        return dataclasses.replace(row, verdict=FAILED, detail=detail, seconds=time.perf_counter() - start)
    good = PASSED if place.is_real else STAND_IN
    return dataclasses.replace(
        row,
        verdict=good if found.figure <= found.bound else FAILED,
        figure=found.figure,
        bound=found.bound,
        because=found.because,
        detail=found.detail,
        seconds=time.perf_counter() - start,
    )
