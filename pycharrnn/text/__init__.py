"""Texts: gathering, download, statistics, the cache of token ids, batches. Independent of networks.

Entry points: `loaders`, `corpus`, `datasets`, `text_stats`, `item_file` and `recorded_text`.
May import common and compat.
"""
