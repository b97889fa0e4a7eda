"""The figures of the status line."""

from __future__ import annotations

import pytest

from pycharrnn.common.progress import duration
from pycharrnn.training.run_sizes import RunSizes
from pycharrnn.training.status_figures import StatusFigures


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_figures():
    clock, losses = Clock(), {}
    figures = StatusFigures(200, RunSizes(done=0, ntrain=50, nval=6, characters=1000), 60, losses, False, clock)
    assert figures.training(0) == ["epoch 0.00 of 4"]
    clock.now += 10
    # 2 s an iteration; validations after 60, 120, 180 and 200, guessed at 6 * 2 / 3 s each
    assert figures.training(5) == ["epoch 0.10 of 4", f"ETA {duration(195 * 2 + 4 * 4)}", "500 characters/s"]
    with figures.validation():
        clock.now += 30
        losses[60] = 1.25
    clock.now += 110
    expected = f"ETA {duration(140 * 2 + 3 * 30)}"
    assert figures.training(60) == ["epoch 1.20 of 4", expected, "500 characters/s", "best val_loss 1.2500"]
    losses[120] = float("nan")
    assert figures.training(60)[-1] == "best val_loss 1.2500"
    clock.now += 280
    assert figures.training(200)[1] == "ETA 0:00:00"


def test_figures_of_a_resumed_run():
    clock = Clock()
    figures = StatusFigures(200, RunSizes(done=100, ntrain=50, nval=6, characters=1000), 1000, {}, False, clock)
    clock.now += 10
    assert figures.training(110)[1:] == [f"ETA {duration(90 + 2)}", "1,000 characters/s"]


def test_a_validation_as_a_bar():
    figures = StatusFigures(200, RunSizes(done=0, ntrain=50, nval=6, characters=1000), 60, {}, False)
    assert figures.validating(2) == [f"validating [{'#' * 10}{'-' * 20}] 2/6"]
    assert figures.validating(6) == [f"validating [{'#' * 30}] 6/6"]


def test_the_speed_is_that_of_the_last_hundred_redraws():
    now = [0.0]
    figures = StatusFigures(1000, RunSizes(done=0, ntrain=100, nval=1, characters=10), 10**6, {}, False, lambda: now[0])
    for i in range(1, 101):
        now[0] += 4
        figures.training(i)
    for i in range(101, 199):
        now[0] += 1
        line = figures.training(i)
    assert line[2] == f"{10 * 99 / (98 + 4):,.0f} characters/s"
    now[0] += 1
    assert figures.training(199)[2] == "10 characters/s"


def test_the_best_loss_is_the_lowest_number():
    now = [0.0]
    losses = {1: float("nan"), 2: 1.5, 3: 1.25, 4: 2.0}
    figures = StatusFigures(
        1000, RunSizes(done=0, ntrain=100, nval=1, characters=10), 10**6, losses, False, lambda: now[0]
    )
    assert figures.training(5)[-1] == "best val_loss 1.2500"
    losses.clear()
    assert figures.training(5) == ["epoch 0.05 of 10"]


@pytest.mark.parametrize(
    "iterations, every, i, validations",
    [(100, 10, 9, 10), (100, 10, 10, 9), (105, 10, 10, 10), (105, 10, 104, 1), (5, 10, 1, 1)],
)
def test_the_time_left_counts_validations(iterations, every, i, validations):
    now = [0.0]
    sizes = RunSizes(done=0, ntrain=10, nval=6, characters=10)
    for calibrates in (False, True):
        figures = StatusFigures(iterations, sizes, every, {}, calibrates, lambda: now[0])
        with figures.validation():
            now[0] += 40
            figures.evaluated()
            now[0] += 10  # the checkpoint, which is not written for -calibrate
        now[0] += 2 * i
        expected = 2 * (iterations - i) + 50 * validations + 2 * 40 * calibrates
        assert figures.training(i)[1] == f"ETA {duration(expected)}"
