"""A run state of a small network, for the tests of the formats that hold one."""

from __future__ import annotations

import numpy as np
from conftest import GOLDEN

from compat import charrnn, load_t7
from compat.lua_random import LuaRandom
from compat.run_state import RunState

NETWORK = charrnn.from_table(load_t7(GOLDEN / "lstm2" / "lm_lstm2_epoch3.00_2.8734.t7")).network
PARAMETERS = sum(w.size for w in NETWORK.weights.values())


def a_state(dtype=np.float64) -> RunState:
    rng = np.random.default_rng(0)
    words, position = LuaRandom(7).get_state()
    return RunState(
        mean_square=rng.uniform(size=PARAMETERS).astype(dtype),
        learning_rate=0.002,
        hidden_state=[rng.normal(size=(3, 16)).astype(dtype) for _ in range(4)],
        batch_positions={1: 5, 2: 0, 3: 1},
        random_words=words,
        random_position=position,
        norm_ratio=0.25,
        versions={"pycharrnn": "0.1", "torch": "2"},
    )
