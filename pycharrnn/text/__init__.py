"""Texts: gathering, download, statistics, the cache of token ids, batches. Independent of networks.

Entry points: `loaders`, `corpus`, `datasets`, `text_stats`, `items`, `labels`, `item_file`, `decode_text` and
`recorded_text`.
May import common and compat.
"""
