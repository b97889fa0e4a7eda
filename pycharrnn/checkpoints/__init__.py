"""Reads and writes checkpoint files in all formats, as NumPy arrays, and describes them.

Entry points: `checkpoint`, `formats`, `inspection`, `paths`, `options`, `t7_file.check_size`, and `metadata`.
May import common and compat; only .pt files load PyTorch.
"""
