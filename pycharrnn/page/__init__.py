"""The page to play on, for `serve` and as a single file. Needs neither FastAPI nor PyTorch.

Entry points: `page_files`, `facts`, `gallery.collect`, `single_file.write`.
May import analysis, training, sampling, engine, text, checkpoints, common and compat.
"""
