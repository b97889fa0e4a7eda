"""From input.txt to batches of characters' numbers: vocabulary, cache, splits, texts to download.

From outside: `loader`, `datasets`, and `preprocessing.text_to_tensor`.
It may import common and compat only; it knows no model.
"""
