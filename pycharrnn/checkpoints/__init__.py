"""Reads and writes checkpoint files in all formats, as NumPy arrays, and describes them.

Other packages use `checkpoint`, `formats`, `inspection`, `paths`, `options`, `t7_file.check_size`, and `metadata`. This
package imports common and compat only; only .pt files load PyTorch.
"""
