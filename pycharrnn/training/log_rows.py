"""The rows of a -log file, .csv or .jsonl: how training writes them, and how `plot` and -resume read them."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pycharrnn.common.errors import UserError
from pycharrnn.training.options import LOG_ENDINGS

_KINDS = ("train", "validation")
_LONGEST_LINE = 1000  # bytes; a row has about a hundred
_TORN_COLUMNS = 3
_LARGEST = 1 << 53  # iteration; floats don't distinguish larger ones


@dataclass(frozen=True, slots=True)
class Row:
    """A row, of `kind` "train" or "validation". NaN and infinity are null in JSON; None is null too, and empty in CSV.

    Attributes:
        train_loss, val_loss: nats per character; train_loss of this iteration alone.
        norm_ratio: norm of the clipped gradient by that of the parameters. learning_rate: of the next iteration.
        seconds: since the run began, with validations and saves, without the time between an end and its resume.
        characters_per_second: of training since the last "train" row, or of the validation.
    """

    kind: str
    iteration: int
    epoch: float
    train_loss: float | None = None
    val_loss: float | None = None
    norm_ratio: float | None = None
    learning_rate: float | None = None
    seconds: float | None = None
    characters_per_second: float | None = None


_COLUMNS = tuple(field.name for field in dataclasses.fields(Row))
_HEADER = (",".join(_COLUMNS) + "\n").encode()


def is_log(path: str) -> bool:
    """Whether a file of this name is one of -log."""
    return path.lower().endswith(LOG_ENDINGS)


def is_log_file(path: str) -> bool:
    """Whether the file at a path is a log, by its name and its first line."""
    if not is_log(path):
        return False
    try:
        next(rows(path), None)
        return os.path.getsize(path) > 0
    except (UserError, OSError):
        return False


def header(path: str) -> bytes:
    """The header of a file of this name: a line for CSV, nothing for JSON."""
    return _HEADER if _is_csv(path) else b""


def as_line(row: Row, path: str) -> bytes:
    """The line of a row, in the format of a file of this name."""
    values = dataclasses.asdict(row)
    if _is_csv(path):
        return (",".join("" if value is None else str(value) for value in values.values()) + "\n").encode()
    values = {name: None if isinstance(x, float) and not math.isfinite(x) else x for name, x in values.items()}
    return (json.dumps(values) + "\n").encode()


def rows(path: str, start: int = 0) -> Iterator[tuple[Row, int]]:
    """The rows of a file, each with the offset of its end, without an incomplete last line. Errors: UserError.

    `start`: the offset of the end of a row, to read those after it.
    """
    number = int(start > 0)
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise OSError(errno.EINVAL, "not a regular file")
        with open(path, "rb") as f:
            f.seek(start)
            end = start
            while line := f.readline(_LONGEST_LINE):
                number += 1
                end += len(line)
                if not line.endswith(b"\n"):
                    if number == 1 or len(line) == _LONGEST_LINE:
                        _check_torn(line, path)
                    else:
                        _check_torn_end(line, path)
                    return
                if number == 1 and _is_csv(path):
                    _check_header(line)
                else:
                    yield _row(line, path), end
    except OSError as e:
        raise UserError(f"can't read {path} ({e.strerror}).") from e
    except (ValueError, TypeError, OverflowError, RecursionError) as e:
        raise UserError(f"{path} is not a log of pycharrnn train -log: line {number} is not one of its rows.") from e


def _is_csv(path: str) -> bool:
    return path.lower().endswith(".csv")


def _check_header(line: bytes) -> None:
    if line.replace(b"\r\n", b"\n") != _HEADER:
        raise ValueError("another header")


def _check_torn_end(line: bytes, path: str) -> None:
    """Errors: ValueError unless the last line of a log, without line break, begins a row, or a power cut left NULs."""
    kinds = (b"train,", b"validation,") if _is_csv(path) else (b'{"kind": "train"', b'{"kind": "validation"')
    if line.strip(b"\0") and not any(kind.startswith(line[: len(kind)]) for kind in kinds):
        raise ValueError("another line")


def _check_torn(line: bytes, path: str) -> None:
    """Errors: ValueError unless a file's only line, without line break, begins a log; three columns identify it."""
    if _is_csv(path):
        if not _HEADER.startswith(line) or line.count(b",") < _TORN_COLUMNS:
            raise ValueError("another header")
        return
    *fields, torn = line.decode().removeprefix("{").split(", ")
    values = json.loads("{" + ", ".join(fields) + "}")
    columns = tuple(values)
    if len(columns) < _TORN_COLUMNS or columns != _COLUMNS[: len(columns)] or not line.startswith(b"{"):
        raise ValueError("other fields")
    name = _COLUMNS[min(len(columns), len(_COLUMNS) - 1)]
    key, value = torn[: len(name) + 4], torn[len(name) + 4 :]
    end = r"\}?" if name == _COLUMNS[-1] else ",?"
    if not f'"{name}": '.startswith(key) or not re.fullmatch(r"[-+.\dnule]*" + end, value):
        raise ValueError("another field")
    _checked_row({**dict.fromkeys(_COLUMNS), **values})


def _row(line: bytes, path: str) -> Row:
    """Errors: ValueError, TypeError, OverflowError, RecursionError for a line that is not a row."""
    values: dict[str, Any]
    if _is_csv(path):
        cells = line.decode().rstrip("\r\n").split(",")
        values = dict(zip(_COLUMNS, (cell or None for cell in cells), strict=True))
    else:
        values = json.loads(line)
        if not isinstance(values, dict) or tuple(values) != _COLUMNS:
            raise ValueError("other fields")
    return _checked_row(values)


def _checked_row(values: dict[str, Any]) -> Row:
    """Errors: ValueError, TypeError, OverflowError for values that no row has."""
    kind, iteration = values["kind"], int(values["iteration"] or 0)
    if kind not in _KINDS or not 0 < iteration <= _LARGEST:
        raise ValueError("no row")
    figures = {name: None if values[name] is None else float(values[name]) for name in _COLUMNS[3:]}
    return Row(kind, iteration, float(values["epoch"] or 0), **figures)
