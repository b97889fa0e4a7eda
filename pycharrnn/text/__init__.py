"""From input.txt to batches of character numbers: vocabulary, cache, splits, texts to download.

From outside: `loader.CharSplitLMMinibatchLoader`, `datasets`, `preprocessing`.
It may import common only; it knows no model.
"""
