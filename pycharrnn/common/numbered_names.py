"""Numbers the names of files and folders: poems, poems_2, poems_3."""

from __future__ import annotations

import itertools
from collections.abc import Iterator


def numbered(stem: str, ending: str = "") -> Iterator[str]:
    """The name of `stem` and `ending`, then those with a number between them, without end.

    Example:
        >>> list(itertools.islice(numbered("poems", ".txt"), 3))
        ['poems.txt', 'poems_2.txt', 'poems_3.txt']
    """
    yield f"{stem}{ending}"
    for number in itertools.count(2):
        yield f"{stem}_{number}{ending}"
