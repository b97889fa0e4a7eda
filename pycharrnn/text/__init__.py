"""Texts: gathering, download, statistics, the cache of token ids, batches. No module here knows a model.

Entry points: `loader`, `corpus`, `datasets`, `text_stats`, and `preprocessing.text_to_tensor`.
"""
