"""A compact table of the items of a training text, by which a page that is a file tells known items from new ones.

An item is hashed by SHA-1: its bucket is the first 32 bits, modulo the number of buckets, and its fingerprint the next
20 bits. There are as many buckets as items, so a bucket has one fingerprint on average, and a new item has one of those
in its bucket with a probability of 2**-20. The table takes 22 bits an item: a 1 for each fingerprint of a bucket and a
0 after them, for all buckets, then all fingerprints in the same order.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

_FINGERPRINT_BITS = 20
_HASH_BYTES = 8


def table_of(items: Iterable[bytes]) -> dict[str, Any]:
    """The fields of a model in a page for the table of some items, which may repeat; its bits are in base64.

    Example:
        >>> table_of([b"Ada", b"Bob", b"Ada"])
        {'known_buckets': 2, 'known_items': 'zVLe4ivw'}
    """
    digests = b"".join(hashlib.sha1(item, usedforsecurity=False).digest()[:_HASH_BYTES] for item in items)
    hashes = np.unique(np.frombuffer(digests, ">u8"))
    buckets = (hashes >> np.uint64(32)) % np.uint64(max(len(hashes), 1))
    fingerprints = (hashes & np.uint64(0xFFFFFFFF)) >> np.uint64(32 - _FINGERPRINT_BITS)
    order = np.argsort(buckets, kind="stable")
    ones = np.ones(2 * len(hashes), np.uint8)
    ones[np.cumsum(np.bincount(buckets.astype(np.int64), minlength=len(hashes))) + np.arange(len(hashes))] = 0
    in_bits = np.unpackbits(fingerprints[order].astype(">u4").view(np.uint8).reshape(-1, 4), axis=1)
    bits = np.packbits(np.concatenate([ones, in_bits[:, -_FINGERPRINT_BITS:].reshape(-1)]))
    return {"known_buckets": len(hashes), "known_items": base64.b64encode(bits.tobytes()).decode()}
