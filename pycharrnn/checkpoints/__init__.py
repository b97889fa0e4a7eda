"""Checkpoint files <-> weights as NumPy arrays, in the formats of `formats`; what a file holds, in words.

From outside: `checkpoint`, `formats`, `inspection`, `paths`, `options`; `t7_file.check_size`; `metadata` for a format
that is written elsewhere.
It may import common only, and loads no PyTorch.
"""
