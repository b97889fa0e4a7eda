"""Targets of the loss."""

from __future__ import annotations

IGNORED = -100  # a target that has no loss: ignore_index of torch.nn.functional.cross_entropy
