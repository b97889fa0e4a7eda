"""The line that training prints for a step. Source: train.lua."""

from __future__ import annotations

from compat import lua_format


def printed(i: int, iterations: int, epoch: float, train_loss: float, norm_ratio: float, seconds: float) -> str:
    """The line of iteration `i`; `train_loss` in nats per character, `seconds` of the iteration."""
    # train.lua's %6.8f and %6.4e pad to six characters, which only nan and inf need.
    loss, norm = f"{lua_format.fixed(train_loss, 8):>6}", f"{lua_format.scientific(norm_ratio, 4):>6}"
    return (
        f"{i}/{iterations} (epoch {lua_format.fixed(epoch, 3)}), train_loss = {loss}, grad/param norm = {norm},"
        f" time/batch = {seconds:.4f}s"
    )
