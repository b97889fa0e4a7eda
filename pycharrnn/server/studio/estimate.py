"""The process that times a few training steps for the estimates of `pycharrnn studio`: JSON from stdin to stdout."""

from __future__ import annotations

import json
import sys

from pycharrnn.common import cores
from pycharrnn.common.errors import UserError
from pycharrnn.engine import kernel_library
from pycharrnn.server.studio import page_words
from pycharrnn.text.text_stats import stats_of_fields
from pycharrnn.training.options import TrainOptions


def main() -> None:
    asked = json.load(sys.stdin)
    stats = stats_of_fields(asked["stats"])
    answer: dict[str, object] = {}
    try:
        # As in a training: beside other programs, threads that spin take several times as long.
        if kernel_library.library():
            cores.limit_spinning()
        from pycharrnn.training.estimate import Estimate, estimate

        found: list[Estimate] = []
        for choice in asked["choices"]:
            options = TrainOptions(recipe=choice, items=asked["items"], label=asked["label"])
            found.append(estimate(options, stats, found))
            answer[choice] = found[-1]._asdict()
    except UserError as e:
        answer = {"error": page_words.reword(e.message)}
    json.dump(answer, sys.stdout)
