"""Checkpoint files <-> weights as NumPy arrays: .t7, .safetensors, .json; what a file holds, in words.

From outside: `checkpoint`, `formats`, `inspection`, `paths`, `options`.
It may import common only, and loads no PyTorch.
"""
