"""Names for what is new, of which the first free one is taken."""

from __future__ import annotations

import itertools
from collections.abc import Iterator


def numbered(stem: str, ending: str = "") -> Iterator[str]:
    """`stem` and `ending`, then with numbers between them.

    Example:
        >>> list(itertools.islice(numbered("poems", ".txt"), 3))
        ['poems.txt', 'poems_2.txt', 'poems_3.txt']
    """
    yield f"{stem}{ending}"
    for number in itertools.count(2):
        yield f"{stem}_{number}{ending}"
