"""The page to play on, whoever answers it: its files, the facts of models that it shows, and the page as one file.

From outside: `page_files`, `facts`, `gallery.collect`, `single_file.write`.
It may import analysis, checkpoints and common. It needs neither FastAPI nor PyTorch.
"""
