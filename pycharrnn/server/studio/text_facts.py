"""What an uploaded text is, as `train FILES` finds it, before anything is written; and how long a training may take."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from compat import item_options
from pycharrnn.common import extras
from pycharrnn.common.display import join_words
from pycharrnn.common.errors import UserError
from pycharrnn.server.studio.child_environment import child_environment
from pycharrnn.server.studio.text_schemas import ChoiceEstimate, Estimates, FileFacts, TextFacts
from pycharrnn.text import corpus, list_text, source_files
from pycharrnn.training import text_defaults
from pycharrnn.training.corpus_run import is_product
from pycharrnn.training.options import TrainOptions

if TYPE_CHECKING:
    from pycharrnn.text.text_stats import TextStats

_MAX_FILES = 100  # in a list for the page
_SECONDS = 120  # within which an estimate must be there
_ESTIMATE = "from pycharrnn.server.studio.estimate import main; main()"


def read(
    text_id: str, paths: Sequence[str], options: TrainOptions, shown: Callable[[str], str], renamed: str
) -> tuple[TextFacts, TextStats]:
    """Gather a text as `train` would. `options`: of them -items, -label and -text_encoding.

    `shown`: rewords a sentence for the page. `renamed`: UploadedText.renamed. Errors: UserError for a text that can't
    be learnt from.
    """
    notes: list[str] = []
    how = {"text_encoding": options.text_encoding, "items": options.items, "label": options.label}
    try:
        with corpus.gather(paths, notes.append, 0, is_product, **how) as gathered:
            stats, files, list_kind = gathered.stats, gathered.joined.files, gathered.list_kind
            suggested = list_text.ITEMS.get(list_kind, "")
            may_have_header = item_options.is_one_line(options.items) or item_options.is_one_line(suggested)
            headers = gathered.advice_on_headers() if may_have_header else []
            name = gathered.folder.replace("\\", "/").rpartition("/")[2]
    except UserError as e:
        raise UserError(shown(e.message)) from None
    left_out = [note for note in notes if note.startswith(source_files.LEFT_OUT)]
    facts = [join_words(list(map(str, files)))]
    if decoded := source_files.how_decoded(files):
        facts.append(f"{decoded}.")
    facts += [note for note in notes if note not in left_out]
    encoding = stats.encoding
    found = TextFacts(
        id=text_id,
        name=name,
        bytes=stats.size,
        code_points=stats.code_points,
        characters=stats.length(encoding),
        distinct=len(stats.characters(encoding)),
        encoding=encoding,
        kind=list_kind or "text",
        files=[
            FileFacts(name=shown(file.shown), bytes=file.size, encoding=str(file.decoding))
            for file in files[:_MAX_FILES]
        ],
        file_count=len(files),
        facts=[shown(fact) for fact in facts],
        left_out=[shown(note) for note in left_out],
        encoding_advice=shown(text_defaults.advice_on_encoding(stats, encoding)),
        too_short=text_defaults.too_short(stats, encoding),
        suggested_items=suggested,
        headers=[shown(note) for note in headers],
        renamed=renamed,
    )
    return found, stats


async def estimates(stats: TextStats, options: TrainOptions, environment: Mapping[str, str]) -> Estimates:
    """How long each choice would train, from steps timed in a process of its own: this one never loads PyTorch.

    `environment`: of that process.
    """
    choices = ("quick", "best")
    none = [ChoiceEstimate(choice=choice, seconds=None, iterations=None, rnn_size=None, flags={}) for choice in choices]
    if not extras.has_pytorch():
        return Estimates(choices=none, how="there is no estimate, since PyTorch is not installed.", problem="")
    if problem := text_defaults.too_short(stats, stats.encoding):
        return Estimates(choices=none, how="", problem=problem)
    asked = {"stats": stats.fields(), "items": options.items, "label": options.label, "choices": choices}
    try:
        answer = json.loads(await _output(json.dumps(asked).encode(), child_environment(environment)))
        if "error" in answer:
            return Estimates(choices=none, how="", problem=answer["error"])
        return Estimates(
            choices=[ChoiceEstimate(choice=choice, **answer[choice]) for choice in choices],
            how="estimated from a few timed steps of each network on this machine. A training takes longer beside other"
            " programs.",
            problem="",
        )
    except (OSError, ValueError, asyncio.TimeoutError):
        return Estimates(choices=none, how="there is no estimate: timing a few steps of training failed.", problem="")


async def _output(given: bytes, environment: dict[str, str]) -> bytes:
    """What the process that estimates prints; it ends with this task. Errors: OSError; asyncio.TimeoutError."""
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _ESTIMATE, env=environment, stdin=pipe, stdout=pipe, stderr=nothing
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(given), _SECONDS)
        return printed
    finally:
        if process.returncode is None:
            process.kill()
