"""The page to play on, whoever answers it: its files, and the facts of models that it shows.

From outside: `page_files`, `facts`.
It may import analysis, checkpoints and common. It needs neither FastAPI nor PyTorch.
"""
