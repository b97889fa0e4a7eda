"""Describes a file: the fields of a checkpoint, or the tree of another .t7 file."""

from __future__ import annotations

import math
import os
from array import array
from dataclasses import dataclass
from typing import Any

from compat import CheckpointError, LuaFunction, Storage, T7Error, Table, Tensor, TorchObject
from compat.charrnn import Checkpoint
from compat.t7_objects import Dialect
from compat.t7_reader import MOST_FURTHER, T7FileSummary, survey
from compat.vocabulary import characters_by_id
from pycharrnn.checkpoints import checkpoint, checkpoint_facts, formats, recorded_copies, t7_file
from pycharrnn.common import losses
from pycharrnn.common.display import escape_line, is_utf8, plural

Facts = dict[str, Any]  # name -> number, text, or dicts and lists of them
_SERIES = ("train_losses", "val_losses")  # facts for programs only, as they are long
_MAX_DEPTH, _MAX_ENTRIES, _MAX_LINES = 6, 12, 200
_MAX_OPTIONS = 50  # entries of a small table
_SCALARS = (int, float, bool, bytes, type(None))


@dataclass(frozen=True)
class Finding:
    """The description of a file: the fields of a checkpoint, or a sentence why it is none and its shortened objects."""

    facts: Facts | None
    fault: str = ""
    tree: str = ""


def look(path: str | os.PathLike[str]) -> Finding:
    """Describe the file at `path`. Errors: UserError for a file that is neither a checkpoint nor a .t7 file."""
    with checkpoint.reading(path):
        found_format = checkpoint.format_of(path)
        if found_format is not formats.T7:
            return Finding(_facts(found_format.functions().load(path)))
        found = survey(path)
        try:
            facts = _facts(t7_file.from_value(found.value))
        except (CheckpointError, T7Error) as e:
            fault = checkpoint.why_no_checkpoint(path) or f"{path} is not a checkpoint of a character model: {e}."
            return Finding(None, fault, _tree(path, found))
    facts |= {"encoding": found.dialect.encoding, "long_size": found.dialect.long_size}
    if found.further or found.unread:
        facts["after_it"] = _rest(found)
    return Finding(facts)


def _facts(loaded: Checkpoint) -> Facts:
    network = loaded.network
    out: Facts = {
        "program": loaded.program,
        "era": loaded.era,
        "model": network.model,
        "num_layers": network.num_layers,
        "rnn_size": network.rnn_size,
        "vocab_size": network.vocab_size,
        "vocab": [c.decode("utf-8", "backslashreplace") for c in characters_by_id(loaded.vocab)],
        "parameters": network.parameters,
        "weights": _weights(loaded),
        "dropout": network.dropout,
        "tensor_type": network.tensor_type,
        "items": loaded.items,
        "labels": _labels(loaded),
        "trained_on": checkpoint_facts.trained_on(loaded),
        "iteration": loaded.i,
        "epoch": loaded.epoch if loaded.epoch or not loaded.i else "",  # torch-rnn records none
        "run_state": _run_state(loaded),
        "validation": _curve(loaded),
        "copied": _copied(loaded),
        "opt": loaded.opt,
        "train_losses": loaded.train_losses,
        "val_losses": [_point(loaded, i) for i in sorted(checkpoint_facts.validations(loaded))],
    }
    return {key: value for key, value in out.items() if value != ""}


def _weights(loaded: Checkpoint) -> str:
    """What is unusual about the weights; "" for nothing."""
    if not loaded.network.is_finite():
        return "some are NaN or infinite"
    return "rounded to float16; the losses are those before the rounding" if checkpoint_facts.is_rounded(loaded) else ""


def _labels(loaded: Checkpoint) -> dict[str, int] | str:
    """Label -> number of items in training; "" without labels."""
    labels = loaded.labels
    return {label.decode("utf-8", "backslashreplace"): count for label, count in labels.items()} or ""


def _rest(found: T7FileSummary) -> str:
    at_least = "at least " if found.further == MOST_FURTHER else ""
    words = [f"{at_least}{found.further} more {plural(found.further, 'object')}"] if found.further else []
    words += [f"{found.unread} bytes outside of objects"] if found.unread else []
    return " and ".join(words)


def for_json(value: Any) -> Any:
    """Facts for json.dumps; infinity and NaN, which JSON lacks, as None."""
    if isinstance(value, dict):
        return {key: for_json(part) for key, part in value.items()}
    if isinstance(value, (list, array)):
        return [for_json(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _run_state(loaded: Checkpoint) -> str:
    """The program that wrote the run state, or "none"."""
    if loaded.state is None:
        return "none"
    versions = loaded.state.versions or {}
    return ", ".join(f"{program} {version}" for program, version in versions.items()) or "whole"


def _curve(loaded: Checkpoint) -> dict[str, dict[str, float]]:
    """First, best and last validation loss (nats per character), each with its iteration and epoch."""
    iterations = sorted(checkpoint_facts.validations(loaded))
    if not loaded.val_losses:
        return {"last": _point(loaded, iterations[0])} if iterations else {}
    chosen = {
        "first": iterations[0],
        "best": losses.best_first(loaded.val_losses)[0],
        "last": iterations[-1],
    }
    return {name: _point(loaded, i) for name, i in chosen.items()}


def _copied(loaded: Checkpoint) -> str:
    """What a training recorded of its sample; "" for nothing."""
    if (copied := recorded_copies.of(loaded.opt)) is None:
        return ""
    shares = [
        (copied.share, f"the sample's {recorded_copies.LENGTH}-character sequences"),
        (copied.val_share, "those of the validation split"),
    ]
    known = [f"{100.0 * part:.1f} % of {which}" for part, which in shares if part >= 0]
    return f"{copied.longest:.10g} characters of its sample" + (
        f"; the training split has {' and '.join(known)}" if known else ""
    )


def _point(loaded: Checkpoint, i: int) -> dict[str, float]:
    per_iteration = loaded.epoch / loaded.i if loaded.i else 0.0
    return {"loss": checkpoint_facts.validations(loaded)[i], "iteration": i, "epoch": i * per_iteration}


def as_table(found: Facts) -> str:
    """The output of `inspect`, a fact a line, without those of _SERIES."""
    rows: list[tuple[str, str]] = []
    for key, value in found.items():
        if key in _SERIES:
            continue
        if key == "vocab":
            rows.append((key, " ".join(map(escape_line, value))))
        elif key == "validation":
            for name, point in value.items():
                when = f"epoch {point['epoch']:.2f}" if point["epoch"] else f"iteration {point['iteration']}"
                rows.append((f"{name} val loss", f"{point['loss']:.4f} at {when}"))
        elif key == "labels":
            rows += [("label", f"{escape_line(label)}: {count} items") for label, count in value.items()]
        elif key == "opt":
            shown = {name: option for name, option in value.items() if name != "labels" or "labels" not in found}
            rows += [(f"opt.{escape_line(name, 40)}", _option(option)) for name, option in sorted(shown.items())]
        else:
            rows.append((key.replace("_", " "), f"{value:.6g}" if isinstance(value, float) else str(value)))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:{width}}  {text}" for name, text in rows)


def _option(value: object) -> str:
    return escape_line(value) if isinstance(value, str) else str(value)


def _tree(path: str | os.PathLike[str], found: T7FileSummary) -> str:
    lines: list[str] = []
    _walk(found.value, "", 0, set(), lines)
    if len(lines) > _MAX_LINES:
        lines[_MAX_LINES:] = ["..."]
    rest = [f"after it: {_rest(found)}"] if found.further or found.unread else []
    return "\n".join([f"{os.fspath(path)}: .t7, {_dialect(found.dialect)}", *lines, *rest])


def _dialect(dialect: Dialect) -> str:
    return "ASCII" if dialect.encoding == "ascii" else f"binary, longs of {dialect.long_size} bytes"


def _walk(value: object, name: str, depth: int, seen: set[int], lines: list[str]) -> None:
    """Add the lines of a value and its parts; `seen` has the ids of those already listed."""
    indent = "  " * depth + (f"{name}: " if name else "")
    if isinstance(value, TorchObject) and id(value) in seen or isinstance(value, Table) and value and id(value) in seen:
        lines.append(f"{indent}(see above)")
        return
    seen.add(id(value))
    lines.append(indent + _summary(value))
    children = value.fields if isinstance(value, TorchObject) else value
    if not isinstance(children, Table) or depth >= _MAX_DEPTH or len(lines) > _MAX_LINES:
        return
    entries = list(children.items())
    if depth == 0:  # numbers and options before a network, whose lines may be too many; a list keeps its order
        entries.sort(key=lambda entry: not (isinstance(entry[0], bytes) and _is_small(entry[1])))
    most = _MAX_OPTIONS if depth == 1 and name == "'opt'" and _is_small(value) else _MAX_ENTRIES
    for count, (key, child) in enumerate(entries):
        if count == most:
            lines.append("  " * (depth + 1) + f"... {len(children) - count} more")
            return
        _walk(child, _scalar(key), depth + 1, seen, lines)


def _is_small(value: object, levels: int = 2) -> bool:
    """Whether a value is a number, string, boolean or nil, or a small table of them, as opt is."""
    if not isinstance(value, Table):
        return isinstance(value, _SCALARS)
    return levels > 0 and len(value) <= _MAX_OPTIONS and all(_is_small(part, levels - 1) for part in value.values())


def _summary(value: object) -> str:
    if isinstance(value, Table):
        return f"table of {len(value)}"
    if isinstance(value, TorchObject):
        return escape_line(value.typename)
    if isinstance(value, Tensor):
        return f"{escape_line(value.typename)} {' x '.join(map(str, value.shape)) or 'empty'}"
    if isinstance(value, Storage):
        return f"{escape_line(value.typename)} of {len(value)}"
    if isinstance(value, LuaFunction):
        return f"function, {len(value.code)} bytes of bytecode"
    return _scalar(value)


def _scalar(value: object) -> str:
    """A number, a shortened string or nil in Python's notation; the class of another value."""
    if isinstance(value, bytes):
        start = value[:240]
        text = repr(start.decode("utf-8", "ignore")) if is_utf8(start) else repr(start)[1:]
        return text if len(text) <= 60 else text[:57] + "..."
    return repr(value) if isinstance(value, _SCALARS) else f"<{type(value).__name__}>"
