"""How often additions to a text appear."""

from __future__ import annotations

import pytest
from page_modules import modules, script
from page_tools import media, needs_browser

pytestmark = needs_browser


@pytest.mark.parametrize("motion, lists", [("no-preference", [[1], [2, 3], [4]]), ("reduce", [[1, 2, 3, 4]])])
def test_with_reduced_motion_a_text_appears_at_once(chromium, motion, lists):
    code = """
        const { paced } = await import("./pace.js");
        async function* source() {
          yield* [[1], [2, 3], [], [4]];
        }
        const lists = [];
        for await (const items of paced(source())) lists.push(items);
        return lists;
    """
    with media(chromium, reduced_motion=motion), modules(chromium, []):
        assert script(chromium, code) == lists
