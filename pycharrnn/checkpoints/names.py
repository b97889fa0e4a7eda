"""Short and distinct names of checkpoints, for display."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Mapping, Sequence

from pycharrnn.checkpoints import run_names
from pycharrnn.checkpoints.formats import ALL_ENDINGS, IN_FOLDERS, page_and_model
from pycharrnn.common import near_paths
from pycharrnn.common.display import escape_line, replace_surrogates


def short_names(paths: Sequence[str]) -> list[str]:
    """Names that tell files apart, without endings and with as few folders as possible; of models in a page their own.

    Invalid UTF-8 is shown as U+FFFD, and control characters as escapes.

    Example:
        >>> short_names(["a/lm_x.t7", "b/lm_x.t7", "b/lm_y.t7"])
        ['a/lm_x', 'b/lm_x', 'lm_y']
    """
    return shortest_tails([_stem(path) for path in paths])


def distinct_stems(paths: Sequence[str]) -> list[str]:
    """Paths without their endings, except for files that differ only there; of models in a page their names.

    Example:
        >>> distinct_stems(["a/lm_x.t7", "a/lm_x.safetensors", "b.t7", "gallery.html#lm_y_1.25"])
        ['a/lm_x.t7', 'a/lm_x.safetensors', 'b', 'lm_y_1.25']
    """
    stems = [_stem(path) for path in paths]
    count = Counter(stems)
    return [os.path.normpath(path) if count[stem] > 1 else stem for path, stem in zip(paths, stems, strict=True)]


def _stem(path: str) -> str:
    return page_and_model(path)[1] or os.path.splitext(os.path.normpath(path))[0]


def shortest_tails(paths: Sequence[str]) -> list[str]:
    """The ends of paths that tell them apart, with as few folders as possible, as `short_names` shows them.

    Example:
        >>> shortest_tails(["a/x.t7", "b/x.t7", "b/y.t7"])
        ['a/x.t7', 'b/x.t7', 'y.t7']
    """
    parts = [os.path.normpath(path).split(os.sep) for path in paths]
    tails: dict[int, list[str]] = {}  # by index of the path
    for depth in itertools.count(1):
        count = Counter(tuple(own[-depth:]) for own in parts)
        for k, own in enumerate(parts):
            if k not in tails and (depth >= len(own) or count[tuple(own[-depth:])] == 1):
                tails[k] = own[-depth:]
        if len(tails) == len(parts):
            break
    return [escape_line(replace_surrogates("/".join(tails[k])), None) for k in range(len(parts))]


def near(path: str) -> str:
    """An existing checkpoint or folder for which a path may stand, in its folder or in cv; "" if none.

    A name of a run stands for its best checkpoint. For example, near("cv/lm_poems_bset.t7"), near("cv/lm_poems") and
    near("poems") are "cv/lm_poems_best.t7" if that file exists.
    """
    folder, run = os.path.split(path)
    for place in (folder,) if folder else ("", "cv"):
        for stem, ending in itertools.product((run, f"lm_{run}"), IN_FOLDERS):
            best = run_names.best_checkpoint(os.path.join(place, stem), ending)
            if os.path.isfile(best):
                return best
    return near_paths.near(path, lambda p: p.endswith(ALL_ENDINGS) or os.path.isdir(p), ["cv"])


def distinct_names(paths: Sequence[str], known: Mapping[str, str] | None = None) -> list[str]:
    """As short_names, for files that differ: one in two formats keeps its ending, a model in a page its name.

    `known`: names by path, which stay as they are.

    Example:
        >>> distinct_names(["a/lm_x.t7", "a/lm_x.safetensors", "gallery.html#lm_y_1.25"])
        ['lm_x.t7', 'lm_x.safetensors', 'lm_y_1.25']
    """
    stems = distinct_stems(paths)
    names = shortest_tails([page_and_model(path)[1] or stem for path, stem in zip(paths, stems, strict=True)])
    known = known or {}
    taken, wanted = set(known.values()), set(names)
    distinct = []
    for path, name in zip(paths, names, strict=True):
        if path in known:
            distinct.append(known[path])
            continue
        if name in taken:  # a number tells names apart that differ only in bytes that can't be shown
            numbered = (f"{name} ({number})" for number in itertools.count(2))
            name = next(free for free in numbered if free not in taken and free not in wanted)
        taken.add(name)
        distinct.append(name)
    return distinct
